"""The Interactive Brokers adapter against the sandbox: contracts, orders, executions, account, data, connectivity."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from ibkr_kit import (
    FAST,
    Dialect,
    connected,
    door,
    ibkr_sandbox,
    kinds,
    listen,
    move,
    order,
    resting,
    say,
    session,
    trade_at,
    until,
)

from autotrader_lab.execution import ExecutionEngine
from autotrader_lab.execution.adapters.ibkr import AccountProfit, IBKRAdapter
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import (
    ConfigError,
    DataError,
    InstrumentError,
    OrderError,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
    VenueUnavailable,
)
from autotrader_lab.model.market import Bar, Book, MarketEvent, Quote, Trade
from autotrader_lab.model.orders import OrderSide, OrderStatus, OrderType
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.venues.hooks import Answer, RequestInfo
from autotrader_lab.strategy import TradingStrategy
from autotrader_lab.strategy.contract import Context, Strategy


def option_symbol(box: object) -> str:
    (call,) = [c for c in door(box).gateway.catalogue if c.right == "C"]  # type: ignore[arg-type]
    return f"AAPL {call.expiry} C 190"


def future_symbol(box: object) -> str:
    (future,) = [c for c in door(box).gateway.catalogue if c.kind == "FUT"]  # type: ignore[arg-type]
    return f"ES {future.contract_month}"


# --- contracts --------------------------------------------------------------------------------------------------------


async def test_stocks_currencies_futures_and_options_trade_under_their_symbols() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        option, future = option_symbol(box), future_symbol(box)
        listed = await adapter.load_instruments(["AAPL", "EUR/USD", future, option])
        tick = {symbol: (listed[symbol].tick_size, listed[symbol].multiplier) for symbol in listed}
        assert tick == {
            "AAPL": (Decimal("0.01"), Decimal(1)),
            "EUR/USD": (Decimal("0.00005"), Decimal(1)),
            future: (Decimal("0.25"), Decimal(50)),
            option: (Decimal("0.01"), Decimal(100)),
        }
        for number, symbol in enumerate(listed):
            size = 20_000 if symbol == "EUR/USD" else 2
            await adapter.submit_order(order(f"o{number}", quantity=size, symbol=symbol))
            await until(lambda n=number: adapter.orders[f"o{n}"].status is OrderStatus.FILLED)
        assert await adapter.get_positions() == {"AAPL": 2.0, "EUR/USD": 20_000.0, future: 2.0, option: 2.0}
        fees = {view.symbol: dict(view.commission_by_currency) for view in adapter.orders.values()}
        assert all(set(fee) == {"USD"} and fee["USD"] > 0 for fee in fees.values())


async def test_every_way_to_write_a_contract_finds_the_same_one() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        (call,) = [c for c in door(box).gateway.catalogue if c.right == "C"]
        assert (await adapter._listing(call.local_symbol)).instrument.symbol == option_symbol(box)
        assert (await adapter._listing("EUR.USD")).instrument.symbol == "EUR/USD"
        await adapter.load_instruments([future_symbol(box)])
        (future,) = [c for c in door(box).gateway.catalogue if c.kind == "FUT"]
        with pytest.raises(InstrumentError, match=f"is the contract already called '{future_symbol(box)}'"):
            await adapter.load_instruments([f"ES {future.expiry}"])


async def test_a_contract_can_be_written_out_and_is_looked_up_at_the_start() -> None:
    async with ibkr_sandbox() as box:
        written = {"Apple": {"conId": 265598, "exchange": "SMART"}}
        async with connected(box, contracts=written) as adapter:
            assert list(adapter.instruments) == ["Apple"]
            await adapter.submit_order(order("o", symbol="Apple"))
            await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
            assert await adapter.get_positions() == {"Apple": 10.0}


@pytest.mark.parametrize(
    ("contracts", "said"),
    [
        ({"X": {"colour": "red"}}, r"contracts\['X'\] has 'colour'; fields are conId, "),
        ({"X": {"secType": "STK"}}, "needs a conId, a symbol or a localSymbol"),
        ({"X": {"symbol": "X", "secType": "BOND"}}, "has secType 'BOND'; covered are STK, OPT, FUT, CASH"),
    ],
)
def test_a_contract_written_out_wrongly_is_named(contracts: dict[str, dict[str, object]], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        IBKRAdapter(contracts=contracts)


async def test_an_ambiguous_contract_lists_the_candidates() -> None:
    async with ibkr_sandbox() as box:
        written = {"some option": {"symbol": "AAPL", "secType": "OPT", "exchange": "SMART", "currency": "USD"}}
        adapter = IBKRAdapter.on_sandbox(box.addresses["ibkr"], contracts=written, **FAST)
        with pytest.raises(
            InstrumentError, match=r"'some option' is ambiguous, 2 contracts .*conId 711200001.*pick one"
        ):
            await adapter.connect()
        assert adapter._link._task is None


async def test_unknown_symbols_say_how_contracts_are_written() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        with pytest.raises(InstrumentError, match=r"no symbol 'NOPE'; stocks are written AAPL, .*futures ES 202612"):
            await adapter.load_instruments(["NOPE"])
        with pytest.raises(InstrumentError, match="symbol '' is empty"):
            await adapter.load_instruments([""])


async def test_orders_are_routed_where_they_are_told() -> None:
    async with ibkr_sandbox() as box, connected(box, exchange="ARCA") as adapter:
        await adapter.submit_order(resting("arca"))
        await adapter.submit_order(resting("iex", metadata={"exchange": "IEX"}))
        routes = {api.ticket.reference: api.ticket.query.exchange for api in door(box).gateway.orders.values()}
        assert routes == {"arca": "ARCA", "iex": "IEX"}
        with pytest.raises(InstrumentError, match="does not trade on 'IBIS'; it does on SMART, AMEX"):
            await adapter.submit_order(resting("far", metadata={"exchange": "IBIS"}))


async def test_trading_hours_are_known() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        hours = await adapter.trading_hours("AAPL")
        assert len(hours.spans) == 6
        assert hours.is_open(datetime.now(UTC).replace(hour=12)) is True
        assert hours.is_open(datetime(2020, 1, 1, tzinfo=UTC)) is None


# --- orders -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "error", "said"),
    [
        ({"kind": "limit", "price": 150.005}, InstrumentError, "off the grid of 0.01; nearest are 150.00 and 150.01"),
        ({"quantity": 1.5}, InstrumentError, "off the grid of 1; nearest are 1 and 2"),
        ({"kind": "stop", "stop_price": 150, "time_in_force": "IOC"}, OrderError, "a stop waits, IOC does not"),
        ({"kind": "limit", "price": 150, "post_only": True}, OrderError, "no post-only orders"),
        ({"name": "ünlike"}, OrderError, "printable ASCII"),
        ({"name": "x" * 101}, OrderError, "at most 100 characters"),
    ],
)
async def test_what_cannot_be_never_leaves(fields: dict[str, object], error: type[Exception], said: str) -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        with pytest.raises(error, match=said):
            await adapter.submit_order(order(**{"name": "o", **fields}))  # type: ignore[arg-type]
        assert door(box).gateway.orders == {}


async def test_a_refusal_that_looks_like_a_cancel_is_a_refusal() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        reports = listen(adapter)
        refused = await adapter.submit_order(resting("big", quantity=50_000_000))
        assert (refused.status, kinds(reports, "big")) == (OrderStatus.REJECTED, ["Rejected"])
        assert refused.reason.startswith("We are unable to accept your order. Your Available Funds are insufficient")
        door(box).gateway.closed.add("AAPL")
        closed = await adapter.submit_order(resting("closed"))
        assert (closed.status, closed.reason) == (OrderStatus.REJECTED, "The exchange is closed.")
        door(box).gateway.closed.clear()
        door(box).gateway.is_read_only = True
        read_only = await adapter.submit_order(resting("ro"))
        assert (read_only.status, "Read-Only mode" in read_only.reason) == (OrderStatus.REJECTED, True)
        assert reports[-1].code == "321"  # type: ignore[union-attr]


@pytest.mark.parametrize("status", ["Cancelled", "Inactive"])
async def test_the_code_decides_also_when_it_comes_after_the_status(status: str) -> None:
    """TWS tells the status of a refused order first at times."""

    def refuse(fields: list[str], line: object) -> list[list[str]]:
        if fields[0] == "5":
            return []
        if fields[0] == "3":
            return [
                [*fields[:2], status, *fields[3:]],
                ["4", "2", fields[1], "201", "Order rejected - reason:Not today", ""],
            ]
        return [fields]

    async with ibkr_sandbox(hooks=Dialect(refuse)) as box, connected(box) as adapter:
        reports = listen(adapter)
        sent = await adapter.submit_order(resting("o"))
        assert (sent.status, sent.reason, kinds(reports, "o")) == (OrderStatus.REJECTED, "Not today", ["Rejected"])


async def test_an_inactive_order_without_a_reason_stays_in_doubt() -> None:
    def inactive(fields: list[str], line: object) -> list[list[str]]:
        if fields[0] == "5":
            return []
        return [[*fields[:2], "Inactive", *fields[3:]]] if fields[0] == "3" else [fields]

    async with ibkr_sandbox(hooks=Dialect(inactive)) as box, connected(box, timeout_s=0.5) as adapter:
        with pytest.raises(OutcomeUnknown, match="order o was sent: inactive at TWS: no reason given"):
            await adapter.submit_order(resting("o"))
        assert adapter.orders["o"].status is OrderStatus.UNKNOWN


@pytest.mark.parametrize("code", [399, 404, 492, 2109, 10349])
async def test_a_warning_is_no_refusal(code: int) -> None:
    def warn(fields: list[str], line: object) -> list[list[str]]:
        if fields[0] == "5":
            return [["4", "2", fields[1], str(code), "Warning: held until the market opens", ""], fields]
        return [fields]

    async with ibkr_sandbox(hooks=Dialect(warn)) as box, connected(box) as adapter:
        reports = listen(adapter)
        sent = await adapter.submit_order(resting("o"))
        assert (sent.status, kinds(reports, "o")) == (OrderStatus.SUBMITTED, ["Accepted"])
        assert sent.metadata["warnings"] == [f"{code} Warning: held until the market opens"]


async def test_an_unknown_code_proves_nothing() -> None:
    def strange(fields: list[str], line: object) -> list[list[str]]:
        return [["4", "2", fields[1], "77777", "Something new", ""]] if fields[0] == "5" else []

    async with ibkr_sandbox(hooks=Dialect(strange)) as box, connected(box, timeout_s=0.3) as adapter:
        with pytest.raises(OutcomeUnknown, match="77777 Something new"):
            await adapter.submit_order(resting("o"))


@pytest.mark.parametrize("code", [103, 104, 105, 329])
async def test_a_number_in_use_places_nothing_and_the_next_one_is_far_away(code: int) -> None:
    def clash(fields: list[str], line: object) -> list[list[str]]:
        return [["4", "2", fields[1], str(code), "Duplicate order id", ""]] if fields[0] == "5" else []

    async with ibkr_sandbox(hooks=Dialect(clash)) as box, connected(box) as adapter:
        reports = listen(adapter)
        with pytest.raises(
            VenueUnavailable, match=f"got a number in use, {code} Duplicate order id; nothing was placed"
        ):
            await adapter.submit_order(resting("o"))
        assert (reports, adapter.orders, adapter._next_id > 1_000) == ([], {}, True)


async def test_a_change_that_is_refused_leaves_the_order_as_it_was() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        await adapter.submit_order(resting("o"))
        door(box).gateway.is_read_only = True
        with pytest.raises(OrderRefused, match="Read-Only mode") as refused:
            await adapter.modify_order("o", quantity=20)
        assert (refused.value.code, adapter.orders["o"].status) == ("321", OrderStatus.SUBMITTED)
        door(box).gateway.is_read_only = False
        changed = await adapter.modify_order("o", quantity=20, price=151)
        assert (changed.quantity, changed.price) == (20.0, 151.0)
        await adapter.submit_order(order("s", "sell", "stop", stop_price=100.0))
        with pytest.raises(OrderError, match="has no limit price to change"):
            await adapter.modify_order("s", price=101)


async def test_a_refused_change_is_no_cause_of_a_later_end() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        reports = listen(adapter)
        await adapter.submit_order(resting("o"))
        door(box).gateway.is_read_only = True
        with pytest.raises(OrderRefused):
            await adapter.modify_order("o", quantity=20)
        (api,) = door(box).gateway.orders.values()
        door(box).gateway.exchange.cancel(door(box).gateway.account.name, api.order, door(box).world.now_ms())
        door(box).world.publish()
        await until(lambda: adapter.orders["o"].status is OrderStatus.CANCELLED)
        assert kinds(reports, "o") == ["Accepted", "Cancelled"]


async def test_a_refused_orders_late_status_does_not_end_the_next_one_under_its_id() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        door(box).gateway.closed.add("AAPL")
        refused = await adapter.submit_order(resting("o"))
        assert refused.status is OrderStatus.REJECTED
        door(box).gateway.closed.clear()
        second = await adapter.submit_order(resting("o"))
        say(box, "3", "1", "Cancelled", "0", "10", "0", "0", "0", "0", "1", "", "0")
        say(box, "4", "2", "1", "202", "Order Canceled - reason:", "")
        await asyncio.sleep(0.3)
        assert (await adapter.get_order_status("o")).status is OrderStatus.SUBMITTED
        assert await adapter.cancel_order(second.order_id) is True


async def test_another_clients_order_is_seen_and_not_touched() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter, connected(box, client_id=2) as other:
        theirs = await other.submit_order(resting("theirs"))
        mine = await adapter.submit_order(resting("mine"))
        assert {each.client_order_id for each in await adapter.get_open_orders()} == {"mine", "theirs"}
        with pytest.raises(OrderRefused, match="belongs to client id 2; only that one, or TWS, can cancel it"):
            await adapter.cancel_order(theirs.order_id)
        assert await adapter.cancel_all() == 1
        assert adapter.orders["mine"].status is OrderStatus.CANCELLED
        assert other.orders["theirs"].status is OrderStatus.SUBMITTED
        assert mine.order_id != theirs.order_id


async def test_an_earlier_process_s_order_can_be_cancelled_and_found() -> None:
    async with ibkr_sandbox() as box:
        async with connected(box) as first:
            sent = await first.submit_order(resting("o"))
            await first.submit_order(order("done"))
            await until(lambda: first.orders["done"].status is OrderStatus.FILLED)
        async with connected(box) as second:
            found = await second.find_order("done", "AAPL")
            assert found is not None
            assert (found.status, found.filled_quantity, found.side) == (OrderStatus.FILLED, 10.0, OrderSide.BUY)
            assert await second.find_order("nobody", "AAPL") is None
            assert await second.cancel_order(sent.order_id) is True
            with pytest.raises(OrderNotFound, match="there is no order '4711'"):
                await second.get_order_status("4711")


async def test_all_orders_of_an_earlier_process_are_cancelled_with_one_question() -> None:
    async with ibkr_sandbox() as box:
        async with connected(box) as first:
            for number in range(5):
                await first.submit_order(resting(f"o{number}"))
        async with connected(box) as second:
            asked: list[str] = []
            ask = second._questions.by_kind

            async def counted(kind: str, send: object) -> list[object]:
                asked.append(kind)
                return await ask(kind, send)  # type: ignore[arg-type]

            second._questions.by_kind = counted  # type: ignore[method-assign, assignment]
            assert await second.cancel_all() == 5
            assert asked == ["openOrders"]
            assert await second.get_open_orders() == []


async def test_while_tws_has_lost_ib_it_is_told_to_cancel_everything() -> None:
    async with ibkr_sandbox() as box, connected(box, timeout_s=0.3) as adapter:
        for name in ("a", "b"):
            await adapter.submit_order(resting(name))
        door(box).command("connectivity", {"code": 1100})
        await until(lambda: adapter._is_cut)
        with pytest.raises(VenueUnavailable, match="is with TWS, which has no connection to IB"):
            await adapter.cancel_all()
        door(box).command("connectivity", {"code": 1102})
        await until(lambda: {view.status for view in adapter.orders.values()} == {OrderStatus.CANCELLED})


async def test_an_order_ib_has_forgotten_is_not_called_absent() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        old = resting("old")
        old.status, old.submitted_at = OrderStatus.UNKNOWN, datetime(2026, 1, 5, tzinfo=UTC)
        adapter.adopt(old)
        with pytest.raises(VenueUnavailable, match="was sent at 2026-01-05 00:00 UTC, and TWS tells of today's"):
            await adapter.find_order("old", "AAPL")


# --- executions -------------------------------------------------------------------------------------------------------


async def test_a_commission_that_got_lost_is_asked_for() -> None:
    lost = Dialect(lambda fields, line: [] if fields[0] == "59" else [fields])
    async with ibkr_sandbox(hooks=lost) as box, connected(box) as adapter:
        fills: list[object] = []
        adapter.subscribe_fills(fills.append)
        await adapter.submit_order(order("o"))
        await until(lambda: fills)
        (fill,) = fills
        assert (fill.commission, fill.fee_currency, "commission" in fill.metadata) == (1.0, "USD", False)  # type: ignore[attr-defined]


class Withheld(Dialect):
    """Executions cannot be asked for from some time on."""

    is_out = False

    async def before(self, request: RequestInfo) -> Answer | None:
        if self.is_out and request.operation == "reqExecutions":
            return Answer(503, {"code": 504, "msg": "Not connected"})
        return None


async def test_a_fill_does_not_wait_for_ever_for_its_commission() -> None:
    late: list[list[str]] = []

    def withhold(fields: list[str], line: object) -> list[list[str]]:
        if fields[0] == "59":
            late.append(fields)
            return []
        return [fields]

    hooks = Withheld(withhold)
    async with ibkr_sandbox(hooks=hooks) as box, connected(box) as adapter:
        hooks.is_out = True
        fills: list[object] = []
        adapter.subscribe_fills(fills.append)
        await adapter.submit_order(order("o"))
        await until(lambda: fills)
        (fill,) = fills
        assert (fill.commission, fill.metadata["commission"]) == (0.0, "not told yet")  # type: ignore[attr-defined]
        hooks.is_out = False
        say(box, *late[0])
        await until(lambda: "0000e0d5" in late[0][2] and adapter._commissions)
        (listed,) = await adapter.get_fills("AAPL", 0)
        assert (listed.commission, listed.fee_currency, "commission" in listed.metadata) == (1.0, "USD", False)
        assert listed.execution_id == fill.execution_id  # type: ignore[attr-defined]
        assert len(fills) == 1, "and it is not told again"


async def test_a_corrected_execution_supersedes_the_first_and_is_no_second_fill(
    caplog: pytest.LogCaptureFixture,
) -> None:
    seen: list[list[str]] = []

    def keep(fields: list[str], line: object) -> list[list[str]]:
        seen.append(fields)
        return [fields]

    async with ibkr_sandbox(hooks=Dialect(keep)) as box, connected(box) as adapter:
        reports = listen(adapter)
        await adapter.submit_order(order("o"))
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        (execution,) = [fields for fields in seen if fields[0] == "11"]
        name = execution[14]
        assert name.endswith(".01")
        corrected = [*execution[:14], name[:-2] + "02", *execution[15:20], "189.5", *execution[21:]]
        assert corrected[19:21] == ["10", "189.5"]
        say(box, *corrected)
        say(box, "59", "1", name[:-2] + "02", "1.25", "USD", "", "", "")
        await until(lambda: "corrected execution" in caplog.text)
        assert kinds(reports, "o") == ["Accepted", "Filled"]
        assert adapter.orders["o"].filled_quantity == 10.0
        (told,) = [fill for _, fill in adapter._ledger.values()]
        assert (told.price, told.commission, told.metadata["exec_id"][-2:]) == (189.5, 1.25, "02")
        say(box, *execution)
        await adapter.get_account_balance()
        assert [fill.price for _, fill in adapter._ledger.values()] == [189.5], "the older one does not come back"


async def test_a_lost_execution_is_asked_for_when_the_status_shows_it() -> None:
    def lose(fields: list[str], line: object) -> list[list[str]]:
        return [] if fields[0] in ("11", "59") else [fields]

    async with ibkr_sandbox(hooks=Dialect(lose)) as box, connected(box) as adapter:
        await adapter.submit_order(order("o"))
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        assert adapter.orders["o"].commission == 1.0


async def test_an_execution_before_a_cancel_that_nobody_told_is_found_after_it() -> None:
    is_lost = True

    def lose(fields: list[str], line: object) -> list[list[str]]:
        return [] if is_lost and fields[0] in ("3", "5", "11", "59") else [fields]

    async with ibkr_sandbox(hooks=Dialect(lose)) as box, connected(box, timeout_s=0.3) as adapter:
        reports = listen(adapter)
        with pytest.raises(OutcomeUnknown):
            await adapter.submit_order(resting("o"))
        trade_at(box, 150.0, 4, Side.SELL)
        assert await adapter.cancel_order("o") is True
        assert kinds(reports, "o") == ["Accepted", "Cancelled"]
        assert adapter.orders["o"].order_id == "1-1", "by its number, while nobody told the permId"
        assert (await adapter.get_order_status("1-1")).client_order_id == "o"
        is_lost = False
        door(box).drop()
        await until(lambda: adapter._link.connections == 2)
        assert adapter.orders["o"].filled_quantity == 4.0
        assert adapter.orders["o"].status is OrderStatus.CANCELLED


async def test_executions_of_others_on_the_account_are_listed_as_theirs() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter, connected(box, client_id=2) as other:
        await other.submit_order(order("theirs", quantity=7))
        await until(lambda: other.orders["theirs"].status is OrderStatus.FILLED)
        (fill,) = await adapter.get_fills("AAPL", to_ns(datetime(2026, 1, 1, tzinfo=UTC)))
        assert (fill.client_order_id, fill.quantity, adapter.orders) == ("theirs", 7.0, {})


# --- account and data -------------------------------------------------------------------------------------------------


async def test_cash_values_and_profit() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        assert await adapter.get_account_balance() == {"USD": 1_000_000.0}
        values = await adapter.get_account_values()
        assert (values["NetLiquidation"], values["BuyingPower"]) == (1_000_000.0, 4_000_000.0)
        told: list[AccountProfit] = []
        await adapter.subscribe_profit(told.append)
        await adapter.submit_order(order("o", quantity=100))
        await until(lambda: told and told[-1].unrealised)
        assert adapter.profit == told[-1]


async def test_bars_of_the_past() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        bars = await adapter.get_bars("AAPL", 60, 30)
        assert (len(bars), {type(bar) for bar in bars}) == (30, {Bar})
        assert [b.timestamp_ns - a.timestamp_ns for a, b in pairwise(bars)] == [60_000_000_000] * 29
        assert (await adapter.get_bars("EUR/USD", 300, 3))[-1].volume == 0.0
        assert len(await adapter.get_bars("AAPL", 86_400, 2)) >= 1
        with pytest.raises(DataError, match="interval_s 7 is none of IB's: 1, 5, 10"):
            await adapter.get_bars("AAPL", 7)
        door(box).pace.history_10min = 1
        with pytest.raises(RateLimited, match="pacing violation"):
            await adapter.get_bars("AAPL", 60, 30)


async def test_quotes_trades_depth_and_bars_are_streamed_and_resubscribed() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        feed, heard = adapter.feed(), list[MarketEvent]()
        feed.subscribe(heard.append)
        await feed.open(["AAPL", "EUR/USD"], ("quotes", "trades", "book"))

        def has(*wanted: type) -> bool:
            move(box, 190.0 + len(heard) % 2 / 10)
            return set(wanted) <= {type(event) for event in heard if event.symbol == "AAPL"}

        await until(lambda: has(Quote, Trade, Book))
        assert {type(event) for event in heard if event.symbol == "EUR/USD"} == {Quote, Book}
        door(box).command("connectivity", {"code": 1100})
        door(box).command("connectivity", {"code": 1101})
        await until(lambda: len(session(box).subscriptions) == 5)
        heard.clear()
        await until(lambda: has(Quote, Trade, Book))
        door(box).drop()
        await until(lambda: adapter._link.connections == 2)
        heard.clear()
        await until(lambda: has(Quote, Trade, Book))
        await feed.close()
        await until(lambda: not session(box).subscriptions)
        with pytest.raises(DataError, match="no feed of 'news'; there are quotes, trades, book, bars"):
            await feed.open(["AAPL"], ["news"])


async def test_without_tick_by_tick_the_last_price_stands_in() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        feed, heard = adapter.feed(), list[MarketEvent]()
        feed.subscribe(heard.append)
        await feed.open(["AAPL"], ("quotes", "trades"))
        await adapter.get_account_balance()
        (ticks,) = [each for each in session(box).subscriptions.values() if each.kind == "tick by tick"]
        del session(box).subscriptions[ticks.request_id]
        say(box, "4", "2", str(ticks.request_id), "10190", "Max number of tick-by-tick requests has been reached.", "")

        def traded() -> bool:
            move(box, 190.0 + len(heard) % 2 / 10)
            return any(type(event) is Trade for event in heard)

        await until(traded)
        (first, *_) = [event for event in heard if type(event) is Trade]
        assert first.symbol == "AAPL"
        assert first.price == pytest.approx(190, abs=1)
        await feed.close()


async def test_delayed_data_are_left_out_unless_wanted() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        feed, heard = adapter.feed(), list[MarketEvent]()
        feed.subscribe(heard.append)
        await feed.open(["AAPL"], ["quotes"])
        (ticks,) = session(box).subscriptions.values()
        say(box, "58", "1", str(ticks.request_id), "3")
        await adapter.get_account_balance()
        heard.clear()
        say(box, "1", "6", str(ticks.request_id), "66", "100", "5", "1")
        await adapter.get_account_balance()
        assert heard == []
        adapter.delayed_data = True
        say(box, "1", "6", str(ticks.request_id), "66", "100", "5", "1")
        await until(lambda: heard)
        await feed.close()


# --- connectivity -----------------------------------------------------------------------------------------------------


async def test_while_tws_has_lost_ib_nothing_is_sent_and_cancels_wait_there() -> None:
    async with ibkr_sandbox() as box, connected(box, timeout_s=0.3) as adapter:
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        await adapter.submit_order(resting("o"))
        door(box).command("connectivity", {"code": 1100})
        await until(lambda: states == ["lost"])
        with pytest.raises(VenueUnavailable, match=r"no connection to IB \(1100\); nothing was sent"):
            await adapter.submit_order(resting("p"))
        with pytest.raises(VenueUnavailable, match="ask again later"):
            await adapter.find_order("o", "AAPL")
        with pytest.raises(VenueUnavailable, match="is with TWS"):
            await adapter.cancel_order("o")
        assert adapter.orders["o"].status is OrderStatus.SUBMITTED
        door(box).command("connectivity", {"code": 1102})
        await until(lambda: adapter.orders["o"].status is OrderStatus.CANCELLED)
        await until(lambda: states == ["lost", "restored"])
        await adapter.submit_order(resting("p"))


async def test_an_order_that_met_the_loss_is_in_doubt_until_ib_tells() -> None:
    async with ibkr_sandbox() as box, connected(box, timeout_s=5) as adapter:
        await adapter.load_instruments(["AAPL"])
        reports = listen(adapter)
        # TWS has lost IB and has not said so yet.
        session(box).is_quiet = True
        sending = asyncio.ensure_future(adapter.submit_order(order("o")))
        await until(lambda: session(box)._held)
        door(box).command("connectivity", {"code": 1100})
        with pytest.raises(OutcomeUnknown, match="order o was sent"):
            await sending
        assert adapter.orders["o"].status is OrderStatus.UNKNOWN
        door(box).command("connectivity", {"code": 1102})
        await until(lambda: adapter.orders["o"].status is OrderStatus.FILLED)
        assert kinds(reports, "o") == ["Accepted", "Filled"]


async def test_the_nightly_reset_is_lived_through() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        states: list[str] = []
        adapter.subscribe_connection(lambda state, reason: states.append(state))
        await adapter.submit_order(resting("o"))
        door(box).command("reset", {"seconds": 0.3})
        trade_at(box, 150.0, 10, Side.SELL)
        await until(lambda: states == ["lost", "restored"])
        assert adapter.orders["o"].status is OrderStatus.FILLED
        assert adapter._link.connections == 2


async def test_orders_come_before_data_and_the_limit_is_kept() -> None:
    async with ibkr_sandbox() as box, connected(box, timeout_s=4) as adapter:
        await adapter.load_instruments(["AAPL"])
        asked = [asyncio.ensure_future(adapter.get_account_balance()) for _ in range(40)]
        await asyncio.sleep(0)
        sent = await adapter.submit_order(resting("o"))
        assert sent.status is OrderStatus.SUBMITTED
        assert not all(each.done() for each in asked)
        await asyncio.gather(*asked)
        assert session(box)._violations == 0


async def test_more_orders_than_tws_takes_are_told_to_wait_and_cancels_still_go() -> None:
    async with ibkr_sandbox() as box, connected(box) as adapter:
        await adapter.load_instruments(["AAPL"])
        outcomes = await asyncio.gather(
            *(adapter.submit_order(resting(f"o{n}")) for n in range(60)), return_exceptions=True
        )
        waiting = [each for each in outcomes if isinstance(each, RateLimited)]
        assert waiting
        assert all(0 < (each.retry_after_s or 0) <= 1.1 for each in waiting)
        taken = len(door(box).gateway.orders)
        assert taken == 60 - len(waiting)
        assert await adapter.cancel_order("o0") is True
        assert session(box)._violations == 0


async def test_the_engine_trades_over_it_from_start_to_stop() -> None:
    async with ibkr_sandbox(speed=20) as box:
        adapter = IBKRAdapter.on_sandbox(box.addresses["ibkr"], **FAST)
        engine = ExecutionEngine(TradingStrategy(), adapter, symbols=["AAPL"], stage="testnet")
        await engine.start()
        try:
            await until(lambda: "AAPL" in engine.trader.book.marks)
            price = round(0.99 * engine.trader.book.marks["AAPL"], 2)
            bought = await engine.oms.submit_order("AAPL", OrderSide.BUY, 10, OrderType.MARKET)
            rests = await engine.oms.submit_order("AAPL", OrderSide.BUY, 10, OrderType.LIMIT, price=price)
            await until(lambda: bought.status is OrderStatus.FILLED)
            changed = await engine.oms.modify_order(rests.order_id, price=round(0.98 * price, 2))
            assert (changed.status, changed.price) == (OrderStatus.SUBMITTED, round(0.98 * price, 2))
            assert engine.oms.book.position("AAPL") == 10
        finally:
            await engine.stop()
        assert rests.status is OrderStatus.CANCELLED
        assert engine.status()["counters"]["unreconciled"] == 0


class BarsOnly(Strategy):
    """Listens to bars and does nothing."""

    def __init__(self) -> None:
        self.bars: list[Bar] = []

    def on_bar(self, bar: Bar, context: Context) -> None:
        self.bars.append(bar)


async def test_bars_of_currencies_are_built_from_quotes_and_those_of_stocks_from_trades() -> None:
    async with ibkr_sandbox() as box:
        adapter = IBKRAdapter.on_sandbox(box.addresses["ibkr"], **FAST)
        strategy = BarsOnly()
        engine = ExecutionEngine(strategy, adapter, symbols=["AAPL", "EUR/USD"], stage="testnet", bar_interval_s=0.2)
        await engine.start()
        try:
            for step in range(40):
                move(box, 190.0 + step % 3, "AAPL")
                move(box, 1.1 + step % 3 / 1000, "EUR.USD")
                await asyncio.sleep(0.02)
            await until(lambda: {bar.symbol for bar in strategy.bars} == {"AAPL", "EUR/USD"})
        finally:
            await engine.stop()
        volumes = {
            symbol: sum(bar.volume for bar in strategy.bars if bar.symbol == symbol) for symbol in engine.symbols
        }
        assert volumes["AAPL"] > 0
        assert volumes["EUR/USD"] == 0
