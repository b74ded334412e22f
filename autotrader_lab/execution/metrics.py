"""One engine's figures for Prometheus: read at the scrape, so that trading pays nothing for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from autotrader_lab.execution.resiliency import BreakerState
from autotrader_lab.execution.risk import TradingState

if TYPE_CHECKING:
    from autotrader_lab.execution.engine import ExecutionEngine

__all__ = ["EngineCollector", "exposition"]

_COUNTERS = {
    "decisions": "Decisions to trade",
    "holds": "Decisions to hold",
    "orders": "Orders written down and sent",
    "fills": "Executions booked",
    "denied": "Orders refused by our risk gate",
    "rejected": "Orders refused by the venue or never delivered",
    "round_trips": "Positions opened and closed again",
}
_GAUGES = {
    "unknown": "Orders whose outcome is unknown",
    "unreconciled": "Orders in doubt, and 1 if the books do not agree with the venue's",
    "dead_letters": "Undelivered orders waiting for a person",
}
_UNITS = {"decision_to_wire_us": 1e-6, "submit_to_ack_ms": 1e-3, "fill_to_notified_ms": 1e-3}


class EngineCollector(Collector):
    """Turns an engine's status into metrics; all carry the stage as a label.

    Parameters
    ----------
    engine : ExecutionEngine
    """

    def __init__(self, engine: ExecutionEngine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[Metric]:
        """Yield every metric as it is now."""
        engine = self._engine
        status = engine.status()
        stage = [status["stage"]]
        for name, words in _COUNTERS.items():
            counter = CounterMetricFamily(f"autotrader_{name}", words, labels=["stage"])
            counter.add_metric(stage, status["counters"][name])
            yield counter
        values = {
            **{name: (words, status["counters"][name]) for name, words in _GAUGES.items()},
            "open_orders": ("Orders that can still execute", status["open_orders"]),
            "equity": ("Account equity at the last marks, account currency", status["equity"]),
            "realised_pnl": ("Realised P&L before fees, account currency", status["realised"]),
            "unrealised_pnl": ("P&L of open positions at the last marks, account currency", status["unrealised"]),
            "fees": ("Fees paid, account currency", status["fees"]),
            "running": ("1 while the engine trades", int(status["running"])),
            "reconciled": ("1 if the last comparison with the venue agreed", int(bool(status["reconciled"]))),
        }
        if engine.resiliency is not None:
            open_now = engine.resiliency.breaker.state is not BreakerState.CLOSED
            values["circuit_open"] = ("1 while the circuit breaker holds entries back", int(open_now))
        if engine.adapter.clock_offset_ms is not None:
            values["clock_offset_seconds"] = ("Venue clock minus ours", engine.adapter.clock_offset_ms / 1e3)
        for rate, value in status["rates"].items():
            if value is not None:
                values[f"{rate}_rate"] = ("Of the orders sent in this stage", value)
        for name, (words, value) in values.items():
            gauge = GaugeMetricFamily(f"autotrader_{name}", words, labels=["stage"])
            gauge.add_metric(stage, value)
            yield gauge
        yield from self._by_symbol(stage)
        yield from self._latency(stage)
        state = GaugeMetricFamily("autotrader_trading_state", "1 for the state it is in", labels=["stage", "state"])
        for each in TradingState:
            state.add_metric([*stage, each.value], int(each.value == status["trading_state"]))
        yield state

    def _by_symbol(self, stage: list[str]) -> Iterator[Metric]:
        held = GaugeMetricFamily("autotrader_position_units", "Units held, signed", labels=["stage", "symbol"])
        for symbol, position in self._engine.trader.book.positions.items():
            held.add_metric([*stage, symbol], float(position.quantity))
        yield held

    def _latency(self, stage: list[str]) -> Iterator[Metric]:
        family = GaugeMetricFamily(
            "autotrader_latency_seconds",
            "Latency of a leg over the newest orders",
            labels=["stage", "leg", "quantile"],
        )
        for leg, figures in self._engine.latency.summary().items():
            name, scale = leg.rsplit("_", 1)[0], _UNITS[leg]
            for label, quantile in (("p50", "0.5"), ("p99", "0.99")):
                if figures[label] is not None:
                    family.add_metric([*stage, name, quantile], figures[label] * scale)
        yield family


def exposition(engine: ExecutionEngine) -> bytes:
    """Everything in Prometheus' text format."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(engine))
    return generate_latest(registry)
