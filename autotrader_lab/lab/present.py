"""How a lab and its state look as text and HTML, and the hook by which a live panel takes their place."""

from __future__ import annotations

import html
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from autotrader_lab.lab.lab import Lab

__all__ = ["Status", "mimebundle", "set_display"]

_displays: list[Callable[[Lab], Any]] = []


def set_display(factory: Callable[[Lab], Any] | None) -> None:
    """Show labs by what `factory` makes of them (a widget); the widgets package calls this when it is imported."""
    _displays[:] = [] if factory is None else [factory]


class Status(dict[str, Any]):
    """The state of a session: a plain dict that reads well."""

    def rows(self) -> list[tuple[str, str]]:
        """What matters most, as pairs of words."""
        counters = self.get("counters", {})
        equity = self.get("equity")
        rows = [
            ("session", str(self.get("session"))),
            ("stage", f"{self.get('label')} ({self.get('state')})"),
            ("trading", str(self.get("trading_state"))),
            ("strategy", f"{self.get('strategy')} · {self.get('fingerprint')}"),
            (
                "counted",
                ", ".join(
                    f"{counters[name]} {name.replace('_', ' ')}"
                    for name in ("decisions", "orders", "fills", "denied", "rejected", "round_trips", "unreconciled")
                    if name in counters
                ),
            ),
        ]
        if equity:
            change = equity["value"] - equity["start"]
            rows.append(("equity", f"{equity['value']:,.2f} ({change:+,.2f}), drawdown {equity['drawdown']:.2%}"))
        held = [f"{row['quantity']:g} {row['symbol']}" for row in self.get("positions", ()) if row["quantity"]]
        rows.append(("positions", ", ".join(held) or "flat"))
        rows += [("attention", text) for text in (self.get("halted"), self.get("failure")) if text]
        return rows

    def __repr__(self) -> str:
        return "\n".join(f"{name:<10} {value}" for name, value in self.rows())

    def _repr_html_(self) -> str:
        cells = "".join(
            f"<tr><th style='text-align:left'>{html.escape(name)}</th>"
            f"<td style='text-align:left'>{html.escape(value)}</td></tr>"
            for name, value in self.rows()
        )
        return f"<table>{cells}</table>"


def mimebundle(lab: Lab, include: Any = None, exclude: Any = None) -> Any:
    """What a notebook shows for `lab`: the panel where there is one, else a table."""
    for display in _displays:
        bundle = getattr(display(lab), "_repr_mimebundle_", None)
        if bundle is not None:
            return bundle(include=include, exclude=exclude)
    state = lab.peek()
    return {"text/plain": repr(state), "text/html": state._repr_html_()}
