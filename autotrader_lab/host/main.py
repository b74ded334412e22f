"""The host's process: one per run folder, started detached, ended by command, by signal or by having nothing to do."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import faulthandler
import fcntl
import logging
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import structlog
from aiohttp import web

from autotrader_lab.host.api import build_app
from autotrader_lab.host.exposition import remove_target, write_target
from autotrader_lab.host.runs import HostInfo, RunFolder, process_started
from autotrader_lab.host.session import Session
from autotrader_lab.journal import Journal
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import AutoTraderError, HostError

__all__ = ["main", "serve"]

_log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a host until it ends."""
    parser = argparse.ArgumentParser(prog="autotrader_lab.host", description="the engine host of one session")
    parser.add_argument("--run", required=True, type=Path, help="the session's run folder")
    folder = RunFolder(parser.parse_args(arguments).run)
    _configure_log()
    faulthandler.enable()  # what crashes below Python leaves its stack in host.log
    # Threads (a replay, gates being read) hand over to the loop within a millisecond, not five.
    sys.setswitchinterval(0.001)
    try:
        with single_instance(folder):
            asyncio.run(serve(folder))
    except AutoTraderError as error:
        _log.error("host cannot run", error=str(error))
        sys.exit(1)


def _configure_log() -> None:
    """Lines of key and value on standard error, which is host.log."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["timestamp", "level", "event"]),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")


@contextlib.contextmanager
def single_instance(folder: RunFolder) -> Iterator[None]:
    """Hold the run folder's lock; the system lets go of it when the process ends, however it ends.

    Raises
    ------
    HostError
        If another host holds it.
    """
    descriptor = os.open(folder.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostError(f"another host works on {folder.path}; attach to it, or end it first") from None
        yield
    finally:
        os.close(descriptor)


async def serve(folder: RunFolder) -> None:
    """Answer, take up what an earlier host left, and work until the session says it is over."""
    clock = SystemClock()
    info = folder.read_session()
    journal = Journal.open(folder.journal_file, session=info.session)
    session = Session(folder, info, journal=journal, clock=clock, environment=os.environ)
    token, metrics_token = secrets.token_urlsafe(32), secrets.token_urlsafe(32)
    port = 0
    app = build_app(session, token, lambda: port, metrics_token)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, session.end, signal.Signals(number).name)
        await session.open()
        started = HostInfo(
            pid=os.getpid(),
            port=port,
            token=token,
            started_at_ns=clock.now_ns(),
            process_started=process_started(os.getpid()),
        )
        write_target(folder, port, metrics_token)
        folder.write_host(started)
        _log.info("host answers", session=info.session, pid=started.pid, port=port)
        await session.run()
    finally:
        await session.close()
        await runner.cleanup()
        journal.close()
        folder.host_file.unlink(missing_ok=True)
        remove_target(folder)
        _log.info("host ended", session=info.session)
