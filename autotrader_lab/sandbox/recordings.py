"""Recorded Binance streams as an outside market: what was recorded is played again, exactly, round and round.

The files hold one message a line, ``<receive time in ns> <combined-stream JSON>``: depth diffs, trades, best quotes,
and one REST snapshot. The book starts as the venue documents it: diffs are kept until the snapshot is there, those
it already contains are dropped, the first one applied must contain the update after it, and from there on each
must follow the one before. The receive clock paces the replay; only its differences matter.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from autotrader_lab.sandbox.market import Depth, Picture, Print, Step
from autotrader_lab.sandbox.orders import Side
from autotrader_lab.sandbox.units import parse_e8

__all__ = ["RawRecording", "is_raw_recording"]

PAUSE_BEFORE_REPEAT_NS = 1_000_000_000

Levels = list[tuple[str, str]]


class _Message(msgspec.Struct):
    e: str = ""
    s: str = ""
    u: int = 0
    first: int = msgspec.field(default=0, name="U")
    b: Levels | str = ""
    a: Levels | str = ""
    p: str = ""
    q: str = ""
    m: bool = False


class _Line(msgspec.Struct):
    stream: str = ""
    data: _Message | None = None
    last_update_id: int = msgspec.field(default=-1, name="lastUpdateId")
    bids: Levels = []
    asks: Levels = []


_DECODER = msgspec.json.Decoder(_Line)


def is_raw_recording(path: Path) -> bool:
    """Whether a file looks like such a recording.

    Raises
    ------
    ValueError
        If it cannot be read.
    """
    if path.suffix != ".gz":
        return False
    try:
        with gzip.open(path, "rb") as file:
            head = file.readline(400)
    except OSError as error:
        raise ValueError(f"market file {path} cannot be read: {error}") from error
    stamp, _, rest = head.partition(b" ")
    return stamp.isdigit() and rest.startswith(b"{")


class RawRecording:
    """Recorded streams of one instrument.

    Parameters
    ----------
    paths : sequence of Path
        Files that follow each other; the first must hold the snapshot.

    Raises
    ------
    ValueError
        If a file cannot be read, holds no snapshot, mixes instruments, or has a gap in its updates.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = list(paths)
        self.symbol = self._check()

    def steps(self) -> Iterator[tuple[int, Step]]:
        """The recording's steps, repeated for ever; each round begins with a full picture of the book."""
        offset_ns = 0
        while True:
            last_ns = offset_ns
            for at_ns, step in self.once():
                last_ns = offset_ns + at_ns
                yield last_ns, step
            offset_ns = last_ns + PAUSE_BEFORE_REPEAT_NS

    def once(self) -> Iterator[tuple[int, Step]]:
        """One round, in ns since its first message."""
        start_ns = latest_ns = -1
        sync = _Sync()
        for stamp_ns, line in self._lines():
            if start_ns < 0:
                start_ns = stamp_ns
            latest_ns = max(latest_ns, stamp_ns)
            message = line.data
            if message is not None and message.e == "trade":
                taker = Side.SELL if message.m else Side.BUY
                yield latest_ns - start_ns, Print(taker, parse_e8(message.p), parse_e8(message.q))
                continue
            for step in sync.take(line):
                yield latest_ns - start_ns, step

    def _lines(self) -> Iterator[tuple[int, _Line]]:
        for path in self._paths:
            with gzip.open(path, "rb") as file:
                for number, text in enumerate(file, 1):
                    stamp, _, body = text.partition(b" ")
                    try:
                        yield int(stamp), _DECODER.decode(body)
                    except ValueError as error:
                        raise ValueError(f"{path.name} line {number} is not a recorded message: {error}") from error

    def _check(self) -> str:
        symbols: set[str] = set()
        sync = _Sync()
        try:
            for _, line in self._lines():
                if line.data is not None and line.data.s:
                    symbols.add(line.data.s)
                sync.note(line)
        except (OSError, EOFError) as error:
            raise ValueError(f"market file cannot be read: {error}") from error
        names = ", ".join(path.name for path in self._paths)
        if not sync.is_started:
            raise ValueError(f"{names}: no REST snapshot to start the book from; put the file that has it first")
        if len(symbols) != 1:
            raise ValueError(f"{names}: one instrument is wanted, found {sorted(symbols) or 'none'}")
        return symbols.pop()


class _Sync:
    """The documented way from diffs and a snapshot to a book."""

    def __init__(self) -> None:
        self._waiting: list[_Message] = []
        self._last = -1

    @property
    def is_started(self) -> bool:
        return self._last >= 0

    def note(self, line: _Line) -> list[_Message]:
        """The diffs that may be applied now.

        Raises
        ------
        ValueError
            At a gap.
        """
        if line.last_update_id >= 0:
            self._last = line.last_update_id
            kept = [waiting for waiting in self._waiting if waiting.u > self._last]
            self._waiting.clear()
            for position, waiting in enumerate(kept):
                self._follow(waiting, first=position == 0)
            return kept
        message = line.data
        if message is None or message.e != "depthUpdate":
            return []
        if not self.is_started:
            self._waiting.append(message)
            return []
        if message.u <= self._last:
            return []
        self._follow(message, first=False)
        return [message]

    def _follow(self, message: _Message, first: bool) -> None:
        if message.first > self._last + 1 or (message.first != self._last + 1 and not first):
            raise ValueError(f"gap in the recording: update {message.first} follows {self._last}")
        self._last = message.u

    def take(self, line: _Line) -> Iterator[Step]:
        """The steps that a line leads to."""
        if line.last_update_id >= 0:
            yield Picture(_rows(line.bids), _rows(line.asks))
        for message in self.note(line):
            yield Depth(_rows(message.b), _rows(message.a))


def _rows(levels: Levels | str) -> tuple[tuple[int, int], ...]:
    assert not isinstance(levels, str), "a depth message lists levels"
    return tuple((parse_e8(price), parse_e8(quantity)) for price, quantity in levels)
