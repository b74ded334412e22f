"""What TWS's error codes mean for an order; one list of numbers serves refusals, warnings, notices and outages alike.

A refused order shows as *Cancelled* or *Inactive* in its status, so the code decides. What stands in no list here is no
evidence: the order is waited for, and in doubt if nothing comes.
"""

from __future__ import annotations

from enum import Enum

__all__ = ["CONNECTIVITY_LOST", "CONNECTIVITY_RESTORED", "DATA_LOST", "Meaning", "meaning"]

CONNECTIVITY_LOST = frozenset({1100, 2110})
CONNECTIVITY_RESTORED = frozenset({1101, 1102})
DATA_LOST = 1101


class Meaning(Enum):
    """What a code says about the order it names."""

    REFUSED = "it was not taken"
    CANCELLED = "it is cancelled"
    CLASH = "its number belongs to another order; nothing was placed"
    TOO_FAST = "the message was dropped"
    NOT_CANCELLABLE = "the cancel was not taken"
    OUTAGE = "nobody can tell"
    NOTICE = "it lives"
    UNCLEAR = "wait for its status"


_NOTICES = {
    165,
    399,  # order message: held until the market opens, odd lot, price capped
    404,  # shares are being located
    492,  # market data is missing for the simulated order
    2137,
    10167,
    10349,  # time in force was set by a preset
}
_CLASHES = {103, 104, 105, 106, 329}
_NOT_CANCELLABLE = {135, 136, 161, 10147, 10148, 10149}
_OUTAGES = {322, 501, 502, 503, 504, 507, 509, 512, 530, 531, 1100, 1300, 2103, 2105, 2110, 2148, 10182}
_REFUSALS = {
    107,  # incomplete
    109,  # price outside the band
    110,  # price off the grid
    111,  # time in force and type do not go together
    113,  # time in force of a market-on-close order
    114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126,  # attributes that do not fit
    129, 131, 132, 133, 134, 137, 140, 141, 144, 146, 147, 148, 151, 152, 153, 154, 155, 156, 157, 158, 159, 160, 163,
    168,
    200,  # no such contract
    201,  # rejected, with a reason
    203,  # not allowed for this account
    312, 313, 314, 315,
    320,  # the request could not be read
    321,  # the request is not valid: read-only, wrong account, no price
    325, 328, 334, 335, 336, 337, 338, 339, 340, 341, 342, 343, 345, 347, 348, 349, 350, 352, 353, 355, 356, 358, 359,
    360, 361, 362, 363, 364, 367, 368, 369, 370, 371, 372, 373, 374, 375, 376, 377, 378, 379, 380, 382, 383, 385, 386,
    387,  # order type not supported here
    388, 389, 390, 391, 392, 393, 394, 395, 396, 397, 398, 400, 401, 402, 403, 405, 406, 407, 408, 409, 410, 411, 412,
    413, 414, 415, 416, 417, 418, 419, 421, 422, 423, 424, 427, 428, 429, 433,
    434,  # no size
    435, 436, 437, 439, 440, 441, 442, 443, 444, 445, 446, 447, 448, 449, 460, 463,
    10002, 10006, 10007, 10008, 10009, 10010, 10011, 10012, 10014, 10020, 10052, 10058, 10243, 10244,
    10268, 10269, 10270, 10289,
}  # fmt: skip


def meaning(code: int) -> Meaning:
    """What `code` says about an order."""
    if code in _REFUSALS:
        return Meaning.REFUSED
    if code == 202:
        return Meaning.CANCELLED
    if code in _CLASHES:
        return Meaning.CLASH
    if code == 100:
        return Meaning.TOO_FAST
    if code in _NOT_CANCELLABLE:
        return Meaning.NOT_CANCELLABLE
    if code in _OUTAGES:
        return Meaning.OUTAGE
    if code in _NOTICES or 2100 <= code < 2200:
        return Meaning.NOTICE
    return Meaning.UNCLEAR
