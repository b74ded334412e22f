"""The gate: every code it can deny with, and that exits pass what stops entries."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from autotrader_lab.execution.book import OrderBook
from autotrader_lab.execution.risk import DENIAL_CODES, RiskGate, RiskLimits, TradingState
from autotrader_lab.model.clock import NS, from_ns
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.orders import Accepted, Fill, Filled, Order, OrderSide, OrderType
from autotrader_lab.strategy import RiskConfig, StrategyConfig, TradingStrategy

SYMBOL = "BTC/USDT"
NOW = 1_723_161_600 * NS
SPOT = Instrument(
    SYMBOL,
    Decimal("0.01"),
    Decimal("0.001"),
    base="BTC",
    quote="USDT",
    min_notional=Decimal(5),
    max_quantity=Decimal(100),
    can_short=False,
)


def order(side: str = "buy", quantity: float = 0.1, price: float | None = None, **fields: Any) -> Order:
    kind = OrderType.MARKET if price is None else OrderType.LIMIT
    values: dict[str, Any] = {"client_order_id": "new", **fields}
    return Order("", values.pop("symbol", SYMBOL), OrderSide(side), kind, quantity, price, **values)


def gate(held: float = 0.0, shorting: bool = True, mark: float = 50_000.0, **limits: Any) -> RiskGate:
    instrument = SPOT if not shorting else Instrument(**{**_fields(SPOT), "can_short": True})
    book = OrderBook(Instruments([instrument]), starting_equity=100_000.0)
    book.mark(SYMBOL, mark, NOW)
    book.bid_ask[SYMBOL] = (mark - 1, mark + 1)
    if held:
        first = order("buy" if held > 0 else "sell", abs(held), client_order_id="held")
        book.add(first)
        book.apply(Accepted("held", NOW, "v1"))
        book.apply(Filled("held", NOW, Fill("v1", SYMBOL, first.side, abs(held), mark, 0.0, from_ns(NOW), "x")))
    return RiskGate(RiskLimits(**limits), book, shorting=shorting)


def _fields(instrument: Instrument) -> dict[str, Any]:
    return {name: getattr(instrument, name) for name in Instrument.__dataclass_fields__}


def working(risk: RiskGate, **fields: Any) -> None:
    one = order(client_order_id=f"w{len(risk.book.orders)}", **fields)
    risk.book.add(one)
    risk.book.apply(Accepted(one.client_order_id, NOW, f"v-{one.client_order_id}"))


def code(risk: RiskGate, wanted: Order, now_ns: int = NOW) -> str | None:
    denied = risk.check(wanted, now_ns)
    return denied.code if denied else None


def halted(state: TradingState) -> RiskGate:
    risk = gate(held=1.0)
    risk.state = state
    return risk


def after_order() -> RiskGate:
    risk = gate()
    risk.passed(order(decision_id="d1", client_order_id="before"), NOW)
    return risk


def losing(held_mark: float, **limits: Any) -> RiskGate:
    risk = gate(held=1.0, **limits)
    risk.check(order(), NOW)
    risk.book.mark(SYMBOL, held_mark, NOW)
    return risk


def with_balance(usdt: float) -> RiskGate:
    risk = gate(shorting=False)
    risk.book.balances = {"USDT": Decimal(str(usdt))}
    return risk


def with_working(count: int, **limits: Any) -> RiskGate:
    risk = gate(**limits)
    for number in range(count):
        working(risk, price=40_000.0 + number)
    return risk


def busy(**limits: Any) -> RiskGate:
    risk = gate(**limits)
    for number in range(3):
        risk.passed(order(quantity=1.0 + number), NOW - number * NS)
    return risk


def skewed() -> RiskGate:
    risk = gate(max_clock_skew_ms=500)
    risk.clock_offset_ms = -30_000.0
    return risk


def watching() -> RiskGate:
    risk = gate(stale_data_s=5)
    risk.expects_market_data = True
    return risk


CASES: list[tuple[str, RiskGate, Order, int]] = [
    ("INVALID_ORDER", gate(), order(quantity=-1), NOW),
    ("UNKNOWN_INSTRUMENT", gate(), order(symbol="DOGE/USDT"), NOW),
    ("PRICE_OFF_GRID", gate(), order(price=50_000.005), NOW),
    ("QUANTITY_BELOW_LOT", gate(), order(quantity=0.0001), NOW),
    ("QUANTITY_OVER_MAXIMUM", gate(), order(quantity=101), NOW),
    ("NOTIONAL_UNDER_MINIMUM", gate(), order(quantity=0.001, price=4_000.0), NOW),
    ("TRADING_HALTED", halted(TradingState.HALTED), order("sell", 0.5, reduce_only=True), NOW),
    ("REDUCING_ONLY", halted(TradingState.REDUCING), order(), NOW),
    ("NOT_REDUCING", gate(held=1.0), order("sell", 1.5, reduce_only=True), NOW),
    ("SHORT_NOT_SUPPORTED", gate(held=1.0, shorting=False), order("sell", 1.5), NOW),
    ("DUPLICATE_DECISION", after_order(), order(quantity=9, decision_id="d1"), NOW + 10 * NS),
    ("DUPLICATE_ORDER", after_order(), order(), NOW + NS // 20),
    ("QUANTITY_OVER_LIMIT", gate(max_order_quantity=0.05), order(), NOW),
    ("NOTIONAL_OVER_LIMIT", gate(max_order_notional=1_000), order(), NOW),
    ("PRICE_OUTSIDE_COLLAR", gate(), order(price=60_000.0), NOW),
    ("PRICE_OUTSIDE_COLLAR", gate(), order("sell", price=40_000.0), NOW),
    ("POSITION_OVER_LIMIT", gate(held=1.0, default_max_position=1.05), order(), NOW),
    ("POSITION_OVER_LIMIT", gate(held=1.0, max_position={SYMBOL: 1.05}), order(), NOW),
    ("GROSS_EXPOSURE_OVER_LIMIT", gate(held=1.0, max_gross_exposure=54_000), order(), NOW),
    ("NET_EXPOSURE_OVER_LIMIT", gate(held=-1.0, max_net_exposure=54_000), order("sell"), NOW),
    ("INSUFFICIENT_BALANCE", with_balance(4_999), order(), NOW),
    ("TOO_MANY_OPEN_ORDERS", with_working(3, max_open_orders=3), order(), NOW),
    ("ORDER_RATE_OVER_LIMIT", busy(max_orders_per_minute=3), order(), NOW),
    ("DAILY_LOSS_OVER_LIMIT", losing(39_000.0, max_daily_loss=10_000), order(), NOW),
    ("DRAWDOWN_OVER_LIMIT", losing(39_000.0, max_daily_loss=None, max_drawdown=0.1), order(), NOW),
    ("STALE_MARKET_DATA", watching(), order(), NOW + 6 * NS),
    ("CLOCK_SKEW", skewed(), order(), NOW),
]


@pytest.mark.parametrize(("expected", "risk", "wanted", "now_ns"), CASES, ids=[case[0] for case in CASES])
def test_each_denial_has_its_code(expected: str, risk: RiskGate, wanted: Order, now_ns: int) -> None:
    assert code(risk, wanted, now_ns) == expected


def test_every_code_is_tested() -> None:
    assert {case[0] for case in CASES} == set(DENIAL_CODES)


def test_a_denial_says_what_was_asked_and_what_is_allowed() -> None:
    denied = gate(max_order_notional=1_000).check(order(), NOW)
    assert denied is not None
    assert (denied.asked, denied.limit) == (5_000.1, 1_000)


def test_a_sound_order_passes() -> None:
    assert code(gate(), order()) is None
    assert code(with_balance(5_001), order()) is None


EXITS = [case for case in CASES if case[0] in {
    "DUPLICATE_ORDER", "QUANTITY_OVER_LIMIT", "NOTIONAL_OVER_LIMIT", "POSITION_OVER_LIMIT",
    "GROSS_EXPOSURE_OVER_LIMIT", "TOO_MANY_OPEN_ORDERS", "ORDER_RATE_OVER_LIMIT", "DAILY_LOSS_OVER_LIMIT",
    "DRAWDOWN_OVER_LIMIT", "STALE_MARKET_DATA",
    "CLOCK_SKEW", "REDUCING_ONLY",
}]  # fmt: skip


@pytest.mark.parametrize(("name", "risk", "wanted", "now_ns"), EXITS, ids=[case[0] for case in EXITS])
def test_an_exit_passes_what_stops_an_entry(name: str, risk: RiskGate, wanted: Order, now_ns: int) -> None:
    if not risk.book.position(SYMBOL):
        buy = order(client_order_id="bought", quantity=5.0)
        risk.book.add(buy)
        fill = Fill("vb", SYMBOL, OrderSide.BUY, 5.0, 50_000.0, 0.0, from_ns(NOW), "bx")
        risk.book.apply(Filled("bought", NOW, fill))
    assert code(risk, order("sell", 0.1, reduce_only=True), now_ns) is None


@given(st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 400)), max_size=20))
def test_the_position_cap_holds_whatever_is_asked(wishes: list[tuple[str, int]]) -> None:
    risk = gate(default_max_position=0.5, max_daily_loss=None, max_drawdown=None, duplicate_window_s=0)
    for number, (side, lots) in enumerate(wishes):
        wanted = order(side, lots / 1000, client_order_id=f"h{number}")
        if risk.check(wanted, NOW) is None:
            risk.book.add(wanted)
            fill = Fill(f"v{number}", SYMBOL, wanted.side, wanted.quantity, 50_000.0, 0.0, from_ns(NOW), f"f{number}")
            risk.book.apply(Filled(wanted.client_order_id, NOW, fill))
        assert abs(risk.book.position(SYMBOL)) <= Decimal("0.5")


def test_orders_in_doubt_reserve_what_they_could_cost() -> None:
    risk = with_balance(10_000)
    doubtful = order(quantity=0.15, client_order_id="doubt")
    risk.book.add(doubtful)
    assert code(risk, order(quantity=0.1)) == "INSUFFICIENT_BALANCE"


def test_the_day_begins_anew_and_can_be_restored() -> None:
    risk = losing(39_000.0, max_daily_loss=10_000, max_drawdown=None)
    assert code(risk, order()) == "DAILY_LOSS_OVER_LIMIT"
    assert code(risk, order(), NOW + 24 * 3600 * NS) is None
    restored = gate(max_daily_loss=10_000, max_drawdown=None)
    restored.restore_day(from_ns(NOW).date().isoformat(), 111_000.0)
    assert code(restored, order()) == "DAILY_LOSS_OVER_LIMIT"
    assert restored.day_result(NOW) == -11_000.0


def test_phase_8_limits_are_enforced_again_at_the_gate() -> None:
    config = StrategyConfig(
        risk=RiskConfig(max_daily_loss=500, max_gross_exposure=7_000, max_position_per_symbol={SYMBOL: 2})
    )
    limits = RiskLimits.from_strategy(TradingStrategy(config, 100_000.0), max_open_orders=7)
    assert limits.max_daily_loss == 500
    assert limits.max_gross_exposure == 7_000
    assert limits.max_position == {SYMBOL: 2}
    assert limits.default_max_position is None
    assert limits.max_open_orders == 7
    assert RiskLimits.from_strategy(lambda bar, context: None) == RiskLimits()


def test_a_limit_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match="max_daily_los"):
        RiskLimits(max_daily_los=5)  # type: ignore[call-arg]
    with pytest.raises(ValidationError, match="greater than 0"):
        RiskLimits(max_order_notional=-5)
