"""What the WebSockets push: the book's chain and checksum, trades and candles, and an account's own events."""

import asyncio
import json
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from okx_kit import LIMIT, NAME, Json, Socket, Wire
from test_okx_orders import move

from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.units import trim_e8
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo
from autotrader_lab.sandbox.venues.okx.feeds import checksum

Dial = Callable[[str], Awaitable[Socket]]
BOOKS = {"channel": "books", "instId": NAME}


class Mirror:
    """A book kept as the documentation says, with a checksum of its own making."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, list[str]]] = {"bids": {}, "asks": {}}
        self.last = -1

    def apply(self, message: Json) -> None:
        (data,) = message["data"]
        assert data["prevSeqId"] == self.last
        self.last = data["seqId"]
        for side, rows in self.sides.items():
            if message["action"] == "snapshot":
                rows.clear()
            for row in data[side]:
                if row[1] == "0":
                    rows.pop(row[0])
                else:
                    rows[row[0]] = row
        assert data["checksum"] == self.checksum()

    def ranked(self, side: str) -> list[list[str]]:
        return sorted(self.sides[side].values(), key=lambda row: float(row[0]), reverse=side == "bids")

    def checksum(self) -> int:
        parts: list[str] = []
        bids, asks = self.ranked("bids"), self.ranked("asks")
        for rank in range(25):
            parts += [":".join(rows[rank][:2]) for rows in (bids, asks) if rank < len(rows)]
        value = zlib.crc32(":".join(parts).encode())
        return value - 2**32 if value & 2**31 else value


def test_the_checksum_is_the_venues(recorded: Callable[[str], Path]) -> None:
    """Every recorded message carries the venue's own checksum of the book after it."""
    bids: dict[str, list[str]] = {}
    asks: dict[str, list[str]] = {}
    rows = json.loads(recorded("payloads/okx/seq_books_btc_usdt.json").read_text())
    assert rows[0]["msg"]["action"] == "snapshot"
    for row in rows:
        (data,) = row["msg"]["data"]
        for side, changes in ((bids, data["bids"]), (asks, data["asks"])):
            for change in changes:
                if change[1] == "0":
                    side.pop(change[0], None)
                else:
                    side[change[0]] = change
        ranked = sorted(bids.values(), key=lambda r: -float(r[0])), sorted(asks.values(), key=lambda r: float(r[0]))
        assert checksum(*ranked) == data["checksum"]


def test_a_checksum_of_uneven_sides() -> None:
    bids, asks = [["3366.1", "7"], ["3366", "6"]], [["3366.8", "9"], ["3368", "8"], ["3372", "8"]]
    text = "3366.1:7:3366.8:9:3366:6:3368:8:3372:8"
    assert checksum(bids, asks) & 0xFFFFFFFF == zlib.crc32(text.encode())
    assert checksum([], []) == 0


async def test_the_book_is_a_chain_that_ends_in_the_exchanges_book(okx: Sandbox, wire: Wire, dial: Dial) -> None:
    socket, late = await dial("public"), await dial("public")
    await socket.subscribe(BOOKS)
    mirror, other = Mirror(), Mirror()
    mirror.apply(await socket.until(channel="books"))
    for _ in range(4):
        okx.driver.advance(3)
        mirror.apply(await socket.until(channel="books"))
    await wire.order(px="59990")
    await late.subscribe(BOOKS)
    other.apply(await late.until(channel="books"))
    okx.driver.advance(3)
    book = okx.worlds["testnet"].exchange.books["BTCUSDT"]
    for kept, source in ((mirror, socket), (other, late)):
        while kept.last < book.update_id:
            kept.apply(await source.until(channel="books"))
        for side, name in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            shown = [[trim_e8(price), trim_e8(size)] for price, size in book.depth(side, 400)]
            assert [row[:2] for row in kept.ranked(name)] == shown


async def test_depth_ticker_trades_and_candles(okx: Sandbox, dial: Dial) -> None:
    public, business = await dial("public"), await dial("business")
    await public.subscribe(*({"channel": c, "instId": NAME} for c in ("books5", "bbo-tbt", "tickers", "trades")))
    await business.subscribe(*({"channel": c, "instId": NAME} for c in ("trades-all", "candle1m", "candle1D")))
    for channel in ("books5", "bbo-tbt", "tickers"):
        await public.until(channel=channel)
    okx.driver.advance(3)
    depth = (await public.until(channel="books5"))["data"][0]
    assert (len(depth["bids"]), depth["instId"]) == (5, NAME)
    top = (await public.until(channel="bbo-tbt"))["data"][0] if "seqId" not in depth else depth
    assert float(top["bids"][0][0]) < float(top["asks"][0][0])
    trades = [m["data"][0] for m in public.seen if m.get("arg", {}).get("channel") == "trades" and "data" in m]
    singles: list[Json] = []
    wanted = len(okx.worlds["testnet"].tapes["BTCUSDT"].trades)
    while len(singles) < wanted:
        singles.append((await business.until(channel="trades-all"))["data"][0])
    assert sum(int(trade["count"]) for trade in trades) == len(singles)
    assert trades[-1]["tradeId"] == singles[-1]["tradeId"]
    candle = (await business.until(channel="candle1m"))["data"][0]
    assert (len(candle), candle[8]) == (9, "0")
    await business.until(channel="candle1D")
    await public.send({"op": "unsubscribe", "args": [{"channel": "trades", "instId": NAME}], "id": "7"})
    answer = await public.until(event="unsubscribe")
    assert (answer["arg"]["channel"], answer["id"]) == ("trades", "7")
    await public.send("ping")
    assert await asyncio.wait_for(public.socket.receive_str(), 5) == "pong"


async def test_a_days_candle_begins_in_hong_kong_or_in_utc(wire: Wire) -> None:
    for bar, hour in (("1D", 16), ("1Dutc", 0), ("6H", 4), ("1H", None)):
        rows = await wire.rows(f"market/candles?instId={NAME}&bar={bar}&limit=3")
        opens = [int(row[0]) // 3_600_000 for row in rows]
        assert opens == sorted(opens, reverse=True)
        assert hour is None or all(at % (24 if bar.startswith("1D") else 6) == hour for at in opens)
    rows = await wire.rows(f"market/history-candles?instId={NAME}&bar=5m")
    older = await wire.rows(f"market/history-candles?instId={NAME}&bar=5m&after={rows[1][0]}&limit=2")
    assert [row[0] for row in older] == [rows[2][0], rows[3][0]]
    assert (await wire.get(f"market/candles?instId={NAME}&bar=7m"))["code"] == "51000"


async def test_an_accounts_own_events(okx: Sandbox, wire: Wire, dial: Dial) -> None:
    socket = await dial("private")
    await socket.log_in(wire)
    spot = {"channel": "orders", "instType": "SPOT"}
    await socket.subscribe(
        spot,
        {"channel": "account"},
        {"channel": "fills"},
        {"channel": "positions", "instType": "ANY"},
        {"channel": "balance_and_position"},
    )
    snapshot = await socket.until(channel="account")
    assert (snapshot["eventType"], len(snapshot["data"][0]["details"])) == ("snapshot", 3)
    assert (await socket.until(channel="positions"))["data"] == []
    await socket.until(channel="balance_and_position")
    row = await wire.order(px="59000", sz="0.1", clOrdId="mine")
    live = (await socket.until(channel="orders"))["data"][0]
    assert (live["state"], live["ordId"], live["fillSz"], live["execType"]) == ("live", row["ordId"], "0", "")
    frozen = (await socket.until(channel="account"))["data"][0]["details"]
    assert {d["ccy"]: d["frozenBal"] for d in frozen} == {"BTC": "0", "USDT": "5900"}
    await wire.post("amend-order", {"instId": NAME, "clOrdId": "mine", "newSz": "0.05", "reqId": "r1"})
    amended = (await socket.until(channel="orders"))["data"][0]
    assert (amended["amendResult"], amended["reqId"], amended["sz"]) == ("0", "r1", "0.05")
    move(okx, "58900")
    filled = (await socket.until(channel="orders"))["data"][0]
    assert (filled["state"], filled["fillSz"], filled["execType"]) == ("filled", "0.05", "M")
    assert (filled["fillFee"], filled["fillFeeCcy"], filled["fillPx"]) == ("-0.00004", "BTC", "59000")
    fill = (await socket.until(channel="fills"))["data"][0]
    assert (fill["tradeId"], fill["clOrdId"]) == (filled["tradeId"], "mine")
    moved = (await socket.until(channel="balance_and_position"))["data"][0]
    assert (moved["eventType"], moved["trades"][0]["tradeId"]) == ("filled", fill["tradeId"])
    await wire.order(clOrdId="next")
    await wire.post("cancel-order", {"instId": NAME, "clOrdId": "next"})
    await socket.until(channel="orders")
    ended = (await socket.until(channel="orders"))["data"][0]
    assert (ended["state"], ended["cancelSource"]) == ("canceled", "1")
    business = await dial("business")
    await business.log_in(wire)
    await business.subscribe({"channel": "orders-algo", "instType": "SPOT"})
    stop = {"instId": NAME, "tdMode": "cash", "side": "sell", "sz": "0.01", "ordType": "conditional"}
    await wire.post("order-algo", {**stop, "slTriggerPx": "57000", "slOrdPx": "-1"})
    assert (await business.until(channel="orders-algo"))["data"][0]["state"] == "live"


async def test_orders_over_the_socket(wire: Wire, dial: Dial) -> None:
    socket = await dial("private")
    await socket.send({"id": "0", "op": "order", "args": [LIMIT]})
    assert (await socket.next())["code"] == "60011"
    await socket.log_in(wire)
    code = (await wire.rows("public/instruments?instType=SPOT"))[0]["instIdCode"]
    by_code = {name: value for name, value in LIMIT.items() if name != "instId"} | {"instIdCode": code}

    async def call(op: str, *args: Json) -> Json:
        await socket.send({"id": "1", "op": op, "args": list(args)})
        answer = await socket.until(op=op)
        assert answer["id"] == "1"
        assert int(answer["outTime"]) >= int(answer["inTime"])
        return answer

    placed = await call("order", {**by_code, "clOrdId": "a"})
    assert (placed["code"], placed["data"][0]["sCode"]) == ("0", "0")
    both = await call("batch-orders", {**by_code, "clOrdId": "b"}, {**by_code, "sz": "0"})
    assert (both["code"], [row["sCode"] for row in both["data"]]) == ("2", ["0", "51000"])
    amended = await call("amend-order", {"instIdCode": code, "clOrdId": "a", "newSz": "0.02"})
    assert amended["data"][0]["sCode"] == "0"
    ended = await call("batch-cancel-orders", *({"instIdCode": code, "clOrdId": name} for name in "ab"))
    assert ended["code"] == "0"
    refused = await call("cancel-order", {"instIdCode": code, "clOrdId": "a"})
    assert (refused["code"], refused["msg"], refused["data"][0]["sCode"]) == ("1", "", "51401")
    assert (await call("order", *[by_code] * 21))["code"] == "51111"
    assert (await call("order"))["code"] == "60013"


class _Forgetful(Hooks):
    """Loses the answer to what a predicate names, after the venue has acted."""

    def __init__(self, operation: str) -> None:
        self.operation = operation

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        assert request.venue == "okx"
        return None if request.operation == self.operation else answer


@pytest.mark.parametrize("operation", ["POST /api/v5/trade/order", "order"])
async def test_an_answer_may_be_lost_when_the_order_is_there(
    operation: str, wire: Wire, dial: Dial, okx: Sandbox
) -> None:
    okx.sites["okx"].venues["testnet"].api.hooks = _Forgetful(operation)  # type: ignore[attr-defined]
    if operation == "order":
        socket = await dial("private")
        await socket.log_in(wire)
        await socket.send({"id": "1", "op": "order", "args": [{**LIMIT, "clOrdId": "lost"}]})
        message: Any = await asyncio.wait_for(socket.socket.receive(), 5)
        assert not isinstance(message.data, str)
    else:
        with pytest.raises(Exception, match="disconnect"):
            await wire.order(clOrdId="lost")
    assert [row["clOrdId"] for row in await wire.rows("trade/orders-pending")] == ["lost"]


async def test_connections_can_be_cut(okx: Sandbox, wire: Wire, dial: Dial) -> None:
    public, private = await dial("public"), await dial("private")
    await private.log_in(wire)
    await public.subscribe({"channel": "tickers", "instId": NAME})
    await public.next()
    venue = okx.sites["okx"].venues["testnet"]
    assert venue.drop("ws-api") == 1
    assert (await asyncio.wait_for(private.socket.receive(), 5)).type.name in ("CLOSED", "ERROR", "CLOSE")
    assert venue.drop("stream") == 1
