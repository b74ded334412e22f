"""One connection of a client: the handshake, the pace, and the way out.

What comes in is read frame by frame and answered in order. What goes out is written at once; the exchange never waits
for a slow reader, who is cut off when too much piles up.
"""

from __future__ import annotations

import asyncio
import re
import struct
from collections import deque
from collections.abc import Callable, Mapping

from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo
from autotrader_lab.sandbox.venues.ibkr import reports
from autotrader_lab.sandbox.venues.ibkr.gateway import Gateway, Problem
from autotrader_lab.sandbox.venues.ibkr.ticks import Subscription
from autotrader_lab.sandbox.venues.ibkr.wire import MAX_VERSION, MIN_VERSION, BadField, Fields, frame, text

__all__ = ["CONNECTIVITY", "Pace", "Session"]

Report = list[str]

MOST_WAITING = 64 * 2**20
MOST_IN_A_FRAME = 16 * 2**20
VENUE = "ibkr"
EVENTS_OF_ORDERS = frozenset({"3", "5", "11", "59"})
EVENTS_OF_MARKETS = frozenset({"1", "2", "12", "13", "45", "46", "50", "90", "99"})
ORDERS = frozenset({3, 4, 58})
LISTS = frozenset({5, 7, 16, 99})
"""Requests that are answered with messages of the kinds that events have."""
NAMES: Mapping[int, str] = {
    1: "reqMktData",
    2: "cancelMktData",
    3: "placeOrder",
    4: "cancelOrder",
    5: "reqOpenOrders",
    6: "reqAccountUpdates",
    7: "reqExecutions",
    8: "reqIds",
    9: "reqContractDetails",
    10: "reqMktDepth",
    11: "cancelMktDepth",
    15: "reqAutoOpenOrders",
    16: "reqAllOpenOrders",
    17: "reqManagedAccts",
    20: "reqHistoricalData",
    25: "cancelHistoricalData",
    49: "reqCurrentTime",
    50: "reqRealTimeBars",
    51: "cancelRealTimeBars",
    58: "reqGlobalCancel",
    59: "reqMarketDataType",
    61: "reqPositions",
    62: "reqAccountSummary",
    63: "cancelAccountSummary",
    64: "cancelPositions",
    74: "reqPositionsMulti",
    76: "reqAccountUpdatesMulti",
    78: "reqSecDefOptParams",
    81: "reqMatchingSymbols",
    82: "reqMktDepthExchanges",
    87: "reqHeadTimestamp",
    91: "reqMarketRule",
    92: "reqPnL",
    93: "cancelPnL",
    94: "reqPnLSingle",
    95: "cancelPnLSingle",
    97: "reqTickByTickData",
    98: "cancelTickByTickData",
    99: "reqCompletedOrders",
}
"""What the published client calls the messages, for hooks and faults."""
CONNECTIVITY = {
    1100: "Connectivity between IB and Trader Workstation has been lost.",
    1101: "Connectivity between IB and Trader Workstation has been restored - data lost.",
    1102: "Connectivity between IB and Trader Workstation has been restored - data maintained.",
}
"""What clients are told of the gateway's own connection."""
BROKEN = 2110
"""The code that a fault answers with while the gateway's own connection is out; 1102 says that it is back."""
LOOK_S = 0.2
_HELLO = re.compile(rb"v(\d+)\.\.(\d+)(?: (.*))?", re.DOTALL)


class Pace:
    """How much a client may ask for.

    Parameters
    ----------
    messages_1s : int, default 50
        Messages a second; 0 is without limit.
    history_10min : int, default 60
        Historical requests in ten minutes; 0 is without limit.
    """

    def __init__(self, messages_1s: int = 50, history_10min: int = 60) -> None:
        self.messages_1s = messages_1s
        self.history_10min = history_10min
        self.history: deque[int] = deque()

    def count_history(self, now_ms: int) -> bool:
        """Count a historical request; False if it is one too many."""
        while self.history and now_ms - self.history[0] >= 600_000:
            self.history.popleft()
        self.history.append(now_ms)
        return not self.history_10min or len(self.history) <= self.history_10min


class Session:
    """A client's connection.

    Parameters
    ----------
    gateway : Gateway
        Whose.
    hooks : Hooks
        Where faults are put in.
    pace : Pace
        What is allowed.
    reader, writer : asyncio streams
        The connection.
    handle : callable
        Carries out a request: (session, message id, fields).
    admit : callable
        Takes a client id, or says False if it is in use.

    Attributes
    ----------
    is_quiet : bool
        While the gateway has no connection to IB: nothing of orders and markets goes out.
    """

    def __init__(
        self,
        gateway: Gateway,
        hooks: Hooks,
        pace: Pace,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        handle: Callable[[Session, int, Fields], None],
        admit: Callable[[Session], bool],
    ) -> None:
        self.gateway = gateway
        self.hooks = hooks
        self.pace = pace
        self.version = 0
        self.client_id = -1
        self.is_started = False
        self.is_quiet = False
        self.subscriptions: dict[int, Subscription] = {}
        self.wants_positions = False
        self.wants_account = False
        self.position_requests: set[int] = set()
        self.multi_requests: set[int] = set()
        self.summary_requests: dict[int, str] = {}
        self.profit_requests: dict[int, int | None] = {}
        self.profit_sent: dict[int, Report] = {}
        self.data_type = 1
        self._reader = reader
        self._writer = writer
        self._handle = handle
        self._admit = admit
        self._collected: list[Report] | None = None
        self._missed: list[Report] = []
        self._held: list[tuple[int, list[str]]] = []
        self._times: deque[float] = deque()
        self._violations = 0
        self._is_paced = False
        self._paused_until: float | None = None
        self._waiting: list[str] = []
        self._timer: asyncio.TimerHandle | None = None
        self._repair: asyncio.Task[None] | None = None

    # Out

    def send(self, report: Report) -> None:
        """Send a message; while a request is being carried out it waits for that to end."""
        if self._collected is not None:
            self._collected.append(report)
        else:
            self._pass(report)

    def _pass(self, report: Report) -> None:
        kind = report[0]
        is_order, is_market = kind in EVENTS_OF_ORDERS, kind in EVENTS_OF_MARKETS
        if self.is_quiet and (is_order or is_market):
            if is_order:
                self._missed.append(report)
            return
        if is_order or is_market:
            channel = "user" if is_order else "stream"
            self.hooks.frame(self.gateway.world.name, channel, text(report), self)
        else:
            self.put(text(report))

    def catch_up(self) -> None:
        """Send and carry out what was held back while the gateway had no connection."""
        missed, self._missed = self._missed, []
        for report in missed:
            self._pass(report)
        held, self._held = self._held, []
        for message_id, fields in held:
            self._attempt(message_id, fields)
        self.gateway.world.publish()

    def fail(self, request_id: int, code: int, message: str) -> None:
        """Send an error or notice."""
        self.send(reports.error(self.version, request_id, code, message))

    # The line that hooks write on

    def put(self, content: str) -> None:
        """Send a frame's content after what waits already; quiet once the connection is closed."""
        if self._paused_until is not None:
            self._waiting.append(content)
        else:
            self._write(frame(content))

    def pause(self, seconds: float) -> None:
        """Send nothing that is put from now on until so much later."""
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        if self._paused_until is None or until > self._paused_until:
            if self._timer is not None:
                self._timer.cancel()
            self._paused_until = until
            self._timer = loop.call_at(until, self._resume)

    def _resume(self) -> None:
        self._paused_until = self._timer = None
        waiting, self._waiting = self._waiting, []
        for content in waiting:
            self._write(frame(content))

    def _write(self, data: bytes) -> None:
        if self._writer.is_closing():
            return
        self._writer.write(data)
        if self._writer.transport.get_write_buffer_size() > MOST_WAITING:
            self.abort()

    def close(self) -> None:
        """End the connection once everything was sent."""
        if self._timer is not None:
            self._timer.cancel()
            self._resume()
        if not self._writer.is_closing():
            self._writer.close()

    def abort(self) -> None:
        """Break the connection without a goodbye."""
        if self._timer is not None:
            self._timer.cancel()
        self._writer.transport.abort()

    # In

    async def run(self) -> None:
        """Serve the connection until it ends."""
        try:
            if await self._shake_hands():
                while True:
                    await self._take(await self._read_frame())
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            if self._repair is not None:
                self._repair.cancel()
            self.close()

    async def _read_frame(self) -> bytes:
        (length,) = struct.unpack(">I", await self._reader.readexactly(4))
        if length > MOST_IN_A_FRAME:
            self.fail(-1, 507, "Bad Message Length")
            self.close()
            raise ConnectionResetError("a frame too long to be one")
        return await self._reader.readexactly(length)

    async def _shake_hands(self) -> bool:
        if await self._reader.readexactly(4) != b"API\0":
            return False
        hello = _HELLO.fullmatch((await self._read_frame()).rstrip(b"\0"))
        if hello is None:
            return False
        lowest, highest = int(hello.group(1)), int(hello.group(2))
        if lowest > MAX_VERSION or highest < MIN_VERSION:
            return False
        self.version = min(highest, MAX_VERSION)
        self._is_paced = b"+PACEAPI" in (hello.group(3) or b"")
        now = reports.stamp(self.gateway.world.now_ms())
        self._write(frame(text([str(self.version), now])))
        return True

    async def _take(self, body: bytes) -> None:
        fields = body.decode("utf-8", "replace").split("\0")
        if fields and fields[-1] == "":
            fields.pop()
        if not self._is_in_pace():
            return
        try:
            message_id = int(fields[0])
        except (IndexError, ValueError):
            self.fail(-1, 320, "Server error when reading an API client request.")
            return
        if message_id == 71 and not self.is_started:
            await self._start(Fields(fields[1:]))
            return
        if not self.is_started:
            self.fail(-1, 504, "Not connected")
            return
        await self._carry_out(message_id, fields)

    async def _carry_out(self, message_id: int, fields: list[str]) -> None:
        if self.is_quiet and message_id in ORDERS:
            self._held.append((message_id, fields))
            return
        world = self.gateway.world
        info = RequestInfo(
            world.name, "ws-api", NAMES.get(message_id, str(message_id)), _params(message_id, fields), VENUE
        )
        answer = await self.hooks.before(info)
        if answer is None:
            self._collected = []
            try:
                self._attempt(message_id, fields)
                world.publish()
            finally:
                collected, self._collected = self._collected, None
            answer = Answer(200, collected)
        told = await self.hooks.after(info, answer)
        if told is None:
            self.abort()
        elif isinstance(told.body, bytes):
            self._write(frame(told.body))
        elif isinstance(told.body, dict):
            code, message = int(told.body.get("code", 2148)), str(told.body.get("msg", told.body.get("error", "")))
            self.fail(int(info.params.get("id", -1)), code, message)
            if code == BROKEN and self._repair is None:
                self._repair = asyncio.create_task(self._tell_when_repaired(), name="sandbox ibkr repair")
        else:
            for report in told.body:
                if message_id in LISTS:
                    self.put(text(report))
                else:
                    self._pass(report)

    async def _tell_when_repaired(self) -> None:
        """Say that the gateway's connection is back as soon as no fault breaks it any more."""
        info = RequestInfo(self.gateway.world.name, "ws-api", "reqCurrentTime", {}, VENUE)
        is_broken = True
        while is_broken:
            await self.gateway.world.clock.sleep(LOOK_S)
            answer = await self.hooks.before(info)
            is_broken = answer is not None and isinstance(answer.body, dict) and answer.body.get("code") == BROKEN
        self._repair = None
        self.fail(-1, 1102, CONNECTIVITY[1102])

    def _attempt(self, message_id: int, fields: list[str]) -> None:
        request_id = int(_params(message_id, fields).get("id", -1))
        try:
            self._handle(self, message_id, Fields(fields[1:]))
        except BadField as wrong:
            self.fail(request_id, 320, f"Server error when reading an API client request. {wrong}")
        except Problem as problem:
            self.fail(request_id, problem.code, problem.message)

    async def _start(self, fields: Fields) -> None:
        try:
            fields.skip(1)
            self.client_id = fields.integer()
        except BadField as wrong:
            self.fail(-1, 320, f"Server error when reading an API client request. {wrong}")
            return
        if not self._admit(self):
            self.fail(-1, 326, "Unable to connect as the client id is already in use. Retry with a unique client id.")
            self.close()
            return
        self.is_started = True
        self.send(["15", "1", self.gateway.account.name])
        self.send(["9", "1", str(self.gateway.next_id(self.client_id))])
        self.fail(-1, 2104, "Market data farm connection is OK:usfarm")
        self.fail(-1, 2106, "HMDS data farm connection is OK:ushmds")
        self.fail(-1, 2158, "Sec-def data farm connection is OK:secdefnj")

    def _is_in_pace(self) -> bool:
        """Count a message. The third time that they come too fast the connection ends."""
        most = self.pace.messages_1s
        if not most or self._is_paced:
            return True
        now_s = asyncio.get_running_loop().time()
        while self._times and now_s - self._times[0] >= 1:
            self._times.popleft()
        self._times.append(now_s)
        if len(self._times) <= most:
            return True
        self._violations += 1
        count = len(self._times)
        self._times.clear()
        self.fail(
            -1, 100, f"Max rate of messages per second has been exceeded:max={most} rec={count} ({self._violations})"
        )
        if self._violations == 3:
            self.close()
            raise ConnectionResetError("too fast for the third time")
        return False


_ID_AT = {1: 2, 6: 0, 7: 2, 9: 2, 10: 2, 50: 2, 62: 2, 74: 2, 76: 2}
_ID_FIRST = frozenset({3, 20, 78, 81, 83, 87, 88, 92, 94, 96, 97, 100, 102, 104})
_NO_ID = frozenset({5, 8, 12, 14, 15, 16, 17, 24, 49, 58, 59, 61, 64, 71, 80, 82, 85, 91, 99})


def _params(message_id: int, fields: list[str]) -> dict[str, str]:
    """What hooks may look at: the request's or order's id, and an order's symbol and side."""
    place = 1 if message_id in _ID_FIRST else _ID_AT.get(message_id, 2 if message_id not in _NO_ID else 0)
    params: dict[str, str] = {}
    if place and len(fields) > place and fields[place].lstrip("-").isdigit():
        params["id"] = fields[place]
    if message_id == 3 and len(fields) > 16:
        symbol = f"{fields[3]}.{fields[11]}" if fields[4] == "CASH" else fields[3]
        params |= {"symbol": symbol, "side": fields[16], "quantity": fields[17], "type": fields[18]}
    return params
