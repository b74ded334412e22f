"""What may stand in the journal: the kinds of entries, and the shape of each that is not a model type already.

Kinds are plain strings so that a reader of an older version carries what it does not know. Times are nanoseconds:
`timestamp_ns` since the epoch (UTC), the `*_ns` of :class:`OrderLatency` on the monotonic clock of the process that
wrote them. Fields are only ever added, with a default.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.orders import OrderSide

__all__ = [
    "ALERT",
    "ARMED",
    "CHECKPOINT",
    "COUNTERS",
    "DEAD_LETTER",
    "DECISION",
    "DEMOTED",
    "DRIFT_CODE",
    "DRILL",
    "EQUITY",
    "GATE",
    "HOST",
    "INTENT",
    "KINDS",
    "LATENCY",
    "MARK",
    "PROMOTED",
    "RECONCILIATION",
    "REPORT",
    "SESSION",
    "SHADOW_FILL",
    "SHADOW_ORDER",
    "STAGE_STARTED",
    "STAGE_STOPPED",
    "TOUCH",
    "TRADING_STATE",
    "Alert",
    "Armed",
    "Checkpoint",
    "DeadLetter",
    "DecisionRecord",
    "Drill",
    "EquityMark",
    "GateRecord",
    "HostRecord",
    "Mark",
    "OrderLatency",
    "Promotion",
    "Reconciliation",
    "SessionRecord",
    "ShadowOrder",
    "StageCounters",
    "StageStarted",
    "StageStopped",
    "TouchRecord",
    "TradingStateRecord",
]

SESSION = "session"
"""A session began or was attached to: :class:`SessionRecord`."""
STAGE_STARTED = "stage_started"
"""A stage was entered: :class:`StageStarted`. What follows in this stage is evidence for that fingerprint."""
STAGE_STOPPED = "stage_stopped"
"""A stage was left: :class:`StageStopped`."""
DECISION = "decision"
"""What the strategy said: an ``ExecutionDecision``; read here as :class:`DecisionRecord`."""
INTENT = "intent"
"""An ``Order``, before it goes on the wire."""
REPORT = "report"
"""What became of an order: one of the model's ``Report``, fills included."""
EQUITY = "equity"
"""The account's worth: :class:`EquityMark`."""
LATENCY = "latency"
"""An order's way in time: :class:`OrderLatency`; a later one of the same order replaces the earlier."""
ALERT = "alert"
"""What a person should see: :class:`Alert`."""
TRADING_STATE = "trading_state"
"""ACTIVE, REDUCING or HALTED from here on: :class:`TradingStateRecord`."""
RECONCILIATION = "reconciliation"
"""Our books were compared with the venue's: :class:`Reconciliation`."""
GATE = "gate"
"""A gate was evaluated: :class:`GateRecord`."""
PROMOTED = "promoted"
"""The session climbed: :class:`Promotion`."""
DEMOTED = "demoted"
"""The session stepped down: :class:`Promotion`."""
ARMED = "armed"
"""A person confirmed a stage with real money, or the confirmation ended: :class:`Armed`."""
DRILL = "drill"
"""The kill switch was pulled as an exercise: :class:`Drill`."""
DEAD_LETTER = "dead_letter"
"""An order that only a person can settle, or its settlement: :class:`DeadLetter`."""
COUNTERS = "counters"
"""How much a stage has done since it started: :class:`StageCounters`."""
CHECKPOINT = "checkpoint"
"""State that recovery goes on from: :class:`Checkpoint`."""
HOST = "host"
"""The engine host started, stopped or changed hands: :class:`HostRecord`."""
MARK = "mark"
"""The price a position was valued at: :class:`Mark`."""
SHADOW_ORDER = "shadow_order"
"""The shadow paper book was given an order that goes out: :class:`ShadowOrder`."""
SHADOW_FILL = "shadow_fill"
"""An execution on the shadow paper book: the model's ``Filled``."""
TOUCH = "touch"
"""The market an order met when its book took it: :class:`TouchRecord`."""

KINDS = (
    SESSION,
    STAGE_STARTED,
    STAGE_STOPPED,
    DECISION,
    INTENT,
    REPORT,
    EQUITY,
    LATENCY,
    ALERT,
    TRADING_STATE,
    RECONCILIATION,
    GATE,
    PROMOTED,
    DEMOTED,
    ARMED,
    DRILL,
    DEAD_LETTER,
    COUNTERS,
    CHECKPOINT,
    HOST,
    MARK,
    SHADOW_ORDER,
    SHADOW_FILL,
    TOUCH,
)

DRIFT_CODE = "POSITION_DRIFT"
"""Code of the alert that a position at the venue is not the sum of its fills."""


class SessionRecord(msgspec.Struct, frozen=True):
    """What a session is about."""

    session: str
    version: str = ""
    symbols: tuple[str, ...] = ()
    strategy: str = ""
    fingerprint: str = ""
    profile: str = ""
    settings: dict[str, Any] = {}


class StageStarted(msgspec.Struct, frozen=True):
    """A stage was entered.

    `fingerprint` is that of strategy code, parameters and risk limits. `sandbox` says that the venue was on this
    machine: evidence earned there never opens a real venue's live stage. `starting_equity` in account currency.
    `instruments` are the grids that positions of this stage live on.
    """

    stage: str
    fingerprint: str
    profile: str = ""
    venue: str = ""
    symbols: tuple[str, ...] = ()
    starting_equity: float | None = None
    sandbox: bool = False
    instruments: tuple[Instrument, ...] = ()


class StageStopped(msgspec.Struct, frozen=True):
    """A stage was left; `open_orders` is how many were left working at the venue."""

    stage: str
    reason: str = ""
    open_orders: int = 0


class DecisionRecord(msgspec.Struct, frozen=True):
    """An ``ExecutionDecision`` as it is read back where the strategy's types are out of reach: same fields, frozen."""

    action: str
    symbol: str
    size: float
    confidence: float
    timestamp: datetime
    metadata: dict[str, Any] = {}
    decision_id: str = ""


class EquityMark(msgspec.Struct, frozen=True):
    """The account's worth at the marks, account currency.

    `drawdown` is the fraction lost since the highest equity, 0 to 1.
    """

    timestamp_ns: int
    equity: float
    cash: float = 0.0
    realised: float = 0.0
    unrealised: float = 0.0
    fees: float = 0.0
    drawdown: float = 0.0


class OrderLatency(msgspec.Struct, frozen=True):
    """When an order passed each point, monotonic ns of one process; None for what has not happened.

    `wire_ns` is when it was handed to the client library, `ack_ns` when the venue's answer was understood, `fill_ns`
    when its first fill arrived and `notified_ns` when strategy and screens knew of it.
    """

    client_order_id: str
    decision_ns: int
    journal_ns: int | None = None
    wire_ns: int | None = None
    ack_ns: int | None = None
    fill_ns: int | None = None
    notified_ns: int | None = None


class Alert(msgspec.Struct, frozen=True):
    """What a person should see."""

    level: Literal["info", "warning", "critical"]
    code: str
    message: str = ""
    symbol: str = ""
    client_order_id: str = ""


class TradingStateRecord(msgspec.Struct, frozen=True):
    """What the risk gate lets pass from here on."""

    state: Literal["ACTIVE", "REDUCING", "HALTED"]
    reason: str = ""


class Reconciliation(msgspec.Struct, frozen=True):
    """Our books against the venue's.

    `ok` is false when a difference is left that nothing explains; `trigger` is start, reconnect, timer or asked.
    `outage_s` is the time from the loss of the connection to this, where there was one.
    """

    ok: bool
    differences: list[str] = []
    fills_adopted: int = 0
    orders_checked: int = 0
    trigger: str = ""
    outage_s: float | None = None


class GateRecord(msgspec.Struct, frozen=True):
    """A gate as it was found; `checks` as in ``Verdict.to_dict()``."""

    target: str
    passed: bool
    profile: str = ""
    fingerprint: str = ""
    checks: list[dict[str, Any]] = []


class Promotion(msgspec.Struct, frozen=True):
    """From one stage to another, up (`promoted`) or down (`demoted`)."""

    source: str
    target: str
    profile: str = ""
    fingerprint: str = ""
    reason: str = ""


class Armed(msgspec.Struct, frozen=True):
    """Real money confirmed until `expires_ns` (UTC); 0 when the confirmation ended."""

    stage: str
    expires_ns: int
    reason: str = ""


class Drill(msgspec.Struct, frozen=True):
    """The kill switch pulled as an exercise: orders cancelled, whether nothing is left, and how long it took."""

    ok: bool
    cancelled: int = 0
    seconds: float = 0.0
    reason: str = ""


class DeadLetter(msgspec.Struct, frozen=True):
    """An order only a person can settle.

    `state` is ``dead`` when it was put there, and later ``resubmitted``, ``adopted`` or ``discarded``.
    """

    client_order_id: str
    reason: str
    error: str = ""
    attempts: int = 0
    state: Literal["dead", "resubmitted", "adopted", "discarded"] = "dead"


class StageCounters(msgspec.Struct, frozen=True):
    """What a stage has done since it started; the newest counts. For what is not journaled one by one, as holds are."""

    decisions: int = 0
    holds: int = 0
    orders: int = 0
    fills: int = 0
    denied: int = 0
    rejected: int = 0
    round_trips: int = 0
    events: int = 0


class Checkpoint(msgspec.Struct, frozen=True):
    """State to go on from, as plain values; `name` says whose."""

    name: str
    state: dict[str, Any] = {}


class HostRecord(msgspec.Struct, frozen=True):
    """What happened to the engine host."""

    event: Literal["start", "stop", "attach", "detach", "lease_lost", "resume"]
    pid: int = 0
    reason: str = ""


class Mark(msgspec.Struct, frozen=True):
    """The price a symbol was valued at, quote currency."""

    symbol: str
    timestamp_ns: int
    price: float


class ShadowOrder(msgspec.Struct, frozen=True):
    """An order as the shadow book was given it; `bid` and `ask`: the market when it was decided, quote currency."""

    client_order_id: str
    decision_id: str
    symbol: str
    side: OrderSide
    quantity: float
    bid: float
    ask: float


class TouchRecord(msgspec.Struct, frozen=True):
    """Best bid and ask, quote currency, when the real or the shadow book took an order."""

    client_order_id: str
    book: Literal["real", "shadow"]
    bid: float
    ask: float
