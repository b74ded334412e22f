"""What the strategy believes it holds: positions that change by executions only, and decisions still in flight.

The engine's own book stays the truth; this one exists because entries, exits and caps need entry price, best price,
profit levels and what is already asked for. All of it belongs to the position, so that nothing outlives its close.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from autotrader_lab.strategy.statistics import RunningVolatility

__all__ = ["OpenPosition", "Pending", "SymbolState", "apply_fill"]

DUST = 1e-9
NEVER_NS = -(2**63)


@dataclass(slots=True)
class OpenPosition:
    """One open position.

    Attributes
    ----------
    quantity : float
        Units, signed.
    entry_price, best_price : float
        Average entry, and the most favourable price seen since (the lowest for a short).
    opened_ns, opened_bar : int
        Time of the first entry fill, and the symbol's bar count then.
    serial : int
        Tells this position from a later one in the same symbol.
    entry_fees : float
        Fees of the entry not yet charged to a closed part, account currency.
    levels_taken : set of int
        Profit levels executed or in flight.
    """

    quantity: float
    entry_price: float
    best_price: float
    opened_ns: int
    opened_bar: int
    serial: int
    entry_fees: float = 0.0
    levels_taken: set[int] = field(default_factory=set)

    @property
    def side(self) -> int:
        """1 long, −1 short."""
        return 1 if self.quantity > 0 else -1

    def mark(self, price: float) -> None:
        """Move the best price."""
        if (price > self.best_price) if self.quantity > 0 else (price < self.best_price):
            self.best_price = price


@dataclass(slots=True)
class Pending:
    """A decision sent and not yet done.

    Attributes
    ----------
    decision_id : str
    action : str
    size : float
        Units asked for.
    side : int
        What its executions do to the position: 1 buys, −1 sells.
    executed : float
        Units executed so far.
    net, realised : float, bool
        P&L after fees of the parts that closed something, account currency, and whether any did.
    levels, serial : tuple of int, int
        Profit levels it takes, of which position.
    """

    decision_id: str
    action: str
    size: float
    side: int
    executed: float = 0.0
    net: float = 0.0
    realised: bool = False
    levels: tuple[int, ...] = ()
    serial: int = 0

    @property
    def remaining(self) -> float:
        """Units still to come."""
        return max(0.0, self.size - self.executed)

    @property
    def done(self) -> bool:
        """Whether the whole size has been executed."""
        return self.executed >= self.size * (1.0 - DUST)


@dataclass(slots=True)
class SymbolState:
    """Everything known of one symbol.

    Attributes
    ----------
    price, close : float
        The latest price, and that of the last bar, which the next bar's return is counted from.
    last_ns, bars : int
        Time of the last bar, and how many there were.
    """

    symbol: str
    volatility: RunningVolatility
    sector: str | None = None
    venue: str | None = None
    price: float = 0.0
    close: float = 0.0
    last_ns: int = NEVER_NS
    bars: int = 0
    position: OpenPosition | None = None
    pending: dict[str, Pending] = field(default_factory=dict)

    @property
    def quantity(self) -> float:
        """Units held, signed."""
        return self.position.quantity if self.position is not None else 0.0

    @property
    def committed(self) -> float:
        """Units held once every entry in flight is executed, signed; exits in flight do not count as done."""
        total = self.quantity
        for pending in self.pending.values():
            if pending.action != "CLOSE":
                total += pending.side * pending.remaining
        return total

    @property
    def closing(self) -> float:
        """Units that exits in flight will still close."""
        return sum(pending.remaining for pending in self.pending.values() if pending.action == "CLOSE")

    @property
    def unrealised(self) -> float:
        """Open P&L at the last price, account currency."""
        held = self.position
        return held.quantity * (self.price - held.entry_price) if held is not None else 0.0

    def state(self) -> dict[str, Any]:
        """Plain values for JSON."""
        position = None
        if self.position is not None:
            position = asdict(self.position) | {"levels_taken": sorted(self.position.levels_taken)}
        return {
            "symbol": self.symbol,
            "volatility": self.volatility.state(),
            "sector": self.sector,
            "venue": self.venue,
            "price": self.price,
            "close": self.close,
            "last_ns": self.last_ns,
            "bars": self.bars,
            "position": position,
            "pending": [asdict(pending) | {"levels": list(pending.levels)} for pending in self.pending.values()],
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> SymbolState:
        """The inverse of :meth:`state`."""
        values = dict(state)
        position = values["position"]
        if position is not None:
            values["position"] = OpenPosition(**(position | {"levels_taken": set(position["levels_taken"])}))
        pending = [Pending(**(item | {"levels": tuple(item["levels"])})) for item in values["pending"]]
        values["pending"] = {item.decision_id: item for item in pending}
        values["volatility"] = RunningVolatility.from_state(values["volatility"])
        return cls(**values)


def apply_fill(
    held: OpenPosition | None, signed: float, price: float, fees: float, at_ns: int, bar: int, serial: int
) -> tuple[OpenPosition | None, float]:
    """Fold one execution into a position.

    Parameters
    ----------
    held : OpenPosition or None
    signed : float
        Units executed: positive bought, negative sold.
    price : float
        Execution price.
    fees : float
        Fees of this execution, account currency.
    at_ns, bar, serial : int
        Time, bar count and serial of a position that this opens.

    Returns
    -------
    (OpenPosition or None, float)
        The position after it, and the earlier entry fees that belong to the part it closed.
    """
    if held is None:
        return OpenPosition(signed, price, price, at_ns, bar, serial, fees), 0.0
    before = held.quantity
    after = before + signed
    if abs(after) <= DUST * max(abs(before), abs(signed)):
        return None, held.entry_fees
    if before * signed > 0:
        held.entry_price += (price - held.entry_price) * (signed / after)
        held.quantity = after
        held.entry_fees += fees
        held.mark(price)
        return held, 0.0
    if before * after > 0:
        charged = held.entry_fees * (abs(signed) / abs(before))
        held.entry_fees -= charged
        held.quantity = after
        return held, charged
    # a flip: what is beyond flat is a new position, with nothing of the old one's memory
    opening_fees = fees * abs(after) / abs(signed)
    return OpenPosition(after, price, price, at_ns, bar, serial, opening_fees), held.entry_fees
