"""The seam where faults are put in: every request, every answer and every outgoing frame passes here.

The default lets everything through. A fault script subclasses :class:`Hooks` and overrides what it needs; because
``after`` runs when the exchange has already acted, losing an answer there is exactly the case in which a client must
not send again.
"""

from __future__ import annotations

from typing import Any

import msgspec

from autotrader_lab.sandbox.faults import Line

__all__ = ["Answer", "Hooks", "RequestInfo"]


class Answer(msgspec.Struct):
    """What goes back.

    Attributes
    ----------
    status : int
        Of HTTP, or what the venue has in its place.
    body : object
        JSON values, or bytes to be sent as they are.
    headers : dict of str to str
    counts_of : str or None
        Whose order counts it reports (Binance).
    is_fault : bool
        Whether a fault made it, not the venue.
    """

    status: int
    body: Any
    headers: dict[str, str] = {}
    counts_of: str | None = None
    is_fault: bool = False


class RequestInfo(msgspec.Struct, frozen=True):
    """What a hook may look at: world, "rest" or "ws-api", operation name, parameters as sent, and the venue."""

    world: str
    channel: str
    operation: str
    params: dict[str, Any]
    venue: str = "binance"


class Hooks:
    """Lets everything through."""

    async def before(self, request: RequestInfo) -> Answer | None:
        """Answer instead of the venue, without the exchange seeing the request; None to go on."""
        return None

    async def after(self, request: RequestInfo, answer: Answer) -> Answer | None:
        """Change the answer; None closes the connection without one."""
        return answer

    def outgoing(self, world: str, channel: str, text: str) -> tuple[str, ...]:
        """The frames to send instead of one WebSocket frame; `channel` is "stream", "ws-api" or "user"."""
        return (text,)

    def frame(self, world: str, channel: str, text: str, line: Line) -> None:
        """Send one frame on its line: late, twice, not at all, or cut the line; by default as :meth:`outgoing` says."""
        for one in self.outgoing(world, channel, text):
            line.put(one)
