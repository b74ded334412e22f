"""A process that speaks the host's control interface over a session that moves by itself.

It serves the package's own interface (token, Host and Origin checks, errors) and writes a real run folder, so that what
is tested on top of it is what meets the real host; only the trading behind it is a random walk. Its snapshots show
every part of a panel at once, which a short paper session does not.

Run with AUTOTRADER_LAB_HOME set: ``standin_host.py SESSION [--stage live --rehearsal --deaf --journal --doubt]``.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import sys
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from autotrader_lab.host.api import build_app
from autotrader_lab.host.runs import HostInfo, RunFolder, SessionInfo, process_started
from autotrader_lab.journal import Journal, records
from autotrader_lab.model.errors import GateClosed, HostError, OrderError, VenueUnavailable

STAGES = ("replay", "paper", "testnet", "live")
DENIAL = "NOTIONAL_OVER_LIMIT (asked 12000.0, limit 10000.0)"
CHECKS = (
    ("decisions", 30, 41, "enough decisions to judge"),
    ("round trips", 5, 9, "a position was opened and closed"),
    ("unreconciled", 0, 0, "the books agree with the venue"),
    ("kill switch drilled", True, False, "await lab.drill() in this very stage"),
    ("submit to ack p99, ms", 100.0, 12.4821, "the specification's order latency"),
)


AT_THE_VENUE = "88123"


class Doubts:
    """Orders that need a person: the venue has the first, never got the second, and is away for the third."""

    def __init__(self) -> None:
        since_ms = int(time.time() * 1000) - 41_000
        common = {"symbol": "BTC/USDT", "quantity": 0.01, "since_ms": since_ms}
        rows = (
            {"client_order_id": "at-lost-answer", "side": "buy", "price": 66_950.5, "status": "unknown", "attempts": 1,
             "reason": "no answer to POST /api/v3/order within 5 s"},
            {"client_order_id": "at-never-arrived", "side": "sell", "price": None, "status": "dead_letter",
             "attempts": 3, "reason": "RateLimited: -1003 <i>way</i> too many requests"},
            {"client_order_id": "at-out-of-reach", "side": "buy", "price": 66_800.0, "status": "unknown", "attempts": 1,
             "reason": "connection lost while it was being sent"},
        )  # fmt: skip
        self.rows: dict[str, dict[str, Any]] = {str(row["client_order_id"]): {**common, **row} for row in rows}
        self.asked: list[dict[str, Any]] = []

    async def settle(self, action: str, order: str, venue_order_id: str = "", why: str = "") -> dict[str, Any]:
        self.asked.append({"action": action, "order": order, "venue_order_id": venue_order_id})
        if order not in self.rows:
            raise OrderError(f"no order {order!r} in this session")
        theirs = order == "at-lost-answer"
        if order == "at-out-of-reach" and not (action == "adopt" and venue_order_id == AT_THE_VENUE):
            raise VenueUnavailable("binance testnet: HTTP 503 Service Unavailable, maintenance until 14:00")
        if theirs and action == "discard":
            raise OrderError(f"order {order}: the venue has it (submitted); cancel it instead")
        row = self.rows.pop(order)
        status = "rejected" if action == "discard" else "submitted"
        found = {"order_id": AT_THE_VENUE, "filled": 0.0, "reason": "", "status": status}
        return {**row, **found}


class MovingSession:
    def __init__(self, name: str, stage: str, rehearsal: bool, doubt: bool = False) -> None:
        self.doubts = Doubts() if doubt else None
        self.name, self.stage, self.rehearsal = name, stage, rehearsal
        self.random = random.Random(7)
        self.state, self.trading = "running", "ACTIVE"
        self.value, self.beat, self.orders_made = 100_000.0, 0, 0
        now_ms = int(time.time() * 1000)
        self.series: list[list[float]] = []
        for index in range(160):
            self.walk()
            self.series.append([now_ms - (160 - index) * 1000, round(self.value, 2)])
        self.orders: list[dict[str, Any]] = []
        for _ in range(14):
            self.add_order()

    def walk(self) -> None:
        self.value += self.random.gauss(2.5, 22.0)

    def add_order(self) -> None:
        self.orders_made += 1
        n, rng = self.orders_made, self.random
        status = rng.choice(["filled", "filled", "filled", "cancelled", "denied", "partial_fill"])
        quantity = rng.choice([0.01, 0.02, 0.05])
        price = round(67_000 + rng.gauss(0, 120), 2)
        filled = {"filled": quantity, "partial_fill": quantity / 2}.get(status, 0.0)
        order = {
            "client_order_id": f"at-{n:05d}", "order_id": "" if status == "denied" else str(88_000 + n),
            "symbol": "BTC/USDT", "side": rng.choice(["buy", "sell"]), "type": rng.choice(["market", "limit"]),
            "quantity": quantity, "filled": filled, "price": price, "average_price": price if filled else 0.0,
            "status": status, "reason": DENIAL if status == "denied" else "",
            "updated_ms": int(time.time() * 1000),
        }  # fmt: skip
        self.orders.insert(0, order)
        del self.orders[50:]

    def turn(self) -> None:
        self.beat = time.time_ns()
        if self.state != "running":
            return
        self.walk()
        self.series = [*self.series[-199:], [int(time.time() * 1000), round(self.value, 2)]]
        if self.random.random() < 0.4:
            self.add_order()

    def snapshot(self) -> dict[str, Any]:
        here = STAGES.index(self.stage)
        ladder = []
        for index, stage in enumerate(STAGES):
            status = "done" if index < here else "current" if index == here else "locked"
            checks = [
                {"name": name, "asked": asked, "got": asked if status == "done" else got if status == "current" else 0,
                 "passed": status == "done" or (status == "current" and (got == asked or bool(got))),
                 "why": why}
                for name, asked, got, why in CHECKS
            ]  # fmt: skip
            ladder.append({"stage": stage, "status": status, "passed": status == "done", "checks": checks})
        gain = self.value - 100_000
        return {
            "session": self.name, "version": "0.1", "profile": "rehearsal" if self.rehearsal else "standard",
            "label": self.stage.upper() + (", rehearsal" if self.rehearsal else ""), "stage": self.stage,
            "state": self.state, "trading_state": self.trading, "symbols": ["BTC/USDT"], "strategy": "MomentumStrategy",
            "fingerprint": "9f2c41d07be3a5", "armed_until_ns": None, "lease": "held", "heartbeat_ns": self.beat,
            "pid": os.getpid(), "ladder": ladder,
            "equity": {"value": self.value, "start": 100_000.0, "realised": gain * 0.8, "unrealised": gain * 0.2,
                       "fees": 12.4, "drawdown": 0.0041, "series": self.series},
            "positions": [
                {"symbol": "BTC/USDT", "quantity": 0.035, "average_price": 66_912.4, "mark": 67_034.1,
                 "unrealised": gain * 0.2, "realised": gain * 0.8},
                {"symbol": "<b>EVIL</b>/USDT", "quantity": -12.5, "average_price": 0.004217, "mark": 0.004302,
                 "unrealised": -1.06, "realised": 0.0},
            ],
            "orders": self.orders,
            "counters": {"decisions": 41, "orders": self.orders_made, "fills": 33, "denied": 2, "rejected": 0,
                         "unknown": 0, "unreconciled": 0, "dead_letters": 0},
            "latency": {"submit_to_ack_ms": {"p50": 3.1, "p99": 12.4821, "n": 37},
                        "decision_to_wire_us": {"p50": 38.0, "p99": 210.0, "n": 37},
                        "fill_to_notified_ms": {"p50": 0.61, "p99": 4.2, "n": 33}},
            "alerts": [{"t_ms": int(self.series[0][0]), "level": "warning", "code": "MARKET_DATA_STALE",
                        "message": "no quote of BTC/USDT for 5.2 s; entries wait"},
                       {"t_ms": int(self.series[0][0]), "level": "info", "code": "RECONCILED",
                        "message": "14 orders checked, no difference"}],
            "attention": list(self.doubts.rows.values()) if self.doubts else [],
            "rates": {"success": 0.9941, "dead_letters": 0.0244 if self.doubts else 0.0},
            "coverage": {"notebook": "covered by the host", "host": "NOT covered: binance testnet has no such switch",
                         "machine": "NOT covered"},
            "progress": None,
        }  # fmt: skip

    async def command(self, name: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
        if name == "kill":
            self.state, self.trading = "halted", "HALTED"
            return {"cancelled": 1, "remaining": 0, "positions": {}, "seconds": 0.012, "verified": True}
        if name == "stop":
            self.state = "stopped"
            return self.snapshot()
        if name == "start" and arguments.get("stage") == "live":
            raise GateClosed("live needs arming: await lab.arm('live', confirmation=...)")
        if name == "start":
            self.state = "running"
            return self.snapshot()
        if name == "settle" and self.doubts is not None:
            return await self.doubts.settle(**arguments)
        raise HostError(f"the stand-in cannot {name}")

    async def limits(self) -> dict[str, Any]:
        return {}

    def metrics(self) -> bytes:
        return b""

    async def gate(self, stage: str) -> dict[str, Any]:
        return {"stage": stage}

    def lease_taken(self) -> None:
        pass

    def lease_lost(self) -> None:
        pass


async def serve(session: MovingSession, *, deaf: bool, journaled: bool) -> None:
    token, port = secrets.token_urlsafe(24), 0
    runner = web.AppRunner(build_app(session, token, lambda: port))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = int(runner.addresses[0][1])
    folder = RunFolder.named(session.name)
    folder.create(SessionInfo(session=session.name, created_ns=time.time_ns(), version="0.1",
                              strategy="MomentumStrategy", symbols=("BTC/USDT",)))  # fmt: skip
    if journaled:
        with Journal.open(folder.journal_file, session=session.name) as journal:
            journal.append(records.STAGE_STARTED, records.StageStarted(session.stage, "f00d"), stage=session.stage)
    folder.write_host(HostInfo(pid=os.getpid(), port=port, token=token, started_at_ns=time.time_ns(),
                               process_started=process_started(os.getpid())))  # fmt: skip
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if deaf:
        await site.stop()
    while True:
        session.turn()
        if folder.take_kill_file():
            await session.command("kill", {})
        await asyncio.sleep(0.25)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("session")
    parser.add_argument("--stage", default="paper", choices=STAGES)
    parser.add_argument("--rehearsal", action="store_true")
    parser.add_argument("--deaf", action="store_true")
    parser.add_argument("--journal", action="store_true")
    parser.add_argument("--doubt", action="store_true")
    given = parser.parse_args()
    moving = MovingSession(given.session, given.stage, given.rehearsal, given.doubt)
    asyncio.run(serve(moving, deaf=given.deaf, journaled=given.journal))
