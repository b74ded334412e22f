"""Trading at random over Interactive Brokers, with the invariants of the state machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from test_ibkr_conformance import ibkr_harness

from autotrader_lab.testing import order_machine

TestIbkrOrders = order_machine(ibkr_harness).TestCase
TestIbkrOrders.settings = settings(
    max_examples=4,
    stateful_step_count=15,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
