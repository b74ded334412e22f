"""Who may trade, and who is told: the trading state with its reasons, and the alerts.

Several things may hold entries back at once (a lost connection, a failed strategy, a breached limit). Each takes back
only its own reason; trading is ACTIVE when none is left. HALTED is different: only a person ends it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Literal

from autotrader_lab.execution.oms.desk import Desk
from autotrader_lab.execution.risk import RiskLimits, TradingState
from autotrader_lab.journal import records
from autotrader_lab.model.clock import Clock
from autotrader_lab.model.errors import GateClosed

__all__ = ["Guard"]

Level = Literal["info", "warning", "critical"]


class Guard:
    """Keeps the risk gate's state and limits, and tells people.

    Parameters
    ----------
    desk : Desk
        Whose gate is kept, and whose journal is written.
    clock : Clock

    Attributes
    ----------
    alerts : deque of (int, Alert)
        The newest alerts with their time in nanoseconds since the epoch.
    """

    def __init__(self, desk: Desk, clock: Clock) -> None:
        self._desk = desk
        self._clock = clock
        self._reasons: dict[str, str] = {}
        self.alerts: deque[tuple[int, records.Alert]] = deque(maxlen=200)
        self._callbacks: list[Callable[[records.Alert], None]] = []

    @property
    def state(self) -> TradingState:
        """ACTIVE, REDUCING or HALTED."""
        return self._desk.gate.state

    @property
    def reasons(self) -> dict[str, str]:
        """What holds entries back now: reason by cause."""
        return dict(self._reasons)

    def hold_back(self, cause: str, reason: str) -> None:
        """Let only exits pass until `cause` is released."""
        self._reasons[cause] = reason
        if self.state is TradingState.ACTIVE:
            self._move(TradingState.REDUCING, reason)

    def release(self, cause: str) -> None:
        """Take `cause` back; entries pass again if nothing else holds them."""
        if self._reasons.pop(cause, None) is not None and not self._reasons and self.state is TradingState.REDUCING:
            self._move(TradingState.ACTIVE, f"no longer: {cause}")

    def halt(self, reason: str) -> None:
        """Let nothing pass but cancels, until :meth:`rearm`."""
        self._move(TradingState.HALTED, reason)

    def rearm(self, reason: str) -> None:
        """End a halt, on a person's word; what else holds entries back still does."""
        if self.state is TradingState.HALTED:
            self._move(TradingState.REDUCING if self._reasons else TradingState.ACTIVE, reason)

    def set_limits(self, limits: RiskLimits, armed: bool = False) -> None:
        """Change the risk limits while trading: downwards at any time, upwards only if a person has just armed it.

        Raises
        ------
        GateClosed
            If a limit would allow more than before and it is not armed; names them.
        """
        gate = self._desk.gate
        looser = limits.looser_than(gate.limits)
        if looser and not armed:
            raise GateClosed(
                f"these limits would allow more than now: {', '.join(looser)}; tighten them, or arm first and ask again"
            )
        gate.limits = limits
        record = records.Checkpoint("limits", limits.model_dump(mode="json"))
        self._desk.journal.append(records.CHECKPOINT, record, stage=self._desk.stage, timestamp_ns=self._clock.now_ns())
        self.alert("info", "LIMITS_CHANGED", ", ".join(looser) if looser else "tightened")

    def alert(self, level: Level, code: str, message: str) -> None:
        """Tell people: journaled, kept for the screens, and handed to whoever subscribed."""
        alert = records.Alert(level=level, code=code, message=message)
        now_ns = self._clock.now_ns()
        self.alerts.append((now_ns, alert))
        self._desk.journal.append(records.ALERT, alert, stage=self._desk.stage, timestamp_ns=now_ns)
        for callback in self._callbacks:
            callback(alert)

    def subscribe(self, callback: Callable[[records.Alert], None]) -> None:
        """Call `callback` with every alert."""
        self._callbacks.append(callback)

    def _move(self, state: TradingState, reason: str) -> None:
        if self.state is state:
            return
        self._desk.gate.state = state
        record = records.TradingStateRecord(state=state.value, reason=reason)
        self._desk.journal.append(
            records.TRADING_STATE, record, stage=self._desk.stage, timestamp_ns=self._clock.now_ns()
        )
