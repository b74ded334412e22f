"""One engine per account."""

from __future__ import annotations

import pytest

from autotrader_lab.host.accounts import AccountLock, account_name
from autotrader_lab.model.errors import HostError


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOTRADER_LAB_HOME", str(tmp_path))


def test_the_name_tells_accounts_apart_and_gives_no_key_away():
    name = account_name("binance", "testnet", "my-key")
    assert name != account_name("binance", "live", "my-key")
    assert "my-key" not in name


def test_a_second_session_is_refused_by_name_until_the_first_lets_go(tmp_path):
    first, second = AccountLock("abc", "first"), AccountLock("abc", "second")
    first.hold()
    first.hold()
    with pytest.raises(HostError, match="session 'first' trades on this account"):
        second.hold()
    first.release()
    first.release()
    second.hold()
    second.release()
    assert (tmp_path / "accounts" / "abc.lock").stat().st_mode & 0o777 == 0o600


def test_simulated_money_needs_no_lock(tmp_path):
    with AccountLock("", "one"), AccountLock("", "two"):
        assert not (tmp_path / "accounts").exists()
