"""Runs one request: limits, key, signature, time, the operation, and its error if it has one."""

from __future__ import annotations

from autotrader_lab.sandbox.orders import Account
from autotrader_lab.sandbox.venues.binance.auth import check_signature, check_time, find_key
from autotrader_lab.sandbox.venues.binance.calls import OPERATIONS, Access, Answer, Call
from autotrader_lab.sandbox.venues.binance.errors import ApiError
from autotrader_lab.sandbox.venues.binance.limits import Limits, Meter
from autotrader_lab.sandbox.venues.binance.params import Params
from autotrader_lab.sandbox.venues.hooks import Hooks, RequestInfo
from autotrader_lab.sandbox.world import World

__all__ = ["Api", "Credentials"]

_ENVELOPE = ("timestamp", "recvWindow", "signature", "apiKey", "returnRateLimits")


class Credentials:
    """How a request proves who sends it.

    Parameters
    ----------
    api_key : str or None
        The key presented.
    payload : str
        What was signed, as sent.
    signature : str or None
        The signature presented.
    account : Account, optional
        Set when a session has logged on and no signature is needed.
    """

    def __init__(
        self, api_key: str | None, payload: str, signature: str | None, account: Account | None = None
    ) -> None:
        self.api_key = api_key
        self.payload = payload
        self.signature = signature
        self.account = account


class Api:
    """The operations of one world.

    Parameters
    ----------
    world : World
        Where they act.
    limits : Limits, optional
        What is allowed.
    hooks : Hooks, optional
        Where faults are put in.
    """

    def __init__(self, world: World, limits: Limits | None = None, hooks: Hooks | None = None) -> None:
        self.world = world
        self.meter = Meter(limits or Limits())
        self.hooks = hooks or Hooks()

    def identify(self, params: Params, credentials: Credentials, access: Access) -> Account | None:
        """Who asks.

        Raises
        ------
        ApiError
            If what the operation demands is not proven.
        """
        if access is Access.OPEN:
            return None
        if access is Access.SIGNED and credentials.account is not None and credentials.signature is None:
            check_time(params, self.world.now_ms())
            return credentials.account
        key = find_key(self.world.keys, credentials.api_key)
        if access is Access.SIGNED:
            check_time(params, self.world.now_ms())
            check_signature(key, credentials.payload, credentials.signature)
        return self.world.exchange.accounts[key.account]

    async def answer(self, name: str, params: Params, credentials: Credentials, channel: str) -> Answer | None:
        """Run the operation `name`; None means that nothing goes back and the connection closes."""
        info = RequestInfo(self.world.name, channel, name, params.values)
        answer = await self.hooks.before(info)
        if answer is None:
            answer = self.run(name, params, credentials)
        return await self.hooks.after(info, answer)

    def run(self, name: str, params: Params, credentials: Credentials) -> Answer:
        """Run the operation `name` now."""
        operation = OPERATIONS[name]
        account: Account | None = None
        now_ms = self.world.now_ms()
        try:
            self.meter.spend(operation.weight(params), now_ms)
            account = self.identify(params, credentials, operation.access)
            for envelope in _ENVELOPE:
                params.has(envelope)
            body = operation.run(Call(self.world, self.meter, params, account))
            answer = Answer(200, body)
        except ApiError as error:
            answer = Answer(error.status, error.body())
        finally:
            self.world.publish()
        if account is not None and "order" in name.lower():
            answer.counts_of = account.name
        answer.headers = self._headers(account, answer.status, now_ms)
        return answer

    def _headers(self, account: Account | None, status: int, now_ms: int) -> dict[str, str]:
        used = str(self.meter.weight_used(now_ms))
        headers = {"X-MBX-USED-WEIGHT": used, "X-MBX-USED-WEIGHT-1M": used}
        if account is not None:
            ten_s, day = self.meter.order_counts(account.name, now_ms)
            headers |= {"X-MBX-ORDER-COUNT-10S": str(ten_s), "X-MBX-ORDER-COUNT-1D": str(day)}
        if status == 429:
            headers["Retry-After"] = str(self.meter.retry_after_s(now_ms))
        return headers
