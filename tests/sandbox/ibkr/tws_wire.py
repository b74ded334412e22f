"""The TWS protocol by hand, and the other side's controls, so that the sandbox is not only tested with a library."""

import asyncio
import contextlib
import struct
from collections.abc import Callable
from typing import Any

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.units import parse_e8


class Tws:
    """A running sandbox's gateways and their worlds."""

    def __init__(self, box: Sandbox) -> None:
        self.box = box
        self.site: Any = box.sites["ibkr"]

    def address(self, live: bool = False) -> tuple[str, int]:
        entry = self.box.addresses["ibkr"]
        host, port = (entry["live"] if live else entry)["address"].split(":")
        return host, int(port)

    @property
    def account(self) -> str:
        account: str = self.box.addresses["ibkr"]["account"]
        return account

    def command(self, action: str, **body: Any) -> Any:
        return self.site.venues["testnet"].command(action, body)

    def book(self, symbol: str, bids: list[tuple[str, str]], asks: list[tuple[str, str]]) -> None:
        """Let the outside market state its whole book."""
        world = self.site.worlds["testnet"]
        rows = [[(parse_e8(price), parse_e8(size)) for price, size in side] for side in (bids, asks)]
        world.exchange.market_picture(symbol, *rows, world.now_ms())
        world.publish()


async def until(found: Callable[[], Any], seconds: float = 5) -> Any:
    """Wait for something to be true."""
    for _ in range(round(seconds / 0.01)):
        if value := found():
            return value
        await asyncio.sleep(0.01)
    raise AssertionError("it did not happen")


class Wire:
    """A connection that sends and reads frames."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.version = 0

    @classmethod
    async def dial(cls, address: tuple[str, int], hello: str = "v157..178", client_id: int | None = 5) -> "Wire":
        wire = cls(*await asyncio.open_connection(*address))
        wire.writer.write(b"API\0" + cls.frame(hello.encode()))
        if client_id is not None:
            wire.version = int((await wire.read())[0])
            wire.send(71, 2, client_id, "")
            await wire.read_until("2158")
        return wire

    @staticmethod
    def frame(body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + body

    def send(self, *fields: object) -> None:
        self.writer.write(self.frame("".join(f"{field}\0" for field in fields).encode()))

    async def read(self) -> list[str]:
        (length,) = struct.unpack(">I", await asyncio.wait_for(self.reader.readexactly(4), 5))
        body = await asyncio.wait_for(self.reader.readexactly(length), 5)
        return body.decode().split("\0")[:-1]

    async def read_until(self, code: str) -> list[str]:
        """Read until an error message with this code, or another message of this kind."""
        while True:
            fields = await self.read()
            if fields[0] == code or (fields[0] == "4" and fields[3] == code):
                return fields

    async def is_closed(self) -> bool:
        try:
            while await asyncio.wait_for(self.reader.read(4096), 5):
                continue
        except ConnectionError:
            return True
        return True

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()
