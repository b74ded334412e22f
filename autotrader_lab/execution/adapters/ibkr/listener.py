"""Every message on its way in: to whoever asked, to our books, to the feeds."""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from autotrader_lab.execution.adapters.ibkr import decode
from autotrader_lab.execution.adapters.ibkr.asking import Questions
from autotrader_lab.execution.adapters.ibkr.codes import CONNECTIVITY_LOST, CONNECTIVITY_RESTORED
from autotrader_lab.execution.adapters.ibkr.decode import VENUE, Phase, Standing, Terms
from autotrader_lab.execution.adapters.ibkr.executions import IBKRExecutions
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import DataError

__all__ = ["AccountProfit", "IBKRListener", "Key"]

log = logging.getLogger(__name__)

Key = int | tuple[int, int]

# The library hands on what is there where a message is too short.
_FEWEST = {
    "orderStatus": 10,
    "error": 3,
    "nextValidId": 1,
    "currentTime": 1,
    "execDetailsEnd": 1,
    "contractDetailsEnd": 1,
    "accountSummary": 5,
    "accountSummaryEnd": 1,
    "historicalDataEnd": 1,
    "pnl": 4,
    "marketDataType": 2,
    "tickReqParams": 1,
    "tickSize": 3,
    "realtimeBar": 7,
    "updateMktDepth": 6,
    "updateMktDepthL2": 7,
}


class AccountProfit(msgspec.Struct, frozen=True):
    """The account's profit in its base currency, as IB counts it; None where IB does not tell."""

    timestamp_ns: int
    daily: float | None
    unrealised: float | None
    realised: float | None


class IBKRListener(IBKRExecutions):
    """What TWS says, taken apart and given to whom it concerns."""

    def __init__(self, clock: Clock, commission_wait_s: float, timeout_s: float, client_id: int) -> None:
        super().__init__(clock, commission_wait_s)
        self.account = ""
        self.client_id = client_id
        self.profit: AccountProfit | None = None
        self._questions = Questions(timeout_s, self._no_answer)
        self._next_id = 1
        self._is_cut = False
        self._terms: dict[Key, Terms] = {}
        self._standings: dict[Key, Standing] = {}
        self._phases: dict[Key, Phase | None] = {}
        self._market_callbacks: list[Callable[[str, tuple[Any, ...]], None]] = []
        self._profit_callbacks: list[Callable[[AccountProfit], None]] = []
        self._profit_id = 0

    @abstractmethod
    def _no_answer(self, reason: str) -> None:
        """A question without an id stayed without an answer."""

    @abstractmethod
    def _drop(self, reason: str) -> None:
        """End this connection; a new one is made."""

    @abstractmethod
    def _cut(self, reason: str) -> None:
        """TWS lost IB."""

    @abstractmethod
    def _restore(self, code: int) -> None:
        """TWS is connected to IB again."""

    def _on_message(self, name: str, values: tuple[Any, ...]) -> None:
        """One callback of the client library, in its order."""
        try:
            if len(values) < _FEWEST.get(name, 0):
                raise DataError(f"{VENUE}: it has {len(values)} fields and needs {_FEWEST[name]}")
            self._take(name, values)
        except DataError as error:
            log.warning("%s: a message (%s) was not understood: %s", VENUE, name, error)

    def _take(self, name: str, values: tuple[Any, ...]) -> None:
        if name == "openOrder":
            self._take_order(*values)
        elif name == "orderStatus":
            self._take_standing(decode.decode_standing(*values))
        elif name == "execDetails":
            request_id, contract, execution = values
            self._take_execution(request_id, decode.decode_execution(contract, execution))
        elif name == "commissionReport":
            self._absorb_commission(decode.decode_commission(values[0]))
        elif name == "error":
            self._take_error(*values)
        elif name == "openOrderEnd":
            self._questions.end("openOrders")
        elif name == "completedOrder":
            contract, order, state = values
            terms = decode.decode_order(0, contract, order, state)
            if terms.account in ("", self.account):
                self._questions.part("completedOrders", terms)
        elif name == "completedOrdersEnd":
            self._questions.end("completedOrders")
        elif name == "position":
            account, contract, size, _ = values
            if account == self.account:
                part = (decode.decode_security(contract), decode.number(size, "position") or Decimal(0))
                self._questions.part("positions", part)
        elif name == "positionEnd":
            self._questions.end("positions")
        elif name == "currentTime":
            self._questions.part("currentTime", int(values[0]))
            self._questions.end("currentTime")
        elif name == "nextValidId":
            self._next_id = max(self._next_id, int(values[0]))
        elif name == "contractDetails":
            self._questions.part(values[0], decode.decode_details(values[1]))
        elif name == "accountSummary":
            self._questions.part(values[0], values[1:])
        elif name == "historicalData":
            self._questions.part(values[0], values[1])
        elif name in ("execDetailsEnd", "contractDetailsEnd", "accountSummaryEnd", "historicalDataEnd"):
            self._questions.end(values[0])
        elif name == "marketRule":
            self._questions.part(f"rule {values[0]}", decode.decode_rule(values[1]))
            self._questions.end(f"rule {values[0]}")
        elif name == "pnl":
            self._take_profit(*values)
        else:
            for callback in list(self._market_callbacks):
                callback(name, values)

    def _take_order(self, order_id: int, contract: Any, order: Any, state: Any) -> None:
        if order.whatIf:
            return
        terms = decode.decode_order(order_id, contract, order, state)
        if terms.account not in ("", self.account):
            return
        key = _key(terms)
        self._terms[key], self._phases[key] = terms, terms.phase
        if terms.client_id == self.client_id:
            self._next_id = max(self._next_id, terms.order_id + 1)
        is_listed = self._questions.is_open("openOrders")
        self._questions.part("openOrders", key)
        self._absorb_terms(terms, listed=is_listed)

    def _take_standing(self, standing: Standing) -> None:
        key = _key(standing)
        self._standings[key] = standing
        if key in self._phases:
            self._phases[key] = standing.phase
        self._absorb_standing(standing)

    def _take_execution(self, request_id: int, execution: decode.Execution) -> None:
        if execution.account != self.account:
            return
        if execution.client_id == self.client_id:
            self._next_id = max(self._next_id, execution.order_id + 1)
        if self._questions.is_open(request_id):
            self._questions.part(request_id, execution)
        else:
            self._absorb_execution(execution)

    def _take_error(self, request_id: int, code: int, text: str, details: str = "") -> None:
        if request_id >= 0:
            if self._questions.refuse(request_id, code, text) or self._absorb_error(
                request_id, self.client_id, code, text
            ):
                return
            for callback in list(self._market_callbacks):
                callback("error", (request_id, code, text))
            log.info("%s: %d: %d %s", VENUE, request_id, code, text)
            return
        if code in CONNECTIVITY_LOST:
            self._cut(f"{code} {text}")
        elif code in CONNECTIVITY_RESTORED or (self._is_cut and code in (2104, 2106)):
            if self._is_cut:
                self._restore(code)
        elif code == 1300:
            self._drop(f"{code} {text}")
        elif 2100 <= code < 2200:
            log.info("%s: %d %s", VENUE, code, text)
        else:
            log.warning("%s: %d %s", VENUE, code, text)
            if code != 100:
                self._questions.refuse(-1, code, text)

    def _take_profit(self, request_id: int, daily: float, unrealised: float, realised: float) -> None:
        if request_id != self._profit_id:
            return
        told = [decode.number(value, "profit") for value in (daily, unrealised, realised)]
        figures = [None if value is None else float(value) for value in told]
        self.profit = AccountProfit(self._clock.now_ns(), *figures)
        for callback in list(self._profit_callbacks):
            callback(self.profit)


def _key(what: Terms | Standing) -> Key:
    """By permId where there is one: numbers repeat among clients."""
    return what.perm_id or (what.client_id, what.order_id)
