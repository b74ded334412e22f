"""What may go wrong, written down: the rules of a fault plan, checked before anything runs.

A plan is YAML or JSON, for any venue the sandbox speaks for::

    seed: 7
    rules:
      - name: lost answers
        do: drop_after
        where: {kind: submit, world: testnet, symbol: BTC/USDT}
        when: {probability: 0.02}
      - do: maintenance
        when: {from_s: 30, to_s: 35}

``do`` says what happens (:mod:`.fault_rules` has them all), ``where`` to whom, ``when`` how often. A mistake is one
clear error; :mod:`.faults` makes a sound plan happen.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from autotrader_lab.sandbox.fault_rules import RULES, Rule, When, Where

__all__ = ["FaultPlan", "FaultPlanError", "nearest", "read_plan", "read_rule"]

_RULE: TypeAdapter[Rule] = TypeAdapter(Annotated[Rule, Field(discriminator="do")])


class FaultPlanError(ValueError):
    """A plan that cannot be carried out; the message names rule, key, value and the way out."""


class FaultPlan(BaseModel):
    """A seed and the rules, in the order they are asked. The first that answers a request ends the matter."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    seed: int = 0
    rules: tuple[Annotated[Rule, Field(discriminator="do")], ...] = ()


def read_plan(source: FaultPlan | Mapping[str, Any] | str | Path) -> FaultPlan:
    """A plan from a file (YAML or JSON), from text, or from values.

    Raises
    ------
    FaultPlanError
        If it is none; the message names the rule, the key, the value and the way out.
    """
    if isinstance(source, FaultPlan):
        return source
    name = "fault plan"
    if isinstance(source, Path) or (isinstance(source, str) and "\n" not in source and "{" not in source):
        name = str(source)
        try:
            source = Path(source).read_text(encoding="utf-8")
        except OSError as error:
            raise FaultPlanError(f"fault plan {name} cannot be read: {error.strerror}") from error
    values: Any = source
    if isinstance(source, str):
        try:
            values = yaml.safe_load(source)
        except yaml.YAMLError as error:
            raise FaultPlanError(f"{name} is neither YAML nor JSON: {error}") from error
    if not isinstance(values, Mapping):
        raise FaultPlanError(f"{name} must have the keys seed and rules, not {_shown(values)}")
    unknown = [key for key in values if key not in FaultPlan.model_fields]
    if unknown:
        raise FaultPlanError(f"{name}: unknown key {unknown[0]!r}; {nearest(unknown[0], FaultPlan.model_fields)}")
    rules = values.get("rules") or []
    if not isinstance(rules, list | tuple):
        raise FaultPlanError(f"{name}: rules must be a list, not {_shown(rules)}; begin each rule with '- do: …'")
    seed = values.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise FaultPlanError(f"{name}: seed {_shown(seed)} must be a whole number")
    return FaultPlan(seed=seed, rules=tuple(read_rule(rule, f"{name}: rule {n}") for n, rule in enumerate(rules, 1)))


def read_rule(values: Any, where: str = "rule") -> Rule:
    """One rule from plain values; `where` begins the message if it is wrong.

    Raises
    ------
    FaultPlanError
        As :func:`read_plan`.
    """
    if not isinstance(values, Mapping):
        raise FaultPlanError(f"{where} must be keys and values beginning with do, not {_shown(values)}")
    if values.get("name"):
        where += f" ({values['name']})"
    do = values.get("do")
    if do is None:
        raise FaultPlanError(f"{where}: needs the key 'do'; known are {', '.join(RULES)}")
    if not isinstance(do, str) or do not in RULES:
        raise FaultPlanError(f"{where}: do is {_shown(do)}; {nearest(str(do), RULES)}")
    try:
        # JSON's rules, so that a range may be a list and nothing else is guessed.
        return _RULE.validate_json(json.dumps(values, default=str), strict=True)
    except ValidationError as error:
        raise FaultPlanError("; ".join(dict.fromkeys(_problem(where, do, row) for row in error.errors()))) from error


def _problem(where: str, do: str, row: Any) -> str:
    path = [part for part in row["loc"][1:] if isinstance(part, str)]  # the discriminator's value stands first
    key = ".".join(path)
    model: type[BaseModel] = RULES[do]
    if len(path) > 1 and path[0] in ("where", "when"):
        model = Where if path[0] == "where" else When
    if row["type"] == "extra_forbidden":
        return f"{where}: {do} has no key {key!r}; {nearest(path[-1], model.model_fields)}"
    if row["type"] == "missing":
        return f"{where}: {do} needs the key {key!r}"
    text = str(row["msg"]).removeprefix("Value error, ")
    if not path or isinstance(row["input"], Mapping):
        return f"{where}: {key + ': ' if key else ''}{text}"
    return f"{where}: {key} is {_shown(row['input'])}: {text[0].lower()}{text[1:]}"


def _shown(value: Any) -> str:
    text = json.dumps(value, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def nearest(word: str, known: Iterable[str]) -> str:
    """The way out of a misspelled name: the nearest of the known, or all of them."""
    names = list(known)
    close = difflib.get_close_matches(str(word), names, 1, 0.5)
    return f"did you mean {close[0]!r}?" if close else f"known are {', '.join(names)}"
