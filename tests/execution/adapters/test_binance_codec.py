"""Binance's payloads read by plain functions: what the venue recorded and documents, not what our sandbox writes."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.execution.adapters.ccxt_binance import (
    CODES,
    decode_balances,
    decode_instrument,
    decode_order,
    decode_order_fills,
    decode_report,
    decode_trade,
)
from autotrader_lab.execution.adapters.ccxt_binance_send import check, encode_order
from autotrader_lab.execution.adapters.ccxt_updates import UpdateKind, to_report
from autotrader_lab.model.clock import to_ns
from autotrader_lab.model.errors import DataError, InstrumentError, OrderError
from autotrader_lab.model.instruments import Instrument, Instruments, plain_text
from autotrader_lab.model.orders import Cancelled, Filled, Order, OrderSide, OrderStatus, OrderType, Rejected
from tests.shared_data import shared


def recorded(name: str) -> Any:
    return json.loads(shared(f"payloads/binance/{name}.json").read_text())


def event_of(message: dict) -> dict:
    """The event inside the WebSocket API's wrapping, or a combined stream's."""
    return message.get("event") or message.get("data") or message


def listed() -> tuple[Instrument, Any]:
    return decode_instrument(recorded("rest_exchange_info_btcusdt")["symbols"][0], "BTC/USDT")


# --- the stream ----------------------------------------------------------------------------------------------------


def test_a_recorded_limit_order_is_accepted_and_then_filled_with_its_fee_in_bnb() -> None:
    updates = [decode_report(event_of(message), "ACH/USDT") for message in recorded("seq_spot_limit_filled")]
    assert [update.kind for update in updates] == [UpdateKind.ACCEPTED, UpdateKind.FILLED]
    order = Order("", "ACH/USDT", OrderSide.BUY, OrderType.LIMIT, 800.0, 0.00658, client_order_id="mine")
    for update in updates:
        assert update.client_order_ids == ("bM9WrFJeamQQhcCgpLuakC",)
        order.apply(to_report(update, "mine"))
    assert order.status is OrderStatus.FILLED
    assert order.order_id == "1281722417"
    assert order.avg_fill_price == 0.00656
    assert order.commission_by_currency == {"BNB": Decimal("0.00000632")}
    fill = updates[1].fill
    assert (fill.execution_id, fill.liquidity, to_ns(fill.timestamp)) == ("65044226", "taker", 1772459340067 * 10**6)


def test_a_recorded_fok_that_finds_nothing_is_accepted_and_expires() -> None:
    kinds = [decode_report(event_of(m), "ACT/USDT").kind for m in recorded("seq_spot_fok_expired")]
    assert kinds == [UpdateKind.ACCEPTED, UpdateKind.EXPIRED]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("doc_execution_report_new", UpdateKind.ACCEPTED),
        ("ws_exec_report_subscription_wrapped", UpdateKind.FILLED),
        ("exec_expired", UpdateKind.EXPIRED),
        ("exec_rejected", UpdateKind.REJECTED),
        ("exec_pending_cancel", UpdateKind.CANCELLED),
        ("exec_empty_client_id", UpdateKind.FILLED),
    ],
)
def test_the_execution_type_says_what_happened(name: str, kind: UpdateKind) -> None:
    assert decode_report(event_of(recorded(name)), "X/Y").kind is kind


def test_a_cancel_after_a_partial_fill_is_no_second_fill() -> None:
    event = event_of(recorded("exec_pending_cancel"))
    assert Decimal(event["z"]) > 0, "this one was partly executed before"
    update = decode_report(event, "ETH/USDT")
    assert update.fill is None
    assert isinstance(to_report(update, "mine"), Cancelled)


def test_a_cancel_is_found_by_the_orders_own_id_not_by_the_requests() -> None:
    event = {**event_of(recorded("exec_pending_cancel")), "c": "request-id", "C": "order-id"}
    assert decode_report(event, "ETH/USDT").client_order_ids == ("order-id", "request-id")


def test_an_empty_client_id_leaves_the_venues_id_to_find_it_by() -> None:
    update = decode_report(event_of(recorded("exec_empty_client_id")), "ETH/USDT")
    assert (update.client_order_ids, update.order_id) == ((), "1234567890")


def test_a_rejection_keeps_the_venues_reason() -> None:
    report = to_report(decode_report(event_of(recorded("exec_rejected")), "BTC/USDT"), "mine")
    assert isinstance(report, Rejected)
    assert (report.reason, report.code) == ("GTX_ORDER_REJECT", "GTX_ORDER_REJECT")


def test_a_trade_without_a_price_is_not_booked_at_zero() -> None:
    with pytest.raises(DataError, match="12345678"):
        decode_report(event_of(recorded("exec_trade_l_zero")), "ETH/USDT")


@pytest.mark.parametrize(
    ("status", "kind"), [("EXPIRED_IN_MATCH", UpdateKind.EXPIRED), ("NEW", None), ("PARTIALLY_FILLED", None)]
)
def test_self_trade_prevention_ends_an_order_only_when_the_status_says_so(status: str, kind: UpdateKind | None) -> None:
    event = {**event_of(recorded("doc_execution_report_new")), "x": "TRADE_PREVENTION", "X": status}
    update = decode_report(event, "ETH/BTC")
    assert (update and update.kind) is kind


def test_an_amendment_carries_the_new_total_and_both_ids() -> None:
    event = {**event_of(recorded("doc_execution_report_new")), "x": "REPLACED", "q": "0.50000000", "C": "before"}
    update = decode_report(event, "ETH/BTC")
    assert (update.kind, update.quantity) == (UpdateKind.AMENDED, Decimal("0.5"))
    assert update.client_order_ids == ("before", "mUvoqJxFIILMdfAW5iGSOW")


@pytest.mark.parametrize("name", ["ws_exec_report_2021_b", "ws_outbound_account_position_2021", "doc_balance_update"])
def test_only_order_events_reach_the_decoder(name: str) -> None:
    adapter = BinanceAdapter("k", "s", testnet=True)
    adapter.instruments = Instruments([Instrument("ETH/BTC", venue_symbol="ETHBTC")], "binance")
    event = event_of(recorded(name))
    is_order = event.get("e") == "executionReport"
    assert adapter._tap({"subscriptionId": 0, "event": event}) is True, "ccxt is spared every private event"
    assert adapter._stream._inbox.qsize() == int(is_order)


def test_a_foreign_symbol_is_passed_over() -> None:
    adapter = BinanceAdapter("k", "s", testnet=True)
    adapter.instruments = Instruments([Instrument("ETH/BTC", venue_symbol="ETHBTC")], "binance")
    assert adapter._decode(event_of(recorded("ws_exec_report_subscription_wrapped"))) == []


# --- answers -------------------------------------------------------------------------------------------------------


def test_a_documented_full_answer_gives_five_fills_that_sum_up() -> None:
    raw = recorded("doc_order_full")
    order, fills = decode_order(raw, "BTC/USDT"), decode_order_fills(raw, "BTC/USDT")
    assert (order.status, order.order_type, order.side) == (OrderStatus.FILLED, OrderType.MARKET, OrderSide.SELL)
    assert [fill.execution_id for fill in fills] == ["56", "57", "58", "59", "60"]
    assert sum(fill.quantity for fill in fills) == order.filled_quantity == 10
    assert sum(fill.commission for fill in fills) == pytest.approx(39.983)
    view = Order("", "BTC/USDT", OrderSide.SELL, OrderType.MARKET, 10.0, client_order_id="x")
    for fill in (*fills, *fills):
        view.apply(Filled("x", to_ns(fill.timestamp), fill))
    assert (view.filled_quantity, view.status) == (10.0, OrderStatus.FILLED)


def test_a_market_order_that_found_nothing_expired() -> None:
    order = decode_order(recorded("rest_market_expired_testnet"), "BTC/BUSD")
    assert (order.status, order.filled_quantity, order.client_order_id) == (OrderStatus.EXPIRED, 0.0, "x-...")


def test_a_cancels_answer_is_read_with_the_orders_own_id() -> None:
    single, _, order_list = recorded("doc_cancel_all_with_order_list")
    order = decode_order(single, "BTC/USDT")
    assert (order.client_order_id, order.status) == ("E6APeyTJvkMvLMYMqu1KQ4", OrderStatus.CANCELLED)
    (first, second) = [decode_order(report, "BTC/USDT") for report in order_list["orderReports"]]
    assert (first.order_type, first.stop_price) == (OrderType.STOP_LIMIT, 0.378131)
    assert second.post_only


def test_an_amendments_answer_is_read() -> None:
    raw = recorded("doc_order_amend_single")
    order = decode_order({**raw["amendedOrder"], "transactTime": raw["transactTime"]}, "BTC/USDT")
    assert (order.quantity, order.price, order.client_order_id) == (5.0, 6.0, "5xrgbMyg6z36NzBn2pbT8H")


@pytest.mark.parametrize("rubbish", ["", None, "<html>Welcome</html>", {}, [], {"orderId": 1}, {"status": "NEW"}])
def test_an_answer_that_is_no_order_says_so(rubbish: Any) -> None:
    with pytest.raises(DataError, match="no order in the answer"):
        decode_order(rubbish, "BTC/USDT")


def test_the_bare_acknowledgement_is_no_evidence_of_a_state() -> None:
    with pytest.raises(DataError):
        decode_order(recorded("doc_order_ack"), "BTC/USDT")


def test_a_trade_of_the_account_is_a_fill() -> None:
    raw = {
        "symbol": "BNBBTC", "id": 28457, "orderId": 100234, "price": "4.00000100", "qty": "12.00000000",
        "commission": "10.10000000", "commissionAsset": "BNB", "time": 1499865549590, "isBuyer": True,
        "isMaker": False, "isBestMatch": True,
    }  # fmt: skip
    fill = decode_trade(raw, "BNB/BTC")
    assert (fill.execution_id, fill.side, fill.quantity, fill.price) == ("28457", OrderSide.BUY, 12.0, 4.000001)
    assert (fill.commission, fill.fee_currency, fill.liquidity) == (10.1, "BNB", "taker")


def test_balances_sum_free_and_reserved_and_leave_out_nothing_else() -> None:
    assert decode_balances(recorded("rest_account_info")) == {}, "the recorder zeroed them"
    raw = {"balances": [{"asset": "BTC", "free": "0.10000001", "locked": "0.20000000"}]}
    assert decode_balances(raw) == {"BTC": Decimal("0.30000001")}


# --- instruments and what we send ----------------------------------------------------------------------------------


def test_a_recorded_symbol_is_exact() -> None:
    instrument, rules = listed()
    assert (str(instrument.tick_size), str(instrument.lot_size)) == ("0.01", "0.00001")
    assert (instrument.min_quantity, instrument.max_quantity) == (Decimal("0.00001"), Decimal(9000))
    assert (instrument.min_notional, instrument.max_notional) == (Decimal(10), None)
    assert (instrument.base, instrument.quote, instrument.venue_symbol) == ("BTC", "USDT", "BTCUSDT")
    assert rules.trading
    assert rules.max_market_quantity == Decimal("328.37710865")


def test_the_newer_filters_name_is_read_too() -> None:
    filters = {entry["filterType"]: entry for entry in recorded("doc_filters")}
    names = ("PRICE_FILTER", "LOT_SIZE", "NOTIONAL", "MARKET_LOT_SIZE")
    raw = {**recorded("rest_exchange_info_btcusdt")["symbols"][0], "filters": [filters[name] for name in names]}
    instrument, rules = decode_instrument(raw, "BTC/USDT")
    assert (instrument.min_notional, instrument.max_notional) == (Decimal(10), Decimal(10000))
    assert not rules.notional_binds_market


def test_a_symbol_without_a_grid_is_no_instrument() -> None:
    raw = {**recorded("rest_exchange_info_btcusdt")["symbols"][0], "filters": []}
    with pytest.raises(DataError, match="LOT_SIZE, PRICE_FILTER"):
        decode_instrument(raw, "BTC/USDT")


def limit(**fields: Any) -> Order:
    given = {"quantity": 0.01, "price": 20_000.0, "client_order_id": "c1", **fields}
    return Order("", "BTC/USDT", OrderSide.BUY, given.pop("order_type", OrderType.LIMIT), **given)


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (limit(), {"type": "LIMIT", "timeInForce": "GTC", "price": "20000", "quantity": "0.01"}),
        (limit(order_type=OrderType.IOC), {"type": "LIMIT", "timeInForce": "IOC", "price": "20000"}),
        (limit(time_in_force="FOK"), {"type": "LIMIT", "timeInForce": "FOK", "price": "20000"}),
        (limit(order_type=OrderType.MARKET, price=None), {"type": "MARKET", "quantity": "0.01"}),
        (limit(post_only=True), {"type": "LIMIT_MAKER", "price": "20000"}),
        (
            limit(order_type=OrderType.STOP, price=None, stop_price=19_000.5),
            {"type": "STOP_LOSS", "stopPrice": "19000.5"},
        ),
        (
            limit(order_type=OrderType.STOP_LIMIT, stop_price=19_000.0),
            {"type": "STOP_LOSS_LIMIT", "stopPrice": "19000", "price": "20000", "timeInForce": "GTC"},
        ),
    ],
    ids=lambda value: value.order_type.value if isinstance(value, Order) else "",
)
def test_an_order_is_written_in_the_venues_words(order: Order, expected: dict) -> None:
    params = encode_order(order, Instrument("BTC/USDT", venue_symbol="BTCUSDT"))
    fixed = {"symbol": "BTCUSDT", "side": "BUY", "newClientOrderId": "c1", "newOrderRespType": "FULL"}
    assert params == {"quantity": "0.01", **fixed, **expected}


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("0.00000001", "0.00000001"),
        ("1E+3", "1000"),
        ("0.10000000", "0.1"),
        ("123456789.12345678", "123456789.12345678"),
    ],
)
def test_numbers_are_written_in_full_without_an_exponent(value: str, written: str) -> None:
    assert plain_text(Decimal(value)) == written


def test_small_floats_go_out_as_a_person_would_write_them() -> None:
    params = encode_order(limit(quantity=1e-05, price=0.1 + 0.2), Instrument("BTC/USDT", venue_symbol="BTCUSDT"))
    assert params["quantity"] == "0.00001"
    assert params["price"] == "0.30000000000000004", "and rounding is never done in silence: check refuses this"
    instrument, rules = listed()
    with pytest.raises(InstrumentError, match="off the grid"):
        check(limit(price=0.1 + 0.2), instrument, rules)


def test_a_type_the_symbol_does_not_take_is_named() -> None:
    instrument, rules = listed()
    with pytest.raises(OrderError, match="STOP_LOSS orders are not taken here; it takes LIMIT, LIMIT_MAKER"):
        check(limit(order_type=OrderType.STOP, price=None, stop_price=19_000.0), instrument, rules)


def test_a_symbol_on_a_break_is_named() -> None:
    raw = {**recorded("rest_exchange_info_btcusdt")["symbols"][0], "status": "BREAK"}
    with pytest.raises(InstrumentError, match="not trading \\(status BREAK\\)"):
        check(limit(), *decode_instrument(raw, "BTC/USDT"))


def test_a_market_order_has_a_limit_of_its_own() -> None:
    instrument, rules = listed()
    check(limit(quantity=1000.0), instrument, rules)
    with pytest.raises(InstrumentError, match=r"over the most of 328\.37710865"):
        check(limit(order_type=OrderType.MARKET, price=None, quantity=1000.0), instrument, rules)


def test_every_code_we_give_a_meaning_is_documented_by_the_venue() -> None:
    documented = {str(entry["code"]) for entry in recorded("doc_error_catalogue")["codes"]}
    ccxt_only = {"-2008", "-2026", "-2038", "-2039"}
    assert set(CODES) - ccxt_only <= documented
