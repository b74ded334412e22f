"""The control interface keeps strangers out: other programs, other pages, other names for this address."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import aiohttp
import pytest

from autotrader_lab.lab import Lab
from autotrader_lab.model.errors import HostError

from .strategies import Flip
from .support import host_of


@pytest.fixture
async def running(bars):
    async with Lab(Flip(), profile="rehearsal", name="guarded") as lab:
        await lab.start("paper", data=bars, interval_s=0.05)
        yield lab


@pytest.fixture
async def http(running):
    async with aiohttp.ClientSession() as session:
        yield session


def headers(lab: Lab, **more: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {host_of(lab).token}", **more}


def url(lab: Lab, path: str) -> str:
    return f"http://127.0.0.1:{host_of(lab).port}/v1/{path}"


async def test_every_route_asks_for_the_token(running, http):
    for given in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic x"}):
        for method, path in (("GET", "status"), ("GET", "stream"), ("POST", "kill"), ("GET", "nope")):
            async with http.request(method, url(running, path), headers=given) as answer:
                assert answer.status == 401
                assert (await answer.json())["error"]["type"] == "HostError"
    assert (await running.status())["trading_state"] == "ACTIVE"


async def test_a_foreign_page_may_not_command_and_a_local_one_may(running, http):
    for origin in ("http://evil.example", "null", "https://127.0.0.1:1"):
        async with http.post(url(running, "kill"), headers=headers(running, Origin=origin)) as answer:
            assert answer.status == 403
            assert origin in (await answer.json())["error"]["message"]
        async with http.get(url(running, "stream"), headers=headers(running, Origin=origin)) as answer:
            assert answer.status == 403
    assert (await running.status())["trading_state"] == "ACTIVE"
    local = f"http://127.0.0.1:{host_of(running).port}"
    async with http.post(url(running, "kill"), headers=headers(running, Origin=local)) as answer:
        assert answer.status == 200
    assert (await running.status())["trading_state"] == "HALTED"


async def test_another_name_for_this_address_is_refused(running, http):
    async with http.get(url(running, "status"), headers=headers(running, Host="evil.example")) as answer:
        assert answer.status == 421


async def test_errors_are_json_with_our_class(running, http):
    for method, path, body, status, kind in (
        ("GET", "gate?stage=prod", None, 422, "ConfigError"),
        ("POST", "start", {"stage": "live"}, 409, "HostError"),
        ("POST", "promote", {"stage": "testnet"}, 403, "GateClosed"),
        ("POST", "promote", {"step": 1}, 409, "HostError"),
        ("GET", "nope", None, 404, "HostError"),
    ):
        async with http.request(method, url(running, path), json=body, headers=headers(running)) as answer:
            told = (await answer.json())["error"]
            assert (answer.status, told["type"]) == (status, kind), told
    async with http.post(url(running, "start"), data=b"{", headers=headers(running)) as answer:
        assert "no JSON" in (await answer.json())["error"]["message"]


async def test_watching_holds_no_lease(running, http):
    async with http.ws_connect(url(running, "stream?lease=0"), headers=headers(running)) as socket:
        message = await socket.receive(timeout=5)
        assert message.type is aiohttp.WSMsgType.BINARY
        await running.client.close()
        lease = "held"
        for _ in range(100):
            async with http.get(url(running, "status"), headers=headers(running)) as answer:
                lease = (await answer.json())["lease"]
            if lease == "none":
                break
        assert lease == "none"


async def test_one_host_a_folder(running):
    from autotrader_lab.host.runs import RunFolder
    from autotrader_lab.host.spawn import spawn_host

    with pytest.raises(HostError, match="has a running host"):
        spawn_host(RunFolder(running.folder))
    second = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "autotrader_lab.host", "--run", str(running.folder)],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert second.returncode == 1
    assert "another host works on" in second.stderr
    assert (await running.status())["state"] == "running"


async def test_the_snapshot_has_what_the_panel_needs(running):
    await running.wait(decisions=1, timeout_s=20)
    status = await running.status()
    wanted = (
        "session version profile label stage state trading_state symbols strategy fingerprint armed_until_ns lease "
        "heartbeat_ns pid ladder equity positions orders counters latency alerts progress"
    )
    assert set(wanted.split()) <= set(status)
    assert [row["stage"] for row in status["ladder"]] == ["replay", "paper", "testnet", "live"]
    assert [row["status"] for row in status["ladder"]] == ["done", "current", "locked", "locked"]
    assert {"name", "asked", "got", "passed", "why"} == set(status["ladder"][2]["checks"][0])
    assert {"submit_to_ack_ms", "decision_to_wire_us", "fill_to_notified_ms"} == set(status["latency"])
