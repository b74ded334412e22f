"""Prometheus' view of a session: the engine's figures and the host's own, and how a scraper finds and enters it.

A host has another port and another token each time. So it leaves two private files in its run folder: a target for
Prometheus' file discovery, and a token that opens ``GET /v1/metrics`` and nothing else: a scraper needs no token that
can move money. One job serves one session::

    scrape_configs:
      - job_name: autotrader-lab
        metrics_path: /v1/metrics
        authorization:
          credentials_file: /home/me/.autotrader-lab/runs/SESSION/prometheus.token
        file_sd_configs:
          - files: [/home/me/.autotrader-lab/runs/SESSION/prometheus.json]
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from prometheus_client import CollectorRegistry, Gauge, generate_latest

from autotrader_lab.execution.metrics import exposition
from autotrader_lab.host.running import EngineRun

if TYPE_CHECKING:
    from autotrader_lab.host.runs import RunFolder
    from autotrader_lab.host.session import Session

__all__ = ["host_metrics", "remove_target", "write_target"]


def host_metrics(session: Session) -> bytes:
    """Everything in Prometheus' text format."""
    registry = CollectorRegistry()

    def gauge(name: str, words: str, value: float) -> None:
        Gauge(f"autotrader_host_{name}", words, registry=registry).set(value)

    gauge("heartbeat_seconds", "When this was written, seconds since the epoch", session.clock.now_ns() / 1e9)
    gauge("halted", "1 while the kill switch holds", int(bool(session.halted)))
    gauge("breached", "1 while a breached limit holds entries back until a person re-arms", int(bool(session.breach)))
    gauge("lease_held", "1 while a notebook holds the session", int(session.lease.state == "held"))
    gauge("armed", "1 while real orders may leave", int(session.arming.armed_until_ns is not None))
    own = generate_latest(registry)
    run = session.run_of_stage
    return own + exposition(run.engine) if isinstance(run, EngineRun) else own


def write_target(folder: RunFolder, port: int, token: str) -> None:
    """Say where Prometheus finds this host, and what opens it."""
    target = [{"targets": [f"127.0.0.1:{port}"], "labels": {"session": folder.session}}]
    folder.write_private(folder.metrics_target_file, msgspec.json.encode(target))
    folder.write_private(folder.metrics_token_file, token.encode())


def remove_target(folder: RunFolder) -> None:
    """This host is gone."""
    folder.metrics_target_file.unlink(missing_ok=True)
    folder.metrics_token_file.unlink(missing_ok=True)
