"""Bars from trades and quotes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from shared_data import shared

from autotrader_lab.execution.market_data.bars import BarBuilder
from autotrader_lab.execution.market_data.recorded import binance_raw
from autotrader_lab.model import Bar, Quote, Trade

S = 1_000_000_000


def trade(second: float, price: float, size: float = 1.0) -> Trade:
    return Trade("X/Y", round(second * S), price, size)


def test_a_bar_covers_its_interval_and_carries_its_end():
    builder = BarBuilder("X/Y", 60)
    assert builder.on_trade(trade(61, 10)) == []
    assert builder.on_trade(trade(70, 12, 2)) == []
    assert builder.on_trade(trade(119.9, 9)) == []
    assert builder.on_trade(trade(120, 11)) == [Bar("X/Y", 120 * S, 10, 12, 9, 9, 4)]
    assert builder.flush(179 * S) == []
    assert builder.flush(180 * S) == [Bar("X/Y", 180 * S, 11, 11, 11, 11, 1)]
    assert builder.flush(500 * S) == []


def test_an_interval_without_events_gives_no_bar():
    builder = BarBuilder("X/Y", 1)
    builder.on_trade(trade(0.5, 10))
    assert [bar.timestamp_ns for bar in builder.on_trade(trade(7.5, 11))] == [1 * S]
    assert [bar.timestamp_ns for bar in builder.flush(8 * S)] == [8 * S]


def test_quotes_give_mids_without_volume():
    builder = BarBuilder("X/Y", 1)
    builder.on_quote(Quote("X/Y", 0, 1.0, 2.0))
    builder.on_quote(Quote("X/Y", 1, 2.0, 3.0))
    assert builder.flush(S) == [Bar("X/Y", S, 1.5, 2.5, 1.5, 2.5, 0.0)]


@pytest.mark.parametrize("interval_s", [0, -1, float("nan")])
def test_an_interval_that_is_none_is_refused(interval_s):
    with pytest.raises(ValueError, match="interval"):
        BarBuilder("X/Y", interval_s)


@given(st.lists(st.tuples(st.integers(0, 10**11), st.integers(1, 100), st.integers(1, 9)), min_size=1, max_size=60))
def test_bars_lose_no_volume_and_hold_every_price(rows):
    builder = BarBuilder("X/Y", 7)
    bars, prices = [], {}
    for time_ns, price, size in sorted(rows):
        bars += builder.on_trade(Trade("X/Y", time_ns, price, size))
        prices.setdefault((time_ns // (7 * S) + 1) * 7 * S, []).append(price)
    bars += builder.flush(10**12)
    assert {bar.timestamp_ns: (bar.open, bar.high, bar.low, bar.close) for bar in bars} == {
        end: (seen[0], max(seen), min(seen), seen[-1]) for end, seen in prices.items()
    }
    assert sum(bar.volume for bar in bars) == sum(size for _, _, size in rows)


def test_bars_of_recorded_trades_sum_to_the_recording():
    builder = BarBuilder("BTC/USDT", 60)
    bars = []
    for event in binance_raw(shared("market/binance_spot_btcusdt_20240808_raw.gz"), kinds=("trades",)):
        bars += builder.on_trade(event)
    bars += builder.flush(10**19)
    assert sum(bar.volume for bar in bars) == pytest.approx(212.03315, abs=1e-9)
    assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
    ends = [bar.timestamp_ns for bar in bars]
    assert all(end % (60 * S) == 0 for end in ends)
    assert len(ends) == len(set(ends)) == 6
