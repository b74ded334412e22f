"""Coinbase's payloads read by plain functions: what the venue recorded and documents, not what our sandbox writes."""

from __future__ import annotations

import importlib
import json
from decimal import Decimal
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from autotrader_lab.execution.adapters.ccxt_coinbase import (
    CODES,
    decode_balances,
    decode_fill,
    decode_instrument,
    decode_order,
    decode_stream_order,
    failure_of,
    placed_id,
    rows,
    time_text,
)
from autotrader_lab.execution.adapters.ccxt_coinbase_line import CoinbaseLine
from autotrader_lab.execution.adapters.ccxt_coinbase_send import check, encode_order
from autotrader_lab.execution.adapters.ccxt_errors import told, translate
from autotrader_lab.execution.adapters.coinbase import CoinbaseAdapter
from autotrader_lab.model.clock import SystemClock, to_ns
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    AutoTraderError,
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
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.orders import Order, OrderSide, OrderStatus, OrderType
from tests.shared_data import SHARED, shared

PEM = (
    generate_private_key(SECP256R1())
    .private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption())
    .decode()
)

ccxt_errors = importlib.import_module("ccxt.base.errors")


def recorded(name: str) -> Any:
    return json.loads(shared(f"payloads/coinbase/{name}.json").read_text())


def listed() -> tuple[Instrument, Any]:
    return decode_instrument(recorded("rest_products")["products"][0], "BTC/USD")


AT_NS = 1_775_572_206_000_000_000


def streamed(**fields: Any) -> dict[str, Any]:
    """The recorded row of the private stream, changed."""
    return {**recorded("ws_user")["events"][0]["orders"][0], **fields}


# --- the stream ----------------------------------------------------------------------------------------------------


def test_a_recorded_stream_order_is_a_snapshot() -> None:
    order = decode_stream_order(streamed(), "BTC/USD", AT_NS)
    assert (order.status, order.side, order.order_type) == (OrderStatus.SUBMITTED, OrderSide.BUY, OrderType.LIMIT)
    assert (order.client_order_id, order.order_id) == ("11111-000000-000001", "a1b2c3d4-e5f6-7890-abcd-ef1234567890")
    assert (order.quantity, order.filled_quantity) == (0.001, 0.0)
    assert order.updated_at is not None
    assert to_ns(order.updated_at) == AT_NS


def test_the_amount_of_an_ended_order_is_what_was_executed_and_what_was_left() -> None:
    ended = streamed(status="CANCELLED", cumulative_quantity="0.0004", leaves_quantity="0.0006", avg_price="68000")
    order = decode_stream_order(ended, "BTC/USD", AT_NS)
    assert (order.status, order.quantity) == (OrderStatus.CANCELLED, 0.001)
    assert order._cost == Decimal("27.2")


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"status": "PENDING"}, OrderStatus.SUBMITTED),
        ({"status": "OPEN", "cumulative_quantity": "0.0005"}, OrderStatus.PARTIAL_FILL),
        ({"status": "CANCEL_QUEUED"}, OrderStatus.SUBMITTED),
        ({"status": "FILLED"}, OrderStatus.FILLED),
        ({"status": "EXPIRED"}, OrderStatus.EXPIRED),
        ({"status": "FAILED", "reject_reason": "INSUFFICIENT_FUND"}, OrderStatus.REJECTED),
        ({"status": "CANCELLED"}, OrderStatus.CANCELLED),
        ({"status": "CANCELLED", "time_in_force": "IMMEDIATE_OR_CANCEL"}, OrderStatus.EXPIRED),
        ({"status": "CANCELLED", "time_in_force": "FILL_OR_KILL"}, OrderStatus.EXPIRED),
        ({"status": "CANCELLED", "order_type": "Market"}, OrderStatus.EXPIRED),
    ],
)
def test_every_status_of_the_stream(fields: dict, status: OrderStatus) -> None:
    order = decode_stream_order(streamed(**fields), "BTC/USD", AT_NS)
    assert order.status is status
    assert order.reason == fields.get("reject_reason", "")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"status": "UNKNOWN_ORDER_STATUS"}, "known status"),
        ({"order_id": ""}, "known status"),
        ({"cumulative_quantity": "much"}, "'much' is no number"),
        ({"order_side": "SIDEWAYS"}, "unknown side 'SIDEWAYS'"),
        ({"creation_time": "yesterday"}, "'yesterday' is no time"),
    ],
)
def test_a_row_that_makes_no_sense_is_refused_with_a_reason(change: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decode_stream_order(streamed(**change), "BTC/USD", AT_NS)


async def test_every_recorded_message_is_decoded_or_refused_with_a_reason_and_none_breaks_the_adapter() -> None:
    names = sorted(path.stem for path in (SHARED / "payloads" / "coinbase").glob("*.json"))
    if not names:
        pytest.skip("recorded data is not here: ../shared/data/payloads/coinbase")
    adapter = CoinbaseAdapter("k", PEM)
    adapter.instruments = Instruments([Instrument("BTC/USD", venue_symbol="BTC-USD")], "coinbase")
    heard: list[Any] = []
    line = CoinbaseLine(None, SystemClock(), 1.0, True, heard.append)
    for name in names:
        message = recorded(name)
        for each in message if isinstance(message, list) else [message]:
            assert line.tap(each) is isinstance(each, dict)
            adapter._on_message(each)
            for action in ("submit", "query"):
                error = ccxt_errors.ExchangeError(f"coinbase {json.dumps(each)}")
                assert str(translate(error, action, "coinbase: x", CODES))  # type: ignore[arg-type]
    assert [message["channel"] for message in heard] == ["user"], "one of them is a message of the private stream"


# --- answers -------------------------------------------------------------------------------------------------------


def test_a_recorded_order_is_read() -> None:
    order = decode_order(recorded("rest_order")["order"], "BTC/USD")
    assert (order.order_id, order.client_order_id) == ("0000-000000-000000", "11111-000000-000000")
    assert (order.status, order.order_type, order.time_in_force) == (
        OrderStatus.PARTIAL_FILL,
        OrderType.LIMIT,
        "GTC",
    )
    assert (order.quantity, order.price, order.filled_quantity) == (0.001, 10_000.0, 0.001)
    assert order.submitted_at is not None
    assert order.updated_at is not None
    assert (order.updated_at - order.submitted_at).total_seconds() == 1801


def test_a_documented_order_without_a_configuration_and_with_a_history_is_read() -> None:
    raw = recorded("doc_get_order")["order"]
    order = decode_order(raw, "BTC/USD")
    assert (order.quantity, order.price) == (0.001, 19_000.0), "what it was changed to"
    assert order.status is OrderStatus.PARTIAL_FILL


def test_recorded_orders_are_read_and_a_size_in_quote_currency_is_not_taken_for_units() -> None:
    first, second = (decode_order(row, "X/Y") for row in rows(recorded("rest_orders_list"), "orders"))
    assert (first.status, first.quantity, first.price) == (OrderStatus.SUBMITTED, 0.01, 45_000.0)
    assert (second.status, second.order_type, second.side) == (OrderStatus.FILLED, OrderType.MARKET, OrderSide.SELL)
    assert second.quantity == second.filled_quantity


def test_when_an_order_ended_is_told_by_the_clock_the_venue_does_not_say() -> None:
    raw = {**recorded("rest_order")["order"], "status": "CANCELLED"}
    order = decode_order(raw, "BTC/USD", AT_NS)
    assert order.updated_at is not None
    assert to_ns(order.updated_at) == AT_NS


def test_recorded_executions_are_fills_with_their_fee_in_quote_currency() -> None:
    fill = decode_fill(recorded("rest_fills_spot_ada")["fills"][0], "ADA/USDT", "USDT")
    assert (fill.side, fill.quantity, fill.price) == (OrderSide.SELL, 10.0, 0.392)
    assert (fill.commission, fill.fee_currency, fill.liquidity) == (0.03136, "USDT", "taker")
    assert fill.execution_id == "19fc7eee-f4b4-40a7-8104-033da1db5311"
    assert to_ns(fill.timestamp) == 1_700_993_987_504_000_000
    perpetual = decode_fill(recorded("rest_fills_perp_ada")["fills"][0], "ADA/PERP", "USDC")
    assert (perpetual.side, perpetual.quantity) == (OrderSide.BUY, 20.0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"trade_type": "REVERSAL"}, "is a REVERSAL"),
        ({"size": "0"}, "has quantity 0"),
        ({"price": ""}, "at price 0"),
        ({"trade_id": ""}, "has quantity"),
    ],
)
def test_what_is_no_execution_is_refused(change: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decode_fill({**recorded("rest_fills_spot_ada")["fills"][0], **change}, "ADA/USDT", "USDT")


def test_a_foreign_execution_sized_in_quote_currency_is_counted_in_units() -> None:
    raw = {**recorded("rest_fills_spot_ada")["fills"][0], "size_in_quote": True, "size": "3.92"}
    assert decode_fill(raw, "ADA/USDT", "USDT").quantity == 10.0


def test_recorded_answers_to_new_orders_carry_a_failure_reason_and_are_no_failures() -> None:
    assert placed_id(recorded("rest_place_order_market_sell_ok")) == "vvvd2a-4ef9-9587-fc7v12"
    assert placed_id(recorded("rest_place_order_sor_limit_ioc_ok")) == "vvvd2a-4ef9-9587-fc71dee4f912"


@pytest.mark.parametrize("rubbish", ["", None, "<html>", {}, [], {"success": True}, {"success_response": {}}])
def test_an_answer_that_is_none_says_so(rubbish: Any) -> None:
    with pytest.raises(DataError, match="no order in the answer"):
        placed_id(rubbish)
    with pytest.raises(DataError, match="no order in the answer"):
        decode_order(rubbish, "BTC/USD")
    with pytest.raises(DataError, match="no orders in the answer"):
        rows(rubbish, "orders")


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        ({"success": True, "failure_reason": "UNKNOWN_CANCEL_FAILURE_REASON"}, ""),
        ({"success": False, "failure_reason": "UNKNOWN_CANCEL_ORDER"}, "UNKNOWN_CANCEL_ORDER"),
        ({"success": False, "errors": [{"edit_failure_reason": "ORDER_NOT_FOUND"}]}, "ORDER_NOT_FOUND"),
        (
            {"success": False, "errors": [{"edit_failure_reason": "UNKNOWN_X", "preview_failure_reason": "PREVIEW_Y"}]},
            "PREVIEW_Y",
        ),
        ({"success": False}, "UNKNOWN"),
    ],
)
def test_why_a_change_or_cancel_was_not_taken(answer: dict, reason: str) -> None:
    assert failure_of(answer) == reason
    assert failure_of(recorded("doc_edit_order")) == ""
    with pytest.raises(DataError, match="no success in the answer"):
        failure_of({"success": "yes"})


def test_balances_sum_available_and_held() -> None:
    assert decode_balances(rows(recorded("doc_accounts"), "accounts")) == {"BTC": Decimal("2.46")}
    assert decode_balances([{"currency": "USD", "available_balance": None, "hold": {"value": "0"}}]) == {}


# --- instruments and what we send ----------------------------------------------------------------------------------


def test_recorded_products_are_exact() -> None:
    instrument, rules = listed()
    assert (str(instrument.tick_size), str(instrument.lot_size)) == ("0.01", "1E-8")
    assert (instrument.min_quantity, instrument.max_quantity) == (Decimal("0.00000001"), Decimal(3400))
    assert (instrument.min_notional, instrument.max_notional) == (Decimal(1), Decimal(150_000_000))
    assert (instrument.base, instrument.quote, instrument.venue_symbol) == ("BTC", "USD", "BTC-USD")
    assert rules.blocked == ""
    for row in recorded("rest_products")["products"]:
        decode_instrument(row, row["product_id"].replace("-", "/"))
    with pytest.raises(DataError, match="UNKNOWN_PRODUCT_TYPE, only SPOT is traded"):
        decode_instrument(recorded("doc_products")["products"][0], "BTC/USD")


def order(**fields: Any) -> Order:
    given = {"quantity": 0.01, "price": 20_000.0, "client_order_id": "al0f-7", **fields}
    side = given.pop("side", OrderSide.BUY)
    return Order("", "BTC/USD", side, given.pop("order_type", OrderType.LIMIT), **given)


LIMIT = {"base_size": "0.01", "limit_price": "20000"}
STOP = {**LIMIT, "stop_price": "19000.5"}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (order(), {"limit_limit_gtc": {**LIMIT, "post_only": False}}),
        (order(post_only=True), {"limit_limit_gtc": {**LIMIT, "post_only": True}}),
        (order(order_type=OrderType.IOC), {"sor_limit_ioc": LIMIT}),
        (order(time_in_force="FOK"), {"limit_limit_fok": LIMIT}),
        (order(order_type=OrderType.MARKET, price=None), {"market_market_ioc": {"base_size": "0.01"}}),
        (
            order(order_type=OrderType.STOP_LIMIT, stop_price=19_000.5),
            {"stop_limit_stop_limit_gtc": {**STOP, "stop_direction": "STOP_DIRECTION_STOP_UP"}},
        ),
        (
            order(order_type=OrderType.STOP_LIMIT, stop_price=19_000.5, side=OrderSide.SELL),
            {"stop_limit_stop_limit_gtc": {**STOP, "stop_direction": "STOP_DIRECTION_STOP_DOWN"}},
        ),
    ],
    ids=["limit", "post_only", "ioc", "fok", "market", "stop buy", "stop sell"],
)
def test_an_order_is_written_in_the_venues_words(sent: Order, expected: dict) -> None:
    fixed = {"client_order_id": "al0f-7", "product_id": "BTC-USD", "side": sent.side.name}
    assert encode_order(sent, listed()[0]) == {**fixed, "order_configuration": expected}


@pytest.mark.parametrize(
    ("sent", "error", "words"),
    [
        (order(order_type=OrderType.STOP, price=None, stop_price=1.0), OrderError, "use a STOP_LIMIT"),
        (order(time_in_force="DAY"), OrderError, "'DAY' does not exist here"),
        (order(post_only=True, time_in_force="IOC"), OrderError, "post_only goes with a GTC limit"),
        (order(order_type=OrderType.STOP_LIMIT, stop_price=1.0, time_in_force="IOC"), OrderError, "waits until"),
        (order(client_order_id="a b"), OrderError, "visible ASCII"),
        (order(client_order_id="a" * 129), OrderError, "1 to 128"),
        (order(price=20_000.005), InstrumentError, r"nearest are 20000\.00 and 20000\.01"),
        (order(quantity=0.000000001), InstrumentError, "off the grid"),
        (order(quantity=4000.0), InstrumentError, "over the most of 3400"),
        (order(quantity=0.00001), InstrumentError, "worth 0.2 USD, below the least of 1"),
        (order(quantity=3400.0, price=60_000.0), InstrumentError, "over the most of 150000000"),
        (order(order_type=OrderType.STOP_LIMIT, stop_price=0.001), InstrumentError, "stop_price"),
    ],
)
def test_what_the_venue_would_refuse_for_its_form_is_refused_here(sent: Order, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        check(sent, *listed())


@pytest.mark.parametrize(
    ("flags", "sent", "words"),
    [
        ({"trading_disabled": True}, order(), "not trading \\(trading_disabled\\)"),
        ({"status": "delisted"}, order(), "not trading \\(status delisted\\)"),
        ({"cancel_only": True, "view_only": True}, order(), "view_only, cancel_only"),
        ({"limit_only": True}, order(order_type=OrderType.MARKET, price=None), "limit orders only"),
        ({"post_only": True}, order(), "post-only orders only"),
    ],
)
def test_a_product_that_does_not_trade_freely_is_named(flags: dict, sent: Order, words: str) -> None:
    raw = {**recorded("rest_products")["products"][0], **flags}
    with pytest.raises(InstrumentError, match=words):
        check(sent, *decode_instrument(raw, "BTC/USD"))


def test_times_are_written_as_the_venue_reads_them() -> None:
    assert time_text(1_700_993_987_504_000_000) == "2023-11-26T10:19:47.504000Z"
    assert time_text(-5) == "1970-01-01T00:00:00.000000Z"


# --- errors --------------------------------------------------------------------------------------------------------


def raised(body: dict, kind: str, action: str = "submit", status: int = 400) -> AutoTraderError:
    """What becomes of an answer, as ccxt raises it and our wire annotates it."""
    error = getattr(ccxt_errors, kind)("coinbase " + json.dumps(body))
    error.venue_code, error.venue_message = told(body)
    error.http_status = status
    return translate(error, action, "coinbase: x", CODES)  # type: ignore[arg-type]


def test_every_code_of_the_recorded_catalogue_lands_on_the_right_side() -> None:
    catalogue = recorded("doc_error_catalogue")
    assert len(catalogue) > 25
    rate = {"rate_limit_exceeded", "resource_exhausted"}
    for entry in catalogue:
        code, text = entry["code"], entry["text"]
        if " " in code:
            body: dict[str, Any] = {"error": "unknown", "error_details": code, "message": code}
            # What came too late for its timestamp was not done, and may be sent again.
            kinds = {"ExchangeError": OutcomeUnknown, "InvalidNonce": VenueUnavailable}
            expected: type = kinds.get(entry["ccxt_class"], OrderRefused)
        else:
            body = {"errors": [{"id": code, "message": text}]}
            is_doubt = code == "internal_server_error"
            expected = OutcomeUnknown if is_doubt else RateLimited if code in rate else OrderRefused
        status = 500 if code == "internal_server_error" else 400
        assert type(raised(body, entry["ccxt_class"], status=status)) is expected, code


def refused(**reasons: str) -> dict[str, Any]:
    return {"success": False, "error_response": {"message": "", "error_details": "", **reasons}}


@pytest.mark.parametrize(
    ("body", "kind", "action", "status", "expected"),
    [
        (refused(error="INSUFFICIENT_FUND"), "ExchangeError", "submit", 200, OrderRefused),
        (refused(error="UNKNOWN_FAILURE_REASON"), "ExchangeError", "submit", 200, OutcomeUnknown),
        (
            refused(error="UNKNOWN_FAILURE_REASON", preview_failure_reason="PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY"),
            "ExchangeError",
            "submit",
            200,
            OrderRefused,
        ),
        (refused(error="SOMETHING_NEW"), "ExchangeError", "submit", 200, OrderRefused),
        ({"error": "SOMETHING_NEW", "message": "x"}, "ExchangeError", "submit", 500, OutcomeUnknown),
        ({"error": "INTERNAL", "message": "x"}, "ExchangeError", "submit", 500, OutcomeUnknown),
        ({"error": "unknown", "error_details": "who knows"}, "ExchangeError", "submit", 400, OutcomeUnknown),
        ({"error": "NOT_FOUND", "message": "x"}, "ExchangeError", "query", 404, OrderNotFound),
        ({"error": "PERMISSION_DENIED", "message": "x"}, "PermissionDenied", "query", 403, AuthenticationFailed),
        ({"errors": [{"id": "rate_limit_exceeded"}]}, "RateLimitExceeded", "query", 429, RateLimited),
    ],
)
def test_single_answers_say_what_they_mean(body: dict, kind: str, action: str, status: int, expected: type) -> None:
    assert type(raised(body, kind, action, status)) is expected


def test_a_refusal_keeps_the_venues_own_code() -> None:
    body = refused(error="UNKNOWN_FAILURE_REASON", preview_failure_reason="PREVIEW_INSUFFICIENT_FUND")
    error = raised(body, "InsufficientFunds", status=200)
    assert isinstance(error, OrderRefused)
    assert error.code == "PREVIEW_INSUFFICIENT_FUND"


def test_a_recorded_rate_limit_is_one() -> None:
    assert told(recorded("err_rate_limit_429")) == ("rate_limit_exceeded", "Too many requests")


# --- the adapter, without a line -----------------------------------------------------------------------------------


def test_a_test_world_that_is_not_there_is_refused_with_the_way_out() -> None:
    with pytest.raises(ConfigError, match=r"has no test world.*addresses of the local sandbox, or testnet=False"):
        CoinbaseAdapter("k", PEM, testnet=True)
    assert CoinbaseAdapter("k", PEM).testnet is False
