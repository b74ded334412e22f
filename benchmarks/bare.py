"""The same order sent with each venue's client library alone: what our own figures are compared with.

Nothing of ours is around the call but the sandbox's addresses; ccxt is set up as our adapters have it, its throttler
switched off, which is in its favour.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

import simplefix
from venue_kit import Kit

from autotrader_lab.model.clock import SystemClock

__all__ = ["Bare", "make_bare"]


class Bare(ABC):
    """One client library on one sandbox."""

    def __init__(self, kit: Kit, addresses: Mapping[str, Any]) -> None:
        self.kit = kit
        self.entry = addresses[kit.name]
        self.numbers = itertools.count(1)

    @abstractmethod
    async def open(self) -> None:
        """Connect, and load what the library wants to know first."""

    @abstractmethod
    async def submit(self, price: float) -> tuple[float, Any]:
        """A limit order to buy: seconds until the library says that the venue has it, and how to cancel it."""

    @abstractmethod
    async def cancel(self, handle: Any) -> None:
        """Cancel it; nobody times this."""

    @abstractmethod
    async def close(self) -> None:
        """Leave nothing open."""


class Ccxt(Bare):
    """``create_order`` and its REST answer."""

    async def open(self) -> None:
        from autotrader_lab.execution.adapters.ccxt_setups import setup_of
        from autotrader_lab.execution.adapters.ccxt_wire import local_addresses, make_exchange

        also = setup_of(self.kit.name).also
        self.exchange = make_exchange(
            self.kit.name,
            testnet=True,
            timeout_s=10,
            local=local_addresses(self.entry, True, self.kit.name, also),
            api_key=self.entry["api_key"],
            api_secret=self.entry.get("pem") or self.entry["api_secret"],
            passphrase=self.entry.get("passphrase", ""),
        )
        await self.exchange.load_markets()

    async def submit(self, price: float) -> tuple[float, Any]:
        params = {"client_order_id": f"bare{next(self.numbers)}"} if self.kit.name == "coinbase" else {}
        began = time.perf_counter()
        order = await self.exchange.create_order(self.kit.symbol, "limit", "buy", self.kit.quantity, price, params)
        return time.perf_counter() - began, order["id"]

    async def cancel(self, handle: Any) -> None:
        await self.exchange.cancel_order(handle, self.kit.symbol)

    async def close(self) -> None:
        await self.exchange.close()


class Oandapy(Bare):
    """``api.request(OrderCreate)``, which blocks until the answer is there."""

    async def open(self) -> None:
        from oandapyV20 import API
        from oandapyV20.oandapyV20 import TRADING_ENVIRONMENTS

        TRADING_ENVIRONMENTS["bare"] = {"api": self.entry["rest"], "stream": self.entry["stream"]}
        self.api = API(self.entry["token"], environment="bare", request_params={"timeout": (3, 12)})

    async def submit(self, price: float) -> tuple[float, Any]:
        from oandapyV20.endpoints.orders import OrderCreate

        wish = {
            "type": "LIMIT",
            "instrument": self.kit.pairs[0].name,
            "units": f"{self.kit.quantity:.0f}",
            "price": f"{price:.5f}",
            "timeInForce": "GTC",
            "positionFill": "DEFAULT",
            "clientExtensions": {"id": f"bare{next(self.numbers)}"},
        }
        began = time.perf_counter()
        answer = self.api.request(OrderCreate(self.entry["account"], {"order": wish}))
        return time.perf_counter() - began, answer["orderCreateTransaction"]["id"]

    async def cancel(self, handle: Any) -> None:
        from oandapyV20.endpoints.orders import OrderCancel

        self.api.request(OrderCancel(self.entry["account"], handle))

    async def close(self) -> None:
        self.api.client.close()


class IbAsync(Bare):
    """``ib.placeOrder`` and the first status that says that it works."""

    async def open(self) -> None:
        import ib_async

        self.ib = ib_async.IB()
        host, _, port = self.entry["address"].partition(":")
        await self.ib.connectAsync(host, int(port), clientId=77)
        (self.contract,) = await self.ib.qualifyContractsAsync(ib_async.Stock(self.kit.symbol, "SMART", "USD"))

    async def submit(self, price: float) -> tuple[float, Any]:
        import ib_async

        order = ib_async.LimitOrder("BUY", self.kit.quantity, price, account=self.entry["account"], tif="GTC")
        works = asyncio.get_running_loop().create_future()

        def look(trade: Any) -> None:
            if trade.orderStatus.status == "Submitted" and not works.done():
                works.set_result(None)

        began = time.perf_counter()
        trade = self.ib.placeOrder(self.contract, order)
        trade.statusEvent += look
        await works
        return time.perf_counter() - began, order

    async def cancel(self, handle: Any) -> None:
        trade = self.ib.cancelOrder(handle)
        while trade is not None and not trade.isDone():
            await asyncio.sleep(0.001)

    async def close(self) -> None:
        self.ib.disconnect()
        await asyncio.sleep(0.05)


class Simplefix(Bare):
    """A NewOrderSingle written with simplefix, and the first report of it; a socket and nothing else.

    FXCM lets a sender log on once, and our adapter is: this one uses the sandbox's other world.
    """

    async def open(self) -> None:
        self.entry = self.entry["live"]
        host, _, port = self.entry["address"].partition(":")
        self.reader, self.writer = await asyncio.open_connection(host, int(port))
        self.parser = simplefix.FixParser()
        self.sequence = itertools.count(1)
        login = ((98, 0), (108, 300), (141, "Y"), (553, self.entry["user"]), (554, self.entry["password"]))
        self._send("A", login)
        await self._until(lambda message: message.get(35) == b"A")

    async def submit(self, price: float) -> tuple[float, Any]:
        name = f"bare{next(self.numbers)}"
        order = (
            (11, name),
            (1, self.entry["account"]),
            (55, self.kit.symbol),
            (54, 1),
            (60, _stamp()),
            (38, f"{self.kit.quantity:.0f}"),
            (40, 2),
            (44, f"{price:.5f}"),
            (59, 1),
        )
        began = time.perf_counter()
        self._send("D", order)
        await self._until(lambda message: message.get(35) == b"8" and message.get(11) == name.encode())
        return time.perf_counter() - began, name

    async def cancel(self, handle: Any) -> None:
        more = ((11, f"{handle}c"), (41, handle), (1, self.entry["account"]), (55, self.kit.symbol), (54, 1))
        self._send("F", (*more, (60, _stamp())))
        await self._until(lambda message: message.get(39) == b"4")

    async def close(self) -> None:
        self.writer.close()
        await self.writer.wait_closed()

    def _send(self, kind: str, fields: tuple[tuple[int, Any], ...]) -> None:
        message = simplefix.FixMessage()
        message.append_pair(8, "FIX.4.4")
        message.append_pair(35, kind)
        message.append_pair(34, next(self.sequence))
        message.append_pair(49, self.entry["sender"])
        message.append_pair(56, self.entry["target"])
        message.append_pair(57, self.entry["target_sub"])
        message.append_pair(52, _stamp())
        for tag, value in fields:
            message.append_pair(tag, value)
        self.writer.write(message.encode())

    async def _until(self, is_it: Any) -> None:
        async with asyncio.timeout(5):
            while True:
                message = self.parser.get_message()
                if message is None:
                    self.parser.append_buffer(await self.reader.read(65_536))
                elif is_it(message):
                    return


def _stamp() -> str:
    return SystemClock().now().strftime("%Y%m%d-%H:%M:%S.%f")[:-3]


_LIBRARIES: dict[str, type[Bare]] = {"oanda": Oandapy, "ibkr": IbAsync, "fxcm": Simplefix}


def make_bare(kit: Kit, addresses: Mapping[str, Any]) -> Bare:
    """The client library of a venue, not connected."""
    return _LIBRARIES.get(kit.name, Ccxt)(kit, addresses)
