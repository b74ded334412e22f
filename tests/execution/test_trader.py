"""From a decision to an order: what each action means, and what is cut, rounded or raised."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.execution.trader import Trader, order_for
from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.model.errors import InstrumentError, StrategyError
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.market import Bar, Quote
from autotrader_lab.model.market import Trade as MarketTrade
from autotrader_lab.model.orders import Accepted, Fill, Filled, OrderSide, OrderType
from autotrader_lab.strategy.contract import Strategy, as_strategy, fingerprint
from autotrader_lab.strategy.decision import ExecutionDecision

T0 = datetime(2024, 8, 9, tzinfo=UTC)
SPOT = Instrument(
    "BTC/USDT", Decimal("0.01"), Decimal("0.001"), base="BTC", quote="USDT", min_notional=Decimal(5), can_short=False
)
MARGIN = Instrument("BTC/USDT", Decimal("0.01"), Decimal("0.001"), base="BTC", quote="USDT", min_notional=Decimal(5))


def decide(action: str, size: float, **metadata: Any) -> ExecutionDecision:
    return ExecutionDecision(action, "BTC/USDT", size, 1.0, T0, metadata, "d1")


def wanted(action: str, size: float, held: str, instrument: Instrument = MARGIN, exits: str = "0", **more: Any) -> Any:
    order = order_for(decide(action, size), Decimal(held), Decimal(exits), instrument, **more)
    return None if order is None else (order.side.value, order.quantity, order.reduce_only)


@pytest.mark.parametrize(
    ("action", "size", "held", "expected"),
    [
        ("LONG", 1.0, "0", ("buy", 1.0, False)),
        ("LONG", 1.0, "2", ("buy", 1.0, False)),
        ("LONG", 1.0, "-2", ("buy", 3.0, False)),  # flips: closes the short on top
        ("SHORT", 1.0, "0", ("sell", 1.0, False)),
        ("SHORT", 1.0, "2", ("sell", 3.0, False)),
        ("CLOSE", 0.0, "2", ("sell", 2.0, True)),
        ("CLOSE", 0.0, "-2", ("buy", 2.0, True)),  # CLOSE of a short buys; it never doubles it
        ("CLOSE", 0.5, "-2", ("buy", 0.5, True)),
        ("CLOSE", 9.0, "2", ("sell", 2.0, True)),
        ("CLOSE", 0.0, "0", None),
        ("CLOSE", 0.0, "0.0004", None),  # dust
    ],
)
def test_each_action_means_what_the_specification_says(action: str, size: float, held: str, expected: Any) -> None:
    assert wanted(action, size, held) == expected


def test_what_is_being_closed_is_not_closed_twice() -> None:
    assert wanted("CLOSE", 0.0, "2", exits="1.5") == ("sell", 0.5, True)
    assert wanted("CLOSE", 0.0, "2", exits="2") is None


def test_on_a_spot_account_short_ends_flat() -> None:
    assert wanted("SHORT", 1.0, "2", SPOT) == ("sell", 2.0, True)
    assert wanted("SHORT", 1.0, "2", MARGIN, shorting=False) == ("sell", 2.0, True)
    assert wanted("SHORT", 1.0, "0", SPOT) == ("sell", 1.0, False)  # the gate denies it, with a code


def test_what_was_rounded_cut_or_raised_is_recorded() -> None:
    rounded = order_for(decide("LONG", 0.12345), Decimal(0), Decimal(0), MARGIN)
    assert rounded is not None
    assert (rounded.quantity, rounded.metadata) == (0.123, {"rounded_from": 0.12345})
    raised = order_for(decide("CLOSE", 0.05), Decimal("0.0505"), Decimal(0), MARGIN, price=60_000.0)
    assert raised is not None
    assert raised.metadata["raised_from"] == 0.05
    minimum = order_for(decide("CLOSE", 0.09), Decimal("0.1"), Decimal(0), MARGIN, price=100.0)
    assert minimum is not None
    assert minimum.quantity == 0.1  # 0.01 left at 100 would be worth less than the venue's smallest order


@given(st.integers(-5_000, 5_000), st.integers(0, 6_000), st.integers(0, 5_000))
def test_a_close_never_opens(held_lots: int, size_lots: int, exit_lots: int) -> None:
    held = Decimal(held_lots) / 1000
    exits = min(Decimal(exit_lots) / 1000, abs(held))
    order = order_for(decide("CLOSE", size_lots / 1000), held, exits, MARGIN)
    if order is not None:
        assert order.reduce_only
        assert Decimal(str(order.quantity)) <= abs(held) - exits
        assert order.side is (OrderSide.SELL if held > 0 else OrderSide.BUY)


def test_the_order_is_as_the_metadata_asks() -> None:
    order = order_for(
        decide("LONG", 1.0, limit_price=10.0, stop_price=11.0, time_in_force="DAY"), Decimal(0), Decimal(0), MARGIN
    )
    assert order is not None
    assert (order.order_type, order.price, order.stop_price, order.time_in_force) == (
        OrderType.STOP_LIMIT,
        10.0,
        11.0,
        "DAY",
    )
    fok = order_for(decide("LONG", 1.0, limit_price=10.0, order_type="fok"), Decimal(0), Decimal(0), MARGIN)
    assert fok is not None
    assert fok.order_type is OrderType.FOK


def trader(strategy: Any, instrument: Instrument = SPOT) -> Trader:
    return Trader(strategy, clock=SimulatedClock(T0), instruments=Instruments([instrument], "test"), id_prefix="t")


def bar(close: float = 100.0) -> Bar:
    return Bar("BTC/USDT", 1_723_161_660 * 10**9, close, close, close, close, 1.0)


def test_a_function_is_a_strategy_and_a_list_of_decisions_is_an_answer() -> None:
    both = trader(
        lambda bar, context: [Strategy.long("BTC/USDT", 1.0, context), Strategy.long("BTC/USDT", 2.0, context)]
    )
    assert [order.quantity for order in both.on_market(bar())] == [1.0, 2.0]
    assert both.decisions == 2


def test_one_bad_decision_in_a_list_acts_on_none() -> None:
    mixed = trader(lambda bar, context: [Strategy.long("BTC/USDT", 1.0, context), "SELL"])
    with pytest.raises(StrategyError, match="return an ExecutionDecision"):
        mixed.on_market(bar())
    assert mixed.book.orders == {}


def test_dust_is_not_a_position() -> None:
    held = trader(lambda bar, context: Strategy.long("BTC/USDT", 1.0, context))
    (order,) = held.on_market(bar())
    held.on_report(Accepted(order.client_order_id, 1, "v1"))
    fill = Fill("v1", "BTC/USDT", OrderSide.BUY, 1.0, 100.0, 0.9995, T0, "e1", fee_currency="BTC")
    held.on_report(Filled(order.client_order_id, 2, fill))
    assert held.book.position("BTC/USDT") == Decimal("0.0005")
    assert held.position("BTC/USDT") == 0.0


def test_a_symbol_the_venue_lacks_is_named() -> None:
    wrong = trader(lambda bar, context: Strategy.long("BTC/USD", 1.0, context))
    with pytest.raises(InstrumentError, match="test has no symbol 'BTC/USD'; did you mean BTC/USDT"):
        wrong.on_market(bar())


def test_only_the_hooks_a_strategy_has_are_called() -> None:
    class OnTrades:
        def on_trade(self, trade: MarketTrade, context: Any) -> None:
            self.last = trade.price

    subject = OnTrades()
    listening = trader(subject)
    assert listening.hears == ("trades",)
    listening.on_market(bar())
    listening.on_market(Quote("BTC/USDT", 1, 99.0, 101.0))
    listening.on_market(MarketTrade("BTC/USDT", 1, 100.5, 1.0))
    assert subject.last == 100.5
    assert listening.book.marks["BTC/USDT"] == 100.0  # the mid, where there is one


def test_what_is_no_strategy_is_refused() -> None:
    with pytest.raises(StrategyError, match="is a class; give an instance"):
        as_strategy(Strategy)
    with pytest.raises(StrategyError, match="is no strategy"):
        as_strategy(42)


def test_the_fingerprint_follows_code_and_parameters_not_state() -> None:
    class A(Strategy):
        def __init__(self, n: int) -> None:
            self.n = n
            self._seen = 0

        def on_bar(self, bar: Bar, context: Any) -> None:
            self._seen += 1

    one, other = A(1), A(2)
    before = fingerprint(one, {"max": 1})
    one._seen = 99
    assert fingerprint(one, {"max": 1}) == before
    assert fingerprint(other, {"max": 1}) != before
    assert fingerprint(one, {"max": 2}) != before
    assert fingerprint(lambda bar, context: None) != fingerprint(lambda bar, context: 1)


def test_the_fingerprint_of_a_function_follows_what_it_closes_over() -> None:
    def made(size: float) -> Any:
        def strategy(bar: Bar, context: Any) -> Any:
            return Strategy.long(bar.symbol, size, context)

        return strategy

    assert fingerprint(made(1.0)) == fingerprint(made(1.0))
    assert fingerprint(made(1.0)) != fingerprint(made(2.0))


def test_an_order_type_that_is_none_is_named() -> None:
    with pytest.raises(StrategyError, match="order_type 'lmt' is none of market, limit"):
        order_for(decide("LONG", 1.0, order_type="lmt"), Decimal(0), Decimal(0), MARGIN)
