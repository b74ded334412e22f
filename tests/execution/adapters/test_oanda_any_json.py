"""Whatever JSON stands where Oanda's value is meant: read, or named in our own error; nothing else comes out."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from autotrader_lab.execution.adapters.oanda.books import fill_of
from autotrader_lab.execution.adapters.oanda.decode import (
    Executed,
    decode_ticket,
    decode_transaction,
)
from autotrader_lab.execution.adapters.oanda.figures import (
    decode_account,
    decode_bars,
    decode_instrument,
    decode_positions,
    decode_quote,
)
from autotrader_lab.model.errors import DataError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=12)
    | st.sampled_from(["1.5", "-7", "1e9"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
SAMPLES: tuple[tuple[Any, dict[str, Any]], ...] = (
    (
        decode_transaction,
        {"type": "ORDER_FILL", "id": "2", "time": "1.5", "orderID": "1", "clientOrderID": "m", "instrument": "EUR_USD"}
        | {"units": "-7", "requestedUnits": "-7", "price": "1.1", "fullVWAP": "1.1", "pl": "0", "commission": "0"}
        | {"financing": "0", "halfSpreadCost": "0", "guaranteedExecutionFee": "0", "reason": "MARKET_ORDER"},
    ),
    (
        decode_transaction,
        {"type": "LIMIT_ORDER", "id": "2", "time": "1.5", "instrument": "EUR_USD", "units": "5", "price": "1.1"}
        | {"clientExtensions": {"id": "m"}, "replacesOrderID": "1"},
    ),
    (decode_transaction, {"type": "ORDER_CANCEL", "id": "2", "time": "1.5", "orderID": "1", "reason": "?"}),
    (decode_transaction, {"type": "STOP_ORDER_REJECT", "id": "2", "time": "1.5", "rejectReason": "?"}),
    (
        decode_ticket,
        {"type": "LIMIT", "id": "2", "state": "PENDING", "instrument": "EUR_USD", "units": "5", "price": "1.1"}
        | {"createTime": "1.5", "timeInForce": "GTC", "positionFill": "DEFAULT", "clientExtensions": {"id": "m"}},
    ),
    (
        decode_quote,
        {"type": "PRICE", "instrument": "EUR_USD", "time": "1.5", "tradeable": True}
        | {"bids": [{"price": "1.1", "liquidity": 1}], "asks": [{"price": "1.2", "liquidity": 1}]},
    ),
    (
        decode_instrument,
        {"name": "EUR_USD", "type": "CURRENCY", "displayPrecision": 5, "tradeUnitsPrecision": 0, "marginRate": "0.02"}
        | {"minimumTradeSize": "1", "maximumOrderUnits": "100"},
    ),
    (decode_positions, {"positions": [{"instrument": "A_B", "long": {"units": "1"}, "short": {"units": "0"}}]}),
    (
        decode_account,
        {"account": {"id": "1", "currency": "USD", "balance": "1", "lastTransactionID": "1", "createdTime": "1.5"}},
    ),
    (
        decode_bars,
        {"instrument": "A_B", "granularity": "M1"}
        | {"candles": [{"complete": True, "time": "1.5", "mid": dict.fromkeys("ohlc", "1"), "volume": 1}]},
    ),
)


@given(sample=st.sampled_from(SAMPLES), data=st.data(), value=JSON)
@settings(max_examples=400, deadline=None)
def test_whatever_stands_where_something_else_is_meant_is_read_or_named(
    sample: tuple[Any, dict[str, Any]], data: st.DataObject, value: Any
) -> None:
    decode, body = sample
    spoilt = json.loads(json.dumps(body))
    place: Any = spoilt
    while True:
        key = data.draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        if not isinstance(place[key], (dict, list)) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = value
    found: Any = None
    said = ""
    try:
        found = decode(spoilt)
    except DataError as error:
        said = str(error)
    assert not said or said.startswith("oanda: ")
    if isinstance(found, Executed):
        assert fill_of(found, "USD", "EUR/USD", "m").quantity > 0
