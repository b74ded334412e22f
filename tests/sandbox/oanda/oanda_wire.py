"""oandapyV20 in threads, and the other side's controls."""

import asyncio
import json
from typing import Any

import oandapyV20.oandapyV20
from oandapyV20 import API
from oandapyV20.endpoints import accounts, instruments, orders, positions, pricing, trades, transactions
from oandapyV20.exceptions import V20Error

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.units import parse_e8

Json = dict[str, Any]
MODULES = (accounts, instruments, orders, positions, pricing, trades, transactions)


class Oanda:
    """A running sandbox's environments."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.site: Any = box.sites["oanda"]

    def entry(self, live: bool = False) -> Json:
        entry: Json = self.box.addresses["oanda"]
        return entry["live"] if live else entry

    @property
    def account(self) -> str:
        return str(self.entry()["account"])

    def command(self, action: str, **body: Any) -> Any:
        return self.site.venues["testnet"].command(action, body)

    def quote(self, instrument: str, bid: str, ask: str, size: str = "10000000") -> None:
        """Let the outside market stand at a bid and an ask."""
        world = self.site.worlds["testnet"]
        rows = [[(parse_e8(price), parse_e8(size))] for price in (bid, ask)]
        world.exchange.market_picture(instrument, *rows, world.now_ms())
        world.publish()


class Client:
    """oandapyV20 for one account: endpoints by their class names; errors come back as (status, body)."""

    def __init__(self, entry: Json, token: str = "", unix: bool = False) -> None:
        self.entry = entry
        self.account = entry["account"]
        oandapyV20.oandapyV20.TRADING_ENVIRONMENTS["sandbox"] = {"api": entry["rest"], "stream": entry["stream"]}
        headers = {"Accept-Datetime-Format": "UNIX"} if unix else {}
        self.api = API(
            token or entry["token"], environment="sandbox", headers=headers, request_params={"timeout": (3, 12)}
        )

    def make(self, name: str, *arguments: Any, **more: Any) -> Any:
        endpoint = next(getattr(module, name) for module in MODULES if hasattr(module, name))
        needs_account = name not in ("AccountList", "InstrumentsCandles")
        return endpoint(*([self.account] if needs_account else []), *arguments, **more)

    async def ask(self, name: str, *arguments: Any, **more: Any) -> Any:
        request = self.make(name, *arguments, **more)
        try:
            return await asyncio.to_thread(self.api.request, request)
        except V20Error as error:
            return error.code, json.loads(error.msg)

    async def order(self, type_: str, units: str, price: str = "", **more: Any) -> Any:
        terms = {"type": type_, "instrument": "EUR_USD", "units": units, **({"price": price} if price else {}), **more}
        return await self.ask("OrderCreate", {"order": terms})

    async def stream(self, name: str, count: int, **more: Any) -> list[Json]:
        """The first objects of a stream."""
        request = self.make(name, **more)

        def read() -> list[Json]:
            rows: list[Json] = []
            for row in self.api.request(request):
                rows.append(row)
                if len(rows) == count:
                    break
            return rows

        return await asyncio.to_thread(read)
