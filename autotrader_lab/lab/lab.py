"""``Lab``: one strategy from replay to live, from inside a notebook.

The lab is a client. What trades is the engine host, a process of its own that outlives the notebook; the lab starts it,
holds its lease, asks and commands it, and reads its journal. So every frame can be read even when the host is dead.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import sys
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec
import pandas as pd

from autotrader_lab.execution.config import ExecutionConfig
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.host import gates
from autotrader_lab.host.runs import RunFolder, list_sessions
from autotrader_lab.host.snapshot import offline_snapshot
from autotrader_lab.host.spawn import spawn_host, wait_until_gone
from autotrader_lab.host.travel import pack, strategy_name
from autotrader_lab.journal import Journal
from autotrader_lab.lab import history, settings
from autotrader_lab.lab.client import HostClient, install_wake_up
from autotrader_lab.lab.present import Status, mimebundle
from autotrader_lab.lab.safety import Safety
from autotrader_lab.lab.tables import Tables
from autotrader_lab.lab.waiting import Goal, wait_for
from autotrader_lab.ladder import Check, Verdict
from autotrader_lab.ladder.stages import Stage
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import HostError
from autotrader_lab.strategy.contract import fingerprint

__all__ = ["Lab"]


class Lab(Tables, Safety):
    """One session: a strategy and the ladder it climbs.

    Nothing is started and nothing is sent before :meth:`start`.

    Parameters
    ----------
    strategy : TradingStrategy, Strategy, object with hooks, or function of (bar, context)
    symbols : sequence of str
        What to trade, by universal symbol.
    config : path, ExecutionConfig or None
        The venue and its settings. By default ``config/execution.yaml`` where it exists and no sandbox is given.
    limits : RiskLimits, optional
        By default the strategy's own.
    profile : {"standard", "rehearsal"}
        How much evidence each stage must give. A real venue's live stage takes no rehearsal.
    sandbox : SandboxProcess or mapping, optional
        The local venue to trade on; by default what ``AUTOTRADER_LAB_SANDBOX`` names, or none.
    bar_interval_s : float, optional
        Length of the bars the strategy is shown, seconds.
    initial_balance : float
        Of the paper account, quote currency.
    name : str, optional
        Of the session; by default made from the strategy's name and the time.
    on_breach : {"exits", "demote"}, optional
        What a breached daily loss, drawdown, or a drift that persists does on testnet and live, besides stopping
        entries at once: let exits through until a person re-arms, or also close and step down to paper. By default
        live steps down and testnet does not.
    alert_webhook : str, optional
        http(s) address that alerts (from warning up) are posted to as JSON; by default what
        ``AUTOTRADER_LAB_ALERT_WEBHOOK`` names. It reaches the host by its environment and stands in no file.

    Raises
    ------
    StrategyError, ConfigError
        Naming what is wrong, its value and the way out; before any process is started.

    Examples
    --------
    >>> lab = Lab(strategy, symbols=["BTC/USDT"], sandbox=start_sandbox(), profile="rehearsal")  # doctest: +SKIP
    >>> await lab.start("replay", data=bars)  # doctest: +SKIP
    >>> await lab.promote("paper")  # doctest: +SKIP
    """

    def __init__(
        self,
        strategy: Any,
        *,
        symbols: str | Sequence[str] = ("BTC/USDT",),
        config: str | Path | ExecutionConfig | None = None,
        limits: RiskLimits | None = None,
        profile: str = "standard",
        sandbox: Any = None,
        bar_interval_s: float | None = None,
        initial_balance: float = 100_000.0,
        name: str | None = None,
        on_breach: str | None = None,
        alert_webhook: str | None = None,
    ) -> None:
        self._clock = SystemClock()
        self._sandbox = settings.sandbox_addresses(sandbox)
        config_path, self._config = settings.config_source(config, self._sandbox is not None)
        self.strategy = strategy
        self.limits = limits
        self._info = settings.make_info(
            strategy,
            symbols=symbols,
            config_path=config_path,
            limits=limits,
            profile=profile,
            sandbox=self._sandbox is not None,
            bar_interval_s=bar_interval_s,
            initial_balance=initial_balance,
            name=name,
            on_breach=on_breach,
            clock=self._clock,
        )
        self._webhook = settings.webhook_address(alert_webhook, self._clock)
        self._folder = RunFolder.named(self._info.session)
        self._client: HostClient | None = None

    # --- finding sessions -------------------------------------------------------------------------------------

    @classmethod
    async def attach(cls, session: str | None = None, *, recover: bool = False, sandbox: Any = None) -> Lab:
        """A lab on a session that exists: the named one, or the newest that runs, or the newest whose host died.

        Parameters
        ----------
        session : str, optional
        recover : bool
            Start a new host where the old one died, as :meth:`recover` does.
        sandbox : SandboxProcess or mapping, optional
            Needed to recover a session that trades on one, unless the environment names it.

        Raises
        ------
        HostError
            If there is no such session.
        """
        folder = RunFolder.named(session) if session is not None else _newest()
        lab = cls.__new__(cls)
        lab._clock = SystemClock()
        lab._folder = folder
        lab._info = folder.read_session()
        lab._sandbox = settings.sandbox_addresses(sandbox)
        lab._config = None
        lab._webhook = None
        lab._client = None
        lab.strategy = None
        lab.limits = RiskLimits(**lab._info.limits) if lab._info.limits else None
        if folder.host_if_alive() is not None:
            await lab._connect()
        elif recover:
            await lab.recover()
        return lab

    @staticmethod
    def sessions() -> pd.DataFrame:
        """All sessions of this home, newest first: name, time, profile, strategy, and whether a host runs."""
        rows = [msgspec.to_builtins(row) for row in list_sessions()]
        columns = ["session", "created_ns", "profile", "strategy", "alive", "path"]
        frame = pd.DataFrame(rows, columns=columns).astype({"alive": bool})
        frame.insert(1, "created", pd.to_datetime(frame.pop("created_ns"), unit="ns", utc=True))
        return frame.set_index("session")

    async def recover(self) -> Status:
        """Start a new host on a session whose host died: it reads the journal, reconciles with the venue and goes on.

        Returns
        -------
        Status
            Once it trades again. A live session goes on with exits only until it is armed.

        Raises
        ------
        HostError
            If nothing was cut off, or the new host does not come up.
        """
        if self._folder.host_if_alive() is None:
            await self._spawn()
            return await self._settled()
        if self._client is None or not self._client.is_alive:
            await self._connect()
        return await self._command("resume")

    # --- the ladder -------------------------------------------------------------------------------------------

    async def start(self, stage: str = "paper", *, data: Any = None, strategy: Any = None, **options: Any) -> Status:
        """Start a stage.

        Replay and paper start freely; testnet and live need the evidence of the stage before. Replay runs to its end
        (then see :attr:`result`); the others go on until they are promoted, demoted or stopped.

        Parameters
        ----------
        stage : {"replay", "paper", "testnet", "live"}
        data : DataFrame or path, optional
            History: for replay, or as paper's market where no venue is configured.
        strategy : optional
            Take this one from now on; what another one showed is no evidence for it.
        **options
            Replay: ``symbol``, ``latency_ms``, ``slippage_bps``, ``commission_bps``, ``seed``, ``allow_short``, …;
            paper on history: ``interval_s`` (seconds between rows).

        Raises
        ------
        StrategyError
            If the strategy cannot travel to the host, or does not load there; nothing was started.
        DataError
            If `data` cannot be traded on.
        GateClosed
            If the stage is not open.
        """
        install_wake_up()
        Stage.of(stage)
        if strategy is not None:
            self.strategy = strategy
        packed = self._packed()
        frame = None
        if data is not None:
            frame, options = await asyncio.to_thread(history.prepare, data, stage, self._info.symbols[0], options)
        await self._ensure_host()
        if frame is not None:
            await asyncio.to_thread(history.store, frame, self._folder)
        status = await self._command("start", stage=stage, options=options, **packed)
        return await self._replayed() if stage == "replay" else status

    async def gate(self, stage: str) -> Verdict:
        """Whether `stage` is open, and each check that says so."""
        Stage.of(stage)
        if self._client is not None and self._client.is_alive:
            plain = await self._client.ask("gate", stage=stage)
            checks = tuple(Check(**check) for check in plain["checks"])
            return Verdict(Stage.of(plain["target"]), plain["profile"], plain["fingerprint"], checks)
        with self._journal() as journal:
            return gates.verdict(journal, self._info, stage)

    async def promote(self, stage: str | None = None, *, keep_positions: bool = False) -> Status:
        """Climb to the next stage, if its gate is open: the old one is drained, the strategy goes along as it is.

        Parameters
        ----------
        stage : str, optional
            By default the next.
        keep_positions : bool
            Leave what testnet holds; by default it is closed.

        Raises
        ------
        GateClosed
            Naming what is missing.
        """
        install_wake_up()
        return await self._command("promote", stage=stage or "", keep_positions=keep_positions)

    async def demote(self, stage: str | None = None, *, keep_positions: bool = False) -> Status:
        """Step down, by default one stage; always allowed."""
        return await self._command("demote", stage=stage or "", keep_positions=keep_positions)

    async def stop(self, flatten: bool = False) -> Status:
        """End the stage: no new decisions, working orders cancelled, positions closed if asked."""
        return await self._command("stop", flatten=flatten)

    # --- looking ----------------------------------------------------------------------------------------------

    async def status(self) -> Status:
        """The state now; from the journal alone where no host answers."""
        if self._client is not None and self._client.is_alive:
            with contextlib.suppress(HostError):
                return Status(await self._client.ask("status"))
        return self.peek()

    def peek(self) -> Status:
        """The newest state known without asking: the stream's, or the journal's."""
        client = self._client
        if client is not None and client.snapshot is not None and client.is_alive:
            return Status(client.snapshot)
        with self._journal() as journal:
            return Status(offline_snapshot(self._info, journal))

    async def wait(
        self,
        *,
        decisions: int | None = None,
        round_trips: int | None = None,
        fills: int | None = None,
        orders: int | None = None,
        gate: str | None = None,
        timeout_s: float = 60.0,
    ) -> Status:
        """Await until the stage has shown so much.

        Parameters
        ----------
        decisions, round_trips, fills, orders : int, optional
            At least so many.
        gate : str, optional
            Until that stage is open.
        timeout_s : float

        Raises
        ------
        TimeoutError
            Saying what is still missing.
        HostError, StrategyError, TradingHalted
            As soon as nothing more will come.
        """
        counted = {"decisions": decisions, "round_trips": round_trips, "fills": fills, "orders": orders}
        goal = Goal({name: count for name, count in counted.items() if count is not None}, gate)
        return await wait_for(self, goal, timeout_s)

    @property
    def session(self) -> str:
        """The session's name."""
        return self._info.session

    @property
    def folder(self) -> Path:
        """The session's run folder."""
        return self._folder.path

    @property
    def fingerprint(self) -> str:
        """Hash of the strategy's code, parameters and limits: what evidence is bound to."""
        if self.strategy is None:
            return self._info.fingerprint
        return fingerprint(self.strategy, self._effective_limits())

    @property
    def client(self) -> HostClient | None:
        """The line to the host; None before the first start."""
        return self._client

    # --- letting go -------------------------------------------------------------------------------------------

    async def detach(self) -> None:
        """Let go on purpose: the session goes on as it is, whatever becomes of this notebook."""
        client = self._connected()
        await client.command("detach")
        await client.close()

    async def close(self) -> None:
        """End the session: the stage is stopped (working orders cancelled) and the host ends. Twice is quiet."""
        client, self._client = self._client, None
        if client is None:
            return
        if client.is_alive:
            with contextlib.suppress(HostError):
                await client.command("shutdown")
        await client.close()
        if not await asyncio.to_thread(wait_until_gone, client.info):
            raise HostError(f"the engine host (pid {client.info.pid}) was told to end and has not; see its log")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return repr(self.peek())

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
        return mimebundle(self, include, exclude)

    # --- inside -----------------------------------------------------------------------------------------------

    def _effective_limits(self) -> RiskLimits:
        return self.limits if self.limits is not None else RiskLimits.from_strategy(self.strategy)

    def _packed(self) -> dict[str, Any]:
        if self.strategy is None:
            return {}
        return {
            "strategy": base64.b64encode(pack(self.strategy)).decode(),
            "fingerprint": self.fingerprint,
            "name": strategy_name(self.strategy),
            "limits": self.limits.model_dump(mode="json") if self.limits is not None else {},
        }

    async def _ensure_host(self) -> None:
        if self._client is not None and self._client.is_alive:
            return
        if not self._folder.exists:
            self._folder.create(self._info)
        elif self._client is not None:
            raise HostError(f"the host of session {self.session!r} has died; await lab.recover() starts a new one")
        if self._folder.host_if_alive() is not None:
            await self._connect()
        else:
            await self._spawn()

    async def _spawn(self) -> None:
        if self._client is not None:
            await self._client.close()
        await asyncio.to_thread(spawn_host, self._folder, self._host_environment())
        await self._connect()

    def _host_environment(self) -> dict[str, str]:
        return settings.host_environment(self._sandbox, self._config, self._webhook)

    async def _connect(self) -> None:
        info = self._folder.host_if_alive()
        if info is None:
            raise HostError(f"session {self.session!r} has no running host; await lab.recover() starts one")
        self._client = HostClient(self._folder, info)
        await self._client.hold_lease()

    def _connected(self) -> HostClient:
        if self._client is not None:
            return self._client
        if self._folder.exists:
            raise HostError(f"the host of session {self.session!r} has ended; await lab.recover() starts a new one")
        raise HostError(f"session {self.session!r} has no host yet; start a stage: await lab.start('paper')")

    async def _command(self, name: str, /, **arguments: Any) -> Status:
        return Status(await self._connected().command(name, **arguments))

    async def _settled(self) -> Status:
        """Await the end of a host's starting."""
        status = await self.status()
        while status["state"] == "starting":
            await asyncio.sleep(0.05)
            status = await self.status()
        return status

    async def _replayed(self) -> Status:
        from tqdm.auto import tqdm

        # On a terminal or in a notebook; a log file shall not be filled with bars.
        quiet = False if "ipykernel" in sys.modules else None
        with tqdm(total=None, desc="replay", unit=" events", leave=False, disable=quiet) as bar:
            while (status := Status(await self._connected().ask("status")))["progress"] is not None:
                bar.total = status["progress"]["total"] or None
                bar.update(status["progress"]["done"] - bar.n)
                await asyncio.sleep(0.1)
        if status["state"] == "failed":
            raise HostError(f"the replay failed: {status['failure']}")
        return status


def _newest() -> RunFolder:
    rows = list_sessions()
    for row in rows:
        if row.alive:
            return RunFolder(row.path)
    for row in rows:
        folder = RunFolder(row.path)
        if folder.journal_file.exists():
            with Journal.open(folder.journal_file, read_only=True) as journal:
                if gates.last_state(journal).running:
                    return folder
    raise HostError("no session runs, and none was cut off; Lab.sessions() lists all, Lab.attach(name) takes one")
