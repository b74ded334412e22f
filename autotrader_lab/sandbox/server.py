"""The sandbox as one object: worlds, market, venues and ports, opened and closed together.

    async with Sandbox(seed=1, speed=10) as box:
        print(box.addresses)

Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.sandbox.control import Control
from autotrader_lab.sandbox.frames import open_market
from autotrader_lab.sandbox.instruments import DEFAULT_BALANCES, choose_instruments, new_secret
from autotrader_lab.sandbox.market import MarketDriver, Script
from autotrader_lab.sandbox.orders import Instrument
from autotrader_lab.sandbox.synthetic import SyntheticScript
from autotrader_lab.sandbox.venues.binance.hooks import Hooks
from autotrader_lab.sandbox.venues.binance.limits import Limits
from autotrader_lab.sandbox.venues.binance.venue import BinanceVenue
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["Sandbox"]

HOST = "127.0.0.1"
WORLDS = ("testnet", "live")
FIRST_IDS = {"testnet": 1, "live": 5_000_000_001}


class Sandbox:
    """Local venues over one market, in two worlds.

    Parameters
    ----------
    market : path or sequence of paths, optional
        Recorded market data to replay; without it the market is synthetic.
    seed : int, optional
        Makes the synthetic market and the keys repeatable; random when omitted.
    speed : float, default 1.0
        Market seconds per wall second; 0 stands still until told to advance.
    symbols : sequence of str, default ("BTCUSDT", "ETHUSDT")
        What trades.
    port_base : int, optional
        First of three ports in a row; chosen by the system when omitted.
    balances : mapping of str to int, optional
        What each world's customer starts with, e8 by asset.
    limits : Limits, optional
        Rate limits.
    hooks : Hooks, optional
        Where faults are put in.
    clock : Clock, optional
        Stamps and paces everything; the machine's by default.

    Raises
    ------
    ValueError
        For an unknown symbol, an unusable speed or port, or a market file that cannot be read.
    """

    def __init__(
        self,
        market: str | Path | Sequence[str | Path] | None = None,
        *,
        seed: int | None = None,
        speed: float = 1.0,
        symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"),
        port_base: int | None = None,
        balances: Mapping[str, int] | None = None,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        clock: Clock | None = None,
    ) -> None:
        if port_base is not None and not 1 <= port_base <= 65_533:
            raise ValueError(f"port base {port_base} leaves no room for three ports; choose 1024 to 65533")
        self.clock: Clock = clock or SystemClock()
        self.seed = Random().getrandbits(32) if seed is None else seed
        source = None if seed is None else Random(f"keys/{seed}")
        instruments = choose_instruments(symbols)
        self.worlds: dict[str, World] = {}
        for name in WORLDS:
            key = ApiKey(new_secret(source), new_secret(source), f"{name}-customer")
            held = DEFAULT_BALANCES if balances is None else balances
            self.worlds[name] = World(name, instruments, key, held, self.clock, FIRST_IDS[name])
        self.venues = {name: BinanceVenue(world, limits, hooks) for name, world in self.worlds.items()}
        self.driver = MarketDriver(
            self._scripts(instruments, market),
            [world.exchange for world in self.worlds.values()],
            self.clock,
            speed,
            self._publish,
        )
        self._token = new_secret(None, 40)
        self._port_base = port_base
        self._runners: list[web.AppRunner] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._ports: dict[str, int] = {}

    def _scripts(
        self, instruments: Sequence[Instrument], market: str | Path | Sequence[str | Path] | None
    ) -> list[Script]:
        scripts: dict[str, Script] = {i.symbol: SyntheticScript(i, self.seed) for i in instruments}
        if market is not None:
            files = [market] if isinstance(market, str | Path) else market
            recorded = open_market([Path(file) for file in files], instruments, self.seed)
            scripts[recorded.symbol] = recorded
        return list(scripts.values())

    def _publish(self) -> None:
        for world in self.worlds.values():
            world.publish()

    @property
    def addresses(self) -> dict[str, Any]:
        """Where everything is and the keys to it: what ``--json`` prints.

        Raises
        ------
        RuntimeError
            Before the sandbox has started.
        """
        if "control" not in self._ports:
            raise RuntimeError("the sandbox has no addresses yet: use `async with Sandbox(...)` or await start()")
        venue: dict[str, Any] = {}
        for name in reversed(WORLDS):
            key = next(iter(self.worlds[name].keys.values()))
            entry = {
                "rest": f"http://{HOST}:{self._ports[name]}",
                "ws": f"ws://{HOST}:{self._ports[name]}",
                "api_key": key.key,
                "api_secret": key.secret,
            }
            venue = {**entry, "live": venue} if venue else entry
        return {
            "binance": venue,
            "control": {"url": f"http://{HOST}:{self._ports['control']}", "token": self._token},
        }

    async def start(self) -> None:
        """Open the ports and set the market going."""
        self.driver.prime()
        now_ms = self.clock.now_ns() // 1_000_000
        for world in self.worlds.values():
            for symbol, tape in world.tapes.items():
                tape.backfill(self.seed, world.exchange.last_price[symbol], now_ms)
        apps: dict[str, Callable[[], web.Application]] = {name: venue.app for name, venue in self.venues.items()}
        apps["control"] = Control(self._token, self.worlds, self.venues, self.driver).app
        for index, (name, make) in enumerate(apps.items()):
            await self._listen(name, make(), index)
        self._tasks.append(asyncio.create_task(self.driver.run(), name="sandbox market"))
        for name, venue in self.venues.items():
            self._tasks.append(asyncio.create_task(venue.streams.run(), name=f"sandbox {name} streams"))

    async def _listen(self, name: str, app: web.Application, index: int) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        self._runners.append(runner)
        port = 0 if self._port_base is None else self._port_base + index
        site = web.TCPSite(runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            await self.stop()
            raise ValueError(
                f"port {port} on {HOST} cannot be used ({error.strerror}); choose another port base"
            ) from error
        self._ports[name] = runner.addresses[0][1]

    async def stop(self) -> None:
        """Stop the market, close every connection and port. If the market had failed, raise its error."""
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        for end in ends:
            if isinstance(end, Exception):
                raise end

    async def run(self) -> None:
        """Wait as long as the market runs; ends only by an error or a cancel."""
        await asyncio.gather(*self._tasks)

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
