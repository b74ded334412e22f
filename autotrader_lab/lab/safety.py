"""What a person does when something is wrong, or might be: halt, arm, drill, settle doubt, change limits."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pandas as pd

from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.host.arming import ARMED_LIFE_S, Challenge
from autotrader_lab.host.survey import survey
from autotrader_lab.lab.client import on_client_thread
from autotrader_lab.lab.present import Status
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import ConfigError, HostError

if TYPE_CHECKING:
    from autotrader_lab.host.runs import RunFolder
    from autotrader_lab.lab.client import HostClient

__all__ = ["Safety"]

PROBE_S = 1.0
KILL_ANSWER_S = 30.0
_ATTENTION = {
    "client_order_id": "object",
    "symbol": "object",
    "side": "object",
    "quantity": "float64",
    "price": "float64",
    "status": "object",
    "reason": "object",
    "since": "datetime64[ns, UTC]",
    "attempts": "int64",
}


class Safety:
    """The part of a lab that looks after what trades."""

    _folder: RunFolder

    if TYPE_CHECKING:

        def _connected(self) -> HostClient: ...

        async def _command(self, name: str, /, **arguments: Any) -> Status: ...

        async def _ensure_host(self) -> None: ...

        def peek(self) -> Status: ...

        def _host_environment(self) -> dict[str, str]: ...

    # --- halting and arming -----------------------------------------------------------------------------------

    async def kill(self, flatten: bool = False, reason: str = "asked for in the notebook") -> dict[str, Any]:
        """Pull the kill switch; trading stays halted until :meth:`rearm`.

        Returns
        -------
        dict
            cancelled, remaining, positions, seconds, verified (whether the venue confirmed that nothing works).

        Raises
        ------
        HostError
            If the host has died or does not answer; then the KILL file is left for it, and nothing is verified.
        """
        client = self._connected()
        try:
            # A frozen host takes connections and answers nothing: find out in a second, not in half a minute.
            await asyncio.wait_for(client.ask("status"), PROBE_S)
            return await asyncio.wait_for(client.command("kill", flatten=flatten, reason=reason), KILL_ANSWER_S)
        except (HostError, TimeoutError) as error:
            self._folder.kill_file.touch(mode=0o600)
            if not client.is_alive:
                raise HostError(
                    f"the host of session {self._folder.session!r} has died, so nothing was cancelled; its KILL file "
                    "is left: await lab.recover() cancels everything and stays halted. Look at the venue itself now"
                ) from error
            raise HostError(
                f"the host (pid {client.info.pid}) has not answered the kill; its KILL file is touched, which it obeys "
                "within a twentieth of a second once it runs again. Look at the venue itself now"
            ) from error

    async def rearm(self) -> Status:
        """Trade again after a halt; live needs :meth:`arm` instead."""
        return await self._command("rearm")

    async def drill(self) -> dict[str, Any]:
        """Pull the kill switch as an exercise, timed and kept as evidence; below live, trading goes on afterwards."""
        return await self._connected().command("drill")

    async def arm(self, confirmation: str | None = None, *, expires_s: float = ARMED_LIFE_S) -> Challenge | Status:
        """Confirm real trading, in two steps: without arguments it gives a phrase; given that phrase, it arms.

        Parameters
        ----------
        confirmation : str, optional
            The phrase, word for word. It is good once, for two minutes, in this session only.
        expires_s : float
            Seconds until live takes exits only again.

        Raises
        ------
        GateClosed
            If the phrase is another one or has expired, or this profile may not trade at this venue.
        """
        await self._ensure_host()
        answer = await self._connected().command("arm", confirmation=confirmation, expires_s=expires_s)
        return msgspec.convert(answer, Challenge) if confirmation is None else Status(answer)

    # --- after a death ----------------------------------------------------------------------------------------

    async def survey(self) -> pd.DataFrame:
        """What :meth:`Lab.recover` would find and do, now that the host is dead; the venue is asked, nothing is sent.

        Returns
        -------
        DataFrame
            what (order, fill, position, …), which, journal, venue, plan, trouble.

        Raises
        ------
        HostError
            If the host lives, or nothing was cut off.
        """
        environment = {**os.environ, **self._host_environment()}
        found = await on_client_thread(survey(self._folder, environment, SystemClock()))
        rows = [(row.what, row.subject, row.journal, row.venue, row.plan, row.trouble) for row in found.findings]
        return pd.DataFrame(rows, columns=["what", "which", "journal", "venue", "plan", "trouble"])

    # --- risk limits ------------------------------------------------------------------------------------------

    async def limits_now(self) -> RiskLimits:
        """The risk limits that hold now: what the stage began with, as a person changed it since."""
        return RiskLimits(**await self._connected().ask("limits"))

    async def set_limits(self, limits: RiskLimits | None = None, **changes: Any) -> RiskLimits:
        """Change the risk limits while trading: down at any time, up only while the session is armed.

        What was tightened holds in every later stage of this strategy and after a restart of the host; what was
        loosened ends with the stage. Evidence stays bound to the limits the lab was made with.

        Parameters
        ----------
        limits : RiskLimits, optional
            All limits anew; by default those that hold now.
        **changes
            Single limits to set on top, e.g. ``max_daily_loss=500``.

        Returns
        -------
        RiskLimits
            As they hold now.

        Raises
        ------
        GateClosed
            If a limit would allow more than before and the session is not armed; names them.
        ConfigError
            If there is no such limit, or its value makes no sense.
        """
        if limits is not None and not isinstance(limits, RiskLimits):
            raise ConfigError(f"limits={limits!r}: give RiskLimits(...), or single limits: max_daily_loss=500")
        wanted = limits if limits is not None else await self.limits_now()
        plain = {**wanted.model_dump(mode="json"), **changes}
        return RiskLimits(**await self._connected().command("limits", limits=plain))

    async def reconcile(self) -> dict[str, Any]:
        """Compare the books with the venue's now: ok, differences, fills_adopted, orders_checked."""
        return await self._connected().command("reconcile")

    # --- orders in doubt, and orders that were never delivered ------------------------------------------------

    def attention(self) -> pd.DataFrame:
        """Orders a person may have to decide about: in doubt (``unknown``), or never delivered (``dead_letter``).

        Returns
        -------
        DataFrame
            By client order id: symbol, side, quantity, price, status, reason, since (UTC), attempts. The newest state
            known without asking; from the journal alone where no host answers.
        """
        rows = [
            {**row, "since": pd.Timestamp(row["since_ms"], unit="ms", tz="UTC")} for row in self.peek()["attention"]
        ]
        frame = pd.DataFrame(rows, columns=list(_ATTENTION))
        return frame.astype(_ATTENTION).set_index("client_order_id")

    async def query(self, order_id: str) -> dict[str, Any]:
        """Ask the venue about an order, by our id or the venue's, and book what it says; returns the order.

        Raises
        ------
        OrderError
            If this stage has no such order.
        VenueUnavailable
            If nobody answers now.
        """
        return await self._settle("query", order_id)

    async def adopt(self, order_id: str, venue_order_id: str) -> dict[str, Any]:
        """Declare that the venue's order `venue_order_id` is this one, and book its fills; returns the order.

        Raises
        ------
        OrderError
            If ours is not in doubt, or theirs is for something else.
        OrderNotFound
            If the venue has no such order.
        """
        return await self._settle("adopt", order_id, venue_order_id=str(venue_order_id))

    async def resubmit(self, order_id: str) -> dict[str, Any]:
        """Send an order again that the venue says it has not; the risk gate still judges it. Returns the order.

        Raises
        ------
        OrderError
            If the venue has it after all (it is adopted then), or it is neither in doubt nor a dead letter.
        VenueUnavailable
            If the venue does not answer: nothing is sent on a guess.
        """
        return await self._settle("resubmit", order_id)

    async def discard(self, order_id: str, why: str = "discarded by a person") -> dict[str, Any]:
        """Give an order up that the venue says it has not; returns the order.

        Raises
        ------
        OrderError
            If the venue has it: cancel it instead.
        VenueUnavailable
            If the venue does not answer: giving up ends no doubt.
        """
        return await self._settle("discard", order_id, why=why)

    async def reprocess(self) -> list[dict[str, Any]]:
        """Give every dead letter its second chance: still fresh, still near its price, still inside risk.

        Returns
        -------
        list of dict
            The orders that were sent; the others stay in :meth:`attention`.
        """
        answer = await self._settling(action="reprocess")
        return list(answer["sent"])

    async def _settle(self, action: str, order_id: str, **more: str) -> dict[str, Any]:
        if not isinstance(order_id, str) or not order_id:
            raise ConfigError(f"{action}: order_id={order_id!r} is no id; lab.attention() lists what needs a person")
        return await self._settling(action=action, order=order_id, **more)

    async def _settling(self, **arguments: str) -> dict[str, Any]:
        client = self._connected()
        try:
            return await client.command("settle", **arguments)
        finally:
            with contextlib.suppress(HostError):
                client.snapshot = await client.ask("status")  # attention() shows what is true now
