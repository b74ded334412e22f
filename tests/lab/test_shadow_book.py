"""The shadow paper book beside a real account, and the parity report that a notebook asks for."""

from __future__ import annotations

import asyncio

import pytest

from autotrader_lab.lab import Lab

from .strategies import Flip
from .support import earn


async def test_testnet_is_compared_with_what_paper_would_have_made_of_it(sandbox):
    lab = Lab(Flip(0.01), sandbox=sandbox, profile="rehearsal", bar_interval_s=0.2)
    earn(lab, "paper")
    try:
        await lab.start("testnet")
        await lab.wait(fills=3, timeout_s=20)
        await asyncio.sleep(0.3)  # paper's own latency
        await lab.stop(flatten=True)
        report = lab.parity("testnet")
        table = report.to_frame()
        orders = lab.orders("testnet")
        assert set(table.index) == set(orders["decision_id"]) - {""}
        assert set(table["symbol"]) == {"BTC/USDT"}
        assert sum(report.parts.values()) == pytest.approx(float(report.total), abs=1e-9)
        assert report.parts["fees"] != 0  # the venue's fees are not paper's
        assert lab.parity("paper").rows == ()
        assert "SHADOW_ENDED" not in set(lab.alerts("testnet")["code"])
    finally:
        await lab.close()
