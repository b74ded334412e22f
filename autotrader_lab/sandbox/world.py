"""A world of the sandbox: one exchange with its customer, what its public has seen, and who listens.

*testnet* and *live* are two worlds over the same market: separate keys, accounts, books and records. A world
knows no protocol; venues subscribe to what happens in it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from autotrader_lab.model.clock import Clock
from autotrader_lab.sandbox.exchange import Exchange
from autotrader_lab.sandbox.orders import Fees, Instrument, Order, TradeEvent
from autotrader_lab.sandbox.settlement import Event
from autotrader_lab.sandbox.tape import Tape

__all__ = ["ApiKey", "World"]


class ApiKey(msgspec.Struct, frozen=True):
    """A customer's key and the account it opens.

    `secret` is shared for HMAC keys; for Ed25519 and ECDSA keys there is none, only the customer's `public_key` (PEM).
    OKX asks for a `passphrase` as well.
    """

    key: str
    secret: str
    account: str
    public_key: str = ""
    passphrase: str = ""

    def __repr__(self) -> str:
        return f"ApiKey({self.key[:4]}…, account={self.account!r})"


class World:
    """One world.

    Parameters
    ----------
    name : str
        "testnet" or "live".
    instruments : sequence of Instrument
        What trades here.
    key : ApiKey
        The customer's key.
    balances : mapping of str to int
        The customer's opening balances, e8 by asset.
    clock : Clock
        Stamps everything.
    first_id : int, default 1
        Where order and trade numbers start; apart in each world, so that a mix-up shows.
    exchange : Exchange, optional
        What matches here, for venues that need another than the plain spot exchange; `first_id` is its own then.
    fees : Fees, optional
        The customer's commission rates.
    """

    def __init__(
        self,
        name: str,
        instruments: Sequence[Instrument],
        key: ApiKey,
        balances: Mapping[str, int],
        clock: Clock,
        first_id: int = 1,
        exchange: Exchange | None = None,
        fees: Fees | None = None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.exchange = exchange if exchange is not None else Exchange(instruments, first_id)
        self.tapes = {instrument.symbol: Tape(instrument) for instrument in instruments}
        self.keys = {key.key: key}
        self.aside: list[Callable[[], Sequence[Order]]] = []
        self.listeners: list[Callable[[Sequence[Event]], None]] = []
        self.exchange.open_account(key.account, dict(balances), self.now_ms(), fees)
        self.exchange.drain()

    def now_ms(self) -> int:
        """The venue's wall time, ms since the epoch."""
        return self.clock.now_ns() // 1_000_000 + self.exchange.skew_ms()

    def publish(self) -> None:
        """Record what happened and tell the listeners."""
        events = self.exchange.drain()
        for event in events:
            if isinstance(event, TradeEvent):
                self.tapes[event.symbol].add(event)
        for listener in self.listeners:
            listener(events)
