"""The parity report of a stage, read from its journal: what the real and the shadow book made of each decision."""

from __future__ import annotations

from collections.abc import Iterable

from autotrader_lab.journal import Entry, fold, records
from autotrader_lab.ladder.parity import Comparison, Parity, Touch, parity
from autotrader_lab.model.instruments import Instruments
from autotrader_lab.model.orders import Fill, Filled

__all__ = ["parity_of"]


def parity_of(entries: Iterable[Entry]) -> Parity:
    """Compare the two books of a testnet or live stage.

    Decisions are compared from where the stage was last started; both books are valued at the last price that is
    known of each symbol.

    Parameters
    ----------
    entries : iterable of Entry
        Of one stage, oldest first.

    Returns
    -------
    Parity
        Empty where no order was given to a shadow book, as in paper.
    """
    listed = list(entries)
    starts = [number for number, entry in enumerate(listed) if entry.kind == records.STAGE_STARTED]
    listed = listed[starts[-1] :] if starts else listed
    instruments = Instruments(complete=False)
    given: dict[str, records.ShadowOrder] = {}
    touches: dict[tuple[str, str], Touch] = {}
    shadow_fills: list[Fill] = []
    marks: dict[str, float] = {}
    for entry in listed:
        if entry.kind == records.STAGE_STARTED:
            for instrument in entry.decode(records.StageStarted).instruments:
                instruments.add(instrument)
        elif entry.kind == records.SHADOW_ORDER:
            order = entry.decode(records.ShadowOrder)
            given[order.client_order_id] = order
            if order.ask:
                marks[order.symbol] = (order.bid + order.ask) / 2
        elif entry.kind == records.TOUCH:
            touch = entry.decode(records.TouchRecord)
            touches[touch.client_order_id, touch.book] = Touch(touch.bid, touch.ask)
            marks[entry.symbol] = (touch.bid + touch.ask) / 2
        elif entry.kind == records.SHADOW_FILL:
            shadow_fills.append(entry.decode(Filled).fill)
    books = fold(listed, instruments)
    for fill in (*shadow_fills, *books.fills):
        marks.setdefault(fill.symbol, fill.price)
    comparisons = [
        Comparison(
            decision_id=order.decision_id,
            symbol=order.symbol,
            side=order.side,
            decision_price=(order.bid + order.ask) / 2 or marks[order.symbol],
            real_quantity=order.quantity,
            shadow_quantity=order.quantity,
            real_orders=(name,),
            shadow_orders=(name,),
            real_touch=touches.get((name, "real")),
            shadow_touch=touches.get((name, "shadow")),
        )
        for name, order in given.items()
        if order.symbol in marks
    ]
    return parity(
        comparisons, (fill for fill in books.fills if fill.client_order_id in given), shadow_fills, marks, instruments
    )
