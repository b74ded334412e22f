"""Strategies travel by value; what cannot is named."""

from __future__ import annotations

import importlib
import sys
import threading

import cloudpickle
import pytest

from autotrader_lab.host.travel import pack, strategy_name, unpack
from autotrader_lab.model.errors import StrategyError
from autotrader_lab.strategy.contract import Strategy


class Inner:
    def __init__(self):
        self.guard = threading.Lock()


class Guarded(Strategy):
    def __init__(self):
        self.size = 1.0
        self.tools = {"db": Inner()}

    def on_bar(self, bar, context):
        return None


def test_a_closure_travels_with_what_it_closes_over():
    size = 2.5

    def rule(bar, context):
        return Strategy.long(bar, size, context)

    again = unpack(pack(rule))
    assert again.function.__closure__[0].cell_contents == 2.5


def test_the_offending_attribute_is_named_with_its_path():
    with pytest.raises(StrategyError, match=r"Guarded\.tools\['db'\]\.guard is a _thread\.lock.*on_start"):
        pack(Guarded())


def test_the_offending_closure_variable_is_named():
    lock = threading.Lock()

    def rule(bar, context):
        return lock

    with pytest.raises(StrategyError, match=r"variable lock.*_thread\.lock"):
        pack(rule)


def test_a_class_instead_of_an_instance_is_refused():
    with pytest.raises(StrategyError, match="is a class; give an instance"):
        pack(Guarded)


def test_a_module_missing_in_the_host_is_named(tmp_path):
    source = "class Mine:\n    def on_bar(self, bar, context):\n        return None\n"
    (tmp_path / "only_here_xyz.py").write_text(source)
    sys.path.insert(0, str(tmp_path))
    try:
        packed = pack(importlib.import_module("only_here_xyz").Mine())
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("only_here_xyz")
    with pytest.raises(StrategyError, match=r"module 'only_here_xyz' cannot be imported.*register_pickle_by_value"):
        unpack(packed)


def test_rubbish_is_a_strategy_error():
    with pytest.raises(StrategyError, match="does not load"):
        unpack(b"rubbish")
    with pytest.raises(StrategyError, match="is no strategy"):
        unpack(cloudpickle.dumps(42))


def test_names():
    assert strategy_name(Inner()) == "Inner"
    assert strategy_name(test_names) == "test_names"
