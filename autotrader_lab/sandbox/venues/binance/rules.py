"""From parameters to an order request: which parameters a type takes, and the symbol's filters."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.orders import (
    Account,
    Instrument,
    OrderRequest,
    OrderType,
    Prevention,
    Side,
    TimeInForce,
)
from autotrader_lab.sandbox.units import notional, text_e8
from autotrader_lab.sandbox.venues.binance.errors import ApiError
from autotrader_lab.sandbox.venues.binance.params import Params, missing

__all__ = ["check_filters", "filters", "read_order"]

BID_UP, BID_DOWN, ASK_UP, ASK_DOWN = (5, 1), (1, 5), (5, 1), (1, 5)
MAX_AMENDS = 10


def filters(instrument: Instrument) -> list[dict[str, Any]]:
    """The symbol's ``filters`` in exchangeInfo."""
    return [
        {
            "filterType": "PRICE_FILTER",
            "minPrice": text_e8(instrument.min_price),
            "maxPrice": text_e8(instrument.max_price),
            "tickSize": text_e8(instrument.tick),
        },
        {
            "filterType": "LOT_SIZE",
            "minQty": text_e8(instrument.min_quantity),
            "maxQty": text_e8(instrument.max_quantity),
            "stepSize": text_e8(instrument.step),
        },
        {"filterType": "ICEBERG_PARTS", "limit": instrument.max_iceberg_parts},
        {
            "filterType": "MARKET_LOT_SIZE",
            "minQty": text_e8(0),
            "maxQty": text_e8(instrument.max_market_quantity),
            "stepSize": text_e8(0),
        },
        {
            "filterType": "PERCENT_PRICE_BY_SIDE",
            "bidMultiplierUp": "5",
            "bidMultiplierDown": "0.2",
            "askMultiplierUp": "5",
            "askMultiplierDown": "0.2",
            "avgPriceMins": 5,
        },
        {
            "filterType": "NOTIONAL",
            "minNotional": text_e8(instrument.min_notional),
            "applyMinToMarket": True,
            "maxNotional": text_e8(instrument.max_notional),
            "applyMaxToMarket": False,
            "avgPriceMins": 5,
        },
        {"filterType": "MAX_NUM_ORDERS", "maxNumOrders": instrument.max_orders},
        {"filterType": "MAX_NUM_ALGO_ORDERS", "maxNumAlgoOrders": instrument.max_stop_orders},
        {"filterType": "MAX_NUM_ORDER_AMENDS", "maxNumOrderAmends": MAX_AMENDS},
    ]


def read_order(params: Params, symbol: str, fallback_id: str, strict_id: str = "newClientOrderId") -> OrderRequest:
    """An order request from the parameters of ``order``.

    Raises
    ------
    ApiError
        For a missing, unneeded, malformed or unsupported parameter.
    """
    side = params.choice("side", Side)
    if side is None:
        raise missing("side")
    type_ = params.choice("type", OrderType)
    if type_ is None:
        raise missing("type")
    time_in_force = params.choice("timeInForce", TimeInForce)
    quantity, amount = params.decimal("quantity"), params.decimal("quoteOrderQty")
    price, stop_price = params.decimal("price"), params.decimal("stopPrice")
    iceberg = params.decimal("icebergQty")
    prevention = params.choice("selfTradePreventionMode", Prevention)
    client_id = params.client_id(strict_id) or fallback_id
    strategy_id, strategy_type = params.integer("strategyId"), params.integer("strategyType")
    if params.has("trailingDelta"):
        raise ApiError(-2010, "Trailing stop orders are not supported for this symbol.")
    if strategy_type is not None and strategy_type < 1_000_000:
        raise ApiError(-1134, "`strategyType` was less than 1000000.")
    takes_tif = type_ in (OrderType.LIMIT, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT)
    _expect("timeInForce", time_in_force, takes_tif)
    _expect("price", price, type_.has_limit)
    if type_.has_stop and stop_price is None:
        raise _either("stopPrice", "trailingDelta")
    if not type_.has_stop:
        _expect("stopPrice", stop_price, False)
    if type_ is OrderType.MARKET:
        if quantity is None and amount is None:
            raise _either("quantity", "quoteOrderQty")
        if quantity is not None and amount is not None:
            raise ApiError(-1128, "Combination of optional parameters invalid.")
        _expect("icebergQty", iceberg, False)
    else:
        _expect("quantity", quantity, True)
        _expect("quoteOrderQty", amount, False)
    if iceberg and takes_tif and time_in_force is not TimeInForce.GTC:
        raise ApiError(-2010, "Unsupported order combination")
    for name, value in (("quantity", quantity), ("price", price), ("quoteOrderQty", amount)):
        if value == 0:
            raise ApiError(-1013, f"Invalid {name}.")
    return OrderRequest(
        symbol=symbol,
        side=side,
        type=type_,
        client_order_id=client_id,
        time_in_force=time_in_force or TimeInForce.GTC,
        quantity=quantity or 0,
        quote_quantity=amount or 0,
        price=price or 0,
        stop_price=stop_price or 0,
        iceberg=iceberg or 0,
        prevention=prevention or Prevention.EXPIRE_MAKER,
        strategy_id=strategy_id,
        strategy_type=strategy_type,
    )


def check_filters(instrument: Instrument, request: OrderRequest, account: Account, average_price: int) -> None:
    """Apply the symbol's filters.

    Parameters
    ----------
    instrument : Instrument
        With the limits.
    request : OrderRequest
        What is asked.
    account : Account
        Whose open orders count.
    average_price : int
        Average price of the last minutes, e8.

    Raises
    ------
    ApiError
        -1013 "Filter failure: NAME".
    """
    for price in (request.price, request.stop_price):
        if price and not (instrument.min_price <= price <= instrument.max_price and price % instrument.tick == 0):
            raise _failure("PRICE_FILTER")
    if request.price and average_price:
        up, down = (BID_UP, BID_DOWN) if request.side is Side.BUY else (ASK_UP, ASK_DOWN)
        if not average_price * down[0] // down[1] <= request.price <= average_price * up[0] // up[1]:
            raise _failure("PERCENT_PRICE_BY_SIDE")
    if request.quantity:
        _check_quantity(instrument, request)
    if request.iceberg:
        if not instrument.min_quantity <= request.iceberg or request.iceberg % instrument.step:
            raise _failure("LOT_SIZE")
        if -(-request.quantity // request.iceberg) > instrument.max_iceberg_parts:
            raise _failure("ICEBERG_PARTS")
    reference = request.price or request.stop_price or average_price
    value = request.quote_quantity or notional(reference, request.quantity)
    if value < instrument.min_notional or (request.price and value > instrument.max_notional):
        raise _failure("NOTIONAL")
    mine = [order for order in account.open.values() if order.symbol == instrument.symbol]
    if request.type is not OrderType.MARKET and len(mine) >= instrument.max_orders:
        raise _failure("MAX_NUM_ORDERS")
    waiting = sum(1 for order in mine if order.type.has_stop and not order.is_working)
    if request.type.has_stop and waiting >= instrument.max_stop_orders:
        raise _failure("MAX_NUM_ALGO_ORDERS")


def _check_quantity(instrument: Instrument, request: OrderRequest) -> None:
    quantity = request.quantity
    if not instrument.min_quantity <= quantity <= instrument.max_quantity or quantity % instrument.step:
        raise _failure("LOT_SIZE")
    if not request.type.has_limit and quantity > instrument.max_market_quantity:
        raise _failure("MARKET_LOT_SIZE")


def _failure(name: str) -> ApiError:
    return ApiError(-1013, f"Filter failure: {name}")


def _either(first: str, second: str) -> ApiError:
    return ApiError(-1102, f"Param '{first}' or '{second}' must be sent, but both were empty/null!")


def _expect(name: str, value: object, wanted: bool) -> None:
    if wanted and value is None:
        raise missing(name)
    if not wanted and value is not None:
        raise ApiError(-1106, f"Parameter '{name}' sent when not required.")
