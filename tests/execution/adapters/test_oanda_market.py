"""Oanda's account, quotes and candles, over real sockets and through oandapyV20."""

from __future__ import annotations

import threading

import pytest
from oanda_kit import (
    SYMBOL,
    connected,
    make,
    move,
    oanda_sandbox,
    order,
    until,
    venue_of,
)

from autotrader_lab.execution.adapters.oanda import OandaAdapter
from autotrader_lab.model.errors import (
    DataError,
    InstrumentError,
    NotConnected,
)
from autotrader_lab.model.market import MarketEvent, Quote

ACCOUNT = "101-004-1234567-001"


# --- account and market ----------------------------------------------------------------------------------------


async def test_the_account_as_it_stands() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        await adapter.submit_order(order("in", quantity=100_000))
        await adapter.submit_order(order("out", "sell", quantity=40_000))
        state = await adapter.get_account()
        fills = await adapter.get_fills(SYMBOL, 0)
        assert [fill.client_order_id for fill in fills] == ["in", "out"]
        assert float(state.realised) == pytest.approx(sum(fill.metadata.get("realised", 0.0) for fill in fills))
        assert state.nav == state.balance + state.unrealised
        assert state.margin_used > 0
        assert await adapter.get_account_balance() == {"USD": float(state.balance)}
        assert adapter.margin_rates[SYMBOL] == 0.02
        assert abs(adapter.clock_offset_ms or 0.0) < 1_000


async def test_the_clock_is_called_wrong_only_where_the_venues_date_proves_it() -> None:
    late = {"Date": "Sun, 22 Nov 2026 12:00:00 GMT"}
    adapter = OandaAdapter(ACCOUNT, "t")
    noon_ns = 1_795_348_800_000_000_000
    for ours_s, offset_ms in ((0.0, 0.0), (0.9, 0.0), (1.5, -500.0), (-2.0, 1_900.0), (30.0, -29_000.0)):
        sent_ns = noon_ns + round(ours_s * 1e9)
        adapter._note_clock(late, sent_ns, sent_ns + 100_000_000)
        assert adapter.clock_offset_ms == offset_ms
    adapter._note_clock({"date": "yesterday"}, 0, 0)
    assert adapter.clock_offset_ms == -29_000.0


async def test_bars_of_the_past() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        bars = await adapter.get_bars("EUR_USD", "M1", 20)
        assert bars
        assert {bar.symbol for bar in bars} == {SYMBOL}
        assert all(bar.low <= min(bar.open, bar.close) <= max(bar.open, bar.close) <= bar.high for bar in bars)
        with pytest.raises(DataError, match="count 0"):
            await adapter.get_bars(SYMBOL, "M1", 0)
        with pytest.raises(DataError, match="granularity 'M99999'"):
            await adapter.get_bars(SYMBOL, "M99999")


async def test_quotes_begin_with_a_snapshot_and_leave_out_what_cannot_be_traded_on() -> None:
    async with oanda_sandbox() as box:
        adapter = make(box)
        feed = adapter.feed()
        heard: list[MarketEvent] = []
        feed.subscribe(heard.append)
        await feed.open([SYMBOL], ["quotes"])
        await until(lambda: heard)
        assert isinstance(heard[0], Quote)
        assert adapter.tradeable == {SYMBOL: True}
        await feed.open(["USD_JPY"], ["quotes"])
        await until(lambda: {event.symbol for event in heard} == {SYMBOL, "USD/JPY"})
        venue_of(box).command("market", {"symbol": "EUR_USD", "open": False})
        before = [event for event in heard if event.symbol == SYMBOL]
        move(box, 1.2)
        await until(lambda: not adapter.tradeable[SYMBOL])
        assert [event for event in heard if event.symbol == SYMBOL] == before
        await feed.close()
        await feed.close()
        with pytest.raises(NotConnected):
            await adapter.submit_order(order("m"))


async def test_quotes_come_again_after_a_cut_and_old_ones_are_dropped() -> None:
    async with oanda_sandbox() as box:
        feed = make(box).feed()
        heard: list[MarketEvent] = []
        states: list[str] = []
        feed.subscribe(heard.append)
        feed.subscribe_connection(lambda state, reason: states.append(state))
        await feed.open([SYMBOL])
        await until(lambda: heard)
        venue_of(box).drop()
        await until(lambda: states == ["lost", "restored"])
        count = len(heard)
        move(box, 1.2)
        await until(lambda: len(heard) > count)
        newest = heard[-1].timestamp_ns
        price = {"type": "PRICE", "instrument": "EUR_USD", "tradeable": True, "time": "2020-01-01T00:00:00Z"}
        feed._on_message({**price, "bids": [{"price": "1.1"}], "asks": [{"price": "1.2"}]})
        feed._on_message({**price, "time": "never"})
        feed._on_message({"type": "WEATHER"})
        assert heard[-1].timestamp_ns == newest
        await feed.close()


async def test_a_symbol_or_kind_that_is_not_there_streams_nothing() -> None:
    async with oanda_sandbox() as box:
        feed = make(box).feed()
        with pytest.raises(DataError, match="asked for book"):
            await feed.open([SYMBOL], ["book"])
        with pytest.raises(InstrumentError, match="'BTC/USDT'"):
            await feed.open(["BTC/USDT"], ["quotes"])
        with pytest.raises(DataError, match="no symbol"):
            await feed.open([], ["quotes"])
        await feed.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("oanda")]
