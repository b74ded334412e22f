"""Reading ``config/execution.yaml``, completely checked before anything connects.

A mistake is told once, with file, line, full key, value and the way out; several mistakes are told together.
``${NAME}`` is replaced by the environment variable of that name and nothing else is expanded. Only the chosen broker's
variables must be set.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import SecretStr, ValidationError

from autotrader_lab.execution.config.sections import BLOCKS, BROKERS, ExecutionConfig, Section, nearest, required
from autotrader_lab.model.errors import ConfigError

__all__ = ["load_config"]


def load_config(path: str | Path, environment: Mapping[str, str] | None = None) -> ExecutionConfig:
    """Read and check an execution configuration.

    Parameters
    ----------
    path : str or Path
        A YAML file with the one top-level key ``execution``.
    environment : mapping, optional
        Where ``${NAME}`` is looked up; the process's environment by default.

    Raises
    ------
    ConfigError
        Naming file, line, key, value and the way out of everything that is wrong.
    """
    place = Path(path)
    try:
        text = place.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(
            f"{place}: there is no such file; copy config/execution.yaml there, or check the path"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{place}: cannot be read ({error}); it must be a UTF-8 text file you may read") from error
    return _Reader(str(place), text, os.environ if environment is None else environment).read()


class _Node(NamedTuple):
    """A value of the file and the line it stands in."""

    value: Any
    line: int


_VARIABLE = re.compile(r"\$\{([^}]*)(\}?)")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class _Reader:
    """One file on its way to an :class:`ExecutionConfig`; collects what is wrong."""

    def __init__(self, name: str, text: str, environment: Mapping[str, str]) -> None:
        self._name = name
        self._text = text
        self._environment = environment
        self._problems: list[tuple[int, str]] = []
        self._malformed: list[str] = []

    def read(self) -> ExecutionConfig:
        execution = self._execution(self._tree())
        found = self._broker(execution)
        blocks: dict[str, Any] = {}
        missing: dict[str, str] = {}
        for key, node in execution.value.items():
            if key == "broker":
                continue
            if key not in BLOCKS:
                hint = nearest(key, ("broker", *BLOCKS))
                self._problem(node.line, f"unknown key execution.{key}; {hint}")
                continue
            section, unset = self._section(key, node, demanded=key == found or key not in BROKERS)
            if unset:
                missing[key] = unset
            elif section is not None:
                blocks[key] = section
        if found and found not in execution.value and required(found):
            names = ", ".join(required(found))
            self._problem(
                execution.line, f"missing key execution.{found}: broker is {found!r}; add its block with {names}"
            )
        if self._problems:
            lines = [f"{self._name}:{line}: {text}" for line, text in sorted(self._problems)]
            raise ConfigError("\n".join(lines))
        config = ExecutionConfig.model_validate({"broker": found, **blocks})
        config._missing.update(missing)
        return config

    def _problem(self, line: int, text: str) -> None:
        self._problems.append((line, text))

    # --- YAML -------------------------------------------------------------------------------------------------

    def _tree(self) -> _Node:
        try:
            root = yaml.compose(self._text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            line = f":{mark.line + 1}:{mark.column + 1}" if mark is not None else ""
            reason = getattr(error, "problem", None) or "it is no YAML"
            raise ConfigError(
                f"{self._name}{line}: not valid YAML: {reason}; look at this line and the one above"
            ) from error
        if root is None:
            raise ConfigError(f"{self._name}: the file is empty; it must begin with execution:")
        try:
            return self._value(root, "")
        except RecursionError:
            raise ConfigError(f"{self._name}: a YAML alias refers to itself; write the value out") from None

    def _value(self, node: yaml.Node, path: str) -> _Node:
        line = node.start_mark.line + 1
        if isinstance(node, yaml.MappingNode):
            values: dict[str, _Node] = {}
            for key_node, value_node in node.value:
                key = str(key_node.value) if isinstance(key_node, yaml.ScalarNode) else "?"
                full = f"{path}.{key}" if path else key
                where = key_node.start_mark.line + 1
                if key in values:
                    self._problem(
                        where, f"{full} is given twice (first in line {values[key].line}); leave one of them out"
                    )
                    continue
                value = self._value(value_node, full)
                values[key] = _Node(value.value, where)
            return _Node(values, line)
        if isinstance(node, yaml.SequenceNode):
            return _Node([self._value(item, path).value for item in node.value], line)
        loader = yaml.SafeLoader("")
        try:
            return _Node(loader.construct_object(node), line)
        except (yaml.YAMLError, ValueError) as error:
            self._problem(line, f"{path} {node.value!r} is no value YAML knows ({error}); put it in quotes")
            return _Node(None, line)
        finally:
            loader.dispose()

    # --- meaning ----------------------------------------------------------------------------------------------

    def _execution(self, tree: _Node) -> _Node:
        if not isinstance(tree.value, dict):
            raise ConfigError(
                f"{self._name}:{tree.line}: the file must begin with execution:, and keys indented below it"
            )
        for key, node in tree.value.items():
            if key != "execution":
                self._problem(node.line, f"unknown key {key}; {nearest(key, ('execution',))}")
        node = tree.value.get("execution")
        if node is None:
            self._problem(1, "missing key execution; put broker and the other keys under execution:")
            return _Node({}, 1)
        if not isinstance(node.value, dict):
            self._problem(node.line, "execution has no keys below it; indent broker and the other keys by two spaces")
            return _Node({}, node.line)
        return _Node(node.value, node.line)

    def _broker(self, execution: _Node) -> str:
        node = execution.value.get("broker")
        if node is None:
            if not self._problems:
                self._problem(execution.line, f"missing key execution.broker; choose one of {', '.join(BROKERS)}")
            return ""
        name, unset = self._expand(node.value, "execution.broker", node.line)
        if unset:
            self._problem(node.line, unset)
        elif name not in BROKERS:
            self._problem(node.line, f"execution.broker: unknown broker {name!r}; {nearest(str(name), BROKERS)}")
        else:
            return str(name)
        return ""

    def _section(self, name: str, node: _Node, *, demanded: bool) -> tuple[Section | None, str]:
        """One block, and what keeps it from being used where that is none of the chosen broker's business."""
        model = BLOCKS[name]
        path = f"execution.{name}"
        if node.value is None:
            node = _Node({}, node.line)
        if not isinstance(node.value, dict):
            self._problem(node.line, f"{path}: {node.value!r} is no block; indent its keys below it")
            return None, ""
        values: dict[str, Any] = {}
        unset_names: list[str] = []
        malformed = len(self._malformed)
        for key, item in node.value.items():
            full = f"{path}.{key}"
            if key not in model.model_fields:
                self._problem(item.line, f"unknown key {full}; {nearest(key, tuple(model.model_fields))}")
                continue
            values[key], unset = self._expand(_plain(item.value), full, item.line)
            if unset:
                unset_names.append(unset)
                if demanded:
                    self._problem(item.line, unset)
        missing = [key for key in required(name) if key not in node.value]
        for key in missing if demanded else ():
            self._problem(node.line, f"missing key {path}.{key}; add it, e.g. {key}: ${{{name.upper()}_{key.upper()}}}")
        if unset_names or missing:
            return None, "; ".join([*unset_names, *(f"missing key {path}.{key}" for key in missing)])
        if len(self._malformed) > malformed:
            return None, ""
        try:
            return model.model_validate(values), ""
        except ValidationError as error:
            for found in error.errors():
                key = str(found["loc"][0]) if found["loc"] else ""
                self._problem(node.value[key].line if key in node.value else node.line, _told(path, model, found))
            return None, ""

    def _expand(self, value: Any, path: str, line: int) -> tuple[Any, str]:
        """`value` with its variables replaced, and what is wrong if one is not set."""
        if isinstance(value, list):
            pairs = [self._expand(item, path, line) for item in value]
            return [item for item, _ in pairs], "; ".join(unset for _, unset in pairs if unset)
        if not isinstance(value, str):
            return value, ""
        unset: list[str] = []

        def look_up(match: re.Match[str]) -> str:
            name, closed = match.groups()
            if not closed or not _NAME.fullmatch(name):
                self._malformed.append(path)
                self._problem(line, f"{path}: a variable is written ${{NAME}}, of letters, digits and underscores")
                return ""
            found = self._environment.get(name)
            if not found:
                unset.append(
                    f"{path}: the environment variable {name} is {'empty' if found == '' else 'not set'}; "
                    f"export {name}=… before the start, or choose another broker"
                )
            return found or ""

        return _VARIABLE.sub(look_up, value), "; ".join(unset)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item.value) for key, item in value.items()}
    return value


def _told(path: str, model: type[Section], found: Any) -> str:
    """A pydantic error in our words."""
    loc = found["loc"]
    key = str(loc[0]) if loc else ""
    full = path + "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    field = model.model_fields.get(key)
    secret = field is not None and field.annotation is SecretStr
    message = str(found["msg"]).removeprefix("Value error, ")
    message = (message[0].lower() + message[1:]).replace("input should be", "must be")
    if secret:
        return f"{full}: the value (hidden) is no text; put it in quotes"
    if found["type"] == "string_type":
        message = "must be text; put it in quotes"
    elif found["type"].startswith("bool"):
        message = "must be true or false"
    elif found["type"] == "tuple_type" or (loc and found["type"] in ("missing", "too_long")):
        message = "must be two numbers, [shortest, longest], or one"
    elif found["type"] == "literal_error":
        message = f"must be {found['ctx']['expected']}"
    return f"{full}: {found['input']!r}: {message}"
