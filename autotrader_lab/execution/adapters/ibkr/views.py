"""TWS's orders and executions as ours: plain functions from decoded messages."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.ibkr.decode import VENUE, Commission, Execution, Phase, Terms
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import Fill, Order, OrderStatus, OrderType

__all__ = ["foreign_order", "make_fill", "with_commission"]


def foreign_order(terms: Terms, symbol: str, executed: Decimal, average: float, now: datetime) -> Order:
    """A foreign order as the venue shows it."""
    kind = terms.order_type or (OrderType.LIMIT if terms.limit else OrderType.MARKET)
    phase = terms.phase
    if phase is Phase.FILLED:
        status = OrderStatus.FILLED
    elif phase is Phase.CANCELLED:
        status = OrderStatus.CANCELLED
    elif phase is Phase.INACTIVE and terms.filled is not None:
        status = OrderStatus.REJECTED
    else:
        status = OrderStatus.PARTIAL_FILL if executed else OrderStatus.SUBMITTED
    return Order(
        str(terms.perm_id or terms.order_id),
        symbol,
        terms.side,
        kind,
        float(terms.quantity or terms.filled or 0),
        price=float(terms.limit) if terms.limit and "LMT" in terms.type_name else None,
        stop_price=float(terms.stop) if terms.stop and "STP" in terms.type_name else None,
        time_in_force=terms.time_in_force if terms.time_in_force in ("GTC", "IOC", "FOK", "DAY") else "GTC",
        status=status,
        filled_quantity=float(executed),
        avg_fill_price=average,
        metadata={"ibkr_type": terms.type_name, "ibkr_client_id": terms.client_id, "ibkr_status": terms.status},
        client_order_id=terms.reference,
        reason=terms.reason,
        venue=VENUE,
        updated_at=now,
        _filled=executed,
        _cost=executed * exact(average),
    )


def make_fill(execution: Execution, commission: Commission | None, symbol: str, view: Order | None) -> Fill:
    """An execution as a fill, of `view` where it is ours; a commission that is not there yet is said to be missing."""
    metadata: dict[str, Any] = {"exec_id": execution.execution_id, "exchange": execution.exchange}
    if commission is None:
        metadata["commission"] = "not told yet"
    elif commission.realised is not None:
        metadata["realised"] = float(commission.realised)
    return Fill(
        order_id=str(execution.perm_id or (view.order_id if view is not None else "")),
        symbol=symbol,
        side=execution.side,
        quantity=float(execution.quantity),
        price=float(execution.price),
        commission=float(commission.amount) if commission is not None else 0.0,
        timestamp=from_ns(execution.timestamp_ns),
        execution_id=execution.family,
        metadata=metadata,
        client_order_id=view.client_order_id if view is not None else execution.reference,
        fee_currency=commission.currency if commission is not None else "",
        liquidity=execution.liquidity,
        venue=VENUE,
    )


def with_commission(fill: Fill, commission: Commission) -> Fill:
    """`fill` with a commission that came after it."""
    metadata = {key: value for key, value in fill.metadata.items() if key != "commission"}
    return Fill(
        fill.order_id,
        fill.symbol,
        fill.side,
        fill.quantity,
        fill.price,
        float(commission.amount),
        fill.timestamp,
        fill.execution_id,
        metadata,
        fill.client_order_id,
        commission.currency,
        fill.liquidity,
        fill.venue,
    )
