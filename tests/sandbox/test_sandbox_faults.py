"""The rule engine, without any venue: who is struck, how often, and what becomes of it."""

import asyncio
from typing import Any

import pytest

from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.sandbox.fault_plan import read_plan, read_rule
from autotrader_lab.sandbox.faults import Faults, Passing, spoil

BUY = Passing("here", "testnet", "rest", "POST order", "submit", "BTCUSDT", "buy")
FILL = Passing("here", "testnet", "user", "execution", "fill", "BTCUSDT", "buy")


class Line:
    """What was done to a connection."""

    def __init__(self) -> None:
        self.done: list[str] = []

    def put(self, text: str) -> None:
        self.done.append(text)

    def pause(self, seconds: float) -> None:
        self.done.append(f"pause {seconds:g}")

    def close(self) -> None:
        self.done.append("close")

    def abort(self) -> None:
        self.done.append("abort")


def faults(*rules: dict[str, Any], seed: int = 1, clock: SimulatedClock | None = None) -> Faults:
    return Faults(read_plan({"seed": seed, "rules": rules}), clock or SimulatedClock())


async def strikes(engine: Faults, count: int, passing: Passing = BUY) -> list[int]:
    """Which of `count` requests in a row are struck, from 1."""
    return [number for number in range(1, count + 1) if await engine.before(passing) is not None]


def send(engine: Faults, line: Line, *texts: str, passing: Passing = FILL) -> list[str]:
    for text in texts:
        engine.outgoing(passing, text, line, lambda: "bye")
    return line.done


async def test_the_same_seed_makes_the_same_choices_and_another_seed_others() -> None:
    rule = {"do": "drop_before", "when": {"probability": 0.3}}
    first, again, other = [await strikes(faults(rule, seed=seed), 200) for seed in (1, 1, 2)]
    assert first == again != other
    assert 35 < len(first) < 90


async def test_a_rule_draws_from_its_own_source() -> None:
    rule = {"do": "drop_before", "where": {"kind": "submit"}, "when": {"probability": 0.3}}
    beside = {"do": "error", "where": {"kind": "cancel"}, "when": {"probability": 0.5}}
    alone, together = faults(rule), faults(rule, beside)
    mixed = []
    for number in range(1, 101):
        mixed += [number] if await together.before(BUY) is not None else []
        await together.before(Passing("here", "testnet", "rest", "DELETE order", "cancel"))
    assert mixed == await strikes(alone, 100)


@pytest.mark.parametrize(
    ("when", "struck"),
    [
        ({}, [1, 2, 3, 4, 5, 6]),
        ({"every": 3}, [3, 6]),
        ({"count": 2}, [1, 2]),
        ({"every": 2, "count": 2}, [2, 4]),
    ],
)
async def test_every_and_count(when: dict[str, int], struck: list[int]) -> None:
    assert await strikes(faults({"do": "drop_before", "when": when}), 6) == struck


async def test_windows_open_close_and_come_again() -> None:
    clock = SimulatedClock()
    engine = faults({"do": "maintenance", "when": {"from_s": 2, "to_s": 4, "repeat_s": 10}}, clock=clock)
    down = []
    for second in range(16):
        down += [second] if await engine.before(BUY) is not None else []
        await clock.advance(1)
    assert down == [2, 3, 12, 13]


@pytest.mark.parametrize(
    ("where", "is_meant"),
    [
        ({}, True),
        ({"venue": "here"}, True),
        ({"venue": "there"}, False),
        ({"world": "live"}, False),
        ({"channel": "rest"}, True),
        ({"channel": "ws-api"}, False),
        ({"kind": "submit"}, True),
        ({"kind": "cancel"}, False),
        ({"request": "POST order"}, True),
        ({"request": "POST *"}, True),
        ({"request": "DELETE *"}, False),
        ({"symbol": "BTC/USDT"}, True),
        ({"symbol": "btc-usdt"}, True),
        ({"symbol": "ETHUSDT"}, False),
        ({"side": "BUY"}, True),
        ({"side": "sell"}, False),
        ({"kind": "submit", "symbol": "BTCUSDT", "side": "sell"}, False),
    ],
)
async def test_where(where: dict[str, str], is_meant: bool) -> None:
    assert bool(await strikes(faults({"do": "drop_before", "where": where}), 1)) is is_meant


async def test_the_first_rule_that_answers_ends_the_matter_and_delays_add_up_before_it() -> None:
    clock = SimulatedClock()
    engine = faults(
        {"do": "delay", "seconds": 2},
        {"do": "delay", "seconds": 3},
        {"do": "error", "status": 502, "body": "no"},
        {"do": "drop_before"},
        clock=clock,
    )
    asking = asyncio.ensure_future(engine.before(BUY))
    await clock.advance(4.9)
    assert not asking.done()
    await clock.advance(0.2)
    verdict = await asking
    assert verdict is not None
    assert (verdict.action, verdict.status, verdict.body) == ("error", 502, "no")
    assert [rule["hits"] for rule in engine.report()["rules"]] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        ({"do": "drop_before"}, "drop", None),
        ({"do": "drop_after"}, None, "drop"),
        ({"do": "error"}, "error", None),
        ({"do": "error", "point": "answer"}, None, "error"),
        ({"do": "rubbish"}, None, "rubbish"),
        ({"do": "rubbish", "point": "arrival"}, "rubbish", None),
        ({"do": "rate_limit", "retry_after_s": 7}, "rate_limit", None),
        ({"do": "maintenance"}, "maintenance", None),
        ({"do": "disconnect", "where": {"kind": "submit"}}, "drop", None),
        ({"do": "disconnect"}, None, None),
        ({"do": "lose"}, None, None),
        ({"do": "partial_fill"}, None, None),
    ],
)
async def test_before_and_after_the_exchange_acted(rule: Any, before: str | None, after: str | None) -> None:
    engine = faults(rule)
    told = [await engine.before(BUY), await engine.after(BUY)]
    assert [verdict and verdict.action for verdict in told] == [before, after]


def test_events_are_lost_doubled_spoiled_and_cut() -> None:
    assert send(faults({"do": "lose", "when": {"every": 2}}), Line(), "a", "b", "c") == ["a", "c"]
    assert send(faults({"do": "duplicate", "times": 2, "when": {"count": 1}}), Line(), "a", "b") == ["a"] * 3 + ["b"]
    assert send(faults({"do": "rubbish", "body": "truncated", "where": {"channel": "user"}}), Line(), "abcd") == ["ab"]
    assert send(faults({"do": "disconnect"}), Line(), "a") == ["abort"]
    assert send(faults({"do": "delay", "seconds": 2, "where": {"channel": "user"}}), Line(), "a") == ["pause 2", "a"]
    assert send(faults({"do": "lose", "where": {"kind": "order"}}), Line(), "a") == ["a"]


async def test_events_swap_are_overtaken_and_none_is_left_behind() -> None:
    swapped = send(faults({"do": "reorder", "when": {"count": 1}}), Line(), "a", "b", "c")
    assert swapped == ["b", "a", "c"]
    alone, overtaken = Line(), Line()
    send(faults({"do": "reorder", "within_s": 0.01}), alone, "a")
    send(faults({"do": "hold", "seconds": 0.01, "when": {"count": 1}}), overtaken, "a", "b")
    assert (alone.done, overtaken.done) == ([], ["b"])
    await asyncio.sleep(0.05)
    assert (alone.done, overtaken.done) == (["a"], ["b", "a"])


async def test_a_shutdown_is_announced_and_then_happens() -> None:
    line = Line()
    send(faults({"do": "shutdown", "grace_s": 0.01, "when": {"count": 1}}), line, "a", "b")
    assert line.done == ["bye", "a", "b"]
    await asyncio.sleep(0.05)
    assert line.done[-1] == "close"


def test_the_market_takes_whole_steps_and_at_least_one() -> None:
    engine = faults({"do": "partial_fill", "fraction": [0.1, 0.9], "where": {"side": "buy"}})
    taken = [engine.portion("here", "testnet", "BTCUSDT", "buy", 1_000, 100) for _ in range(50)]
    assert set(taken) <= set(range(100, 1_000, 100))
    assert len(set(taken)) > 3
    assert engine.portion("here", "testnet", "BTCUSDT", "buy", 100, 100) == 100
    assert engine.portion("here", "testnet", "BTCUSDT", "sell", 1_000, 100) == 1_000


async def test_the_clock_is_off_in_its_window_and_world_and_offsets_add_up() -> None:
    clock = SimulatedClock()
    engine = faults(
        {"do": "clock_skew", "offset_ms": 500, "where": {"world": "live"}},
        {"do": "clock_skew", "offset_ms": -200, "when": {"from_s": 1, "to_s": 2}},
        clock=clock,
    )
    seen = [(engine.skew_ms("here", "live"), engine.skew_ms("here", "testnet"))]
    await clock.advance(1.5)
    seen.append((engine.skew_ms("here", "live"), engine.skew_ms("here", "testnet")))
    assert seen == [(500, 0), (300, -200)]


async def test_once_strikes_once_from_now_on_and_is_counted() -> None:
    clock = SimulatedClock()
    engine = faults(clock=clock)
    await clock.advance(100)
    engine.once(read_rule({"do": "drop_before", "where": {"kind": "submit"}, "when": {"from_s": 1, "to_s": 50}}))
    assert await strikes(engine, 3) == []
    await clock.advance(2)
    assert await strikes(engine, 3) == [1]
    (rule,) = engine.report()["rules"]
    assert (rule["seen"], rule["hits"]) == (1, 1)


@pytest.mark.parametrize(("how", "text"), [("truncated", '{"a"'), ("empty", "")])
def test_rubbish(how: str, text: str) -> None:
    assert spoil('{"a": 12}', how) == text
    assert spoil("{}", "html").startswith("<!DOCTYPE html>")
