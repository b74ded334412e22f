"""The package that strangers import to test their own adapters."""

from __future__ import annotations

import subprocess
import sys

import pytest

import autotrader_lab.testing as package

pytest_plugins = ["pytester"]


@pytest.mark.parametrize("missing", ["pytest", "hypothesis"])
def test_without_its_tools_it_says_how_to_get_them(missing: str) -> None:
    code = f"import sys; sys.modules[{missing!r}] = None; import autotrader_lab.testing"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "pip install 'autotrader-lab[dev]'" in ended.stderr.splitlines()[-1]
    assert missing in ended.stderr.splitlines()[-1]


def test_what_is_promised_is_there() -> None:
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_a_strangers_suite_runs_with_no_plugin_at_all(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_stranger="""
        from autotrader_lab.testing import AdapterConformance, paper_harness

        class TestStranger(AdapterConformance):
            async def make(self):
                return paper_harness()

        class TestForgetful(AdapterConformance):
            pass
        """
    )
    result = pytester.runpytest_subprocess(
        "-p", "no:asyncio", "-p", "no:cacheprovider", "-W", "error", "-k", "quiet", "-rs"
    )
    outcomes = result.parseoutcomes()
    assert outcomes["passed"] == 4
    assert outcomes["failed"] == 4
    result.stdout.fnmatch_lines(["*TestForgetful must override make(), which returns a fresh Harness*"])
