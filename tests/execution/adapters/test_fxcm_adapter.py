"""The FXCM adapter on the sandbox over real sockets: what the shared suite cannot know about this venue."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC

import pytest
from fxcm_kit import SYMBOL, connected, fxcm_sandbox, kinds, listen, order, site_of, touch, trade_at, until

from autotrader_lab.execution import ExecutionEngine, KillSwitch
from autotrader_lab.execution.adapters.fxcm import FXCMAdapter
from autotrader_lab.execution.adapters.fxcm.decode import VENUE
from autotrader_lab.journal import MemoryJournal
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    ConfigError,
    DataError,
    InstrumentError,
    NotConnected,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    VenueUnavailable,
)
from autotrader_lab.model.market import MarketEvent, Quote
from autotrader_lab.model.orders import Filled, Order, OrderSide, OrderStatus, OrderType
from autotrader_lab.sandbox.control import push_price
from autotrader_lab.sandbox.fault_plan import read_rule
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.sites import Plan
from autotrader_lab.sandbox.venues.fxcm.site import FxcmSite
from autotrader_lab.strategy.contract import Context, Strategy

SOUND = {
    "user": "u",
    "password": "secret-word",
    "account": "1",
    "host": "127.0.0.1",
    "port": 1,
    "sender_comp_id": "me",
}


@pytest.mark.parametrize("missing", ["user", "password", "account", "host", "sender_comp_id"])
def test_what_is_missing_is_named_before_any_io(missing: str) -> None:
    with pytest.raises(ConfigError, match=f"fxcm: {missing} is empty"):
        FXCMAdapter(**{**SOUND, missing: ""})


@pytest.mark.parametrize(
    ("more", "wrong"),
    [
        ({"port": 0}, "port 0 must be 1 to 65535"),
        ({"environment": "paper"}, "environment 'paper' is none of demo, live"),
        ({"environment": "live"}, "target_sub_id is empty"),
        ({"timeout_s": 0}, "timeout_s 0 and heartbeat_s 30 must be positive"),
        ({"target_sub_id": "MINIREAL"}, "environment is 'demo' and the trade server 'MINIREAL' is a live one"),
        ({"target_comp_id": "FXCM/EUREAL"}, "'EUREAL' is a live one"),
        ({"environment": "live", "target_sub_id": "U100D1"}, "'U100D1' is a demo one"),
    ],
)
def test_what_cannot_be_is_refused_before_any_io(more: dict[str, object], wrong: str) -> None:
    with pytest.raises(ConfigError, match=wrong):
        FXCMAdapter(**{**SOUND, **more})


def test_no_secret_is_shown() -> None:
    assert "secret-word" not in repr(FXCMAdapter(**SOUND))


@pytest.mark.parametrize("block", [{}, {"address": "10.0.0.1:5", **dict.fromkeys(("sender", "target"), "x")}])
def test_a_sandbox_is_on_this_machine(block: dict[str, str]) -> None:
    with pytest.raises(ConfigError):
        FXCMAdapter.on_sandbox({**block, **dict.fromkeys(("target_sub", "user", "password", "account"), "U100D1")})


async def test_before_connect_every_call_says_so() -> None:
    adapter = FXCMAdapter(**SOUND)
    for call in (adapter.get_positions(), adapter.submit_order(order("x")), adapter.cancel_order("x")):
        with pytest.raises(NotConnected, match="connect"):
            await call


async def test_wrong_passwords_and_the_other_worlds_login_are_refused() -> None:
    async with fxcm_sandbox() as box:
        at = box.addresses["fxcm"]
        for wrong in ({"password": "x"}, {"user": at["live"]["user"], "password": at["live"]["password"]}):
            adapter = FXCMAdapter.on_sandbox({**at, **wrong})
            with pytest.raises(AuthenticationFailed, match="Incorrect user name or password") as refused:
                await adapter.connect()
            assert at["password"] not in str(refused.value)
        other = FXCMAdapter.on_sandbox({**at, "account": "42"})
        with pytest.raises(AuthenticationFailed, match=f"no account '42'; it has {at['account']}"):
            await other.connect()
        unknown = FXCMAdapter.on_sandbox({**at, "sender": "nobody"})
        with pytest.raises(AuthenticationFailed, match="Unknown session nobody->FXCM/U100D1"):
            await unknown.connect()


async def test_user_and_password_may_come_after_the_logon() -> None:
    async with fxcm_sandbox() as box:
        async with connected(box, user_request=True) as adapter:
            assert (await adapter.get_account_balance()) == {"USD": 100_000.0}
        at = {**box.addresses["fxcm"], "password": "x"}
        with pytest.raises(AuthenticationFailed, match="Incorrect user name or password"):
            await FXCMAdapter.on_sandbox(at, user_request=True).connect()


async def test_a_sender_is_logged_on_once() -> None:
    async with fxcm_sandbox() as box, connected(box):
        second = FXCMAdapter.on_sandbox(box.addresses["fxcm"])
        with pytest.raises(VenueUnavailable, match="already logged on"):
            await second.connect()


async def test_demo_and_live_are_apart() -> None:
    async with fxcm_sandbox() as box, connected(box) as demo, connected(box, "live") as live:
        await demo.submit_order(order("here"))
        await until(lambda: demo.orders["here"].status is OrderStatus.FILLED)
        assert (await demo.get_positions(), await live.get_positions()) == ({SYMBOL: 5000.0}, {})
        assert await live.find_order("here", SYMBOL) is None
        assert "live" in repr(live)


async def test_tls_is_spoken_where_it_is_asked_for() -> None:
    async with fxcm_sandbox(tls=True) as box:
        import ssl

        context = ssl.create_default_context(cadata=box.addresses["tls"]["certificate"])
        async with connected(box, tls=context) as adapter:
            assert len(adapter.instruments) == 7


async def test_one_execution_reported_three_times_is_one_fill() -> None:
    async with fxcm_sandbox() as box, connected(box) as adapter:
        reports = listen(adapter)
        bid, _ = touch(box)
        price = round(bid - 0.001, 5)
        await adapter.submit_order(order("parts", kind="limit", quantity=10000, price=price))
        trade_at(box, price, 4000, Side.SELL)
        await until(lambda: kinds(reports, "parts") == ["Accepted", "Filled"])
        assert adapter.orders["parts"].status is OrderStatus.PARTIAL_FILL
        trade_at(box, price, 6000, Side.SELL)
        await until(lambda: adapter.orders["parts"].status is OrderStatus.FILLED)
        await asyncio.sleep(0.05)
        fills = [report.fill for report in reports if isinstance(report, Filled)]
        assert [(fill.quantity, fill.price) for fill in fills] == [(4000.0, price), (6000.0, price)]
        assert [fill.execution_id.split("-")[1] for fill in fills] == ["4000", "10000"]
        assert fills[0].metadata["position_id"]
        assert fills[0].timestamp.tzinfo is UTC


async def test_the_account_moves_with_what_is_earned_and_margin_with_what_is_held() -> None:
    async with fxcm_sandbox() as box, connected(box) as adapter:
        world = site_of(box).worlds["testnet"]
        push_price(world, "EURUSD", 110_000_000)
        await adapter.submit_order(order("in", quantity=100_000))
        push_price(world, "EURUSD", 110_500_000)
        await adapter.submit_order(order("half", "sell", quantity=50_000))
        await until(lambda: adapter.orders["half"].status is OrderStatus.FILLED)
        # 50,000 at 1.10001 and out at 1.10499.
        assert await adapter.get_account_balance() == {"USD": pytest.approx(100_249.0)}
        assert adapter.state is not None
        assert float(adapter.state.used_margin) == pytest.approx(50_000 * 1.105 * 0.0333, rel=0.01)
        (ticket,) = await adapter.get_open_tickets()
        assert (ticket.quantity, float(ticket.open_price)) == (50_000, 1.10001)


async def test_a_refusal_is_in_the_venues_words_with_its_code() -> None:
    async with fxcm_sandbox() as box, connected(box) as adapter:
        bid, ask = touch(box)
        worse = await adapter.submit_order(order("worse", kind="limit", price=round(ask + 0.001, 5)))
        assert (worse.status, worse.reason[-33:]) == (OrderStatus.REJECTED, "Limit price did not pass validation"[-33:])
        near = await adapter.submit_order(order("near", kind="stop", stop_price=round(bid, 5)))
        assert "ORA-20105" in near.reason
        broke = await adapter.submit_order(order("broke", quantity=50_000_000))
        assert "ORA-20113: Insufficient margin" in broke.reason
        missed = await adapter.submit_order(order("missed", kind="ioc", price=round(bid - 0.001, 5)))
        assert missed.status is OrderStatus.EXPIRED


async def test_a_change_is_made_or_refused_and_known_by_our_id() -> None:
    async with fxcm_sandbox() as box, connected(box) as adapter:
        _, ask = touch(box)
        low = round(ask - 0.01, 5)
        await adapter.submit_order(order("o", kind="limit", quantity=8000, price=low))
        changed = await adapter.modify_order("o", quantity=6000, price=round(low - 0.001, 5))
        assert (changed.quantity, changed.price) == (6000, round(low - 0.001, 5))
        assert (await adapter.get_order_status("o")).client_order_id == "o"
        assert [each.client_order_id for each in await adapter.get_open_orders(SYMBOL)] == ["o"]
        with pytest.raises(OrderRefused, match="ORA-20112") as refused:
            await adapter.modify_order("o", price=round(ask + 0.01, 5))
        assert refused.value.code == "ORA-20112"
        assert (await adapter.get_order_status("o")).quantity == 6000
        stop = await adapter.submit_order(order("s", kind="stop", stop_price=round(ask + 0.01, 5)))
        assert not adapter.can_amend(stop, price=1.2)
        with pytest.raises(OrderError, match="no limit price"):
            await adapter.modify_order("s", price=1.2)
        with pytest.raises(InstrumentError, match="off the grid of 1000"):
            await adapter.modify_order("s", quantity=1500)
        assert (await adapter.modify_order("s", quantity=3000)).quantity == 3000
        with pytest.raises(OrderNotFound):
            await adapter.modify_order("nobody", quantity=1000)
        assert await adapter.cancel_all() == 2


async def test_a_replaced_order_that_fills_is_still_ours() -> None:
    async with fxcm_sandbox() as box, connected(box) as adapter:
        bid, _ = touch(box)
        await adapter.submit_order(order("o", kind="limit", quantity=5000, price=round(bid - 0.01, 5)))
        price = round(bid - 0.002, 5)
        await adapter.modify_order("o", price=price)
        trade_at(box, price, 5000, Side.SELL)
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        fills = await adapter.get_fills(SYMBOL, 0)
        assert [(fill.client_order_id, fill.quantity, fill.price) for fill in fills] == [("o", 5000, price)]


async def test_quotes_stream_over_the_same_session_and_come_back_with_it() -> None:
    async with fxcm_sandbox(speed=10) as box:
        adapter = FXCMAdapter.on_sandbox(box.addresses["fxcm"])
        feed = adapter.feed()
        heard: list[MarketEvent] = []
        feed.subscribe(heard.append)
        await feed.open([SYMBOL, "USD/JPY"])
        await until(lambda: {event.symbol for event in heard} == {SYMBOL, "USD/JPY"})
        quote = heard[-1]
        assert isinstance(quote, Quote)
        assert quote.bid < quote.ask
        site_of(box).venues["testnet"].drop()
        await until(lambda: adapter._link.connections == 2)
        seen = len(heard)
        await until(lambda: len(heard) > seen + 3)
        with pytest.raises(NotConnected):
            await adapter.get_positions()
        with pytest.raises(InstrumentError, match="no symbol 'EUR/XXX'"):
            await feed.open(["EUR/XXX"])
        with pytest.raises(DataError, match="FXCM streams quotes and nothing else"):
            await adapter.feed().open([SYMBOL], ("book",))
        await feed.close()
        await feed.close()
        assert not adapter._link.is_up
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(VENUE)]


async def test_an_indicative_price_is_no_quote() -> None:
    async with fxcm_sandbox() as box, connected(box) as adapter:
        feed = adapter.feed()
        heard: list[MarketEvent] = []
        feed.subscribe(heard.append)
        await feed.open([SYMBOL])
        await until(lambda: len(heard) == 1)
        tags = f"35=W|55={SYMBOL}|268=2|269=0|270=1|272=20240101|273=10:00:00.000|276=B|537=0|269=1|270=2|276=B|537=0"
        (line,) = site_of(box).venues["testnet"]._connections
        line.put(tags.replace("|", "\x01"))
        await until(lambda: adapter.tradeable[SYMBOL] is False)
        assert len(heard) == 1
        await feed.close()


async def test_a_lost_answer_is_doubt_and_found_by_our_id() -> None:
    async with fxcm_sandbox() as box, connected(box, timeout_s=0.5) as adapter:
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        reports = listen(adapter)
        box.faults.once(read_rule({"do": "drop_after", "where": {"kind": "submit"}}))
        with pytest.raises(OutcomeUnknown, match="order gone was sent"):
            await adapter.submit_order(order("gone"))
        assert adapter.orders["gone"].status is OrderStatus.UNKNOWN
        await until(lambda: states == ["lost", "restored"])
        assert adapter.orders["gone"].status is OrderStatus.FILLED
        assert kinds(reports, "gone") == ["Accepted", "Filled"]
        assert (await adapter.get_positions()) == {SYMBOL: 5000.0}


async def test_an_order_that_only_its_positions_remember_is_found() -> None:
    """FXCM forgets finished orders; the position still names the order that made it."""
    async with fxcm_sandbox() as box, connected(box) as adapter:
        desk = site_of(box).venues["testnet"].desk
        await adapter.submit_order(order("b", quantity=8000))
        await adapter.submit_order(order("s", "sell", quantity=3000))
        await until(lambda: adapter.orders["s"].status is OrderStatus.FILLED)
        desk._by_client.clear()
        desk._by_order.clear()
        later = FXCMAdapter.on_sandbox(box.addresses["fxcm"])
        await adapter.disconnect()
        later.adopt(Order("", SYMBOL, OrderSide.BUY, OrderType.MARKET, 8000, client_order_id="b", status=_UNKNOWN))
        reports = listen(later)
        await later.connect()
        try:
            assert kinds(reports, "b") == ["Accepted", "Filled"]
            assert later.orders["b"].status is OrderStatus.FILLED
            found = await later.find_order("s", SYMBOL)
            assert found is not None
            assert (found.side, found.filled_quantity, found.status) == (OrderSide.SELL, 3000, OrderStatus.FILLED)
            assert await later.find_order("never", SYMBOL) is None
        finally:
            await later.disconnect()


_UNKNOWN = OrderStatus.UNKNOWN


async def test_a_hedging_accounts_exit_closes_its_position() -> None:
    async with fxcm_sandbox() as box:
        site = FxcmSite(Plan([], None, box.clock, 5), hedging=True)
        venue = site.venues["testnet"]
        port = await venue.door.open(0, None)
        size = 1_000_000 * 10**8
        venue.world.exchange.market_picture(
            "EURUSD", [(109_999_000, size)], [(110_001_000, size)], venue.world.now_ms()
        )
        who = venue.customer
        adapter = FXCMAdapter(
            who.user,
            who.password,
            who.account,
            host="127.0.0.1",
            port=port,
            sender_comp_id=who.sender,
            target_sub_id=who.session_id,
        )
        await adapter.connect()
        try:
            await adapter.submit_order(order("long", quantity=8000))
            await adapter.submit_order(order("short", "sell", quantity=3000))
            await until(lambda: adapter.orders["short"].status is OrderStatus.FILLED)
            assert len(await adapter.get_open_tickets()) == 2
            await adapter.submit_order(order("exit", "sell", quantity=5000, reduce_only=True))
            await until(lambda: adapter.orders["exit"].status is OrderStatus.FILLED)
            sizes = sorted(float(ticket.quantity) for ticket in await adapter.get_open_tickets())
            assert sizes == [-3000, 3000]
            assert await adapter.get_positions() == {SYMBOL: 0.0}
        finally:
            await adapter.disconnect()
            await venue.door.close()


async def test_nothing_survives_disconnect_and_nothing_secret_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with fxcm_sandbox() as box:
        async with connected(box) as adapter:
            site_of(box).venues["testnet"].drop()
            await until(lambda: adapter._link.connections == 2)
        assert not [task for task in asyncio.all_tasks() if task.get_name().startswith(VENUE)]
        assert box.addresses["fxcm"]["password"] not in caplog.text


class Silent(Strategy):
    """Watches the quotes; the orders here are the test's own."""

    def __init__(self) -> None:
        self.seen = 0

    def on_quote(self, quote: Quote, context: Context) -> None:
        self.seen += 1


async def test_an_engine_trades_reconciles_and_is_killed_through_it() -> None:
    async with fxcm_sandbox(speed=5) as box:
        adapter = FXCMAdapter.on_sandbox(box.addresses["fxcm"])
        strategy = Silent()
        engine = ExecutionEngine(strategy, adapter, symbols=(SYMBOL,), journal=MemoryJournal(), stage="testnet")
        await engine.start()
        try:
            await until(lambda: strategy.seen)
            bought = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 8000, OrderType.MARKET)
            await until(lambda: bought.status is OrderStatus.FILLED)
            sold = await engine.oms.submit_order(SYMBOL, OrderSide.SELL, 3000, OrderType.MARKET)
            await until(lambda: sold.status is OrderStatus.FILLED)
            assert engine.oms.get_position(SYMBOL) == 5000
            bid, _ = touch(box)
            for step in range(5):
                price = round(bid - 0.001 * (step + 5), 5)
                rests = await engine.oms.submit_order(SYMBOL, OrderSide.BUY, 1000, OrderType.LIMIT, price)
                assert rests.status is OrderStatus.SUBMITTED, rests.reason
            site_of(box).venues["testnet"].drop()
            await until(lambda: adapter._link.connections == 2)
            outcome = await engine.reconcile()
            assert outcome.ok, outcome.differences
            report = await KillSwitch(engine).activate("test", flatten=True)
            assert (report.cancelled, report.verified) == (5, True)
            await until(lambda: engine.oms.get_position(SYMBOL) == 0)
            assert not site_of(box).venues["testnet"].desk.tickets.open
        finally:
            await engine.stop()
