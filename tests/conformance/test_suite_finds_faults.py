"""The suite is worth what it finds: each adapter here is broken in one way, and one test at least must say so."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from autotrader_lab.execution.adapters.base import Capabilities
from autotrader_lab.execution.adapters.paper import PaperTradingAdapter
from autotrader_lab.model.errors import OrderRefused, OutcomeUnknown, RateLimited, VenueUnavailable
from autotrader_lab.model.orders import Accepted, Fill, Filled, Order, OrderStatus, Rejected, Report
from autotrader_lab.testing import (
    AdapterConformance,
    Fault,
    Harness,
    PaperControl,
    UnreliableAdapter,
    conforms,
    line_harness,
    paper_harness,
)
from autotrader_lab.testing.fakes import Line

Verdicts = dict[str, BaseException | None]


def run(suite: type[AdapterConformance], name: str, **parameters: Any) -> BaseException | None:
    """What one test of the suite says; None if it passes."""
    try:
        getattr(suite(), name)(**parameters)
    except BaseException as error:  # noqa: BLE001 - pytest's own outcomes are no Exceptions
        return error
    return None


def broken(change: Callable[[Harness], None]) -> type[AdapterConformance]:
    """A suite over an unreliable line whose adapter is changed."""

    class Broken(AdapterConformance):
        async def make(self) -> Harness:
            harness = line_harness()
            change(harness)
            return harness

    return Broken


class Doubling(UnreliableAdapter):
    """Tells a fill as often as it hears of it."""

    def _report(self, report: Report) -> None:
        for callback in self.report_callbacks:
            callback(report)
        if isinstance(report, Filled):
            self._notify_fills(report.fill)
        view = self.orders.get(report.client_order_id)
        if view is not None:
            view.apply(report)


class Forgetful(UnreliableAdapter):
    """Comes back from a cut line without asking what happened."""

    async def _resync(self) -> None:
        return


class WritesOff(UnreliableAdapter):
    """Takes a lost answer for a refusal."""

    async def submit_order(self, order: Order) -> Order:
        try:
            return await super().submit_order(order)
        except OutcomeUnknown as error:
            self._report(Rejected(order.client_order_id, self.line.clock.now_ns(), str(error)))
            return order


class Resends(UnreliableAdapter):
    """Sends again, under a new id of the venue's, what was not answered."""

    async def submit_order(self, order: Order) -> Order:
        try:
            return await super().submit_order(order)
        except OutcomeUnknown:
            again = order.copy()
            again.client_order_id = ""
            again.status = OrderStatus.PENDING
            return await super().submit_order(again)


class Naive(UnreliableAdapter):
    """Stamps fills with a time without a zone."""

    def _report(self, report: Report) -> None:
        if isinstance(report, Filled):
            report.fill.timestamp = report.fill.timestamp.replace(tzinfo=None)
        super()._report(report)


class Restless(UnreliableAdapter):
    """Leaves a task behind."""

    async def disconnect(self) -> None:
        self.line.ends = [end for end in self.line.ends if end is not self]
        self._is_open = self._is_live = False

    async def connect(self) -> bool:
        import asyncio

        self.left = asyncio.ensure_future(asyncio.Event().wait())
        return await super().connect()


class Impatient(UnreliableAdapter):
    """Calls a venue that asks to wait a refusal."""

    async def submit_order(self, order: Order) -> Order:
        try:
            return await super().submit_order(order)
        except RateLimited as error:
            raise OrderRefused(str(error)) from error


class Talkative(UnreliableAdapter):
    """Shows its secret."""

    def __repr__(self) -> str:
        return "Talkative(secret='swordfish')"


class Mute(UnreliableAdapter):
    """Reports fills as reports and not as fills."""

    def _notify_fills(self, fill: Fill) -> None:
        return


class Wordless(UnreliableAdapter):
    """Loses the venue's reason."""

    def _report(self, report: Report) -> None:
        super()._report(Rejected(report.client_order_id, 0, "", "") if isinstance(report, Rejected) else report)


class Eager(UnreliableAdapter):
    """Acknowledges twice."""

    def _tell(self, report: Report) -> None:
        super()._tell(report)
        if isinstance(report, Accepted):
            self._report(report)


def swap(kind: type[UnreliableAdapter]) -> Callable[[Harness], None]:
    """Replace the adapter of a harness by one of `kind` on the same line."""

    def change(harness: Harness) -> None:
        old = harness.adapter
        assert isinstance(old, UnreliableAdapter)
        object.__setattr__(harness, "adapter", kind(old.remote, old.line))
        object.__setattr__(harness, "secrets", ("swordfish",))

    return change


@pytest.mark.parametrize(
    ("kind", "test", "parameters"),
    [
        (Doubling, "test_what_is_told_twice_counts_once", {}),
        (Forgetful, "test_a_fill_in_the_gap_is_told_once_and_before_the_line_is_called_restored", {}),
        (Forgetful, "test_orders_that_ended_in_the_gap_end_here_too", {}),
        (WritesOff, "test_a_lost_answer_is_doubt_and_the_order_is_found", {"fault": Fault.LOSE_ANSWER}),
        (WritesOff, "test_the_order_manager_ends_the_doubt_by_evidence", {"fault": Fault.SILENCE}),
        (Resends, "test_a_market_order_with_a_lost_answer_is_one_fill", {"fault": Fault.SERVER_ERROR}),
        (Naive, "test_parts_sum_up", {}),
        (Restless, "test_connecting_twice_is_quiet", {}),
        (Impatient, "test_a_venue_that_asks_to_wait_took_nothing", {}),
        (Impatient, "test_the_wait_is_honoured_and_the_order_goes_through_once", {}),
        (Talkative, "test_parts_sum_up", {}),
        (Mute, "test_parts_sum_up", {}),
        (Wordless, "test_the_venues_reason_is_kept_and_not_raised", {}),
        (Eager, "test_the_acknowledgement_comes_first_and_once", {}),
    ],
)
def test_a_broken_adapter_is_found(kind: type[UnreliableAdapter], test: str, parameters: dict[str, Any]) -> None:
    sound = run(broken(lambda harness: None), test, **parameters)
    assert sound is None, f"the sound adapter passes: {sound!r}"
    found = run(broken(swap(kind)), test, **parameters)
    assert found is not None, f"{kind.__name__} passes {test}"
    assert not isinstance(found, pytest.skip.Exception)


def test_a_declared_capability_that_nothing_proves_is_found() -> None:
    def declare(harness: Harness) -> None:
        harness.adapter.capabilities = replace(harness.adapter.capabilities, native_dead_man_switch=True)

    class Silent(broken(declare)):  # type: ignore[misc]
        test_the_venue_cancels_when_we_fall_silent = None

    found = run(Silent, "test_every_declared_capability_is_tested")
    assert "declares native_dead_man_switch" in str(found)
    assert "test_the_venue_cancels_when_we_fall_silent is overridden" in str(found)

    class Proven(Silent):
        @conforms("native_dead_man_switch", connected=False)
        async def test_our_own(self, bench: object) -> None:
            """Proves it."""

    assert "declares native_dead_man_switch" not in str(run(Proven, "test_every_declared_capability_is_tested"))


def test_an_order_property_the_suite_does_not_know_is_found() -> None:
    def declare(harness: Harness) -> None:
        tifs = harness.adapter.capabilities.times_in_force | {"GTD"}
        harness.adapter.capabilities = replace(harness.adapter.capabilities, times_in_force=tifs)

    assert "declares times_in_force GTD" in str(run(broken(declare), "test_every_declared_capability_is_tested"))


def test_a_fault_that_is_neither_possible_nor_impossible_is_found() -> None:
    class Vague(PaperControl):
        cannot = {}  # noqa: RUF012

    class Suite(AdapterConformance):
        async def make(self) -> Harness:
            harness = paper_harness(0)
            adapter = harness.adapter
            assert isinstance(adapter, PaperTradingAdapter)
            return Harness(adapter, Vague(adapter), harness.instrument, harness.clock)

    assert "neither provokes nor says why not: LOSE_REQUEST" in str(
        run(Suite, "test_every_fault_is_declared_possible_or_impossible")
    )


def test_what_the_adapter_does_not_declare_is_skipped_and_says_so() -> None:
    def undeclare(harness: Harness) -> None:
        harness.adapter.capabilities = Capabilities(reports=True)

    skipped = run(broken(undeclare), "test_a_cancel_goes_by_our_id_too")
    assert isinstance(skipped, pytest.skip.Exception)
    assert "declares client_order_ids = False" in str(skipped)


def test_a_test_that_waits_in_vain_says_for_what() -> None:
    class Deaf(UnreliableAdapter):
        def on_event(self, report: Report) -> None:
            return

        async def _learn(self, view: Order, theirs: Order | None) -> None:
            return

    found = run(broken(swap(Deaf)), "test_parts_sum_up")
    assert "never came:" in str(found)
    assert "told so far: " in str(found)


async def test_the_line_itself_keeps_what_it_promises() -> None:
    harness = line_harness()
    line, adapter = harness.venue.line, harness.adapter  # type: ignore[attr-defined]
    assert isinstance(line, Line)
    await adapter.connect()
    line.provoke(Fault.DOWN)
    with pytest.raises(VenueUnavailable, match="connection refused"):
        await adapter.get_positions()
    line.calm()
    line.provoke(Fault.RATE_LIMIT, "query")
    with pytest.raises(RateLimited) as refused:
        await adapter.get_positions()
    assert refused.value.retry_after_s == 1.0
    with pytest.raises(RateLimited, match="asked to wait"):
        await adapter.get_positions()
    await harness.clock.advance(1.1)  # type: ignore[attr-defined]
    assert await adapter.get_positions() == {"BTC/USDT": 1.0}
    await adapter.disconnect()
