"""FXCM's recorded messages, decoded; and what we send, against what was recorded of others."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from fxcm_kit import fix, parse, recorded, wire
from shared_data import SHARED, shared

from autotrader_lab.execution.adapters.fix import FixMessage, Framer
from autotrader_lab.execution.adapters.fxcm import decode, encode
from autotrader_lab.execution.adapters.fxcm.decode import Phase
from autotrader_lab.model.errors import DataError, InstrumentError, OrderError
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import Order, OrderSide, OrderType

FILES = sorted(path.stem for path in (SHARED / "payloads" / "fxcm").glob("fix_*.json")) or ["fix_exec_filled"]
DECODERS = {
    "8": decode.decode_execution,
    "W": decode.decode_quote,
    "BA": decode.decode_account,
    "AP": decode.decode_ticket,
}


@pytest.mark.parametrize("name", FILES)
def test_recorded_messages_are_framed_exactly_or_skipped(name: str) -> None:
    for entry in recorded(name):
        framer = Framer()
        messages = framer.feed(wire(entry))
        if entry["checksum_ok"] and entry["body_length_ok"]:
            body = [(int(tag), value) for tag, value in entry["fields"] if tag not in ("8", "9", "10")]
            assert [list(message.fields) for message in messages] == [body]
            assert framer.garbled == 0
        else:
            assert messages == []


@pytest.mark.parametrize("name", FILES)
def test_every_recorded_message_of_a_kind_we_take_is_understood(name: str) -> None:
    for entry in recorded(name):
        decoder = DECODERS.get(entry["msg_type"])
        if decoder is not None and entry["checksum_ok"]:
            decoder(parse(wire(entry)))


def test_an_execution_is_read() -> None:
    execution = decode.decode_execution(parse(wire(recorded("fix_exec_filled_2")[0])))
    assert (execution.order_id, execution.client_ids, execution.account) == (
        "225010828",
        ("635953582874324718",),
        "01537581",
    )
    assert (execution.symbol, execution.side, execution.order_type) == ("AUD/CAD", OrderSide.SELL, OrderType.MARKET)
    assert (execution.phase, execution.quantity, execution.filled) == (Phase.FILLED, 100000, 100000)
    assert (execution.average, execution.last_price, execution.last_quantity) == (
        Decimal("0.99631"),
        Decimal("0.99631"),
        100000,
    )
    assert (execution.position_id, execution.reason, execution.time_in_force) == ("89061181", "", "GTC")
    # 60 tells 06:18:07; the message was sent in that very second, so its time is the finer one.
    assert execution.timestamp_ns == 1459750687_634_000_000


def test_a_refusal_keeps_its_reason_and_code() -> None:
    refused = decode.decode_execution(parse(wire(recorded("fix_seq_trailing_stop_3")[2])))
    assert (refused.phase, refused.order_id, refused.filled) == (Phase.REJECTED, "", 0)
    assert refused.code == "ORA-20115"
    assert refused.reason.endswith("Traling step did not pass validation.")
    assert not refused.is_unknown_order


def test_a_waiting_stop_is_working() -> None:
    for entry in recorded("fix_seq_trailing_stop_1")[1:]:
        execution = decode.decode_execution(parse(wire(entry)))
        assert (execution.phase, execution.order_id, execution.filled) == (Phase.WORKING, "60513656", 0)
    assert execution.price == Decimal("104.404")


PARTIAL = (
    "35=8|52=20150304-10:00:00.100|1=1|11=p|6={average}|14={filled}|17=5|31=85.488|32={last}|37=31654622|38=1000000|"
    "39={status}|40=4|44=85.488|54=2|55=CAD/JPY|59=3|60=20150304-10:00:00|99=0|150={kind}|151={left}"
)


@pytest.mark.parametrize(
    ("status", "kind", "filled", "phase"),
    [
        ("0", "0", 0, Phase.WORKING),
        ("7", "7", 0, Phase.WORKING),
        ("1", "F", 600000, Phase.WORKING),
        ("7", "F", 1000000, Phase.WORKING),
        ("2", "F", 1000000, Phase.FILLED),
        ("4", "4", 600000, Phase.EXPIRED),
        ("8", "4", 600000, Phase.EXPIRED),
        ("8", "8", 600000, Phase.EXPIRED),
        ("8", "8", 0, Phase.REJECTED),
        ("C", "C", 0, Phase.EXPIRED),
        ("3", "3", 0, Phase.EXPIRED),
        ("6", "6", 0, Phase.WORKING),
        ("E", "E", 0, Phase.WORKING),
    ],
)
def test_the_life_of_an_order_in_fxcms_statuses(status: str, kind: str, filled: int, phase: Phase) -> None:
    """From the partial fill that FXCM's pages print: it ends 'rejected' with 600,000 executed."""
    text = PARTIAL.format(average="85.488", filled=filled, last=filled, status=status, kind=kind, left=1000000 - filled)
    execution = decode.decode_execution(fix(text))
    assert (execution.phase, execution.filled) == (phase, filled)


def test_a_waiting_order_that_was_cancelled_is_cancelled() -> None:
    text = PARTIAL.format(average="0", filled=0, last=0, status="4", kind="4", left=0).replace("59=3", "59=1")
    assert decode.decode_execution(fix(text)).phase is Phase.CANCELLED


def test_a_quote_is_read_and_an_indicative_one_told_apart() -> None:
    message = parse(wire(recorded("fix_marketdatasnapshot")[0]))
    quote, tradeable = decode.decode_quote(message)
    assert (quote.symbol, quote.bid, quote.ask, quote.bid_size) == ("EUR/JPY", 126.085, 126.093, 0.0)
    assert quote.timestamp_ns == 1534513446_000_000_000
    assert tradeable
    for tag, value in ((537, "0"), (276, "B")):
        changed = FixMessage([(name, value if name == tag else text) for name, text in message.fields])
        assert decode.decode_quote(changed)[1] is False


def test_an_account_is_read() -> None:
    state = decode.decode_account(parse(wire(recorded("fix_collateralreport")[0])))
    assert (state.account, state.balance, state.lot_size) == ("01960313", Decimal("1000562.37"), 1000)
    assert (state.hedging, state.used_margin, state.session_id, state.is_last) == (True, 0, "U100D1", True)


def test_a_closed_position_names_both_orders() -> None:
    ticket = decode.decode_ticket(parse(wire(recorded("fix_position_closed")[0])))
    assert (ticket.symbol, ticket.quantity, ticket.is_closed) == ("EUR/USD", 10000, True)
    assert (ticket.open_price, ticket.close_price) == (Decimal("1.06572"), Decimal("1.12979"))
    assert (ticket.profit, ticket.commission, ticket.interest) == (Decimal("640.7"), Decimal("0.8"), Decimal("-6.08"))
    assert ticket.open_ids[1] == "202027586"
    assert ticket.close_ids[1] == "204437509"
    assert (ticket.closed_ns - ticket.opened_ns) // 10**9 == 39 * 86400 + 10 * 3600 + 26 * 60 + 47


def test_the_error_texts_of_the_catalogue_carry_their_codes() -> None:
    for entry in json.loads(Path(shared("payloads/fxcm/doc_error_text_catalogue.json")).read_text(encoding="utf-8")):
        text = f"19915;DAS 19915: ZDas Exception {entry['code']}: {entry['text'][:60]}"
        told = fix(f"35=8|37=NONE|39=8|14=0|54=1|55=EUR/USD|11=x|150=8|58={text}")
        assert decode.decode_execution(told).code == entry["code"]


SECURITIES = (
    "35=h|52=20180817-13:00:00|335=S1|336=FXCM|340=2|625=U100D1|9016=2|9017=BASE_CRNCY|9018=EUR|"
    "9017=BASE_UNIT_SIZE|9018=1000|146=3|"
    "55=EUR/USD|15=EUR|228=1|231=1|460=4|9001=5|9002=0.0001|9080=1|9092=0|9094=50000000|9095=1|9096=O|"
    "55=USD/JPY|15=USD|228=1|231=1|460=4|9001=3|9002=0.01|9080=1|9094=50000000|9095=1|9096=O|"
    "55=SPX500|15=USD|228=1|231=10|460=12|9001=2|9002=0.1|9080=2|9094=2000|9095=1|9096=C"
)


def test_instruments_take_their_grid_from_the_session_and_their_lot_from_the_account() -> None:
    account = decode.decode_account(parse(wire(recorded("fix_collateralreport")[0])))
    eur, yen, index = decode.decode_instruments(fix(SECURITIES), account)
    assert (eur.symbol, eur.base, eur.quote, eur.tick_size) == ("EUR/USD", "EUR", "USD", Decimal("0.00001"))
    assert (eur.lot_size, eur.min_quantity, eur.max_quantity) == (1000, 1000, 50000000)
    assert (yen.tick_size, yen.quote) == (Decimal("0.001"), "JPY")
    assert (index.lot_size, index.min_quantity, index.max_quantity, index.base) == (1, 1, 2000, "")
    assert (index.multiplier, index.quote) == (10, "USD")
    assert decode.decode_parameters(fix(SECURITIES)) == {"BASE_CRNCY": "EUR", "BASE_UNIT_SIZE": "1000"}


@pytest.mark.parametrize(
    ("decoder", "text", "wrong"),
    [
        (decode.decode_execution, "35=8|37=1|39=Z|54=1", "unknown status 'Z'"),
        (decode.decode_execution, "35=8|37=1|39=0|54=9", "side '9'"),
        (decode.decode_execution, "35=8|37=1|54=1", "no tag 39"),
        (decode.decode_execution, "35=8|37=1|39=0|54=1|14=many", "tag 14 is 'many', not a number"),
        (decode.decode_execution, "35=8|37=1|39=0|54=1|14=NaN", "not a finite number"),
        (decode.decode_execution, "35=8|37=1|39=0|54=1|60=yesterday", "not a UTC timestamp"),
        (decode.decode_execution, "35=8|37=1|39=0|54=1|60=20230230-10:00:00", "not a date"),
        (decode.decode_quote, "35=W|55=X|52=20180817-13:00:00|268=1|269=0|270=1", "without an ask"),
        (decode.decode_quote, "35=W|55=X|52=20180817-13:00:00|268=3|269=0|270=1|269=1|270=2", "counts 3 entries"),
        (decode.decode_account, "35=BA|1=7", "no tag 901"),
        (decode.decode_ticket, "35=AP|9041=1|55=X|702=1|703=TQ", "0 long and 0 short"),
        (decode.decode_instruments, "35=h|146=1|55=X|9001=99", "99 price digits"),
        (decode.decode_instruments, "35=h|146=1|55=X", "no tag 9001"),
        (decode.decode_refusal, "35=3|45=first", "not a whole number"),
    ],
)
def test_what_cannot_be_meant_is_named(decoder: object, text: str, wrong: str) -> None:
    with pytest.raises(DataError, match=wrong):
        decoder(fix(text))  # type: ignore[operator]


def test_refusals_of_every_kind_name_what_they_refuse() -> None:
    reject = decode.decode_refusal(fix("35=3|45=7|371=44|372=D|373=5|58=Value is incorrect"))
    assert (reject.reference, reject.refused_type, reject.reason) == (7, "D", "Value is incorrect")
    cancel = decode.decode_refusal(fix("35=9|11=c1|37=5|39=2|41=o1|102=0|434=1|58=Too late"))
    assert (cancel.refused_type, cancel.client_ids, cancel.code) == ("F", ("c1", "o1"), "0")
    business = decode.decode_refusal(fix("35=j|45=9|372=AF|379=M1|380=3|58=Unsupported"))
    assert (business.reference, business.client_ids, business.code) == (9, ("M1",), "3")
    quotes = decode.decode_refusal(fix("35=Y|262=V1|281=0"))
    assert (quotes.refused_type, quotes.client_ids, quotes.reason) == ("V", ("V1",), "Y 0")


EURUSD = Instrument(
    "EUR/USD",
    Decimal("0.00001"),
    Decimal(1000),
    "fxcm",
    "EUR/USD",
    "EUR",
    "USD",
    min_quantity=Decimal(1000),
    max_quantity=Decimal(50000000),
)
NOW = 1459750687_432_000_000


def _order(kind: OrderType, quantity: float = 100000, **more: object) -> Order:
    return Order("", "EUR/USD", OrderSide.SELL, kind, quantity, client_order_id="635953582874324718", **more)  # type: ignore[arg-type]


def test_a_market_order_is_written_as_the_recorded_one() -> None:
    entry = recorded("fix_new_order_market_2")[0]
    theirs = parse(wire(entry))
    written = dict(encode.new_order(_order(OrderType.MARKET), EURUSD, "01537581", NOW, closes="89061181"))
    for tag in (1, 11, 38, 40, 54, 59, 9041):
        assert written[tag] == theirs.get(tag)
    assert written[60].startswith(theirs.get(60))


def test_orders_carry_the_prices_and_times_of_their_type() -> None:
    limit = dict(encode.new_order(_order(OrderType.LIMIT, price=1.1), EURUSD, "1", NOW))
    assert (limit[40], limit[44], limit[59], 99 in limit) == ("2", "1.1", "1", False)
    assert dict(encode.new_order(_order(OrderType.IOC, price=1.1), EURUSD, "1", NOW))[59] == "3"
    assert dict(encode.new_order(_order(OrderType.FOK, price=1.1), EURUSD, "1", NOW))[59] == "4"
    stop = dict(encode.new_order(_order(OrderType.STOP, stop_price=1.05, time_in_force="DAY"), EURUSD, "1", NOW))
    assert (stop[40], stop[99], stop[59], 44 in stop) == ("3", "1.05", "0", False)


@pytest.mark.parametrize(
    ("order", "error", "wrong"),
    [
        (_order(OrderType.STOP_LIMIT, price=1.1, stop_price=1.1), OrderError, "has no stop_limit order"),
        (_order(OrderType.STOP, stop_price=1.1, time_in_force="IOC"), OrderError, "a stop waits, IOC does not"),
        (_order(OrderType.LIMIT, price=1.1, post_only=True), OrderError, "no post-only"),
        (_order(OrderType.MARKET, 1500), InstrumentError, "off the grid of 1000; nearest are 1000 and 2000"),
        (_order(OrderType.MARKET, 51000000), InstrumentError, "over the most of 50000000; split"),
        (_order(OrderType.LIMIT, price=1.100001), InstrumentError, "off the grid"),
        (_order(OrderType.STOP, stop_price=1.100001), InstrumentError, "stop_price 1.100001 is off the grid"),
        (_order(OrderType.MARKET, -1), OrderError, "must be a positive number"),
    ],
)
def test_what_fxcm_would_refuse_for_its_form_is_refused_before(order: Order, error: type, wrong: str) -> None:
    with pytest.raises(error, match=wrong):
        encode.check(order, EURUSD)


def test_an_id_that_fix_cannot_carry_is_refused() -> None:
    for name in ("ü", "x" * 51):
        with pytest.raises(OrderError, match="at most 50 ASCII"):
            encode.check(Order("", "EUR/USD", OrderSide.BUY, OrderType.MARKET, 1000, client_order_id=name), EURUSD)


def test_requests_look_like_the_recorded_ones() -> None:
    asked = dict(encode.positions_request("01958448", "4", 1447275672_000_000_000))
    theirs = parse(wire(recorded("fix_requestforpositions")[0]))
    for tag in (1, 581, 710, 715, 724):
        assert asked[tag] == theirs.get(tag)
    closed = dict(encode.positions_request("01958448", "5", 1447275672_000_000_000, 1426032000_000_000_000))
    theirs = parse(wire(recorded("fix_requestforpositions_2")[0]))
    for tag in (715, 724, 9012, 9014):
        assert closed[tag] == theirs.get(tag)
    inquiry = parse(wire(recorded("fix_collateralinquiry")[0]))
    assert dict(encode.account_request("3")) == {263: inquiry.get(263), 909: inquiry.get(909)}


def test_a_message_shows_no_password() -> None:
    login = FixMessage([(35, "BE"), *encode.login_request("fx1294946", "hunter2", "1")])
    assert "hunter2" not in repr(login)
    assert "fx1294946" in repr(login)
