"""Every error class of ccxt, and what it means for a submit, a change, a cancel and a query."""

from __future__ import annotations

import importlib
import socket

import aiohttp
import pytest

from autotrader_lab.execution.adapters.ccxt_binance import CODES
from autotrader_lab.execution.adapters.ccxt_errors import MEANINGS, Meaning, meaning_of, scrub, translate
from autotrader_lab.model.errors import (
    AuthenticationFailed,
    InstrumentError,
    NotConnected,
    OrderNotFound,
    OrderRefused,
    OutcomeUnknown,
    RateLimited,
    VenueError,
    VenueUnavailable,
)

ccxt_errors = importlib.import_module("ccxt.base.errors")  # ccxt hides the submodule behind a name of its own


def every_class(tree: dict = ccxt_errors.error_hierarchy) -> list[str]:
    return [name for parent, below in tree.items() for name in (parent, *every_class(below))]


CLASSES = every_class()

# Written down from what experiments showed, not from the table under test.
DOUBT = {
    "BaseError",
    "ExchangeError",
    "OperationFailed",
    "NetworkError",
    "ExchangeNotAvailable",
    "OnMaintenance",
    "RequestTimeout",
    "BadResponse",
    "NullResponse",
    "CancelPending",
    "ChecksumError",
    "UnsubscribeError",
}
AUTHENTICATION = {"AuthenticationError", "PermissionDenied", "AccountNotEnabled", "AccountSuspended"}
SPECIAL = {
    "DDoSProtection": (RateLimited, RateLimited, RateLimited),
    "RateLimitExceeded": (RateLimited, RateLimited, RateLimited),
    "OrderNotFound": (OrderRefused, OrderNotFound, OrderNotFound),
    "OrderNotCached": (OrderRefused, OrderNotFound, OrderNotFound),
    "BadSymbol": (OrderRefused, InstrumentError, InstrumentError),
    "DuplicateOrderId": (OutcomeUnknown, OrderRefused, VenueError),
    "InvalidNonce": (VenueUnavailable, VenueUnavailable, VenueUnavailable),  # too late for its window: not done
    "InvalidProxySettings": (VenueUnavailable, VenueUnavailable, VenueUnavailable),
    "ExchangeClosedByUser": (NotConnected, NotConnected, NotConnected),
}


def expected(name: str) -> tuple[type, type, type]:
    """Submit, cancel, query."""
    if name in SPECIAL:
        return SPECIAL[name]
    if name in DOUBT:
        return OutcomeUnknown, VenueUnavailable, VenueUnavailable
    if name in AUTHENTICATION:
        return OrderRefused, AuthenticationFailed, AuthenticationFailed
    return OrderRefused, OrderRefused, VenueError


def test_the_table_has_a_row_for_every_class_and_no_other() -> None:
    assert set(MEANINGS) == set(CLASSES)
    assert set(CLASSES) == {
        name for name, kind in vars(ccxt_errors).items() if isinstance(kind, type) and issubclass(kind, BaseException)
    }


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_is_mapped_for_every_action(name: str) -> None:
    submit, cancel, query = expected(name)
    for action, kind in (("submit", submit), ("cancel", cancel), ("query", query)):
        raised = translate(getattr(ccxt_errors, name)("binance said so"), action, "binance: x")
        assert type(raised) is kind, f"{name} at {action}"
        assert "binance said so" in str(raised)
    amended = translate(getattr(ccxt_errors, name)("binance said so"), "amend", "binance: x")
    assert (type(amended) is OutcomeUnknown) is (name in DOUBT)


def test_a_class_ccxt_adds_tomorrow_is_taken_for_its_parent() -> None:
    class Fresh(ccxt_errors.InvalidOrder):
        pass

    assert meaning_of(Fresh("x")) is Meaning.REFUSED


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), KeyError("x"), ValueError("rubbish")])
def test_what_is_no_ccxt_error_leaves_a_submit_in_doubt(error: Exception) -> None:
    assert isinstance(translate(error, "submit", "x"), OutcomeUnknown)
    assert isinstance(translate(error, "query", "x"), VenueUnavailable)


def test_a_connection_that_was_never_made_means_it_never_left() -> None:
    refused = ccxt_errors.ExchangeNotAvailable("binance POST http://127.0.0.1/api/v3/order")
    key = aiohttp.client_reqrep.ConnectionKey("127.0.0.1", 1, False, True, None, None, None)
    refused.__cause__ = aiohttp.ClientConnectorError(key, OSError("refused"))
    assert isinstance(translate(refused, "submit", "x"), VenueUnavailable)
    assert meaning_of(refused) is Meaning.NEVER_LEFT
    nowhere = ccxt_errors.ExchangeNotAvailable("binance")
    nowhere.__cause__ = socket.gaierror("no such host")
    assert meaning_of(nowhere) is Meaning.NEVER_LEFT
    cut = ccxt_errors.ExchangeNotAvailable("binance")
    cut.__cause__ = aiohttp.ServerDisconnectedError()
    assert meaning_of(cut) is Meaning.DOUBT, "the line broke after it was sent"


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (-1006, OutcomeUnknown),
        (-1007, OutcomeUnknown),
        (-1008, OutcomeUnknown),
        (-2015, OrderRefused),
        (-1003, RateLimited),
        (-1112, OrderRefused),
    ],
)
def test_the_venues_code_beats_the_class_ccxt_makes_of_it(code: int, kind: type) -> None:
    error = ccxt_errors.DDoSProtection(f'binance {{"code":{code},"msg":"words of the venue"}}')
    raised = translate(error, "submit", "x", CODES)
    assert type(raised) is kind
    assert "words of the venue" in str(raised)


def test_a_refusal_keeps_the_venues_words_and_code() -> None:
    error = ccxt_errors.InvalidOrder('binance {"code":-2010,"msg":"Order would immediately match and take."}')
    raised = translate(error, "submit", "x")
    assert isinstance(raised, OrderRefused)
    assert (str(raised), raised.code) == ("Order would immediately match and take. (-2010)", "-2010")
    without = translate(ccxt_errors.InsufficientFunds("binance Account has insufficient balance"), "submit", "x")
    assert isinstance(without, OrderRefused)
    assert without.code == "INSUFFICIENT_FUNDS"


def test_the_wait_the_venue_asked_for_is_kept() -> None:
    error = ccxt_errors.RateLimitExceeded("slow down")
    error.retry_after_s = 7.5
    raised = translate(error, "query", "x")
    assert isinstance(raised, RateLimited)
    assert raised.retry_after_s == 7.5


def test_signatures_and_keys_are_stripped_from_our_error_and_from_its_cause() -> None:
    url = "https://api.binance.com/api/v3/order?symbol=BTCUSDT&timestamp=1&signature=deadbeef"
    error = ccxt_errors.RequestTimeout(f"binance GET {url}")
    error.__cause__ = TimeoutError('{"apiKey": "AKEY", "signature":"deadbeef"} X-MBX-APIKEY: AKEY')
    raised = translate(error, "query", "x")
    told = f"{raised} {error} {error.__cause__}"
    assert "deadbeef" not in told
    assert "AKEY" not in told
    assert "api.binance.com/api/v3/order" in told
    assert scrub("signature=abc&x=1") == "signature=***&x=1"
