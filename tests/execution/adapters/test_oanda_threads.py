"""The threads behind the Oanda adapter: none of them holds up the loop, an order, the end, or says a secret."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from oanda_kit import (
    SYMBOL,
    Saying,
    connected,
    make,
    nothing_else,
    oanda_sandbox,
    order,
    venue_of,
)

from autotrader_lab.model.errors import (
    VenueUnavailable,
)
from autotrader_lab.model.instruments import exact
from autotrader_lab.model.orders import OrderStatus
from autotrader_lab.sandbox.venues.hooks import Answer

ACCOUNT = "101-004-1234567-001"


# --- threads ---------------------------------------------------------------------------------------------------


async def test_hung_questions_leave_room_for_an_order() -> None:
    async with oanda_sandbox(hooks=_Slow()) as box, connected(box, timeout_s=3.0) as adapter:
        questions = [asyncio.create_task(adapter.get_account()) for _ in range(12)]
        await asyncio.sleep(0.05)
        sent = await adapter.submit_order(order("m"))
        assert sent.status is OrderStatus.FILLED
        assert not any(question.done() for question in questions)
        venue_of(box).api.hooks.released.set()
        await asyncio.gather(*questions)
        assert asyncio.get_running_loop()._default_executor is None  # type: ignore[attr-defined]


class _Slow(Saying):
    """Keeps answers about the account back until it is told to go on, once connecting is over."""

    def __init__(self) -> None:
        super().__init__("", lambda answer: answer, 0)
        self.released = asyncio.Event()

    async def after(self, request: Any, answer: Answer) -> Answer | None:
        if request.operation.endswith("/summary") and self.asked.count(request.operation) > 1:
            await self.released.wait()
        return answer


async def test_what_still_waited_for_a_thread_was_provably_not_sent() -> None:
    async with oanda_sandbox(hooks=_Slow()) as box:
        adapter = make(box, timeout_s=0.3)
        adapter._crew._size = 3
        await adapter.connect()
        outcomes = await asyncio.gather(*(adapter.get_account() for _ in range(4)), return_exceptions=True)
        told = sorted("nothing was sent" in str(outcome) for outcome in outcomes)
        assert all(isinstance(outcome, VenueUnavailable) for outcome in outcomes)
        assert told == [False, True, True, True]
        assert (await adapter.submit_order(order("m"))).status is OrderStatus.FILLED
        venue_of(box).api.hooks.released.set()
        await adapter.disconnect()


async def test_nothing_of_ours_is_alive_after_disconnect_though_the_venue_is_silent() -> None:
    async with oanda_sandbox(hooks=_Slow()) as box:
        adapter = make(box, timeout_s=30.0)
        await adapter.connect()
        asking = asyncio.create_task(adapter.get_account())
        await asyncio.sleep(0.05)
        await adapter.disconnect()
        with pytest.raises(VenueUnavailable):
            await asking
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("oanda")]
        venue_of(box).api.hooks.released.set()


SILENT = """
import asyncio, socket
from autotrader_lab.execution.adapters.oanda import OandaAdapter
listening = socket.create_server(("127.0.0.1", 0))
origin = f"http://127.0.0.1:{listening.getsockname()[1]}"
adapter = OandaAdapter("101-1-1-1", "t", addresses={"rest": origin, "stream": origin}, timeout_s=600)
async def main():
    asyncio.create_task(adapter.connect())
    await asyncio.sleep(0.2)
    raise SystemExit(7)
asyncio.run(main())
"""


def test_a_hung_request_does_not_hold_up_the_end_of_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", SILENT], timeout=30, check=False, capture_output=True)
    assert done.returncode == 7, done.stderr.decode()


async def test_the_connection_is_kept_open_and_few_are_made() -> None:
    async with oanda_sandbox(hooks=nothing_else()) as box, connected(box) as adapter:
        for number in range(10):
            await adapter.submit_order(order(f"m{number}"))
        assert len(adapter._crew._hands) == 1


async def test_the_wire_speaks_tls_with_the_sandboxs_certificate(tmp_path: Path) -> None:
    async with oanda_sandbox(tls=True) as box:
        addresses = box.addresses
        file = tmp_path / "certificate.pem"
        certificate = addresses["tls"]["certificate"]
        file.write_text(certificate)
        async with connected(box, ca_file=str(file)) as adapter:
            assert (await adapter.submit_order(order("m"))).status is OrderStatus.FILLED
        with pytest.raises(VenueUnavailable, match="SSLError"):
            await make(box).connect()


async def test_no_secret_is_logged_or_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    async with oanda_sandbox() as box, connected(box) as adapter:
        token = box.addresses["oanda"]["token"]
        await adapter.submit_order(order("m"))
        venue_of(box).api.token = "another"
        with pytest.raises(Exception, match="status 401") as refused:
            await adapter.get_account()
        seen: BaseException | None = refused.value
        while seen is not None:
            assert token not in f"{seen!r} {seen}"
            seen = seen.__cause__ or seen.__context__
    assert caplog.records
    assert token not in caplog.text


async def test_positions_are_exactly_what_was_executed() -> None:
    async with oanda_sandbox() as box, connected(box) as adapter:
        total = exact(0)
        for number, (side, quantity) in enumerate((("buy", 777), ("sell", 1234), ("buy", 3), ("sell", 999))):
            sent = await adapter.submit_order(order(str(number + 1000) + "x", side, quantity=quantity))
            total += exact(sent.filled_quantity) * sent.side.sign
        assert exact((await adapter.get_positions())[SYMBOL]) == total == -1453


async def test_disconnecting_in_the_same_breath_as_connecting_leaves_no_thread() -> None:
    async with oanda_sandbox() as box:
        adapter = make(box)
        feed = adapter.feed()
        for _ in range(3):
            await adapter.connect()
            await adapter.disconnect()
            await feed.open([SYMBOL])
            await feed.close()
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("oanda")]
