"""The pages hang together, and what is generated covers what there is. Building them is ``make docs``."""

from __future__ import annotations

import ast
import contextlib
import importlib
import inspect
import pkgutil
import re
from pathlib import Path
from types import ModuleType

import lab_facts
import pytest
from lab_facts import alerts, commands, diagram, errors, fields, markdown, orders, venues

import autotrader_lab
from autotrader_lab.execution.adapters.base import BaseBrokerAdapter
from autotrader_lab.execution.config import BROKERS, ExecutionConfig
from autotrader_lab.execution.risk import DENIAL_CODES, RiskLimits
from autotrader_lab.host.lease import POLICIES
from autotrader_lab.journal import records
from autotrader_lab.ladder import PROFILES, STAGES
from autotrader_lab.model import errors as error_module
from autotrader_lab.model.errors import AutoTraderError
from autotrader_lab.model.transitions import TRANSITIONS, Event, OrderStatus
from autotrader_lab.sandbox.fault_rules import RULES
from autotrader_lab.strategy.config import StrategyConfig

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(
    path.relative_to(DOCS).with_suffix("").as_posix()
    for path in DOCS.rglob("*.md")
    if "_build" not in path.parts and "tutorials" not in path.parts
)
NAMES = sorted(lab_facts.GENERATORS)


def text_of(page: str) -> str:
    return (DOCS / f"{page}.md").read_text(encoding="utf-8")


def entries(page: str) -> list[str]:
    """The pages that a page's tables of contents name, patterns worked out."""
    found: list[str] = []
    folder = Path(page).parent
    for block in re.findall(r"```\{toctree\}\n(.*?)```", text_of(page), re.DOTALL):
        for line in block.splitlines():
            name = line.strip()
            if not name or name.startswith(":"):
                continue
            path = (folder / name).as_posix()
            pattern = re.compile(re.escape(path).replace(r"\*", "[^/]*") + "$")
            found += [other for other in PAGES if pattern.match(other)] if "*" in path else [path]
    return found


def test_every_page_hangs_on_the_index() -> None:
    reached, waiting = set[str](), ["index"]
    while waiting:
        page = waiting.pop()
        assert page in PAGES, f"a table of contents names {page}, which is not there"
        if page not in reached:
            reached.add(page)
            waiting += entries(page)
    assert reached == set(PAGES)


def test_links_between_pages_lead_somewhere() -> None:
    notebooks = {f"tutorials/{path.stem}" for path in (ROOT / "notebooks").glob("*.ipynb")}
    for page in PAGES:
        for shown in re.findall(r"\{doc\}`([^`]+)`", text_of(page)):
            target = re.sub(r".*<([^>]+)>$", r"\1", shown)
            path = (DOCS / Path(page).parent / target).resolve().relative_to(DOCS.resolve()).as_posix()
            assert path in PAGES or path in notebooks, f"{page} links to {target}"


def test_pages_ask_only_for_generators_there_are_and_for_all_of_them() -> None:
    asked = {name for page in PAGES for name in re.findall(r"```\{generated\} (\S+)", text_of(page))}
    assert asked == set(NAMES)


def test_api_pages_name_modules_there_are() -> None:
    for page in PAGES:
        for name in re.findall(r"\.\. automodule:: (\S+)", text_of(page)):
            assert importlib.import_module(name).__doc__


# --- what is generated ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_generators_give_markdown_without_holes(name: str) -> None:
    text = lab_facts.generate(name)
    assert text.strip()
    assert text.endswith("\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for row in rows:
        assert row.endswith("|")
    assert "None" not in re.sub(r"\bNone (switches|falls|is)\b", "", text), "a Python value stands where words should"


def test_an_unknown_generator_is_named() -> None:
    with pytest.raises(KeyError, match="no generator 'nothing'"):
        lab_facts.generate("nothing")


def test_every_state_and_event_is_told() -> None:
    states, table, picture = orders.state_table(), orders.transition_table(), orders.state_diagram()
    assert set(orders.STATES) == set(OrderStatus)
    for state in OrderStatus:
        assert f"| `{state.name}` |" in states
        assert f"| `{state.name}` |" in table
        assert f">{state.name}</text>" in picture
    for event in Event:
        assert event.value in table.splitlines()[0]


def test_the_transition_table_shows_each_row_once() -> None:
    lines = orders.transition_table().splitlines()
    heads = [cell.strip() for cell in lines[0].split(" | ")[1:]]
    heads[-1] = heads[-1].removesuffix(" |")
    shown = {}
    for line in lines[2:]:
        state, *cells = [cell.strip(" |`") for cell in line.split(" | ")]
        shown.update({(state, head): cell for head, cell in zip(heads, cells, strict=True) if cell != "–"})
    expected = {
        (source.name, event.value): "stays" if to is source else to.name for (source, event), to in TRANSITIONS.items()
    }
    assert shown == expected


def test_the_picture_has_one_arrow_for_each_move() -> None:
    moves = {(source, to) for (source, _), to in TRANSITIONS.items() if source is not to}
    told = re.findall(r"<title>(\w+) → (\w+): ", orders.state_diagram())
    assert sorted(told) == sorted((source.name, to.name) for source, to in moves)


def test_a_state_without_a_place_stops_the_build(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(diagram.PLACES, OrderStatus.UNKNOWN)
    with pytest.raises(ValueError, match="no place for UNKNOWN"):
        orders.state_diagram()


def test_every_denial_code_is_told_and_every_code_that_is_used_is_in_the_table() -> None:
    table = orders.denial_table()
    for code, meaning in DENIAL_CODES.items():
        assert f"| `{code}` | {meaning} |" in table
    source = (Path(autotrader_lab.__file__).parent / "execution" / "risk.py").read_text(encoding="utf-8")
    used = {
        argument.value
        for call in ast.walk(ast.parse(source))
        if isinstance(call, ast.Call) and getattr(call.func, "attr", "") == "_deny"
        for argument in call.args
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
    }
    assert used == set(DENIAL_CODES)


def test_every_error_is_in_the_tree() -> None:
    tree = errors.error_tree()
    for name in error_module.__all__:
        assert f"- `{name}`" in tree
    for kind in errors.all_errors():
        assert issubclass(kind, AutoTraderError)
        assert f"- `{kind.__name__}`" in tree


@pytest.mark.parametrize("model", [RiskLimits, ExecutionConfig, StrategyConfig])
def test_every_key_of_a_configuration_is_told(model: type) -> None:
    makers = {RiskLimits: fields.risk_limits, ExecutionConfig: fields.execution_config}
    text = makers.get(model, fields.strategy_config)()
    told = set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE))
    asked = set(model.model_fields)
    for name, field in model.model_fields.items():
        value = getattr(field.annotation, "model_fields", None)
        if value:
            assert re.search(rf"^### `(execution\.)?{name}`", text, re.MULTILINE)
            asked |= set(value)
    assert asked <= told


def test_every_profile_and_stage_is_told() -> None:
    text = lab_facts.generate("ladder-thresholds")
    for name, profile in PROFILES.items():
        assert f"### The profile `{name}`" in text
        for stage in profile.stages:
            assert f"shown in {stage}" in text


def test_every_lease_policy_is_told() -> None:
    text = lab_facts.generate("lease-policies")
    assert {stage for stage in POLICIES if stage} == {stage.value for stage in STAGES}
    for stage in STAGES:
        assert f"| `{stage}` |" in text


def test_every_kind_of_the_journal_is_told() -> None:
    text = lab_facts.generate("journal-kinds")
    for kind in records.KINDS:
        assert f"| `{kind}` | " in text


def test_every_fault_is_told() -> None:
    text = lab_facts.generate("fault-rules")
    for name in RULES:
        assert f"| `{name}` |" in text


def test_every_command_is_told_with_its_options() -> None:
    text = commands.command_reference()
    names = commands.command_names()
    assert {"lab", "demo", "sandbox", "dashboard", "status", "kill"} <= set(names)
    for name in names:
        assert f"### `autotrader-lab {name}`" in text
    for option in ("--faults", "--flatten", "--json", "--port", "--fresh"):
        assert f"`{option}`" in text


def test_the_capability_matrix_has_a_column_for_every_adapter_that_loads() -> None:
    known = venues.adapters()
    assert {"binance", "paper"} <= set(known) <= set(BROKERS)
    head = venues.capability_matrix().splitlines()[0]
    for name, adapter in known.items():
        assert issubclass(adapter, BaseBrokerAdapter)
        assert f"| {name} " in head


def test_alerts_are_found_in_the_source() -> None:
    found = alerts.find_alerts()
    assert found["KILLED"][0] == "critical"
    assert found[records.DRIFT_CODE][0] == "critical"
    assert found["CONNECTION_RESTORED"][0] == "info"


def test_the_checklist_names_alerts_there_are() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)`", text_of("guides/production_checklist")))
    assert named <= set(alerts.find_alerts()) | set(DENIAL_CODES)


def test_docstrings_are_read_as_numpy_means_them() -> None:
    class Documented:
        """Words.

        Attributes
        ----------
        first, second : float
            Both, in ``ms``; see :class:`~a.b.Other`.
        third : int
            Another.

        Raises
        ------
        ValueError
            Never.
        """

    assert markdown.documented(Documented) == {
        "first": "Both, in `ms`; see `Other`.".replace("Other", "a.b.Other"),
        "second": "Both, in `ms`; see `a.b.Other`.",
        "third": "Another.",
    }
    assert markdown.first_paragraph(Documented) == "Words."
    assert markdown.table(("a",), [("x | y",)]) == "| a |\n| --- |\n| x \\| y |\n"


# --- what must not stand anywhere -------------------------------------------------------------------------------

# Written in pieces, so that this file does not hold what it looks for.
MACHINE = re.compile("|".join(f"/{name}/" for name in ("wo" + "rk", "ro" + "ot")))
REGISTRIES = re.compile(
    "|".join(re.escape(name) for name in ("py" + "pi.org", "pythonho" + "sted.org", "conda." + "io"))
)


def test_no_path_of_a_machine_stands_in_a_tracked_file(tracked_files: list[Path]) -> None:
    assert not _lines_with(MACHINE, tracked_files)


def test_no_registry_host_stands_in_a_tracked_file(tracked_files: list[Path]) -> None:
    assert not _lines_with(REGISTRIES, tracked_files)


def _lines_with(pattern: re.Pattern[str], files: list[Path]) -> list[str]:
    return [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()[:120]}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if pattern.search(line)
    ]


# --- what ruff does not see -------------------------------------------------------------------------------------


def modules() -> list[str]:
    """Every module but those that run when imported, and the conformance suite, whose tests' names are sentences."""
    found = [info.name for info in pkgutil.walk_packages(autotrader_lab.__path__, "autotrader_lab.", onerror=str)]
    return [name for name in found if not name.endswith("__main__") and not name.startswith("autotrader_lab.testing.")]


def loaded() -> list[ModuleType]:
    """The modules that load here; optional client libraries may be missing."""
    found = []
    for name in modules():
        with contextlib.suppress(ImportError):
            found.append(importlib.import_module(name))
    return found


def test_what_modules_export_is_documented() -> None:
    found = loaded()
    # A class may meet a protocol without inheriting from it: then the protocol tells what its methods do.
    protocols = {
        member
        for module in found
        for kind in vars(module).values()
        if isinstance(kind, type) and getattr(kind, "_is_protocol", False)
        for member, value in vars(kind).items()
        if inspect.getdoc(value)
    }
    assert {"subscribe", "now_ns"} <= protocols
    silent = [module.__name__ for module in found if not module.__doc__]
    assert not silent, f"these modules do not say why they exist: {silent}"
    bare = [name for module in found for name in _bare(module, protocols)]
    assert not bare, f"no docstring, neither of their own nor inherited: {bare}"


def _bare(module: ModuleType, protocols: set[str]) -> list[str]:
    """Exported classes and functions, and their public methods, that nothing tells about.

    A property's name may be all there is to say; a second name of a function is told where the first is.
    """
    found = []
    for name in getattr(module, "__all__", ()):
        thing = getattr(module, name)
        if getattr(thing, "__module__", "") != module.__name__ or getattr(thing, "__name__", "") != name:
            continue
        if not thing.__doc__:
            found.append(f"{module.__name__}.{name}")
        for member, value in vars(thing).items() if inspect.isclass(thing) else ():
            public = not member.startswith("_") and inspect.isfunction(value)
            if public and member not in protocols and not inspect.getdoc(getattr(thing, member)):
                found.append(f"{module.__name__}.{name}.{member}")
    return found
