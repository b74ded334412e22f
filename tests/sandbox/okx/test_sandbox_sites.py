"""Venues side by side: own worlds and keys, one market, fixed ports, TLS, and clear words for what cannot be."""

import json
import ssl
import subprocess
import sys

import aiohttp
import pytest

from autotrader_lab.sandbox import Sandbox, start_sandbox
from autotrader_lab.sandbox.orders import Side

BOTH = ["okx", "coinbase"]


@pytest.mark.parametrize("venues", [["kraken"], []])
def test_unknown_venues(venues: list[str]) -> None:
    with pytest.raises(ValueError, match=r"choose from binance, okx, coinbase"):
        Sandbox(venues=venues)


async def test_one_market_in_every_venue() -> None:
    async with Sandbox(seed=3, speed=0, venues=["binance", *BOTH]) as box:
        box.driver.advance(5)
        exchanges = [world.exchange for site in box.sites.values() for world in site.worlds.values()]
        depths = [exchange.books["BTCUSDT"].depth(Side.BUY, 30) for exchange in exchanges]
        assert all(depth == depths[0] for depth in depths)
        twin = box.sites["coinbase"].worlds["live"].exchange.books["BTCUSD"].depth(Side.BUY, 30)
        assert twin == depths[0], "Coinbase's dollar pair is the same market"
        keys = [key for site in box.sites.values() for world in site.worlds.values() for key in world.keys]
        assert len(set(keys)) == 6
        async with aiohttp.ClientSession(headers={"X-Sandbox-Token": box.addresses["control"]["token"]}) as session:
            url = box.addresses["control"]["url"]
            async with session.get(f"{url}/status") as response:
                assert (await response.json())["venues"] == ["binance", *BOTH]
            async with session.post(f"{url}/price", json={"symbol": "BTCUSD", "price": "50000"}) as response:
                assert response.status == 200
            async with session.post(f"{url}/price", json={"symbol": "BTCEUR", "price": "50000"}) as response:
                assert response.status == 400
            body = {"venue": "okx", "world": "live", "asset": "USDT", "free": "5"}
            async with session.post(f"{url}/balance", json=body) as response:
                assert response.status == 200
            async with session.get(f"{url}/books?venue=okx&world=live") as response:
                books = await response.json()
            async with session.get(f"{url}/books?venue=kraken") as response:
                assert response.status == 400
        assert books["accounts"][0]["balances"]["USDT"]["free"] == "5.00000000"
        prices = [exchange.last_price.get("BTCUSD") for exchange in exchanges]
        assert prices[-1] == 50_000 * 10**8
        assert exchanges[0].last_price["BTCUSDT"] != prices[-1], "only what was named moved"


async def test_the_same_seed_gives_the_same_keys_and_each_venue_has_its_ports() -> None:
    ports = []
    for _ in range(2):
        async with Sandbox(seed=3, speed=0, venues=BOTH, port_base=24_310) as box:
            ports.append(json.dumps(box.addresses["okx"]) + json.dumps(box.addresses["coinbase"]))
    assert ports[0] == ports[1]
    addresses = json.loads(ports[0].replace("}{", "},{").join("[]"))
    assert addresses[0]["rest"].endswith(":24313")
    assert addresses[0]["live"]["ws"] == "ws://127.0.0.1:24314"
    assert [addresses[1][name][-5:] for name in ("rest", "ws", "ws_user")] == ["24315", "24315", "24316"]
    assert addresses[1]["live"]["ws_user"].endswith(":24318")


async def test_tls() -> None:
    async with Sandbox(seed=3, speed=0, venues=["okx"], tls=True) as box:
        rest = box.addresses["okx"]["rest"]
        assert rest.startswith("https://")
        trusting = ssl.create_default_context(cadata=box.addresses["tls"]["certificate"])
        async with aiohttp.ClientSession() as session:
            async with session.get(f"{rest}/api/v5/public/time", ssl=trusting) as response:
                assert (await response.json())["code"] == "0"
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.get(f"{rest}/api/v5/public/time")


def test_in_a_process_of_its_own() -> None:
    with start_sandbox(seed=3, venues=BOTH, symbols=["ETHUSDT"]) as sandbox:
        assert {"okx", "coinbase", "control"} == set(sandbox.addresses)
        assert "okx, coinbase" in repr(sandbox)
    command = [sys.executable, "-m", "autotrader_lab.sandbox", "--venues", "okx,kraken"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "the sandbox has no venue kraken" in done.stderr
