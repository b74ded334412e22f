"""The parts of a difference are the difference, exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autotrader_lab.ladder.parity import PARTS, Comparison, ParityRow, Touch, parity
from autotrader_lab.model.errors import DataError
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.model.orders import Fill, OrderSide
from autotrader_lab.model.positions import Positions

WHEN = datetime(2026, 1, 2, tzinfo=UTC)
LISTED = Instruments(
    [Instrument("BTC/USDT", base="BTC", quote="USDT"), Instrument("ES", quote="USD", multiplier=Decimal(50))]
)


def fill(
    order: str,
    price: float,
    quantity: float = 1.0,
    side: OrderSide = OrderSide.BUY,
    fee: float = 0.0,
    currency: str = "",
    execution: str = "",
    symbol: str = "BTC/USDT",
) -> Fill:
    name = execution or f"{order}-{price}"
    return Fill("v", symbol, side, quantity, price, fee, WHEN, name, {}, order, currency)


def compared(**changes: object) -> Comparison:
    given_ = {
        "decision_id": "d1",
        "symbol": "BTC/USDT",
        "side": OrderSide.BUY,
        "decision_price": 100.0,
        "real_quantity": 1.0,
        "shadow_quantity": 1.0,
        "real_orders": ("r1",),
        "shadow_orders": ("s1",),
        "real_touch": Touch(99.9, 100.1),
        "shadow_touch": Touch(99.9, 100.1),
    }
    return Comparison(**{**given_, **changes})  # type: ignore[arg-type]


def only(row: ParityRow) -> dict[str, float]:
    return {name: float(getattr(row, name)) for name in PARTS if getattr(row, name)}


@pytest.mark.parametrize(
    ("changes", "real", "shadow", "expected"),
    [
        ({}, [fill("r1", 100.1)], [fill("s1", 100.1)], {}),
        ({"real_touch": Touch(100.4, 100.6)}, [fill("r1", 100.6)], [fill("s1", 100.1)], {"latency": -0.5}),
        ({"real_touch": Touch(99.5, 100.5)}, [fill("r1", 100.5)], [fill("s1", 100.1)], {"spread": -0.4}),
        ({}, [fill("r1", 100.3)], [fill("s1", 100.1)], {"queue": -0.2}),
        ({}, [fill("r1", 100.1, fee=0.3)], [fill("s1", 100.1, fee=0.1)], {"fees": -0.2}),
        ({"real_quantity": 0.9}, [fill("r1", 100.1, 0.9)], [fill("s1", 100.1)], {"rounding": -0.99}),
        ({}, [fill("r1", 100.1, 0.5)], [fill("s1", 100.1)], {"missed_fills": -4.95}),
        ({}, [], [fill("s1", 100.1)], {"missed_fills": -9.9}),
        ({"real_touch": None}, [fill("r1", 100.6)], [fill("s1", 100.1)], {"queue": -0.5}),
        ({}, [fill("r1", 100.1)], [], {"queue": -0.1, "missed_fills": 10.0}),
        ({"shadow_quantity": 0.0, "shadow_orders": ()}, [fill("r1", 100.1)], [], {"queue": -0.1, "rounding": 10.0}),
    ],
)
def test_each_part_has_its_cause(
    changes: dict[str, object], real: list[Fill], shadow: list[Fill], expected: dict[str, float]
) -> None:
    found = parity([compared(**changes)], real, shadow, {"BTC/USDT": 110.0}, LISTED)
    assert only(found.rows[0]) == pytest.approx(expected)
    assert found.total == sum((getattr(found.rows[0], name) for name in PARTS), Fraction(0))


def test_a_seller_gains_where_a_buyer_loses() -> None:
    item = compared(side=OrderSide.SELL, real_touch=Touch(100.4, 100.6))
    sold = fill("r1", 100.4, side=OrderSide.SELL)
    found = parity([item], [sold], [fill("s1", 99.9, side=OrderSide.SELL)], {"BTC/USDT": 110}, LISTED)
    assert only(found.rows[0]) == pytest.approx({"latency": 0.5})


def test_fees_are_worth_what_they_cost() -> None:
    real = [
        fill("r1", 100.1, fee=0.001, currency="BTC"),
        fill("r1", 100.1, 0.0001, fee=2.0, currency="BNB", execution="x"),
    ]
    shadow = [fill("s1", 100.1, 1.0001, fee=0.5, currency="BNB")]
    found = parity([compared()], real, shadow, {"BTC/USDT": 110.0}, LISTED)
    assert only(found.rows[0]) == pytest.approx({"fees": -0.11})
    assert found.other_fees == {"BNB": Fraction(3, 2)}


def test_what_does_not_belong_is_told() -> None:
    stray = fill("elsewhere", 5.0)
    found = parity([compared()], [fill("r1", 100.1), stray], [fill("s1", 100.1)], {"BTC/USDT": 110.0})
    assert found.unmatched == (stray,)
    with pytest.raises(DataError, match="no mark for BTC/USDT; give its last price"):
        parity([compared()], [], [], {})
    with pytest.raises(DataError, match=r"decision d1: execution r1-5\.0 is a sell, the decision a buy"):
        parity([compared()], [fill("r1", 5.0, side=OrderSide.SELL)], [], {"BTC/USDT": 1.0})


def test_as_a_frame() -> None:
    items = [compared(), compared(decision_id="d2", real_orders=("r2",), shadow_orders=("s2",))]
    found = parity(
        items, [fill("r1", 100.3), fill("r2", 100.2)], [fill("s1", 100.1), fill("s2", 100.1)], {"BTC/USDT": 1}
    )
    frame = found.to_frame()
    assert list(frame.index) == ["d1", "d2"]
    assert frame["total"].tolist() == pytest.approx([-0.2, -0.1])
    assert frame[list(PARTS)].sum().to_dict() == pytest.approx(found.parts)
    empty = parity([], [], [], {}).to_frame()
    assert list(empty.columns) == list(frame.columns)
    assert (empty.dtypes == frame.dtypes).all()


prices = st.decimals(1, 1000, places=2).map(float)
quantities = st.decimals("0.001", 10, places=3).map(float)
fees = st.tuples(st.decimals("-0.5", 1, places=4).map(float), st.sampled_from(["", "USDT", "BTC"]))
touches = st.none() | st.tuples(prices, prices).map(lambda pair: Touch(min(pair), max(pair)))


@st.composite
def markets(draw: st.DrawFn) -> tuple[list[Comparison], list[Fill], list[Fill], dict[str, float]]:
    items: list[Comparison] = []
    books: dict[str, list[Fill]] = {"r": [], "s": []}
    for number in range(draw(st.integers(1, 4))):
        symbol = draw(st.sampled_from(["BTC/USDT", "ES"]))
        side = draw(st.sampled_from(OrderSide))
        for book, fills in books.items():
            for execution in range(draw(st.integers(0, 3))):
                fee, currency = draw(fees)
                made = fill(
                    f"{book}{number}",
                    draw(prices),
                    draw(quantities),
                    side,
                    fee,
                    currency if symbol == "BTC/USDT" else "",
                    f"{number}-{execution}",
                    symbol,
                )
                fills += [made] * draw(st.integers(1, 2))
        items.append(
            Comparison(
                f"d{number}",
                symbol,
                side,
                draw(prices),
                draw(quantities),
                draw(quantities),
                (f"r{number}",),
                (f"s{number}",),
                draw(touches),
                draw(touches),
            )
        )
    return items, books["r"], books["s"], {"BTC/USDT": draw(prices), "ES": draw(prices)}


@given(markets())
def test_the_parts_sum_to_what_the_books_themselves_say(
    market: tuple[list[Comparison], list[Fill], list[Fill], dict[str, float]],
) -> None:
    items, real, shadow, marks = market
    found = parity(items, real, shadow, marks, LISTED)
    for row in found.rows:
        assert row.total == sum((getattr(row, name) for name in PARTS), Fraction(0))

    def worth(fills: list[Fill]) -> Decimal:
        book = Positions(LISTED)
        for one in fills:
            book.apply(one)
        return sum(
            (held.realised + held.unrealised(marks[symbol]) - held.fees for symbol, held in book.items()), Decimal(0)
        )

    assert found.total == Fraction(worth(real)) - Fraction(worth(shadow))
    assert not found.unmatched
