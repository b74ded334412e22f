"""Fault plans: what is read, and the one clear error for what cannot be carried out."""

import json
from pathlib import Path

import pytest

from autotrader_lab.model.clock import SimulatedClock
from autotrader_lab.sandbox import Sandbox
from autotrader_lab.sandbox.fault_plan import FaultPlan, FaultPlanError, read_plan, read_rule
from autotrader_lab.sandbox.fault_rules import RULES
from autotrader_lab.sandbox.faults import Faults, Vocabulary

PLAN = """
seed: 7
rules:
  - name: lost answers
    do: drop_after
    where: {kind: submit, world: testnet, symbol: BTC/USDT, side: BUY}
    when: {probability: 0.02, every: 3, from_s: 1, to_s: 60, count: 5}
  - {do: delay, seconds: [0.1, 0.5], point: answer}
  - {do: clock_skew, offset_ms: -2500, when: {from_s: 5, to_s: 6, repeat_s: 20}}
"""


def test_a_plan_reads_the_same_from_yaml_json_values_and_a_file(tmp_path: Path) -> None:
    plan = read_plan(PLAN)
    assert plan.seed == 7
    assert [rule.do for rule in plan.rules] == ["drop_after", "delay", "clock_skew"]
    values = plan.model_dump(mode="json", exclude_defaults=True)
    assert read_plan(values) == read_plan(json.dumps(values)) == plan
    file = tmp_path / "faults.yaml"
    file.write_text(PLAN)
    assert read_plan(file) == read_plan(str(file)) == plan
    assert read_plan({}) == FaultPlan()


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"do": "dely"}, "do is \"dely\"; did you mean 'delay'?"),
        ({}, "needs the key 'do'; known are delay, drop_before"),
        ({"do": "delay"}, "delay needs the key 'seconds'"),
        ({"do": "delay", "seconds": 1, "secnds": 2}, "delay has no key 'secnds'; did you mean 'seconds'?"),
        ({"do": "delay", "seconds": "fast"}, 'seconds is "fast": give a number, or [smallest, largest]'),
        ({"do": "delay", "seconds": [3, 1]}, "seconds is [3, 1]: must not be negative, the smaller one first"),
        ({"do": "delay", "seconds": -1}, "seconds is -1: must not be negative"),
        ({"do": "delay", "seconds": 1, "where": {"knd": "submit"}}, "no key 'where.knd'; did you mean 'kind'?"),
        ({"do": "delay", "seconds": 1, "where": 5}, "where is 5: "),
        ({"do": "drop_after", "where": {"side": "BUYER"}}, "where.side is \"buyer\": input should be 'buy' or 'sell'"),
        ({"do": "drop_after", "when": {"probability": 2}}, "when.probability is 2: input should be less than or equal"),
        ({"do": "drop_after", "when": {"every": 1.5}}, "when.every is 1.5: input should be a valid integer"),
        ({"do": "maintenance", "when": {"from_s": 3, "to_s": 1}}, "when: to_s 1 must be after from_s 3"),
        ({"do": "maintenance", "when": {"repeat_s": 5}}, "when: repeat_s needs to_s"),
        (
            {"do": "maintenance", "when": {"to_s": 9, "repeat_s": 5}},
            "repeat_s 5 must be at least as long as the window",
        ),
        ({"do": "error", "status": 400}, "status is 400: input should be greater than or equal to 500"),
        ({"do": "duplicate", "where": {"kind": "submit"}}, "duplicate happens to events, and where names requests"),
        ({"do": "drop_before", "where": {"event": "x"}}, "drop_before happens to requests, and where names events"),
        ({"do": "delay", "seconds": 1, "where": {"kind": "submit", "event": "x"}}, "a request and an event at once"),
        ({"do": "partial_fill", "fraction": 1}, "fraction must lie between 0 and 1"),
        ({"do": "partial_fill", "where": {"kind": "fill"}}, "partial_fill knows only side, symbol, venue, world"),
        ({"do": "clock_skew", "offset_ms": 1, "when": {"count": 2}}, "a clock is not off by count, leave it out"),
    ],
)
def test_a_rule_that_cannot_be_carried_out_is_told_with_rule_key_value_and_way_out(rule: object, said: str) -> None:
    with pytest.raises(FaultPlanError) as refused:
        read_plan({"rules": [{"do": "lose"}, {"name": "mine", **rule}]})  # type: ignore[dict-item]
    assert str(refused.value).startswith("fault plan: rule 2 (mine): ")
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("sed: 1\nrules: []\n", "unknown key 'sed'; did you mean 'seed'?"),
        ("seed: x\n", 'seed "x" must be a whole number'),
        ("rules: 5\n", "rules must be a list, not 5"),
        ("rules:\n - 5\n", "rule 1 must be keys and values beginning with do, not 5"),
        ("[]\n", "must have the keys seed and rules"),
        ("a: [\n", "neither YAML nor JSON"),
        ("/nowhere/plan.yaml", "/nowhere/plan.yaml cannot be read: No such file"),
    ],
)
def test_a_text_that_is_no_plan_is_told(plan: str, said: str) -> None:
    with pytest.raises(FaultPlanError, match="fault plan") as refused:
        read_plan(plan)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ({"venue": "binanc"}, "where.venue 'binanc' is not served here; known are binance"),
        ({"request": "POST /api/v3/oder"}, "matches nothing that is served; did you mean 'POST /api/v3/order'?"),
        ({"channel": "wsapi"}, "where.channel 'wsapi' does not exist here; did you mean 'ws-api'?"),
    ],
)
def test_a_name_no_venue_here_has_is_refused_before_anything_opens(where: dict[str, str], said: str) -> None:
    with pytest.raises(FaultPlanError) as refused:
        Sandbox(faults={"rules": [{"do": "drop_after", "where": where}]})
    assert said in str(refused.value)
    with pytest.raises(FaultPlanError, match=r"executionReprt.*did you mean 'executionReport'"):
        Sandbox(faults={"rules": [{"do": "lose", "where": {"event": "executionReprt"}}]})


def test_a_plan_that_is_refused_leaves_the_old_one_going() -> None:
    words = Vocabulary("here", frozenset({"rest"}), frozenset({"buy"}), frozenset())
    faults = Faults(read_plan({"rules": [{"do": "drop_after"}]}), SimulatedClock(), [words])
    with pytest.raises(FaultPlanError):
        faults.replace(read_plan({"rules": [{"do": "drop_after", "where": {"request": "sell"}}]}))
    with pytest.raises(FaultPlanError):
        faults.once(read_rule({"do": "drop_after", "where": {"venue": "there"}}))
    assert [rule["do"] for rule in faults.report()["rules"]] == ["drop_after"]


def test_every_kind_says_what_it_does() -> None:
    assert len(RULES) == 15
    assert all(kind.__doc__ and kind.__doc__ != RULES["delay"].__base__.__doc__ for kind in RULES.values())
