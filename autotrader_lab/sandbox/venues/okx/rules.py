"""From an object of a request to an order request: fields, the instrument's grid and its limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autotrader_lab.sandbox.orders import Instrument, OrderRequest, OrderType, Prevention, Side, TimeInForce
from autotrader_lab.sandbox.units import ONE, TooPrecise, notional, parse_e8, share, trim_e8
from autotrader_lab.sandbox.venues.okx.errors import RowError, wrong

__all__ = ["MOST_MARKET_VALUE", "check_size", "price_limits", "read_order", "read_price"]

PRICE_BAND = ONE // 10
MOST_MARKET_VALUE = "1000000"
_TYPES = {
    "market": (OrderType.MARKET, TimeInForce.IOC),
    "optimal_limit_ioc": (OrderType.MARKET, TimeInForce.IOC),
    "limit": (OrderType.LIMIT, TimeInForce.GTC),
    "post_only": (OrderType.LIMIT_MAKER, TimeInForce.GTC),
    "fok": (OrderType.LIMIT, TimeInForce.FOK),
    "ioc": (OrderType.LIMIT, TimeInForce.IOC),
}
_PREVENTIONS = {
    "cancel_maker": Prevention.EXPIRE_MAKER,
    "cancel_taker": Prevention.EXPIRE_TAKER,
    "cancel_both": Prevention.EXPIRE_BOTH,
}


def price_limits(instrument: Instrument, last_price: int) -> tuple[int, int]:
    """Highest price of a buy order and lowest of a sell order, e8."""
    band = share(last_price, PRICE_BAND)
    highest, lowest = last_price + band, last_price - band
    return highest // instrument.tick * instrument.tick, -(-lowest // instrument.tick) * instrument.tick


def read_order(
    row: Mapping[str, Any], instrument: Instrument, client_id: str, last_price: int
) -> tuple[OrderRequest, int, str]:
    """An order request, its ``sz`` (e8) and its ``tgtCcy``.

    Parameters
    ----------
    row : mapping
        As sent.
    instrument : Instrument
        What is traded.
    client_id : str
        The id to give it at the exchange.
    last_price : int
        For the price limit, e8.

    Raises
    ------
    RowError
        With the venue's code.
    """
    if row.get("tdMode") != "cash":
        if row.get("tdMode") in ("cross", "isolated", "spot_isolated"):
            raise RowError("51010", "You can't complete this request under your current account mode.")
        raise wrong("tdMode")
    side_text, type_text = str(row.get("side") or ""), str(row.get("ordType") or "")
    if side_text not in ("buy", "sell"):
        raise wrong("side")
    if type_text not in _TYPES:
        raise wrong("ordType")
    if row.get("attachAlgoOrds"):
        raise wrong("attachAlgoOrds")
    stp_mode = str(row.get("stpMode") or "cancel_maker")
    if stp_mode not in _PREVENTIONS:
        raise wrong("stpMode")
    side = Side.BUY if side_text == "buy" else Side.SELL
    type_, time_in_force = _TYPES[type_text]
    tgt_ccy = _target(row, side) if type_text == "market" else ""
    price = 0
    if type_.has_limit:
        price = read_price(row, "px", instrument)
        highest, lowest = price_limits(instrument, last_price)
        if last_price and (price > highest if side is Side.BUY else price < lowest):
            bounds = f"(max buy price: {trim_e8(highest)} min sell price: {trim_e8(lowest)})"
            raise RowError("51006", f"Order price is not within the price limit {bounds}")
    size = check_size(row, instrument, in_quote=tgt_ccy == "quote_ccy", price=last_price)
    if type_.has_limit and size > instrument.max_quantity:
        raise RowError("51005", f"Your order amount exceeds the max order amount {trim_e8(instrument.max_quantity)}")
    value = size if tgt_ccy == "quote_ccy" else notional(last_price, size)
    # The venue counts market orders in US dollars; pairs quoted in something else have no such limit here.
    if not type_.has_limit and instrument.quote.startswith("USD") and value > parse_e8(MOST_MARKET_VALUE):
        raise RowError("51201", f"The value of a market order cannot exceed {MOST_MARKET_VALUE} USDT.")
    request = OrderRequest(
        symbol=instrument.symbol,
        side=side,
        type=type_,
        client_order_id=client_id,
        time_in_force=time_in_force,
        quantity=0 if tgt_ccy == "quote_ccy" else size,
        quote_quantity=size if tgt_ccy == "quote_ccy" else 0,
        price=price,
        prevention=_PREVENTIONS[stp_mode],
    )
    return request, size, tgt_ccy


def _target(row: Mapping[str, Any], side: Side) -> str:
    """What ``sz`` of a market order counts: the quote asset for buy, the base asset for sell, unless it is said."""
    given = str(row.get("tgtCcy") or "")
    if given not in ("", "base_ccy", "quote_ccy"):
        raise wrong("tgtCcy")
    return given or ("quote_ccy" if side is Side.BUY else "base_ccy")


def read_price(row: Mapping[str, Any], name: str, instrument: Instrument) -> int:
    """A price on the tick, e8.

    Raises
    ------
    RowError
        51000.
    """
    try:
        price = parse_e8(str(row.get(name) or ""))
    except ValueError:
        raise wrong(name) from None
    if not price or price % instrument.tick:
        raise wrong(name)
    return price


def check_size(row: Mapping[str, Any], instrument: Instrument, in_quote: bool = False, price: int = 0) -> int:
    """``sz`` in e8, on the lot unless it counts the quote asset.

    Raises
    ------
    RowError
        51000, 51020 or 51121.
    """
    try:
        size = parse_e8(str(row.get("sz") or ""))
    except TooPrecise:
        raise RowError("51121", "Order quantity must be a multiple of the lot size.") from None
    except ValueError:
        raise wrong("sz") from None
    if not size:
        raise wrong("sz")
    least = share(price, instrument.min_quantity) if in_quote else instrument.min_quantity
    if size < least:
        raise RowError("51020", "Your order should meet or exceed the minimum order amount.")
    if not in_quote and size % instrument.step:
        raise RowError("51121", "Order quantity must be a multiple of the lot size.")
    return size
