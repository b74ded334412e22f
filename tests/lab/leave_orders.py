"""Run as a program: a notebook that starts a stage with a resting order and a position, and waits to be killed.

``leave_orders.py SESSION STAGE [--detach]``, with the sandbox's addresses on standard input.
"""

from __future__ import annotations

import asyncio
import json
import sys

from autotrader_lab.lab import Lab
from lab.strategies import Rester


async def main(session: str, stage: str) -> None:
    lab = await Lab.attach(session, recover=True, sandbox=json.loads(sys.stdin.readline()))
    lab.strategy = Rester(buy=0.02)
    if stage == "live":
        await lab.arm((await lab.arm()).phrase)
    await lab.start(stage)
    await lab.wait(orders=2, fills=1, timeout_s=20)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    if "--detach" in sys.argv:
        await lab.detach()
        sys.stdout.write("detached\n")
        sys.stdout.flush()
    await asyncio.sleep(60)


asyncio.run(main(*sys.argv[1:3]))
