"""The market's driver and what the public record makes of it, on a clock that is moved by hand."""

import asyncio
from datetime import UTC, datetime

import pytest

from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.exchange import Exchange
from autotrader_lab.sandbox.instruments import CATALOGUE, choose_instruments
from autotrader_lab.sandbox.market import MarketDriver
from autotrader_lab.sandbox.orders import Side, TradeEvent
from autotrader_lab.sandbox.synthetic import SyntheticScript
from autotrader_lab.sandbox.tape import INTERVALS_MS, Tape, interval_end, interval_start
from autotrader_lab.sandbox.units import parse_e8

S = "BTCUSDT"
NOON_MS = 1_767_268_800_000


def make_driver(clock: SimulatedClock, speed: float) -> tuple[MarketDriver, Exchange]:
    exchange = Exchange(choose_instruments([S]))
    return MarketDriver([SyntheticScript(CATALOGUE[S], 3)], [exchange], clock, speed, lambda: None), exchange


async def test_the_market_runs_at_its_speed_and_can_be_stopped() -> None:
    clock = SimulatedClock(0)
    driver, exchange = make_driver(clock, speed=10)
    running = asyncio.create_task(driver.run())
    await clock.advance(2)
    assert driver.market_ns == pytest.approx(20e9, rel=0.05)
    driver.paused = True
    await clock.advance(0.1)
    seen = exchange.books[S].update_id
    await clock.advance(5)
    assert exchange.books[S].update_id == seen
    driver.paused = False
    await clock.advance(1)
    assert exchange.books[S].update_id > seen
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("symbol", CATALOGUE)
def test_every_instruments_market_is_on_its_grid_and_sound(symbol: str) -> None:
    instrument = CATALOGUE[symbol]
    exchange = Exchange([instrument])
    driver = MarketDriver([SyntheticScript(instrument, 1)], [exchange], SimulatedClock(0), 1, lambda: None)
    trades = 0
    for _ in range(300):
        driver.advance(0.5)
        book = exchange.books[symbol]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        assert bid is not None
        assert ask is not None
        assert bid.price < ask.price
        assert all(price % instrument.tick == 0 for side in Side for price in book.prices[side])
        assert all(level.total % instrument.step == 0 for side in Side for level in book.levels[side].values())
        trades += sum(isinstance(event, TradeEvent) for event in exchange.drain())
    assert trades > 100


async def test_an_error_of_the_market_is_not_lost() -> None:
    clock = SimulatedClock(0)
    box = Sandbox(seed=1, speed=1, clock=clock)
    await box.start()

    def fail() -> None:
        raise RuntimeError("the market broke")

    box.driver._published = fail
    await clock.advance(1)
    with pytest.raises(RuntimeError, match="the market broke"):
        await box.stop()


def test_no_addresses_before_the_start() -> None:
    with pytest.raises(RuntimeError, match="has no addresses yet"):
        _ = Sandbox(seed=1).addresses


def trade(number: int, at_ms: int, price: str, aggressor: int = 0, quantity: str = "0.5") -> TradeEvent:
    return TradeEvent(S, number, parse_e8(price), parse_e8(quantity), False, at_ms, aggressor or number)


def test_candles_fold_fill_gaps_and_run_on() -> None:
    tape = Tape(CATALOGUE[S])
    for number, (second, price) in enumerate([(0, "100"), (30, "105"), (61, "99"), (400, "101")], 1):
        tape.add(trade(number, NOON_MS + second * 1_000, price))
    now_ms = NOON_MS + 425_000
    minutes = tape.candles("1m", now_ms)
    assert [(c.open_ms - NOON_MS) // 60_000 for c in minutes] == list(range(8))
    first = minutes[0]
    assert [first.open, first.high, first.low, first.close] == [parse_e8(p) for p in ("100", "105", "100", "105")]
    assert (first.count, first.first_id, first.last_id, first.volume) == (2, 1, 2, parse_e8("1"))
    assert (minutes[3].volume, minutes[3].close) == (0, parse_e8("99"))
    fives = tape.candles("5m", now_ms)
    assert [(c.high, c.low, c.count) for c in fives] == [
        (parse_e8("105"), parse_e8("99"), 3),
        (parse_e8("101"), parse_e8("101"), 1),
    ]
    assert tape.candle("5m", now_ms) == fives[-1]
    assert tape.candle("1m", now_ms) == minutes[-1]
    assert len(tape.candles("1s", now_ms)) == 426


def test_fills_of_one_order_at_one_price_are_one_aggregate() -> None:
    tape = Tape(CATALOGUE[S])
    for number, price in enumerate(("100", "100", "101"), 1):
        tape.add(trade(number, NOON_MS, price, aggressor=77))
    tape.add(trade(4, NOON_MS, "101", aggressor=78))
    assert [(a.first_id, a.last_id) for a in tape.aggregates] == [(1, 2), (3, 3), (4, 4)]


def test_the_past_is_made_up_once_and_ends_at_the_present_price() -> None:
    pasts = []
    for _ in range(2):
        tape = Tape(CATALOGUE[S])
        tape.backfill(5, parse_e8("60000"), NOON_MS + 30_000)
        pasts.append(list(tape.minutes))
    assert pasts[0] == pasts[1]
    assert pasts[0][-1].close == parse_e8("60000")
    assert pasts[0][-1].open_ms == NOON_MS - 60_000
    assert all(c.low <= min(c.open, c.close) <= max(c.open, c.close) <= c.high for c in pasts[0])
    assert all(before.close == after.open for before, after in zip(pasts[0], pasts[0][1:], strict=False))


@pytest.mark.parametrize("interval", INTERVALS_MS)
def test_intervals_meet_without_gap(interval: str) -> None:
    start = interval_start(NOON_MS + 12_345, interval)
    end = interval_end(start, interval)
    assert start <= NOON_MS + 12_345 < end
    assert interval_start(end, interval) == end
    assert interval_start(end - 1, interval) == start


def test_weeks_begin_on_monday_and_months_on_the_first() -> None:
    week = datetime.fromtimestamp(interval_start(NOON_MS, "1w") / 1_000, UTC)
    month = datetime.fromtimestamp(interval_start(NOON_MS, "1M") / 1_000, UTC)
    assert (week.weekday(), week.hour) == (0, 0)
    assert (month.day, month.hour) == (1, 0)
