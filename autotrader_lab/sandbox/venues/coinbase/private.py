"""Coinbase's account and trading operations over REST."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from autotrader_lab.sandbox.orders import Order, OrderRequest, Refused, Side
from autotrader_lab.sandbox.units import ONE, notional, share, trim_e8
from autotrader_lab.sandbox.venues.coinbase import render
from autotrader_lab.sandbox.venues.coinbase.calls import Call, operation
from autotrader_lab.sandbox.venues.coinbase.desk import product_id, require
from autotrader_lab.sandbox.venues.coinbase.errors import OrderError, invalid, not_found
from autotrader_lab.sandbox.venues.coinbase.rules import read_configuration

__all__ = ["held_assets"]

Json = dict[str, Any]

_GET, _POST = "GET /api/v3/brokerage", "POST /api/v3/brokerage"


def held_assets(call: Call) -> list[str]:
    """Currencies the customer has a wallet for."""
    return sorted({*call.owner.free, *call.owner.locked})


# Accounts


@operation(f"{_GET}/accounts")
def _accounts(call: Call) -> Json:
    rows = [render.account_row(call.desk, call.owner, asset) for asset in held_assets(call)]
    page, cursor, has_next = call.page(rows, 49, 250)
    return {"accounts": page, "has_next": has_next, "cursor": cursor, "size": len(page)}


@operation(f"{_GET}/accounts/{{account_uuid}}")
def _account(call: Call) -> Json:
    for asset in held_assets(call):
        row = render.account_row(call.desk, call.owner, asset)
        if row["uuid"] == call.path["account_uuid"]:
            return {"account": row}
    raise not_found("account not found")


@operation(f"{_GET}/key_permissions")
def _key_permissions(call: Call) -> Json:
    return {
        "can_view": True,
        "can_trade": True,
        "can_transfer": False,
        "portfolio_uuid": call.desk.uuid("portfolio", call.owner.name),
        "portfolio_type": "DEFAULT",
    }


@operation(f"{_GET}/portfolios")
def _portfolios(call: Call) -> Json:
    return {"portfolios": [_portfolio_row(call)]}


def _portfolio_row(call: Call) -> Json:
    number = call.desk.uuid("portfolio", call.owner.name)
    return {"name": "Primary", "uuid": number, "type": "DEFAULT", "deleted": False}


@operation(f"{_GET}/portfolios/{{portfolio_uuid}}")
def _portfolio(call: Call) -> Json:
    portfolio = _portfolio_row(call)
    if call.path["portfolio_uuid"] != portfolio["uuid"]:
        raise not_found("portfolio not found")
    positions, total = [], 0
    for asset in held_assets(call):
        _, free, locked = call.owner.balance(asset)
        value = (free + locked) * _usd_price(call, asset) // ONE
        total += value
        positions.append(
            {
                "asset": asset,
                "account_uuid": call.desk.uuid("account", call.owner.name, asset),
                "total_balance_fiat": value / ONE,
                "total_balance_crypto": (free + locked) / ONE,
                "available_to_trade_fiat": free * _usd_price(call, asset) // ONE / ONE,
                "available_to_trade_crypto": free / ONE,
                "allocation": 0,
                "is_cash": asset == "USD",
            }
        )
    money = {"value": trim_e8(total), "currency": "USD"}
    return {
        "breakdown": {
            "portfolio": portfolio,
            "portfolio_balances": {"total_balance": money, "total_crypto_balance": money},
            "spot_positions": positions,
            "perp_positions": [],
            "futures_positions": [],
        }
    }


def _usd_price(call: Call, asset: str) -> int:
    if asset.startswith("USD"):
        return ONE
    for instrument in call.desk.by_id.values():
        if instrument.base == asset and instrument.quote.startswith("USD"):
            return call.world.exchange.last_price[instrument.symbol]
    return 0


@operation(f"{_GET}/payment_methods")
def _payment_methods(call: Call) -> Json:
    return {"payment_methods": []}


@operation(f"{_GET}/cfm/positions")
def _futures_positions(call: Call) -> Json:
    return {"positions": []}


def _number(amount: int) -> float:
    """An amount as a JSON number, which is whole where it can be."""
    return amount // ONE if amount % ONE == 0 else amount / ONE


@operation(f"{_GET}/transaction_summary")
def _transaction_summary(call: Call) -> Json:
    mine = [row.fill for row in call.desk.fills if row.order.account == call.owner.name]
    volume, fees = _number(sum(fill.amount for fill in mine)), _number(sum(fill.fee for fill in mine))
    rates = call.owner.fees
    total = sum(sum(call.owner.balance(asset)[1:]) * _usd_price(call, asset) // ONE for asset in held_assets(call))
    return {
        "total_volume": volume,
        "total_fees": fees,
        "fee_tier": {
            "pricing_tier": "Intro 1",
            "usd_from": "",
            "usd_to": "",
            "taker_fee_rate": trim_e8(rates.taker),
            "maker_fee_rate": trim_e8(rates.maker),
            "aop_from": "0",
            "aop_to": "1000000",
            "perps_vol_from": "",
            "perps_vol_to": "",
            "futures_vol_from": "",
            "futures_vol_to": "",
            "volume_types_and_range": [
                {"volume_types": ["VOLUME_TYPE_SPOT", "VOLUME_TYPE_US_DERIVATIVES"], "vol_from": "0", "vol_to": "10000"}
            ],
        },
        "margin_rate": None,
        "goods_and_services_tax": None,
        "advanced_trade_only_volume": volume,
        "advanced_trade_only_fees": fees,
        "coinbase_pro_volume": 0,
        "coinbase_pro_fees": 0,
        "total_balance": trim_e8(total),
        "has_promo_fee": False,
        "volume_breakdown": [
            {"volume_type": "VOLUME_TYPE_SPOT", "volume": volume},
            {"volume_type": "VOLUME_TYPE_US_DERIVATIVES", "volume": 0},
        ],
        "has_cost_plus_commission": False,
    }


# Orders


@operation(f"{_POST}/orders")
def _create(call: Call) -> Json:
    return call.desk.create(call.owner, call.body)


@operation(f"{_POST}/orders/batch_cancel")
def _cancel(call: Call) -> Json:
    order_ids = call.body.get("order_ids")
    return call.desk.cancel(call.owner, order_ids if isinstance(order_ids, list) else [])


@operation(f"{_POST}/orders/edit")
def _edit(call: Call) -> Json:
    return call.desk.edit(call.owner, call.body)


@operation(f"{_POST}/orders/edit_preview")
def _edit_preview(call: Call) -> Json:
    try:
        order, quantity, price = call.desk.check_edit(call.owner, call.body)
    except OrderError as error:
        return {"errors": [{"edit_failure_reason": error.error, "preview_failure_reason": error.preview}]}
    book = call.world.exchange.books[order.symbol]
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    amount = notional(price, quantity)
    fee = share(amount, call.owner.fees.taker)
    return {
        "errors": [],
        "slippage": "0",
        "order_total": trim_e8(amount + fee if order.side is Side.BUY else amount - fee),
        "commission_total": trim_e8(fee),
        "quote_size": trim_e8(amount),
        "base_size": trim_e8(quantity),
        "best_bid": trim_e8(bid.price) if bid else "",
        "best_ask": trim_e8(ask.price) if ask else "",
        "average_filled_price": render.average_price(order),
    }


@operation(f"{_POST}/orders/preview")
def _preview(call: Call) -> Json:
    errors: list[str] = []
    request: OrderRequest | None = None
    try:
        instrument, side = call.desk.instrument(call.body.get("product_id")), call.desk.side(call.body)
        last = call.world.exchange.last_price[instrument.symbol]
        request, *_ = read_configuration(
            call.body.get("order_configuration"), instrument, side, "preview", last, call.now_ms
        )
        call.world.exchange.check(call.owner.name, request)
    except OrderError as error:
        errors.append(error.preview)
    except Refused as refusal:
        short = refusal.reason == "INSUFFICIENT_BALANCE"
        errors.append("PREVIEW_INSUFFICIENT_FUND" if short else "PREVIEW_INVALID_LIMIT_PRICE_POST_ONLY")
    amount = quantity = 0
    bid = ask = None
    if request is not None:
        book = call.world.exchange.books[request.symbol]
        bid, ask = book.best(Side.BUY), book.best(Side.SELL)
        price = request.price or call.world.exchange.last_price[request.symbol]
        quantity = request.quantity or request.quote_quantity * ONE // price
        amount = request.quote_quantity or notional(price, quantity)
    fee = share(amount, call.owner.fees.taker)
    return {
        "order_total": trim_e8(amount + fee if request is not None and request.side is Side.BUY else amount - fee),
        "commission_total": trim_e8(fee),
        "errs": errors,
        "warning": [],
        "quote_size": trim_e8(amount),
        "base_size": trim_e8(quantity),
        "best_bid": trim_e8(bid.price) if bid else "",
        "best_ask": trim_e8(ask.price) if ask else "",
        "is_max": False,
        "order_margin_total": "",
        "leverage": "",
        "long_leverage": "",
        "short_leverage": "",
        "slippage": "0",
        "preview_id": call.desk.uuid("preview", call.now_ms),
    }


@operation(f"{_GET}/orders/historical/batch")
def _orders(call: Call) -> Json:
    ids, products = call.many("order_ids"), call.many("product_ids", "product_id")
    statuses, kinds = call.many("order_status"), call.many("order_types", "order_type")
    forces, side = call.many("time_in_forces"), call.one("order_side")
    start_ms, end_ms = _time_ms(call, "start_date"), _time_ms(call, "end_date")

    def wanted(order: Order) -> bool:
        ticket = call.desk.ticket(order)
        return (
            (not ids or ticket.order_id in ids)
            and (not products or product_id(call.desk.exchange.instruments[order.symbol]) in products)
            and (not statuses or call.desk.status(order) in statuses)
            and (not kinds or ticket.shape.order_type in kinds)
            and (not forces or ticket.shape.time_in_force in forces)
            and side in (None, str(order.side))
            and (start_ms is None or order.created_ms >= start_ms)
            and (end_ms is None or order.created_ms < end_ms)
        )

    rows = [render.order_row(call.desk, order) for order in call.desk.orders(call.owner) if wanted(order)]
    page, cursor, has_next = call.page(rows, 1_000, 1_000)
    return {"orders": page, "sequence": "0", "has_next": has_next, "cursor": cursor}


def _time_ms(call: Call, name: str) -> int | None:
    text = call.one(name)
    if text is None:
        return None
    try:
        return round(datetime.fromisoformat(text).timestamp() * 1_000)
    except ValueError:
        raise invalid(f"{name} must be a time (RFC3339)") from None


@operation(f"{_GET}/orders/historical/fills")
def _fills(call: Call) -> Json:
    ids, trades, products = (
        call.many("order_ids", "order_id"),
        call.many("trade_ids"),
        call.many("product_ids", "product_id"),
    )
    start_ms, end_ms = _time_ms(call, "start_sequence_timestamp"), _time_ms(call, "end_sequence_timestamp")
    rows = []
    for fill in reversed(call.desk.fills):
        if fill.order.account != call.owner.name:
            continue
        row = render.fill_row(call.desk, fill)
        if (
            (not ids or row["order_id"] in ids)
            and (not trades or row["trade_id"] in trades)
            and (not products or row["product_id"] in products)
            and (start_ms is None or fill.fill.time_ms >= start_ms)
            and (end_ms is None or fill.fill.time_ms < end_ms)
        ):
            rows.append(row)
    page, cursor, _ = call.page(rows, 100, 1_000)
    return {"fills": page, "cursor": cursor}


@operation(f"{_GET}/orders/historical/{{order_id}}")
def _order(call: Call) -> Json:
    return {"order": render.order_row(call.desk, require(call.desk.find(call.owner, call.path["order_id"])))}
