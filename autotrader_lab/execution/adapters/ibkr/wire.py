"""One connection to TWS or IB Gateway: the client library's socket and decoder, with nothing swallowed.

The library calls a *wrapper* for each message; here that is an ear that hands everything on, by the callback's name.
What its decoder cannot read is logged in few words, and never ends the connection; what is no frame of the protocol
does.
"""

from __future__ import annotations

import asyncio
import logging
import struct
from collections.abc import Callable
from datetime import UTC
from types import SimpleNamespace
from typing import Any

from autotrader_lab.execution.adapters.ibkr.library import Library
from autotrader_lab.execution.tasks import end_tasks
from autotrader_lab.model.errors import VenueUnavailable

__all__ = ["ClientIdInUse", "Wire"]

log = logging.getLogger(__name__)

_MOST_IN_A_FRAME = 64 * 2**20
_MOST_WAITING_BYTES = 1_000_000
_HEARD = frozenset(
    {
        "accountSummary",
        "accountSummaryEnd",
        "commissionReport",
        "completedOrder",
        "completedOrdersEnd",
        "contractDetails",
        "contractDetailsEnd",
        "currentTime",
        "error",
        "execDetails",
        "execDetailsEnd",
        "historicalData",
        "historicalDataEnd",
        "marketDataType",
        "marketRule",
        "nextValidId",
        "openOrder",
        "openOrderEnd",
        "orderStatus",
        "pnl",
        "position",
        "positionEnd",
        "priceSizeTick",
        "realtimeBar",
        "tickByTickAllLast",
        "tickReqParams",
        "tickSize",
        "updateMktDepth",
        "updateMktDepthL2",
    }
)

Deliver = Callable[[str, tuple[Any, ...]], None]


class ClientIdInUse(VenueUnavailable):
    """Another program is connected under our client id."""


class _Ear:
    """The wrapper that the library calls."""

    defaultTimezone = UTC  # noqa: N815 - the library's name

    def __init__(self, deliver: Deliver, time_zone: str) -> None:
        self.ib = SimpleNamespace(TimezoneTWS=time_zone)
        self._deliver = deliver

    def __getattr__(self, name: str) -> Any:
        if name in ("tcpDataArrived", "tcpDataProcessed"):
            raise AttributeError(name)
        if name not in _HEARD:
            return _pass_over
        return lambda *values: self._deliver(name, values)


def _pass_over(*values: Any) -> None:
    """A callback nobody here needs."""


class Wire:
    """A connection, from the dial to its end.

    Parameters
    ----------
    library : Library
    deliver : callable
        Takes a callback's name and values; called from the socket's reader, must not block.
    time_zone : str
        Of times that TWS tells without one; empty is this machine's.

    Attributes
    ----------
    ended : Future
        Has the error that ended the connection.
    """

    def __init__(self, library: Library, deliver: Deliver, time_zone: str = "") -> None:
        self.ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        # Looked at here, so that asyncio does not complain where nobody waits any more.
        self.ended.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
        self._closed = asyncio.Event()
        self._deliver = deliver
        self.client = _make_client(library, _Ear(self._hear, time_zone), self)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return not self.ended.done() and bool(self.client.isReady())

    @property
    def accounts(self) -> list[str]:
        """Accounts of the login."""
        return list(self.client.getAccounts())

    async def open(self, host: str, port: int, client_id: int, timeout_s: float) -> None:
        """Dial, shake hands, log the client id on.

        Raises
        ------
        ClientIdInUse
        VenueUnavailable
            If there is nobody, or somebody who is no TWS.
        """
        where = f"{host}:{port}"
        dialling = asyncio.ensure_future(self.client.connectAsync(host, port, client_id, timeout_s))
        try:
            await asyncio.wait({dialling, self.ended}, return_when=asyncio.FIRST_COMPLETED)
            if self.ended.done() and not dialling.done():
                self.ended.result()
            dialling.result()
        except TimeoutError:
            raise VenueUnavailable(
                f"{where} took the connection and did not answer within {timeout_s:g} s; is it TWS or IB Gateway, "
                "logged in, with no question box open?"
            ) from None
        except OSError as error:
            raise VenueUnavailable(
                f"{where} cannot be reached ({error}); start TWS or IB Gateway, and enable socket clients on this port"
            ) from error
        finally:
            await end_tasks(dialling)

    def check(self) -> None:
        """Raise unless a message can be sent now.

        Raises
        ------
        VenueUnavailable
            If there is no connection, or the other side has stopped reading.
        """
        if not self.is_open:
            raise VenueUnavailable("there is no connection to TWS right now")
        waiting = self.client.conn.transport.get_write_buffer_size()
        if waiting > _MOST_WAITING_BYTES:
            raise VenueUnavailable(f"TWS has stopped reading, {waiting} bytes wait")

    def end(self, why: Exception) -> None:
        """Take note that it is over."""
        if not self.ended.done():
            self.ended.set_exception(why)

    async def close(self) -> None:
        """Close the socket and wait until it is."""
        self.end(VenueUnavailable("the connection was closed here"))
        transport = self.client.conn.transport
        if transport is None:
            return
        # close() would wait for a peer that no longer reads.
        if transport.get_write_buffer_size():
            transport.abort()
        else:
            self.client.disconnect()
        await self._closed.wait()

    def _hear(self, name: str, values: tuple[Any, ...]) -> None:
        if name == "error" and values[1] == 326:
            self.end(
                ClientIdInUse(
                    f"client_id {self.client.clientId} is in use by another program (326 {values[2]}); "
                    "give another client_id"
                )
            )
            return
        try:
            self._deliver(name, values)
        except Exception as error:
            # Whatever a message does to us, the answer is a new connection and asking the venue.
            log.exception("ibkr: a message could not be taken")
            self.end(VenueUnavailable(f"a message ({name}) could not be taken: {error!r}"))


def _make_client(library: Library, ear: _Ear, wire: Wire) -> Any:
    """The library's client, which tells `wire` what it would only have logged."""

    class _Decoder(library.decoder):  # type: ignore[misc,name-defined]
        def interpret(self, fields: list[str]) -> None:
            try:
                handler = self.handlers.get(int(fields[0]))
                if handler is None:
                    log.info("ibkr: a message of type %.20s is not for us", fields[0])
                else:
                    handler(fields)
            except Exception as error:  # noqa: BLE001 - fields missing or no numbers: the library raises whatever comes
                log.warning(
                    "ibkr: a message of %d fields was not understood: %.200r: %r", len(fields), fields[:6], error
                )

    class _Client(library.client):  # type: ignore[misc,name-defined]
        # We count what we send ourselves: an order must not wait unseen in a queue.
        MaxRequests = 0

        def _onSocketHasData(self, data: bytes) -> None:  # noqa: N802 - the library's name
            try:
                super()._onSocketHasData(data)
                length = struct.unpack(">I", self._data[:4])[0] if len(self._data) >= 4 else 0
            except Exception as error:  # noqa: BLE001 - rubbish instead of a handshake raises anything
                wire.end(VenueUnavailable(f"what answers is no TWS: {error!r}"))
                self.conn.transport.abort()
                return
            if length > _MOST_IN_A_FRAME:
                wire.end(VenueUnavailable(f"what answers is no TWS: a message of {length} bytes"))
                self.conn.transport.abort()

        def _onSocketDisconnected(self, msg: str) -> None:  # noqa: N802 - the library's name
            by_us = (
                ""
                if self.isConnected()
                else " before it said anything; are this machine's address and API clients allowed?"
            )
            super()._onSocketDisconnected(msg)
            wire._closed.set()
            wire.end(VenueUnavailable(f"TWS closed the connection{f' ({msg})' if msg else by_us}"))

    client = _Client(ear)
    client.decoder = _Decoder(ear, 0)
    return client
