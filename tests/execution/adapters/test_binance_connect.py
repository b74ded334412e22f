"""Getting connected or being told why not, and keeping secrets."""

from __future__ import annotations

import asyncio
import logging
import traceback

import pytest
from binance_kit import BTC, desk, our_tasks
from pydantic import SecretStr

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    AutoTraderError,
    ConfigError,
    InstrumentError,
    RateLimited,
    VenueUnavailable,
)
from autotrader_lab.sandbox.venues.binance.calls import Answer
from autotrader_lab.sandbox.venues.binance.hooks import Hooks

LOCAL = {"rest": "http://127.0.0.1:9", "ws": "ws://127.0.0.1:9"}


async def test_the_specifications_way_to_make_one_works() -> None:
    adapter = BinanceAdapter(api_key="key", api_secret="secret", testnet=True)
    assert isinstance(adapter, BaseBrokerAdapter)
    assert (adapter.testnet, adapter.orders, adapter.fill_callbacks) == (True, {}, [])


@pytest.mark.parametrize("live", [False, True], ids=["testnet", "live"])
async def test_it_connects_once_tells_and_knows_the_grid(live: bool) -> None:
    async with desk(live=live) as held:
        assert await held.adapter.connect()
        assert held.states == ["connected"]
        instrument = (await held.adapter.load_instruments(["BTCUSDT"])).find("BTCUSDT")
        assert (instrument.symbol, instrument.venue_symbol) == (BTC, "BTCUSDT")
        assert (str(instrument.tick_size), str(instrument.lot_size)) == ("0.01", "0.00001")
        assert not instrument.can_short
        with pytest.raises(InstrumentError, match="did you mean"):
            await held.adapter.load_instruments(["BTC/USDX"])
        assert abs(held.adapter.clock_offset_ms) < 5_000


async def test_the_clock_is_measured_against_ours_and_requests_are_stamped_right() -> None:
    class Fast(SystemClock):
        def now_ns(self) -> int:
            return super().now_ns() + 3_600 * 10**9

    async with desk(clock=Fast()) as held:
        assert held.adapter.clock_offset_ms == pytest.approx(-3_600_000, abs=5_000)
        order = await held.adapter.submit_order(held.order(price=held.near(0.9)))
        assert order.is_open


async def test_the_clock_is_measured_again_on_a_timer() -> None:
    async with desk(clock_sync_s=0.01) as held:
        held.adapter.clock_offset_ms = None
        for _ in range(500):
            if held.adapter.clock_offset_ms is not None:
                break
            await asyncio.sleep(0.01)
        assert held.adapter.clock_offset_ms is not None


@pytest.mark.parametrize("live", [False, True], ids=["testnet", "live"])
async def test_the_other_worlds_key_is_refused_and_the_message_says_which(live: bool) -> None:
    async with desk(live=live, connect=False) as held:
        binance = held.box.addresses["binance"]
        wrong = binance if live else binance["live"]
        adapter = BinanceAdapter(wrong["api_key"], wrong["api_secret"], testnet=not live, addresses=binance)
        before = asyncio.all_tasks()
        with pytest.raises(AuthenticationFailed) as refused:
            await adapter.connect()
        here, there = ("live", "testnet") if live else ("testnet", "live")
        assert f"in its {here} world" in str(refused.value)
        assert f"A key of the {there} world is refused this way" in str(refused.value)
        assert wrong["api_key"] not in str(refused.value)
        assert [name for name in our_tasks(before) if name.startswith("binance")] == []


async def test_a_wrong_secret_is_refused_at_once() -> None:
    async with desk(connect=False, api_secret="wrong") as held:
        with pytest.raises(AuthenticationFailed, match="testnet"):
            await held.adapter.connect()


async def test_a_venue_that_is_not_there_says_so_and_leaves_nothing_open() -> None:
    adapter = BinanceAdapter("k", "s", testnet=True, addresses=LOCAL, timeout_s=1)
    before = asyncio.all_tasks()
    with pytest.raises(VenueUnavailable, match="binance testnet: what is listed"):
        await adapter.connect()
    assert our_tasks(before) == []
    await adapter.disconnect()


async def test_a_venue_that_asks_to_wait_tells_how_long() -> None:
    class Busy(Hooks):
        async def before(self, request) -> Answer | None:
            if request.operation == "GET /api/v3/account":
                return Answer(429, {"code": -1003, "msg": "Too many requests queued."}, {"Retry-After": "17"})
            return None

    async with desk(connect=False, sandbox={"hooks": Busy()}) as held:
        with pytest.raises(RateLimited) as refused:
            await held.adapter.connect()
        assert refused.value.retry_after_s == 17


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"api_key": ""}, "api_key is empty; give the key of the testnet world"),
        ({"api_secret": " "}, "api_secret is empty"),
        ({"addresses": {"rest": "http://api.binance.com", "ws": "ws://127.0.0.1:1"}}, "not on this machine"),
        ({"addresses": {"rest": "http://127.0.0.1.evil.org", "ws": "ws://127.0.0.1:1"}}, "not on this machine"),
        ({"addresses": {"rest": "127.0.0.1:80", "ws": "ws://127.0.0.1:1"}}, "is no origin"),
        ({"addresses": {"rest": "http://127.0.0.1:1"}}, r"addresses\['ws'\] ''"),
        ({"addresses": LOCAL, "testnet": False}, r"addresses\['live'\] is missing"),
        ({"timeout_s": 0}, "timeout_s 0 must be positive"),
    ],
)
def test_bad_parameters_are_refused_before_any_io(options: dict, words: str) -> None:
    given = {"api_key": "key", "api_secret": "secret", "testnet": True, **options}
    with pytest.raises(ConfigError, match=words):
        BinanceAdapter(**given)


async def test_real_addresses_are_the_default_and_local_ones_replace_all_of_them() -> None:
    for testnet, host in ((True, "testnet.binance.vision"), (False, "api.binance.com")):
        exchange = BinanceAdapter("k", "s", testnet=testnet)._make_exchange(None)
        assert exchange.urls["api"]["private"] == f"https://{host}/api/v3"
    for testnet in (True, False):
        adapter = BinanceAdapter("k", "s", testnet=testnet, addresses={**LOCAL, "live": LOCAL})
        urls = adapter._make_exchange(adapter._local).urls["api"]
        assert "binance" not in str(urls)


async def test_no_secret_shows_in_repr_log_or_error(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    told = []
    async with desk(timeout_s=1) as held:
        entry = held.box.addresses["binance"]
        told.append(repr(held.adapter))
        await held.adapter.submit_order(held.order(price=held.near(0.9)))
        await held.box.stop()
        for call in (
            held.adapter.get_account_balance(),
            held.adapter.submit_order(held.order(price=55_000.0)),
            held.adapter.get_order_status("1"),
        ):
            try:
                await call
            except AutoTraderError as error:
                told += traceback.format_exception(error)
    assert len(told) > 3
    text = "\n".join([*told, caplog.text])
    assert entry["api_secret"] not in text
    assert entry["api_key"] not in text
    assert "signature=" not in text.replace("signature=***", "")


async def test_secrets_may_come_wrapped() -> None:
    async with desk(connect=False) as held:
        entry = held.box.addresses["binance"]
        adapter = BinanceAdapter(
            SecretStr(entry["api_key"]), SecretStr(entry["api_secret"]), testnet=True, addresses=entry
        )
        assert await adapter.connect()
        await adapter.disconnect()
