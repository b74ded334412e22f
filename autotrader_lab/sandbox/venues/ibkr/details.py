"""What TWS says about contracts: details, market rules, option parameters, search results, depth exchanges."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from autotrader_lab.sandbox.venues.ibkr.contracts import MARKET_RULES, Contract
from autotrader_lab.sandbox.venues.ibkr.placing import ORDER_TYPES
from autotrader_lab.sandbox.venues.ibkr.wire import UNSET_INT

__all__ = ["contract_details", "depth_exchanges", "market_rule", "option_parameters", "symbol_samples"]

_ORDER_WORDS = ",".join(
    sorted({"DAY", "FOK", "GTC", "GTD", "IOC", "WHATIF", *(n.replace(" ", "") for n in ORDER_TYPES)})
)


def _hours(now_ms: int) -> str:
    """The next week's trading hours: the sandbox never closes by itself."""
    today = datetime.fromtimestamp(now_ms / 1_000, UTC)
    days = (today + timedelta(days=n) for n in range(6))
    return ";".join(f"{day:%Y%m%d}:0000-{day:%Y%m%d}:2359" for day in days)


def contract_details(contract: Contract, request_id: int, exchange: str, version: int, now_ms: int) -> list[str]:
    """Message 10."""
    hours = _hours(now_ms)
    rules = ",".join(str(contract.market_rule) for _ in contract.exchanges.split(","))
    last_trade = f"{contract.expiry} 23:59 UTC" if contract.expiry else ""
    fields = ["10"] if version >= 164 else ["10", "8"]
    fields += [str(request_id), contract.symbol_code, contract.kind, last_trade, contract.strike, contract.right]
    fields += [exchange or contract.exchange, contract.currency, contract.local_symbol, contract.market_name]
    fields += [contract.trading_class, str(contract.con_id), contract.min_tick]
    if version < 164:
        fields += ["100" if contract.kind == "STK" else "1"]  # mdSizeMultiplier
    fields += [contract.multiplier, _ORDER_WORDS, contract.exchanges, "1", str(contract.under_con_id)]
    fields += [contract.long_name, contract.primary_exchange, contract.contract_month]
    fields += [contract.industry, contract.category, contract.subcategory, contract.time_zone, hours, hours]
    fields += ["", "", "0"]  # evRule, evMultiplier, secIds
    fields += [contract.depth_group, contract.under_symbol, contract.under_kind, rules, contract.expiry]
    fields += [contract.stock_type]
    if version == 163:
        fields += ["1"]
    if version >= 164:
        fields += ["1", "1", "100" if contract.kind == "STK" else "1"]
    return fields


def market_rule(rule_id: int) -> list[str] | None:
    """Message 93, or None for a rule that does not exist."""
    steps = MARKET_RULES.get(rule_id)
    if steps is None:
        return None
    return ["93", str(rule_id), str(len(steps)), *(field for step in steps for field in step)]


def option_parameters(options: Sequence[Contract], request_id: int) -> list[list[str]]:
    """Messages 75, one an exchange."""
    if not options:
        return []
    expiries, strikes = sorted({o.expiry for o in options}), sorted({o.strike for o in options})
    first = options[0]
    return [
        [
            "75",
            str(request_id),
            exchange,
            str(first.under_con_id),
            first.trading_class,
            first.multiplier,
            str(len(expiries)),
            *expiries,
            str(len(strikes)),
            *strikes,
        ]
        for exchange in first.exchanges.split(",")
    ]


def symbol_samples(contracts: Sequence[Contract], request_id: int, version: int) -> list[str]:
    """Message 79."""
    fields = ["79", str(request_id), str(len(contracts))]
    for contract in contracts:
        derived = ["OPT"] if contract.symbol_code == "AAPL" else []
        place = contract.primary_exchange or contract.exchange
        fields += [str(contract.con_id), contract.symbol_code, contract.kind, place, contract.currency]
        fields += [str(len(derived)), *derived]
        if version >= 176:
            fields += [contract.long_name, ""]
    return fields


def depth_exchanges() -> list[str]:
    """Message 80."""
    rows = (("IDEALPRO", "CASH", "4"), ("ISLAND", "STK", UNSET_INT), ("CME", "FUT", UNSET_INT))
    fields = ["80", str(len(rows))]
    for exchange, kind, group in rows:
        fields += [exchange, kind, "", "Deep", group]
    return fields
