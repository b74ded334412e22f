"""What clients may ask about orders and the account, by the messages' numbers."""

from __future__ import annotations

from autotrader_lab.sandbox.venues.ibkr import reports
from autotrader_lab.sandbox.venues.ibkr.calls import on
from autotrader_lab.sandbox.venues.ibkr.gateway import Problem
from autotrader_lab.sandbox.venues.ibkr.placing import read_ticket
from autotrader_lab.sandbox.venues.ibkr.portfolio import Profit, cents
from autotrader_lab.sandbox.venues.ibkr.session import Session
from autotrader_lab.sandbox.venues.ibkr.wire import UNSET, Fields, number

__all__ = ["account_rows", "send_profit"]

Report = list[str]


# Orders


@on(3)
def _place(session: Session, fields: Fields) -> None:
    ticket = read_ticket(fields, session.version)
    gateway = session.gateway
    if ticket.what_if:
        api, figures = gateway.what_if(ticket)
        session.send(reports.open_order(api, gateway.account.name, session.version, figures=figures))
    else:
        gateway.place(session.client_id, ticket)


@on(4)
def _cancel(session: Session, fields: Fields) -> None:
    fields.skip(1)
    session.gateway.cancel(session.client_id, fields.integer())


@on(58)
def _cancel_everything(session: Session, fields: Fields) -> None:
    session.gateway.cancel_everything()


def _send_open(session: Session, client_id: int | None) -> None:
    gateway = session.gateway
    for api in gateway.open_orders(client_id):
        session.send(reports.open_order(api, gateway.account.name, session.version))
        session.send(reports.order_status(api))
    session.send(["53", "1"])


@on(5)
def _open_orders(session: Session, fields: Fields) -> None:
    _send_open(session, session.client_id)


@on(16)
def _all_open_orders(session: Session, fields: Fields) -> None:
    _send_open(session, None)


@on(15, 14)
def _accepted(session: Session, fields: Fields) -> None:
    fields.skip(2)


@on(99)
def _completed_orders(session: Session, fields: Fields) -> None:
    gateway = session.gateway
    for api in gateway.completed_orders():
        session.send(reports.completed_order(api, gateway.account.name, session.version))
    session.send(["102"])


@on(7)
def _executions(session: Session, fields: Fields) -> None:
    fields.skip(1)
    request_id, client_id = fields.integer(), fields.integer()
    account, since, symbol = fields.text(), fields.text(), fields.text()
    kind, exchange, side = fields.text(), fields.text(), fields.text()
    gateway = session.gateway
    for api, fill in gateway.executions():
        row = reports.execution(api, fill, gateway.account.name, session.version, request_id)
        if (
            client_id in (0, api.client_id)
            and account in ("", gateway.account.name)
            and (not since or row[15][:17] >= since.replace("-", " ", 1)[:17])
            and symbol in ("", api.contract.symbol_code)
            and kind in ("", api.contract.kind)
            and exchange in ("", row[10], "SMART")
            and side in ("", row[18], str(api.ticket.side))
        ):
            session.send(row)
            session.send(reports.commission_report(api, fill))
    session.send(["55", "1", str(request_id)])


@on(8)
def _ids(session: Session, fields: Fields) -> None:
    session.send(["9", "1", str(session.gateway.next_id(session.client_id))])


# The account


@on(17)
def _managed_accounts(session: Session, fields: Fields) -> None:
    session.send(["15", "1", session.gateway.account.name])


def account_rows(session: Session) -> list[Report]:
    """Messages 6, 7, 8 and 54: the account as it stands."""
    portfolio, name = session.gateway.portfolio, session.gateway.account.name
    rows = [["6", "2", key, value, currency, name] for key, value, currency in portfolio.values()]
    minutes = session.gateway.world.now_ms() // 60_000
    return [
        *rows,
        *portfolio.portfolio(),
        ["8", "1", f"{minutes // 60 % 24:02d}:{minutes % 60:02d}"],
        ["54", "1", name],
    ]


@on(6)
def _account_updates(session: Session, fields: Fields) -> None:
    fields.skip(1)
    session.wants_account, account = fields.flag(), fields.text()
    if account not in ("", session.gateway.account.name):
        raise Problem(321, f"Error validating request.-'bO' : cause - Invalid account code '{account}'.")
    if session.wants_account:
        for row in account_rows(session):
            session.send(row)


@on(76)
def _account_updates_multi(session: Session, fields: Fields) -> None:
    fields.skip(1)
    request_id = fields.integer()
    session.multi_requests.add(request_id)
    name = session.gateway.account.name
    for key, value, currency in session.gateway.portfolio.values():
        session.send(["73", "1", str(request_id), name, "", key, value, currency])
    session.send(["74", "1", str(request_id)])


@on(77)
def _cancel_account_updates_multi(session: Session, fields: Fields) -> None:
    fields.skip(1)
    session.multi_requests.discard(fields.integer())


@on(62)
def _summary(session: Session, fields: Fields) -> None:
    fields.skip(1)
    request_id = fields.integer()
    fields.skip(1)  # group
    tags = fields.text()
    if len(session.summary_requests) >= 2 and request_id not in session.summary_requests:
        raise Problem(
            322, "Error processing request.-'bT' : cause - Maximum number of account summary requests exceeded"
        )
    session.summary_requests[request_id] = tags
    name = session.gateway.account.name
    for tag, value, currency in session.gateway.portfolio.summary(tags):
        session.send(["63", "1", str(request_id), name, tag, value, currency])
    session.send(["64", "1", str(request_id)])


@on(63)
def _cancel_summary(session: Session, fields: Fields) -> None:
    fields.skip(1)
    session.summary_requests.pop(fields.integer(), None)


@on(61)
def _positions(session: Session, fields: Fields) -> None:
    session.wants_positions = True
    for row in session.gateway.portfolio.positions():
        session.send(row)
    session.send(["62", "1"])


@on(64)
def _cancel_positions(session: Session, fields: Fields) -> None:
    session.wants_positions = False


@on(74)
def _positions_multi(session: Session, fields: Fields) -> None:
    fields.skip(1)
    request_id = fields.integer()
    for row in session.gateway.portfolio.position_multi(request_id):
        session.send(row)
    session.send(["72", "1", str(request_id)])


@on(75)
def _cancel_positions_multi(session: Session, fields: Fields) -> None:
    fields.skip(2)


def _profit_row(request_id: int, profit: Profit, is_single: bool) -> Report:
    """Message 94, or 95 for one contract."""
    parts = [cents(profit.daily), cents(profit.unrealised), cents(profit.realised)]
    if not is_single:
        return ["94", str(request_id), *parts]
    worth = cents(profit.value) if profit.quantity else UNSET
    return ["95", str(request_id), number(profit.quantity), *parts, worth]


def send_profit(session: Session, request_id: int) -> None:
    """Send a profit subscription's figures if they changed."""
    con_id = session.profit_requests[request_id]
    contract = next((c for c in session.gateway.catalogue if c.con_id == con_id), None)
    row = _profit_row(request_id, session.gateway.portfolio.profit(contract), con_id is not None)
    if row != session.profit_sent.get(request_id):
        session.profit_sent[request_id] = row
        session.send(row)


@on(92, 94)
def _profit(session: Session, fields: Fields) -> None:
    request_id = fields.integer()
    account = fields.text()
    fields.skip(1)  # modelCode
    if account != session.gateway.account.name:
        raise Problem(321, f"Error validating request.-'cN' : cause - Invalid account code '{account}'.")
    session.profit_requests[request_id] = fields.integer() if fields.left else None
    session.profit_sent.pop(request_id, None)
    send_profit(session, request_id)


@on(93, 95)
def _cancel_profit(session: Session, fields: Fields) -> None:
    request_id = fields.integer()
    if request_id in session.profit_requests:
        del session.profit_requests[request_id]
    else:
        raise Problem(10186, f"Can't find PnL request with id:{request_id}")


@on(49)
def _current_time(session: Session, fields: Fields) -> None:
    session.send(["49", "1", str(session.gateway.world.now_ms() // 1_000)])


@on(104)
def _user_info(session: Session, fields: Fields) -> None:
    session.send(["107", str(fields.integer()), ""])
