"""Trading at random over OKX and Coinbase, with the invariants of the state machine."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from test_coinbase_conformance import coinbase_harness
from test_okx_conformance import okx_harness

from autotrader_lab.testing import order_machine

SETTINGS = settings(
    max_examples=5,
    stateful_step_count=15,
    deadline=None,
    report_multiple_bugs=False,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

TestOkxOrders = order_machine(okx_harness).TestCase
TestOkxOrders.settings = SETTINGS
TestCoinbaseOrders = order_machine(coinbase_harness).TestCase
TestCoinbaseOrders.settings = SETTINGS
