"""What Interactive Brokers trades in the sandbox: contracts, their details, and the market rules of their prices."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta

import msgspec

from autotrader_lab.sandbox.orders import Instrument
from autotrader_lab.sandbox.units import ONE, parse_e8, trim_e8

__all__ = ["MARKET_RULES", "Contract", "Query", "find", "make_catalogue"]

MARKET_RULES: dict[int, tuple[tuple[str, str], ...]] = {
    26: (("0", "0.01"),),
    67: (("0", "0.25"),),
    239: (("0", "0.00005"),),
}
"""Market rule id to (low edge, increment) steps."""

_MONTH_CODES = "FGHJKMNQUVXZ"
_STOCK_VENUES = "SMART,AMEX,NYSE,CBOE,PHLX,ISE,CHX,ARCA,ISLAND,DRCTEDGE,BEX,BATS,EDGEA,BYX,IEX,EDGX,NASDAQ"
_STOCK_ORDERS = "ACTIVETIM,ADJUST,DAY,FOK,GTC,GTD,IOC,LMT,MKT,STP,STPLMT,WHATIF"


class Contract(msgspec.Struct, frozen=True, kw_only=True):
    """A contract and its details; `symbol_code` is IB's symbol, ``instrument.symbol`` the sandbox's own name."""

    instrument: Instrument
    con_id: int
    symbol_code: str
    kind: str
    exchange: str
    exchanges: str
    primary_exchange: str = ""
    currency: str = "USD"
    local_symbol: str
    trading_class: str
    market_name: str
    long_name: str
    market_rule: int
    expiry: str = ""
    strike: str = "0"
    right: str = ""
    multiplier: str = ""
    contract_month: str = ""
    industry: str = ""
    category: str = ""
    subcategory: str = ""
    time_zone: str = "UTC"
    under_con_id: int = 0
    under_symbol: str = ""
    under_kind: str = ""
    stock_type: str = ""
    depth_group: str = "1"

    @property
    def min_tick(self) -> str:
        """The smallest increment, as the details print it."""
        return trim_e8(self.instrument.tick)

    def fields(self, exchange: str | None = None) -> list[str]:
        """What stands from conId to tradingClass, as orders and executions print them."""
        return [
            str(self.con_id),
            self.symbol_code,
            self.kind,
            self.expiry,
            self.strike,
            self.right,
            self.multiplier,
            self.exchange if exchange is None else exchange,
            self.currency,
            self.local_symbol,
            self.trading_class,
        ]


class Query(msgspec.Struct, frozen=True):
    """A contract as a client describes it; empty fields match everything."""

    con_id: int = 0
    symbol: str = ""
    kind: str = ""
    expiry: str = ""
    strike: str = ""
    right: str = ""
    multiplier: str = ""
    exchange: str = ""
    primary_exchange: str = ""
    currency: str = ""
    local_symbol: str = ""
    trading_class: str = ""

    def matches(self, contract: Contract) -> bool:
        """Whether it describes `contract`."""
        if self.exchange and self.exchange not in contract.exchanges.split(","):
            return False
        if self.con_id:
            return self.con_id == contract.con_id
        wanted = (
            (self.symbol, contract.symbol_code),
            (self.kind, contract.kind),
            (self.multiplier, contract.multiplier),
            (self.primary_exchange, contract.primary_exchange),
            (self.currency, contract.currency),
            (self.local_symbol, contract.local_symbol),
            (self.trading_class, contract.trading_class),
        )
        strike = float(self.strike or 0)
        return (
            bool(self.symbol or self.local_symbol)
            and all(not asked or asked == held for asked, held in wanted)
            and contract.expiry.startswith(self.expiry)
            and (not strike or strike == float(contract.strike))
            and (not self.right.strip("?") or self.right[0] == contract.right)
        )


def find(catalogue: Sequence[Contract], query: Query) -> list[Contract]:
    """The contracts a query describes."""
    return [contract for contract in catalogue if query.matches(contract)]


def make_catalogue(now_ms: int) -> list[Contract]:
    """All contracts, the future and the options with expiries that lie ahead of `now_ms`."""
    today = datetime.fromtimestamp(now_ms / 1_000, UTC).date()
    future, option = _third_friday(today, quarterly=True), _third_friday(today, quarterly=False)
    return [
        _stock("AAPL", 265598, "APPLE INC", "190", "0.28", ("Technology", "Computers", "Computers")),
        _stock("MSFT", 272093, "MICROSOFT CORP", "410", "0.25", ("Technology", "Software", "Applications Software")),
        Contract(
            instrument=_instrument("EUR.USD", "EUR", "0.00005", "1.1", "1500000", "0.08", "0.03", stops_by_quote=True),
            con_id=12087792,
            symbol_code="EUR",
            kind="CASH",
            exchange="IDEALPRO",
            exchanges="IDEALPRO",
            local_symbol="EUR.USD",
            trading_class="EUR.USD",
            market_name="EUR.USD",
            long_name="European Monetary Union Euro",
            market_rule=239,
            depth_group="4",
        ),
        Contract(
            instrument=_instrument("ES", "ES", "0.25", "5200", "30", "0.18", "0.06", multiplier=50),
            con_id=637533641,
            symbol_code="ES",
            kind="FUT",
            exchange="CME",
            exchanges="CME,QBALGO",
            local_symbol=f"ES{_MONTH_CODES[future.month - 1]}{future.year % 10}",
            trading_class="ES",
            market_name="ES",
            long_name="E-mini S&P 500",
            market_rule=67,
            expiry=f"{future:%Y%m%d}",
            multiplier="50",
            contract_month=f"{future:%Y%m}",
            under_con_id=11004968,
            under_symbol="ES",
            under_kind="IND",
            depth_group="2147483647",
        ),
        _option("C", 711200001, option, "6.5"),
        _option("P", 711200002, option, "5.5"),
    ]


def _instrument(
    symbol: str,
    base: str,
    tick: str,
    start: str,
    size: str,
    volatility: str,
    margin: str,
    *,
    multiplier: int = 1,
    stops_by_quote: bool = False,
) -> Instrument:
    return Instrument(
        symbol=symbol,
        base=base,
        quote="USD",
        tick=parse_e8(tick),
        step=ONE,
        min_price=parse_e8(tick),
        min_quantity=ONE,
        max_quantity=parse_e8("100000000"),
        max_market_quantity=parse_e8("100000000"),
        start_price=parse_e8(start),
        typical_size=parse_e8(size),
        volatility=float(volatility),
        margin_rate=parse_e8(margin),
        multiplier=multiplier,
        stops_by_quote=stops_by_quote,
    )


def _stock(symbol: str, con_id: int, name: str, start: str, volatility: str, sector: tuple[str, str, str]) -> Contract:
    return Contract(
        instrument=_instrument(symbol, symbol, "0.01", start, "300", volatility, "0.25"),
        con_id=con_id,
        symbol_code=symbol,
        kind="STK",
        exchange="SMART",
        exchanges=_STOCK_VENUES,
        primary_exchange="NASDAQ",
        local_symbol=symbol,
        trading_class="NMS",
        market_name="NMS",
        long_name=name,
        market_rule=26,
        industry=sector[0],
        category=sector[1],
        subcategory=sector[2],
        stock_type="COMMON",
    )


def _option(right: str, con_id: int, expiry: date, start: str) -> Contract:
    local = f"AAPL  {expiry:%y%m%d}{right}00190000"
    return Contract(
        instrument=_instrument(local, local, "0.01", start, "40", "0.9", "1", multiplier=100),
        con_id=con_id,
        symbol_code="AAPL",
        kind="OPT",
        exchange="SMART",
        exchanges="SMART,AMEX,CBOE,PHLX,ISE,BOX,NASDAQOM",
        local_symbol=local,
        trading_class="AAPL",
        market_name="AAPL",
        long_name="APPLE INC",
        market_rule=26,
        expiry=f"{expiry:%Y%m%d}",
        strike="190",
        right=right,
        multiplier="100",
        contract_month=f"{expiry:%Y%m}",
        under_con_id=265598,
        under_symbol="AAPL",
        under_kind="STK",
    )


def _third_friday(today: date, quarterly: bool) -> date:
    """The next expiry that is at least eight days away."""
    year, month = today.year, today.month
    while True:
        first = date(year, month, 1)
        friday = first + timedelta(days=(4 - first.weekday()) % 7 + 14)
        if friday >= today + timedelta(days=8) and (not quarterly or month % 3 == 0):
            return friday
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
