"""One engine per account: two would take each other's orders and fills for drift.

A lock in the home, named by a hash of the account's key (no key is written anywhere) and held by the host for as long
as it trades there; the system lets go of it when the host dies.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from types import TracebackType
from typing import Self

from autotrader_lab.host.runs import home
from autotrader_lab.model.errors import HostError

__all__ = ["AccountLock", "account_name"]


def account_name(*parts: str) -> str:
    """A name for the account that these words (venue, world, key) identify, from which they cannot be read back."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


class AccountLock:
    """Held by the session that trades on an account.

    Parameters
    ----------
    account : str
        From :func:`account_name`; empty for simulated money, which needs no lock.
    session : str
        Who asks.
    """

    def __init__(self, account: str, session: str) -> None:
        self._account = account
        self._session = session
        self._descriptor: int | None = None

    def hold(self) -> None:
        """Take it.

        Raises
        ------
        HostError
            If another session of this home trades there; names it.
        """
        if not self._account or self._descriptor is not None:
            return
        folder = home() / "accounts"
        folder.mkdir(mode=0o700, exist_ok=True)
        descriptor = os.open(folder / f"{self._account}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace") or "another"
            os.close(descriptor)
            raise HostError(
                f"session {holder!r} trades on this account, and would take our orders for drift; end it first: "
                f"await (await Lab.attach({holder!r})).close()"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, self._session.encode(), 0)
        self._descriptor = descriptor

    def release(self) -> None:
        """Give it back. Twice is quiet."""
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def __enter__(self) -> Self:
        self.hold()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()
