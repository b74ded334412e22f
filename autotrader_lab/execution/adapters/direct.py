"""What the adapters that speak to their venue without ccxt share: one order an id, and where the local sandbox is."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

from autotrader_lab.execution.adapters.base import NOT_SEEN
from autotrader_lab.model.errors import ConfigError, OrderError, OutcomeUnknown
from autotrader_lab.model.orders import Order, OrderStatus

__all__ = ["local_endpoint", "refuse_repeated", "sandbox_world"]


async def refuse_repeated(
    venue: str, earlier: Order | None, look_up: Callable[[Order], Awaitable[Order | None]]
) -> None:
    """Refuse a second order under an id that the venue has, or may have; venues themselves do so for a while only.

    Parameters
    ----------
    venue : str
    earlier : Order or None
        Our view of the order that was sent under the id before.
    look_up : callable
        Asks the venue about an order whose outcome is unknown; None if it has none.

    Raises
    ------
    OrderError
        If it is done.
    OutcomeUnknown
        If it works, or the venue turns out to have it.
    """
    if earlier is None or earlier.status is OrderStatus.REJECTED:
        return
    if earlier.status not in NOT_SEEN:
        kind = OutcomeUnknown if earlier.is_open else OrderError
        raise kind(
            f"{venue}: client_order_id {earlier.client_order_id!r} was sent before and is {earlier.status.value}; "
            "nothing was sent now, every order needs an id of its own"
        )
    if await look_up(earlier) is not None:
        raise OutcomeUnknown(
            f"{venue}: client_order_id {earlier.client_order_id!r} was sent before, the venue has it and it is "
            f"{earlier.status.value}; nothing was sent now"
        )


def sandbox_world(venue: str, block: Mapping[str, Any], environment: str, needed: Iterable[str]) -> Mapping[str, Any]:
    """The sandbox's entry for one world of a venue: ``live`` is nested, the test world is the entry itself.

    Raises
    ------
    ConfigError
        If it lacks something of `needed`.
    """
    world: Mapping[str, Any] = block.get("live", {}) if environment == "live" else block
    missing = [name for name in needed if name not in world]
    if missing:
        raise ConfigError(f"{venue}: the sandbox's addresses have no {', '.join(missing)} for {environment}")
    return world


def local_endpoint(venue: str, address: str) -> tuple[str, int]:
    """Host and port of ``host:port`` on this machine.

    Raises
    ------
    ConfigError
        If it is none.
    """
    host, _, port = address.rpartition(":")
    if host not in ("127.0.0.1", "localhost", "::1") or not port.isdigit():
        raise ConfigError(f"{venue}: {address!r} is no host:port of this machine, where a sandbox is")
    return host, int(port)
