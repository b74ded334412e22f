"""The exchange that revises orders: nothing is lost or made in any mixture of orders, revisions and markets."""

from random import Random

import pytest

from autotrader_lab.sandbox.instruments import CATALOGUE
from autotrader_lab.sandbox.orders import Fees, OrderRequest, OrderType, Refused, Side, Status, TimeInForce
from autotrader_lab.sandbox.spot import SpotExchange
from autotrader_lab.sandbox.units import ONE, parse_e8

S = "BTCUSDT"
ME = "me"
FEES = Fees(maker=600_000, taker=1_200_000)


def exchange(in_quote: bool = False, dollars: str = "10000") -> SpotExchange:
    made = SpotExchange([CATALOGUE[S]], fees_in_quote=in_quote)
    made.open_account(ME, {"USDT": parse_e8(dollars), "BTC": ONE}, 0, FEES)
    made.market_depth(S, [(59_000 * ONE, ONE)], [(60_000 * ONE, ONE)], 0)
    made.last_price[S] = 59_500 * ONE
    return made


def request(number: int, **changes: object) -> OrderRequest:
    fields = {"symbol": S, "side": Side.BUY, "type": OrderType.LIMIT, "quantity": ONE // 10, "price": 58_000 * ONE}
    return OrderRequest(client_order_id=str(number), **(fields | changes))  # type: ignore[arg-type]


def check(made: SpotExchange) -> None:
    account = made.accounts[ME]
    for asset in ("USDT", "BTC"):
        total = account.free.get(asset, 0) + account.locked.get(asset, 0)
        kept = total + made.fees.get(asset, 0) + made.market_flow.get(asset, 0)
        assert kept == made.deposits[asset]
        assert account.free.get(asset, 0) >= 0
        locked = sum(order.locked for order in account.open.values() if order.lock_asset == asset)
        assert account.locked.get(asset, 0) == locked


@pytest.mark.parametrize("in_quote", [False, True], ids=["fees from the received", "fees in quote"])
@pytest.mark.parametrize("seed", range(8))
def test_nothing_is_lost_or_made(seed: int, in_quote: bool) -> None:
    source, made = Random(seed), exchange(in_quote)
    account = made.accounts[ME]
    tick, step = CATALOGUE[S].tick, CATALOGUE[S].step
    for number in range(400):
        price = source.randint(5_850_000, 6_050_000) * tick
        quantity = source.randint(1, 20_000) * step
        side = source.choice([Side.BUY, Side.SELL])
        waiting = list(account.open.values())
        action = source.randrange(8)
        try:
            if action < 2:
                type_ = source.choice([OrderType.LIMIT, OrderType.LIMIT_MAKER])
                made.place(ME, request(number, side=side, type=type_, price=price, quantity=quantity), number)
            elif action == 2:
                by_quote = side is Side.BUY and source.random() < 0.5
                amount = {"quote_quantity": quantity * 600} if by_quote else {}
                size = 0 if by_quote else quantity
                market = {"type": OrderType.MARKET, "price": 0, "time_in_force": TimeInForce.IOC, "quantity": size}
                made.place(ME, request(number, side=side, **market, **amount), number)
            elif action == 3 and waiting:
                made.revise(ME, source.choice(waiting), quantity, price, number)
            elif action == 4 and waiting:
                source.choice([made.cancel, made.expire])(ME, source.choice(waiting), number)
            elif action == 5 and waiting:
                order = source.choice(waiting)
                if order.executed:
                    made.complete(ME, order, number)
            else:
                rows = [(price, quantity)]
                made.market_depth(S, *((rows, []) if side is Side.BUY else ([], rows)), number)
        except Refused:
            pass
        check(made)
    assert made.fees, "something traded"


def test_a_revised_order_keeps_its_place_only_when_it_gets_smaller() -> None:
    made = exchange(dollars="20000")
    first, second = (made.place(ME, request(number), 0) for number in (1, 2))
    queue = made.books[S].levels[Side.BUY][58_000 * ONE].queue
    made.revise(ME, first, ONE // 20, first.price, 1)
    assert [slot.order for slot in queue] == [first, second]
    made.revise(ME, first, ONE // 10, first.price, 2)
    assert [slot.order for slot in queue] == [second, first]
    assert first.locked == 5_800 * ONE
    with pytest.raises(Refused, match="INSUFFICIENT_BALANCE"):
        made.revise(ME, first, ONE, first.price, 3)
    made.revise(ME, first, ONE // 10, 60_000 * ONE, 4)
    assert first.status is Status.FILLED
    with pytest.raises(Refused, match="UNKNOWN_ORDER"):
        made.revise(ME, first, ONE, first.price, 5)


def test_commissions_in_the_quote_asset_are_held_and_paid_on_top() -> None:
    made = exchange(in_quote=True)
    account = made.accounts[ME]
    order = made.place(ME, request(1, price=59_500 * ONE), 0)
    assert order.locked == parse_e8("6021.4"), "5950 and 1.2 % of it"
    made.market_trade(S, Side.SELL, 59_500 * ONE, ONE, 1)
    assert order.status is Status.FILLED
    assert account.balance("USDT") == ("USDT", parse_e8("4014.3"), 0), "as a maker 0.6 %"
    assert account.balance("BTC") == ("BTC", parse_e8("1.1"), 0)
    market = request(2, type=OrderType.MARKET, price=0, quantity=0, quote_quantity=1_000 * ONE)
    bought = made.place(ME, market, 2)
    spent = bought.amount + bought.fills[0].fee
    assert parse_e8("999") < spent <= 1_000 * ONE
    with pytest.raises(Refused, match="INSUFFICIENT_BALANCE"):
        made.place(ME, request(3, quantity=parse_e8("0.05"), price=59_900 * ONE), 3)
