"""What the lab's tests do to hosts and journals."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
import urllib.request

from autotrader_lab.host.runs import RunFolder
from autotrader_lab.journal import Journal, records
from autotrader_lab.lab import Lab
from autotrader_lab.model.clock import from_ns
from autotrader_lab.model.orders import Accepted, Fill, Filled, Order, OrderSide, OrderType


def host_of(lab: Lab):
    """The lab's host process."""
    return RunFolder(lab.folder).read_host()


def arguments_of(pid: int) -> str:
    """The command line of a process, as every user of the machine can see it."""
    command = ["ps", "-ww", "-o", "args=", "-p", str(pid)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def kill_host(lab: Lab) -> int:
    """Kill -9 the lab's host and return once it is gone."""
    info = host_of(lab)
    os.kill(info.pid, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while info.is_alive:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return info.pid


def earn(lab: Lab, *stages: str) -> None:
    """Write the evidence of `stages` into the lab's journal, as a run of a few seconds would have."""
    folder = RunFolder(lab.folder)
    if not folder.exists:
        folder.create(lab._info)
    began_ns = time.time_ns() - 600_000_000_000
    with Journal.open(folder.journal_file, session=lab.session) as journal:
        for stage in stages:
            _earn(journal, lab, stage, began_ns)
            began_ns += 60_000_000_000


def _earn(journal: Journal, lab: Lab, stage: str, began_ns: int) -> None:
    def write(kind, record, after_s: float) -> None:
        journal.append(kind, record, stage=stage, timestamp_ns=began_ns + round(after_s * 1e9))

    write(
        records.STAGE_STARTED,
        records.StageStarted(stage, lab.fingerprint, symbols=("BTC/USDT",), starting_equity=100_000.0, sandbox=True),
        0,
    )
    counted = records.StageCounters(decisions=50, orders=50, fills=50, round_trips=25)
    write(records.COUNTERS, counted, 1)
    for number in (1, 2):
        key, side = f"earned-{stage}-{number}", (OrderSide.BUY, OrderSide.SELL)[number - 1]
        order = Order(key, "BTC/USDT", side, OrderType.MARKET, 1.0, client_order_id=key)
        when_ns = began_ns + number * 1_000_000_000
        write(records.INTENT, order, number)
        write(records.REPORT, Accepted(key, when_ns, key), number)
        write(
            records.REPORT,
            Filled(
                key, when_ns, Fill(key, "BTC/USDT", side, 1.0, 1e4, 0.0, from_ns(when_ns), key, client_order_id=key)
            ),
            number,
        )
        write(records.LATENCY, records.OrderLatency(key, 0, 10, 20, 1_000, 2_000, 3_000), number)
    write(records.DRILL, records.Drill(ok=True, cancelled=1, seconds=0.01), 5)
    write(records.STAGE_STOPPED, records.StageStopped(stage, "earned"), 20)


def control(sandbox, method: str, path: str, body: dict | None = None) -> dict:
    """Ask the sandbox's control address."""
    address = sandbox.addresses["control"]
    request = urllib.request.Request(
        f"{address['url']}{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"X-Sandbox-Token": address["token"]},
        method=method,
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        return json.load(answer)
