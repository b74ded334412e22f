"""The mix of faults the chaos benchmark runs under: every kind the sandbox knows, in the same words for every venue."""

from __future__ import annotations

from typing import Any

from venue_kit import Kit

__all__ = ["chaos_plan", "outage_windows"]

Rule = dict[str, Any]


def chaos_plan(seed: int, kit: Kit, period_s: float, timeout_s: float) -> dict[str, Any]:
    """All faults at once.

    Parameters
    ----------
    seed : int
    kit : Kit
        The venue, and over which channels it takes requests.
    period_s : float
        Maintenance and wrong clocks come once in each such time, seconds.
    timeout_s : float
        The client's patience; some answers come later than that.
    """
    rest, socket = {"channel": kit.lone_channel}, {"channel": kit.shared_channel}
    stuck_s, late_s = [timeout_s, timeout_s + 4], timeout_s + 0.3
    # Where everything goes over one line, what is stuck holds up all that follows, and a cut or a part that is out hits
    # the questions as well by which a doubt would end: that is as much trouble then with fewer of them.
    rare = 1.0 if kit.lone_channel else 0.25
    requests: list[Rule] = [
        _rule("slow requests", "delay", 0.02, seconds=[0.02, 0.3]),
        _rule("slow answers", "delay", 0.02, seconds=[0.02, 0.3], point="answer"),
        _rule("orders stuck on the way", "delay", 0.002 * rare, {"kind": "submit"}, seconds=stuck_s),
        _rule("orders answered too late", "delay", 0.002 * rare, {"kind": "submit"}, seconds=late_s, point="answer"),
        *(_rule(f"{k} never arrives", "drop_before", 0.01, {"kind": k, **rest}) for k in ("submit", "cancel", "query")),
        *(_rule(f"{k} unanswered", "drop_after", 0.015, {"kind": k, **rest}) for k in ("submit", "cancel", "amend")),
        # A cut socket takes everything with it that is on its way.
        _rule("socket cut before it acts", "drop_before", 0.001 * rare, socket),
        _rule("socket cut after it acted", "drop_after", 0.0015 * rare, socket),
        _rule("refused by a broken server", "error", 0.005 * rare, status=503),
        _rule(
            "done by a broken server",
            "error",
            0.005 * rare,
            status=502,
            body="<html>Bad Gateway</html>",
            point="answer",
        ),
        *(_rule(f"{body} answers", "rubbish", 0.003, rest, body=body) for body in ("html", "truncated", "empty")),
        *(
            _rule(f"{body} frames", "rubbish", 0.0005 * rare, socket, body=body)
            for body in ("html", "truncated", "empty")
        ),
        _rule("wait", "rate_limit", 0.001, {"kind": "submit"}, retry_after_s=1),
        _rule("wait, or else", "rate_limit", 0.0002, {"kind": "query"}, retry_after_s=1, ban=True),
    ]
    events = {"channel": "user"}
    # Where events are numbered, each that is missing or out of turn costs the connection.
    part = 0.1 if kit.numbered else 1.0
    user: list[Rule] = [
        _rule("lost fills and orders", "lose", 0.01 * part, events),
        _rule("doubled", "duplicate", 0.05, events, times=2),
        _rule("swapped", "reorder", 0.05 * part, events),
        _rule("held back", "hold", 0.02 * part, events, seconds=[0.05, 1.0]),
        _rule("stalled", "delay", 0.005, events, seconds=[0.05, 0.5]),
        _rule("unreadable", "rubbish", 0.0003, events, body="truncated"),
        _rule("cut", "disconnect", 0.0004, events),
        _rule("going down", "shutdown", 0.0002, events, grace_s=0.1),
    ]
    market: list[Rule] = [
        _rule("market data lost", "lose", 0.02 * part, {"channel": "stream"}),
        _rule("market data doubled", "duplicate", 0.01, {"channel": "stream"}),
        _rule("market data swapped", "reorder", 0.01 * part, {"channel": "stream"}),
        _rule("market data cut", "disconnect", 0.0005, {"channel": "stream"}),
        _rule("pulled quotes", "partial_fill", 0.3, fraction=[0.1, 0.9]),
    ]
    clock = [
        _window("clock behind", "clock_skew", 0.55, 0.03, period_s, offset_ms=-2_500),
        _window("clock ahead", "clock_skew", 0.75, 0.03, period_s, offset_ms=6_500),
        _window("maintenance", "maintenance", 0.25, 0.06, period_s),
    ]
    # Rules for a channel that the venue has not are left out.
    rules = [rule for rule in (*requests, *user, *market, *clock) if rule["where"].get("channel", "") is not None]
    for rule in rules:
        rule["where"] = {"venue": kit.name, "world": "testnet", **rule["where"]}
    return {"seed": seed, "rules": rules}


def outage_windows(report: dict[str, Any], until_ns: int, before_s: float) -> list[tuple[int, int]]:
    """When the venue was under maintenance, ns since the epoch, from what the sandbox says it did (``GET /faults``).

    `before_s` counts with it: what was intended then may have been on its way, or in doubt, when it began.
    """
    windows = []
    began_ns = report["began_ms"] * 1_000_000
    for rule in report["rules"]:
        if rule["do"] != "maintenance":
            continue
        when = rule["when"]
        start_s = when["from_s"]
        while began_ns + start_s * 1e9 < until_ns:
            end_s = start_s + when["to_s"] - when["from_s"]
            windows.append((began_ns + round((start_s - before_s) * 1e9), began_ns + round(end_s * 1e9)))
            start_s += when["repeat_s"]
    return windows


def _rule(name: str, do: str, probability: float, where: dict[str, str | None] | None = None, **values: Any) -> Rule:
    return {"name": name, "do": do, "when": {"probability": probability}, "where": where or {}, **values}


def _window(name: str, do: str, start: float, length: float, period_s: float, **values: Any) -> Rule:
    when = {"from_s": start * period_s, "to_s": (start + length) * period_s, "repeat_s": period_s}
    return {"name": name, "do": do, "when": when, "where": {}, **values}
