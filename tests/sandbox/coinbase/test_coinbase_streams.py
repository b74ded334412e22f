"""What the WebSockets send: numbered messages, books that add up, and an account's own orders."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from coinbase_kit import NAME, ROOT, Json, Socket, Wire, token
from test_coinbase_orders import move
from test_sandbox_payloads import differences

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.units import trim_e8
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo

Dial = Callable[..., Awaitable[Socket]]
Theirs = Callable[[str], Any]


@pytest.fixture
def theirs(recorded: Callable[[str], Path]) -> Theirs:
    """One of the recorded messages; of several the first."""

    def read(name: str) -> Any:
        return json.loads(recorded(f"payloads/coinbase/{name}.json").read_text())

    return read


async def test_a_book_kept_from_updates_is_the_exchanges(coinbase: Sandbox, wire: Wire, dial: Dial) -> None:
    socket = await dial()
    await socket.subscribe("level2", NAME)
    kept: dict[str, dict[str, str]] = {"bid": {}, "offer": {}}

    def apply(message: Json) -> None:
        for event in message["events"]:
            assert event["product_id"] == NAME
            for row in event["updates"]:
                if row["new_quantity"] == "0":
                    kept[row["side"]].pop(row["price_level"], None)
                else:
                    kept[row["side"]][row["price_level"]] = row["new_quantity"]

    first = await socket.until("l2_data")
    assert first["events"][0]["type"] == "snapshot"
    apply(first)
    await wire.place(limit_price="59990")
    book = coinbase.worlds["testnet"].exchange.books["BTCUSD"]
    for seconds in (3, 3, 3):
        coinbase.driver.advance(seconds)
        message = await socket.until("l2_data")
        assert message["events"][0]["type"] == "update"
        apply(message)

    def theirs() -> dict[str, dict[str, str]]:
        sides = (("bid", Side.BUY), ("offer", Side.SELL))
        return {n: {trim_e8(price): trim_e8(size) for price, size in book.depth(s, 1_000)} for n, s in sides}

    while kept != theirs():
        apply(await socket.until("l2_data"))


async def error(socket: Socket) -> str:
    """The next error, whatever else comes before it."""
    async with asyncio.timeout(5):
        while (answer := await socket.next()).get("type") != "error":
            pass
    message: str = answer["message"]
    return message


async def test_subscriptions(dial: Dial) -> None:
    socket = await dial()
    await socket.subscribe("heartbeats")
    assert (await socket.next())["events"] == [{"subscriptions": {"heartbeats": ["heartbeats"]}}]
    await socket.subscribe("ticker", NAME)
    assert (await socket.until("subscriptions"))["events"][0]["subscriptions"]["ticker"] == [NAME]
    await socket.socket.send_str(json.dumps({"type": "unsubscribe", "channel": "ticker", "product_ids": [NAME]}))
    assert (await socket.until("subscriptions"))["events"][0]["subscriptions"] == {"heartbeats": ["heartbeats"]}
    for text in ("{", "[]", '{"type": "dance", "channel": "ticker"}'):
        await socket.socket.send_str(text)
        assert await error(socket) == "invalid message"
    await socket.subscribe("level3", NAME)
    assert await error(socket) == "channel level3 is not available"
    await socket.subscribe("ticker", "BTC-EUR")
    assert "BTC-EUR" in await error(socket)
    user = await dial("ws_user")
    await user.subscribe("ticker", NAME)
    assert await error(user) == "channel ticker is not available"


async def test_who_does_not_subscribe_is_shown_out(coinbase: Sandbox, dial: Dial) -> None:
    socket = await dial()
    sockets = coinbase.sites["coinbase"].venues["testnet"].sockets  # type: ignore[attr-defined]
    while not sockets._connections:
        await asyncio.sleep(0.01)
    (connection,) = sockets._connections
    connection.opened_ms -= 6_000
    sockets.tick(20)
    assert (await asyncio.wait_for(socket.socket.receive(), 5)).type.name in ("CLOSE", "CLOSED", "CLOSING")


async def test_market_data(coinbase: Sandbox, dial: Dial, theirs: Theirs) -> None:
    socket = await dial()
    for channel in ("heartbeats", "ticker", "ticker_batch", "market_trades", "candles", "status", "level2"):
        await socket.subscribe(channel, NAME)
    sockets = coinbase.sites["coinbase"].venues["testnet"].sockets  # type: ignore[attr-defined]
    wanted = {
        "heartbeats": "doc_ws_heartbeats",
        "ticker": "doc_ws_ticker",
        "ticker_batch": "doc_ws_ticker",
        "market_trades": "doc_ws_market_trades",
        "candles": "doc_ws_candles",
        "status": "doc_ws_status",
        "l2_data": "ws_l2_data_snapshot",
    }
    first: dict[str, Json] = {}
    updates: dict[str, Json] = {}
    coinbase.driver.advance(5)
    sockets.tick(100)
    moving = {"ticker", "market_trades", "l2_data", "candles"}
    async with asyncio.timeout(10):
        while not moving <= updates.keys() or not wanted.keys() <= first.keys():
            message = await socket.next()
            first.setdefault(message["channel"], message)
            if message["events"][0].get("type") == "update":
                updates.setdefault(message["channel"], message)
            coinbase.driver.advance(0.2)
    for channel, name in wanted.items():
        assert differences(theirs(name), first[channel]) == [], channel
        assert channel == "heartbeats" or first[channel]["events"][0]["type"] == "snapshot"
    assert differences(theirs("ws_l2_data_update"), updates["l2_data"]) == []
    trade = updates["market_trades"]["events"][0]["trades"][0]
    mine = next(t for t in coinbase.worlds["testnet"].tapes["BTCUSD"].trades if str(t.trade_id) == trade["trade_id"])
    assert (trade["side"] == "BUY") == mine.buyer_is_maker, "the maker's side, as the venue has it"


async def test_the_user_channel(coinbase: Sandbox, wire: Wire, dial: Dial, theirs: Theirs) -> None:
    before = await wire.place(client_id="before")
    socket = await dial("ws_user")
    await socket.subscribe("user", NAME, jwt=token(wire.entry))
    snapshot = await socket.until("user")
    (event,) = snapshot["events"]
    assert (event["type"], [order["order_id"] for order in event["orders"]]) == ("snapshot", [before])
    assert differences(theirs("ws_user"), snapshot) == []

    async def told() -> tuple[Any, ...]:
        (order,) = (await socket.until("user"))["events"][0]["orders"]
        names = ("client_order_id", "status", "cumulative_quantity", "leaves_quantity", "number_of_fills")
        return tuple(order[name] for name in names)

    await wire.place(client_id="a", limit_price="59000")
    assert await told() == ("a", "OPEN", "0", "0.01", "0")
    await wire.post("orders/batch_cancel", {"order_ids": [before]})
    assert await told() == ("before", "CANCELLED", "0", "0.01", "0")
    move(coinbase, "58900")
    assert await told() == ("a", "FILLED", "0.01", "0", "1")
    await wire.place("market_market_ioc", client_id="m", base_size="0.01")
    assert await told() == ("m", "PENDING", "0", "0.01", "0")
    assert await told() == ("m", "FILLED", "0.01", "0", "1")
    other = await dial("ws")
    await other.subscribe("user", "BTC-USDT", jwt=token(coinbase.addresses["coinbase"]["live"]))
    assert (await other.next())["message"] == "authentication failure", "a key of the other world"
    venue = coinbase.sites["coinbase"].venues["testnet"]
    assert (venue.drop("stream"), venue.drop("ws-api")) == (1, 1)


async def test_a_snapshot_of_many_orders_comes_in_parts(wire: Wire, dial: Dial) -> None:
    for _ in range(51):
        await wire.place(base_size="0.001")
    socket = await dial("ws_user")
    await socket.subscribe("user", jwt=token(wire.entry))
    parts = [len((await socket.until("user"))["events"][0]["orders"]) for _ in range(2)]
    assert parts == [50, 1]


async def test_rest_answers_have_the_documented_fields(coinbase: Sandbox, wire: Wire, theirs: Theirs) -> None:
    coinbase.driver.advance(3)
    summary = await wire.get("transaction_summary")
    market = await wire.create("market_market_ioc", base_size="0.01")
    order_id = await wire.place()
    edited = await wire.post("orders/edit", {"order_id": order_id, "size": "0.02", "price": "58000"})
    now = int(coinbase.worlds["testnet"].now_ms() / 1_000)
    window = f"granularity=ONE_MINUTE&start={now - 600}&end={now}"
    pairs = [
        ("rest_products", await wire.get("products")),
        ("doc_product_book", await wire.get("product_book", f"product_id={NAME}")),
        ("rest_ticker_btc_usdc", await wire.get(f"products/{NAME}/ticker", "limit=5")),
        ("doc_market_trades", await wire.get(f"products/{NAME}/ticker", "limit=5")),
        ("rest_candles", await wire.get(f"products/{NAME}/candles", window)),
        ("doc_accounts", await wire.get("accounts")),
        ("doc_transaction_summary_2", summary),
        ("rest_order", {"order": await wire.look(order_id)}),
        ("doc_get_order", {"order": await wire.look(order_id)}),
        ("rest_orders_list", await wire.get("orders/historical/batch")),
        ("rest_fills_spot_ada", await wire.get("orders/historical/fills")),
        ("rest_place_order_market_sell_ok", market),
        ("doc_edit_order", edited),
    ]
    gone = {
        # Fields that the venue's present documentation no longer has, or of an answer that failed.
        "rest_place_order_market_sell_ok": {".failure_reason: missing", ".order_id: missing"},
        "rest_fills_spot_ada": {".fills[0].cursor: missing"},
        "doc_edit_order": {".error_response: missing", ".errors: list instead of dict", ".errors: not an object"},
    }
    for name, ours in pairs:
        assert set(differences(theirs(name), ours)) <= gone.get(name, set()), name


class _Forgetful(Hooks):
    """Loses the answer to a new order, after the venue has acted."""

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        assert request.venue == "coinbase"
        return None if request.operation == f"POST {ROOT}/orders" else answer


async def test_an_answer_may_be_lost_when_the_order_is_there(coinbase: Sandbox, wire: Wire) -> None:
    coinbase.sites["coinbase"].venues["testnet"].api.hooks = _Forgetful()  # type: ignore[attr-defined]
    with pytest.raises(Exception, match="disconnect"):
        await wire.create(client_id="lost")
    orders = (await wire.get("orders/historical/batch"))["orders"]
    assert [order["client_order_id"] for order in orders] == ["lost"]
