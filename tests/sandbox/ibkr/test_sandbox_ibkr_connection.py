"""Connections to the TWS gateway: versions, client ids, pacing, rubbish, lost connectivity, the nightly reset."""

from typing import Any

import pytest
from ib_async import LimitOrder, MarketOrder, Stock
from tws_wire import Tws, Wire, until

AAPL = Stock("AAPL", "SMART", "USD", conId=265598)


@pytest.mark.parametrize(("hello", "version"), [("v157..178", 178), ("v100..157", 157), ("v157..210 +PACEAPI", 178)])
async def test_the_version_is_the_highest_both_know(tws: Tws, hello: str, version: int) -> None:
    wire = await Wire.dial(tws.address(), hello)
    assert wire.version == version
    wire.send(49, 1)
    assert (await wire.read_until("49"))[:2] == ["49", "1"]
    await wire.close()


@pytest.mark.parametrize("hello", ["v100..156", "v179..200", "hello"])
async def test_versions_that_do_not_fit_are_hung_up_on(tws: Tws, hello: str) -> None:
    wire = await Wire.dial(tws.address(), hello, client_id=None)
    assert await wire.is_closed()
    await wire.close()


async def test_what_is_not_the_protocol_is_hung_up_on(tws: Tws) -> None:
    wire = await Wire.dial(tws.address(), client_id=None)
    wire.writer.write(b"\xff\xff\xff\xff")
    assert await wire.is_closed()
    await wire.close()


async def test_a_client_id_in_use_is_refused(tws: Tws, connect: Any) -> None:
    await connect(client_id=7)
    wire = await Wire.dial(tws.address(), client_id=None)
    await wire.read()
    wire.send(71, 2, 7, "")
    assert (await wire.read())[3] == "326"
    assert await wire.is_closed()
    await wire.close()


async def test_requests_before_the_start_and_requests_that_are_none(tws: Tws) -> None:
    wire = await Wire.dial(tws.address(), client_id=None)
    await wire.read()
    wire.send(49, 1)
    assert (await wire.read())[3] == "504"
    wire.send(71, 2, 3, "")
    await wire.read_until("2158")
    for message, code in (((777,), "321"), (("nonsense",), "320"), ((4, 1), "320"), ((4, 1, "x"), "320")):
        wire.send(*message)
        assert (await wire.read())[3] == code
    wire.send(49, 1)
    assert (await wire.read())[0] == "49"
    await wire.close()


async def test_too_many_messages_and_the_third_time_ends_it(tws: Tws) -> None:
    wire = await Wire.dial(tws.address())
    for count in range(1, 4):
        for _ in range(51):
            wire.send(49, 1)
        refusal = await wire.read_until("100")
        assert refusal[4].startswith("Max rate of messages per second has been exceeded:max=50")
        assert refusal[4].endswith(f"({count})")
    assert await wire.is_closed()
    await wire.close()


async def test_a_paced_client_is_not_told_off(tws: Tws) -> None:
    wire = await Wire.dial(tws.address(), "v157..178 +PACEAPI")
    for _ in range(120):
        wire.send(49, 1)
    answers = [(await wire.read())[0] for _ in range(120)]
    assert set(answers) == {"49"}
    await wire.close()


async def test_connectivity_lost_and_restored_with_data_maintained(tws: Tws, connect: Any) -> None:
    ib = await connect()
    heard: list[int] = []
    ib.errorEvent += lambda request, code, text, contract: heard.append(code)
    ticker = ib.reqMktData(AAPL)
    resting = ib.placeOrder(AAPL, LimitOrder("BUY", 10, 189))
    await until(lambda: resting.orderStatus.status == "Submitted" and ticker.bid > 0)
    tws.command("connectivity", code=1100)
    await until(lambda: 1100 in heard)
    tws.book("AAPL", [("188.9", "100")], [("189", "500")])
    sent = ib.placeOrder(AAPL, MarketOrder("BUY", 5))
    assert (await ib.reqCurrentTimeAsync()) is not None
    assert (resting.orderStatus.status, sent.orderStatus.status) == ("Submitted", "PendingSubmit")
    assert ticker.ask != 189
    tws.command("connectivity", code=1102)
    await until(lambda: resting.isDone() and sent.isDone())
    assert heard == [1100, 1102]
    tws.book("AAPL", [("188.8", "100")], [("188.95", "500")])
    await until(lambda: ticker.ask == 188.95)


async def test_connectivity_restored_with_data_lost_needs_new_subscriptions(tws: Tws, connect: Any) -> None:
    ib = await connect()
    ticker = ib.reqMktData(AAPL)
    await until(lambda: ticker.bid > 0)
    tws.command("connectivity", code=1100)
    tws.command("connectivity", code=1101)
    tws.book("AAPL", [("188.8", "100")], [("188.95", "500")])
    await ib.reqCurrentTimeAsync()
    assert ticker.ask != 188.95
    ib.client.reqMktData(ib.wrapper.ticker2ReqId["mktData"][ticker], AAPL, "", False, False, [])
    await until(lambda: ticker.ask == 188.95)


async def test_the_nightly_reset(tws: Tws, connect: Any) -> None:
    ib = await connect()
    trade = ib.placeOrder(AAPL, LimitOrder("BUY", 10, 180, tif="GTC", orderRef="overnight"))
    await until(lambda: trade.orderStatus.status == "Submitted")
    assert tws.command("reset", seconds=30) == {"disconnected": 1}
    await until(lambda: not ib.isConnected())
    wire = await Wire.dial(tws.address(), client_id=None)
    assert await wire.is_closed()
    await wire.close()
    tws.command("reset", seconds=0)
    again = await connect(client_id=1)
    assert [t.order.orderRef for t in again.openTrades()] == ["overnight"]


async def test_commands_that_do_not_exist_are_named(tws: Tws) -> None:
    with pytest.raises(ValueError, match="no action 'dance'"):
        tws.command("dance")
    with pytest.raises(ValueError, match="no connectivity message 7"):
        tws.command("connectivity", code=7)
    with pytest.raises(ValueError, match="no instrument 'TSLA'"):
        tws.command("market", symbol="TSLA", open=True)
