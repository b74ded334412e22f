"""Pieces of the page that are words and figures: HTML from a snapshot, with every value escaped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

from autotrader_lab.model.clock import from_ns

__all__ = [
    "alerts",
    "answer",
    "attention_row",
    "attention_title",
    "coverage",
    "evidence",
    "facts",
    "ladder",
    "masthead",
    "notice",
    "positions",
    "settled",
]

DASH = "–"
MINUS = "−"
_WORDS = {"done": "passed", "current": "now here", "open": "ready", "locked": "locked"}
_MARKS = {"done": "✓", "current": "●", "open": "→", "locked": ""}
_COUNTERS = {
    "decisions": "Decisions",
    "orders": "Orders",
    "fills": "Fills",
    "denied": "Denied",
    "rejected": "Rejected",
    "unknown": "Unknown",
    "unreconciled": "Unreconciled",
    "dead_letters": "Dead letters",
}
_ALARMING = frozenset({"unknown", "unreconciled", "dead_letters"})
_RATES: dict[str, tuple[str, str, Callable[[float], bool]]] = {
    "success": ("Orders taken", "&gt; 99 %", lambda rate: rate > 0.99),
    "dead_letters": ("Dead letters", "&lt; 0.1 %", lambda rate: rate < 0.001),
}
"""The specification's performance table."""
_LATENCIES = {
    "decision_to_wire_us": "Decision → wire, µs",
    "submit_to_ack_ms": "Submit → ack, ms",
    "fill_to_notified_ms": "Fill → strategy, ms",
}


def masthead(snapshot: Mapping[str, Any]) -> str:
    """The stage's label, unmistakable, with the session's name and state."""
    stage = str(snapshot.get("stage") or "")
    rehearsal = str(snapshot.get("profile") == "rehearsal").lower()
    about = " · ".join(filter(None, [str(snapshot.get("strategy") or ""), ", ".join(snapshot.get("symbols") or ())]))
    trading = str(snapshot.get("trading_state") or "")
    chips = [f'<span class="chip" data-state="{_e(snapshot.get("state"))}">{_e(snapshot.get("state"))}</span>']
    if trading not in ("", "ACTIVE"):
        chips.append(f'<span class="chip" data-trading="{_e(trading)}">{_e(trading)}</span>')
    if snapshot.get("lease"):
        chips.append(f'<span class="chip">lease {_e(snapshot["lease"])}</span>')
    return (
        f'<div class="masthead" data-stage="{_e(stage)}" data-rehearsal="{rehearsal}">'
        f'<span class="label">{_e(snapshot.get("label") or "no stage")}</span>'
        f'<span class="names"><b>{_e(snapshot.get("session"))}</b><span class="soft">{_e(about)}</span></span>'
        f'<span class="chips">{"".join(chips)}</span></div>'
    )


def notice(level: str, text: str) -> str:
    """One message that must not be missed; empty for none."""
    return f'<div class="notice" role="alert" data-level="{_e(level)}">{_e(text)}</div>' if text else ""


def ladder(rungs: Sequence[Mapping[str, Any]], *, stage: str, rehearsal: bool) -> str:
    """The four stages, how many checks of each are passed, and where the session is."""
    steps = []
    for rung in rungs:
        checks = rung.get("checks") or []
        passed = sum(bool(check["passed"]) for check in checks)
        share = 100 * passed / len(checks) if checks else 100 * (rung["status"] == "done")
        here = ' aria-current="step"' if rung["status"] == "current" else ""
        steps.append(
            f'<li class="step" data-status="{_e(rung["status"])}"{here}><span class="top"><span class="mark">'
            f"{_MARKS.get(rung['status'], '')}</span><b>{_e(str(rung['stage']).capitalize())}</b></span>"
            f'<span class="bottom"><span>{_e(_WORDS.get(rung["status"], rung["status"]))}</span>'
            f"<span>{f'{passed}/{len(checks)}' if checks else ''}</span></span>"
            f'<span class="bar"><span style="width:{share:.0f}%"></span></span></li>'
        )
    return (
        f'<ol class="ladder" data-stage="{_e(stage)}" data-rehearsal="{str(rehearsal).lower()}">{"".join(steps)}</ol>'
    )


def evidence(rung: Mapping[str, Any] | None) -> str:
    """What it takes to enter a stage, check by check."""
    checks = (rung or {}).get("checks") or []
    if not checks:
        return '<p class="soft">No evidence is asked for here.</p>'
    rows = "".join(
        f'<tr><td class="{"up" if check["passed"] else "down"}">{"✓" if check["passed"] else "✗"}</td>'
        f'<td>{_e(check["name"])}</td><td class="right">{_figure(check["asked"])}</td>'
        f'<td class="right">{_figure(check["got"])}</td><td class="soft why">{_e(check.get("why"))}</td></tr>'
        for check in checks
    )
    head = (
        '<tr><th></th><th>Check</th><th class="right">Asked</th><th class="right">Got</th><th class="why">Why</th></tr>'
    )
    return f'<table class="plain"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def facts(snapshot: Mapping[str, Any]) -> str:
    """Counters, the specification's rates, and latency."""
    counters = snapshot.get("counters") or {}
    latency = snapshot.get("latency") or {}
    pairs = "".join(
        f'<div><dt>{title}</dt><dd class="{"down" if key in _ALARMING and counters.get(key) else ""}">'
        f"{_e(counters.get(key, DASH))}</dd></div>"
        for key, title in _COUNTERS.items()
    )
    rows = "".join(
        f'<tr><td class="soft">{title}</td>'
        + "".join(
            f'<td class="right">{_short((latency.get(key) or {}).get(part))}</td>' for part in ("p50", "p99", "n")
        )
        + "</tr>"
        for key, title in _LATENCIES.items()
    )
    head = '<tr><th>Latency</th><th class="right">p50</th><th class="right">p99</th><th class="right">n</th></tr>'
    rates = _rates(snapshot.get("rates"))
    return (
        f'<dl class="stats">{pairs}</dl>{rates}<table class="plain"><thead>{head}</thead><tbody>{rows}</tbody></table>'
    )


def _rates(told: Mapping[str, Any] | None) -> str:
    if not told:
        return ""
    rows = ""
    for key, (title, asked, holds) in _RATES.items():
        rate = told.get(key)
        mark = "" if rate is None else "✓" if holds(rate) else "✗"
        tone = "up" if mark == "✓" else "down"
        rows += (
            f'<tr><td class="soft">{title}</td><td class="right">{_percent(rate)}</td>'
            f'<td class="right soft">{asked}</td><td class="right {tone}">{mark}</td></tr>'
        )
    head = '<tr><th>Rate</th><th class="right">now</th><th class="right">asked</th><th></th></tr>'
    return f'<table class="plain rates"><thead>{head}</thead><tbody>{rows}</tbody></table>'


def worth(equity: Mapping[str, Any] | None) -> str:
    """The account's worth and what it is made of."""
    known = equity or {}
    value, start = known.get("value"), known.get("start")
    change, tone = "", ""
    if value is not None and start:
        tone = _tone(value - start)
        change = f"{money(value - start, signed=True)}  ({_minus(f'{(value - start) / start:.2%}')})"
    pairs = "".join(
        f'<div><dt>{title}</dt><dd class="{_tone(known.get(key)) if toned else ""}">{text}</dd></div>'
        for key, title, text, toned in (
            ("realised", "Realised", money(known.get("realised"), signed=True), True),
            ("unrealised", "Unrealised", money(known.get("unrealised"), signed=True), True),
            ("fees", "Fees", money(known.get("fees")), False),
            ("drawdown", "Drawdown", _percent(known.get("drawdown")), False),
        )
    )
    return (
        f'<div class="worth"><span class="figure">{money(value)}</span><span class="change {tone}">{change}</span>'
        f'<dl class="stats">{pairs}</dl></div>'
    )


def positions(rows: Sequence[Mapping[str, Any]]) -> str:
    """What is held."""
    if not rows:
        return '<p class="soft">Flat: no open position.</p>'
    body = "".join(
        f'<tr><td><b>{_e(row["symbol"])}</b></td><td class="right">{_quantity(row["quantity"])}</td>'
        f'<td class="right">{price(row.get("average_price"))}</td><td class="right">{price(row.get("mark"))}</td>'
        f'<td class="right {_tone(row.get("unrealised"))}">{money(row.get("unrealised"), signed=True)}</td>'
        f'<td class="right {_tone(row.get("realised"))}">{money(row.get("realised"), signed=True)}</td></tr>'
        for row in rows
    )
    titles = ("Quantity", "Average", "Mark", "Unrealised", "Realised")
    head = "<tr><th>Symbol</th>" + "".join(f'<th class="right">{title}</th>' for title in titles) + "</tr>"
    return f'<table class="plain"><thead>{head}</thead><tbody>{body}</tbody></table>'


def alerts(rows: Sequence[Mapping[str, Any]]) -> str:
    """What a person should have seen, newest first."""
    if not rows:
        return '<p class="soft">Quiet.</p>'
    lines = "".join(
        f'<li><span class="soft">{clock_time(row["t_ms"])}</span>'
        f'<span class="badge" data-level="{_e(row["level"])}">{_e(row["level"])}</span>'
        f"<code>{_e(row['code'])}</code><span>{_e(row['message'])}</span></li>"
        for row in rows
    )
    return f'<ul class="alerts">{lines}</ul>'


def attention_title(count: int, *, answering: bool) -> str:
    """The heading over orders that need a person."""
    told = {0: "settled", 1: "1 order needs a person"}.get(count, f"{count} orders need a person")
    silence = "" if answering or not count else (
        '<p class="soft">No host answers, so nothing can be decided here. '
        "Start one that continues with: await lab.recover()</p>"
    )  # fmt: skip
    return f'<h2>Attention <span class="plain-words">{told}</span></h2>{silence}'


def attention_row(order: Mapping[str, Any], *, now_ms: float) -> str:
    """An order in doubt, or one never delivered: what it is, since when, and why."""
    status = str(order["status"])
    side = str(order["side"])
    at = "at market" if order.get("price") is None else f"@ {price(order['price'])}"
    since = f"since {clock_time(order['since_ms'])} UTC, {_age((now_ms - order['since_ms']) / 1000)}"
    tries = f" ({order['attempts']} attempts)" if order.get("attempts", 1) > 1 else ""
    return (
        f'<div title="ours {_e(order["client_order_id"])}"><span class="badge" data-status="{_e(status)}">'
        f"{_e(status.replace('_', ' ').upper())}</span> <b>{_e(order['symbol'])}</b> "
        f'<span class="{"up" if side == "buy" else "down"}">{_e(side)}</span> {_quantity(order["quantity"])} {at} '
        f'<span class="soft">{since if order["since_ms"] else ""}</span></div>'
        f'<div class="soft">{_e(order.get("reason"))}{tries}</div>'
    )


def settled(action: str, order: Mapping[str, Any]) -> tuple[bool, str]:
    """What the host answered to one of the four buttons, for a person, and whether it ended the question."""
    status = str(order["status"])
    why = f": {order['reason']}" if order.get("reason") else ""
    if status == "unknown":
        return False, f"Still in doubt{why}."
    if action == "discard":
        return True, "Given up: the venue has none, and it will not be sent."
    if status == "denied":
        return False, f"Not sent, the risk gate denies it{why}."
    if status == "rejected":
        return False, f"{'Sent again, and refused' if action == 'resubmit' else 'The venue refused it'}{why}."
    theirs = f", its id there is {order['order_id']}" if order.get("order_id") else ""
    begins = "Sent again" if action == "resubmit" else "The venue has it"
    filled = f"{_quantity(order['filled'])} of {_quantity(order['quantity'])} filled"
    return True, f"{begins}: {status.replace('_', ' ')}, {filled}{theirs}."


def answer(words: str, *, good: bool | None) -> str:
    """An answer to a button; `good` is None while it is awaited."""
    return f'<div class="answer {"" if good is None else "up" if good else "down"}" role="status">{_e(words)}</div>'


def coverage(told: Mapping[str, Any] | None) -> str:
    """What becomes of working orders if the engine host itself dies; empty where nobody said."""
    host = str((told or {}).get("host") or "")
    if not host:
        return ""
    uncovered = str(host.lower().startswith("not covered")).lower()
    return f'<p class="coverage" data-open="{uncovered}">If the engine host dies: {_e(host)}.</p>'


def clock_time(time_ms: float) -> str:
    """UTC time of day."""
    return from_ns(int(time_ms) * 1_000_000).strftime("%H:%M:%S")


def money(value: float | None, *, signed: bool = False) -> str:
    """An amount with two decimals."""
    if value is None:
        return DASH
    return _minus(f"{value:+,.2f}" if signed and value else f"{value:,.2f}")


def price(value: float | None) -> str:
    """A price, with as many decimals as its size asks for."""
    if not value:
        return DASH
    size = abs(value)
    return f"{value:,.2f}" if size >= 1000 else f"{value:,.4f}" if size >= 1 else f"{value:.6g}"


def _quantity(value: float) -> str:
    return _minus(f"{value:,.8g}")


def _e(value: Any) -> str:
    return escape(str("" if value is None else value), quote=True)


def _minus(text: str) -> str:
    return text.replace("-", MINUS)


def _percent(fraction: float | None) -> str:
    return DASH if fraction is None else _minus(f"{fraction:.2%}")


def _age(seconds: float) -> str:
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _tone(value: float | None) -> str:
    return "" if not value else "up" if value > 0 else "down"


def _short(value: float | None) -> str:
    return DASH if value is None else f"{value:,.0f}" if value >= 100 or value == int(value) else f"{value:.3g}"


def _figure(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return _minus(f"{value:,.6g}")
    return _e(DASH if value in (None, "") else value)
