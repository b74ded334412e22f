"""A venue without wires: paper trading behind the interface of a real one.

All rules of execution are in :mod:`.matching`; this adapter gives them a clock, latency and callbacks. It is also the
working fake for other people's tests: ``PaperTradingAdapter(clock=SimulatedClock(t0), latency_ms=0)``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter, Capabilities
from autotrader_lab.execution.adapters.matching import Latency, PaperMatching
from autotrader_lab.execution.market_data.feeds import Feed
from autotrader_lab.model.clock import Clock, SystemClock, to_ns
from autotrader_lab.model.errors import NotConnected, OrderNotFound
from autotrader_lab.model.instruments import Instruments, Number
from autotrader_lab.model.market import MarketEvent
from autotrader_lab.model.orders import Fill, Filled, Order, Report, check_order

__all__ = ["PaperTradingAdapter"]

NS = 1_000_000_000


class PaperTradingAdapter(BaseBrokerAdapter):
    """Paper trading simulator.

    Orders meet the market that `set_price`, an attached feed or `on_market` tells of. Market orders are refused with
    code NO_MARKET while none is known; limit and stop orders wait for one.

    Parameters
    ----------
    initial_balance : float, default 100000
        Cash at the start, account currency.
    latency_ms : number or (least, most), default (10, 50)
        Milliseconds from sending to the venue's answer, on the clock; for orders, changes and cancels.
    slippage_bps : float, default 5
        Moves the price of market and stop orders against the trader, basis points.
    commission_bps : float, default 10
        Of each execution's notional, basis points, charged in the quote currency.
    clock : Clock, optional
        The machine's by default.
    seed : int, optional
        Of the latencies.
    instruments : Instruments, optional
        What may be traded, and its grid. Without it any symbol is guessed, and quantities and prices are cut to the
        guessed grid of 1e-8 (the original stays in the order's metadata as ``asked_quantity``, ``asked_price``).
    allow_short : bool, default False
        A margin account that may sell what it lacks, instead of a cash account.
    currency : str, optional
        Account currency; by default the quote currency of the first symbol it hears of.
    leverage : float, default 1
        Gross exposure allowed per unit of equity, with `allow_short`.
    balances, holdings : mapping, optional
        Further cash by currency and units by symbol to start with.

    Raises
    ------
    ConfigError, InstrumentError
        If a parameter is out of range; the message names it.
    """

    venue = "paper"
    capabilities = Capabilities(
        post_only=True,
        reports=True,
        client_order_ids=True,
        open_orders=True,
        fills_since=True,
        amend=True,
        cancel_all=True,
        shorting=False,
    )

    def __init__(
        self,
        initial_balance: float = 100_000,
        latency_ms: float | tuple[float, float] = (10, 50),
        slippage_bps: float = 5,
        commission_bps: float = 10,
        *,
        clock: Clock | None = None,
        seed: int | None = None,
        instruments: Instruments | None = None,
        allow_short: bool = False,
        currency: str | None = None,
        leverage: float = 1,
        balances: Mapping[str, Number] | None = None,
        holdings: Mapping[str, Number] | None = None,
    ) -> None:
        self.initial_balance = initial_balance
        self.latency_ms = latency_ms
        self.slippage_bps = slippage_bps
        self.commission_bps = commission_bps
        self.clock: Clock = clock if clock is not None else SystemClock()
        self._exact_grid = instruments is not None
        if instruments is not None:
            self.instruments = instruments
        self.capabilities = replace(type(self).capabilities, instruments=instruments is not None, shorting=allow_short)
        self.matching = PaperMatching(
            initial_balance,
            slippage_bps,
            commission_bps,
            instruments=self.instruments,
            allow_short=allow_short,
            currency=currency,
            leverage=leverage,
            balances=balances,
            holdings=holdings,
            venue=self.venue,
        )
        self._latency = Latency(latency_ms, seed)
        self._fills: list[tuple[int, Fill]] = []
        self._closed = False
        self._feed: Feed | None = None
        self.matching.advance(self.clock.now_ns())

    # --- the specification's attributes -----------------------------------------------------------------------

    @property
    def balance(self) -> float:
        """Cash in the account currency, reserved part included."""
        return float(self.matching.account.balance)

    @property
    def positions(self) -> dict[str, float]:
        """Units held, signed, by symbol; 0 for what was sold again."""
        return {symbol: float(units) for symbol, units in self.matching.account.holdings.items()}

    @property
    def current_prices(self) -> Mapping[str, float]:
        """What a unit is worth now, by symbol; change it with :meth:`set_price`."""
        return MappingProxyType(self.matching.prices())

    @property
    def order_counter(self) -> int:
        """How many orders reached this venue."""
        return self.matching.order_counter

    # --- market -----------------------------------------------------------------------------------------------

    def set_price(self, symbol: str, price: float) -> None:
        """Set the market price of `symbol`: a market of any size, until a feed says otherwise.

        Raises
        ------
        InstrumentError
            If `price` is not a positive number.
        """
        self._publish(self.matching.set_price(symbol, price, self.clock.now_ns()))

    def on_market(self, event: MarketEvent) -> None:
        """Let orders meet `event`; reports carry the clock's time."""
        reports = self.matching.on_market(event, self.clock.now_ns())
        if reports:
            self._publish(reports)

    def attach(self, feed: Feed) -> None:
        """Meet every event of `feed` from now on.

        Attach before a strategy subscribes to the same feed: then an event executes working orders before the
        strategy sees it. Attaching the same feed twice is quiet: no event is met twice.
        """
        if feed is not self._feed:
            feed.subscribe(self.on_market)
            self._feed = feed

    def feed(self) -> Feed | None:
        return self._feed

    # --- the interface ----------------------------------------------------------------------------------------

    async def connect(self) -> bool:
        self._closed = False
        return True

    async def disconnect(self) -> None:
        """Stop reporting. Open orders stay, and go on meeting the market; `get_fills` tells what was missed."""
        self._closed = True

    async def load_instruments(self, symbols: Iterable[str] = ()) -> Instruments:
        for symbol in symbols:
            self.matching.account.settle_currency(self.instruments.find(symbol).quote)
        return self.instruments

    async def submit_order(self, order: Order) -> Order:
        """Send `order`; returns when the venue has answered, one latency later.

        Raises
        ------
        OrderError, InstrumentError
            If it makes no sense on its face; nothing was sent.
        OrderRefused
            If its client order id was used before.
        """
        self._check_open()
        check_order(order)
        self._fit_to_guessed_grid(order)
        order_id = f"PAPER_{self.matching.order_counter + 1}"
        if not order.client_order_id:
            order.client_order_id = order_id
        sent_ns = self._advance()
        arrival_ns = sent_ns + self._latency.draw_ns()
        reports = self.matching.submit(order, arrival_ns)
        order.order_id = order_id
        order.venue = order.venue or self.venue
        self.orders[order.client_order_id] = order
        self._publish(reports)
        await self._wait_until(arrival_ns)
        return order

    async def cancel_order(self, order_id: str) -> bool:
        self._check_open()
        order = self._view(order_id)
        arrival_ns = self.clock.now_ns() + self._latency.draw_ns()
        await self._wait_until(arrival_ns)
        self._publish(self.matching.cancel(order.client_order_id, max(self.clock.now_ns(), arrival_ns)))
        return not order.is_open

    async def modify_order(self, order_id: str, quantity: float | None = None, price: float | None = None) -> Order:
        """Change a working order in place; `quantity` is the new total, filled part included.

        Raises
        ------
        OrderNotFound
            If no such order is working.
        OrderRefused
            If it cannot be changed so; it works on as it was.
        """
        self._check_open()
        order = self._view(order_id)
        arrival_ns = self.clock.now_ns() + self._latency.draw_ns()
        await self._wait_until(arrival_ns)
        now_ns = max(self.clock.now_ns(), arrival_ns)
        self._publish(self.matching.amend(order.client_order_id, now_ns, quantity, price))
        return order.copy()

    async def get_order_status(self, order_id: str) -> Order:
        self._check_open()
        self._advance()
        return self._view(order_id).copy()

    async def get_positions(self) -> dict[str, float]:
        self._check_open()
        self._advance()
        return {symbol: units for symbol, units in self.positions.items() if units}

    async def get_account_balance(self) -> dict[str, float]:
        """Total balance by currency; on a cash account what is held of a base currency counts as its balance."""
        self._check_open()
        self._advance()
        account = self.matching.account
        if not account.cash:
            return {account.currency: float(account.balance)}
        totals = dict(account.cash)
        if not account.allow_short:
            for symbol, units in account.holdings.items():
                base = self.instruments.find(symbol).base
                if base:
                    totals[base] = totals.get(base, units - units) + units
        return {currency: float(amount) for currency, amount in totals.items()}

    async def get_open_orders(self, symbol: str | None = None) -> list[Order]:
        self._check_open()
        self._advance()
        return await super().get_open_orders(symbol)

    async def get_fills(self, symbol: str, since_ns: int) -> list[Fill]:
        self._check_open()
        self._advance()
        wanted = self.instruments.find(symbol).symbol
        return [
            fill
            for timestamp_ns, fill in self._fills
            if timestamp_ns >= since_ns and self.instruments.find(fill.symbol).symbol == wanted
        ]

    async def find_order(self, client_order_id: str, symbol: str) -> Order | None:
        self._check_open()
        self._advance()
        return await super().find_order(client_order_id, symbol)

    async def cancel_all(self, symbol: str | None = None) -> int:
        """Cancel every working order in one request, one latency later; returns how many were asked for."""
        self._check_open()
        self._advance()
        asked = await self.get_open_orders(symbol)
        arrival_ns = self.clock.now_ns() + self._latency.draw_ns()
        await self._wait_until(arrival_ns)
        for order in asked:
            self._publish(self.matching.cancel(order.client_order_id, max(self.clock.now_ns(), arrival_ns)))
        return len(asked)

    def restore(self, fills: Iterable[Fill], orders: Iterable[Order] = ()) -> None:
        """Rebuild the account of an earlier process from its record: executions, and orders that were open.

        To be called before trading, on an adapter with the earlier one's parameters.
        """
        known = list(fills)
        working = [order.copy() for order in orders]
        self.matching.restore(known, working)
        self._fills.extend((to_ns(fill.timestamp), fill) for fill in known)
        for order in working:
            if self.matching.knows(order.client_order_id):
                self.orders[order.client_order_id] = order

    def adopt(self, order: Order) -> None:
        """Take over an order of an earlier process; one that was open works on here, if it ever arrived."""
        if not self.matching.knows(order.client_order_id):
            self.restore((), (order,) if order.is_open else ())
        if not order.is_open or self.matching.knows(order.client_order_id):
            self.orders.setdefault(order.client_order_id or order.order_id, order.copy())

    # --- inside -----------------------------------------------------------------------------------------------

    def _check_open(self) -> None:
        if self._closed:
            raise NotConnected("the paper adapter was disconnected: await adapter.connect() first")

    def _view(self, order_id: str) -> Order:
        order = self._find_view(order_id)
        if order is None:
            raise OrderNotFound(f"paper has no order {order_id!r}")
        return order

    def _fit_to_guessed_grid(self, order: Order) -> None:
        """Cut to the grid that nobody chose, so that nobody is refused for it; what was asked is recorded."""
        if self._exact_grid:
            return
        instrument = self.instruments.find(order.symbol)
        quantity = float(instrument.round_quantity(order.quantity))
        if quantity != order.quantity and quantity > 0:
            order.metadata["asked_quantity"] = order.quantity
            order.quantity = quantity
        for name in ("price", "stop_price"):
            asked = getattr(order, name)
            if asked is not None:
                # A limit must not get worse, a stop must not trigger earlier.
                down = (order.side.sign > 0) is (name == "price")
                fitted = float(instrument.round_price(asked, "down" if down else "up"))
                if fitted != asked and fitted > 0:
                    order.metadata[f"asked_{name}"] = asked
                    setattr(order, name, fitted)

    def _advance(self) -> int:
        now_ns = self.clock.now_ns()
        self._publish(self.matching.advance(now_ns))
        return max(now_ns, self.matching.now_ns)

    async def _wait_until(self, arrival_ns: int) -> None:
        wait_ns = arrival_ns - self.clock.now_ns()
        if wait_ns > 0:
            await self.clock.sleep(wait_ns / NS)
        # A timer may wake a little early; what was to arrive by then has arrived.
        self._publish(self.matching.advance(max(self.clock.now_ns(), arrival_ns)))

    def _publish(self, reports: list[Report]) -> None:
        for report in reports:
            if isinstance(report, Filled):
                self._fills.append((report.timestamp_ns, report.fill))
            if self._closed:
                view = self.orders.get(report.client_order_id)
                if view is not None:
                    view.apply(report)
            else:
                self._report(report)
