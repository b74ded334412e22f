"""The account as requests see it: summary, state, positions, trades, what changed, prices."""

from __future__ import annotations

from typing import Any

from autotrader_lab.sandbox.units import ONE, share, trim_e8
from autotrader_lab.sandbox.venues.oanda.desk import Desk
from autotrader_lab.sandbox.venues.oanda.instruments import CATALOGUE, HOME, Pair, money, percent, units_text
from autotrader_lab.sandbox.venues.oanda.values import Trade

__all__ = ["account", "changes", "position", "positions", "price", "summary", "trade"]

Json = dict[str, Any]
NOTHING = "0.0000"


def _figures(desk: Desk) -> dict[str, int]:
    trades = desk.netting.open_trades()
    net: dict[str, int] = {}
    for one in trades:
        net[one.pair.name] = net.get(one.pair.name, 0) + one.units
    return {
        "unrealised": sum(desk.netting.unrealised(one) for one in trades),
        "margin": sum(desk.netting.margin(CATALOGUE[name], units) for name, units in net.items()),
        "value": sum(desk.netting.value(CATALOGUE[name], units) for name, units in net.items()),
        "positions": sum(1 for units in net.values() if units),
        "trades": len(trades),
    }


def _state(desk: Desk, figures: dict[str, int]) -> Json:
    """What changes with the prices."""
    nav = desk.netting.balance + figures["unrealised"]
    margin = figures["margin"]
    available = max(0, nav - margin)
    return {
        "unrealizedPL": money(figures["unrealised"]),
        "NAV": money(nav),
        "marginUsed": money(margin),
        "marginAvailable": money(available),
        "positionValue": money(figures["value"]),
        "marginCloseoutUnrealizedPL": money(figures["unrealised"]),
        "marginCloseoutNAV": money(nav),
        "marginCloseoutMarginUsed": money(margin),
        "marginCloseoutPercent": percent(margin, 2 * nav),
        "marginCloseoutPositionValue": money(figures["value"]),
        "withdrawalLimit": money(min(available, desk.netting.balance)),
        "marginCallMarginUsed": money(margin),
        "marginCallPercent": percent(margin, nav),
    }


def summary(desk: Desk) -> Json:
    """``/summary``'s account."""
    figures = _figures(desk)
    created = desk.record.transactions[0]["time"]
    return {
        "id": desk.account.name,
        "alias": desk.alias,
        "currency": HOME,
        "createdByUserID": desk.record.user_id,
        "createdTime": created,
        "guaranteedStopLossOrderMode": "DISABLED",
        "resettablePLTime": created,
        "marginRate": "0.02",
        "openTradeCount": figures["trades"],
        "openPositionCount": figures["positions"],
        "pendingOrderCount": len(desk.pending()),
        "hedgingEnabled": False,
        "balance": money(desk.netting.balance),
        "pl": money(desk.netting.realised),
        "resettablePL": money(desk.netting.realised),
        "financing": NOTHING,
        "commission": NOTHING,
        "dividendAdjustment": NOTHING,
        "guaranteedExecutionFees": NOTHING,
        **_state(desk, figures),
        "lastTransactionID": desk.record.last_id,
    }


def account(desk: Desk) -> Json:
    """The full account."""
    return {
        **summary(desk),
        "orders": [order.json() for order in desk.pending()],
        "positions": positions(desk),
        "trades": [trade(desk, one) for one in desk.netting.open_trades()],
    }


def trade(desk: Desk, one: Trade) -> Json:
    """One trade."""
    return one.json(desk.netting.unrealised(one), desk.netting.margin(one.pair, one.units))


def _side(desk: Desk, pair: Pair, name: str) -> tuple[Json, int]:
    sign = 1 if name == "long" else -1
    trades = [one for one in desk.netting.open_trades(pair) if one.units * sign > 0]
    units = sum(one.units for one in trades)
    unrealised = sum(desk.netting.unrealised(one) for one in trades)
    pl = money(desk.netting.realised_by_side.get((pair.name, name), 0))
    body: Json = {"units": units_text(units)}
    if units:
        average = sum(one.amount for one in trades) * ONE // abs(units)
        body |= {"averagePrice": pair.price(average), "tradeIDs": [str(one.trade_id) for one in trades]}
    body |= {"pl": pl, "resettablePL": pl, "financing": NOTHING, "dividendAdjustment": NOTHING}
    return body | {"guaranteedExecutionFees": NOTHING, "unrealizedPL": money(unrealised)}, unrealised


def position(desk: Desk, pair: Pair) -> Json | None:
    """One instrument's position, or None if it was never traded."""
    if not any(one.pair is pair for one in desk.netting.trades.values()):
        return None
    (long, gained), (short, also) = _side(desk, pair, "long"), _side(desk, pair, "short")
    realised = sum(desk.netting.realised_by_side.get((pair.name, side), 0) for side in ("long", "short"))
    body: Json = {
        "instrument": pair.name,
        "long": long,
        "short": short,
        "pl": money(realised),
        "resettablePL": money(realised),
        "financing": NOTHING,
        "commission": NOTHING,
        "dividendAdjustment": NOTHING,
        "guaranteedExecutionFees": NOTHING,
        "unrealizedPL": money(gained + also),
    }
    units = sum(one.units for one in desk.netting.open_trades(pair))
    if units:
        body["marginUsed"] = money(desk.netting.margin(pair, units))
    return body


def positions(desk: Desk, only_open: bool = False) -> list[Json]:
    """Every position."""
    found = (position(desk, pair) for pair in CATALOGUE.values())
    return [
        row for row in found if row and (not only_open or row["long"]["units"] != "0" or row["short"]["units"] != "0")
    ]


def changes(desk: Desk, since: int) -> Json:
    """What happened after a transaction, and the state that follows the prices."""
    transactions = desk.record.between(since + 1, int(desk.record.last_id))
    created: list[Json] = []
    ended: dict[str, list[Json]] = {"ORDER_CANCEL": [], "ORDER_FILL": []}
    opened: list[Json] = []
    reduced: list[Json] = []
    closed: list[Json] = []
    touched: dict[str, None] = {}
    for one in transactions:
        type_ = one["type"]
        if type_.endswith("_ORDER"):
            created.append(desk.orders[int(one["id"])].json())
        if type_ in ended and int(one["orderID"]) in desk.orders:
            ended[type_].append(desk.orders[int(one["orderID"])].json())
        if type_ == "ORDER_FILL":
            touched[one["instrument"]] = None
            if "tradeOpened" in one:
                opened.append(trade(desk, desk.netting.trades[int(one["tradeOpened"]["tradeID"])]))
            if "tradeReduced" in one:
                reduced.append(trade(desk, desk.netting.trades[int(one["tradeReduced"]["tradeID"])]))
            closed += [trade(desk, desk.netting.trades[int(row["tradeID"])]) for row in one.get("tradesClosed", [])]
    return {
        "changes": {
            "ordersCreated": created,
            "ordersCancelled": ended["ORDER_CANCEL"],
            "ordersFilled": ended["ORDER_FILL"],
            "ordersTriggered": [],
            "tradesOpened": opened,
            "tradesReduced": reduced,
            "tradesClosed": closed,
            "positions": [position(desk, CATALOGUE[name]) for name in touched],
            "transactions": transactions,
        },
        "state": {
            **_state(desk, _figures(desk)),
            "orders": [],
            "trades": [
                {
                    "id": str(one.trade_id),
                    "unrealizedPL": money(desk.netting.unrealised(one)),
                    "marginUsed": money(desk.netting.margin(one.pair, one.units)),
                }
                for one in desk.netting.open_trades()
            ],
            "positions": [
                {
                    "instrument": row["instrument"],
                    "netUnrealizedPL": row["unrealizedPL"],
                    "longUnrealizedPL": row["long"]["unrealizedPL"],
                    "shortUnrealizedPL": row["short"]["unrealizedPL"],
                    "marginUsed": row.get("marginUsed", NOTHING),
                }
                for row in positions(desk, only_open=True)
            ],
        },
        "lastTransactionID": desk.record.last_id,
    }


def price(desk: Desk, pair: Pair, for_stream: bool = False) -> Json:
    """A price; streams leave out what depends on the account."""
    full = desk.netting.full_price(pair, liquidity_as_text=False)
    tradeable = pair.name not in desk.halted
    body: Json = {
        "type": "PRICE",
        "time": desk.record.now(),
        **full,
        "status": "tradeable" if tradeable else "non-tradeable",
        "tradeable": tradeable,
    }
    if not for_stream:
        gain, loss = desk.netting.factors(pair.instrument.quote)
        body["quoteHomeConversionFactors"] = {"positiveUnits": trim_e8(gain), "negativeUnits": trim_e8(loss)}
        body["unitsAvailable"] = _units_available(desk, pair)
    return {**body, "instrument": pair.name}


def _units_available(desk: Desk, pair: Pair) -> Json:
    state = _figures(desk)
    free = max(0, desk.netting.balance + state["unrealised"] - state["margin"])
    each = share(desk.netting.value(pair, ONE), pair.instrument.margin_rate)
    fresh = free // each if each else 0
    held = desk.account.holding(pair.name).quantity
    long, short = fresh + max(0, -held) * 2 // ONE, fresh + max(0, held) * 2 // ONE
    both = {"long": str(long), "short": str(short)}
    return {
        "default": both,
        "openOnly": {"long": str(fresh if held >= 0 else 0), "short": str(fresh if held <= 0 else 0)},
        "reduceFirst": both,
        "reduceOnly": {"long": str(max(0, -held) // ONE), "short": str(max(0, held) // ONE)},
    }
