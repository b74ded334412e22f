"""Names that differ from venue to venue: client ids where only letters and digits are taken, symbols without a dash.

The way back from a written id needs no memory: a process that starts anew reads its own ids off the venue's books.
"""

from __future__ import annotations

import re

from autotrader_lab.model.errors import OrderError
from autotrader_lab.model.instruments import Instrument, Instruments

__all__ = ["PlainInstruments", "decode_name", "encode_name"]

LONGEST = 32

_WRITTEN = {"Z": "ZZ", "-": "Z0", "_": "Z1", ".": "Z2", ":": "Z3", "/": "Z4"}
_MEANT = {written: meant for meant, written in _WRITTEN.items()}
_PAIR = re.compile("Z.?")


def encode_name(name: str) -> str:
    """`name` as the venue takes it.

    Raises
    ------
    OrderError
        If it has other characters than A-Z a-z 0-9 - _ . : / or gets longer than the venue takes.
    """
    written = "".join(_WRITTEN.get(character, character) for character in name)
    if not written.isascii() or not written.isalnum() or len(written) > LONGEST:
        raise OrderError(
            f"client_order_id {name!r} must be of A-Z a-z 0-9 - _ . : / and at most {LONGEST} characters here, where "
            f"each Z and each sign counts as two; it counts {len(written)}"
        )
    return written


def decode_name(written: str) -> str:
    """What :func:`encode_name` made `written` of; anything else is what somebody else wrote, and stays as it is."""
    meant = _PAIR.sub(lambda pair: _MEANT.get(pair.group(), "\0"), written)
    return written if "\0" in meant else meant


class PlainInstruments(Instruments):
    """What a venue lists, found by the name without its dash as well: ``BTCUSDT`` for ``BTC-USDT``."""

    def add(self, instrument: Instrument) -> None:
        """List one more, or list it anew."""
        super().add(instrument)
        self._by_venue_symbol.setdefault(instrument.base + instrument.quote, instrument)
