"""The desk at which orders are executed: account, markets, working orders, and every way an order can change.

The rules (:mod:`.live`, :mod:`.bars`) decide what happens and call the desk to do it.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from autotrader_lab.execution.adapters.matching.account import PaperAccount
from autotrader_lab.execution.adapters.matching.market import MarketState, Working
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.errors import InstrumentError
from autotrader_lab.model.instruments import Instrument, Instruments, exact, plain_text
from autotrader_lab.model.orders import Accepted, Cancelled, Expired, Fill, Filled, Rejected, Report

__all__ = ["Desk"]

_ZERO = Decimal(0)
_ONE = Decimal(1)


class Desk:
    """Account, markets and working orders.

    Attributes
    ----------
    working : int
        Orders that are working or under way.
    now_ns : int
        The newest time it was told; reports carry it.
    slippage : Decimal
        Fraction of the price.
    max_participation : Decimal or None
        The part of a bar's volume that our orders together may take.
    """

    def __init__(
        self,
        account: PaperAccount,
        instruments: Instruments,
        slippage: Decimal,
        max_participation: Decimal | None,
        venue: str,
    ) -> None:
        self.account = account
        self.instruments = instruments
        self.slippage = slippage
        self.max_participation = max_participation
        self.venue = venue
        self.working = 0
        self.now_ns = 0
        self._markets: dict[str, MarketState] = {}
        self._states: list[MarketState] = []
        self._orders: dict[str, Working] = {}
        self._day_orders = 0
        self._reports: list[Report] = []

    # --- markets ----------------------------------------------------------------------------------------------

    @property
    def markets(self) -> Iterable[MarketState]:
        """Every market that was heard of, once."""
        return self._states

    def market(self, symbol: str) -> MarketState:
        """The market of a universal symbol or a venue's own."""
        found = self._markets.get(symbol)
        if found is not None:
            return found
        try:
            instrument = self.instruments.find(symbol)
        except InstrumentError:
            # Data of something that cannot be traded here does no harm; an order in it is refused.
            instrument = Instrument.guess(symbol)
        else:
            self.account.settle_currency(instrument.quote)
        state = self._markets.get(instrument.symbol)
        if state is None:
            state = self._markets[instrument.symbol] = MarketState(instrument)
            self._states.append(state)
        self._markets[symbol] = state
        return state

    def price(self, symbol: str) -> float | None:
        """What a unit is worth now: mid, last trade or last close; None for what was never heard of."""
        market = self._markets.get(symbol)
        return market.mark() if market is not None else None

    def prices(self) -> dict[str, float]:
        """All known prices by universal symbol."""
        return {state.symbol: mark for state in self._states if (mark := state.mark()) is not None}

    # --- orders -----------------------------------------------------------------------------------------------

    def is_open(self, client_order_id: str) -> bool:
        """Whether the order is working here."""
        return client_order_id in self._orders

    def open_orders(self) -> list[str]:
        """Client order ids that are working, oldest first."""
        return list(self._orders)

    def accept(self, working: Working) -> None:
        """Let an order in; it works from now on."""
        self._reports.append(Accepted(working.client_order_id, self.now_ns, working.order_id))
        self.reserve(working)
        self.rest(working)

    def rest(self, working: Working) -> None:
        """Let an order work."""
        self._orders[working.client_order_id] = working
        working.market.orders.append(working)
        if working.day_end_ns:
            self._day_orders += 1

    def fill(self, working: Working, price: Decimal, quantity: Decimal, liquidity: str) -> None:
        """Execute `quantity` at `price`; the order ends when nothing is left."""
        account, instrument = self.account, working.market.instrument
        fee = account.commission(price * quantity * instrument.multiplier)
        working.left -= quantity
        working.fills += 1
        account.book(instrument, quantity if working.sign > 0 else -quantity, price, fee)
        if working.held:
            self._hold(
                working, working.left * working.unit if working.sign > 0 else max(working.held - quantity, _ZERO)
            )
        fill = Fill(
            order_id=working.order_id,
            symbol=working.symbol,
            side=working.side,
            quantity=float(quantity),
            price=float(price),
            commission=float(fee),
            timestamp=from_ns(self.now_ns),
            execution_id=f"FILL_{working.client_order_id}_{working.fills}",
            client_order_id=working.client_order_id,
            fee_currency=instrument.quote,
            liquidity=liquidity,
            venue=self.venue,
        )
        self._reports.append(Filled(working.client_order_id, self.now_ns, fill))
        if not working.left:
            self._end(working)

    def reject(self, working: Working, code: str, reason: str) -> None:
        """Refuse an order; if some of it was executed already, what is left is cancelled."""
        if working.client_order_id in self._orders:
            self._end(working)
        else:
            self.working -= 1
        if working.fills:
            self._reports.append(Cancelled(working.client_order_id, self.now_ns, f"{code}: {reason}"))
        else:
            self._reports.append(Rejected(working.client_order_id, self.now_ns, reason, code))

    def withdraw(self, working: Working, reason: str) -> None:
        """Cancel what is left of an order."""
        self._end(working)
        self._reports.append(Cancelled(working.client_order_id, self.now_ns, reason))

    def expire(self, working: Working, reason: str) -> None:
        """End what is left because its time in force is over."""
        self._end(working)
        self._reports.append(Expired(working.client_order_id, self.now_ns, reason))

    def expire_remainder(self, working: Working) -> None:
        """End what an IOC, FOK or market order could not get at once."""
        self.expire(working, f"nothing more could be executed at once ({working.type.value}, {working.tif})")

    def expire_day_orders(self, now_ns: int) -> None:
        """End DAY orders whose day was over at `now_ns`."""
        if self._day_orders:
            for working in list(self._orders.values()):
                if working.day_end_ns and working.day_end_ns <= now_ns:
                    self.expire(working, "the UTC day is over (DAY)")

    def _end(self, working: Working) -> None:
        self.release(working)
        del self._orders[working.client_order_id]
        working.market.orders.remove(working)
        self.working -= 1
        if working.day_end_ns:
            self._day_orders -= 1

    def _drain(self) -> list[Report]:
        reports, self._reports = self._reports, []
        return reports

    # --- what an order may do, and what it has reserved -------------------------------------------------------

    def slipped(self, working: Working, price: Decimal, times: int = 1) -> Decimal:
        """`price` moved against the trader, and onto the grid against the trader."""
        instrument = working.market.instrument
        moved = price + price * self.slippage * (times * working.sign)
        return max(instrument.round_price(moved, "up" if working.sign > 0 else "down"), instrument.tick_size)

    def wanted(self, working: Working) -> Decimal:
        """What may execute now: what is left, and of an exit no more than there is to exit."""
        return min(working.left, self.reducible(working)) if working.reduce_only else working.left

    def reducible(self, working: Working) -> Decimal:
        """Units that a reduce-only order could close now."""
        account, symbol = self.account, working.market.symbol
        if account.allow_short or working.sign > 0:
            return max(account.holdings.get(symbol, _ZERO) * -working.sign, _ZERO)
        return max(account.free_units(symbol) + working.held, _ZERO)

    def unit_cost(self, working: Working) -> Decimal:
        """What a unit may cost a buyer at worst, commission included, as far as that is known now."""
        price = working.limit
        if price is None:
            price = working.stop
            if price is None:
                mark = working.market.mark()
                price = exact(mark) if mark is not None else _ZERO
            price = self.slipped(working, price)
        return price * working.market.instrument.multiplier * (_ONE + self.account.commission_rate)

    def cost(self, working: Working, plan: Iterable[tuple[Decimal, Decimal]]) -> Decimal:
        """What a buyer pays for (price, quantity) pairs, commission included."""
        multiplier = working.market.instrument.multiplier
        notionals = [price * quantity * multiplier for price, quantity in plan]
        return sum((notional + self.account.commission(notional) for notional in notionals), _ZERO)

    def afford(self, working: Working, plan: Iterable[tuple[Decimal, Decimal]]) -> bool:
        """Whether a cash account can pay for `plan`; if not, the order is ended.

        The order's own reservation is given up first: that was an estimate, and this is the price.
        """
        if self.account.allow_short or working.sign < 0:
            return True
        self.release(working)
        currency = working.market.instrument.quote
        cost, free = self.cost(working, plan), self.account.free_cash(currency)
        if cost <= free:
            return True
        self.reject(working, *insufficient(cost, currency, free))
        return False

    def reserve(self, working: Working) -> None:
        """Reserve what a cash account needs for what is left."""
        if self.account.allow_short:
            return
        if working.sign < 0:
            self._hold(working, self.wanted(working))
            return
        working.unit = self.unit_cost(working)
        self._hold(working, working.left * working.unit)

    def release(self, working: Working) -> None:
        """Give back what an order has reserved."""
        if working.held:
            self._hold(working, _ZERO)
        working.unit = _ZERO

    def _hold(self, working: Working, amount: Decimal) -> None:
        change = amount - working.held
        working.held = amount
        if working.sign > 0:
            self.account.hold_cash(working.market.instrument.quote, change)
        else:
            self.account.hold_units(working.market.symbol, change)


def insufficient(needed: Decimal, what: str, free: Decimal) -> tuple[str, str]:
    """Code and sentence for an order that the account cannot bear."""
    return "INSUFFICIENT_BALANCE", f"not enough balance: needs {plain_text(needed)} {what}, free {plain_text(free)}"
