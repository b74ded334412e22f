"""The same strategies on quotes, trades and the bars built from them, with recorded Binance files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from autotrader_lab.research import load, replay

from .frames import SHARED, needs_shared
from .strategies import SmaCross, TickWatcher, Watcher
from .test_replay import QUIET

TRADES = SHARED / "market" / "binance_btcusdt-trades.parquet"
QUOTES = SHARED / "market" / "binance_btcusdt-quotes.parquet"
PLAN = {40: ("LONG", 0.001), 80: ("SHORT", 0.002), 120: ("CLOSE", 0.0)}

pytestmark = needs_shared


@pytest.mark.parametrize("latency_ms", [0, 750])
def test_orders_meet_the_quote_that_prevails_when_they_arrive(latency_ms: int) -> None:
    frame = pd.read_parquet(QUOTES)
    result = replay(TickWatcher(PLAN), frame, latency_ms=latency_ms, slippage_bps=0, **QUIET)
    times = load(frame).timestamps_ns
    for (row, _), (when, fill) in zip(PLAN.items(), result.fills.iterrows(), strict=True):
        arrival = times[row] + latency_ms * 1_000_000
        prevailing = int(np.searchsorted(times, arrival, side="right")) - 1
        quote = frame.iloc[prevailing]
        assert fill["price"] == (quote["ask"] if fill["side"] == "buy" else quote["bid"])
        assert pd.Timestamp(when).value == arrival
    assert result.fills["quantity"].tolist() == [0.001, 0.003, 0.002]
    assert result.positions["quantity"].tolist() == [0.0]


def test_orders_meet_the_last_trade() -> None:
    frame = pd.read_parquet(TRADES)
    result = replay(TickWatcher(PLAN), frame, symbol="BTC/USDT", slippage_bps=0, **QUIET)
    assert result.fills["price"].tolist() == [frame["price"].iloc[row] for row in PLAN]
    assert result.equity["equity"].iloc[-1] == pytest.approx(result.strategy.equities[-1], abs=1e-9)


def test_bars_built_from_trades_are_those_pandas_makes() -> None:
    frame = pd.read_parquet(TRADES)
    result = replay(Watcher(), frame, symbol="BTC/USDT", bar_interval="5s", **QUIET)
    grouped = frame.set_index("timestamp").resample("5s", label="right", closed="left")
    expected = grouped["price"].ohlc().join(grouped["quantity"].sum()).iloc[:-1]
    bars = result.strategy.events
    assert [bar.timestamp_ns for bar in bars] == expected.index.as_unit("ns").asi8.tolist()
    for bar, row in zip(bars, expected.itertuples(index=False), strict=True):
        assert (bar.open, bar.high, bar.low, bar.close) == tuple(row[:4])
        assert bar.volume == pytest.approx(row[4])


def test_one_strategy_decides_alike_on_bars_and_on_the_ticks_they_come_from() -> None:
    frame = pd.read_parquet(TRADES).rename(columns={"quantity": "size"})
    ticks = replay(SmaCross(2, 5, 0.001), frame, symbol="BTC/USDT", bar_interval="1s", **QUIET)
    bars = replay(Watcher(), frame, symbol="BTC/USDT", bar_interval="1s", **QUIET).strategy.events
    columns: dict[str, Any] = {name: [getattr(bar, name) for bar in bars] for name in ("open", "high", "low", "close")}
    index = pd.DatetimeIndex([bar.timestamp_ns for bar in bars], tz="UTC")
    built = replay(SmaCross(2, 5, 0.001), pd.DataFrame(columns, index=index), symbol="BTC/USDT", **QUIET)
    said = [(result.decisions.index.tolist(), result.decisions["action"].tolist()) for result in (ticks, built)]
    assert len(said[0][0]) > 3
    assert said[0] == said[1]
    # On ticks the order meets the market at once, at the last trade before the bar was over: the bar's close.
    closes = dict(zip(index, columns["close"], strict=True))
    for when, price in ticks.fills["price"].items():
        assert abs(price / closes[when] - 1) < 6e-4


def test_quotes_make_bars_of_their_mid() -> None:
    frame = pd.read_parquet(QUOTES)
    result = replay(Watcher({3: ("LONG", 0.001)}), frame, bar_interval="5s", **QUIET)
    bars = result.strategy.events
    mid = (frame["bid"] + frame["ask"]) / 2
    assert bars[0].open == mid.iloc[0]
    assert max(bar.high for bar in bars) <= mid.max()
    assert len(result.fills) == 1
    assert result.fills.index[0] == pd.Timestamp(bars[3].timestamp_ns, tz="UTC")


def test_figures_of_ticks_are_taken_from_even_seconds() -> None:
    result = replay(TickWatcher(PLAN), pd.read_parquet(TRADES), symbol="BTC/USDT", **QUIET)
    assert result.stats["return_period"] == pd.Timedelta(seconds=1)
    assert result.stats["periods_per_year"] == pytest.approx(365.25 * 86_400)
    assert np.isnan(result.stats["cagr"])
