"""Every trade of the venue was booked once, as it was: the part of the chaos benchmark's judge that looks at trades.

Venues name executions in three ways: by the number of the trade; by a name from which no number can be read; by what
an order has executed so far, which may tell several trades as one. Each way has its own comparison here.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

from venue_kit import Kit

__all__ = ["Booked", "Deal", "Trouble", "compare"]


@dataclass(frozen=True)
class Deal:
    """A trade in the venue's books. `owner` is our id of the order, empty where the order is none of ours."""

    symbol: str
    number: str
    owner: str
    quantity: Decimal
    price: Decimal
    fee: Decimal


@dataclass(frozen=True)
class Booked:
    """An execution in the journal; `sign` is 1 where it bought."""

    symbol: str
    execution_id: str
    owner: str
    quantity: Decimal
    price: Decimal
    fee: Decimal
    sign: int

    @property
    def said(self) -> tuple[Decimal, Decimal, Decimal]:
        """What it says."""
        return self.quantity, self.price, self.fee


@dataclass(frozen=True)
class Trouble:
    """One disagreement, or with an empty `kind` only that cash moved by `cash` more than the journal's price tells."""

    kind: str
    subject: str
    what: str
    cash: Decimal = Decimal(0)


def compare(deals: Iterable[Deal], booked: Iterable[Booked], kit: Kit) -> Iterator[Trouble]:
    """What the venue's trades and the journal's executions disagree about."""
    theirs, ours = list(deals), list(booked)
    for (symbol, name), count in Counter((one.symbol, one.execution_id) for one in ours).items():
        if count > 1:
            yield Trouble("duplicated", f"{symbol} {name}", f"one execution, booked {count} times")
    if kit.trade_number is not None:
        yield from _by_number(theirs, ours, kit)
        return
    of_order: dict[str, tuple[list[Deal], list[Booked]]] = defaultdict(lambda: ([], []))
    for deal in theirs:
        of_order[deal.owner][0].append(deal)
    for one in ours:
        of_order[one.owner][1].append(one)
    for owner, (sold, written) in of_order.items():
        if not owner:
            yield from (Trouble("lost", deal.number, "an execution of an order that is none of ours") for deal in sold)
        elif kit.merges:
            yield from _in_turn(sold, written, kit)
        else:
            yield from _by_content(sold, written)


def _by_number(theirs: list[Deal], ours: list[Booked], kit: Kit) -> Iterator[Trouble]:
    assert kit.trade_number is not None, "only for venues with numbers"
    # One number twice is a trade with oneself: two executions, one of each order.
    found: dict[tuple[str, str], list[Deal]] = defaultdict(list)
    for deal in theirs:
        found[deal.symbol, deal.number].append(deal)
    seen = set()
    for one in ours:
        key = (one.symbol, kit.trade_number(one.execution_id))
        sides = found[key]
        deal = next((side for side in sides if side.owner == one.owner), sides[0] if sides else None)
        if deal is None:
            if key not in seen:
                yield Trouble("unreconciled", str(key), "the journal books an execution the venue does not have")
            continue
        seen.add(key)
        sides.remove(deal)
        for name, mine, real in zip(
            ("quantity", "price", "fee"), one.said, (deal.quantity, deal.price, deal.fee), strict=True
        ):
            if mine != real:
                yield Trouble("unreconciled", str(key), f"{name} {mine}, venue {real}")
        if deal.owner != one.owner:
            yield Trouble("unreconciled", str(key), f"booked to {one.owner}, not its order")
    for key, sides in found.items():
        yield from (Trouble("lost", str(key), "an execution of the venue is not in the journal") for _ in sides)


def _by_content(sold: list[Deal], written: list[Booked]) -> Iterator[Trouble]:
    left = list(sold)
    for one in written:
        same = next((deal for deal in left if (deal.quantity, deal.price, deal.fee) == one.said), None)
        if same is None:
            said = f"{one.quantity} at {one.price}, fee {one.fee}"
            yield Trouble("unreconciled", f"{one.owner} {one.execution_id}", f"the venue has no execution of {said}")
        else:
            left.remove(same)
    for deal in left:
        yield Trouble("lost", f"{deal.owner} {deal.number}", "an execution of the venue is not in the journal")


def _in_turn(sold: list[Deal], written: list[Booked], kit: Kit) -> Iterator[Trouble]:
    """Each execution of the journal is the next few trades, at their mean price as finely as the venue tells it."""
    left, total = list(sold), Decimal(0)
    for one in written:
        name, quantity, amount, fee = f"{one.owner} {one.execution_id}", Decimal(0), Decimal(0), Decimal(0)
        while left and quantity < one.quantity:
            deal = left.pop(0)
            quantity, amount, fee = quantity + deal.quantity, amount + deal.quantity * deal.price, fee + deal.fee
        total += quantity
        if quantity != one.quantity:
            yield Trouble("unreconciled", name, f"quantity {one.quantity}, the venue's next trades make {quantity}")
            continue
        error = abs(amount - quantity * one.price)
        # The mean so far is told to a tick; what one part of it cost follows from two such means.
        if error > kit.tick(one.symbol) * (total + total - quantity):
            yield Trouble("unreconciled", name, f"price {one.price}, venue {amount / quantity}")
        elif error:
            yield Trouble("", name, "the mean price is rounded", one.sign * (one.price * quantity - amount))
        if fee != one.fee:
            yield Trouble("unreconciled", name, f"fee {one.fee}, venue {fee}")
    for deal in left:
        yield Trouble("lost", f"{deal.owner} {deal.number}", "an execution of the venue is not in the journal")
