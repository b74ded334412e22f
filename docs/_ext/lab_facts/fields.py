"""Configuration: keys, types, defaults and limits of the pydantic models, with what their docstrings say."""

from __future__ import annotations

import types
import typing
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from autotrader_lab.execution import config as execution
from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.strategy.config import StrategyConfig
from lab_facts.markdown import code, documented, first_paragraph, table

__all__ = ["execution_config", "field_rows", "risk_limits", "strategy_config"]

_SIGNS: dict[type, tuple[str, str]] = {Ge: ("≥", "ge"), Gt: (">", "gt"), Le: ("≤", "le"), Lt: ("<", "lt")}


def execution_config() -> str:
    """``execution.yaml``: one table for each block."""
    parts = ["### `execution`\n\n", first_paragraph(execution.ExecutionConfig), "\n\n"]
    parts.append(_table("execution", execution.ExecutionConfig))
    for name, block in _blocks(execution.ExecutionConfig).items():
        parts.append(f"\n### `execution.{name}`\n\n{first_paragraph(block)}\n\n{_table(f'execution.{name}', block)}")
    return "".join(parts)


def strategy_config() -> str:
    """A Phase 8 strategy's configuration: the whole, then its four parts."""
    parts = [f"### The whole\n\n{_table('', StrategyConfig)}"]
    for name, block in _blocks(StrategyConfig).items():
        parts.append(f"\n### `{name}`\n\n{first_paragraph(block)}\n\n{_table(name, block)}")
    return "".join(parts)


def risk_limits() -> str:
    """The risk gate's limits."""
    return _table("", RiskLimits)


def _blocks(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    found = {}
    for name, field in model.model_fields.items():
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                found[name] = kind
    return found


def _table(path: str, model: type[BaseModel]) -> str:
    rows = field_rows(model)
    if not any(row[3] for row in rows):
        return table(("key", "value", "default"), (row[:3] for row in rows))
    return table(("key", "value", "default", "meaning"), rows)


def field_rows(model: type[BaseModel]) -> list[tuple[str, str, str, str]]:
    """Key, value, default and meaning of every field."""
    meanings = documented(model)
    rows = []
    before = ""
    for name, field in model.model_fields.items():
        limits = ", ".join(_limits(field))
        value = _kind(field.annotation) + (f", {limits}" if limits else "")
        meaning = field.description or meanings.get(name, "")
        rows.append((code(name), value, _default(field), "as above" if meaning and meaning == before else meaning))
        before = meaning
    return rows


def _kind(annotation: Any) -> str:
    """A type in a researcher's words."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is typing.Annotated:
        limits = ", ".join(text for item in arguments[1:] for text in _limit(item))
        return _kind(arguments[0]) + (f", {limits}" if limits else "")
    if origin is Literal:
        return " or ".join(code(value) for value in arguments)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if kind is type(None) else _kind(kind) for kind in arguments)
    if origin is tuple:
        inner = [kind for kind in arguments if kind is not Ellipsis]
        shown = ", ".join(_kind(kind) for kind in inner)
        return f"list of [{shown}]" if Ellipsis in arguments else f"[{shown}]"
    if origin is dict:
        return f"mapping of {_kind(arguments[0])} to {_kind(arguments[1])}"
    if annotation is SecretStr:
        return "text, kept secret"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "block"
    names: dict[Any, str] = {float: "number", int: "whole number", str: "text", bool: "true or false"}
    return names[annotation]


def _limits(field: FieldInfo) -> list[str]:
    return [text for item in field.metadata for text in _limit(item)]


def _limit(item: Any) -> list[str]:
    if isinstance(item, FieldInfo):
        return _limits(item)
    if isinstance(item, MinLen):
        return ["not empty"] if item.min_length == 1 else [f"at least {item.min_length} long"]
    for kind, (sign, attribute) in _SIGNS.items():
        if isinstance(item, kind):
            return [f"{sign} {getattr(item, attribute):g}"]
    return []


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "**required**"
    value = field.get_default(call_default_factory=True)
    if isinstance(value, BaseModel):
        return "its own defaults"
    if value is None:
        return "none"
    if isinstance(value, bool):
        return code(str(value).lower())
    if isinstance(value, float):
        return code("∞" if value == float("inf") else f"{value:g}" if value < 1e6 else f"{value:.0f}")
    if isinstance(value, tuple):
        return code(_listed(value))
    return code(value) if value not in ("", {}) else "empty"


def _listed(value: tuple[Any, ...]) -> str:
    return "[" + ", ".join(_listed(item) if isinstance(item, tuple) else f"{item:g}" for item in value) + "]"
