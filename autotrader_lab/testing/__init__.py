"""Prove an adapter: the one conformance suite that every venue's adapter passes, for yours too.

An adapter is proven by a class of some fifteen lines and a hand on its venue::

    from autotrader_lab.testing import AdapterConformance, Harness, VenueControl

    class AcmeControl(VenueControl):                    # move the market, spoil the line
        faults = frozenset({Fault.PARTIAL, Fault.CUT})  # what it can provoke …
        cannot = {Fault.SILENCE: "Acme's test server always answers", ...}  # … and why not the rest
        async def price(self): ...
        async def set_price(self, price): ...
        async def trade(self, side, price, quantity): ...
        async def provoke(self, fault, on="submit"): ...
        async def calm(self): ...
        async def taken(self): ...                      # the venue's own list of our orders
        async def close(self): ...

    class TestAcme(AdapterConformance):
        async def make(self):
            server = await acme_test_server()
            adapter = AcmeAdapter(server.key, server.secret, server.address, timeout_s=0.3)
            return Harness(adapter, AcmeControl(server), instrument, SystemClock(), secrets=(server.secret,))

``pytest`` then runs all of it; no plugin is needed. A test is skipped only for what the adapter's ``capabilities`` do
not declare or the control cannot provoke, and says which. A capability that is declared and proven by no test that ran
fails. What the suite cannot know about a venue is added to the class as further tests, marked with :func:`conforms`.

Also here: :class:`UnreliableAdapter`, a working fake (paper behind a line that can fail), :mod:`.generators` of
instruments, orders, fills and market events for Hypothesis, and :func:`order_machine`, a state machine that trades at
random on any harness and checks what must hold whatever happens.
"""

try:
    import hypothesis  # noqa: F401
    import pytest
except ImportError as error:
    raise ImportError(
        f"autotrader_lab.testing needs pytest and hypothesis ({error}): pip install 'autotrader-lab[dev]'"
    ) from error

# The suite's asserts must explain themselves as those of a test file do; before its modules are imported.
pytest.register_assert_rewrite(f"{__name__}.suite", f"{__name__}.bench", f"{__name__}.running", f"{__name__}.machine")

from autotrader_lab.testing.bench import Bench  # noqa: E402
from autotrader_lab.testing.coverage import adapter_classes, conformance_gaps  # noqa: E402
from autotrader_lab.testing.fakes import Line, UnreliableAdapter  # noqa: E402
from autotrader_lab.testing.harness import REQUEST_FAULTS, Fault, Harness, Request, VenueControl  # noqa: E402
from autotrader_lab.testing.machine import OrderMachine, order_machine  # noqa: E402
from autotrader_lab.testing.paper import LineControl, PaperControl, line_harness, paper_harness  # noqa: E402
from autotrader_lab.testing.running import conforms  # noqa: E402
from autotrader_lab.testing.suite import AdapterConformance  # noqa: E402

__all__ = [
    "REQUEST_FAULTS",
    "AdapterConformance",
    "Bench",
    "Fault",
    "Harness",
    "Line",
    "LineControl",
    "OrderMachine",
    "PaperControl",
    "Request",
    "UnreliableAdapter",
    "VenueControl",
    "adapter_classes",
    "conformance_gaps",
    "conforms",
    "line_harness",
    "order_machine",
    "paper_harness",
]
