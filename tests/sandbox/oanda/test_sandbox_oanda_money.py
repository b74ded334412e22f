"""Oanda's trades, the exchange's ledger and the balance agree, exactly, whatever is traded."""

from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.sandbox.sites import Plan
from autotrader_lab.sandbox.units import ONE, parse_e8
from autotrader_lab.sandbox.venues.oanda.instruments import CATALOGUE
from autotrader_lab.sandbox.venues.oanda.reading import read_order
from autotrader_lab.sandbox.venues.oanda.site import make_site

MIDS = {"EUR_USD": ("1.10000", 5), "USD_JPY": ("150.000", 3)}

moves = st.tuples(st.sampled_from(sorted(MIDS)), st.integers(-2_000, 2_000), st.integers(-5_000, 5_000).filter(bool))


@settings(max_examples=40)
@given(st.lists(moves, min_size=1, max_size=20))
def test_trades_ledger_and_balance_agree(steps: list[tuple[str, int, int]]) -> None:
    clock = SimulatedClock(datetime(2026, 1, 5, tzinfo=UTC))
    venue = make_site(Plan([], None, clock, seed=1)).venues["testnet"]
    desk, exchange, account = venue.desk, venue.desk.exchange, venue.desk.account

    def quote(name: str, shift: int) -> None:
        start, digits = MIDS[name]
        tick = 10 ** (8 - digits)
        bid = parse_e8(start) + shift * tick
        exchange.market_picture(name, [(bid, 10**6 * ONE)], [(bid + 3 * tick, 10**6 * ONE)], 0)

    for name in MIDS:
        quote(name, 0)
    for name, shift, units in steps:
        quote(name, shift)
        desk.create(read_order({"type": "MARKET", "instrument": name, "units": str(units)}))
        pair = CATALOGUE[name]
        assert sum(trade.units for trade in desk.netting.open_trades(pair)) == account.holding(name).quantity
        assert len({trade.units > 0 for trade in desk.netting.open_trades(pair)}) <= 1, "netting leaves one side"
    for name in MIDS:
        held = account.holding(name).quantity
        if held:
            desk.create(read_order({"type": "MARKET", "instrument": name, "units": str(-held // ONE)}))
    for asset in ("USD", "EUR", "JPY"):
        total = account.free.get(asset, 0) + exchange.market_flow.get(asset, 0)
        assert total == exchange.deposits.get(asset, 0)
    assert desk.netting.open_trades() == []
    assert account.free["USD"] == desk.netting.balance
    assert (account.free.get("EUR", 0), account.free.get("JPY", 0)) == (0, 0)
    earned = sum(parse_e8(row["pl"].lstrip("-")) * (-1 if row["pl"].startswith("-") else 1) for row in _fills(desk))
    assert desk.netting.realised == earned, "the printed profits add up to the balance"


def _fills(desk: object) -> list[dict[str, str]]:
    return [row for row in desk.record.transactions if row["type"] == "ORDER_FILL"]  # type: ignore[attr-defined]
