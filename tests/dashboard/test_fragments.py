"""The words and figures of the page: escaped, signed, and honest about what is not known."""

from __future__ import annotations

import pytest

from autotrader_lab.dashboard import fragments

EVIL = "<script>alert(1)</script>"
DOUBT = {
    "client_order_id": "at-1", "symbol": "BTC/USDT", "side": "buy", "quantity": 0.01, "price": None,
    "status": "unknown", "reason": "no answer", "since_ms": 1_000, "attempts": 3,
}  # fmt: skip


def test_no_value_becomes_markup() -> None:
    snapshot = {
        "session": EVIL, "label": EVIL, "strategy": EVIL, "symbols": [EVIL], "state": EVIL, "trading_state": EVIL,
        "stage": '"onload="x', "lease": EVIL,
    }  # fmt: skip
    check = {"name": EVIL, "asked": EVIL, "got": EVIL, "passed": False, "why": EVIL}
    position = {"symbol": EVIL, "quantity": 1.0, "average_price": 1.0, "mark": 1.0, "unrealised": 0.0, "realised": 0.0}
    pieces = [
        fragments.masthead(snapshot),
        fragments.evidence({"checks": [check]}),
        fragments.ladder([{"stage": EVIL, "status": EVIL, "checks": []}], stage=EVIL, rehearsal=False),
        fragments.positions([position]),
        fragments.alerts([{"t_ms": 0, "level": EVIL, "code": EVIL, "message": EVIL}]),
        fragments.notice("critical", EVIL),
        fragments.facts({"counters": {"decisions": EVIL}}),
        fragments.attention_row(
            DOUBT | dict.fromkeys(("client_order_id", "symbol", "side", "status", "reason"), EVIL), now_ms=0
        ),
        fragments.answer(EVIL, good=False),
        fragments.coverage({"host": EVIL}),
    ]
    for piece in pieces:
        assert EVIL not in piece
        assert '"onload=' not in piece


def test_a_rehearsal_is_told_from_the_real_thing() -> None:
    rehearsal = {"stage": "live", "label": "LIVE, rehearsal", "profile": "rehearsal", "state": "running"}
    assert 'data-rehearsal="true"' in fragments.masthead(rehearsal)
    assert "LIVE, rehearsal" in fragments.masthead(rehearsal)
    assert 'data-rehearsal="false"' in fragments.masthead({**rehearsal, "profile": "standard"})


def test_figures() -> None:
    assert fragments.money(None) == "–"
    assert fragments.money(-1234.5, signed=True) == "−1,234.50"
    assert fragments.money(0.0, signed=True) == "0.00"
    assert fragments.price(67_000.126) == "67,000.13"
    assert fragments.price(0.004217) == "0.004217"
    assert fragments.price(None) == "–"
    worth = fragments.worth({"value": 99_000.0, "start": 100_000.0, "drawdown": 0.01, "realised": -1_000.0})
    assert "−1,000.00  (−1.00%)" in worth
    assert 'class="down"' in worth
    assert fragments.worth(None).count("–") >= 4


def test_what_must_not_be_is_shown_as_such() -> None:
    assert '<dd class="down">1</dd>' in fragments.facts({"counters": {"unreconciled": 1}})
    assert 'class="down"' not in fragments.facts({"counters": {"unreconciled": 0, "fills": 3}})


def test_an_order_in_doubt_says_what_it_is_since_when_and_why() -> None:
    row = fragments.attention_row(DOUBT, now_ms=42_000)
    for words in ("UNKNOWN", "BTC/USDT", "0.01 at market", "since 00:00:01 UTC, 41 s", "no answer (3 attempts)"):
        assert words in row
    assert "DEAD LETTER" in fragments.attention_row(DOUBT | {"status": "dead_letter"}, now_ms=42_000)
    assert "3 min" in fragments.attention_row(DOUBT, now_ms=181_000)
    assert "2 orders need" in fragments.attention_title(2, answering=True)
    assert "recover()" in fragments.attention_title(1, answering=False)


@pytest.mark.parametrize(
    ("action", "status", "good", "words"),
    [
        ("query", "submitted", True, "The venue has it: submitted, 0 of 0.01 filled, its id there is 77."),
        ("query", "unknown", False, "Still in doubt: why."),
        ("query", "rejected", False, "The venue refused it: why."),
        ("resubmit", "partial_fill", True, "Sent again: partial fill, 0 of 0.01 filled, its id there is 77."),
        ("resubmit", "denied", False, "Not sent, the risk gate denies it: why."),
        ("resubmit", "rejected", False, "Sent again, and refused: why."),
        ("discard", "rejected", True, "Given up: the venue has none, and it will not be sent."),
    ],
)
def test_the_answer_to_a_button_in_words(action: str, status: str, good: bool, words: str) -> None:
    order = {"status": status, "reason": "why", "order_id": "77", "filled": 0.0, "quantity": 0.01}
    assert fragments.settled(action, order) == (good, words)


def test_rates_are_judged_by_the_specification() -> None:
    good = fragments.facts({"rates": {"success": 0.9941, "dead_letters": 0.0}})
    assert "99.41%" in good
    assert (good.count("✓"), good.count("✗")) == (2, 0)
    exactly = fragments.facts({"rates": {"success": 0.99, "dead_letters": 0.001}})
    assert (exactly.count("✓"), exactly.count("✗")) == (0, 2)
    nothing_sent = fragments.facts({"rates": {"success": None, "dead_letters": None}})
    assert (nothing_sent.count("✓"), nothing_sent.count("✗")) == (0, 0)
    assert "rates" not in fragments.facts({})


def test_what_covers_the_hosts_own_death_is_said() -> None:
    assert 'data-open="true"' in fragments.coverage({"host": "NOT covered: no such switch"})
    assert 'data-open="false"' in fragments.coverage({"host": "covered by the venue itself"})
    assert fragments.coverage(None) == ""
