"""Our values in Binance's JSON: order answers, user-data events, market data."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.orders import (
    Account,
    AccountEvent,
    Execution,
    ExecutionKind,
    Order,
    OrderEvent,
    TradeEvent,
)
from autotrader_lab.sandbox.tape import AggregateTrade, Candle
from autotrader_lab.sandbox.units import ONE, notional, text_e8

__all__ = [
    "account_info",
    "account_position",
    "aggregate_row",
    "amended",
    "balance_update",
    "canceled",
    "execution_report",
    "fill_row",
    "kline_row",
    "levels",
    "my_trade",
    "order_ack",
    "order_full",
    "order_result",
    "order_status",
    "trade_row",
]

Json = dict[str, Any]


def levels(rows: list[tuple[int, int]]) -> list[list[str]]:
    """Price levels."""
    return [[text_e8(price), text_e8(quantity)] for price, quantity in rows]


def order_ack(order: Order, now_ms: int) -> Json:
    """Answer ACK to a new order."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "transactTime": now_ms,
    }


def _conditional(order: Order) -> Json:
    fields: Json = {}
    if order.stop_price:
        fields["stopPrice"] = text_e8(order.stop_price)
    if order.iceberg:
        fields["icebergQty"] = text_e8(order.iceberg)
    if order.strategy_id is not None:
        fields["strategyId"] = order.strategy_id
    if order.strategy_type is not None:
        fields["strategyType"] = order.strategy_type
    if order.prevented_match_id >= 0:
        fields["preventedMatchId"] = order.prevented_match_id
        fields["preventedQuantity"] = text_e8(order.prevented)
    return fields


def order_result(order: Order, now_ms: int) -> Json:
    """Answer RESULT to a new order."""
    return {
        **order_ack(order, now_ms),
        "price": text_e8(order.price),
        "origQty": text_e8(order.quantity),
        "executedQty": text_e8(order.executed),
        "origQuoteOrderQty": text_e8(order.quote_quantity),
        "cummulativeQuoteQty": text_e8(order.amount),
        "status": str(order.status),
        "timeInForce": str(order.time_in_force),
        "type": str(order.type),
        "side": str(order.side),
        **_conditional(order),
        "workingTime": order.working_ms,
        "selfTradePreventionMode": str(order.prevention),
    }


def fill_row(fill: Execution) -> Json:
    """One of ``fills``."""
    return {
        "price": text_e8(fill.price),
        "qty": text_e8(fill.quantity),
        "commission": text_e8(fill.fee),
        "commissionAsset": fill.fee_asset,
        "tradeId": fill.trade_id,
    }


def order_full(order: Order, now_ms: int) -> Json:
    """Answer FULL to a new order."""
    return {**order_result(order, now_ms), "fills": [fill_row(fill) for fill in order.fills]}


def canceled(order: Order, request_id: str, now_ms: int) -> Json:
    """Answer to a cancel."""
    return {
        "symbol": order.symbol,
        "origClientOrderId": order.client_order_id,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": request_id,
        "transactTime": now_ms,
        "price": text_e8(order.price),
        "origQty": text_e8(order.quantity),
        "executedQty": text_e8(order.executed),
        "origQuoteOrderQty": text_e8(order.quote_quantity),
        "cummulativeQuoteQty": text_e8(order.amount),
        "status": str(order.status),
        "timeInForce": str(order.time_in_force),
        "type": str(order.type),
        "side": str(order.side),
        **_conditional(order),
        "selfTradePreventionMode": str(order.prevention),
    }


def order_status(order: Order) -> Json:
    """An order as a query shows it."""
    return {
        "symbol": order.symbol,
        "orderId": order.order_id,
        "orderListId": -1,
        "clientOrderId": order.client_order_id,
        "price": text_e8(order.price),
        "origQty": text_e8(order.quantity),
        "executedQty": text_e8(order.executed),
        "cummulativeQuoteQty": text_e8(order.amount),
        "status": str(order.status),
        "timeInForce": str(order.time_in_force),
        "type": str(order.type),
        "side": str(order.side),
        "stopPrice": text_e8(order.stop_price),
        "icebergQty": text_e8(order.iceberg),
        "time": order.created_ms,
        "updateTime": order.updated_ms,
        "isWorking": order.working_ms >= 0,
        "workingTime": order.working_ms,
        "origQuoteOrderQty": text_e8(order.quote_quantity),
        "selfTradePreventionMode": str(order.prevention),
        **{k: v for k, v in _conditional(order).items() if k not in ("stopPrice", "icebergQty")},
    }


def amended(order: Order, before: str, execution_id: int, now_ms: int) -> Json:
    """Answer to amend keep priority."""
    return {
        "transactTime": now_ms,
        "executionId": execution_id,
        "amendedOrder": {
            "symbol": order.symbol,
            "orderId": order.order_id,
            "orderListId": -1,
            "origClientOrderId": before,
            "clientOrderId": order.client_order_id,
            "price": text_e8(order.price),
            "qty": text_e8(order.quantity),
            "executedQty": text_e8(order.executed),
            "preventedQty": text_e8(order.prevented),
            "quoteOrderQty": text_e8(order.quote_quantity),
            "cumulativeQuoteQty": text_e8(order.amount),
            "status": str(order.status),
            "timeInForce": str(order.time_in_force),
            "type": str(order.type),
            "side": str(order.side),
            "workingTime": order.working_ms,
            "selfTradePreventionMode": str(order.prevention),
        },
    }


def my_trade(fill: Execution) -> Json:
    """One of myTrades."""
    return {
        "symbol": fill.symbol,
        "id": fill.trade_id,
        "orderId": fill.order_id,
        "orderListId": -1,
        "price": text_e8(fill.price),
        "qty": text_e8(fill.quantity),
        "quoteQty": text_e8(fill.amount),
        "commission": text_e8(fill.fee),
        "commissionAsset": fill.fee_asset,
        "time": fill.time_ms,
        "isBuyer": fill.is_buyer,
        "isMaker": fill.is_maker,
        "isBestMatch": True,
    }


def trade_row(trade: TradeEvent) -> Json:
    """One of trades."""
    return {
        "id": trade.trade_id,
        "price": text_e8(trade.price),
        "qty": text_e8(trade.quantity),
        "quoteQty": text_e8(notional(trade.price, trade.quantity)),
        "time": trade.time_ms,
        "isBuyerMaker": trade.buyer_is_maker,
        "isBestMatch": True,
    }


def aggregate_row(trade: AggregateTrade) -> Json:
    """One of aggTrades."""
    return {
        "a": trade.aggregate_id,
        "p": text_e8(trade.price),
        "q": text_e8(trade.quantity),
        "f": trade.first_id,
        "l": trade.last_id,
        "T": trade.time_ms,
        "m": trade.buyer_is_maker,
        "M": True,
    }


def kline_row(candle: Candle, end_ms: int) -> list[Any]:
    """One of klines."""
    return [
        candle.open_ms,
        text_e8(candle.open),
        text_e8(candle.high),
        text_e8(candle.low),
        text_e8(candle.close),
        text_e8(candle.volume),
        end_ms - 1,
        text_e8(candle.amount),
        candle.count,
        text_e8(candle.taker_volume),
        text_e8(candle.taker_amount),
        "0",
    ]


def execution_report(event: OrderEvent, now_ms: int) -> Json:
    """User-data event ``executionReport``."""
    order, fill = event.order, event.fill
    client_id, original = order.client_order_id, ""
    if event.request_id and event.kind is ExecutionKind.CANCELED:
        client_id, original = event.request_id, order.client_order_id
    elif event.request_id and event.kind is ExecutionKind.REPLACED:
        original = event.request_id
    report: Json = {
        "e": "executionReport",
        "E": now_ms,
        "s": order.symbol,
        "c": client_id,
        "S": str(order.side),
        "o": str(order.type),
        "f": str(order.time_in_force),
        "q": text_e8(order.quantity),
        "p": text_e8(order.price),
        "P": text_e8(order.stop_price),
        "F": text_e8(order.iceberg),
        "g": -1,
        "C": original,
        "x": str(event.kind),
        "X": str(order.status),
        "r": event.reject_reason,
        "i": order.order_id,
        "l": text_e8(fill.quantity if fill else 0),
        "z": text_e8(order.executed),
        "L": text_e8(fill.price if fill else 0),
        "n": text_e8(fill.fee) if fill else "0",
        "N": fill.fee_asset if fill else None,
        "T": event.time_ms,
        "t": fill.trade_id if fill else -1,
        "I": event.execution_id,
        "w": order.is_working,
        "m": fill.is_maker if fill else False,
        "M": fill is not None,
        "O": order.created_ms,
        "Z": text_e8(order.amount),
        "Y": text_e8(fill.amount if fill else 0),
        "Q": text_e8(order.quote_quantity),
    }
    if order.working_ms >= 0:
        report["W"] = order.working_ms
    report["V"] = str(order.prevention)
    if order.strategy_id is not None:
        report["j"] = order.strategy_id
    if order.strategy_type is not None:
        report["J"] = order.strategy_type
    if event.kind is ExecutionKind.TRADE_PREVENTION:
        report |= {
            "v": order.prevented_match_id,
            "A": text_e8(order.prevented),
            "B": text_e8(event.prevented),
            "u": order.prevented_match_id,
            "U": event.counter_order_id,
            "Cs": order.symbol,
        }
    return report


def account_position(event: AccountEvent, now_ms: int) -> Json:
    """User-data event ``outboundAccountPosition``."""
    return {
        "e": "outboundAccountPosition",
        "E": now_ms,
        "u": event.time_ms,
        "B": [{"a": asset, "f": text_e8(free), "l": text_e8(locked)} for asset, free, locked in event.balances],
    }


def balance_update(event: AccountEvent, now_ms: int) -> Json:
    """User-data event ``balanceUpdate``."""
    return {
        "e": "balanceUpdate",
        "E": now_ms,
        "a": event.balances[0][0],
        "d": text_e8(event.delta or 0),
        "T": event.time_ms,
    }


def account_info(account: Account, assets: list[str], omit_zero: bool) -> Json:
    """Answer of ``account``."""
    maker, taker = account.fees.maker, account.fees.taker
    balances = [account.balance(asset) for asset in assets]
    return {
        "makerCommission": maker * 10_000 // ONE,
        "takerCommission": taker * 10_000 // ONE,
        "buyerCommission": 0,
        "sellerCommission": 0,
        "commissionRates": {
            "maker": text_e8(maker),
            "taker": text_e8(taker),
            "buyer": text_e8(0),
            "seller": text_e8(0),
        },
        "canTrade": True,
        "canWithdraw": True,
        "canDeposit": True,
        "brokered": False,
        "requireSelfTradePrevention": False,
        "preventSor": False,
        "updateTime": account.updated_ms,
        "accountType": "SPOT",
        "balances": [
            {"asset": asset, "free": text_e8(free), "locked": text_e8(locked)}
            for asset, free, locked in balances
            if free or locked or not omit_zero
        ],
        "permissions": ["SPOT"],
        "uid": 354937868,
    }
