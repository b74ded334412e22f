"""The sandbox as one object: worlds, market, venues and ports, opened and closed together.

    async with Sandbox(seed=1, speed=10) as box:
        print(box.addresses)

Everything listens on 127.0.0.1 only.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Any, Self

from autotrader_lab.model.clock import Clock, SystemClock
from autotrader_lab.sandbox.control import Control
from autotrader_lab.sandbox.doors import HOST, Door, HttpDoor, Origins
from autotrader_lab.sandbox.fault_plan import FaultPlan, read_plan
from autotrader_lab.sandbox.faults import Faults
from autotrader_lab.sandbox.frames import open_market
from autotrader_lab.sandbox.instruments import choose_instruments, new_secret
from autotrader_lab.sandbox.market import MarketDriver, Script, TwinScript
from autotrader_lab.sandbox.orders import Instrument
from autotrader_lab.sandbox.sites import PORTS, SLOTS, Plan, Site, choose_venues, make_site
from autotrader_lab.sandbox.synthetic import SyntheticScript
from autotrader_lab.sandbox.tls import make_certificate
from autotrader_lab.sandbox.venues.binance.limits import Limits
from autotrader_lab.sandbox.venues.faulty import FaultHooks, make_dialect, plug_in
from autotrader_lab.sandbox.venues.hooks import Hooks

__all__ = ["Sandbox"]


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
    venues : sequence of str, default ("binance",)
        Which venues to serve. Each has books, customers and keys of its own.
    port_base : int, optional
        First of seventeen ports in a row, of which every venue has its own; chosen by the system when omitted.
    tls : bool, default False
        Speak TLS at the venues' addresses, with a certificate that is printed with them.
    balances : mapping of str to int, optional
        What each world's customer starts with, e8 by asset.
    limits : Limits, optional
        Binance's rate limits.
    hooks : Hooks, optional
        A fault script in Python; `faults` is not asked then, except for the market and the clock.
    faults : FaultPlan, mapping, str or path, optional
        What goes wrong from the start: a plan, its values, or a YAML or JSON file of it. It can be replaced any time.
    clock : Clock, optional
        Stamps and paces everything; the machine's by default.

    Raises
    ------
    ValueError
        For an unknown symbol or venue, an unusable speed or port, a market file that cannot be read, or a fault plan
        that cannot be carried out.

    Attributes
    ----------
    sites : dict of str to Site
        By venue: ``sites["okx"].worlds["live"]``.
    worlds, venues : mapping
        Those of the first venue, by world.
    faults : Faults
        The fault plan at work.
    """

    def __init__(
        self,
        market: str | Path | Sequence[str | Path] | None = None,
        *,
        seed: int | None = None,
        speed: float = 1.0,
        symbols: Sequence[str] = ("BTCUSDT", "ETHUSDT"),
        venues: Sequence[str] = ("binance",),
        port_base: int | None = None,
        tls: bool = False,
        balances: Mapping[str, int] | None = None,
        limits: Limits | None = None,
        hooks: Hooks | None = None,
        faults: FaultPlan | Mapping[str, Any] | str | Path | None = None,
        clock: Clock | None = None,
    ) -> None:
        most = 65_536 - PORTS
        if port_base is not None and not 1 <= port_base <= most:
            raise ValueError(f"port base {port_base} leaves no room for {PORTS} ports; choose 1024 to {most}")
        self.clock: Clock = clock or SystemClock()
        self.seed = Random().getrandbits(32) if seed is None else seed
        plan = Plan(choose_instruments(symbols), balances, self.clock, seed, limits, hooks)
        dialects = {name: make_dialect(name) for name in choose_venues(venues)}
        words = [dialect.vocabulary() for dialect in dialects.values()]
        self.faults = Faults(read_plan(faults or {}), self.clock, words)
        self.sites: dict[str, Site] = {}
        for name, dialect in dialects.items():
            plan.hooks = hooks or FaultHooks(self.faults, dialect, self.clock)
            self.sites[name] = make_site(name, plan)
            plug_in(self.faults, self.sites[name])
        first = next(iter(self.sites.values()))
        self.worlds, self.venues = first.worlds, first.venues
        exchanges = [world.exchange for site in self.sites.values() for world in site.worlds.values()]
        self.driver = MarketDriver(self._scripts(plan, market), exchanges, self.clock, speed, self._publish)
        self._tls: tuple[str, ssl.SSLContext] | None = make_certificate(self.clock) if tls else None
        self._token = new_secret(None, 40)
        self._port_base = port_base
        self._doors: list[Door] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._ports: dict[str, dict[str, int]] = {}

    def _scripts(self, plan: Plan, market: str | Path | Sequence[str | Path] | None) -> list[Script]:
        instruments: dict[str, Instrument] = {i.symbol: i for i in plan.instruments}
        for site in self.sites.values():
            for world in site.worlds.values():
                instruments |= world.exchange.instruments
        scripts: dict[str, Script] = {s: SyntheticScript(i, self.seed) for s, i in instruments.items()}
        if market is not None:
            files = [market] if isinstance(market, str | Path) else market
            recorded = open_market([Path(file) for file in files], plan.instruments, self.seed)
            scripts[recorded.symbol] = recorded
        for symbol, instrument in instruments.items():
            if instrument.twin_of in scripts:
                scripts[symbol] = TwinScript(scripts[instrument.twin_of], symbol)
        return list(scripts.values())

    def _publish(self) -> None:
        for site in self.sites.values():
            for world in site.worlds.values():
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
        entries: dict[str, Any] = {
            name: site.addresses(Origins(self._ports[name], self._tls is not None)) for name, site in self.sites.items()
        }
        control = self._ports["control"]["control"]
        entries["control"] = {"url": f"http://{HOST}:{control}", "token": self._token}
        if self._tls is not None:
            entries["tls"] = {"certificate": self._tls[0]}
        return entries

    async def start(self) -> None:
        """Open the ports and set the market going."""
        self.driver.prime()
        now_ms = self.clock.now_ns() // 1_000_000
        for site in self.sites.values():
            for world in site.worlds.values():
                for symbol, tape in world.tapes.items():
                    tape.backfill(self.seed, world.exchange.last_price[symbol], now_ms)
        context = None if self._tls is None else self._tls[1]
        for name, site in self.sites.items():
            await self._open(name, site.doors, context)
        control = Control(self._token, self.sites, self.driver, self.faults)
        await self._open("control", {"control": HttpDoor(control.app)}, None)
        self._tasks.append(asyncio.create_task(self.driver.run(), name="sandbox market"))
        for name, site in self.sites.items():
            for world_name, venue in site.venues.items():
                self._tasks.append(asyncio.create_task(venue.run(), name=f"sandbox {name} {world_name}"))

    async def _open(self, name: str, doors: Mapping[str, Door], context: ssl.SSLContext | None) -> None:
        self._ports[name] = {}
        for index, (label, door) in enumerate(doors.items()):
            port = 0 if self._port_base is None else self._port_base + SLOTS[name] + index
            self._doors.append(door)
            try:
                self._ports[name][label] = await door.open(port, context)
            except OSError as error:
                await self.stop()
                raise ValueError(
                    f"port {port} on {HOST} cannot be used ({error.strerror}); choose another port base"
                ) from error

    async def stop(self) -> None:
        """Stop the market, close every connection and port. If the market had failed, raise its error."""
        for task in self._tasks:
            task.cancel()
        ends = await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        for door in self._doors:
            await door.close()
        self._doors.clear()
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
