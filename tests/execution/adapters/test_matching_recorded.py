"""The core against five recorded minutes of Binance: book, quotes and trades as they came."""

from __future__ import annotations

from decimal import Decimal

from matching_helpers import SYMBOL, S, instruments, order
from shared_data import shared

from autotrader_lab.execution.adapters.matching import PaperMatching
from autotrader_lab.execution.market_data.recorded import binance_raw
from autotrader_lab.model import Book, Positions, Trade, exact
from autotrader_lab.model.orders import Filled

RAW = "market/binance_spot_btcusdt_20240808_raw.gz"


def test_a_market_order_pays_what_the_recorded_book_showed():
    venue = PaperMatching(10_000_000, 0, 0, instruments=instruments(lot_size=exact("0.00001")))
    event = next(event for event in binance_raw(shared(RAW), kinds=("book",), levels=None) if isinstance(event, Book))
    venue.on_market(event)
    wanted, left, cost = Decimal("12.34567"), Decimal("12.34567"), Decimal(0)
    for price, size in event.asks:
        quantity = min(left, exact(size))
        cost, left = cost + quantity * exact(price), left - quantity
    assert not left
    venue.submit(order("buy", "market", float(wanted)), event.timestamp_ns)
    assert venue.account.balance == 10_000_000 - cost


def test_orders_on_the_recorded_market_keep_the_books_straight():
    venue = PaperMatching(100_000, 5, 10, instruments=instruments(lot_size=exact("0.00001")), currency="USDT")
    positions, orders, reports, number = Positions(venue.instruments), {}, [], 0
    lowest, highest = float("inf"), 0.0
    for number, event in enumerate(binance_raw(shared(RAW), levels=5)):
        reports += venue.on_market(event)
        if isinstance(event, Trade):
            lowest, highest = min(lowest, event.price), max(highest, event.price)
        mark = venue.price(SYMBOL)
        if number % 200 == 0 and mark is not None:
            turn = number // 200
            kind = ("limit", "market", "ioc", "limit")[turn % 4]
            away = round(mark - (turn % 7 - 2) * (1 if turn % 3 else -1), 2)
            side = "sell" if turn % 3 == 0 else "buy"
            price = None if kind == "market" else away
            placed = order(side, kind, 0.01, price=price, client_order_id=f"r{turn}")
            orders[placed.client_order_id] = placed
            reports += venue.submit(placed, event.timestamp_ns + turn % 5 * S // 100)
    for report in reports:
        placed = orders[report.client_order_id]
        placed.apply(report)
        if isinstance(report, Filled):
            positions.apply(report.fill)
            limit = placed.limit_price
            assert limit is None or (report.fill.price - limit) * placed.side.sign <= 0
            assert lowest * 0.999 < report.fill.price < highest * 1.001
    position = positions[SYMBOL]
    assert position.bought > 0
    assert position.sold > 0
    assert sum(placed.filled_quantity > 0 for placed in orders.values()) > 50
    assert venue.account.holdings[SYMBOL] == position.quantity >= 0
    assert venue.account.cash["USDT"] == 100_000 + position.realised - position.open_cost - position.fees
    assert venue.working == sum(placed.is_open for placed in orders.values())
    # Every line is an event but three: two differences older than the snapshot, one that the snapshot's event holds.
    assert number + 1 == 41249 - 3
