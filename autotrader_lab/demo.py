"""``autotrader-lab demo``: the whole climb without a browser, on the local sandbox, told as it happens.

It is also the proof that a dead host costs nothing: end the host with ``kill -9`` half way, run the demo again, and
it goes on in the same session on the same (detached) sandbox. At the end the venue's own books are laid beside the
journal.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import Counter
from decimal import Decimal
from typing import Annotated, Any

import aiohttp
import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from autotrader_lab.host.runs import RunFolder, home, process_is_alive, process_started
from autotrader_lab.lab import Lab
from autotrader_lab.lab.present import Status
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import AutoTraderError, DataError, HostError
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.research.samples import stocks
from autotrader_lab.sandbox import start_sandbox
from autotrader_lab.strategy import ModelStrategy, MomentumModel, StrategyConfig

__all__ = ["demo", "demo_strategy"]

SYMBOL = "BTC/USDT"
BAR_INTERVAL_S = 0.2
STAGE_TIMEOUT_S = 90.0
_STAGES = ("replay", "paper", "testnet", "live")


def demo(
    fresh: Annotated[bool, typer.Option("--fresh", help="Drop an unfinished demo and begin anew.")] = False,
) -> None:
    """Climb replay → paper → testnet → live on the local sandbox and print what happened.

    Run it again after a host or the demo itself was killed: it goes on where it was.
    """
    raise typer.Exit(asyncio.run(Demo(Console(highlight=False)).run(fresh=fresh)))


def demo_strategy() -> ModelStrategy:
    """A Phase 8 strategy quick enough to show every stage in seconds; it shows the machinery and earns nothing."""
    config = StrategyConfig.from_dict(
        {
            "strategy_name": "demo-momentum",
            "allow_short": False,
            "signal": {
                "buy_threshold": 0.5,
                "sell_threshold": 0.499,
                "min_ev": -1_000.0,
                "max_hold_bars": 2,
                "exit_on_reversal": True,
            },
            "sizing": {"method": "fixed_fractional", "fraction": 0.02},
            "risk": {
                "max_trades_per_day": 100_000,
                "max_trades_per_hour": 100_000,
                "max_trades_per_minute": 1_000,
                "consecutive_loss_limit": 100_000,
            },
            "portfolio": {"cooldown_loss_count": 100_000},
        }
    )
    return ModelStrategy(MomentumModel(span=3, strength=1.0), config, warmup_bars=5)


class Unfinished(msgspec.Struct):
    """A demo that was begun; kept in a file of mode 0600 beside the sessions, for it holds the sandbox's keys."""

    session: str
    sandbox_pid: int
    sandbox_started: str
    addresses: dict[str, Any]

    def sandbox_lives(self) -> bool:
        """Whether its venue still runs; without it there is nothing to go on with."""
        return process_is_alive(self.sandbox_pid, self.sandbox_started)


class Demo:
    """One run of the demo.

    Parameters
    ----------
    console : rich.console.Console
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._file = home() / "demo.json"
        self._clock = SystemClock()
        self._began_ns = self._clock.monotonic_ns()

    async def run(self, *, fresh: bool = False) -> int:
        """Climb; returns the exit code."""
        unfinished = self._read()
        if unfinished is not None and (fresh or not unfinished.sandbox_lives()):
            self._say(
                "dropping an unfinished demo" if fresh else "an unfinished demo's sandbox is gone: beginning anew"
            )
            await self._clean_up(unfinished)
            unfinished = None
        try:
            lab, kept = await (self._resume(unfinished) if unfinished is not None else self._begin())
            await self._climb(lab)
            clean = await self._audit(lab, kept)
            await lab.close()
        except HostError as error:
            self._console.print(f"[red]stopped:[/] {error}")
            self._console.print("run again to resume: [bold]make demo[/] (nothing that was journaled is lost)")
            return 1
        except (AutoTraderError, TimeoutError) as error:
            self._console.print(f"[red]{type(error).__name__}:[/] {error}")
            self._console.print("run again to resume, or begin anew: [bold]autotrader-lab demo --fresh[/]")
            return 1
        await self._clean_up(kept)
        self._say("sandbox and host ended")
        return 0 if clean else 1

    # --- beginning --------------------------------------------------------------------------------------------

    async def _begin(self) -> tuple[Lab, Unfinished]:
        sandbox = await asyncio.to_thread(start_sandbox)
        kept = Unfinished("", sandbox.pid, process_started(sandbox.pid), sandbox.addresses)
        self._write(kept)
        self._say(f"sandbox: {sandbox.addresses['binance']['rest']} (pid {sandbox.pid})")
        lab = Lab(
            demo_strategy(),
            symbols=(SYMBOL,),
            sandbox=sandbox,
            profile="rehearsal",
            bar_interval_s=BAR_INTERVAL_S,
        )
        kept.session = lab.session
        self._write(kept)
        self._say(f"session: {lab.session}")
        return lab, kept

    async def _resume(self, kept: Unfinished) -> tuple[Lab, Unfinished]:
        folder = RunFolder.named(kept.session) if kept.session else None
        if folder is None or not folder.exists:
            await self._clean_up(kept)
            return await self._begin()
        died = folder.host_if_alive() is None
        self._say(
            f"resuming {kept.session}" + (": its host died, starting another" if died else ": its host still runs")
        )
        lab = await Lab.attach(kept.session, recover=True, sandbox=kept.addresses)
        status = await lab.status()
        self._say(f"{status['label']}, {status['state']}; books rebuilt from the journal and reconciled with the venue")
        if status["halted"]:
            await lab.rearm()
        return lab, kept

    # --- climbing ---------------------------------------------------------------------------------------------

    async def _climb(self, lab: Lab) -> None:
        status = await lab.status()
        if status["state"] == "failed":
            raise HostError(status["failure"] or status["alerts"][0]["message"])
        stage = status["stage"]
        if stage in ("", "replay"):
            await self._replay(lab)
            stage = "paper"
        elif status["state"] != "running" and stage != "live":
            await lab.start(stage)
        if stage == "paper":
            await self._show(lab, await lab.wait(gate="testnet", timeout_s=STAGE_TIMEOUT_S))
            await lab.promote("testnet")
            stage = "testnet"
        if stage == "testnet":
            await self._testnet(lab)
        await self._live(lab)

    async def _replay(self, lab: Lab) -> None:
        if lab.strategy is None:
            lab.strategy = demo_strategy()
        await lab.start("replay", data=stocks("AAPL"), symbol="AAPL")
        await self._show(lab, await lab.status())
        await lab.promote("paper")

    async def _testnet(self, lab: Lab) -> None:
        await lab.wait(decisions=3, timeout_s=STAGE_TIMEOUT_S)
        drill = await lab.drill()
        self._say(f"kill switch drilled: {drill['cancelled']} cancelled, verified in {1e3 * drill['seconds']:.1f} ms")
        await self._show(lab, await lab.wait(gate="live", timeout_s=STAGE_TIMEOUT_S))
        await self._arm(lab)
        await lab.promote("live")

    async def _live(self, lab: Lab) -> None:
        status = await lab.status()
        if status["state"] != "stopped":
            if status["armed_until_ns"] is None:
                await self._arm(lab)
            await lab.wait(decisions=4, round_trips=1, timeout_s=STAGE_TIMEOUT_S)
            await lab.stop(flatten=True)
        await self._show(lab, await lab.status())

    async def _arm(self, lab: Lab) -> None:
        challenge = await lab.arm()
        phrase = getattr(challenge, "phrase", "")
        self._say(f"arming, as a person would by typing it back: {phrase}")
        await lab.arm(phrase)

    # --- telling ----------------------------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        seconds = (self._clock.monotonic_ns() - self._began_ns) / 1e9
        self._console.print(f"[dim]{seconds:6.1f} s[/]  {text}")

    async def _show(self, lab: Lab, status: Status) -> None:
        """One stage, as a table."""
        stage = status["stage"]
        counted, latency, equity = status["counters"], status["latency"]["submit_to_ack_ms"], status["equity"]
        table = _table(
            f"{status['label']} · {status['strategy']} · {status['fingerprint']}",
            ("decisions", "orders", "fills", "rejected", "unreconciled", "P&L", "ack p50/p99 ms"),
        )
        profit = equity["value"] - equity["start"] if equity else 0.0
        table.add_row(
            *(str(counted[name]) for name in ("decisions", "orders", "fills", "rejected", "unreconciled")),
            f"{profit:+,.2f}",
            f"{latency['p50']:.1f}/{latency['p99']:.1f}" if latency["n"] else "simulated",
        )
        self._console.print(table)
        if stage == "live":
            self._say("the top of the ladder")
            return
        gate = await lab.gate(_STAGES[_STAGES.index(stage) + 1])
        self._say(f"[{'green' if gate.passed else 'red'}]{gate.headline}[/] ({len(gate.checks)} checks)")

    # --- proving ----------------------------------------------------------------------------------------------

    async def _audit(self, lab: Lab, kept: Unfinished) -> bool:
        """Lay the venue's books beside the journal; whether they agree to the last fill."""
        table = _table(
            "The venue's own books beside the journal",
            ("world", "orders", "journaled", "fills", "journaled", "lost", "doubled"),
        )
        clean = True
        for world in ("testnet", "live"):
            theirs = await _venue_books(kept.addresses["control"], world)
            found = compare_books(theirs, lab, world)
            clean &= not found["lost"] and not found["doubled"]
            table.add_row(
                world, *(str(found[name]) for name in ("orders", "ours", "fills", "booked", "lost", "doubled"))
            )
        self._console.print(table)
        if not clean:
            self._console.print(
                "[red]the books do not agree[/]; the session's folder keeps everything: " + str(lab.folder)
            )
        return clean

    # --- keeping and cleaning ---------------------------------------------------------------------------------

    def _read(self) -> Unfinished | None:
        if not self._file.exists():
            return None
        try:
            return msgspec.json.decode(self._file.read_bytes(), type=Unfinished)
        except msgspec.MsgspecError as error:
            raise DataError(f"{self._file}: cannot be understood ({error}); remove it") from error

    def _write(self, kept: Unfinished) -> None:
        RunFolder(self._file.parent).write_private(self._file, msgspec.json.encode(kept))

    async def _clean_up(self, kept: Unfinished) -> None:
        """End what a demo started: its host, its sandbox; its session's folder stays."""
        folder = RunFolder.named(kept.session) if kept.session else None
        if folder is not None and folder.exists and folder.host_if_alive() is not None:
            with contextlib.suppress(HostError):
                await (await Lab.attach(kept.session, sandbox=kept.addresses)).close()
        if kept.sandbox_lives():
            os.kill(kept.sandbox_pid, signal.SIGTERM)
            for _ in range(250):
                if not kept.sandbox_lives():
                    break
                await asyncio.sleep(0.02)
        self._file.unlink(missing_ok=True)


def _table(title: str, columns: tuple[str, ...]) -> Table:
    """An empty table that fits 80 columns."""
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    for name in columns:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def compare_books(theirs: dict[str, Any], lab: Lab, stage: str) -> dict[str, int]:
    """Count what a venue has that the journal lacks, or the other way round, and what either has twice.

    Parameters
    ----------
    theirs : dict
        ``orders`` and ``trades`` of the venue's record of a world that only this lab trades in.
    lab : Lab
    stage : str
    """
    orders, fills = lab.orders(stage), lab.fills(stage)
    unsent = {OrderStatus.DENIED.value, OrderStatus.REJECTED.value}
    ours = {row.Index: Decimal(str(row.filled)) for row in orders.itertuples() if row.status not in unsent}
    there = Counter(order["clientOrderId"] for order in theirs["orders"])
    executed = {order["clientOrderId"]: Decimal(order["executedQty"]) for order in theirs["orders"]}
    their_fills = Counter(str(trade["tradeId"]) for trade in theirs["trades"])
    our_fills = Counter(fills["execution_id"])
    differing = sum(1 for key in there.keys() & ours.keys() if executed[key] != ours[key])
    lost = len(there.keys() ^ ours.keys()) + len(their_fills.keys() ^ our_fills.keys()) + differing
    doubled = sum(count - 1 for counted in (there, their_fills, our_fills) for count in counted.values())
    return {
        "orders": len(there),
        "ours": len(ours),
        "fills": len(their_fills),
        "booked": len(our_fills),
        "lost": lost,
        "doubled": doubled,
    }


async def _venue_books(control: dict[str, str], world: str) -> dict[str, Any]:
    headers = {"X-Sandbox-Token": control["token"]}
    async with (
        aiohttp.ClientSession(headers=headers) as http,
        http.get(f"{control['url']}/books", params={"world": world}) as answer,
    ):
        accounts = (await answer.json())["accounts"]
    return {name: [row for account in accounts for row in account[name]] for name in ("orders", "trades")}


if __name__ == "__main__":
    typer.run(demo)
