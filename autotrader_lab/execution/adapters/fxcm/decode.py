"""What FXCM's messages say, as values: plain functions from a FIX message, tested on recorded ones.

FXCM's tags of its own: 9000 symbol id, 9001 price digits, 9002 point size, 9029 error text, 9038 used margin,
9041 position, 9048 client id and 9054 order id of a closing order, 9053 commission of a position, 9080 product,
9094 and 9095 largest and smallest quantity, 9096 desk open, 9016 to 9018 system parameters.
"""

from __future__ import annotations

import re
from decimal import Decimal
from enum import Enum

import msgspec

from autotrader_lab.execution.adapters.fix.messages import FixMessage
from autotrader_lab.model.errors import DataError, InstrumentError
from autotrader_lab.model.instruments import Instrument
from autotrader_lab.model.market import Quote
from autotrader_lab.model.orders import OrderSide, OrderType

__all__ = [
    "VENUE",
    "AccountState",
    "Execution",
    "Phase",
    "Refusal",
    "Ticket",
    "decode_account",
    "decode_execution",
    "decode_instruments",
    "decode_parameters",
    "decode_quote",
    "decode_refusal",
    "decode_ticket",
]

VENUE = "fxcm"

_ZERO = Decimal(0)
_SECOND_NS = 1_000_000_000
_PRODUCT_FOREX = "1"
_SIDES = {"1": OrderSide.BUY, "2": OrderSide.SELL}
_TYPES = {"1": OrderType.MARKET, "2": OrderType.LIMIT, "3": OrderType.STOP, "4": OrderType.STOP_LIMIT}
_TIMES = {"0": "DAY", "1": "GTC", "3": "IOC", "4": "FOK"}
_ORA = re.compile(r"ORA-\d{5}")


class Phase(Enum):
    """Where an order stands, in our words."""

    WORKING = "working"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REJECTED = "rejected"


_PHASES = {
    **dict.fromkeys("015679AE", Phase.WORKING),
    "2": Phase.FILLED,
    "3": Phase.EXPIRED,
    "4": Phase.CANCELLED,
    "8": Phase.REJECTED,
    "C": Phase.EXPIRED,
}


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """One ExecutionReport: an order as it stands now.

    What was executed is told by the cumulative quantity alone: FXCM reports one execution up to three times (by the
    liquidity provider as stopped or partially filled, then again when its database has it).

    Attributes
    ----------
    client_ids : tuple of str
        Names the order may go by: its own, and the one that a cancel or change was for.
    filled, average, last_price, last_quantity, leaves : Decimal
        Units and quote currency.
    code, reason : str
        Of a refusal.
    status : str
        Tag 39 as it came.
    status_id, mass_id : str
        The request that asked for it; empty for a report that came by itself.
    mass_total : int or None
        How many orders the answer to a mass status request has.
    """

    order_id: str
    client_ids: tuple[str, ...]
    account: str
    symbol: str
    side: OrderSide
    order_type: OrderType
    time_in_force: str
    status: str
    phase: Phase
    quantity: Decimal
    filled: Decimal
    average: Decimal
    last_price: Decimal
    last_quantity: Decimal
    leaves: Decimal
    price: Decimal
    stop_price: Decimal
    timestamp_ns: int
    execution_id: str = ""
    exec_type: str = ""
    code: str = ""
    reason: str = ""
    position_id: str = ""
    commission: Decimal = _ZERO
    commission_currency: str = ""
    status_id: str = ""
    mass_id: str = ""
    mass_total: int | None = None
    is_last: bool = False

    @property
    def is_unknown_order(self) -> bool:
        """Whether it says that there is no such order, in answer to a question."""
        return not self.order_id and self.phase is Phase.REJECTED and (bool(self.status_id) or self.exec_type == "I")

    @property
    def is_duplicate(self) -> bool:
        """Whether an order is refused because there is one under its id: that one lives."""
        return self.phase is Phase.REJECTED and (self.code == "6" or "duplicate" in self.reason.lower())


class Refusal(msgspec.Struct, frozen=True):
    """A request that was not carried out: Reject (3), OrderCancelReject (9), BusinessMessageReject (j) and kin.

    Attributes
    ----------
    reference : int or None
        Sequence number of the refused message, where it is told.
    client_ids : tuple of str
        What the refused request was called, and what it was about.
    is_outage : bool
        The venue says that the part of it that would know is down: no evidence that nothing was done.
    """

    msg_type: str
    refused_type: str
    reference: int | None
    client_ids: tuple[str, ...]
    code: str
    reason: str
    is_outage: bool = False


class AccountState(msgspec.Struct, frozen=True):
    """One CollateralReport.

    Attributes
    ----------
    balance, day_start_equity, used_margin : Decimal
        Account currency; equity as of 17:00 New York, which is the only equity FXCM tells.
    lot_size : Decimal
        Smallest quantity, and step, of a currency pair; units.
    hedging : bool
        Whether opposite positions stand side by side instead of netting.
    """

    account: str
    balance: Decimal
    day_start_equity: Decimal
    used_margin: Decimal
    lot_size: Decimal
    hedging: bool
    session_id: str = ""
    margin_call: str = "N"
    is_last: bool = True


class Ticket(msgspec.Struct, frozen=True):
    """One PositionReport: FXCM keeps a position for each opening trade.

    Attributes
    ----------
    quantity : Decimal
        Units, signed.
    open_ids, close_ids : (str, str)
        Client id and venue id of the order that opened it, and of the one that closed it.
    profit, commission, interest : Decimal
        Account currency; `profit` of a closed one only.
    """

    position_id: str
    account: str
    symbol: str
    quantity: Decimal
    open_price: Decimal
    is_closed: bool
    open_ids: tuple[str, str]
    close_ids: tuple[str, str] = ("", "")
    close_price: Decimal = _ZERO
    profit: Decimal = _ZERO
    commission: Decimal = _ZERO
    interest: Decimal = _ZERO
    opened_ns: int = 0
    closed_ns: int = 0
    request_id: str = ""
    total: int = 0


def decode_parameters(message: FixMessage) -> dict[str, str]:
    """The system parameters of a TradingSessionStatus: BASE_CRNCY, BASE_UNIT_SIZE, SERVER_TIME_UTC and more.

    Raises
    ------
    DataError
        If they are not what they are counted to be.
    """
    return {entry.require(9017): entry.get(9018) for entry in message.groups(9016, 9017, (146, 453))}


def decode_instruments(message: FixMessage, account: AccountState | None = None) -> list[Instrument]:
    """What a TradingSessionStatus lists.

    Parameters
    ----------
    message : FixMessage
    account : AccountState, optional
        Its lot size rules currency pairs; without it the message's own smallest quantity does.

    Raises
    ------
    DataError
        If an instrument lacks what its grid is made of.
    """
    return [_instrument(entry, account) for entry in message.groups(146, 55, (9016, 453))]


def _instrument(entry: FixMessage, account: AccountState | None) -> Instrument:
    symbol = entry.require(55)
    digits = entry.integer(9001)
    if not 0 <= digits <= 12:
        raise DataError(f"{VENUE}: {symbol} has {digits} price digits (tag 9001)")
    base, slash, quote = symbol.partition("/")
    smallest = entry.decimal(9095, _ZERO)
    step = entry.decimal(228, _ZERO)
    if entry.get(9080, _PRODUCT_FOREX) == _PRODUCT_FOREX and account is not None and account.lot_size > 0:
        smallest = step = account.lot_size
    largest = entry.decimal(9094, _ZERO)
    try:
        return Instrument(
            symbol=symbol,
            tick_size=Decimal(1).scaleb(-digits),
            lot_size=step if step > 0 else smallest if smallest > 0 else Decimal(1),
            venue=VENUE,
            venue_symbol=symbol,
            base=base if slash else "",
            quote=quote if slash else entry.get(15, "USD"),
            min_quantity=smallest,
            max_quantity=largest if largest > 0 else None,
            multiplier=Decimal(1) if slash else entry.decimal(231, Decimal(1)),
        )
    except InstrumentError as error:
        raise DataError(f"{VENUE}: {error}") from error


def decode_account(message: FixMessage) -> AccountState:
    """A CollateralReport.

    Raises
    ------
    DataError
        If account or balance are missing.
    """
    kinds = {entry.get(803): entry.get(523) for entry in message.groups(802, 523)}
    return AccountState(
        account=message.require(1),
        balance=message.decimal(901),
        day_start_equity=message.decimal(921, _ZERO),
        used_margin=message.decimal(9038, _ZERO),
        lot_size=message.decimal(53, _ZERO),
        hedging=kinds.get("4000") == "Y",
        session_id=message.get(625),
        margin_call=message.get(9045, "N"),
        is_last=message.get(912, "Y") == "Y",
    )


def decode_quote(message: FixMessage) -> tuple[Quote, bool]:
    """A market data snapshot's best bid and ask, and whether they can be traded on now.

    FXCM tells no sizes. Prices outside trading hours are indicative.

    Raises
    ------
    DataError
        If either side is missing.
    """
    symbol = message.require(55)
    prices = {entry.require(269): entry for entry in message.groups(268, 269)}
    if "0" not in prices or "1" not in prices:
        raise DataError(f"{VENUE}: a quote of {symbol} without {'a bid' if '0' not in prices else 'an ask'}")
    bid, ask = prices["0"], prices["1"]
    sent_ns = message.time_ns(52)
    if bid.get(272) and bid.get(273):
        stamped = FixMessage([(60, f"{bid.get(272)}-{bid.get(273)}")])
        sent_ns = stamped.time_ns(60)
    tradeable = bid.get(537, "1") == "1" and bid.get(276, "A") == "A" and message.get(9096, "O") == "O"
    return Quote(symbol, sent_ns, float(bid.decimal(270)), float(ask.decimal(270))), tradeable


def decode_execution(message: FixMessage) -> Execution:
    """An ExecutionReport.

    Raises
    ------
    DataError
        If it lacks what an order is known by, or has a status nobody described.
    """
    status = message.require(39)
    if status not in _PHASES:
        raise DataError(f"{VENUE}: an execution report has the unknown status {status!r} (tag 39)")
    phase = _PHASES[status]
    filled = message.decimal(14, _ZERO)
    exec_type = message.get(150)
    times = message.get(59)
    if phase is Phase.REJECTED and (filled or exec_type == "4"):
        # FXCM ends a partially executed order as rejected.
        phase = Phase.CANCELLED
    if phase is Phase.CANCELLED and times in ("3", "4"):
        phase = Phase.EXPIRED
    side = message.get(54)
    mass_id = message.get(584)
    if side not in _SIDES and not mass_id:
        raise DataError(f"{VENUE}: an execution report has side {side!r} (tag 54)")
    text = message.get(58) or message.get(9029)
    order_id = message.get(37)
    total = message.get(911)
    return Execution(
        order_id="" if order_id in ("NONE", "[N/A]", "0") else order_id,
        client_ids=tuple(dict.fromkeys(name for name in (message.get(11), message.get(41)) if name)),
        account=message.get(1),
        symbol=message.get(55),
        side=_SIDES.get(side, OrderSide.BUY),
        order_type=_TYPES.get(message.get(40), OrderType.LIMIT),
        time_in_force=_TIMES.get(times, "GTC"),
        status=status,
        phase=phase,
        quantity=message.decimal(38, _ZERO),
        filled=filled,
        average=message.decimal(6, _ZERO),
        last_price=message.decimal(31, _ZERO),
        last_quantity=message.decimal(32, _ZERO),
        leaves=message.decimal(151, _ZERO),
        price=message.decimal(44, _ZERO),
        stop_price=message.decimal(99, _ZERO),
        timestamp_ns=_moment_ns(message),
        execution_id=message.get(17),
        exec_type=exec_type,
        code=_code(text, message.get(103)),
        reason="" if text in ("", "Executed") else text,
        position_id=message.get(9041),
        commission=message.decimal(12, _ZERO),
        commission_currency=message.get(479),
        status_id=message.get(790),
        mass_id=mass_id,
        mass_total=message.integer(911) if total else None,
        is_last=message.get(912) == "Y",
    )


def _moment_ns(message: FixMessage) -> int:
    """When it happened: FXCM tells whole seconds, and sends within them as a rule."""
    sent_ns = message.time_ns(52, 0)
    told_ns = message.time_ns(60, sent_ns)
    return sent_ns if told_ns % _SECOND_NS == 0 and 0 <= sent_ns - told_ns < _SECOND_NS else told_ns


def decode_refusal(message: FixMessage) -> Refusal:
    """Any of the messages that say no to a request.

    Raises
    ------
    DataError
        If a number in it is none.
    """
    kind = message.msg_type
    text = message.get(58) or message.get(9029)
    by_kind = {"3": 373, "9": 102, "j": 380, "Y": 281, "AO": 728, "BG": 945}
    reason_number = message.get(by_kind.get(kind, 0))
    names = (message.get(11), message.get(41), message.get(379), message.get(262), message.get(710), message.get(909))
    return Refusal(
        msg_type=kind,
        refused_type=message.get(372) or {"9": "G" if message.get(434) == "2" else "F", "Y": "V"}.get(kind, ""),
        reference=message.integer(45) if 45 in message else None,
        client_ids=tuple(dict.fromkeys(name for name in names if name)),
        code=_code(text, reason_number),
        reason=text or f"{kind} {reason_number}".strip(),
        is_outage=kind == "j" and reason_number in ("4", "7"),
    )


def _code(text: str, number: str) -> str:
    """FXCM's own code out of its text, else the standard's number."""
    found = _ORA.search(text)
    return found.group() if found else number or "REFUSED"


def decode_ticket(message: FixMessage) -> Ticket:
    """A PositionReport, open or closed.

    Raises
    ------
    DataError
        If it is neither long nor short.
    """
    amounts = message.groups(702, 703)
    long_, short = (sum((entry.decimal(tag, _ZERO) for entry in amounts), _ZERO) for tag in (704, 705))
    if bool(long_) is bool(short):
        raise DataError(f"{VENUE}: position {message.get(9041)} is {long_} long and {short} short")
    return Ticket(
        position_id=message.require(9041),
        account=message.get(1),
        symbol=message.require(55),
        quantity=long_ - short,
        open_price=message.decimal(730, _ZERO),
        is_closed=message.get(724) == "1",
        open_ids=(message.get(11), message.get(37)),
        close_ids=(message.get(9048), message.get(9054)),
        close_price=message.decimal(9043, _ZERO),
        profit=message.decimal(9052, _ZERO),
        commission=message.decimal(9053, _ZERO),
        interest=message.decimal(9040, _ZERO),
        opened_ns=message.time_ns(9042, 0),
        closed_ns=message.time_ns(9044, 0),
        request_id=message.get(710),
        total=message.integer(727) if 727 in message else 0,
    )
