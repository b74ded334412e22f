"""The venues as benchmarks and crash tests meet them: how to make an adapter, what to trade, how to read the books.

One row a venue. What a row says is read off the sandbox's printed addresses and its books, so that whoever judges with
it shares nothing with the engine but the names of orders.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.adapters.catalog import make_adapter, sandbox_arguments
from autotrader_lab.execution.adapters.ccxt_names import encode_name

__all__ = ["KITS", "TIMEOUT_S", "Kit", "Pair", "chosen"]


@dataclass(frozen=True)
class Pair:
    """What is traded: the universal symbol, the name in the sandbox's books, and what a trade exchanges for what.

    `tick` is how finely mean prices are told, where a venue tells means.
    """

    symbol: str
    name: str
    base: str
    quote: str
    tick: str = "0"


@dataclass(frozen=True)
class Kit:
    """One venue.

    Attributes
    ----------
    name : str
    pairs : tuple of Pair
        The first is what simple benchmarks trade.
    scale : float
        Sizes of the chaos benchmark, as a multiple of those for crypto (some 100 of the quote currency).
    calm : float
        How far prices of the chaos benchmark lie from the market, as a part of those for crypto.
    quantity : float
        What simple benchmarks trade of the first pair.
    gap_s : float
        How long simple benchmarks wait between orders, so that the venue takes them all.
    crosses : bool
        Whether a limit order that waits may be priced through the market.
    lone_channel, shared_channel : str or None
        Fault channels where each request stands alone, and where a cut takes the whole line with it.
    replaces : bool
        Whether a changed order is a new one of the venue's under the same id of ours.
    orders_1s : float or None
        As much as the venue's limits let the chaos benchmark do in a second, where the sandbox keeps to them.
    commands : tuple of mapping
        What the sandbox is told first (``POST /command``): limits that are lifted for load tests.
    numbered : bool
        Whether the venue numbers its events, so that a client notices each that is missing and ends the connection.
    quick : mapping
        Constructor arguments for tests and benchmarks that do much at once: no waiting for the venue's limits.
    chaos : mapping
        Constructor arguments for the chaos benchmark beyond the sandbox's.
    client_id : callable
        How the venue writes an id of ours.
    trade_number : callable or None
        The number, in the sandbox's books, of the execution that an execution id of ours names; None where it cannot
        be told: then an order's executions are matched by what they say.
    merges : bool
        Whether one execution of ours may be several trades of the sandbox's in a row, told as one.
    cash_step : str
        The venue keeps profits in whole multiples of this: cash may be off by so much for each execution.
    """

    name: str
    pairs: tuple[Pair, ...]
    quantity: float
    scale: float = 1.0
    calm: float = 1.0
    gap_s: float = 0.0
    crosses: bool = True
    lone_channel: str | None = "rest"
    shared_channel: str | None = "ws-api"
    replaces: bool = False
    orders_1s: float | None = None
    commands: tuple[Mapping[str, Any], ...] = ()
    numbered: bool = False
    quick: Mapping[str, Any] = field(default_factory=dict)
    chaos: Mapping[str, Any] = field(default_factory=dict)
    client_id: Callable[[str], str] = str
    trade_number: Callable[[str], str] | None = None
    merges: bool = False
    cash_step: str = "0"

    @property
    def symbol(self) -> str:
        """What simple benchmarks trade."""
        return self.pairs[0].symbol

    @property
    def symbols(self) -> dict[str, tuple[str, str, str]]:
        """Universal symbol to (name in the books, base, quote)."""
        return {pair.symbol: (pair.name, pair.base, pair.quote) for pair in self.pairs}

    def adapter(self, addresses: Mapping[str, Any], **more: Any) -> BaseBrokerAdapter:
        """An adapter of the sandbox's test world, not connected."""
        return make_adapter(self.name, {**sandbox_arguments(self.name, addresses, testnet=True), **more})

    def tick(self, name: str) -> Decimal:
        """How finely mean prices of a pair are told; `name` is that in the books."""
        return next(Decimal(pair.tick) for pair in self.pairs if pair.name == name)

    def far(self, price: float) -> float:
        """A price for a buy order that is not reached, but not refused for being absurd either."""
        return price * (1 - 0.3 * self.calm)

    def max_cash_error(self, executions: int) -> Decimal:
        """How far cash may be off after so many executions; the journal's own fold rounds costs to 1e-12."""
        return Decimal("1e-6") + Decimal(self.cash_step) * executions


TIMEOUT_S = 2.0
CRYPTO = {"timeout_s": TIMEOUT_S, "clock_sync_s": 1.0}


def _pairs(separator: str, *symbols: str, tick: str = "0") -> tuple[Pair, ...]:
    rows = [(symbol, *symbol.split("/")) for symbol in symbols]
    return tuple(Pair(symbol, f"{base}{separator}{quote}", base, quote, tick) for symbol, base, quote in rows)


KITS: dict[str, Kit] = {
    kit.name: kit
    for kit in (
        Kit(
            "binance",
            _pairs("", "BTC/USDT", "ETH/USDT"),
            quantity=0.001,
            chaos=CRYPTO,
            trade_number=str,
        ),
        Kit(
            "okx",
            _pairs("", "BTC/USDT", "ETH/USDT"),
            quantity=0.001,
            chaos={**CRYPTO, "paced": False},
            client_id=encode_name,
            trade_number=str,
        ),
        Kit(
            "coinbase",
            _pairs("", "BTC/USDT", "ETH/USDT"),
            quantity=0.001,
            shared_channel=None,
            numbered=True,
            # Tokens live for whole seconds.
            chaos={**CRYPTO, "paced": False, "order_window_s": 2.0},
        ),
        Kit(
            "fxcm",
            _pairs("", "EUR/USD", "GBP/USD", tick="0.00001"),
            quantity=1000,
            scale=60.0,
            calm=0.15,
            crosses=False,
            lone_channel=None,
            shared_channel="fix",
            # As for Oanda, below.
            chaos={"timeout_s": TIMEOUT_S, "arrival_window_s": TIMEOUT_S + 4.5},
            merges=True,
        ),
        Kit(
            "oanda",
            _pairs("_", "EUR/USD", "GBP/USD", tick="0.00001"),
            quantity=1000,
            scale=60.0,
            calm=0.15,
            shared_channel=None,
            # The venue sets no end to how long an order may be on its way: longer than the faults' longest, then.
            chaos={"timeout_s": TIMEOUT_S, "arrival_window_s": TIMEOUT_S + 4.5, "paced": False},
            merges=True,
            replaces=True,
            orders_1s=30.0,
            gap_s=0.03,
            quick={"paced": False},
            cash_step="0.0001",
        ),
        Kit(
            "ibkr",
            (Pair("AAPL", "AAPL", "AAPL", "USD"), Pair("MSFT", "MSFT", "MSFT", "USD")),
            quantity=10,
            scale=60.0,
            calm=0.5,
            lone_channel=None,
            gap_s=0.03,
            quick={"messages_1s": 0},
            commands=({"action": "pace", "messages_1s": 0},),
            chaos={"timeout_s": TIMEOUT_S, "messages_1s": 0, "heartbeat_s": 1.0},
            trade_number=lambda execution_id: str(int(execution_id.split(".")[2], 16)),
        ),
    )
}


def chosen(venue: str) -> list[Kit]:
    """The kit of one venue, or with ``all`` every one."""
    return list(KITS.values()) if venue == "all" else [KITS[venue]]
