"""No secret in any file a session writes, nor in any repr, error, traceback, snapshot or notebook output."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import stat
import traceback
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from autotrader_lab import Lab, Strategy
from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.execution.config import load_config
from autotrader_lab.host.runs import HostInfo, RunFolder, list_sessions
from autotrader_lab.model.errors import AuthenticationFailed, AutoTraderError
from autotrader_lab.model.orders import Order, OrderSide, OrderType
from autotrader_lab.sandbox import SandboxProcess, start_sandbox


@pytest.fixture(scope="module")
def box() -> Iterator[SandboxProcess]:
    with start_sandbox(seed=3, speed=5) as running:
        yield running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("AUTOTRADER_LAB_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "home"
    for row in list_sessions():
        info = RunFolder(row.path).host_if_alive()
        if info is not None:
            os.kill(info.pid, signal.SIGKILL)


def secrets_of(box: SandboxProcess) -> list[str]:
    """Keys of both worlds and the control token."""
    found: list[str] = []

    def walk(value: Any, name: str = "") -> None:
        if isinstance(value, dict):
            for key, inner in value.items():
                walk(inner, key)
        elif name in ("api_secret", "api_key", "token"):
            found.append(value)

    walk(box.addresses)
    assert len(found) >= 5
    return found


def assert_clean(text: str, secrets: list[str], where: str) -> None:
    shown = [secret[:4] + "…" for secret in secrets if secret in text]
    assert not shown, f"{where} shows {shown}"


def metrics_of(info: HostInfo) -> str:
    """What a scraper reads."""
    request = urllib.request.Request(
        f"http://127.0.0.1:{info.port}/v1/metrics", headers={"Authorization": f"Bearer {info.token}"}
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return str(answer.read().decode())


def search_files(home: Path, secrets: list[str], host_token: str, metrics_token: str = "not there") -> None:
    """Look into every file under `home`; each of the host's own tokens may stand in its own file only."""
    files = [path for path in home.rglob("*") if path.is_file()]
    assert {"journal.sqlite", "session.json", "host.log"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes().decode("utf-8", "replace")
        assert_clean(content, secrets, path.name)
        if path.name != "host.json":
            assert_clean(content, [host_token], path.name)
        if path.name != "prometheus.token":
            assert_clean(content, [metrics_token], path.name)
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, f"{path.name} is readable by others"


class Flip(Strategy):
    """Trades often, so that everything that writes has something to write."""

    def on_bar(self, bar: Any, context: Any) -> Any:
        if context.position(bar.symbol):
            return self.close(bar.symbol, context)
        return self.long(bar.symbol, 0.001, context)


async def test_a_whole_session_writes_no_secret(box: SandboxProcess, home: Path) -> None:
    secrets = [*secrets_of(box), "hook-0123456789"]
    webhook = "http://127.0.0.1:9/hook-0123456789"
    lab = Lab(
        Flip(), symbols=["BTC/USDT"], profile="rehearsal", sandbox=box, bar_interval_s=0.25, alert_webhook=webhook
    )
    await lab.start("paper")
    await lab.wait(gate="testnet", timeout_s=60)
    await lab.promote("testnet")
    await lab.wait(round_trips=1, timeout_s=60)
    status = await lab.status()
    challenge = await lab.arm()
    await lab.kill()
    folder = RunFolder(lab.folder)
    info = folder.host_if_alive()
    assert info is not None
    host_token, metrics_token = info.token, folder.metrics_token_file.read_text()
    figures = await asyncio.to_thread(metrics_of, info)
    for where, text in {
        "status": repr(status) + str(dict(status)),
        "lab": repr(lab),
        "notebook output": str(lab._repr_mimebundle_()),
        "challenge": repr(challenge),
        "orders": lab.orders().to_string(),
        "alerts": lab.alerts().to_string(),
        "attention": lab.attention().to_string(),
        "limits": repr(await lab.limits_now()),
        "metrics": figures,
    }.items():
        assert_clean(text, [*secrets, host_token, metrics_token], where)
    search_files(home, secrets, host_token, metrics_token)
    os.kill(info.pid, signal.SIGKILL)
    while info.is_alive:
        await asyncio.sleep(0.02)
    found = await lab.survey()
    assert_clean(found.to_string(), [*secrets, host_token], "survey")
    await lab.recover()
    await lab.rearm()
    await lab.stop(flatten=True)
    await lab.close()
    search_files(home, secrets, host_token)


async def test_errors_logs_and_reprs_of_the_adapter_show_no_secret(
    box: SandboxProcess, caplog: pytest.LogCaptureFixture
) -> None:
    addresses = box.addresses["binance"]
    wrong = "this-is-the-wrong-secret-0123456789"
    secrets = [*secrets_of(box), wrong]
    texts: list[str] = []
    with caplog.at_level(logging.DEBUG):
        for secret in (addresses["api_secret"], wrong):
            adapter = BinanceAdapter(addresses["api_key"], secret, testnet=True, addresses=addresses)
            texts += [repr(adapter), str(vars(adapter))]
            try:
                await adapter.connect()
                await adapter.get_order_status("no-such-order")
            except AutoTraderError as error:
                texts += [repr(error), "".join(traceback.format_exception(error))]
            bad = Order("", "BTC/USDT", OrderSide.BUY, OrderType.LIMIT, 1000.0, 59_000.0, client_order_id="s-1")
            try:
                texts.append(repr(await adapter.submit_order(bad)))
            except AutoTraderError as error:
                texts.append("".join(traceback.format_exception(error)))
            await adapter.disconnect()
    texts.append(caplog.text)
    assert any(AuthenticationFailed.__name__ in text for text in texts)
    for number, text in enumerate(texts):
        assert_clean(text, secrets, f"text {number}")


def test_the_configuration_shows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BINANCE_API_KEY", "key-0123456789")
    monkeypatch.setenv("BINANCE_API_SECRET", "secret-0123456789")
    path = tmp_path / "execution.yaml"
    path.write_text(
        "execution:\n  broker: binance\n  binance:\n    api_key: ${BINANCE_API_KEY}\n"
        "    api_secret: ${BINANCE_API_SECRET}\n    testnet: true\n"
    )
    config = load_config(path)
    shown = repr(config) + str(config) + str(config.model_dump()) + config.model_dump_json()
    assert_clean(shown, ["key-0123456789", "secret-0123456789"], "the configuration")
