"""OKX's trading operations over REST: orders, their queries, fills, and the dead man's switch."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from autotrader_lab.sandbox.orders import Order
from autotrader_lab.sandbox.venues.okx import render
from autotrader_lab.sandbox.venues.okx.calls import Call, operation
from autotrader_lab.sandbox.venues.okx.desk import inst_id, wire_id
from autotrader_lab.sandbox.venues.okx.errors import ApiError, RowError

__all__ = ["MOST_ROWS"]

Json = dict[str, Any]

MOST_ROWS = 20
DAY_MS = 86_400_000


def _rows(call: Call) -> list[Json]:
    """The objects of a batch.

    Raises
    ------
    ApiError
        50014 for none, 51111 for more than twenty.
    """
    if not call.rows:
        raise ApiError("50000", "Body can not be empty.", 400)
    if len(call.rows) > MOST_ROWS:
        raise ApiError("51111", f"Maximum {MOST_ROWS} orders can be placed in bulk")
    return call.rows


def _batch(name: str) -> Callable[[Call], Json]:
    def run(call: Call) -> Json:
        return call.desk.run_rows(getattr(call.desk, name), call.owner, _rows(call), call.deadline)

    return run


for _path, _action in (
    ("order", "place"),
    ("batch-orders", "place"),
    ("cancel-order", "cancel"),
    ("cancel-batch-orders", "cancel"),
    ("amend-order", "amend"),
    ("amend-batch-orders", "amend"),
):
    operation(f"POST /api/v5/trade/{_path}", private=True, per_2s=60)(_batch(_action))


@operation("GET /api/v5/trade/order", private=True, per_2s=60)
def _order(call: Call) -> list[Json]:
    call.instrument()
    if not call.params.get("ordId") and not call.params.get("clOrdId"):
        raise ApiError("51000", "Either parameter ordId or clOrdId is required ", 400)
    order = call.desk.find(call.owner, call.params)
    if order is None:
        raise ApiError("51603", "Order does not exist")
    return [render.order_row(call.desk, order)]


@operation("GET /api/v5/trade/orders-pending", private=True, per_2s=60)
def _pending(call: Call) -> list[Json]:
    return _list(call, (order for order in call.desk.orders(call.owner) if order.status.is_open))


@operation("GET /api/v5/trade/orders-history", private=True, per_2s=40)
@operation("GET /api/v5/trade/orders-history-archive", private=True)
def _history(call: Call) -> list[Json]:
    call.text("instType")
    begin_ms, end_ms = call.number("begin"), call.number("end")
    return _list(
        call,
        (
            order
            for order in call.desk.orders(call.owner)
            if not order.status.is_open
            and (begin_ms is None or order.created_ms >= begin_ms)
            and (end_ms is None or order.created_ms <= end_ms)
        ),
    )


def _list(call: Call, orders: Iterable[Order]) -> list[Json]:
    """Orders that pass the filters, newest first, one page of them."""
    wanted = {name: str(call.params[name]) for name in ("instId", "ordType", "state") if call.params.get(name)}
    kind = str(call.params.get("instType") or "SPOT")
    after, before = call.params.get("after"), call.params.get("before")
    rows = []
    for order in orders:
        ticket, instrument = call.desk.ticket(order), call.desk.exchange.instruments[order.symbol]
        number = int(wire_id(order.order_id))
        if (
            kind == "SPOT"
            and wanted.get("instId") in (None, inst_id(instrument))
            and ticket.ord_type in wanted.get("ordType", ticket.ord_type).split(",")
            and wanted.get("state") in (None, render.state(order.status))
            and (not after or number < int(after))
            and (not before or number > int(before))
        ):
            rows.append(order)
    return [render.order_row(call.desk, order) for order in rows[::-1][: call.limit(100, 100)]]


@operation("GET /api/v5/trade/fills", private=True, per_2s=60)
@operation("GET /api/v5/trade/fills-history", private=True, per_2s=10)
def _fills(call: Call) -> list[Json]:
    after, before = call.number("after"), call.number("before")
    begin_ms, end_ms = call.number("begin"), call.number("end")
    kind, instrument_id, order_id = (call.params.get(name) for name in ("instType", "instId", "ordId"))
    rows = []
    for fill in reversed(call.desk.fills):
        bill_id = int(wire_id(fill.bill_id))
        if (
            fill.order.account == call.owner.name
            and kind in (None, "SPOT")
            and instrument_id in (None, inst_id(call.desk.exchange.instruments[fill.fill.symbol]))
            and order_id in (None, wire_id(fill.fill.order_id))
            and (after is None or bill_id < after)
            and (before is None or bill_id > before)
            and (begin_ms is None or fill.fill.time_ms >= begin_ms)
            and (end_ms is None or fill.fill.time_ms <= end_ms)
        ):
            rows.append(render.fill_row(call.desk, fill))
    return rows[: call.limit(100, 100)]


@operation("POST /api/v5/trade/cancel-all-after", private=True, per_2s=2)
def _cancel_all_after(call: Call) -> list[Json]:
    seconds = call.number("timeOut")
    if seconds is None or not (seconds == 0 or 10 <= seconds <= 120):
        raise ApiError("51000", "Parameter timeOut error ", 400)
    tag = str(call.params.get("tag") or "")
    due_ms = call.now_ms + seconds * 1_000 if seconds else None
    call.desk.deadlines.arm(call.owner.name, tag, due_ms)
    return [{"triggerTime": str(due_ms or 0), "tag": tag, "ts": str(call.now_ms)}]


@operation("GET /api/v5/trade/account-rate-limit", private=True, per_2s=1)
def _rate_limit(call: Call) -> list[Json]:
    return [
        {
            "accRateLimit": "1000",
            "fillRatio": "",
            "mainFillRatio": "",
            "nextAccRateLimit": "",
            "ts": str(call.now_ms),
        }
    ]


def _algo_rows(call: Call) -> list[Json]:
    if len(_rows(call)) > 10:
        raise ApiError("51111", "Maximum 10 orders can be canceled in bulk")
    return call.rows


@operation("POST /api/v5/trade/order-algo", private=True)
def _order_algo(call: Call) -> Json:
    return call.desk.algos.run_rows(call.desk.algos.place, call.owner, _rows(call)[:1])


@operation("POST /api/v5/trade/cancel-algos", private=True)
def _cancel_algos(call: Call) -> Json:
    return call.desk.algos.run_rows(call.desk.algos.cancel, call.owner, _algo_rows(call))


@operation("POST /api/v5/trade/amend-algos", private=True)
def _amend_algos(call: Call) -> Json:
    return call.desk.algos.run_rows(call.desk.algos.amend, call.owner, _rows(call)[:1])


@operation("GET /api/v5/trade/order-algo", private=True)
def _algo(call: Call) -> list[Json]:
    try:
        return [call.desk.algos.row(call.desk.algos.find(call.owner, call.params))]
    except RowError as error:
        raise ApiError("51603", "Order does not exist") from error


@operation("GET /api/v5/trade/orders-algo-pending", private=True)
def _algos_pending(call: Call) -> list[Json]:
    return _algo_list(call, ("live",))


@operation("GET /api/v5/trade/orders-algo-history", private=True)
def _algos_history(call: Call) -> list[Json]:
    state = str(call.params.get("state") or "")
    if not state and not call.params.get("algoId"):
        raise ApiError("51602", "Either order status or order ID is required", 400)
    return _algo_list(call, (state,) if state else ("effective", "canceled", "order_failed"))


def _algo_list(call: Call, states: tuple[str, ...]) -> list[Json]:
    kinds = call.text("ordType").split(",")
    algo_id, instrument_id = call.params.get("algoId"), call.params.get("instId")
    after, before = call.number("after"), call.number("before")
    rows = []
    for algo in reversed(call.desk.algos.of(call.owner)):
        row = call.desk.algos.row(algo)
        if (
            row["state"] in states
            and row["ordType"] in kinds
            and algo_id in (None, row["algoId"])
            and instrument_id in (None, row["instId"])
            and (after is None or int(row["algoId"]) < after)
            and (before is None or int(row["algoId"]) > before)
        ):
            rows.append(row)
    return rows[: call.limit(100, 100)]
