"""Coinbase's JSON of products, books, orders, fills and accounts. Numbers are texts, times RFC 3339 in UTC."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

from autotrader_lab.sandbox.book import Book
from autotrader_lab.sandbox.orders import Account, ExecutionKind, Instrument, Order, Side, TradeEvent
from autotrader_lab.sandbox.tape import DAY_MS, Candle
from autotrader_lab.sandbox.units import ONE, trim_e8
from autotrader_lab.sandbox.venues.coinbase.desk import Desk, FillRow, Ticket, product_id
from autotrader_lab.sandbox.venues.coinbase.rules import MOST_QUOTE, QUOTE_LEAST

__all__ = [
    "account_row",
    "average_price",
    "book_rows",
    "candle_row",
    "fill_row",
    "order_row",
    "percent_change",
    "product_row",
    "time_text",
    "trade_row",
    "user_order",
]

Json = dict[str, Any]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NAMES = {"BTC": "Bitcoin", "ETH": "Ethereum", "SOL": "Solana", "BNB": "BNB", "USDT": "Tether", "USD": "US Dollar"}
NO_REASON = "REJECT_REASON_UNSPECIFIED"
KINDS = {"MARKET": "Market", "LIMIT": "Limit", "STOP_LIMIT": "Stop Limit"}


def time_text(time_ms: int) -> str:
    """``2024-10-02T11:22:32.748000Z``."""
    return (EPOCH + timedelta(milliseconds=time_ms)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def percent_change(last: int, first: int) -> str:
    """The change of a price in percent."""
    return trim_e8((last - first) * 100 * ONE // first) if first else "0"


def day(desk: Desk, instrument: Instrument, now_ms: int) -> tuple[Candle, Candle]:
    """The last 24 hours and the 24 hours before them, at most a second old."""
    at_s, today, before = desk.days.get(instrument.symbol, (-1, None, None))
    if at_s != now_ms // 1_000 or today is None or before is None:
        tape, last = desk.world.tapes[instrument.symbol], desk.exchange.last_price[instrument.symbol]
        flat = Candle(now_ms, last, last, last, last)
        today = tape.since(now_ms - DAY_MS) or flat
        two_days = tape.since(now_ms - 2 * DAY_MS) or flat
        before = Candle(now_ms, last, last, last, last, two_days.volume - today.volume)
        desk.days[instrument.symbol] = (now_ms // 1_000, today, before)
    return today, before


def product_row(desk: Desk, instrument: Instrument, now_ms: int) -> Json:
    """One of ``products``."""
    last = desk.exchange.last_price[instrument.symbol]
    book = desk.exchange.books[instrument.symbol]
    bid, ask = book.best(Side.BUY), book.best(Side.SELL)
    today, before = day(desk, instrument, now_ms)
    return {
        "product_id": product_id(instrument),
        "price": trim_e8(last),
        "price_percentage_change_24h": percent_change(last, today.open),
        "volume_24h": trim_e8(today.volume),
        "volume_percentage_change_24h": percent_change(today.volume, before.volume),
        "base_increment": trim_e8(instrument.step),
        "quote_increment": trim_e8(instrument.tick),
        "quote_min_size": trim_e8(QUOTE_LEAST),
        "quote_max_size": trim_e8(MOST_QUOTE),
        "base_min_size": trim_e8(instrument.min_quantity),
        "base_max_size": trim_e8(instrument.max_quantity),
        "base_name": NAMES.get(instrument.base, instrument.base),
        "quote_name": NAMES.get(instrument.quote, instrument.quote),
        "watched": False,
        "is_disabled": False,
        "new": False,
        "status": "online",
        "cancel_only": False,
        "limit_only": False,
        "post_only": False,
        "trading_disabled": False,
        "auction_mode": False,
        "product_type": "SPOT",
        "quote_currency_id": instrument.quote,
        "base_currency_id": instrument.base,
        "fcm_trading_session_details": None,
        "mid_market_price": trim_e8((bid.price + ask.price) // 2) if bid and ask else "",
        "alias": "",
        "alias_to": [],
        "base_display_symbol": instrument.base,
        "quote_display_symbol": instrument.quote,
        "view_only": False,
        "price_increment": trim_e8(instrument.tick),
        "display_name": product_id(instrument),
        "product_venue": "CBE",
        "approximate_quote_24h_volume": trim_e8(today.amount),
        "new_at": "2023-01-01T00:00:00Z",
        "market_cap": "",
        "base_cbrn": "",
        "quote_cbrn": "",
        "product_cbrn": "",
        "icon_color": "",
        "icon_url": "",
        "display_name_overwrite": "",
        "is_alpha_testing": False,
        "about_description": "",
        "best_bid_price": trim_e8(bid.price) if bid else "",
        "best_ask_price": trim_e8(ask.price) if ask else "",
    }


def book_rows(book: Book, side: Side, count: int) -> list[Json]:
    """Levels of one side."""
    return [{"price": trim_e8(price), "size": trim_e8(size)} for price, size in book.depth(side, count)]


def trade_row(desk: Desk, trade: TradeEvent) -> Json:
    """A trade as the public sees it; ``side`` is the maker's."""
    return {
        "trade_id": str(trade.trade_id),
        "product_id": product_id(desk.exchange.instruments[trade.symbol]),
        "price": trim_e8(trade.price),
        "size": trim_e8(trade.quantity),
        "time": time_text(trade.time_ms),
        "side": "BUY" if trade.buyer_is_maker else "SELL",
    }


def candle_row(candle: Candle) -> Json:
    """One of ``candles``."""
    return {
        "start": str(candle.open_ms // 1_000),
        "low": trim_e8(candle.low),
        "high": trim_e8(candle.high),
        "open": trim_e8(candle.open),
        "close": trim_e8(candle.close),
        "volume": trim_e8(candle.volume),
    }


def average_price(order: Order) -> str:
    """The average price of an order's fills."""
    return trim_e8(order.amount * ONE // order.executed) if order.executed else "0"


def _fees(order: Order) -> int:
    return sum(fill.fee for fill in order.fills)


def _after_fees(order: Order) -> int:
    return order.amount + (_fees(order) if order.side is Side.BUY else -_fees(order))


def _completion(order: Order) -> str:
    if order.quote_quantity:
        done, whole = order.amount + _fees(order), order.quote_quantity
        return "100" if not order.status.is_open and order.executed else trim_e8(done * 100 * ONE // whole)
    return trim_e8(order.executed * 100 * ONE // order.quantity) if order.quantity else "0"


def _trigger_status(order: Order, ticket: Ticket) -> str:
    if not ticket.shape.has_stop:
        return "INVALID_ORDER_TYPE"
    return "STOP_TRIGGERED" if order.working_ms >= 0 else "STOP_PENDING"


def _last_fill(order: Order) -> str | None:
    return time_text(order.fills[-1].time_ms) if order.fills else None


def order_row(desk: Desk, order: Order) -> Json:
    """An order, as ``orders/historical`` shows it."""
    ticket = desk.ticket(order)
    by_quote = bool(order.quote_quantity)
    return {
        "order_id": ticket.order_id,
        "product_id": product_id(desk.exchange.instruments[order.symbol]),
        "user_id": desk.uuid("user", order.account),
        "order_configuration": {ticket.kind: ticket.fields},
        "side": str(order.side),
        "client_order_id": order.client_order_id,
        "status": desk.status(order),
        "time_in_force": ticket.shape.time_in_force,
        "created_time": time_text(order.created_ms),
        "completion_percentage": _completion(order),
        "filled_size": trim_e8(order.executed),
        "average_filled_price": average_price(order),
        "fee": "",
        "number_of_fills": str(len(order.fills)),
        "filled_value": trim_e8(order.amount),
        "pending_cancel": False,
        "size_in_quote": by_quote,
        "total_fees": trim_e8(_fees(order)),
        "size_inclusive_of_fees": by_quote and order.side is Side.BUY,
        "total_value_after_fees": trim_e8(_after_fees(order)),
        "trigger_status": _trigger_status(order, ticket),
        "order_type": ticket.shape.order_type,
        "reject_reason": NO_REASON,
        "settled": not order.status.is_open and order.executed > 0,
        "product_type": "SPOT",
        "reject_message": "",
        "cancel_message": ticket.cancel_message,
        "order_placement_source": "RETAIL_ADVANCED",
        "outstanding_hold_amount": trim_e8(order.locked),
        "is_liquidation": False,
        "last_fill_time": _last_fill(order),
        "last_update_time": time_text(order.updated_ms),
        "edit_history": [
            {
                "price": edit["price"],
                "size": edit["size"],
                "replace_accept_timestamp": time_text(edit["replace_accept_ms"]),
            }
            for edit in ticket.edits
        ],
        "leverage": "",
        "margin_type": "UNKNOWN_MARGIN_TYPE",
        "retail_portfolio_id": desk.uuid("portfolio", order.account),
        "originating_order_id": "",
        "attached_order_id": "",
        "attached_order_configuration": None,
    }


def user_order(desk: Desk, order: Order, kind: ExecutionKind | None = None) -> Json:
    """An order on the channel ``user``, as it stood at an event of that kind."""
    ticket = desk.ticket(order)
    by_quote = bool(order.quote_quantity)
    status = desk.status(order)
    rests = ticket.shape.has_limit and ticket.shape.time_in_force.startswith("GOOD")
    if kind is ExecutionKind.NEW and not rests:
        status = "PENDING"
    leaves = order.quote_quantity - order.amount - _fees(order) if by_quote else order.remaining
    return {
        "avg_price": average_price(order),
        "cancel_reason": ticket.cancel_message if status == "CANCELLED" else "",
        "client_order_id": order.client_order_id,
        "completion_percentage": _completion(order),
        "contract_expiry_type": "UNKNOWN_CONTRACT_EXPIRY_TYPE",
        "creation_time": time_text(order.created_ms),
        "cumulative_quantity": trim_e8(order.executed),
        "end_time": time_text(ticket.ends_ms) if ticket.ends_ms is not None else "0001-01-01T00:00:00Z",
        "filled_value": trim_e8(order.amount),
        "leaves_quantity": "0" if status == "FILLED" else trim_e8(max(0, leaves)),
        "limit_price": trim_e8(order.price) if order.price else "",
        "number_of_fills": str(len(order.fills)),
        "order_id": ticket.order_id,
        "order_side": str(order.side),
        "order_type": KINDS[ticket.shape.order_type],
        "outstanding_hold_amount": trim_e8(order.locked),
        "post_only": "true" if ticket.fields.get("post_only") is True else "false",
        "product_id": product_id(desk.exchange.instruments[order.symbol]),
        "product_type": "SPOT",
        "reject_reason": "",
        "retail_portfolio_id": desk.uuid("portfolio", order.account),
        "risk_managed_by": "UNKNOWN_RISK_MANAGEMENT_TYPE",
        "start_time": "0001-01-01T00:00:00Z",
        "status": status,
        "stop_price": trim_e8(order.stop_price) if order.stop_price else "",
        "time_in_force": ticket.shape.time_in_force,
        "total_fees": trim_e8(_fees(order)),
        "total_value_after_fees": trim_e8(_after_fees(order)),
        "trigger_status": _trigger_status(order, ticket),
    }


def fill_row(desk: Desk, row: FillRow) -> Json:
    """One of ``orders/historical/fills``."""
    fill = row.fill
    return {
        "entry_id": hashlib.sha256(f"{desk.world.name}/{row.number}".encode()).hexdigest(),
        "trade_id": desk.uuid("trade", fill.symbol, fill.trade_id, fill.order_id),
        "order_id": desk.ticket(row.order).order_id,
        "trade_time": time_text(fill.time_ms),
        "trade_type": "FILL",
        "price": trim_e8(fill.price),
        "size": trim_e8(fill.quantity),
        "commission": trim_e8(fill.fee),
        "product_id": product_id(desk.exchange.instruments[fill.symbol]),
        "sequence_timestamp": time_text(fill.time_ms),
        "liquidity_indicator": "MAKER" if fill.is_maker else "TAKER",
        "size_in_quote": False,
        "user_id": desk.uuid("user", row.order.account),
        "side": "BUY" if fill.is_buyer else "SELL",
        "retail_portfolio_id": desk.uuid("portfolio", row.order.account),
        "fillSource": "FILL_SOURCE_CLOB",
        "commission_detail_total": {
            "total_commission": trim_e8(fill.fee),
            "gst_commission": "",
            "withholding_commission": "",
            "client_commission": trim_e8(fill.fee),
            "venue_commission": "",
            "regulatory_commission": "",
            "clearing_commission": "",
        },
    }


def account_row(desk: Desk, account: Account, asset: str) -> Json:
    """One of ``accounts``."""
    _, free, locked = account.balance(asset)
    return {
        "uuid": desk.uuid("account", account.name, asset),
        "name": f"{asset} Wallet",
        "currency": asset,
        "available_balance": {"value": trim_e8(free), "currency": asset},
        "default": asset == "USD",
        "active": True,
        "created_at": "2021-05-31T09:59:59Z",
        "updated_at": time_text(account.updated_ms),
        "deleted_at": None,
        "type": "ACCOUNT_TYPE_FIAT" if asset in ("USD", "EUR", "GBP") else "ACCOUNT_TYPE_CRYPTO",
        "ready": True,
        "hold": {"value": trim_e8(locked), "currency": asset},
        "retail_portfolio_id": desk.uuid("portfolio", account.name),
        "platform": "ACCOUNT_PLATFORM_CONSUMER",
    }
