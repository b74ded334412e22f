"""Operations about accounts, prices, positions, trades and transactions."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from autotrader_lab.sandbox.units import ONE, TooPrecise, parse_e8
from autotrader_lab.sandbox.venues.oanda import statement
from autotrader_lab.sandbox.venues.oanda.api import Call, operation
from autotrader_lab.sandbox.venues.oanda.candles import candles
from autotrader_lab.sandbox.venues.oanda.errors import ApiError
from autotrader_lab.sandbox.venues.oanda.instruments import CATALOGUE, Pair
from autotrader_lab.sandbox.venues.oanda.times import Instant, read_time
from autotrader_lab.sandbox.venues.oanda.values import Trade

__all__ = ["named_pairs"]

Json = dict[str, Any]
ACCOUNT = "/v3/accounts/{account}"
FILTER_GROUPS = {"ORDER": "_ORDER", "FUNDING": "TRANSFER_FUNDS", "ADMIN": "CREATE"}


def _last(call: Call) -> Json:
    return {"lastTransactionID": call.desk.record.last_id}


def named_pairs(text: str | None) -> list[Pair]:
    """The instruments a list names.

    Raises
    ------
    ApiError
        If it is missing or names one that is unknown.
    """
    if not text:
        raise ApiError(400, "Missing 'instruments' parameter", "oanda::rest::core::MissingParameterException")
    names = [name.strip() for name in text.split(",") if name.strip()]
    unknown = [name for name in names if name not in CATALOGUE]
    if unknown or not names:
        raise ApiError(400, f"Invalid value specified for 'instruments': {','.join(unknown)}")
    return [CATALOGUE[name] for name in dict.fromkeys(names)]


def _pair(call: Call) -> Pair:
    name = call.path["instrument"]
    if name not in CATALOGUE:
        raise ApiError(400, "Invalid value specified for 'instrument'")
    return CATALOGUE[name]


# Accounts


@operation("GET /v3/accounts")
def _accounts(call: Call) -> tuple[int, Json]:
    return 200, {"accounts": [{"id": call.desk.account.name, "tags": []}]}


@operation(f"GET {ACCOUNT}")
def _account(call: Call) -> tuple[int, Json]:
    return 200, {"account": statement.account(call.desk), **_last(call)}


@operation(f"GET {ACCOUNT}/summary")
def _summary(call: Call) -> tuple[int, Json]:
    return 200, {"account": statement.summary(call.desk), **_last(call)}


@operation(f"GET {ACCOUNT}/instruments")
def _instruments(call: Call) -> tuple[int, Json]:
    wanted = call.query.get("instruments")
    pairs = named_pairs(wanted) if wanted else list(CATALOGUE.values())
    return 200, {"instruments": [pair.json(pair.instrument.margin_rate) for pair in pairs], **_last(call)}


@operation(f"GET {ACCOUNT}/changes")
def _changes(call: Call) -> tuple[int, Json]:
    return 200, statement.changes(call.desk, call.number("sinceTransactionID"))


@operation(f"PATCH {ACCOUNT}/configuration")
def _configure(call: Call) -> tuple[int, Json]:
    alias, rate = call.body.get("alias"), call.body.get("marginRate")
    if rate is not None:
        try:
            is_usable = parse_e8(str(rate)) >= 2 * ONE // 100
        except (TooPrecise, ValueError):
            is_usable = False
        if not is_usable:
            body = {"marginRate": str(rate), "rejectReason": "MARGIN_RATE_INVALID"}
            refused = call.desk.record.add("CLIENT_CONFIGURE_REJECT", body)
            more = {"clientConfigureRejectTransaction": refused, **_last(call)}
            raise ApiError(400, "The margin rate specified is invalid", "MARGIN_RATE_INVALID", more)
    if alias is not None:
        call.desk.alias = str(alias)
    body = {**({"alias": str(alias)} if alias else {}), **({"marginRate": str(rate)} if rate else {})}
    return 200, {"clientConfigureTransaction": call.desk.record.add("CLIENT_CONFIGURE", body), **_last(call)}


# Prices


@operation(f"GET {ACCOUNT}/pricing")
def _pricing(call: Call) -> tuple[int, Json]:
    pairs = named_pairs(call.query.get("instruments"))
    body: Json = {"time": call.desk.record.now(), "prices": [statement.price(call.desk, pair) for pair in pairs]}
    if call.flag("includeHomeConversions"):
        currencies = dict.fromkeys(c for pair in pairs for c in (pair.instrument.base, pair.instrument.quote))
        body["homeConversions"] = [
            {
                "currency": currency,
                "accountGain": f"{gain / ONE:.8f}",
                "accountLoss": f"{loss / ONE:.8f}",
                "positionValue": f"{(gain + loss) / 2 / ONE:.8f}",
            }
            for currency in currencies
            for gain, loss in [call.desk.netting.factors(currency)]
        ]
    return 200, body


@operation("GET /v3/instruments/{instrument}/candles")
@operation(f"GET {ACCOUNT}/instruments/{{instrument}}/candles")
def _candles(call: Call) -> tuple[int, Json]:
    return 200, candles(call.desk, _pair(call), call.query)


# Positions


@operation(f"GET {ACCOUNT}/positions")
def _positions(call: Call) -> tuple[int, Json]:
    return 200, {"positions": statement.positions(call.desk), **_last(call)}


@operation(f"GET {ACCOUNT}/openPositions")
def _open_positions(call: Call) -> tuple[int, Json]:
    return 200, {"positions": statement.positions(call.desk, only_open=True), **_last(call)}


@operation(f"GET {ACCOUNT}/positions/{{instrument}}")
def _position(call: Call) -> tuple[int, Json]:
    found = statement.position(call.desk, _pair(call))
    if found is None:
        raise ApiError(404, "The Position specified does not exist", "NO_SUCH_POSITION", _last(call))
    return 200, {"position": found, **_last(call)}


# Trades


def _trade(call: Call) -> Trade:
    found = call.desk.find_trade(call.path["trade"])
    if found is None:
        raise ApiError(404, "The trade specified does not exist", "NO_SUCH_TRADE", _last(call))
    return found


@operation(f"GET {ACCOUNT}/trades")
def _trades(call: Call) -> tuple[int, Json]:
    state, count = call.query.get("state", "OPEN"), call.number("count", 50)
    wanted, name, before = call.query.get("ids"), call.query.get("instrument"), call.number("beforeID", 2**62)
    rows = [
        one
        for one in reversed(call.desk.netting.trades.values())
        if (state == "ALL" or one.is_open == (state == "OPEN"))
        and (not wanted or str(one.trade_id) in wanted.split(","))
        and name in (None, one.pair.name)
        and one.trade_id < before
    ]
    return 200, {"trades": [statement.trade(call.desk, one) for one in rows[: min(count, 500)]], **_last(call)}


@operation(f"GET {ACCOUNT}/openTrades")
def _open_trades(call: Call) -> tuple[int, Json]:
    rows = reversed(call.desk.netting.open_trades())
    return 200, {"trades": [statement.trade(call.desk, one) for one in rows], **_last(call)}


@operation(f"GET {ACCOUNT}/trades/{{trade}}")
def _one_trade(call: Call) -> tuple[int, Json]:
    return 200, {"trade": statement.trade(call.desk, _trade(call)), **_last(call)}


# Transactions


def _of_types(call: Call, transactions: list[Json]) -> list[Json]:
    asked = call.query.get("type")
    if not asked:
        return transactions
    words = [FILTER_GROUPS.get(word, word) for word in asked.split(",")]
    return [
        one
        for one in transactions
        if any(one["type"] == word or (word.startswith("_") and word in one["type"]) for word in words)
    ]


@operation(f"GET {ACCOUNT}/transactions")
def _pages(call: Call) -> tuple[int, Json]:
    record, size = call.desk.record, min(call.number("pageSize", 100), 1_000)
    first, last = record.transactions[0]["time"], record.now()
    try:
        start = read_time(call.query["from"]) if "from" in call.query else first
        end = read_time(call.query["to"]) if "to" in call.query else last
    except ValueError:
        raise ApiError(400, "Invalid value specified for 'from' or 'to'") from None
    rows = [one for one in _of_types(call, record.transactions) if start <= one["time"] <= end]
    base = f"{call.origin}/v3/accounts/{call.desk.account.name}/transactions/idrange"
    pages = []
    for index in range(0, len(rows), max(1, size)):
        page = rows[index : index + size]
        query = {"from": page[0]["id"], "to": page[-1]["id"]}
        if "type" in call.query:
            query["type"] = call.query["type"]
        pages.append(f"{base}?{urlencode(query)}")
    return 200, {
        "from": Instant(start),
        "to": Instant(end),
        "pageSize": size,
        "count": len(rows),
        "pages": pages,
        **_last(call),
    }


@operation(f"GET {ACCOUNT}/transactions/idrange")
def _range(call: Call) -> tuple[int, Json]:
    first, last = call.number("from"), call.number("to")
    if last - first >= 1_000:
        raise ApiError(400, "The range specified exceeds the maximum of 1000 transactions")
    return 200, {"transactions": _of_types(call, call.desk.record.between(first, last)), **_last(call)}


@operation(f"GET {ACCOUNT}/transactions/sinceid")
def _since(call: Call) -> tuple[int, Json]:
    record = call.desk.record
    rows = record.between(call.number("id") + 1, int(record.last_id))
    return 200, {"transactions": _of_types(call, rows), **_last(call)}


@operation(f"GET {ACCOUNT}/transactions/{{transaction}}")
def _transaction(call: Call) -> tuple[int, Json]:
    number = call.path["transaction"]
    found = call.desk.record.get(int(number)) if number.isdigit() else None
    if found is None:
        raise ApiError(404, "The transaction ID specified does not exist", "NO_SUCH_TRANSACTION", _last(call))
    return 200, {"transaction": found, **_last(call)}
