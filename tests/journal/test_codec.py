"""A record comes back as the value it was, or is refused in words."""

from __future__ import annotations

import dataclasses
import json
import math
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, SecretStr

from autotrader_lab.journal.codec import decode, encode
from autotrader_lab.journal.records import DecisionRecord, EquityMark
from autotrader_lab.model.errors import JournalError
from autotrader_lab.model.orders import (
    Accepted,
    Amended,
    Cancelled,
    Denied,
    Expired,
    Fill,
    Filled,
    InDoubt,
    Order,
    OrderSide,
    OrderType,
    Rejected,
    Report,
)
from autotrader_lab.strategy.decision import ExecutionDecision

WHEN = datetime(2026, 1, 2, 3, 4, 5, 678901, UTC)
FILL = Fill("77", "BTC/USDT", OrderSide.SELL, 0.1, 100.5, -0.01, WHEN, "e1", {"k": [1]}, "c1", "BNB", "maker", "x")


def order(**changes: Any) -> Order:
    made = Order("", "BTC/USDT", OrderSide.BUY, OrderType.STOP_LIMIT, 1.5, 100.0, 99.0, client_order_id="c1")
    return dataclasses.replace(made, **changes)


@pytest.mark.parametrize(
    "report",
    [
        Accepted("c1", 1, "77"),
        Filled("c1", 2, FILL),
        Cancelled("c1", 3, "asked"),
        Rejected("c1", 4, "no", "-2010"),
        Expired("c1", 5),
        Denied("c1", 6, "NOTIONAL_OVER_LIMIT", 12_000.0, 10_000.0, "too big"),
        InDoubt("c1", 7, "timeout"),
        Amended("c1", 8, None, 101.0, "78"),
    ],
)
def test_every_report_comes_back_as_itself(report: Report) -> None:
    assert decode(encode("report", report), Report) == report


def test_an_order_comes_back_with_what_it_has_been_through() -> None:
    lived = order(created_at=WHEN, metadata={"why": "cross", "levels": [1, 2.5, None]})
    lived.apply(Accepted("c1", 1, "77"))
    lived.apply(Filled("c1", 2, FILL))
    copy = decode(encode("intent", lived), Order)
    assert copy == lived
    assert copy.leaves == Decimal("1.4")
    assert copy.commission_by_currency == {"BNB": Decimal("-0.01")}
    assert copy.execution_ids == {"e1"}
    assert not copy.apply(Filled("c1", 2, FILL))


def test_a_decision_comes_back_in_either_layer() -> None:
    decision = ExecutionDecision("LONG", "X", 2.0, 0.7, WHEN, {"limit_price": 3.0}, "d1")
    raw = encode("decision", decision)
    assert decode(raw, ExecutionDecision) == decision
    assert decode(raw, DecisionRecord) == DecisionRecord("LONG", "X", 2.0, 0.7, WHEN, {"limit_price": 3.0}, "d1")


class Colour(Enum):
    RED = "red"


class Odd(msgspec.Struct):
    by_pair: dict[tuple[str, str], float]
    by_number: dict[int, Decimal]
    colour: Colour
    when: datetime
    nothing: float | None = None


def test_keys_that_are_no_text_enums_decimals_and_times() -> None:
    odd = Odd({("a", "b"): 1.5, ("c", "d"): math.inf}, {7: Decimal("0.10")}, Colour.RED, WHEN)
    raw = encode("mark", odd)
    json.loads(raw)  # it stays JSON that anybody can read
    assert decode(raw, Odd) == odd
    assert decode(raw)["by_pair"] == {("a", "b"): 1.5, ("c", "d"): math.inf}


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_json_has_no_word_for_survive(value: float) -> None:
    copy = decode(encode("equity", EquityMark(1, 2.0, drawdown=value)), EquityMark)
    assert repr(copy.drawdown) == repr(value)
    assert copy.equity == 2.0
    copied = decode(encode("intent", order(quantity=value)), Order)
    assert repr(copied.quantity) == repr(value)
    assert copied.price == 100.0
    assert repr(decode(encode("intent", order(metadata={"a": {"b": [1.0, value]}})), Order).metadata["a"]["b"][1]) == (
        repr(value)
    )
    assert repr(decode(encode("mark", {"x": Counter({"a": value})}))["x"]["a"]) == repr(value)


def test_text_that_looks_like_our_marks_is_left_alone() -> None:
    record = {"$float": "nan", "price": "$float", "nested": {"$pairs": [[1, 2]]}}
    assert decode(encode("mark", record)) == record


plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats() | st.text(max_size=8) | st.just("$float"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.text(max_size=4) | st.just("$pairs") | st.tuples(st.text(max_size=3), st.integers()), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.text(max_size=5), plain, max_size=4))
def test_any_plain_mapping_comes_back(record: dict[str, Any]) -> None:
    assert repr(decode(encode("checkpoint", record))) == repr(record)


def test_what_scientific_libraries_hand_out_is_taken_for_what_it_means() -> None:
    class Model(BaseModel):
        size: float = 1.5

    record = {
        "float": np.float64(1.5),
        "single": np.float32(0.5),
        "count": np.int64(3),
        "flag": np.bool_(True),
        "when": pd.Timestamp(WHEN),
        "path": Path("a") / "b",
        "frozen": MappingProxyType({"x": 1}),
        "model": Model(),
        "nan": np.float64("nan"),
    }
    read = decode(encode("mark", record))
    assert math.isnan(read.pop("nan"))
    assert read == {
        "float": 1.5,
        "single": 0.5,
        "count": 3,
        "flag": True,
        "when": WHEN.isoformat().replace("+00:00", "Z"),
        "path": str(Path("a") / "b"),
        "frozen": {"x": 1},
        "model": {"size": 1.5},
    }


class Keys(BaseModel):
    api_key: SecretStr


@pytest.mark.parametrize(
    "record",
    [
        {"key": SecretStr("hidden-word")},
        {"settings": Keys(api_key=SecretStr("hidden-word"))},
        {("a", 1): SecretStr("hidden-word")},
        {"x": math.nan, "y": [SecretStr("hidden-word")], "z": None},
    ],
)
def test_secrets_never_enter(record: Any) -> None:
    with pytest.raises(JournalError, match="SecretStr may not enter the journal") as error:
        encode("session", record)
    assert "hidden-word" not in str(error.value)


def test_what_is_no_plain_value_is_refused_by_name() -> None:
    with pytest.raises(JournalError, match=r"kind 'decision' cannot be written.*object.*put plain values"):
        encode("decision", {"model": object()})
    with pytest.raises(JournalError, match="put plain values"):
        encode("decision", {"frame": pd.DataFrame({"a": [1]})})
    with pytest.raises(JournalError, match="cannot be written"):
        encode("alert", {"text": "\ud800"})
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(JournalError, match="cannot be written"):
        encode("alert", {"loop": loop})


def test_reading_a_record_as_something_else_says_what_it_is() -> None:
    with pytest.raises(JournalError, match=r'no EquityMark: .*; it begins \{"client_order_id"'):
        decode('{"client_order_id":"c1"}', EquityMark)
    with pytest.raises(JournalError, match="no Order"):
        decode('{"a":{"$float":"nan"}}', Order)


NEW_CLASSES_IN_MANY_THREADS = """
import dataclasses, sys, threading
from decimal import Decimal
from autotrader_lab.journal.codec import decode

sys.setswitchinterval(1e-6)
for number in range(30):
    inner = [dataclasses.make_dataclass(f"Inner{number}_{i}", [("x", Decimal)]) for i in range(20)]
    outer = dataclasses.make_dataclass(f"Outer{number}", [(f"f{i}", cls | None, None) for i, cls in enumerate(inner)])
    start, read = threading.Barrier(4), []

    def work():
        start.wait()
        read.append(decode('{"f19": {"x": "1"}, "f3": {"x": "2"}}', outer).f19.x)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert read == [Decimal(1)] * 4
"""


def test_threads_may_read_records_of_a_new_class_at_once() -> None:
    """Without the codec's lock the interpreter dies: two threads of a host did it when a session was taken up."""
    done = subprocess.run([sys.executable, "-c", NEW_CLASSES_IN_MANY_THREADS], capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
