"""How a message finds the function that carries it out."""

from __future__ import annotations

from collections.abc import Callable

from autotrader_lab.sandbox.venues.ibkr.gateway import Problem
from autotrader_lab.sandbox.venues.ibkr.placing import Uncovered
from autotrader_lab.sandbox.venues.ibkr.session import Session
from autotrader_lab.sandbox.venues.ibkr.wire import Fields

__all__ = ["HANDLERS", "handle", "on"]

HANDLERS: dict[int, Callable[[Session, Fields], None]] = {}


def handle(session: Session, message_id: int, fields: Fields) -> None:
    """Carry out one request.

    Raises
    ------
    Problem
        If TWS answers it with an error.
    BadField
        If it cannot be read.
    """
    handler = HANDLERS.get(message_id)
    if handler is None:
        raise Problem(321, f"Error validating request.-'{message_id}' : cause - The sandbox does not cover it.")
    try:
        handler(session, fields)
    except Uncovered as uncovered:
        raise Problem(
            321, f"Error validating request.-'{message_id}' : cause - The sandbox does not cover {uncovered}."
        ) from uncovered


def on(*numbers: int) -> Callable[[Callable[[Session, Fields], None]], Callable[[Session, Fields], None]]:
    """Register a function for messages with these numbers."""

    def register(handler: Callable[[Session, Fields], None]) -> Callable[[Session, Fields], None]:
        for message_id in numbers:
            HANDLERS[message_id] = handler
        return handler

    return register
