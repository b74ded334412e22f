"""The groups of the conformance suite, one file each, and the class that has them all."""

from __future__ import annotations

from abc import abstractmethod

from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.coverage import conformance_gaps
from autotrader_lab.testing.harness import Fault, Harness
from autotrader_lab.testing.running import conforms
from autotrader_lab.testing.suite.cancels import Cancels
from autotrader_lab.testing.suite.doubt import Doubt
from autotrader_lab.testing.suite.fills import Fills
from autotrader_lab.testing.suite.life import Life
from autotrader_lab.testing.suite.pressure import Pressure
from autotrader_lab.testing.suite.refusal import Refusal
from autotrader_lab.testing.suite.resync import Resync
from autotrader_lab.testing.suite.submit import Submit
from autotrader_lab.testing.suite.types import Types

__all__ = ["AdapterConformance"]


class AdapterConformance(Life, Submit, Fills, Cancels, Refusal, Doubt, Resync, Pressure, Types):
    """Everything an adapter owes; a subclass named ``Test…`` overrides :meth:`make` and inherits the tests."""

    @abstractmethod
    async def make(self) -> Harness:
        """A fresh harness: an adapter that is not connected, on a venue of its own."""
        raise TypeError(f"{type(self).__name__} must override make(), which returns a fresh Harness")

    @conforms(connected=False)
    async def test_every_fault_is_declared_possible_or_impossible(self, bench: Bench) -> None:
        venue = bench.venue
        both = [fault.name for fault in venue.faults & venue.cannot.keys()]
        neither = [fault.name for fault in Fault if fault not in venue.faults and not venue.cannot.get(fault)]
        assert not both, f"{type(venue).__name__} declares both possible and impossible: {', '.join(both)}"
        assert not neither, f"{type(venue).__name__} neither provokes nor says why not: {', '.join(neither)}"

    @conforms(connected=False)
    async def test_every_declared_capability_is_tested(self, bench: Bench) -> None:
        gaps = conformance_gaps(type(self), bench.harness)
        assert not gaps, "; ".join(gaps)
