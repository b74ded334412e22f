"""What others see of a session: Prometheus, a chat's webhook, the host's log, and the words on who covers whom."""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from autotrader_lab.host.runs import RunFolder
from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import ConfigError
from autotrader_lab.sandbox import start_sandbox

from .strategies import Flip, Raises, Rester
from .support import earn, host_of, kill_host

SECRET_PATH = "T0PSECRET/hook"


@pytest.fixture
async def chat():
    """A webhook's receiver: its address, and what was posted there."""
    posted: list[dict] = []

    async def take(request: web.Request) -> web.Response:
        posted.append(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_post(f"/{SECRET_PATH}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/{SECRET_PATH}", posted
    await runner.cleanup()


def scrape(url: str, token: str) -> str:
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return answer.read().decode()


async def test_prometheus_finds_the_host_and_its_token_opens_nothing_else(bars):
    async with Lab(Flip(), profile="rehearsal") as lab:
        await lab.start("paper", data=bars, interval_s=0.02)
        await lab.wait(fills=2, timeout_s=20)
        folder = RunFolder(lab.folder)
        target = json.loads(folder.metrics_target_file.read_text())
        assert target[0]["labels"] == {"session": lab.session}
        base = f"http://{target[0]['targets'][0]}/v1"
        token = folder.metrics_token_file.read_text()
        assert folder.metrics_token_file.stat().st_mode & 0o777 == 0o600
        text = await asyncio.to_thread(scrape, f"{base}/metrics", token)
        found = {sample.name: sample for family in text_string_to_metric_families(text) for sample in family.samples}
        assert found["autotrader_fills_total"].value >= 2
        assert found["autotrader_fills_total"].labels == {"stage": "paper"}
        assert (found["autotrader_host_lease_held"].value, found["autotrader_host_halted"].value) == (1, 0)
        assert "autotrader_fills_total" in await asyncio.to_thread(scrape, f"{base}/metrics", host_of(lab).token)
        for url, given in ((f"{base}/status", token), (f"{base}/metrics", "wrong"), (f"{base}/metrics", "")):
            with pytest.raises(urllib.error.HTTPError, match="401"):
                await asyncio.to_thread(scrape, url, given)
        await lab.kill()
        assert "autotrader_host_halted 1.0" in await asyncio.to_thread(scrape, f"{base}/metrics", token)
    assert not folder.metrics_token_file.exists()
    assert not folder.metrics_target_file.exists()


async def test_alerts_reach_the_chat_and_the_log_and_the_address_stands_nowhere(bars, chat):
    url, posted = chat
    lab = Lab(Raises(), profile="rehearsal", alert_webhook=url)
    await lab.start("paper", data=bars, interval_s=0.02)
    async with asyncio.timeout(20):
        while not any(one["code"] == "STRATEGY_FAILED" for one in posted):
            await asyncio.sleep(0.05)
    await lab.kill()
    async with asyncio.timeout(20):
        while not any(one["code"] == "KILLED" for one in posted):
            await asyncio.sleep(0.05)
    failed = next(one for one in posted if one["code"] == "STRATEGY_FAILED")
    assert (failed["session"], failed["stage"], failed["level"]) == (lab.session, "paper", "critical")
    assert "my own mistake" in failed["text"]
    log = (lab.folder / "host.log").read_text()
    assert "STRATEGY_FAILED" in log
    await lab.close()
    for path in lab.folder.iterdir():
        assert b"T0PSECRET" not in path.read_bytes(), path.name


async def test_a_webhook_nobody_answers_holds_nothing_up(bars, monkeypatch):
    monkeypatch.setenv("AUTOTRADER_LAB_ALERT_WEBHOOK", "http://127.0.0.1:9/T0PSECRET")
    async with Lab(Flip(), profile="rehearsal") as lab:
        await lab.start("paper", data=bars, interval_s=0.02)
        assert (await lab.kill())["verified"]
        assert "T0PSECRET" not in (lab.folder / "host.log").read_text()


def test_a_webhook_that_is_no_address_is_refused_without_repeating_it():
    with pytest.raises(ConfigError, match="must be an http") as refused:
        Lab(Flip(), alert_webhook="ftp://T0PSECRET")
    assert "T0PSECRET" not in str(refused.value)


async def test_the_words_say_who_covers_whom(sandbox):
    lab = Lab(Rester(), sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2)
    earn(lab, "paper")
    assert lab.peek()["coverage"]["host"] == "nothing works at a venue"
    await lab.start("testnet")
    words = (await lab.status())["coverage"]
    assert words["notebook"] == ("covered by the host: working orders are cancelled at once, and no entry goes out")
    assert words["host"].startswith("NOT covered: binance testnet has no dead man's switch")
    await lab.detach()
    again = await Lab.attach(lab.session, sandbox=sandbox)
    assert "covered by the host" in (await again.status())["coverage"]["notebook"]
    kill_host(again)
    assert (await again.status())["coverage"]["host"].startswith("NOT covered")
    await again.recover()
    await again.close()


async def test_a_venue_with_a_switch_of_its_own_covers_the_hosts_death():
    with start_sandbox(seed=7, venues=("okx",)) as okx:
        lab = Lab(Rester(), sandbox=okx, profile="rehearsal", bar_interval_s=0.2)
        earn(lab, "paper")
        async with lab:
            words = (await lab.start("testnet"))["coverage"]
            assert words["host"] == words["machine"]
            assert words["host"].startswith("covered by okx testnet itself: it cancels after 30 s")
            await lab.wait(orders=1, timeout_s=20)
            await lab.stop()
            assert "DEAD_MAN_NOT_ARMED" not in list(lab.alerts()["code"])
