"""Trading at random over paper, over a line that fails, and over Binance."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from test_binance_conformance import binance_harness

from autotrader_lab.testing import Harness, line_harness, order_machine, paper_harness


async def paper() -> Harness:
    return paper_harness(latency_ms=0)


async def slow_paper() -> Harness:
    return paper_harness(latency_ms=5)


async def line() -> Harness:
    return line_harness()


async def line_without_amend() -> Harness:
    return line_harness(amend=False)


def often(examples: int, steps: int) -> settings:
    return settings(
        max_examples=examples,
        stateful_step_count=steps,
        deadline=None,
        report_multiple_bugs=False,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


TestPaperOrders = order_machine(paper).TestCase
TestPaperOrders.settings = often(100, 25)
TestSlowPaperOrders = order_machine(slow_paper).TestCase
TestSlowPaperOrders.settings = often(40, 20)
TestLineOrders = order_machine(line).TestCase
TestLineOrders.settings = often(200, 25)
TestChainOrders = order_machine(line_without_amend).TestCase
TestChainOrders.settings = often(100, 25)
TestBinanceOrders = order_machine(binance_harness).TestCase
TestBinanceOrders.settings = often(6, 15)
