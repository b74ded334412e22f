"""Trading at random over Oanda, with the invariants of the state machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from test_oanda_conformance import oanda_harness

from autotrader_lab.testing import order_machine

TestOandaOrders = order_machine(oanda_harness).TestCase
TestOandaOrders.settings = settings(
    max_examples=4,
    stateful_step_count=12,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
