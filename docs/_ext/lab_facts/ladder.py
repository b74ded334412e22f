"""What each profile asks before the next stage opens."""

from __future__ import annotations

from dataclasses import fields

from autotrader_lab.ladder import PROFILES, Requirements
from lab_facts.markdown import documented, table

__all__ = ["threshold_table"]

_DAY_S, _HOUR_S = 86_400, 3_600
_PERCENTILES = {"_p50_": " (median)", "_p99_": " (99th percentile)"}


def threshold_table() -> str:
    """One table for each profile: requirements down, stages across."""
    meanings = documented(Requirements)
    parts = []
    for profile in PROFILES.values():
        rows = []
        for field in fields(Requirements):
            asked = [getattr(requirements, field.name) for requirements in profile.stages.values()]
            cells = [_shown(field.name, value) for value in asked]
            if any(cell != "–" for cell in cells):
                measure = next((words for part, words in _PERCENTILES.items() if part in field.name), "")
                rows.append((meanings[field.name].rstrip(".") + measure, *cells))
        headers = [f"shown in {stage.value}, to enter {following(stage)}" for stage in profile.stages]
        parts.append(f"### The profile `{profile.name}`\n\n{table(('', *headers), rows)}")
    return "\n".join(parts)


def following(stage: object) -> str:
    """The stage that `stage` leads to."""
    return str(getattr(stage, "following", None) or "nothing")


def _shown(name: str, value: float | bool | None) -> str:
    if value is None or value is False:
        return "–"
    if value is True:
        return "yes"
    if name == "min_seconds":
        return _span(value)
    if name.endswith("_ms"):
        return f"< {value:g} ms"
    if name.endswith("_under_s"):
        return f"< {value:g} s"
    if name == "max_drawdown":
        return f"≤ {value:.0%}"
    if name == "success_rate_over":
        return f"> {value:.0%}"
    if name == "dead_letter_rate_under":
        return f"< {value:.1%}"
    return f"≥ {value:g}" if value else "–"


def _span(seconds: float) -> str:
    if seconds >= _DAY_S:
        return f"≥ {seconds / _DAY_S:g} days"
    if seconds >= _HOUR_S:
        return f"≥ {seconds / _HOUR_S:g} h"
    return f"≥ {seconds:g} s" if seconds else "–"
