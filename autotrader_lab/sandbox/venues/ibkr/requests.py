"""What clients may ask about markets and contracts, by the messages' numbers."""

from __future__ import annotations

from autotrader_lab.sandbox.venues.ibkr import details, reports
from autotrader_lab.sandbox.venues.ibkr.calls import on
from autotrader_lab.sandbox.venues.ibkr.contracts import Contract, find
from autotrader_lab.sandbox.venues.ibkr.gateway import Problem
from autotrader_lab.sandbox.venues.ibkr.history import Updates, history, read_history
from autotrader_lab.sandbox.venues.ibkr.placing import Uncovered, read_query
from autotrader_lab.sandbox.venues.ibkr.session import Session
from autotrader_lab.sandbox.venues.ibkr.ticks import Bars, Depth, Subscription, TickByTick, Ticks
from autotrader_lab.sandbox.venues.ibkr.wire import BadField, Fields

MOST_TICKERS = 100


def _one_contract(session: Session, fields: Fields) -> tuple[Contract, str]:
    query = read_query(fields)
    found = find(session.gateway.catalogue, query)
    if len(found) != 1:
        raise Problem(200, "No security definition has been found for the request")
    return found[0], query.exchange


def _subscribe(session: Session, subscription: Subscription) -> None:
    if subscription.request_id in session.subscriptions:
        raise Problem(322, "Error processing request.-'bV' : cause - Duplicate ticker id")
    if len(session.subscriptions) >= MOST_TICKERS:
        raise Problem(101, "Max number of tickers has been reached")
    session.subscriptions[subscription.request_id] = subscription
    subscription.start()


def _unsubscribe(session: Session, request_id: int, kinds: tuple[str, ...]) -> None:
    subscription = session.subscriptions.get(request_id)
    if subscription is None or subscription.kind not in kinds:
        raise Problem(300, f"Can't find EId with tickerId:{request_id}")
    del session.subscriptions[request_id]


# Market data


@on(1)
def _market_data(session: Session, fields: Fields) -> None:
    fields.skip(1)
    request_id = fields.integer()
    contract, _ = _one_contract(session, fields)
    if fields.flag():
        raise Uncovered("delta neutral contracts")
    fields.skip(1)  # generic ticks
    snapshot = fields.flag()
    subscription = Ticks(session.gateway.world, request_id, contract, session.send, session.data_type)
    if snapshot:
        subscription.start()
        session.send(["57", "1", str(request_id)])
    else:
        _subscribe(session, subscription)


@on(2)
def _cancel_market_data(session: Session, fields: Fields) -> None:
    fields.skip(1)
    _unsubscribe(session, fields.integer(), ("ticks",))


@on(59)
def _market_data_type(session: Session, fields: Fields) -> None:
    fields.skip(1)
    fields.integer()


@on(97)
def _tick_by_tick(session: Session, fields: Fields) -> None:
    request_id = fields.integer()
    contract, _ = _one_contract(session, fields)
    what = fields.text()
    if what not in TickByTick.TYPES:
        raise Problem(321, f"Error validating request.-'cb' : cause - Invalid tick-by-tick type {what}.")
    if contract.kind == "CASH" and what in ("Last", "AllLast"):
        raise Problem(10189, f"Failed to request tick-by-tick data:No {what} data for CASH contracts.")
    _subscribe(session, TickByTick(session.gateway.world, request_id, contract, session.send, what))


@on(98)
def _cancel_tick_by_tick(session: Session, fields: Fields) -> None:
    _unsubscribe(session, fields.integer(), ("tick by tick",))


@on(10)
def _depth(session: Session, fields: Fields) -> None:
    fields.skip(1)
    request_id = fields.integer()
    contract, _ = _one_contract(session, fields)
    rows, is_smart = fields.integer(), fields.flag()
    _subscribe(session, Depth(session.gateway.world, request_id, contract, session.send, rows, is_smart))


@on(11)
def _cancel_depth(session: Session, fields: Fields) -> None:
    fields.skip(1)
    _unsubscribe(session, fields.integer(), ("depth",))


@on(50)
def _real_time_bars(session: Session, fields: Fields) -> None:
    fields.skip(1)
    request_id = fields.integer()
    contract, _ = _one_contract(session, fields)
    _subscribe(session, Bars(session.gateway.world, request_id, contract, session.send))


@on(51)
def _cancel_real_time_bars(session: Session, fields: Fields) -> None:
    fields.skip(1)
    _unsubscribe(session, fields.integer(), ("bars",))


@on(20)
def _history(session: Session, fields: Fields) -> None:
    request_id = fields.integer()
    contract, _ = _one_contract(session, fields)
    fields.skip(1)  # includeExpired
    end, size, duration = fields.text(), fields.text(), fields.text()
    fields.skip(1)  # useRTH
    what, date_format, is_kept = fields.text(), fields.integer(), fields.flag()
    world = session.gateway.world
    if not session.pace.count_history(world.now_ms()):
        raise Problem(162, "Historical Market Data Service error message:Historical data request pacing violation")
    try:
        request = read_history(end, size, duration, what, date_format, world.now_ms())
    except BadField as wrong:
        raise Problem(321, f"Error validating request.-'bN' : cause - {wrong}") from wrong
    if is_kept and end:
        raise Problem(321, "Error validating request.-'bN' : cause - Set an empty end date to keep bars up to date.")
    session.send(history(world, contract, request_id, request))
    if is_kept:
        _subscribe(session, Updates(world, request_id, contract, session.send, request))


@on(25)
def _cancel_history(session: Session, fields: Fields) -> None:
    fields.skip(1)
    _unsubscribe(session, fields.integer(), ("history",))


@on(87)
def _head_timestamp(session: Session, fields: Fields) -> None:
    request_id = fields.integer()
    contract, _ = _one_contract(session, fields)
    first = session.gateway.world.tapes[contract.instrument.symbol].minutes[0].open_ms
    session.send(["88", str(request_id), reports.stamp(first)])


@on(90)
def _nothing_to_cancel(session: Session, fields: Fields) -> None:
    fields.skip(1)


# Contracts


@on(9)
def _contract_details(session: Session, fields: Fields) -> None:
    fields.skip(1)
    request_id = fields.integer()
    query = read_query(fields)
    found = find(session.gateway.catalogue, query)
    if not found:
        raise Problem(200, "No security definition has been found for the request")
    now_ms = session.gateway.world.now_ms()
    for contract in found:
        session.send(details.contract_details(contract, request_id, query.exchange, session.version, now_ms))
    session.send(["52", "1", str(request_id)])


@on(91)
def _market_rule(session: Session, fields: Fields) -> None:
    rule = details.market_rule(fields.integer())
    if rule is None:
        raise Problem(321, "Error validating request.-'cl' : cause - Invalid market rule id.")
    session.send(rule)


@on(78)
def _option_parameters(session: Session, fields: Fields) -> None:
    request_id = fields.integer()
    fields.skip(3)  # symbol, exchange, secType
    under = fields.integer()
    options = [c for c in session.gateway.catalogue if c.kind == "OPT" and c.under_con_id == under]
    for report in details.option_parameters(options, request_id):
        session.send(report)
    session.send(["76", str(request_id)])


@on(81)
def _matching_symbols(session: Session, fields: Fields) -> None:
    request_id, pattern = fields.integer(), fields.text().upper()
    found = [
        c
        for c in session.gateway.catalogue
        if c.kind != "OPT" and (c.symbol_code.startswith(pattern) or pattern in c.long_name.upper())
    ]
    session.send(details.symbol_samples(found, request_id, session.version))


@on(82)
def _depth_exchanges(session: Session, fields: Fields) -> None:
    session.send(details.depth_exchanges())
