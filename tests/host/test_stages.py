"""What a stage is built from."""

from __future__ import annotations

import pytest

from autotrader_lab.host.runs import RunFolder, SessionInfo
from autotrader_lab.host.stages import Settings, build_stage
from autotrader_lab.model.clock import SystemClock
from autotrader_lab.model.errors import ConfigError

SANDBOX = (
    '{"binance": {"rest": "http://127.0.0.1:1", "ws": "ws://127.0.0.1:2", "api_key": "k", "api_secret": "s",'
    ' "live": {"rest": "http://127.0.0.1:3", "ws": "ws://127.0.0.1:4", "api_key": "l", "api_secret": "t"}}}'
)


@pytest.mark.parametrize("stage", ["testnet", "live"])
def test_binance_takes_orders_over_the_connection_that_carries_the_reports(tmp_path, stage):
    info = SessionInfo(session="s", created_ns=1, version="0", sandbox=True)
    settings = Settings.from_environment(info, {"AUTOTRADER_LAB_SANDBOX": SANDBOX})
    parts = build_stage(settings, RunFolder(tmp_path), stage, {}, SystemClock())
    assert parts.adapter.websocket_orders
    assert parts.adapter.testnet is (stage == "testnet")
    assert parts.account
    with pytest.raises(ConfigError, match="takes no option 'history'"):
        build_stage(settings, RunFolder(tmp_path), stage, {"history": True}, SystemClock())
