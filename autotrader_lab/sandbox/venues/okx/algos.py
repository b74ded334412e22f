"""Orders that wait for a price (trigger, conditional, oco) and the switch that cancels everything after a time.

A waiting algo order is no order of the exchange: it holds no funds, and when the last price reaches its trigger it
becomes one, which may then fail for want of them.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from autotrader_lab.sandbox.orders import Account, Instrument
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.units import notional, trim_e8
from autotrader_lab.sandbox.venues.okx.errors import ApiError, RowError, wrong
from autotrader_lab.sandbox.venues.okx.rules import check_size, read_price

if TYPE_CHECKING:
    from autotrader_lab.sandbox.venues.okx.desk import Desk

__all__ = ["Algo", "Algos", "Deadlines"]

Json = dict[str, Any]

FIRST_ID = 431_375_349_042_380_800
MARKET = -1
_CLIENT_ID = re.compile(r"[A-Za-z0-9]{1,32}")
_KINDS = ("trigger", "conditional", "oco")


class Leg(msgspec.Struct):
    """A price to wait for, and the order that follows: `order_price` e8, or -1 for a market order."""

    trigger_price: int
    order_price: int
    on_rise: bool


class Algo(msgspec.Struct, kw_only=True):
    """A waiting order."""

    number: int
    account: str
    client_id: str
    instrument: Instrument
    kind: str
    side: str
    size: int
    tgt_ccy: str
    tag: str
    td_mode: str
    created_ms: int
    updated_ms: int
    trigger: Leg | None = None
    take_profit: Leg | None = None
    stop_loss: Leg | None = None
    state: str = "live"
    order_id: str = ""
    actual_side: str = ""
    triggered_ms: int | None = None
    fail_code: str = ""


class Algos:
    """The waiting orders of a world.

    Parameters
    ----------
    desk : Desk
        Where triggered orders go.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._numbers = itertools.count(FIRST_ID)
        self._all: dict[int, Algo] = {}
        self._live: dict[int, Algo] = {}
        self.listeners: list[Callable[[Algo], None]] = []

    def of(self, account: Account) -> list[Algo]:
        """An account's, oldest first."""
        return [algo for algo in self._all.values() if algo.account == account.name]

    def find(self, account: Account, row: Mapping[str, Any]) -> Algo:
        """The one that ``algoId`` or ``algoClOrdId`` names.

        Raises
        ------
        RowError
            51000 if neither is sent, 51400 if there is none.
        """
        number, client_id = str(row.get("algoId") or ""), str(row.get("algoClOrdId") or "")
        if not number and not client_id:
            raise RowError("51000", "Either parameter algoId or algoClOrdId is required ")
        for algo in reversed(self.of(account)):
            if (number and str(algo.number) == number) or (not number and algo.client_id == client_id):
                return algo
        raise RowError("51400", "Cancellation failed as the order has been filled, canceled or does not exist.")

    def place(self, account: Account, row: Mapping[str, Any]) -> Json:
        """Wait.

        Raises
        ------
        RowError
            With the venue's code.
        """
        try:
            instrument = self._desk.instrument(str(row.get("instId") or ""))
        except ApiError as error:
            raise RowError(error.code, error.message) from error
        kind, side = str(row.get("ordType") or ""), str(row.get("side") or "")
        if kind not in _KINDS:
            raise wrong("ordType")
        if side not in ("buy", "sell"):
            raise wrong("side")
        if row.get("tdMode") not in ("cash", "cross"):
            raise wrong("tdMode")
        client_id = str(row.get("algoClOrdId") or row.get("clOrdId") or "")
        if client_id and not _CLIENT_ID.fullmatch(client_id):
            raise wrong("algoClOrdId")
        if client_id and any(a.client_id == client_id and a.account == account.name for a in self._live.values()):
            raise RowError("51065", "algoClOrdId already exists.")
        algo = Algo(
            number=next(self._numbers),
            account=account.name,
            client_id=client_id,
            instrument=instrument,
            kind=kind,
            side=side,
            size=check_size(row, instrument, in_quote=row.get("tgtCcy") == "quote_ccy"),
            tgt_ccy=str(row.get("tgtCcy") or ""),
            tag=str(row.get("tag") or ""),
            td_mode="cash",
            created_ms=self._desk.world.now_ms(),
            updated_ms=self._desk.world.now_ms(),
        )
        self._read_legs(algo, row)
        self._all[algo.number] = self._live[algo.number] = algo
        self._tell(algo)
        return self._answer(algo)

    def _read_legs(self, algo: Algo, row: Mapping[str, Any]) -> None:
        last, buys = self._desk.exchange.last_price[algo.instrument.symbol], algo.side == "buy"
        if algo.kind == "trigger":
            price = read_price(row, "triggerPx", algo.instrument)
            # The documentation says orderPx, older clients and the answers say ordPx.
            name = "orderPx" if row.get("orderPx") else "ordPx"
            algo.trigger = Leg(price, _order_price(row, name, algo.instrument), price > last)
            return
        if row.get("tpTriggerPx"):
            price = read_price(row, "tpTriggerPx", algo.instrument)
            if (price > last) == buys and price != last:
                raise _misplaced("TP", buys)
            algo.take_profit = Leg(price, _order_price(row, "tpOrdPx", algo.instrument), not buys)
        if row.get("slTriggerPx"):
            price = read_price(row, "slTriggerPx", algo.instrument)
            if (price < last) == buys and price != last:
                raise _misplaced("SL", buys)
            algo.stop_loss = Leg(price, _order_price(row, "slOrdPx", algo.instrument), buys)
        if algo.take_profit is None and algo.stop_loss is None:
            raise RowError("50015", "Either parameter tpTriggerPx or slTriggerPx is required")
        if algo.kind == "oco" and (algo.take_profit is None or algo.stop_loss is None):
            raise wrong("slTriggerPx" if algo.stop_loss is None else "tpTriggerPx")

    def cancel(self, account: Account, row: Mapping[str, Any]) -> Json:
        """Wait no longer.

        Raises
        ------
        RowError
            51400 if it does not wait.
        """
        algo = self._live.get(self.find(account, row).number)
        if algo is None:
            raise RowError("51400", "Cancellation failed as the order has been filled, canceled or does not exist.")
        self._end(algo, "canceled")
        return self._answer(algo)

    def amend(self, account: Account, row: Mapping[str, Any]) -> Json:
        """Change size, trigger or order price of a waiting order.

        Raises
        ------
        RowError
            51503 if it does not wait, or as for a new one.
        """
        algo = self._live.get(self.find(account, row).number)
        if algo is None:
            raise RowError("51503", "Your order has already been filled or canceled.")
        if row.get("newSz"):
            algo.size = check_size({"sz": row["newSz"]}, algo.instrument)
        prefixes = {"newTp": algo.take_profit, "newSl": algo.stop_loss, "new": algo.trigger}
        for prefix, leg in prefixes.items():
            if leg is None:
                continue
            if row.get(f"{prefix}TriggerPx"):
                leg.trigger_price = read_price(row, f"{prefix}TriggerPx", algo.instrument)
            if row.get(f"{prefix}OrdPx"):
                leg.order_price = _order_price(row, f"{prefix}OrdPx", algo.instrument)
        algo.updated_ms = self._desk.world.now_ms()
        self._tell(algo)
        return self._answer(algo) | {"reqId": str(row.get("reqId") or "")}

    def on_events(self, events: Sequence[Event]) -> None:
        """Send the orders whose trigger the last price has reached."""
        fired = False
        for algo in list(self._live.values()):
            last = self._desk.exchange.last_price[algo.instrument.symbol]
            for name in ("trigger", "stop_loss", "take_profit"):
                leg: Leg | None = getattr(algo, name)
                if leg is None or not (last >= leg.trigger_price if leg.on_rise else last <= leg.trigger_price):
                    continue
                self._fire(algo, name, leg)
                fired = True
                break
        if fired:
            self._desk.world.publish()

    def _fire(self, algo: Algo, name: str, leg: Leg) -> None:
        row: Json = {
            "instId": f"{algo.instrument.base}-{algo.instrument.quote}",
            "tdMode": "cash",
            "side": algo.side,
            "ordType": "market" if leg.order_price == MARKET else "limit",
            "sz": trim_e8(algo.size),
            "tag": algo.tag,
        }
        if leg.order_price != MARKET:
            row["px"] = trim_e8(leg.order_price)
        else:
            row["tgtCcy"] = algo.tgt_ccy or "base_ccy"
        algo.triggered_ms = self._desk.world.now_ms()
        algo.actual_side = {"stop_loss": "sl", "take_profit": "tp"}.get(name, "")
        account = self._desk.exchange.accounts[algo.account]
        try:
            placed = self._desk.place(
                account,
                row,
                source="6" if name == "trigger" else "7",
                algo_id=str(algo.number),
                algo_client_id=algo.client_id,
            )
        except RowError as error:
            algo.fail_code = error.code
            self._end(algo, "order_failed")
            return
        algo.order_id = placed["ordId"]
        self._end(algo, "effective")

    def _end(self, algo: Algo, state: str) -> None:
        algo.state, algo.updated_ms = state, self._desk.world.now_ms()
        del self._live[algo.number]
        self._tell(algo)

    def _tell(self, algo: Algo) -> None:
        for listener in self.listeners:
            listener(algo)

    def _answer(self, algo: Algo) -> Json:
        return {
            "algoClOrdId": algo.client_id,
            "algoId": str(algo.number),
            "clOrdId": "",
            "sCode": "0",
            "sMsg": "",
            "tag": algo.tag,
        }

    def run_rows(
        self, action: Callable[[Account, Mapping[str, Any]], Json], account: Account, rows: Sequence[Mapping[str, Any]]
    ) -> Json:
        """Run an action on every row, as the desk does."""
        data: list[Json] = []
        for row in rows:
            try:
                data.append(action(account, row))
            except RowError as error:
                data.append(
                    {
                        "algoClOrdId": str(row.get("algoClOrdId") or ""),
                        "algoId": str(row.get("algoId") or ""),
                        "clOrdId": "",
                        "sCode": error.code,
                        "sMsg": error.message,
                        "tag": "",
                    }
                )
        failed = sum(1 for answer in data if answer["sCode"] != "0")
        code = "0" if not failed else "1" if failed == len(data) else "2"
        return {"code": code, "data": data, "msg": "All operations failed" if code == "1" else ""}

    def row(self, algo: Algo) -> Json:
        """An algo order, as the lists show it."""
        legs = {"tp": algo.take_profit, "sl": algo.stop_loss}
        last = self._desk.exchange.last_price[algo.instrument.symbol]
        row: Json = {
            "activePx": "", "actualPx": "", "actualSide": algo.actual_side, "actualSz": "0",
            "algoClOrdId": algo.client_id, "algoId": str(algo.number), "amendPxOnTriggerType": "0",
            "attachAlgoOrds": [], "cTime": str(algo.created_ms), "callbackRatio": "", "callbackSpread": "", "ccy": "",
            "chaseType": "", "chaseVal": "", "clOrdId": "", "closeFraction": "", "failCode": algo.fail_code,
            "instId": f"{algo.instrument.base}-{algo.instrument.quote}", "instType": "SPOT", "isTradeBorrowMode": "",
            "last": trim_e8(last), "lever": "", "linkedOrd": {"ordId": ""}, "maxChaseType": "", "maxChaseVal": "",
            "moveTriggerPx": "", "notionalUsd": trim_e8(notional(last, algo.size)), "ordId": algo.order_id,
            "ordIdList": [algo.order_id] if algo.order_id else [],
            "ordPx": _price_text(algo.trigger.order_price) if algo.trigger else "", "ordType": algo.kind,
            "posSide": "net", "pxLimit": "", "pxSpread": "", "pxVar": "", "quickMgnType": "", "reduceOnly": "false",
            "side": algo.side, "state": algo.state, "sz": trim_e8(algo.size), "szLimit": "", "tag": algo.tag,
            "tdMode": algo.td_mode, "tgtCcy": algo.tgt_ccy, "timeInterval": "", "tradeQuoteCcy": algo.instrument.quote,
            "triggerPx": trim_e8(algo.trigger.trigger_price) if algo.trigger else "",
            "triggerPxType": "last" if algo.trigger else "", "triggerTime": str(algo.triggered_ms or ""),
            "uTime": str(algo.updated_ms), "uly": "",
        }  # fmt: skip
        for prefix, leg in legs.items():
            row[f"{prefix}TriggerPx"] = trim_e8(leg.trigger_price) if leg else ""
            row[f"{prefix}TriggerPxType"] = "last" if leg else ""
            row[f"{prefix}OrdPx"] = _price_text(leg.order_price) if leg else ""
        return row


class Deadlines:
    """The venue's dead man's switch: everything is canceled when nobody renews it.

    Parameters
    ----------
    desk : Desk
        Whose orders it cancels.
    """

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._due_ms: dict[tuple[str, str], int] = {}

    def arm(self, account_name: str, tag: str, due_ms: int | None) -> None:
        """Set, renew or (None) lift the deadline of an account's orders, or of those with a tag."""
        if due_ms is None:
            self._due_ms.pop((account_name, tag), None)
        else:
            self._due_ms[account_name, tag] = due_ms

    def check(self, now_ms: int) -> None:
        """Cancel what is overdue."""
        for (name, tag), due_ms in list(self._due_ms.items()):
            if now_ms < due_ms:
                continue
            del self._due_ms[name, tag]
            account = self._desk.exchange.accounts[name]
            for order in list(account.open.values()):
                if not tag or self._desk.ticket(order).tag == tag:
                    self._desk.end(account, order, "20", "Cancel all after triggered")
            self._desk.world.publish()


def _order_price(row: Mapping[str, Any], name: str, instrument: Instrument) -> int:
    return MARKET if str(row.get(name)) == "-1" else read_price(row, name, instrument)


def _price_text(price: int) -> str:
    return "-1" if price == MARKET else trim_e8(price)


def _misplaced(which: str, buys: bool) -> RowError:
    """A trigger on the wrong side of the last price."""
    codes = {("TP", True): "51277", ("SL", True): "51278", ("TP", False): "51279", ("SL", False): "51280"}
    above = (which == "TP") == buys
    return RowError(
        codes[which, buys], f"{which} trigger price cannot be {'higher' if above else 'lower'} than the last price"
    )
