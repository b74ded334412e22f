"""OKX's payloads read by plain functions: what the venue recorded and documents, not what our sandbox writes."""

from __future__ import annotations

import importlib
import json
from decimal import Decimal
from typing import Any

import pytest

from autotrader_lab.execution.adapters.ccxt_errors import told, translate
from autotrader_lab.execution.adapters.ccxt_names import decode_name, encode_name
from autotrader_lab.execution.adapters.ccxt_okx import (
    CODES,
    decode_algo,
    decode_algo_push,
    decode_balances,
    decode_fill,
    decode_instrument,
    decode_order,
    decode_push,
    first_row,
    rows,
)
from autotrader_lab.execution.adapters.ccxt_okx_send import check, encode_algo, encode_order
from autotrader_lab.execution.adapters.ccxt_updates import UpdateKind, to_report
from autotrader_lab.execution.adapters.okx import OKXAdapter
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    AutoTraderError,
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
from autotrader_lab.model.orders import Cancelled, Filled, Order, OrderSide, OrderStatus, OrderType, Rejected
from tests.shared_data import SHARED, shared

ccxt_errors = importlib.import_module("ccxt.base.errors")


def recorded(name: str) -> Any:
    return json.loads(shared(f"payloads/okx/{name}.json").read_text())


def listed() -> tuple[Instrument, Any]:
    return decode_instrument(recorded("rest_instruments_spot")["data"][0], "BTC/USDT")


def push(**fields: Any) -> dict[str, Any]:
    """The recorded push of an IOC order, changed."""
    return {**recorded("ws_orders_ioc")["data"][0], **fields}


# --- the stream ----------------------------------------------------------------------------------------------------


def test_a_recorded_execution_is_a_fill_whose_fee_is_charged_though_it_is_negative() -> None:
    (update,) = decode_push(push(), "BTC/USDT")
    assert (update.kind, update.order_id) == (UpdateKind.FILLED, "2497956918703120386")
    fill = update.fill
    assert fill is not None
    assert (fill.side, fill.quantity, fill.price) == (OrderSide.SELL, 0.02, 50100.5)
    assert (fill.commission, fill.fee_currency, fill.liquidity) == (0.1002, "USDT", "taker")
    assert (fill.execution_id, to_ns(fill.timestamp)) == ("1518905531", 1746947318502 * 10**6)
    order = Order("", "BTC/USDT", OrderSide.SELL, OrderType.IOC, 0.05, 50100.0, client_order_id="mine")
    order.apply(to_report(update, "mine"))
    assert (order.status, order.commission_by_currency) == (OrderStatus.PARTIAL_FILL, {"USDT": Decimal("0.1002")})


def test_a_rebate_is_a_negative_commission() -> None:
    (update,) = decode_push(push(fillFee="0.05", fillFeeCcy="USDT", execType="M"), "BTC/USDT")
    assert update.fill is not None
    assert (update.fill.commission, update.fill.liquidity) == (-0.05, "maker")


def test_the_fee_is_the_executions_not_the_orders() -> None:
    later = push(accFillSz="0.04", fee="-0.2", fillFee="-0.0998", fillFeeCcy="USDT", tradeId="2")
    (update,) = decode_push(later, "BTC/USDT")
    assert update.fill is not None
    assert update.fill.commission == 0.0998
    with pytest.raises(DataError, match="comes without its fee"):
        decode_push(push(accFillSz="0.04", fee="-0.2", tradeId="2"), "BTC/USDT")


def test_a_cancel_after_a_partial_fill_is_no_second_fill() -> None:
    ended = push(state="canceled", cancelSource="1", fillSz="0", tradeId="", cancelSourceReason="by user")
    (update,) = decode_push(ended, "BTC/USDT")
    assert to_report(update, "mine") == Cancelled("mine", 1746947318502 * 10**6, "by user")


def test_an_ioc_that_ends_with_its_execution_tells_both_in_order() -> None:
    kinds = [update.kind for update in decode_push(push(state="canceled", cancelSource="14"), "BTC/USDT")]
    assert kinds == [UpdateKind.FILLED, UpdateKind.EXPIRED]


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("1", UpdateKind.CANCELLED),
        ("13", UpdateKind.EXPIRED),
        ("14", UpdateKind.EXPIRED),
        ("20", UpdateKind.CANCELLED),
        ("31", UpdateKind.REJECTED),
        ("32", UpdateKind.EXPIRED),
        ("999", UpdateKind.CANCELLED),
        ("", UpdateKind.CANCELLED),
    ],
)
def test_why_the_venue_cancelled_says_how_it_ended(source: str, kind: UpdateKind) -> None:
    ended = push(state="canceled", cancelSource=source, accFillSz="0", fillSz="0", tradeId="")
    assert [update.kind for update in decode_push(ended, "BTC/USDT")] == [kind]


def test_a_post_only_order_thrown_out_is_a_refusal_with_the_venues_code() -> None:
    ended = push(state="canceled", cancelSource="31", accFillSz="0", fillSz="0", tradeId="")
    report = to_report(decode_push(ended, "BTC/USDT")[0], "mine")
    assert report == Rejected("mine", 1746947318502 * 10**6, "cancelSource 31", "cancelSource 31")


def test_a_change_carries_the_new_total_and_limit() -> None:
    changed = push(state="live", amendResult="0", sz="0.07", px="50200", fillSz="0", tradeId="", accFillSz="0")
    (update,) = decode_push(changed, "BTC/USDT")
    assert (update.kind, update.quantity, update.price) == (UpdateKind.AMENDED, Decimal("0.07"), Decimal(50200))
    failed = {**changed, "amendResult": "-1"}
    assert [u.kind for u in decode_push(failed, "BTC/USDT")] == [UpdateKind.ACCEPTED]


def test_the_order_a_stop_led_to_is_known_by_the_stops_name() -> None:
    row = {**recorded("ws_orders_trigger")["data"][0], "algoClOrdId": "myZ0stop"}
    (update,) = decode_push(row, "BTC/USDT")
    assert update.kind is UpdateKind.FILLED
    assert "my-stop" in update.client_order_ids


def test_recorded_stops_wait_and_say_when_they_led_to_an_order() -> None:
    waiting, second, placed, *_ = recorded("ws_orders_algo")["data"]
    (update,) = decode_algo_push(waiting, "BTC/USDT")
    assert (update.kind, update.order_id) == (UpdateKind.ACCEPTED, "706620792746729472")
    assert update.client_order_ids == ("STOP001BTCUSDT20250120",)
    order = decode_algo(waiting, "BTC/USDT")
    assert (order.order_type, order.stop_price, order.price) == (OrderType.STOP, 95000.0, None)
    limit = decode_algo(second, "BTC/USDT")
    assert (limit.order_type, limit.stop_price, limit.price) == (OrderType.STOP_LIMIT, 105000.0, 106000.0)
    with pytest.raises(DataError, match="order_placed"):
        decode_algo_push(placed, "BTC/USDT")  # no state the venue documents
    assert decode_algo_push({**placed, "state": "effective"}, "BTC/USDT") == []


def test_a_stop_that_could_not_place_its_order_is_a_refusal() -> None:
    failed = {**recorded("ws_orders_algo")["data"][0], "state": "order_failed", "failCode": "51008"}
    report = to_report(decode_algo_push(failed, "BTC/USDT")[0], "mine")
    assert isinstance(report, Rejected)
    assert report.code == "51008"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"state": "moved"}, "unknown state 'moved'"),
        ({"fillPx": "soon"}, "fillPx 'soon' is no number"),
        ({"fillPx": ""}, "at price 0"),
        ({"uTime": "x", "fillTime": "y"}, "is no time in ms"),
        ({"uTime": None, "cTime": ""}, "none of uTime, cTime"),
    ],
)
def test_a_push_that_makes_no_sense_is_refused_with_a_reason(change: dict, words: str) -> None:
    with pytest.raises(DataError, match=words):
        decode_push(push(**change), "BTC/USDT")


# --- answers -------------------------------------------------------------------------------------------------------


def test_a_documented_order_is_read_and_a_size_in_quote_currency_is_not_taken_for_units() -> None:
    order = decode_order(recorded("doc_order_details")["data"][0], "BTC/USDT")
    assert (order.status, order.order_type, order.side) == (OrderStatus.FILLED, OrderType.MARKET, OrderSide.BUY)
    assert (order.quantity, order.filled_quantity, order.avg_fill_price) == (0.00192834, 0.00192834, 51858.0)
    assert order._cost == Decimal("0.00192834") * 51858


def test_recorded_pending_orders_are_read() -> None:
    (order,) = (decode_order(row, "X/Y") for row in rows(recorded("rest_orders_pending")))
    assert (order.status, order.price, order.quantity) == (OrderStatus.SUBMITTED, 103500.0, 0.1)
    assert order.client_order_id == "client-order-1", "a foreign id stays as it is"
    (attached,) = (decode_order(row, "X/Y") for row in rows(recorded("rest_orders_pending_with_attached_tp_sl")))
    assert (attached.price, attached.client_order_id) == (2300.0, "O-attached-entry")


def test_a_recorded_execution_with_an_empty_fee_is_free() -> None:
    fill = decode_fill(recorded("rest_transaction_detail_empty_fee"), "BTC/USDT")
    assert (fill.commission, fill.fee_currency, fill.execution_id) == (0.0, "USDT", "123456789")
    assert fill.client_order_id == "client_123"


def test_recorded_balances_are_exact_and_empty_ones_are_empty() -> None:
    assert decode_balances(recorded("rest_account_balance")) == {"USDT": Decimal("94.42612990333333")}
    streamed = decode_balances(recorded("ws_account"))
    assert streamed["USDT"] == Decimal("100.52768569797846")
    assert streamed["BTC"] == Decimal("0.0000000051")
    assert decode_balances(recorded("ws_account_empty")) == {}


@pytest.mark.parametrize("rubbish", ["", None, "<html>Welcome</html>", {}, [], {"data": None}, {"data": ["x"]}])
def test_an_answer_that_is_none_says_so(rubbish: Any) -> None:
    with pytest.raises(DataError, match="no data in the answer"):
        rows(rubbish)
    with pytest.raises(DataError):
        first_row({"code": "0", "data": []})
    with pytest.raises(DataError, match="no order in the answer"):
        decode_order(rubbish, "BTC/USDT")


def test_every_recorded_message_is_decoded_or_refused_with_a_reason_and_none_breaks_the_adapter() -> None:
    names = sorted(path.stem for path in (SHARED / "payloads" / "okx").glob("*.json"))
    if not names:
        pytest.skip("recorded data is not here: ../shared/data/payloads/okx")
    adapter = OKXAdapter("k", "s", "p", testnet=True)
    adapter.instruments = Instruments([Instrument(s, venue_symbol=v) for s, v in SYMBOLS.items()], "okx")
    reasons = []
    for name in names:
        for row in rows_of(recorded(name)):
            for channel in ("orders", "orders-algo"):
                adapter._on_message((channel, row))
                try:
                    adapter._decode((channel, row if isinstance(row, dict) else {}))
                except DataError as refused:
                    reasons.append(str(refused))
    assert reasons
    assert all(reason.startswith("okx: ") for reason in reasons)


def rows_of(message: Any) -> list[Any]:
    """Whatever stands in a recorded file, row by row."""
    if isinstance(message, list):
        return [row for each in message for row in rows_of(each)]
    inner = message.get("msg") if isinstance(message, dict) and isinstance(message.get("msg"), dict) else message
    data = inner.get("data") if isinstance(inner, dict) else None
    return data if isinstance(data, list) else [inner]


SYMBOLS = {"BTC/USDT": "BTC-USDT", "BTC/SWAP": "BTC-USDT-SWAP", "ETH/SWAP": "ETH-USDT-SWAP"}


# --- instruments and what we send ----------------------------------------------------------------------------------


def test_recorded_symbols_are_exact_and_only_spot_is_traded() -> None:
    instrument, rules = listed()
    assert (str(instrument.tick_size), str(instrument.lot_size)) == ("0.1", "1E-8")
    assert (instrument.min_quantity, instrument.max_quantity) == (Decimal("0.00001"), Decimal(9999999999))
    assert (instrument.base, instrument.quote, instrument.venue_symbol) == ("BTC", "USDT", "BTC-USDT")
    assert not instrument.can_short
    assert (rules.state, rules.code) == ("live", None)
    for row in recorded("rest_instruments_spot")["data"]:
        decode_instrument(row, row["instId"].replace("-", "/"))
    for name in ("rest_instruments_swap", "rest_instruments_futures"):
        for row in recorded(name)["data"]:
            with pytest.raises(DataError, match="only SPOT is traded"):
                decode_instrument(row, row["instId"])


def test_a_symbol_about_to_be_listed_is_no_instrument() -> None:
    with pytest.raises(DataError, match="no tickSz or lotSz yet"):
        decode_instrument({"instId": "NEW-USDT", "instType": "SPOT", "state": "preopen", "tickSz": ""}, "NEW/USDT")


def order(**fields: Any) -> Order:
    given = {"quantity": 0.01, "price": 20_000.0, "client_order_id": "al0f-7", **fields}
    side = given.pop("side", OrderSide.BUY)
    return Order("", "BTC/USDT", side, given.pop("order_type", OrderType.LIMIT), **given)


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (order(), {"ordType": "limit", "px": "20000"}),
        (order(order_type=OrderType.IOC), {"ordType": "ioc", "px": "20000"}),
        (order(time_in_force="FOK"), {"ordType": "fok", "px": "20000"}),
        (order(post_only=True), {"ordType": "post_only", "px": "20000"}),
        (order(order_type=OrderType.MARKET, price=None), {"ordType": "market", "tgtCcy": "base_ccy"}),
    ],
    ids=["limit", "ioc", "fok", "post_only", "market"],
)
def test_an_order_is_written_in_the_venues_words(sent: Order, expected: dict) -> None:
    fixed = {"instId": "BTC-USDT", "tdMode": "cash", "side": "buy", "sz": "0.01", "clOrdId": "al0fZ07"}
    assert encode_order(sent, listed()[0]) == {**fixed, **expected}
    assert encode_order(sent, listed()[0], "cross")["tdMode"] == "cross"


def test_a_stop_is_written_as_a_stop_loss_so_that_the_wrong_side_is_refused() -> None:
    stop = order(order_type=OrderType.STOP, price=None, stop_price=19_000.5, side=OrderSide.SELL)
    fixed = {"instId": "BTC-USDT", "tdMode": "cash", "side": "sell", "sz": "0.01", "ordType": "conditional"}
    names = {"algoClOrdId": "al0fZ07", "clOrdId": "al0fZ07", "slTriggerPxType": "last"}
    at_market = {"slTriggerPx": "19000.5", "slOrdPx": "-1", "tgtCcy": "base_ccy"}
    assert encode_algo(stop, listed()[0]) == {**fixed, **names, **at_market}
    limited = order(order_type=OrderType.STOP_LIMIT, stop_price=19_000.5, side=OrderSide.SELL)
    assert encode_algo(limited, listed()[0]) == {**fixed, **names, "slTriggerPx": "19000.5", "slOrdPx": "20000"}


@pytest.mark.parametrize(
    ("sent", "error", "words"),
    [
        (order(time_in_force="DAY"), OrderError, "'DAY' does not exist here"),
        (order(post_only=True, time_in_force="IOC"), OrderError, "post_only goes with a GTC limit"),
        (order(order_type=OrderType.STOP, stop_price=1.0, time_in_force="IOC"), OrderError, "waits until"),
        (order(client_order_id="a b"), OrderError, "must be of A-Z"),
        (order(client_order_id="a" * 33), OrderError, "it counts 33"),
        (order(client_order_id="-" * 17), OrderError, "it counts 34"),
        (order(price=20_000.05), InstrumentError, r"nearest are 20000\.0 and 20000\.1"),
        (order(quantity=0.000000001), InstrumentError, "off the grid"),
        (order(quantity=0.000001), InstrumentError, "below the least"),
        (order(quantity=1e11), InstrumentError, "over the most"),
        (order(order_type=OrderType.STOP, price=None, stop_price=0.05), InstrumentError, "stop_price"),
    ],
)
def test_what_the_venue_would_refuse_for_its_form_is_refused_here(sent: Order, error: type, words: str) -> None:
    with pytest.raises(error, match=words):
        check(sent, *listed())


def test_a_suspended_symbol_is_named() -> None:
    raw = {**recorded("rest_instruments_spot")["data"][0], "state": "suspend"}
    with pytest.raises(InstrumentError, match="not trading \\(state suspend\\)"):
        check(order(), *decode_instrument(raw, "BTC/USDT"))


@pytest.mark.parametrize("name", ["al0123456789ab-17", "t-1", "Z", "aZ-_.:/Z", "7f" * 16, "", "A1"])
def test_names_come_back_as_they_went(name: str) -> None:
    if not name:
        with pytest.raises(OrderError):
            encode_name(name)
        return
    written = encode_name(name)
    assert written.isalnum()
    assert len(written) <= 32
    assert decode_name(written) == name


@pytest.mark.parametrize("foreign", ["ZQ", "aZ", "oktswap6", "client-order-1", "Z9"])
def test_what_others_wrote_stays_as_it_is(foreign: str) -> None:
    assert decode_name(foreign) == foreign


# --- errors --------------------------------------------------------------------------------------------------------


def raised(code: str, kind: str, text: str, action: str = "submit", status: int = 200) -> AutoTraderError:
    """What becomes of an answer with this code, as ccxt raises it and our wire annotates it."""
    body = {"code": "1", "data": [{"sCode": code, "sMsg": text}], "msg": "All operations failed"}
    error = getattr(ccxt_errors, kind)("okx " + json.dumps(body))
    error.venue_code, error.venue_message = told(body)
    error.http_status = status
    return translate(error, action, "okx: x", CODES)


# What the venue's texts say, written down by hand: everything else in the catalogue is a plain refusal.
DOUBT = {
    "1", "2", "50001", "50004", "50005", "50013", "50026", "51767", "51774", "60015", "60016", "63999", "64008", "4004",
    "4005", "51011", "51016",
}  # fmt: skip
RATE = {"50011", "50061", "51113", "58102", "60014", "60023", "4003", "4008"}


def test_every_code_of_the_recorded_catalogue_lands_on_the_right_side() -> None:
    catalogue = recorded("doc_error_catalogue")
    assert len(catalogue) > 400
    for entry in catalogue:
        code, text = entry["code"], entry["text"]
        if not code.isdigit():
            continue
        error = raised(code, entry["ccxt_class"], text)
        expected = OutcomeUnknown if code in DOUBT else RateLimited if code in RATE else OrderRefused
        if entry["ccxt_class"] == "InvalidNonce" or code == "50036":
            expected = VenueUnavailable  # too late for its timestamp: not done, and may be sent again
        assert type(error) is expected, f"{code} {text}: {error!r}"


@pytest.mark.parametrize(
    ("code", "kind", "action", "expected"),
    [
        ("51603", "OrderNotFound", "query", OrderNotFound),
        ("51400", "OrderNotFound", "cancel", OrderNotFound),
        ("51410", "CancelPending", "cancel", OrderNotFound),
        ("51503", "ExchangeError", "amend", OrderNotFound),
        ("51510", "ExchangeError", "amend", OrderRefused),
        ("50101", "AuthenticationError", "query", AuthenticationFailed),
        ("50110", "PermissionDenied", "query", AuthenticationFailed),
        ("50100", "ExchangeError", "query", AuthenticationFailed),
        ("50004", "RequestTimeout", "cancel", VenueUnavailable),
        ("50999", "ExchangeError", "submit", OutcomeUnknown),
        ("51999", "ExchangeError", "submit", OrderRefused),
        ("77777", "ExchangeError", "submit", OutcomeUnknown),
    ],
)
def test_single_codes_say_what_they_mean_for_what_was_asked(code: str, kind: str, action: str, expected: type) -> None:
    assert type(raised(code, kind, "words", action)) is expected


def test_a_recorded_refusal_keeps_the_orders_own_code_and_words() -> None:
    body = recorded("err_51008_insufficient_margin")
    assert told(body) == ("51008", "Order failed. Insufficient USDT margin in account")
    error = ccxt_errors.InsufficientFunds("okx " + json.dumps(body))
    refused = translate(error, "submit", "okx: x", CODES)
    assert isinstance(refused, OrderRefused)
    assert (str(refused), refused.code) == ("Order failed. Insufficient USDT margin in account (51008)", "51008")


def test_a_fill_applied_twice_counts_once() -> None:
    (update,) = decode_push(push(), "BTC/USDT")
    view = Order("", "BTC/USDT", OrderSide.SELL, OrderType.IOC, 0.05, 50_100.0, client_order_id="x")
    assert update.fill is not None
    for _ in range(2):
        view.apply(Filled("x", update.timestamp_ns, update.fill))
    assert view.filled_quantity == 0.02
