"""A world's own record, complete, for an audit: every order, every trade of a customer, every balance."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.orders import Account, Execution, Order
from autotrader_lab.sandbox.units import text_e8
from autotrader_lab.sandbox.world import World

__all__ = ["dump_books"]

Json = dict[str, Any]


def dump_books(world: World) -> Json:
    """Everything the exchange knows of its customers, decimals as texts, times in ms since the epoch."""
    exchange = world.exchange
    return {
        "world": world.name,
        "time": world.now_ms(),
        "accounts": [
            _account(account, [order for look in world.aside for order in look() if order.account == account.name])
            for account in exchange.accounts.values()
        ],
        "fees": {asset: text_e8(amount) for asset, amount in exchange.fees.items()},
        "market_flow": {asset: text_e8(amount) for asset, amount in exchange.market_flow.items()},
        "deposits": {asset: text_e8(amount) for asset, amount in exchange.deposits.items()},
        "last_price": {symbol: text_e8(price) for symbol, price in exchange.last_price.items()},
    }


def _account(account: Account, aside: list[Order]) -> Json:
    return {
        "account": account.name,
        "balances": {
            asset: {"free": text_e8(account.free.get(asset, 0)), "locked": text_e8(account.locked.get(asset, 0))}
            for asset in sorted({*account.free, *account.locked})
        },
        "orders": [_order(order) for orders in account.orders.values() for order in orders.values()]
        + [_order(order) for order in aside],
        "trades": [_trade(fill) for fills in account.executions.values() for fill in fills],
    }


def _order(order: Order) -> Json:
    return {
        "orderId": order.order_id,
        "clientOrderId": order.client_order_id,
        "symbol": order.symbol,
        "side": str(order.side),
        "type": str(order.type),
        "timeInForce": str(order.time_in_force),
        "status": str(order.status),
        "price": text_e8(order.price),
        "stopPrice": text_e8(order.stop_price),
        "origQty": text_e8(order.quantity),
        "executedQty": text_e8(order.executed),
        "cummulativeQuoteQty": text_e8(order.amount),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
    }


def _trade(fill: Execution) -> Json:
    return {
        "tradeId": fill.trade_id,
        "orderId": fill.order_id,
        "symbol": fill.symbol,
        "isBuyer": fill.is_buyer,
        "isMaker": fill.is_maker,
        "price": text_e8(fill.price),
        "qty": text_e8(fill.quantity),
        "quoteQty": text_e8(fill.amount),
        "commission": text_e8(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
    }
