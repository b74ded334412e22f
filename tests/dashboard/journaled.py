"""Sessions on disk, journaled through the package's own journal: what a host leaves behind, and goes on writing."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime

from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.journal import Item, Journal, records
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.orders import Accepted, Denied, Fill, Filled, Order, OrderSide, OrderType, Rejected

SYMBOL = "BTC/USDT"


class JournaledSession:
    """A session that trades on paper as fast as it is told to."""

    def __init__(self, name: str, *, profile: str = "rehearsal", strategy: str = "MomentumStrategy") -> None:
        self.folder = RunFolder.named(name)
        self.now_ns = time.time_ns() - 3_600_000_000_000
        self.folder.create(
            SessionInfo(
                session=name,
                created_ns=self.now_ns,
                version="0.1",
                profile=profile,
                symbols=(SYMBOL,),
                strategy=strategy,
                fingerprint="9f2c41d07be3",
            )
        )
        self.journal = Journal.open(self.folder.journal_file, session=name)
        self.made = 0
        self.stage = ""

    def start(self, stage: str = "paper") -> None:
        self.stage = stage
        started = records.StageStarted(
            stage, "9f2c41d07be3", profile="rehearsal", symbols=(SYMBOL,), starting_equity=100_000.0
        )
        self.journal.append(records.STAGE_STARTED, started, stage=stage, timestamp_ns=self.now_ns)

    def stop(self) -> None:
        self.journal.append(records.STAGE_STOPPED, records.StageStopped(self.stage), stage=self.stage)

    def alert(self, code: str, message: str) -> None:
        self.journal.append(records.ALERT, records.Alert("warning", code, message), stage=self.stage)

    def trade(self, count: int) -> None:
        """Journal `count` orders with what came of them, and the account's worth after each."""
        items: list[Item] = []
        for _ in range(count):
            items += self._order()
        self.journal.append_many(items)

    def lose(self) -> None:
        """Journal an order that was never delivered."""
        intent, *_ = self._order()
        key = f"at-{self.made:06d}"
        refused = Rejected(key, self.now_ns, "too many requests", "RATE_LIMITED")
        letter = records.DeadLetter(key, "too many requests", "RateLimited", attempts=3)
        came_of_it = ((records.REPORT, refused), (records.DEAD_LETTER, letter))
        told = [Item(kind, record, stage=self.stage, timestamp_ns=self.now_ns) for kind, record in came_of_it]
        self.journal.append_many([intent, *told])

    def _order(self) -> list[Item]:
        self.made += 1
        self.now_ns += 500_000_000
        n, now_ns = self.made, self.now_ns
        price = 67_000 + 400 * math.sin(n / 40) + (n % 7)
        key = f"at-{n:06d}"
        order = Order(
            order_id="",
            symbol=SYMBOL,
            side=OrderSide.BUY if n % 2 else OrderSide.SELL,
            order_type=OrderType.LIMIT,
            quantity=0.01,
            price=round(price, 2),
            client_order_id=key,
            decision_id=f"d-{n}",
            created_at=from_ns(now_ns),
        )
        fill = Fill(
            order_id=str(n),
            symbol=SYMBOL,
            side=order.side,
            quantity=0.01,
            price=round(price, 2),
            commission=0.067,
            timestamp=datetime.fromtimestamp(now_ns / 1e9, UTC),
            execution_id=f"x-{n}",
            client_order_id=key,
        )
        reports = (
            [Denied(key, now_ns, "NOTIONAL_OVER_LIMIT", 12_000.0, 10_000.0)]
            if n % 25 == 0
            else [Accepted(key, now_ns, str(n)), Filled(key, now_ns, fill)]
        )
        worth = 100_000 + 300 * math.sin(n / 90) + n * 0.3
        mark = records.EquityMark(now_ns, worth, cash=worth, realised=worth - 100_000, fees=n * 0.067, drawdown=0.0021)
        return [
            Item(records.INTENT, order, stage=self.stage, timestamp_ns=now_ns),
            *(Item(records.REPORT, report, stage=self.stage, timestamp_ns=now_ns) for report in reports),
            Item(records.EQUITY, mark, stage=self.stage, timestamp_ns=now_ns),
        ]
