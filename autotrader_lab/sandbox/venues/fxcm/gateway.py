"""FXCM's FIX port: connections, logons, and every message through the seams where faults are put in.

Application messages that go out pass the hooks before they get a sequence number, as if the venue itself had lost,
doubled or delayed them: a client sees a whole session with something missing in it, which is the harder case.
"""

from __future__ import annotations

import asyncio
import hmac
import ssl
from collections.abc import Callable
from typing import Any

from autotrader_lab.sandbox.doors import HOST
from autotrader_lab.sandbox.venues.fxcm.desk import Desk, Said, business_reject
from autotrader_lab.sandbox.venues.fxcm.render import Customer
from autotrader_lab.sandbox.venues.fxcm.session import Acceptor
from autotrader_lab.sandbox.venues.fxcm.wire import SOH, Incoming, Tags
from autotrader_lab.sandbox.venues.hooks import Answer, Hooks, RequestInfo

__all__ = ["Connection", "FixDoor"]

COMP_ID = "FXCM"
MOST_WAITING_BYTES = 8_000_000
CHANNEL = "fix"


class Connection:
    """One client's connection; also the line that its outgoing messages are put on.

    Parameters
    ----------
    customer : Customer
        Who may log on.
    desk : Desk
        What the account can do.
    hooks : Hooks
        Where faults are put in.
    world : str
        For the hooks.
    publish : callable
        Lets the exchange's events out.
    may_enter : callable
        Whether a logon may go on now: a sender is logged on once.
    """

    def __init__(
        self,
        customer: Customer,
        desk: Desk,
        hooks: Hooks,
        world: str,
        publish: Callable[[], None],
        may_enter: Callable[[Connection], bool],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.session = Acceptor(COMP_ID, customer.session_id, self._write, desk.world.now_ms)
        self.quotes: dict[str, tuple[str, tuple[int, int]]] = {}
        self.is_user = False
        self._customer = customer
        self._desk = desk
        self._hooks = hooks
        self._world = world
        self._publish = publish
        self._may_enter = may_enter
        self._reader = reader
        self._writer = writer
        self._captured: list[Said] | None = None
        self._answers: set[asyncio.Task[None]] = set()
        self._late: asyncio.TimerHandle | None = None
        self._waiting: list[tuple[float, str]] = []

    # --- outgoing -------------------------------------------------------------------------------------------------

    @property
    def is_deserted(self) -> bool:
        """Whether the client has closed its side, though what it sent before may still be in work."""
        return self._reader.at_eof() or self._writer.is_closing()

    def say(self, said: Said, channel: str = "user") -> None:
        """Send an application message, through the hooks; never waits.

        What a request causes at once is its answer; only what comes by itself is an event of the account's.
        """
        if self._captured is not None and channel == "user":
            self._captured.append(said)
            return
        kind, tags = said
        if self.session.is_open:
            text = SOH.join([f"35={kind}", *(f"{tag}={value}" for tag, value in tags)])
            self._hooks.frame(self._world, channel, text, self)

    def put(self, text: str) -> None:
        """Send what passed the hooks, after what waits already."""
        if self._waiting:
            self._waiting.append((0.0, text))
        else:
            self._send(text)

    def pause(self, seconds: float) -> None:
        """Let what is put from now on wait so much longer."""
        self._waiting.append((seconds, ""))
        if self._late is None:
            self._late = asyncio.get_running_loop().call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._late = None
        self._waiting.pop(0)
        while self._waiting:
            seconds, text = self._waiting[0]
            if not text:
                self._late = asyncio.get_running_loop().call_later(seconds, self._go_on)
                return
            self._waiting.pop(0)
            self._send(text)

    def close(self) -> None:
        """Log the client out and close."""
        self.session.logout("the session is closed by the venue")
        self._writer.close()

    def abort(self) -> None:
        """Cut the connection without a goodbye."""
        self.session.is_over, self.session.is_open = True, False
        if self._late is not None:
            self._late.cancel()
        self._writer.transport.abort()

    def _send(self, text: str) -> None:
        if not self.session.is_open:
            return
        pairs = [part.partition("=") for part in text.split(SOH)]
        if not all(equals and tag.isdigit() for tag, equals, _ in pairs) or not text.startswith("35="):
            self._write(text.encode("latin-1", "replace"))
            return
        tags: Tags = [(int(tag), value) for tag, _, value in pairs]
        self.session.send(tags[0][1], tags[1:])

    def _write(self, data: bytes) -> None:
        transport = self._writer.transport
        if transport.is_closing():
            return
        if transport.get_write_buffer_size() > MOST_WAITING_BYTES:
            self.abort()
            return
        self._writer.write(data)

    # --- incoming -------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Read until the connection ends; then nothing of it is left."""
        try:
            await self._read()
        finally:
            for task in list(self._answers):
                task.cancel()
            await asyncio.gather(*self._answers, return_exceptions=True)
            if self._late is not None:
                self._late.cancel()

    async def _read(self) -> None:
        while not self.session.is_over and (data := await self._reader.read(65_536)):
            for message in self.session.feed(data):
                if not self.session.is_open:
                    self._log_on(message)
                else:
                    await self._take(message)

    def _log_on(self, message: Incoming) -> None:
        who = self._customer
        if not message[57]:
            # "If you are not receiving any responses to your Logon message, it is likely because you have not
            # included TargetSubID."
            return
        named = (message[49], message[56], message[57])
        if named != (who.sender, COMP_ID, who.session_id):
            self.session.refuse(message, f"Unknown session {'->'.join(named[:2])}/{named[2]}")
        elif 553 in message and not self._is_right(message):
            self.session.refuse(message, "Incorrect user name or password")
        elif not self._may_enter(self):
            self.session.refuse(message, "Session is already logged on")
        else:
            self.is_user = 553 in message
            self.session.accept(message)

    def _is_right(self, message: Incoming) -> bool:
        who = self._customer
        right = hmac.compare_digest(message[554].encode(), who.password.encode())
        return right and message[553].lower() == who.user.lower()

    async def _take(self, message: Incoming) -> None:
        names = {tag: str(value) for tag, value in message.tags}
        side = {"1": "buy", "2": "sell"}.get(names.get(54, ""), "")
        params: dict[str, Any] = {"symbol": names.get(55, ""), "side": side, "tags": names}
        info = RequestInfo(self._world, CHANNEL, message.kind, params, "fxcm")
        answer = await self._hooks.before(info)
        said: list[Said] = []
        is_real = answer is None
        if answer is None:
            # What the request causes is its answer: it is held until the hooks have seen the request through.
            self._captured = said
            acted = self._act(message)
            self._publish()
            self._captured = None
            said += acted
            answer = Answer(200, {})
        # An answer that is late does not hold up what was asked after it.
        task = asyncio.create_task(self._answer(message, info, answer, said, is_real), name="sandbox fxcm answer")
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(
        self, message: Incoming, info: RequestInfo, answer: Answer, said: list[Said], is_real: bool
    ) -> None:
        final = await self._hooks.after(info, answer)
        if final is None:
            self.abort()
        elif isinstance(final.body, bytes):
            self._write(final.body)
        elif is_real and final.status == 200:
            for one in said:
                self.say(one, CHANNEL)
        else:
            body = final.body if isinstance(final.body, dict) else {}
            text = str(body.get("error", "Application not available"))
            self.say(("j", business_reject(message, text, "4")), CHANNEL)

    def _act(self, message: Incoming) -> list[Said]:
        if message.kind == "BE":
            return [self._user_request(message)]
        if not self.is_user:
            return [("j", business_reject(message, "Not logged in: send a UserRequest first", "6"))]
        if message.kind == "V":
            return self._subscribe(message)
        if message.kind not in self._desk.kinds:
            return [("j", business_reject(message, f"Unsupported message type {message.kind}", "3"))]
        return self._desk.handle(message)

    def _user_request(self, message: Incoming) -> Said:
        self.is_user = self._is_right(message)
        status: Tags = [(926, "1")] if self.is_user else [(926, "4"), (927, "Incorrect user name or password")]
        return "BF", [(553, message[553]), (923, message[923]), *status]

    def _subscribe(self, message: Incoming) -> list[Said]:
        products = {product.name: product for product in self._desk.products}
        names = message.all(55)
        unknown = [name for name in names if name not in products]
        if unknown or not names or message[263] not in ("0", "1", "2"):
            text = f"Unknown symbol {', '.join(unknown)}" if unknown else "SubscriptionRequestType or symbols missing"
            return [("Y", [(58, text), (262, message[262]), (281, "0" if unknown else "4")])]
        if message[263] == "2":
            for name in names:
                self.quotes.pop(name, None)
            return []
        said = [self._desk.quote(products[name], message[262]) for name in names]
        if message[263] == "1":
            for name in names:
                self.quotes[name] = (message[262], self._desk.touch(products[name].instrument.symbol))
        return said

    def send_quotes(self) -> None:
        """Send what changed of what was subscribed to."""
        if not self.quotes:
            return
        for product in self._desk.products:
            known = self.quotes.get(product.name)
            if known is None:
                continue
            now = self._desk.touch(product.instrument.symbol)
            if now != known[1] and all(now):
                self.quotes[product.name] = (known[0], now)
                self.say(self._desk.quote(product, known[0]), "stream")


class FixDoor:
    """A port that speaks FIX.

    Parameters
    ----------
    serve : callable
        Serves one connection until it ends.
    """

    def __init__(self, serve: Any) -> None:
        self._serve = serve
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def open(self, port: int, tls: ssl.SSLContext | None) -> int:
        """Listen on `port` (0: any) of the loopback address and return the port."""
        self._server = await asyncio.start_server(self._enter, HOST, port, ssl=tls)
        opened: int = self._server.sockets[0].getsockname()[1]
        return opened

    async def _enter(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None, "a server runs its connections as tasks"
        self._tasks.add(task)
        try:
            await self._serve(reader, writer)
        except (ConnectionError, asyncio.CancelledError):
            # The client is gone, or the sandbox stops: either way the connection ends here.
            return
        finally:
            self._tasks.discard(task)
            writer.close()

    async def close(self) -> None:
        """Close the port and every connection; quiet when it never opened."""
        server, self._server = self._server, None
        if server is not None:
            server.close()
            for task in list(self._tasks):
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            await server.wait_closed()
