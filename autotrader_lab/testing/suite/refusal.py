"""Refusal: the venue's reason is kept, and what the venue cannot do never leaves."""

from __future__ import annotations

from typing import Any

import pytest

from autotrader_lab.model.errors import AutoTraderError, InstrumentError
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import TIMES_IN_FORCE, OrderSide, OrderStatus, OrderType, Rejected
from autotrader_lab.testing.bench import Bench
from autotrader_lab.testing.running import conforms

__all__ = ["Refusal"]

_NONSENSE: dict[str, dict[str, Any]] = {
    "negative": {"quantity": -1.0},
    "nothing": {"quantity": 0.0},
    "nan": {"quantity": float("nan")},
    "infinite": {"quantity": float("inf")},
    "price nan": {"price": float("nan")},
    "price negative": {"price": -1.0},
    "limit without price": {"price": None, "kind": OrderType.LIMIT},
    "stop without stop price": {"kind": OrderType.STOP},
    "unknown time in force": {"time_in_force": "SOMETIME"},
}


class Refusal:
    """Orders that are not taken."""

    @conforms("reports")
    async def test_the_venues_reason_is_kept_and_not_raised(self, bench: Bench) -> None:
        order = await bench.submit(await self._too_big(bench))
        await bench.reaches(order, OrderStatus.REJECTED)
        (report,) = [each for each in bench.of(order) if isinstance(each, Rejected)]
        assert report.reason, "in the venue's words"
        assert report.code, "and with its code"
        assert order.status is OrderStatus.REJECTED
        assert order.reason == report.reason
        assert bench.filled(order) == 0

    @conforms()
    async def test_what_is_refused_leaves_the_adapter_working(self, bench: Bench) -> None:
        refused = await bench.submit(await self._too_big(bench))
        assert refused.status is OrderStatus.REJECTED
        bought = await bench.buy()
        assert bench.filled(bought) == bench.unit

    async def _too_big(self, bench: Bench) -> Any:
        """An order of sound form that the account cannot bear."""
        balance = await bench.call(bench.adapter.get_account_balance())
        worth = balance.get(bench.instrument.quote) or max(balance.values())
        price = bench.away(OrderSide.BUY)
        # Leverage is rarely above a thousand, and a venue's largest order must not be what refuses it.
        wanted = exact(worth) * 2 / (exact(price) * bench.instrument.multiplier)
        if bench.can.shorting:
            wanted *= 1000
        most = bench.instrument.max_quantity
        quantity = bench.instrument.round_quantity(wanted if most is None else min(wanted, most))
        return bench.order(quantity=float(quantity), price=price)

    @conforms()
    async def test_types_and_times_in_force_the_venue_lacks_never_leave(self, bench: Bench) -> None:
        kinds = [kind for kind in OrderType if kind not in bench.can.order_types]
        tifs = [tif for tif in TIMES_IN_FORCE if tif not in bench.can.times_in_force]
        lacking = [bench.order(kind=kind, stop_price=bench.at(0.95)) for kind in kinds]
        lacking += [bench.order(time_in_force=tif) for tif in tifs]
        if not bench.can.post_only:
            lacking.append(bench.order(post_only=True))
        if not lacking:
            pytest.skip(f"{type(bench.adapter).__name__} declares every order type, time in force and post_only")
        for order in lacking:
            with pytest.raises(AutoTraderError):
                await bench.call(bench.adapter.submit_order(order))
        await bench.settle()
        assert await bench.venue.taken() == []
        assert bench.reports == []

    @pytest.mark.parametrize("what", list(_NONSENSE))
    @conforms()
    async def test_nonsense_never_leaves(self, bench: Bench, what: str) -> None:
        fields = dict(_NONSENSE[what])
        order = bench.order(**fields)
        if "price" in fields:
            order.price = fields["price"]
        with pytest.raises(ValueError, match=r"."):
            await bench.call(bench.adapter.submit_order(order))
        await bench.settle()
        assert await bench.venue.taken() == []
        assert bench.reports == []

    @conforms()
    async def test_a_symbol_the_venue_lacks_is_named(self, bench: Bench) -> None:
        if not bench.can.instruments:
            pytest.skip(f"{type(bench.adapter).__name__} declares instruments = False: any symbol is guessed")
        with pytest.raises(InstrumentError, match="NO_SUCH_THING"):
            await bench.call(bench.adapter.submit_order(bench.order(symbol="NO_SUCH_THING")))
        assert await bench.venue.taken() == []

    @conforms("not shorting")
    async def test_more_than_is_held_cannot_be_sold(self, bench: Bench) -> None:
        held = await bench.held()
        order = bench.order(OrderSide.SELL, quantity=float(bench.instrument.round_quantity(held) + bench.unit))
        try:
            sent = await bench.submit(order)
        except AutoTraderError:
            assert await bench.venue.taken() == []
            return
        await bench.reaches(sent, OrderStatus.REJECTED)
        assert await bench.held() == held

    @conforms("shorting")
    async def test_more_than_is_held_can_be_sold_short(self, bench: Bench) -> None:
        held = await bench.held()
        quantity = bench.instrument.round_quantity(max(held, exact(0))) + bench.unit
        kind = OrderType.MARKET if OrderType.MARKET in bench.can.order_types else OrderType.LIMIT
        price = None if kind is OrderType.MARKET else bench.through(OrderSide.SELL)
        order = await bench.submit(bench.order(OrderSide.SELL, kind, quantity=float(quantity), price=price))
        await bench.reaches(order, OrderStatus.FILLED)

        async def is_short() -> bool:
            return await bench.held() < 0

        await bench.until(is_short, "a position below zero")
