"""What the documentation says of the package, read from the package: tables and diagrams that cannot go stale.

Every generator is a function without arguments that returns Markdown (the state diagram returns SVG inside it). Nothing
here imports Sphinx, so that the tests can check what is generated without building the pages.
"""

from __future__ import annotations

from collections.abc import Callable

from lab_facts import alerts, commands, errors, fields, hosts, ladder, orders, records, sandbox, venues

__all__ = ["GENERATORS", "generate"]

GENERATORS: dict[str, Callable[[], str]] = {
    "alerts": alerts.alert_table,
    "binance-capabilities": venues.binance_table,
    "capabilities": venues.capability_matrix,
    "commands": commands.command_reference,
    "conformance-faults": venues.fault_table,
    "denial-codes": orders.denial_table,
    "environment": hosts.environment_table,
    "errors": errors.error_tree,
    "exit-codes": commands.exit_codes,
    "execution-config": fields.execution_config,
    "fault-rules": sandbox.fault_rules,
    "journal-kinds": records.kinds_table,
    "ladder-thresholds": ladder.threshold_table,
    "lease-policies": hosts.lease_table,
    "order-diagram": orders.state_diagram,
    "order-states": orders.state_table,
    "order-transitions": orders.transition_table,
    "risk-limits": fields.risk_limits,
    "run-folder": hosts.run_folder,
    "sandbox-operations": sandbox.binance_operations,
    "sandbox-venues": sandbox.venue_notes,
    "strategy-config": fields.strategy_config,
    "strategy-hooks": orders.strategy_hooks,
}


def generate(name: str) -> str:
    """The Markdown of one generator.

    Raises
    ------
    KeyError
        If there is none of that name; the message lists them.
    """
    if name not in GENERATORS:
        raise KeyError(f"no generator {name!r}; there are {', '.join(sorted(GENERATORS))}")
    return GENERATORS[name]()
