"""The words and figures of the page: escaped, signed, and honest about what is not known."""

from __future__ import annotations

from autotrader_lab.dashboard import fragments

EVIL = "<script>alert(1)</script>"


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
