"""What Prometheus and a webhook are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families
from test_engine import Desk, Scripted, long

from autotrader_lab.execution.metrics import exposition
from autotrader_lab.execution.webhook import AlertWebhook
from autotrader_lab.journal.records import Alert
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import ConfigError


async def test_the_figures_are_those_of_the_engine() -> None:
    async with Desk(Scripted(long(0.5))) as desk:
        await desk.quote(50_000, 50_010)
        families = {f.name: f for f in text_string_to_metric_families(exposition(desk.engine).decode())}
        status = desk.engine.status()

        def value(name: str, **labels: str) -> float:
            samples = [s for s in families[name].samples if labels.items() <= s.labels.items()]
            assert len(samples) == 1
            return float(samples[0].value)

        assert value("autotrader_equity", stage="paper") == status["equity"]
        assert value("autotrader_orders") == 1
        assert value("autotrader_position_units", symbol="BTC/USDT") == 0.5
        assert value("autotrader_trading_state", state="ACTIVE") == 1
        assert value("autotrader_trading_state", state="HALTED") == 0
        assert value("autotrader_success_rate") == 1.0
        assert value("autotrader_latency_seconds", leg="submit_to_ack", quantile="0.5") == pytest.approx(0.01)


class Receiver:
    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.answers: list[int] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.json())
        return web.Response(status=self.answers.pop(0) if self.answers else 200)


@pytest.fixture
async def receiver() -> AsyncIterator[tuple[Receiver, str]]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    yield receiver, f"http://127.0.0.1:{port}/hook?token=secret-word"
    await runner.cleanup()


async def test_alerts_are_posted_and_retried(receiver: tuple[Receiver, str]) -> None:
    taker, url = receiver
    taker.answers = [503]
    hook = AlertWebhook(url, SystemClock(), "s1", "paper")
    hook.start()
    hook.take(Alert("info", "QUIET"))
    hook.take(Alert("critical", "KILLED", "drill"))
    await asyncio.wait_for(hook._waiting.join(), 10)
    await hook.stop()
    assert [body["code"] for body in taker.bodies] == ["KILLED", "KILLED"]
    assert taker.bodies[0]["text"] == "[critical] s1 paper: KILLED drill"
    assert hook.delivered == 1
    assert "secret-word" not in repr(hook)


async def test_a_dead_webhook_holds_nothing_up() -> None:
    hook = AlertWebhook("http://127.0.0.1:9/hook", SystemClock(), attempts=1, keep=2)
    for number in range(5):
        hook.take(Alert("critical", f"A{number}"))
    assert hook.dropped == 3
    hook.start()
    await hook.stop(patience_s=5)
    assert hook.dropped == 5


def test_an_address_that_is_none_is_refused_without_showing_it() -> None:
    with pytest.raises(ConfigError) as caught:
        AlertWebhook("ftp://user:hunter2@host/x", SystemClock())
    assert "hunter2" not in str(caught.value)
