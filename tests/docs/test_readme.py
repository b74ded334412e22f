"""The README promises things to people who have nothing else yet: its example runs, its commands exist."""

from __future__ import annotations

import ast
import asyncio
import inspect
import re
from pathlib import Path

import pytest
import yaml
from lab_facts.commands import command_names

from autotrader_lab import Lab
from autotrader_lab.execution.adapters.binance import BinanceAdapter
from autotrader_lab.execution.config import ExecutionConfig
from autotrader_lab.model import OrderStatus

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
PAGES = sorted(path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts)
EXAMPLES = [
    pytest.param(block, id=f"{path.relative_to(ROOT)}-{number}")
    for path in (ROOT / "README.md", *PAGES)
    for number, block in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL))
]


async def run_cell(source: str, names: dict[str, object]) -> None:
    """Run `source` as a notebook cell does: top-level await is allowed."""
    code = compile(source, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    pending = eval(code, names)
    if inspect.isawaitable(pending):
        await pending


async def test_the_first_example_fills_an_order() -> None:
    names: dict[str, object] = {"__name__": "__main__"}
    await run_cell(BLOCKS[0], names)
    order, adapter = names["order"], names["adapter"]
    assert order.status is OrderStatus.FILLED
    assert order.filled_quantity == 0.5
    paid = order.avg_fill_price * 0.5 + order.commission
    assert adapter.balance == pytest.approx(100_000 - paid, abs=1e-6)
    assert not [task for task in asyncio.all_tasks() if task.get_name().startswith("autotrader")]


def test_the_first_example_is_short() -> None:
    lines = [line for line in BLOCKS[0].splitlines() if line and not line.startswith(("from ", "import ", "print("))]
    assert len(lines) == 5, "five lines were promised"


@pytest.mark.parametrize("block", EXAMPLES)
def test_examples_are_python_a_notebook_would_take(block: str) -> None:
    code = compile(block, "example", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert code.co_names, "an example that names nothing shows nothing"


@pytest.mark.parametrize("block", EXAMPLES)
def test_what_examples_import_exists(block: str) -> None:
    for statement in ast.walk(ast.parse(block)):
        if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("autotrader_lab"):
            module = __import__(str(statement.module), fromlist=["*"])
            for alias in statement.names:
                assert hasattr(module, alias.name), f"{statement.module} has no {alias.name}"


@pytest.mark.parametrize("block", EXAMPLES)
def test_what_examples_call_on_a_lab_exists(block: str) -> None:
    for call in ast.walk(ast.parse(block)):
        if not isinstance(call, ast.Attribute) or not isinstance(call.value, ast.Name) or call.value.id != "lab":
            continue
        assert hasattr(Lab, call.attr), f"Lab has no {call.attr}"


@pytest.mark.parametrize("block", EXAMPLES)
def test_calls_on_a_lab_take_what_examples_give(block: str) -> None:
    wrong = []
    for call in ast.walk(ast.parse(block)):
        if not isinstance(call, ast.Call):
            continue
        method = _lab_method(call.func)
        if method is not None:
            positional = [None] * len(call.args)
            named = {str(keyword.arg): None for keyword in call.keywords if keyword.arg}
            try:
                inspect.signature(method).bind(None, *positional, **named)
            except TypeError as error:
                wrong.append(f"{ast.unparse(call)}: {error}")
    assert wrong == []


def _lab_method(function: ast.expr) -> object | None:
    if isinstance(function, ast.Name) and function.id == "Lab":
        return Lab.__init__
    if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name) and function.value.id == "lab":
        found = getattr(Lab, function.attr)
        return found if callable(found) else None
    return None


def test_commands_exist() -> None:
    named = re.search(r"`autotrader-lab ([a-z| ]+)`", README)
    assert named is not None
    assert set(re.split(r"\s*\|\s*", named[1])) <= set(command_names())


def test_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z]+)", README))
    for page in PAGES:
        named |= set(re.findall(r"`make ([a-z]+)|^\$ make ([a-z]+)", page.read_text(encoding="utf-8"), re.MULTILINE))
    flat = {name for entry in named for name in ([entry] if isinstance(entry, str) else entry) if name}
    assert {"lab", "test", "demo"} <= flat
    assert flat <= targets


def test_named_places_exist() -> None:
    cells = re.findall(r"^\| (`[^|]+) \|", README, re.MULTILINE)
    named = [name for cell in cells for name in re.findall(r"`([^`]+)`", cell)]
    assert len(named) > 10
    for name in named:
        within = ROOT / name if name.startswith("autotrader_lab") else ROOT / "autotrader_lab" / name
        assert within.exists(), f"the README names {name}, which is not there"


def test_extras_exist() -> None:
    section = README.split("## Extras", 1)[1].split("\n## ", 1)[0]
    named = set(re.findall(r"`([a-z-]+)`", section))
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    declared = set(re.findall(r"^([a-z-]+) = \[", text.split("[project.optional-dependencies]", 1)[1], re.MULTILINE))
    assert named
    assert named <= declared


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", README):
        if "://" not in target:
            assert (ROOT / target).exists(), f"the README links to {target}"


def test_the_yaml_of_the_binance_guide_is_a_configuration() -> None:
    text = (ROOT / "docs" / "brokers" / "binance.md").read_text(encoding="utf-8")
    block = re.search(r"```yaml\n(.*?)```", text, re.DOTALL)
    assert block is not None
    config = ExecutionConfig.model_validate(yaml.safe_load(block[1])["execution"])
    accepted = inspect.signature(BinanceAdapter).parameters
    assert set(config.adapter_arguments()) <= set(accepted)
