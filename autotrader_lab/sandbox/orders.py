"""What the sandbox's exchange knows about: instruments, orders, accounts, and the events it reports.

Nothing here speaks a venue's language; the venues' renderers translate. ``Order`` is the one value that changes;
events carry a copy of it as it stood at that moment.
"""

from __future__ import annotations

import enum

import msgspec

from autotrader_lab.sandbox.units import ONE, notional, parse_e8

__all__ = [
    "Account",
    "AccountEvent",
    "Execution",
    "ExecutionKind",
    "Fees",
    "Instrument",
    "Order",
    "OrderEvent",
    "OrderRequest",
    "OrderType",
    "Prevention",
    "Refused",
    "Side",
    "Status",
    "TimeInForce",
    "TradeEvent",
]


class Side(enum.StrEnum):
    """Which way."""

    BUY = "BUY"
    SELL = "SELL"

    @property
    def opposite(self) -> Side:
        return Side.SELL if self is Side.BUY else Side.BUY


class OrderType(enum.StrEnum):
    """How an order meets the market."""

    LIMIT = "LIMIT"
    MARKET = "MARKET"
    LIMIT_MAKER = "LIMIT_MAKER"
    STOP_LOSS = "STOP_LOSS"
    STOP_LOSS_LIMIT = "STOP_LOSS_LIMIT"
    TAKE_PROFIT = "TAKE_PROFIT"
    TAKE_PROFIT_LIMIT = "TAKE_PROFIT_LIMIT"

    @property
    def has_limit(self) -> bool:
        return self in _LIMIT_TYPES

    @property
    def has_stop(self) -> bool:
        return self in _STOP_TYPES


_LIMIT_TYPES = frozenset(
    {OrderType.LIMIT, OrderType.LIMIT_MAKER, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT_LIMIT}
)
_STOP_TYPES = frozenset(
    {OrderType.STOP_LOSS, OrderType.STOP_LOSS_LIMIT, OrderType.TAKE_PROFIT, OrderType.TAKE_PROFIT_LIMIT}
)


class TimeInForce(enum.StrEnum):
    """How long what is left of an order waits."""

    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"


class Prevention(enum.StrEnum):
    """What happens when an order would trade with another of the same account."""

    NONE = "NONE"
    EXPIRE_TAKER = "EXPIRE_TAKER"
    EXPIRE_MAKER = "EXPIRE_MAKER"
    EXPIRE_BOTH = "EXPIRE_BOTH"


class Status(enum.StrEnum):
    """Where an order stands."""

    NEW = "NEW"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"
    EXPIRED_IN_MATCH = "EXPIRED_IN_MATCH"

    @property
    def is_open(self) -> bool:
        return self in (Status.NEW, Status.PARTIALLY_FILLED)


class ExecutionKind(enum.StrEnum):
    """What happened to an order."""

    NEW = "NEW"
    TRADE = "TRADE"
    CANCELED = "CANCELED"
    REJECTED = "REJECTED"
    REPLACED = "REPLACED"
    EXPIRED = "EXPIRED"
    TRADE_PREVENTION = "TRADE_PREVENTION"


class Refused(Exception):
    """The exchange declines a request.

    Parameters
    ----------
    reason : str
        A short code: INSUFFICIENT_BALANCE, DUPLICATE_ORDER, WOULD_TRIGGER, WOULD_TAKE, UNKNOWN_ORDER,
        NO_SUCH_ORDER, NO_LIQUIDITY, CANCEL_RESTRICTED, AMEND_NOT_SMALLER, ICEBERG_TOO_LARGE, NOT_AMENDABLE,
        INSUFFICIENT_MARGIN, ALREADY_FILLED.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Instrument(msgspec.Struct, frozen=True, kw_only=True):
    """A trading pair and its grid; prices, quantities and amounts in e8.

    `multiplier` is what a price of 1 for a quantity of 1 is worth in `quote` (50 for some futures), `margin_rate` the
    part of a position's value that a margin account must have (e8), `volatility` the standard deviation of a year's
    log return in a made-up market; stops trigger on the last trade, or with `stops_by_quote` on the ask (buy) and bid
    (sell). `twin_of` names the instrument of the same grid whose market this one has as well.

    Raises
    ------
    ValueError
        If a price on the tick times a quantity on the step could be finer than 1e-8.
    """

    symbol: str
    base: str
    quote: str
    tick: int = parse_e8("0.01")
    step: int = parse_e8("0.00001")
    min_price: int = parse_e8("0.01")
    max_price: int = parse_e8("1000000")
    min_quantity: int = parse_e8("0.00001")
    max_quantity: int = parse_e8("9000")
    max_market_quantity: int = parse_e8("100")
    min_notional: int = parse_e8("5")
    max_notional: int = parse_e8("9000000")
    max_orders: int = 200
    max_stop_orders: int = 5
    max_iceberg_parts: int = 10
    start_price: int = parse_e8("60000")
    typical_size: int = parse_e8("0.4")
    multiplier: int = 1
    margin_rate: int = ONE
    volatility: float = 0.6
    stops_by_quote: bool = False
    twin_of: str = ""

    def __post_init__(self) -> None:
        if self.tick <= 0 or self.step <= 0 or (self.tick * self.step) % ONE:
            raise ValueError(
                f"{self.symbol}: tick {self.tick} and step {self.step} (in 1e-8) make amounts finer than 1e-8; "
                "choose a coarser one"
            )

    def amount(self, price: int, quantity: int) -> int:
        """What `quantity` at `price` is worth, in e8 of the quote asset."""
        return notional(price, quantity) * self.multiplier


class Fees(msgspec.Struct, frozen=True):
    """Commission rates in e8: 0.1 % is 100000."""

    maker: int = 100_000
    taker: int = 100_000


class OrderRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks for, already well formed and on the instrument's grid.

    A stop whose price is already reached is refused, or with `triggers_at_once` goes to work immediately.
    """

    symbol: str
    side: Side
    type: OrderType
    client_order_id: str
    time_in_force: TimeInForce = TimeInForce.GTC
    quantity: int = 0
    quote_quantity: int = 0
    price: int = 0
    stop_price: int = 0
    iceberg: int = 0
    prevention: Prevention = Prevention.EXPIRE_MAKER
    strategy_id: int | None = None
    strategy_type: int | None = None
    triggers_at_once: bool = False


class Execution(msgspec.Struct, frozen=True):
    """One account's side of one trade; `realised` is the profit it took, in the quote asset (margin accounts)."""

    trade_id: int
    order_id: int
    symbol: str
    is_buyer: bool
    is_maker: bool
    price: int
    quantity: int
    amount: int
    fee: int
    fee_asset: str
    time_ms: int
    realised: int = 0


class Order(msgspec.Struct, kw_only=True):
    """An order's life. `locked` is what it holds back of `lock_asset`; `working_ms` is -1 until it works."""

    account: str
    symbol: str
    order_id: int
    client_order_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    price: int
    quantity: int
    quote_quantity: int
    stop_price: int
    iceberg: int
    prevention: Prevention
    created_ms: int
    updated_ms: int
    strategy_id: int | None = None
    strategy_type: int | None = None
    status: Status = Status.NEW
    executed: int = 0
    amount: int = 0
    locked: int = 0
    lock_asset: str = ""
    is_working: bool = False
    working_ms: int = -1
    prevented: int = 0
    prevented_match_id: int = -1
    counter_order_id: int = -1
    fills: list[Execution] = []

    @property
    def remaining(self) -> int:
        return self.quantity - self.executed - self.prevented


class OrderEvent(msgspec.Struct, frozen=True):
    """An order changed: what happened and how it stands now."""

    kind: ExecutionKind
    order: Order
    execution_id: int
    time_ms: int
    fill: Execution | None = None
    request_id: str = ""
    reject_reason: str = "NONE"
    counter_order_id: int = -1
    prevented: int = 0


class AccountEvent(msgspec.Struct, frozen=True):
    """Balances that may have changed (asset, free, locked); `delta` is set for deposits and withdrawals."""

    account: str
    time_ms: int
    balances: tuple[tuple[str, int, int], ...]
    delta: int | None = None


class TradeEvent(msgspec.Struct, frozen=True):
    """A trade as the public sees it. `aggressor` names the incoming order, to group its fills."""

    symbol: str
    trade_id: int
    price: int
    quantity: int
    buyer_is_maker: bool
    time_ms: int
    aggressor: int


class Account:
    """Balances and orders of one customer."""

    def __init__(self, name: str, fees: Fees | None = None) -> None:
        self.name = name
        self.fees = fees or Fees()
        self.free: dict[str, int] = {}
        self.locked: dict[str, int] = {}
        self.updated_ms = 0
        self.open: dict[int, Order] = {}
        self.open_by_client_id: dict[tuple[str, str], Order] = {}
        self.orders: dict[str, dict[int, Order]] = {}
        self.latest_by_client_id: dict[tuple[str, str], Order] = {}
        self.executions: dict[str, list[Execution]] = {}

    def lock(self, asset: str, amount: int) -> None:
        """Hold back `amount`.

        Raises
        ------
        Refused
            INSUFFICIENT_BALANCE if it is not there.
        """
        free = self.free.get(asset, 0)
        if amount > free:
            raise Refused("INSUFFICIENT_BALANCE")
        self.free[asset] = free - amount
        self.locked[asset] = self.locked.get(asset, 0) + amount

    def release(self, asset: str, amount: int) -> None:
        """Give held funds back."""
        self.locked[asset] -= amount
        self.free[asset] = self.free.get(asset, 0) + amount

    def credit(self, asset: str, amount: int) -> None:
        """Add to what is free."""
        self.free[asset] = self.free.get(asset, 0) + amount

    def balance(self, asset: str) -> tuple[str, int, int]:
        """(asset, free, locked), in e8."""
        return asset, self.free.get(asset, 0), self.locked.get(asset, 0)
