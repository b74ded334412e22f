"""The lab in a real Jupyter kernel: cells that await, an interrupt, and the kernel's violent death."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from autotrader_lab.host.runs import list_sessions
from autotrader_lab.lab import Lab

jupyter_client = pytest.importorskip("jupyter_client", reason="needs the lab extra")
pytest.importorskip("ipykernel", reason="needs the lab extra")

START = """
import pandas as pd, numpy as np
from autotrader_lab import Lab, Strategy

class MyFlip(Strategy):
    def on_bar(self, bar, context):
        if context.position(bar.symbol) > 0:
            return self.close(bar.symbol, context)
        return self.long(bar.symbol, 1.0, context)

close = 100 * np.exp(np.cumsum(np.random.default_rng(1).normal(0, 0.01, 500)))
bars = pd.DataFrame({"open": close, "high": close * 1.01, "low": close * 0.99, "close": close},
                    index=pd.date_range("2024-01-01", periods=500, freq="D", tz="UTC"))
lab = Lab(MyFlip(), profile="rehearsal", name="in-a-notebook")
await lab.start("paper", data=bars, interval_s=0.05)
await lab.wait(fills=2, timeout_s=20)
print("DONE", len(lab.fills()) >= 2)
"""


@pytest.fixture
def kernel(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    manager = jupyter_client.KernelManager()
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    yield manager, client
    client.stop_channels()
    if manager.is_alive():
        manager.shutdown_kernel(now=True)
    manager.context.destroy(linger=0)


def run(client, code: str, timeout_s: float = 60) -> tuple[dict, str]:
    """Run a cell; its reply and what it printed."""
    printed: list[str] = []

    def hook(message):
        content = message["content"]
        printed.append(content.get("text", "") or "\n".join(content.get("traceback", ())))

    reply = client.execute_interactive(code, timeout=timeout_s, output_hook=hook)
    return reply["content"], "".join(printed)


@pytest.mark.filterwarnings("ignore")  # jupyter_client's own sockets and loops
async def test_a_class_from_a_cell_trades_survives_an_interrupt_and_the_kernels_death(kernel):
    manager, client = kernel
    reply, printed = run(client, START)
    assert reply["status"] == "ok", printed
    assert "DONE True" in printed

    request = client.execute("await lab.wait(decisions=10**9, timeout_s=60)")
    await asyncio.sleep(1.0)
    manager.interrupt_kernel()
    while True:
        message = client.get_shell_msg(timeout=30)  # half of what the cell would have waited
        if message["parent_header"].get("msg_id") == request:
            break
    assert message["content"]["status"] == "error"

    reply, printed = run(client, "print((await lab.status())['state'], (await lab.status())['lease'])")
    assert printed.strip() == "running held"

    assert list_sessions()[0].alive
    os.kill(manager.provisioner.pid, 9)
    lab = await Lab.attach()
    assert lab.session == "in-a-notebook"
    fills = len(lab.fills())
    await lab.wait(fills=fills + 2, timeout_s=20)
    await lab.close()
