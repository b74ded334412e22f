"""The sandbox's own loopback address: set the stage, and read the venue's own books for an audit.

No venue has such an address. Tests, demonstrations and notebooks use it to set balances, to move the market by
hand, and to compare the exchange's record of every order and trade with ours. A random token guards it.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from autotrader_lab.sandbox.books import dump_books
from autotrader_lab.sandbox.fault_plan import read_plan, read_rule
from autotrader_lab.sandbox.faults import Faults
from autotrader_lab.sandbox.instruments import new_secret
from autotrader_lab.sandbox.market import MarketDriver
from autotrader_lab.sandbox.orders import Refused, Side
from autotrader_lab.sandbox.sites import Site
from autotrader_lab.sandbox.units import parse_e8, text_e8
from autotrader_lab.sandbox.venues.binance.auth import read_public_key
from autotrader_lab.sandbox.world import ApiKey, World

__all__ = ["Control"]

TOKEN_HEADER = "X-Sandbox-Token"  # noqa: S105 - a header's name

Json = dict[str, Any]


class Control:
    """The control address.

    Parameters
    ----------
    token : str
        Must come in the header ``X-Sandbox-Token`` (or as ``Authorization: Bearer``).
    sites : mapping of str to Site
        The venues and their worlds. Requests choose with ``venue`` and ``world``; without them all are meant.
    driver : MarketDriver
        The market.
    faults : Faults
        The fault plan at work.
    """

    def __init__(
        self,
        token: str,
        sites: Mapping[str, Site],
        driver: MarketDriver,
        faults: Faults,
    ) -> None:
        self._token = token
        self._sites = sites
        self._driver = driver
        self._faults = faults

    def app(self) -> web.Application:
        """An application that serves it."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/status", self._status)
        app.router.add_get("/books", self._books)
        app.router.add_get("/faults", self._show_faults)
        app.router.add_delete("/faults", self._wrapped(self._end_faults))
        for path, action in (
            ("/balance", self._balance),
            ("/price", self._price),
            ("/trade", self._trade),
            ("/level", self._level),
            ("/pause", self._pause),
            ("/resume", self._resume),
            ("/advance", self._advance),
            ("/disconnect", self._disconnect),
            ("/key", self._key),
            ("/command", self._command),
            ("/faults", self._replace_faults),
            ("/faults/once", self._fault_once),
        ):
            app.router.add_post(path, self._wrapped(action))
        return app

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = request.headers.get(TOKEN_HEADER) or request.headers.get("Authorization", "").removeprefix("Bearer ")
        if not hmac.compare_digest(given.encode(), self._token.encode()):
            return web.json_response({"error": f"give the sandbox's control token in {TOKEN_HEADER}"}, status=401)
        return await handler(request)

    def _wrapped(self, action: Callable[[Json], Json]) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def handle(request: web.Request) -> web.StreamResponse:
            try:
                body = msgspec.json.decode(await request.read() or b"{}", type=dict[str, Any])
                answer = action(body)
            except KeyError as error:
                return web.json_response({"error": f"missing or unknown: {error}"}, status=400)
            except (ValueError, Refused, msgspec.MsgspecError) as error:
                return web.json_response({"error": str(error)}, status=400)
            finally:
                for world in self._chosen({}):
                    world.publish()
            return web.json_response(answer)

        return handle

    def _chosen(self, body: Json) -> list[World]:
        venue, world = body.get("venue"), body.get("world")
        sites = list(self._sites.values()) if venue is None else [self._sites[venue]]
        return [w for site in sites for w in (site.worlds.values() if world is None else [site.worlds[world]])]

    def _trading(self, body: Json) -> list[World]:
        """The chosen worlds in which a symbol trades: not every venue has every one."""
        symbol = body["symbol"]
        worlds = [world for world in self._chosen(body) if symbol in world.exchange.instruments]
        if not worlds:
            raise KeyError(symbol)
        return worlds

    def _site(self, venue: str | None) -> Site:
        return next(iter(self._sites.values())) if venue is None else self._sites[venue]

    async def _status(self, request: web.Request) -> web.StreamResponse:
        first = self._site(None)
        prices = {name: _last_prices(site) for name, site in self._sites.items()}
        return web.json_response(
            {
                "worlds": list(first.worlds),
                "venues": list(self._sites),
                "paused": self._driver.paused,
                "speed": self._driver.speed,
                "market_s": self._driver.market_ns / 1e9,
                "last_price": prices[first.name],
                "last_prices": prices,
            }
        )

    async def _books(self, request: web.Request) -> web.StreamResponse:
        venue, name = request.query.get("venue"), request.query.get("world", "testnet")
        if venue is not None and venue not in self._sites:
            return web.json_response({"error": f"no venue {venue!r}; there are {list(self._sites)}"}, status=400)
        worlds = self._site(venue).worlds
        if name not in worlds:
            return web.json_response({"error": f"no world {name!r}; there are {list(worlds)}"}, status=400)
        return web.json_response(dump_books(worlds[name]))

    async def _show_faults(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(self._faults.report())

    def _replace_faults(self, body: Json) -> Json:
        """Begin another plan; what the old one did is in the answer's `before`."""
        before = self._faults.report()
        self._faults.replace(read_plan(body))
        return {**self._faults.report(), "before": before}

    def _end_faults(self, body: Json) -> Json:
        """Let nothing go wrong any more; answers with what did."""
        before = self._faults.report()
        self._faults.replace(read_plan({}))
        return before

    def _fault_once(self, body: Json) -> Json:
        """Add a rule that strikes once."""
        self._faults.once(read_rule(body))
        return self._faults.report()

    def _balance(self, body: Json) -> Json:
        """Set what is free of an asset."""
        wanted = parse_e8(str(body["free"]))
        for world in self._chosen(body):
            for account in world.exchange.accounts.values():
                change = wanted - account.free.get(body["asset"], 0)
                world.exchange.deposit(account.name, body["asset"], change, world.now_ms())
        return {"asset": body["asset"], "free": text_e8(wanted)}

    def _key(self, body: Json) -> Json:
        """Register an Ed25519 public key (PEM) for a world's customer, as one does on Binance's site."""
        world = self._sites["binance"].worlds[body["world"]]
        read_public_key(body["public_key"])
        account = next(iter(world.exchange.accounts))
        key = ApiKey(new_secret(None), "", account, body["public_key"])
        world.keys[key.key] = key
        return {"api_key": key.key}

    def _price(self, body: Json) -> Json:
        """Move the whole outside market to a price: it trades there, and its book stands around it."""
        price = parse_e8(str(body["price"]))
        for world in self._trading(body):
            push_price(world, body["symbol"], price)
        return {"symbol": body["symbol"], "price": text_e8(price)}

    def _trade(self, body: Json) -> Json:
        """Let the outside market trade; `side` is the taker's."""
        taker, price, quantity = Side(body["side"]), parse_e8(str(body["price"])), parse_e8(str(body["quantity"]))
        for world in self._trading(body):
            world.exchange.market_trade(body["symbol"], taker, price, quantity, world.now_ms())
        return {"traded": text_e8(quantity)}

    def _level(self, body: Json) -> Json:
        """State the outside market's size at a price."""
        side, row = Side(body["side"]), (parse_e8(str(body["price"])), parse_e8(str(body["quantity"])))
        bids, asks = ([row], []) if side is Side.BUY else ([], [row])
        for world in self._trading(body):
            world.exchange.market_depth(body["symbol"], bids, asks, world.now_ms())
        return {"level": text_e8(row[0]), "quantity": text_e8(row[1])}

    def _pause(self, body: Json) -> Json:
        self._driver.paused = True
        return {"paused": True}

    def _resume(self, body: Json) -> Json:
        if not self._driver.speed:
            raise ValueError("the market has speed 0: start the sandbox with a speed, or use /advance")
        self._driver.paused = False
        return {"paused": False}

    def _advance(self, body: Json) -> Json:
        self._driver.advance(float(body["seconds"]))
        return {"market_s": self._driver.market_ns / 1e9}

    def _command(self, body: Json) -> Json:
        """Let a venue do what only it does to its customers: ``venue``, ``action``, and what the action takes."""
        venues = self._sites[body["venue"]].venues
        chosen = list(venues.values()) if body.get("world") is None else [venues[body["world"]]]
        commands = [getattr(venue, "command", None) for venue in chosen]
        if not all(commands):
            raise ValueError(f"{body['venue']} takes no commands")
        answers = [command(body["action"], body) for command in commands if command is not None]
        return {"answers": answers}

    def _disconnect(self, body: Json) -> Json:
        """Cut WebSocket connections, all or of one kind ("stream", "ws-api")."""
        kind = body.get("kind")
        if kind not in (None, "stream", "ws-api"):
            raise ValueError(f'kind {kind!r}: give "stream" or "ws-api", or leave it out')
        count = 0
        sites = list(self._sites.values()) if body.get("venue") is None else [self._sites[body["venue"]]]
        for site in sites:
            for name, venue in site.venues.items():
                if body.get("world") in (None, name):
                    count += venue.drop(kind)
        return {"disconnected": count}


def _last_prices(site: Site) -> Json:
    return {
        name: {symbol: text_e8(price) for symbol, price in world.exchange.last_price.items()}
        for name, world in site.worlds.items()
    }


def push_price(world: World, symbol: str, price: int) -> None:
    """Move a world's outside market to `price` (e8): old levels go, customers in the way are filled.

    Raises
    ------
    ValueError
        If the price is off the instrument's grid.
    KeyError
        If the symbol does not trade.
    """
    exchange = world.exchange
    instrument = exchange.instruments[symbol]
    if price <= 0 or price % instrument.tick:
        raise ValueError(f"price {text_e8(price)} is off the tick {text_e8(instrument.tick)} of {symbol}")
    now_ms, size = world.now_ms(), instrument.typical_size
    upwards = price >= exchange.last_price[symbol]
    bids = [(price - n * instrument.tick, size * n) for n in range(1, 21) if price > n * instrument.tick]
    asks = [(price + n * instrument.tick, size * n) for n in range(1, 21)]
    exchange.market_picture(symbol, bids, asks, now_ms)
    exchange.market_trade(symbol, Side.BUY if upwards else Side.SELL, price, instrument.step, now_ms)
