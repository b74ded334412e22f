"""The picture of an order's states: every move of the transition table drawn once, as SVG and without any tool.

Where the boxes stand is typed here; which there are, and every arrow between them, is the table's. A state without a
place stops the build.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot
from typing import NamedTuple

from autotrader_lab.model.transitions import DONE, Event, OrderStatus

__all__ = ["PLACES", "draw"]

_WIDTH, _HEIGHT = 900, 540
_BOX_W, _BOX_H = 124, 38
_OPENING = (
    f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" font-family="sans-serif" font-size="13" '
    'aria-label="The states of an order and the moves between them" '
    'style="max-width:100%;color:var(--color-foreground-primary,#222)">'
)

PLACES: dict[OrderStatus, tuple[int, int]] = {
    OrderStatus.DENIED: (90, 170),
    OrderStatus.PENDING: (90, 330),
    OrderStatus.UNKNOWN: (330, 490),
    OrderStatus.SUBMITTED: (330, 185),
    OrderStatus.PARTIAL_FILL: (575, 40),
    OrderStatus.FILLED: (800, 110),
    OrderStatus.CANCELLED: (800, 215),
    OrderStatus.EXPIRED: (800, 320),
    OrderStatus.REJECTED: (800, 425),
}


class _Style(NamedTuple):
    colour: str
    dash: str
    words: str


_EXECUTED = _Style("#2e9e5b", "", "accepted or executed")
_ENDED = _Style("#7a8694", "", "ended")
_DOUBT = _Style("#d9822b", "", "doubt begins")
_EVIDENCE = _Style("#d9822b", "6 4", "evidence ends the doubt")
_LATE = _Style("#c4432b", "3 4", "a late fill is booked")
_STYLES = (_EXECUTED, _ENDED, _DOUBT, _EVIDENCE, _LATE)


def draw(states: Sequence[OrderStatus], moves: Mapping[tuple[OrderStatus, OrderStatus], Sequence[Event]]) -> str:
    """The diagram as one block of HTML.

    Raises
    ------
    ValueError
        If a state has no place in the picture.
    """
    homeless = [state.name for state in states if state not in PLACES]
    if homeless:
        raise ValueError(f"the state diagram has no place for {', '.join(homeless)}: add it to PLACES")
    parts = [
        _OPENING,
        "<defs>",
        *(_head(number, style) for number, style in enumerate(_STYLES)),
        "</defs>",
        *(_arrow(source, to, events) for (source, to), events in moves.items()),
        *(_box(state) for state in states),
        *_legend(),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _style(source: OrderStatus, to: OrderStatus) -> _Style:
    if to is OrderStatus.UNKNOWN:
        return _DOUBT
    if source is OrderStatus.UNKNOWN:
        return _EVIDENCE
    if source in DONE:
        return _LATE
    return _EXECUTED if to in (OrderStatus.SUBMITTED, OrderStatus.PARTIAL_FILL, OrderStatus.FILLED) else _ENDED


def _head(number: int, style: _Style) -> str:
    return (
        f'<marker id="lab-head-{number}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        f'orient="auto-start-reverse"><path d="M0 0 L8 4 L0 8 z" fill="{style.colour}"/></marker>'
    )


def _arrow(source: OrderStatus, to: OrderStatus, events: Sequence[Event]) -> str:
    style = _style(source, to)
    (x1, y1), (x2, y2) = PLACES[source], PLACES[to]
    length = hypot(x2 - x1, y2 - y1)
    # Bent to one side, so that there and back do not cover each other and long arrows pass between the boxes.
    bend = -0.4 * length if x1 == x2 and source in DONE else 26 if length < 260 else 46
    middle_x = (x1 + x2) / 2 + (y2 - y1) / length * bend
    middle_y = (y1 + y2) / 2 - (x2 - x1) / length * bend
    start, end = _edge(x1, y1, middle_x, middle_y), _edge(x2, y2, middle_x, middle_y)
    told = f"{source.name} → {to.name}: {', '.join(event.value for event in events)}"
    path = f"M{start[0]:.0f} {start[1]:.0f} Q{middle_x:.0f} {middle_y:.0f} {end[0]:.0f} {end[1]:.0f}"
    return (
        f'<path d="{path}" fill="none" stroke="{style.colour}" stroke-width="1.6" stroke-dasharray="{style.dash}" '
        f'marker-end="url(#lab-head-{_STYLES.index(style)})"><title>{told}</title></path>'
    )


def _edge(x: float, y: float, towards_x: float, towards_y: float) -> tuple[float, float]:
    """Where the line from a box's middle towards a point leaves the box."""
    dx, dy = towards_x - x, towards_y - y
    scale = min((_BOX_W / 2 + 3) / abs(dx) if dx else float("inf"), (_BOX_H / 2 + 3) / abs(dy) if dy else float("inf"))
    return x + dx * scale, y + dy * scale


def _box(state: OrderStatus) -> str:
    x, y = PLACES[state]
    corner = 19 if state in DONE else 6
    return (
        f'<rect x="{x - _BOX_W / 2:.0f}" y="{y - _BOX_H / 2:.0f}" width="{_BOX_W}" height="{_BOX_H}" rx="{corner}" '
        'fill="var(--color-background-secondary,#f4f6f8)" stroke="currentColor" stroke-width="1.2"/>'
        f'<text x="{x}" y="{y + 5}" text-anchor="middle" fill="currentColor">{state.name}</text>'
    )


def _legend() -> list[str]:
    lines = []
    for number, style in enumerate(_STYLES):
        y = 440 + 19 * number
        lines.append(
            f'<path d="M28 {y} H62" stroke="{style.colour}" stroke-width="1.6" stroke-dasharray="{style.dash}" '
            f'marker-end="url(#lab-head-{number})"/><text x="70" y="{y + 4}" fill="currentColor">{style.words}</text>'
        )
    return lines
