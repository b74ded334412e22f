"""Recorded markets: the numbers of the recording come out again, and what cannot be used is refused by name."""

import gzip
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.exchange import Exchange
from autotrader_lab.sandbox.frames import FrameScript, open_market
from autotrader_lab.sandbox.instruments import choose_instruments
from autotrader_lab.sandbox.market import Depth, Print, Step, apply_step
from autotrader_lab.sandbox.orders import Side, TradeEvent
from autotrader_lab.sandbox.recordings import RawRecording
from autotrader_lab.sandbox.units import notional, parse_e8

S = "BTCUSDT"
FIRST, SECOND = (f"market/binance_spot_btcusdt_{day}_raw.gz" for day in ("20240808", "20240809"))
Recorded = Callable[[str], Path]


def play(steps: Iterator[tuple[int, Step]]) -> tuple[Exchange, list[TradeEvent], int]:
    """Play steps into an exchange; returns it, its trades, and how often its book was crossed."""
    exchange = Exchange(choose_instruments([S]))
    book, trades, crossed, before = exchange.books[S], [], 0, 0
    for at_ns, step in steps:
        assert at_ns >= before, "market time runs forwards"
        before = at_ns
        apply_step(exchange, S, step, at_ns // 1_000_000)
        trades += [event for event in exchange.drain() if isinstance(event, TradeEvent)]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        crossed += bool(bid and ask and bid.price >= ask.price)
    return exchange, trades, crossed


def test_two_recordings_give_the_reference_numbers(recorded: Recorded) -> None:
    recording = RawRecording([recorded(FIRST), recorded(SECOND)])
    diffs = 0

    def counted() -> Iterator[tuple[int, Step]]:
        nonlocal diffs
        for row in recording.once():
            diffs += isinstance(row[1], Depth)
            yield row

    exchange, trades, crossed = play(counted())
    exchange.market_depth(S, [], [], 0)
    book = exchange.books[S]
    assert (diffs, crossed) == (6493, 0)
    assert book.depth(Side.BUY, 1) == [(parse_e8("61602.01"), parse_e8("1.67177"))]
    assert book.depth(Side.SELL, 1) == [(parse_e8("61602.02"), parse_e8("2.66795"))]
    assert (len(book.prices[Side.BUY]), len(book.prices[Side.SELL])) == (1971, 2962)
    assert len(trades) == 19_904
    assert sum(t.quantity for t in trades) == parse_e8("437.91552")
    assert sum(notional(t.price, t.quantity) for t in trades) == parse_e8("27006929.5910348")
    assert sum(t.quantity for t in trades if not t.buyer_is_maker) == parse_e8("204.49112")
    assert max(t.price for t in trades) == parse_e8("61860.80")
    assert min(t.price for t in trades) == parse_e8("61556.04")
    assert [t.trade_id for t in trades] == list(range(1, 19_905))


def test_a_recording_repeats_with_a_full_picture_and_time_goes_on(recorded: Recorded) -> None:
    recording = RawRecording([recorded(FIRST)])
    once = list(recording.once())
    again = recording.steps()
    before = 0
    for count, (at_ns, step) in enumerate(again):
        assert at_ns >= before
        before = at_ns
        if count >= len(once):
            assert step == once[count - len(once)][1]
        if count == len(once) + 50:
            break
    assert sum(isinstance(step, Print) for _, step in once) == 9_757


async def test_the_sandbox_replays_a_recording(recorded: Recorded) -> None:
    async with Sandbox(recorded(FIRST), seed=1, speed=0) as box:
        world = box.worlds["live"]
        box.driver.advance(60)
        assert parse_e8("61000") < world.exchange.last_price[S] < parse_e8("62500")
        assert len(world.exchange.books[S].prices[Side.BUY]) > 1_000
        same = [w.exchange.books[S].depth(Side.BUY, 50) for w in box.worlds.values()]
        assert same[0] == same[1]


def test_a_recording_without_its_snapshot_or_of_another_symbol_is_refused(recorded: Recorded) -> None:
    with pytest.raises(ValueError, match="no REST snapshot"):
        RawRecording([recorded(SECOND)])
    with pytest.raises(ValueError, match="recording is of BTCUSDT, which is not among ETHUSDT"):
        open_market([recorded(FIRST)], choose_instruments(["ETHUSDT"]), 1)


def test_a_gap_in_the_updates_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gap_raw.gz"
    diff = '{"stream":"x","data":{"e":"depthUpdate","s":"BTCUSDT","U":%d,"u":%d,"b":[],"a":[]}}'
    lines = ['1 {"lastUpdateId":10,"bids":[],"asks":[]}', "2 " + diff % (11, 12), "3 " + diff % (14, 15)]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    with pytest.raises(ValueError, match="update 14 follows 12"):
        RawRecording([path])


def test_recorded_trades_are_played_exactly(recorded: Recorded) -> None:
    instruments = choose_instruments([S])
    script = open_market([recorded("market/binance_btcusdt-trades.parquet")], instruments, 1)

    def first_round() -> Iterator[tuple[int, Step]]:
        prints = 0
        for row in script.steps():
            if isinstance(row[1], Print):
                prints += 1
            if prints > 2_001:
                return
            yield row

    _, trades, crossed = play(first_round())
    assert (len(trades), crossed) == (2_001, 0)
    assert sum(t.buyer_is_maker for t in trades) == 914


@pytest.mark.parametrize("name", ["market/binance_btcusdt-quotes.parquet", "market/bitstamp_btcusd_1m_20200101.csv"])
def test_quotes_and_bars_make_a_market(recorded: Recorded, name: str) -> None:
    path = recorded(name)
    script = open_market([path], choose_instruments([S]), 1)
    steps = [row for row, _ in zip(script.steps(), range(6_000), strict=False)]
    exchange, trades, crossed = play(iter(steps))
    frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    low, high = (frame.low.min(), frame.high.max()) if "low" in frame else (frame.bid.min(), frame.ask.max())
    assert trades
    assert crossed == 0
    assert all(low * 0.999 <= trade.price / 1e8 <= high * 1.001 for trade in trades)
    assert exchange.books[S].best(Side.BUY)


@pytest.mark.parametrize(
    ("frame", "complaint"),
    [
        ({"timestamp": ["2024-01-01"], "close": [1.0]}, "a market needs one of"),
        ({"price": [1.0], "quantity": [1.0]}, "no time column"),
        ({"ts": ["2024-01-02", "2024-01-01"], "price": [1.0, 1.0], "quantity": [1.0, 1.0]}, "does not run forwards"),
        ({"ts": ["2024-01-01"], "price": [float("nan")], "quantity": [1.0]}, "missing or non-positive"),
        ({"ts": ["yesterday-ish"], "price": [1.0], "quantity": [1.0]}, "are no time"),
    ],
)
def test_unusable_tables_are_named(frame: dict[str, list[object]], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        FrameScript(pd.DataFrame(frame), choose_instruments([S])[0], 1)


def test_missing_and_unknown_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"nowhere\.gz does not exist"):
        Sandbox(tmp_path / "nowhere.gz")
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(ValueError, match="give a Binance stream recording"):
        Sandbox(tmp_path / "notes.txt")
