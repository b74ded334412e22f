"""An order's states, the table that moves it, and why it may be denied."""

from __future__ import annotations

import inspect

from autotrader_lab.execution.risk import DENIAL_CODES
from autotrader_lab.model.orders import OPEN, TRANSITIONS, Event, OrderStatus
from autotrader_lab.strategy.contract import Strategy
from lab_facts import diagram
from lab_facts.markdown import code, first_paragraph, table

__all__ = ["STATES", "denial_table", "state_diagram", "state_table", "strategy_hooks", "transition_table"]

STATES: dict[OrderStatus, str] = {
    OrderStatus.PENDING: "approved by the risk gate and written down; no answer from the venue yet",
    OrderStatus.SUBMITTED: "the venue has it",
    OrderStatus.PARTIAL_FILL: "some of it was executed, the rest works on",
    OrderStatus.FILLED: "all of it was executed",
    OrderStatus.CANCELLED: "what was left was cancelled",
    OrderStatus.REJECTED: "the venue refused it, or it provably never got there",
    OrderStatus.EXPIRED: "the venue ended it: time in force over, or nothing to match an IOC or FOK",
    OrderStatus.DENIED: "our own risk gate refused it, before any I/O",
    OrderStatus.UNKNOWN: "it was sent and nobody said what became of it",
}


def state_table() -> str:
    """Every state, whether it is open, and where it can go."""
    rows = []
    for state in OrderStatus:
        goes = dict.fromkeys(to for (source, _), to in TRANSITIONS.items() if source is state and to is not state)
        ways = ", ".join(code(to.name) for to in goes) or "nowhere"
        rows.append((code(state.name), "open" if state in OPEN else "done", STATES[state], ways))
    return table(("state", "", "meaning", "can become"), rows)


def transition_table() -> str:
    """The transition table itself: states down, events across; a dash is a missing row, which raises."""
    events = list(Event)
    rows = []
    for state in OrderStatus:
        cells = []
        for event in events:
            to = TRANSITIONS.get((state, event))
            cells.append("–" if to is None else "stays" if to is state else code(to.name))
        rows.append((code(state.name), *cells))
    return table(("state \\ report", *(event.value for event in events)), rows)


def state_diagram() -> str:
    """The moves from one state to another as a picture."""
    moves: dict[tuple[OrderStatus, OrderStatus], list[Event]] = {}
    for (source, event), to in TRANSITIONS.items():
        if to is not source:
            moves.setdefault((source, to), []).append(event)
    return diagram.draw(list(OrderStatus), moves)


def denial_table() -> str:
    """Every denial code."""
    return table(("code", "meaning"), ((code(name), meaning) for name, meaning in DENIAL_CODES.items()))


def strategy_hooks() -> str:
    """Every hook of a strategy, with its parameters."""
    rows = []
    for name, hook in vars(Strategy).items():
        if inspect.isfunction(hook) and not name.startswith("_"):
            arguments = [word for word in inspect.signature(hook).parameters if word != "self"]
            rows.append((code(f"{name}({', '.join(arguments)})"), first_paragraph(hook)))
    return table(("hook", "when"), rows)
