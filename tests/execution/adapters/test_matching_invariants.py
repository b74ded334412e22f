"""What holds whatever happens: random markets and orders, and the books must balance to the last digit."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from matching_helpers import SYMBOL, T0, S, instruments, order

from autotrader_lab.execution.adapters.matching import PaperMatching
from autotrader_lab.model import Bar, Book, Order, OrderStatus, OrderType, Positions, Quote, Trade, exact
from autotrader_lab.model.errors import OrderNotFound, OrderRefused
from autotrader_lab.model.orders import Accepted, Amended, Expired, Filled, Rejected, Report

PRICES = st.integers(80, 120).map(float)
SIZES = st.sampled_from([0.0, 0.4, 1.0, 2.5, 7.0])
QUANTITIES = st.sampled_from([0.001, 0.5, 1.0, 3.0, 8.0])


@st.composite
def quotes(draw: Any) -> Quote:
    bid = draw(PRICES)
    return Quote(SYMBOL, 0, bid, bid + draw(st.integers(0, 3)), draw(SIZES), draw(SIZES))


@st.composite
def books(draw: Any) -> Book:
    middle = draw(st.integers(90, 110))
    sizes = st.lists(SIZES, max_size=4)
    bids = tuple((float(middle - 1 - step), size) for step, size in enumerate(draw(sizes)))
    asks = tuple((float(middle + 1 + step), size) for step, size in enumerate(draw(sizes)))
    return Book(SYMBOL, 0, bids, asks)


@st.composite
def bars(draw: Any) -> Bar:
    low, *middle, high = sorted(draw(st.lists(PRICES, min_size=4, max_size=4)))
    open_, close = draw(st.permutations(middle))
    return Bar(SYMBOL, 0, open_, high, low, close, draw(SIZES))


trades = st.builds(Trade, st.just(SYMBOL), st.just(0), PRICES, SIZES)


@st.composite
def orders(draw: Any) -> dict[str, Any]:
    kind = draw(st.sampled_from(list(OrderType)))
    price = draw(PRICES)
    return {
        "side": draw(st.sampled_from(["buy", "sell"])),
        "kind": kind.value,
        "quantity": draw(QUANTITIES),
        "price": None if kind in (OrderType.MARKET, OrderType.STOP) else price,
        "stop_price": draw(PRICES) if kind in (OrderType.STOP, OrderType.STOP_LIMIT) else None,
        "time_in_force": draw(st.sampled_from(["GTC", "GTC", "IOC", "FOK", "DAY"])),
        "post_only": draw(st.integers(0, 9)) == 0,
        "reduce_only": draw(st.integers(0, 5)) == 0,
    }


cancels = st.tuples(st.just("cancel"), st.integers(0, 20))
amends = st.tuples(st.just("amend"), st.integers(0, 20), st.none() | QUANTITIES, st.none() | PRICES)
sends = st.tuples(st.just("send"), orders(), st.sampled_from([0, 0, 0, 1, 5, 40]))


def scripts(*events: st.SearchStrategy[Any]) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    happenings = st.tuples(st.just("event"), st.one_of(*events))
    step = st.tuples(st.sampled_from([0, 1, 3, 9000]), st.one_of(happenings, happenings, sends, sends, cancels, amends))
    return st.lists(step, max_size=40)


class World:
    """A script played against the core, checking everything after each step."""

    def __init__(self, script: Sequence[tuple[Any, ...]], **options: Any) -> None:
        options = {"slippage_bps": 7, "commission_bps": 13, "initial_balance": 1500, **options}
        options.setdefault("holdings", {SYMBOL: 4})
        self.venue = PaperMatching(instruments=instruments(), **options)
        self.start = (dict(self.venue.account.cash), dict(self.venue.account.holdings))
        self.cash_account = not options.get("allow_short", False)
        self.orders: list[Order] = []
        self.reports: list[Report] = []
        self.now_ns = T0
        for seconds, (what, *rest) in script:
            self.now_ns += seconds * S
            self.take(self.play(what, *rest))
            self.check()

    def play(self, what: str, *rest: Any) -> list[Report]:
        venue = self.venue
        if what == "event":
            event = rest[0]
            fields = {name: getattr(event, name) for name in event.__struct_fields__}
            return venue.on_market(type(event)(**{**fields, "timestamp_ns": self.now_ns}))
        if what == "send":
            fields, delay_s = dict(rest[0]), rest[1]
            placed = order(fields.pop("side"), fields.pop("kind"), **fields, client_order_id=f"c{len(self.orders)}")
            self.orders.append(placed)
            return [*venue.advance(self.now_ns), *venue.submit(placed, self.now_ns + delay_s * S)]
        name = f"c{rest[0]}"
        if what == "cancel":
            return venue.cancel(name, self.now_ns)
        try:
            return venue.amend(name, self.now_ns, *rest[1:])
        except (OrderNotFound, OrderRefused):
            return venue.advance(self.now_ns)

    def take(self, reports: list[Report]) -> None:
        for report in reports:
            placed = self.orders[int(report.client_order_id[1:])]
            if isinstance(report, Filled):
                self.check_fill(placed, report)
            assert placed.apply(report) or isinstance(report, Amended)
        self.reports += reports

    def check_fill(self, placed: Order, report: Filled) -> None:
        assert placed.is_open
        price, limit, sign = report.fill.price, placed.limit_price, placed.side.sign
        assert limit is None or (price - limit) * sign <= 0
        assert self.venue.instruments.find(SYMBOL).on_price_grid(price)
        assert self.venue.instruments.find(SYMBOL).on_quantity_grid(report.fill.quantity)
        assert report.fill.quantity > 0

    def check(self) -> None:
        venue, account = self.venue, self.venue.account
        for placed in self.orders:
            assert not placed.overfilled
            assert placed.is_open == (venue.is_open(placed.client_order_id) or placed.status is OrderStatus.PENDING)
            if placed.effective_time_in_force == "FOK" and not placed.is_open:
                assert placed.filled_quantity == 0 or placed.leaves == 0 or placed.reduce_only
        assert venue.working == sum(placed.is_open for placed in self.orders)
        # Cash and holdings are the exact fold of the fills, through the books that everybody else keeps.
        positions = Positions(venue.instruments)
        for report in self.reports:
            if isinstance(report, Filled):
                positions.apply(report.fill)
        position = positions.position(SYMBOL)
        cash, holdings = self.start
        flow = position.realised - position.open_cost - position.fees
        assert account.cash["USDT"] == cash["USDT"] + flow
        assert account.holdings[SYMBOL] == holdings[SYMBOL] + position.quantity
        if self.cash_account:
            assert account.free_cash("USDT") >= 0
            assert account.free_units(SYMBOL) >= 0
        assert account.held_cash.get("USDT", 0) >= 0
        assert account.held_units.get(SYMBOL, 0) >= 0
        if not venue.working:
            assert not account.held_cash.get("USDT")
            assert not account.held_units.get(SYMBOL)


FAST = settings(max_examples=80, deadline=None)


@FAST
@given(scripts(quotes()))
def test_quotes_on_a_cash_account(script):
    World(script, currency="USDT")


@FAST
@given(scripts(quotes(), books(), trades))
def test_everything_at_once_on_a_cash_account(script):
    World(script, currency="USDT")


@FAST
@given(scripts(bars()))
def test_bars_on_a_cash_account(script):
    World(script, currency="USDT")


@FAST
@given(scripts(bars()))
def test_bars_with_a_participation_cap(script):
    World(script, currency="USDT", max_participation=0.5)


@FAST
@given(scripts(quotes(), books(), trades, bars()))
def test_everything_at_once_on_a_margin_account(script):
    World(script, currency="USDT", allow_short=True, leverage=2)


@FAST
@given(scripts(quotes(), books(), trades, bars()))
def test_the_same_script_gives_the_same_reports(script):
    first, second = World(script, currency="USDT"), World(script, currency="USDT")
    assert first.reports == second.reports


@FAST
@given(scripts(quotes(), books(), trades))
def test_ioc_and_fok_never_rest_on_a_live_market(script):
    world = World([(0, ("event", Quote(SYMBOL, 0, 99, 101))), *script], currency="USDT")
    for placed in world.orders:
        if placed.effective_time_in_force in ("IOC", "FOK") and placed.stop_price is None:
            times = {
                report.timestamp_ns for report in world.reports if report.client_order_id == placed.client_order_id
            }
            assert len(times) <= 1


@FAST
@given(scripts(quotes(), books(), trades, bars()))
def test_every_order_has_one_beginning_and_one_end(script):
    world = World(script, currency="USDT")
    for placed in world.orders:
        mine = [report for report in world.reports if report.client_order_id == placed.client_order_id]
        if mine:
            assert isinstance(mine[0], (Accepted, Rejected))
            assert sum(isinstance(report, Accepted) for report in mine) <= 1
            assert not any(isinstance(report, (Rejected, Expired)) for report in mine[1:-1])


@FAST
@given(scripts(quotes(), trades), st.sampled_from([0, 5, 100]), st.sampled_from([0, 10, 250]))
def test_value_is_lost_to_commission_and_to_trading_beyond_the_mark_only(script, slippage_bps, commission_bps):
    """Equity at one mark moves by nothing but the fees and the distance of the fills from that mark."""
    world = World(script, currency="USDT", slippage_bps=slippage_bps, commission_bps=commission_bps)
    account, mark = world.venue.account, Decimal(100)
    cash, holdings = world.start
    lost = Decimal(0)
    for report in world.reports:
        if isinstance(report, Filled):
            fill = report.fill
            distance = (exact(fill.price) - mark) * exact(fill.quantity) * fill.side.sign
            lost += distance + exact(fill.commission)
    assert account.cash["USDT"] + account.holdings[SYMBOL] * mark == cash["USDT"] + holdings[SYMBOL] * mark - lost
