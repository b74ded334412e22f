"""Oanda's recorded messages, decoded; and what we send, against what was recorded of others."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import pytest
from oanda_kit import recorded
from shared_data import SHARED

from autotrader_lab.execution.adapters.oanda import encode
from autotrader_lab.execution.adapters.oanda.books import fill_of
from autotrader_lab.execution.adapters.oanda.decode import (
    Created,
    Ended,
    Executed,
    Other,
    Refusal,
    decode_ticket,
    decode_transaction,
)
from autotrader_lab.execution.adapters.oanda.figures import (
    decode_account,
    decode_bars,
    decode_instrument,
    decode_positions,
    decode_quote,
    universal,
)
from autotrader_lab.execution.adapters.oanda.values import decimal, identifier, text_of, time_ns
from autotrader_lab.model.errors import DataError, InstrumentError, OrderError
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.market import Bar, Quote
from autotrader_lab.model.orders import Order, OrderSide, OrderType

FILES = sorted(path.stem for path in (SHARED / "payloads" / "oanda").glob("*.json")) or ["py_orders_create"]
NOT_ANSWERS = ("req_", "enum_")
EURUSD = Instrument(
    "EUR/USD", Decimal("0.00001"), Decimal(1), "oanda", "EUR_USD", "EUR", "USD", Decimal(1), Decimal(100_000_000)
)


def objects(value: Any, key: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every object in a message, with the key it stands under; JSON within text is opened."""
    if isinstance(value, str) and value.startswith("{"):
        value = json.loads(value)
    if isinstance(value, dict):
        yield key, value
        for name, one in value.items():
            yield from objects(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from objects(one, key)


DECODERS = {
    "prices": decode_quote,
    "instruments": lambda row: decode_instrument(row)[0],
    "orders": decode_ticket,
    "order": decode_ticket,
    "ordersCreated": decode_ticket,
    "ordersFilled": decode_ticket,
    "ordersCancelled": decode_ticket,
}


def decoded(name: str) -> list[Any]:
    """Everything in a recorded file that is of a kind we handle."""
    found: list[Any] = []
    body = recorded(name)
    for key, row in objects(body):
        if key.endswith("Transaction") or key in ("transactions", "transaction") or {"batchID", "type"} <= set(row):
            found.append(decode_transaction(row))
        elif row.get("type") == "PRICE":
            found.append(decode_quote(row))
        elif key in DECODERS and not {"takeProfitOrder", "price"} >= set(row) and len(row) > 4:
            found.append(DECODERS[key](row))
        if "candles" in row:
            found.append(decode_bars(row))
        if "positions" in row and key == "":
            found.append(decode_positions(row))
        if isinstance(row.get("account"), dict):
            found.append(decode_account(row))
    return found


@pytest.mark.parametrize("name", [name for name in FILES if not name.startswith(NOT_ANSWERS)])
def test_every_recorded_message_of_a_kind_we_take_is_understood(name: str) -> None:
    decoded(name)


def test_the_recorded_messages_hold_every_kind_we_take() -> None:
    found = {type(one) for name in FILES if not name.startswith(NOT_ANSWERS) for one in decoded(name)}
    assert {Created, Executed, Ended, Refusal, Other, Instrument} <= found


def test_every_transaction_type_that_was_ever_published_is_taken_or_passed_over() -> None:
    common = {"id": "7", "time": "2019-03-07T12:02:47.539716401Z", "instrument": "EUR_USD", "units": "1", "price": "1"}
    ours = set()
    for kind in recorded("enum_catalogue")["TransactionType"]:
        told = decode_transaction({**common, "type": kind, "orderID": "6", "reason": "?", "rejectReason": "?"})
        if not isinstance(told, Other):
            ours.add(kind)
    orders = {"MARKET_ORDER", "FIXED_PRICE_ORDER", "LIMIT_ORDER", "STOP_ORDER", "MARKET_IF_TOUCHED_ORDER"}
    assert ours == orders | {f"{kind}_REJECT" for kind in orders - {"FIXED_PRICE_ORDER"}} | {
        "ORDER_FILL",
        "ORDER_CANCEL",
    }


def test_a_fill_is_read() -> None:
    done = decode_transaction(recorded("php_close_position")["longOrderFillTransaction"])
    assert isinstance(done, Executed)
    assert (done.id, done.order_id, done.units, done.requested) == ("1086", "1085", -100, -100)
    assert (done.price, done.vwap, done.profit, done.half_spread) == (
        Decimal("1.11626"),
        Decimal("1.11626"),
        Decimal("-0.0140"),
        Decimal("0.0070"),
    )
    assert (done.side, done.fee) == (OrderSide.SELL, 0)
    fill = fill_of(done, "EUR", "EUR/USD", "mine")
    assert (fill.execution_id, fill.quantity, fill.price, fill.fee_currency) == ("1086", 100.0, 1.11626, "")
    assert fill.metadata == {"realised": -0.014, "half_spread": 0.007}
    assert fill.timestamp.isoformat() == "2019-05-19T23:39:35.572206+00:00"


def test_a_fill_of_the_older_kind_has_ids_and_units_as_numbers() -> None:
    done = decode_transaction(recorded("av_close_position")["longOrderFillTransaction"])
    assert isinstance(done, Executed)
    assert (done.order_id, done.units, done.price) == ("7153", -1, Decimal("0.75069"))
    assert done.timestamp_ns == 1_512_695_016_979_594_885


def test_fees_are_what_the_account_is_charged_in_its_own_currency() -> None:
    body = recorded("php_close_position")["longOrderFillTransaction"]
    done = decode_transaction({**body, "commission": "1.5", "guaranteedExecutionFee": "0.25", "fullVWAP": "1.116263"})
    assert isinstance(done, Executed)
    fill = fill_of(done, "EUR", "EUR/USD", "mine")
    assert (fill.commission, fill.fee_currency) == (1.75, "EUR")
    assert (fill.price, fill.metadata["vwap"]) == (1.11626, 1.116263)


def test_a_replacement_is_read() -> None:
    body = recorded("py_orders_order_replace")
    made = decode_transaction(body["orderCreateTransaction"])
    ended = decode_transaction(body["orderCancelTransaction"])
    assert isinstance(made, Created)
    assert isinstance(ended, Ended)
    assert (made.order_id, made.replaces, made.client_id, made.units, made.price) == (
        "2307",
        "2304",
        "myID",
        -500_000,
        Decimal("1.25000"),
    )
    assert (ended.order_id, ended.replaced_by, ended.client_id) == ("2304", "2307", "myID")


def test_a_refusal_and_a_halt_are_read() -> None:
    refused = decode_transaction(recorded("err_mit_price_precision_usdjpy")["orderRejectTransaction"])
    halted = decode_transaction(recorded("av_order_cancel_market_halted"))
    assert isinstance(refused, Refusal)
    assert isinstance(halted, Ended)
    assert (refused.reason, refused.client_id, refused.replaces) == ("PRICE_PRECISION_EXCEEDED", "", "")
    assert (halted.order_id, halted.reason) == ("4934", "MARKET_HALTED")


def test_orders_are_read() -> None:
    ticket = decode_ticket(recorded("py_orders_pending")["orders"][0])
    assert ticket is not None
    assert (ticket.order_id, ticket.client_id, ticket.order_type, ticket.side, ticket.units) == (
        "2304",
        "myID",
        OrderType.LIMIT,
        OrderSide.SELL,
        -100,
    )
    assert (ticket.state, ticket.time_in_force, ticket.price) == ("PENDING", "GTC", Decimal("1.2"))
    attached = {"type": "STOP_LOSS", "id": "1", "state": "PENDING", "tradeID": "7", "price": "1.1"}
    assert decode_ticket(attached) is None


def test_quotes_are_read_and_one_that_cannot_be_traded_on_is_none() -> None:
    symbol, quote = decode_quote(recorded("av_price_stream"))
    assert symbol == "EUR/USD"
    assert quote == Quote("EUR/USD", 1_505_958_875_452_443_932, 1.18724, 1.18736, 10_000_000, 10_000_000)
    weekend = recorded("av_pricing")["prices"][0]
    assert decode_quote(weekend) == ("AUD/USD", None)
    assert decode_quote({**recorded("av_price_stream"), "asks": []}) == ("EUR/USD", None)
    with pytest.raises(DataError, match="bid above"):
        decode_quote({**recorded("av_price_stream"), "bids": [{"price": "1.2", "liquidity": 1}]})
    with pytest.raises(DataError, match="quoted at 0"):
        decode_quote({**recorded("av_price_stream"), "bids": [{"price": "0"}]})


def test_the_account_is_read() -> None:
    state = decode_account(recorded("py_accounts_summary"))
    assert (state.account, state.currency, state.balance, state.nav, state.hedging) == (
        "101-004-1435156-001",
        "EUR",
        Decimal("35454.4740"),
        Decimal("35454.4740"),
        False,
    )
    assert (state.margin_used, state.last_id) == (Decimal("10581.5000"), "2123")
    with pytest.raises(DataError, match="balance"):
        decode_account({"account": {**recorded("py_accounts_summary")["account"], "balance": None}})


def test_instruments_are_read() -> None:
    listed = {row["name"]: decode_instrument(row) for row in recorded("av_instruments")["instruments"]}
    yen, margin = listed["USD_JPY"]
    assert (yen.symbol, yen.tick_size, yen.lot_size, yen.base, yen.quote) == (
        "USD/JPY",
        Decimal("0.001"),
        Decimal(1),
        "USD",
        "JPY",
    )
    assert (yen.min_quantity, yen.max_quantity, margin) == (1, 100_000_000, Decimal("0.02"))
    index, _ = listed["NAS100_USD"]
    assert (index.symbol, index.base, index.quote, index.tick_size) == ("NAS100/USD", "", "USD", Decimal("0.1"))
    assert listed["XAG_USD"][0].base == "XAG"
    with pytest.raises(DataError, match="price digits"):
        decode_instrument({"name": "A_B", "displayPrecision": -3, "tradeUnitsPrecision": 0})


def test_positions_are_net_units() -> None:
    assert decode_positions(recorded("py_positions_positions")) == {"EUR_GBP": 0, "DE30_EUR": -20, "EUR_USD": 0}
    assert universal("DE30_EUR") == "DE30/EUR"
    with pytest.raises(DataError, match="short side"):
        decode_positions({"positions": [{"instrument": "A_B", "long": {"units": "1"}}]})


def test_candles_become_bars_known_at_their_end() -> None:
    bars = decode_bars(recorded("av_candles_s5"))
    assert bars[0] == Bar("AUD/USD", 1_509_126_190_000_000_000, 0.76596, 0.76596, 0.76596, 0.76596, 2)
    assert [bar.timestamp_ns for bar in bars] == sorted(bar.timestamp_ns for bar in bars)
    body = recorded("av_candles_s5")
    body["candles"][-1]["complete"] = False
    assert len(decode_bars(body)) == len(bars) - 1
    with pytest.raises(DataError, match="granularity"):
        decode_bars({**body, "granularity": "M0"})


# --- single values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["1.25", 1.25, "1.250"])
def test_numbers_may_be_texts_or_numbers(value: object) -> None:
    assert decimal({"units": value}, "units") == Decimal("1.25")


@pytest.mark.parametrize("value", ["many", "NaN", "Infinity", True, [], {}, None, "", float("nan"), "1e999999999"])
def test_what_is_no_number_is_named(value: object) -> None:
    with pytest.raises(DataError, match="units of LIMIT_ORDER 7 is"):
        decimal({"units": value, "type": "LIMIT_ORDER", "id": 7}, "units")
    if value is None:
        assert decimal({"units": value}, "units", Decimal(0)) == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2016-06-22T18:41:29.294265338Z", 1_466_620_889_294_265_338),
        ("2016-06-22T18:41:29Z", 1_466_620_889_000_000_000),
        ("2016-06-22T20:41:29.5+02:00", 1_466_620_889_500_000_000),
        ("1466620889.294265338", 1_466_620_889_294_265_338),
        ("1466620889", 1_466_620_889_000_000_000),
        (1466620889.25, 1_466_620_889_250_000_000),
    ],
)
def test_times_in_either_way(text: object, expected: int) -> None:
    assert time_ns({"time": text}, "time") == expected


@pytest.mark.parametrize("text", ["", "soon", None, True, "2016-13-22T18:41:29Z", "-5", "0x10", -1, [], "2016-06-22"])
def test_what_is_no_time_is_named(text: object) -> None:
    with pytest.raises(DataError, match="time of HEARTBEAT is no time"):
        time_ns({"time": text, "type": "HEARTBEAT"}, "time")


def test_ids_may_be_numbers() -> None:
    assert (identifier({"orderID": 7153}, "orderID"), identifier({}, "orderID", "")) == ("7153", "")
    for wrong in (True, [], "", None):
        with pytest.raises(DataError, match="orderID"):
            identifier({"orderID": wrong}, "orderID")


@pytest.mark.parametrize(
    "body",
    [
        None,
        [],
        {},
        {"type": "ORDER_FILL"},
        {"type": "ORDER_FILL", "id": "1", "time": "1", "orderID": "1", "instrument": "EUR_USD", "units": "0"},
        {"type": "ORDER_FILL", "id": "1", "time": "1", "orderID": "1", "instrument": "EUR_USD", "units": "5"},
        {"type": "ORDER_CANCEL", "id": "1", "time": "1"},
        {"type": "LIMIT_ORDER", "id": "1", "time": "1", "instrument": "EUR_USD", "units": None},
        {"type": 7, "id": "1", "time": "1"},
    ],
)
def test_a_transaction_that_lacks_something_is_named(body: object) -> None:
    with pytest.raises(DataError, match="oanda"):
        decode_transaction(body)


@pytest.mark.parametrize("change", [{"type": "SOMETHING_NEW"}, {"state": "HALFWAY"}, {"units": None}, {"id": None}])
def test_an_order_of_an_unknown_kind_is_named(change: dict[str, Any]) -> None:
    with pytest.raises(DataError, match="oanda"):
        decode_ticket({**recorded("py_orders_pending")["orders"][0], **change})


# --- what we send ----------------------------------------------------------------------------------------------


def order(kind: str = "limit", quantity: float = 100, price: float | None = 1.2, **more: Any) -> Order:
    return Order("", "EUR/USD", OrderSide.SELL, OrderType(kind), quantity, price, client_order_id="mine", **more)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (order(), {"type": "LIMIT", "timeInForce": "GTC", "price": "1.2"}),
        (order("limit", time_in_force="DAY"), {"type": "LIMIT", "timeInForce": "GFD", "price": "1.2"}),
        (order("ioc"), {"type": "LIMIT", "timeInForce": "IOC", "price": "1.2"}),
        (order("fok"), {"type": "LIMIT", "timeInForce": "FOK", "price": "1.2"}),
        (order("market", price=None), {"type": "MARKET", "timeInForce": "FOK"}),
        (order("market", price=None, time_in_force="IOC"), {"type": "MARKET", "timeInForce": "IOC"}),
        (order("stop", price=None, stop_price=1.05), {"type": "STOP", "timeInForce": "GTC", "price": "1.05"}),
    ],
)
def test_an_order_as_oanda_takes_it(asked: Order, expected: dict[str, str]) -> None:
    encode.check(asked, EURUSD)
    body = encode.new_order(asked, EURUSD, hedging=False)["order"]
    common = {"instrument": "EUR_USD", "units": "-100", "positionFill": "DEFAULT", "clientExtensions": {"id": "mine"}}
    assert body == {**common, **expected}


def test_a_replacement_is_what_was_recorded_of_others_and_keeps_the_id_by_not_naming_it() -> None:
    body = encode.replacement(order(price=1.3), EURUSD, Decimal(500_000), 1.25, hedging=False)
    theirs = recorded("req_orders_order_replace")["order"]
    assert {**theirs, "price": "1.25"}.items() <= body["order"].items()
    assert "clientExtensions" not in body["order"]


def test_units_keep_their_fraction_where_the_instrument_has_them() -> None:
    fine = Instrument("BTC/USD", Decimal("0.1"), Decimal("0.01"), "oanda", "BTC_USD", "BTC", "USD")
    asked = order("market", 0.07, None)
    encode.check(asked, fine)
    assert encode.new_order(asked, fine, hedging=False)["order"]["units"] == "-0.07"
    with pytest.raises(InstrumentError, match=r"off the grid of 0.01; nearest are 0.07 and 0.08"):
        encode.check(order("market", 0.075, None), fine)


def test_exits_only_reduce_and_hedging_accounts_keep_the_net() -> None:
    def fill(hedging: bool, **more: Any) -> str:
        return str(encode.new_order(order(**more), EURUSD, hedging=hedging)["order"]["positionFill"])

    assert fill(False, reduce_only=True) == fill(True, reduce_only=True) == "REDUCE_ONLY"
    assert (fill(False), fill(True)) == ("DEFAULT", "REDUCE_FIRST")
    change = encode.replacement(order(reduce_only=True), EURUSD, Decimal(5), 1.2, hedging=True)
    assert change["order"]["positionFill"] == "REDUCE_ONLY"
    assert encode.replacement(order(), EURUSD, Decimal(5), 1.2, hedging=True)["order"]["positionFill"] == "REDUCE_FIRST"


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        (order("stop_limit", stop_price=1.1), OrderError, "no stop_limit order"),
        (order("stop", stop_price=1.1, time_in_force="IOC"), OrderError, "a stop waits"),
        (order(post_only=True), OrderError, "post-only"),
        (order(price=1.123456), InstrumentError, "off the grid"),
        (order("stop", stop_price=1.123456), InstrumentError, "stop_price"),
        (order(quantity=0.5), InstrumentError, "off the grid of 1; nearest are 0 and 1"),
        (order(quantity=100_000_001), InstrumentError, "over the most of 100000000; split"),
    ],
)
def test_what_oanda_would_refuse_for_its_form_is_refused_here(asked: Order, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        encode.check(asked, EURUSD)


@pytest.mark.parametrize("name", ["a b", "a/b", "ä", "x" * 129, "a@b", "a?b", "a%20", "line\n"])
def test_a_client_id_that_would_not_survive_an_address_is_refused(name: str) -> None:
    asked = order()
    asked.client_order_id = name
    with pytest.raises(OrderError, match="client order id"):
        encode.check(asked, EURUSD)


def test_numbers_are_written_plainly() -> None:
    written = [text_of(Decimal(text)) for text in ("1E+3", "0.00001", "1.20000", "-0", "-5")]
    assert written[:3] == ["1000", "0.00001", "1.2"]
    assert written[4] == "-5"
