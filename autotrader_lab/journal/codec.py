"""How a record becomes a line of JSON and comes back as the same value.

JSON because the record outlives the program: any SQL tool can read it. Plain JSON loses NaN, infinities and keys that
are not text, so these are written as ``{"$float": "nan"}`` and ``{"$pairs": [[key, value], …]}``; all else is msgspec's
own encoding. Secrets are refused here, at the one door everything passes.
"""

from __future__ import annotations

import dataclasses
import math
import threading
import types
import typing
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from pathlib import PurePath
from typing import Any

import msgspec

from autotrader_lab.model.errors import JournalError
from autotrader_lab.model.orders import Order

__all__ = ["decode", "encode", "to_plain"]


def _foreign(value: Any) -> Any:
    """What msgspec does not know, as something it does."""
    if hasattr(value, "get_secret_value"):
        raise JournalError(
            f"a {type(value).__name__} may not enter the journal: leave the secret out of the record, "
            "or record the name of the variable it comes from"
        )
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "model_dump"):
        return value.model_dump()
    if isinstance(value, datetime):
        return datetime.fromisoformat(value.isoformat())  # pandas.Timestamp is one, and yet unknown to msgspec
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, (float, int, str)):
        return next(base for base in (float, int, str) if isinstance(value, base))(value)
    if callable(getattr(value, "item", None)) and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(
        f"{value!r:.80} ({type(value).__name__}) cannot be recorded; "
        "put plain values (numbers, text, lists, dicts) there"
    )


_encoder = msgspec.json.Encoder(enc_hook=_foreign)
_PLAIN_TYPES = (str, bool, int, Decimal, datetime, date, type(None))


def encode(kind: str, record: Any) -> str:
    """`record` as JSON text.

    Raises
    ------
    JournalError
        If it holds a secret or something that is no plain value.
    """
    try:
        try:
            raw = _encoder.encode(record)
            # JSON writes NaN and infinities as null, so a look is due only where there is a null; and text that
            # begins with our own sign must not be taken for it.
            if (b"null" in raw and _has_special(record)) or b'"$' in raw:
                raw = _encoder.encode(_mark(to_plain(record)))
        except TypeError:  # a key that is no text, or something that is refused below in its turn
            raw = _encoder.encode(_mark(to_plain(record)))
        return raw.decode()
    except (TypeError, ValueError, OverflowError, RecursionError) as error:
        raise JournalError(f"a record of kind {kind!r} cannot be written: {error}") from error


def to_plain(record: Any) -> Any:
    """`record` as dicts, lists, text and numbers; NaN, infinities and tuple keys kept."""
    if record is None or isinstance(record, (str, bool, int, float)):
        return record
    if isinstance(record, dict):
        return {_plain_key(key): to_plain(item) for key, item in record.items()}
    if isinstance(record, (list, tuple, set, frozenset)):
        return [to_plain(item) for item in record]
    if isinstance(record, msgspec.Struct):
        config = record.__struct_config__
        tagged = {} if config.tag is None else {config.tag_field: config.tag}
        return tagged | {name: to_plain(getattr(record, name)) for name in record.__struct_fields__}
    if dataclasses.is_dataclass(record) and not isinstance(record, type):
        return {field.name: to_plain(getattr(record, field.name)) for field in dataclasses.fields(record)}
    try:
        return msgspec.to_builtins(record)
    except TypeError:
        return to_plain(_foreign(record))


def _plain_key(key: Any) -> Any:
    return tuple(_plain_key(item) for item in key) if isinstance(key, tuple) else to_plain(key)


def decode(raw: str, wanted: Any = Any) -> Any:
    """The value written as `raw`, as `wanted`: a struct, a dataclass, a union of structs, or plain values.

    Raises
    ------
    JournalError
        If the record is no `wanted`.
    """
    try:
        decoder = _decoder(wanted)
        if '"$' in raw:
            value = msgspec.convert(_unmark(msgspec.json.decode(raw)), wanted)
        else:
            value = decoder.decode(raw)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        name = getattr(wanted, "__name__", str(wanted))
        raise JournalError(f"a record is no {name}: {error}; it begins {raw[:120]}") from error
    if wanted is Order and '"_filled":"0"' not in raw:
        # msgspec writes a dataclass's private fields and leaves them out when reading.
        plain = msgspec.json.decode(raw)
        value._filled = Decimal(plain.get("_filled", "0"))
        value._cost = Decimal(plain.get("_cost", "0"))
    return value


_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}
_making = threading.Lock()


def _decoder(wanted: Any) -> msgspec.json.Decoder[Any]:
    """The decoder of `wanted`, made by one thread at a time.

    msgspec puts what it knows of a class onto the class before it is complete; a second thread that makes or uses a
    decoder of the same class meanwhile reads past it and the process dies (seen with 0.22).
    """
    decoder = _decoders.get(wanted)
    if decoder is None:
        with _making:
            decoder = _decoders.setdefault(wanted, msgspec.json.Decoder(wanted))
    return decoder


def _has_special(value: Any) -> bool:
    """Whether a NaN or an infinity is anywhere in `value`."""
    cls: Any = type(value)
    if isinstance(value, float):
        return not math.isfinite(value)
    if cls in _PLAIN_TYPES or isinstance(value, (str, int, Enum)):
        return False
    if cls is dict:
        return any(_has_special(item) for item in value.values()) or any(_has_special(key) for key in value)
    if isinstance(value, (list, tuple, set, frozenset)):
        return any(_has_special(item) for item in value)
    names = _float_fields(cls)
    if names is None:
        return _has_special(to_plain(value))
    for name in names:
        item = getattr(value, name)
        if item is None or (type(item) is float and math.isfinite(item)):
            continue
        if _has_special(item):
            return True
    return False


@lru_cache(maxsize=256)
def _float_fields(cls: Any) -> tuple[str, ...] | None:
    """The fields of a struct or dataclass that a float may be in; None for any other class."""
    if issubclass(cls, msgspec.Struct):
        names: tuple[str, ...] = cls.__struct_fields__
    elif dataclasses.is_dataclass(cls):
        names = tuple(field.name for field in dataclasses.fields(cls))
    else:
        return None
    hints = typing.get_type_hints(cls)
    return tuple(name for name in names if not _without_float(hints[name]))


def _without_float(hint: Any) -> bool:
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return all(_without_float(option) for option in typing.get_args(hint))
    return isinstance(hint, type) and issubclass(hint, (*_PLAIN_TYPES, Enum))


def _mark(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(float(value))}
    if isinstance(value, dict):
        if all(isinstance(key, str) and not key.startswith("$") for key in value):
            return {key: _mark(item) for key, item in value.items()}
        return {"$pairs": [[_mark(key), _mark(item)] for key, item in value.items()]}
    if isinstance(value, (list, tuple)):
        return [_mark(item) for item in value]
    return value


def _unmark(value: Any) -> Any:
    if isinstance(value, list):
        return [_unmark(item) for item in value]
    if not isinstance(value, dict):
        return value
    if value.keys() == {"$float"}:
        return float(value["$float"])
    if value.keys() == {"$pairs"}:
        return {_as_key(_unmark(key)): _unmark(item) for key, item in value["$pairs"]}
    return {key: _unmark(item) for key, item in value.items()}


def _as_key(value: Any) -> Any:
    return tuple(_as_key(item) for item in value) if isinstance(value, list) else value
