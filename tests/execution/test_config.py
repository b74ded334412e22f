"""The configuration file: what is right is read, what is wrong is told once, with its line and the way out."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml
from pydantic import SecretStr, ValidationError

from autotrader_lab.execution.config import (
    BROKERS,
    BinanceConfig,
    ExecutionConfig,
    FXCMConfig,
    IBKRConfig,
    OKXConfig,
    PaperConfig,
    load_config,
)
from autotrader_lab.model.errors import ConfigError

SHIPPED = Path(__file__).parents[2] / "config" / "execution.yaml"
KEYS = {"BINANCE_API_KEY": "the-key", "BINANCE_API_SECRET": "the-secret"}

SPECIFIED = {
    "broker": "binance",
    "binance": {"api_key": "${BINANCE_API_KEY}", "api_secret": "${BINANCE_API_SECRET}", "testnet": True},
    "ibkr": {"host": "127.0.0.1", "port": 7497, "client_id": 1},
    "oanda": {"account_id": "${OANDA_ACCOUNT_ID}", "access_token": "${OANDA_TOKEN}", "environment": "practice"},
    "paper": {"initial_balance": 100000, "latency_ms": [10, 50], "slippage_bps": 5, "commission_bps": 10},
    "oms": {"max_open_orders": 100, "order_timeout_seconds": 300},
    "resiliency": {
        "max_retries": 3,
        "initial_backoff": 1.0,
        "backoff_multiplier": 2.0,
        "circuit_breaker_threshold": 5,
        "enable_dlq": True,
    },
}


@pytest.fixture
def told(tmp_path: Path):  # type: ignore[no-untyped-def]
    """The lines of the error that a file's text gives, without the file's name."""

    def read(text: str, environment: dict[str, str] | None = None) -> list[str]:
        place = tmp_path / "execution.yaml"
        place.write_text(text, encoding="utf-8")
        with pytest.raises(ConfigError) as error:
            load_config(place, environment or {})
        lines = str(error.value).splitlines()
        assert all(line.startswith(str(place)) for line in lines)
        return [line.removeprefix(str(place)).lstrip(":") for line in lines]

    return read


def shipped(**changes: str) -> str:
    """The shipped file with some lines replaced: the line that holds the key's text gives way to the value."""
    text = SHIPPED.read_text(encoding="utf-8")
    for key, new in changes.items():
        text, count = re.subn(
            rf"^( *){key}:.*$", lambda found, new=new: found[1] + new, text, count=1, flags=re.MULTILINE
        )
        assert count
    return text


def line_of(text: str, part: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if part in line)


def test_the_shipped_file_has_exactly_the_specification_s_keys_and_values() -> None:
    assert yaml.safe_load(SHIPPED.read_text(encoding="utf-8")) == {"execution": SPECIFIED}


def test_the_shipped_file_is_read() -> None:
    config = load_config(SHIPPED, KEYS)
    assert config.broker == "binance"
    assert config.chosen is config.binance
    assert isinstance(config.binance, BinanceConfig)
    assert config.binance.api_key.get_secret_value() == "the-key"
    assert config.adapter_arguments() == {
        "api_key": SecretStr("the-key"),
        "api_secret": SecretStr("the-secret"),
        "testnet": True,
    }
    assert config.ibkr == IBKRConfig(host="127.0.0.1", port=7497, client_id=1)
    assert config.paper.latency_ms == (10.0, 50.0)
    assert config.oms.max_open_orders == 100
    assert config.resiliency.enable_dlq is True
    for text in (repr(config), str(config), config.model_dump_json(), repr(config.adapter_arguments())):
        assert "the-key" not in text
        assert "the-secret" not in text


def test_the_process_s_environment_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    assert load_config(str(SHIPPED)).broker == "binance"


def test_only_the_chosen_broker_s_variables_are_needed_until_another_is_asked_for() -> None:
    config = load_config(SHIPPED, KEYS)
    assert config.oanda is None
    with pytest.raises(ConfigError) as error:
        config.for_broker("oanda")
    assert "execution.oanda.account_id: the environment variable OANDA_ACCOUNT_ID is not set" in str(error.value)
    assert "OANDA_TOKEN is not set" in str(error.value)
    with pytest.raises(ConfigError, match="add okx: with api_key, api_secret, passphrase"):
        config.for_broker("okx")
    with pytest.raises(ConfigError, match=r"unknown broker 'binanse'; did you mean binance\?"):
        config.for_broker("binanse")
    assert config.adapter_arguments("paper")["initial_balance"] == 100_000.0
    assert load_config(SHIPPED, {**KEYS, "OANDA_ACCOUNT_ID": "001", "OANDA_TOKEN": "t"}).oanda is not None


def test_a_missing_variable_of_the_chosen_broker(told) -> None:  # type: ignore[no-untyped-def]
    text = shipped()
    lines = told(text, {"BINANCE_API_KEY": "", "OANDA_TOKEN": "x"})
    assert lines[0] == (
        f"{line_of(text, 'api_key')}: execution.binance.api_key: the environment variable BINANCE_API_KEY is empty; "
        "export BINANCE_API_KEY=… before the start, or choose another broker"
    )
    assert "execution.binance.api_secret: the environment variable BINANCE_API_SECRET is not set" in lines[1]
    assert len(lines) == 2


def test_a_file_of_two_lines_is_enough(tmp_path: Path) -> None:
    place = tmp_path / "c.yaml"
    place.write_text("execution:\n  broker: paper\n  oms:\n", encoding="utf-8")
    config = load_config(place, {})
    assert config == ExecutionConfig(broker="paper")
    assert config.chosen == PaperConfig()
    place.write_text("execution: {broker: ibkr}", encoding="utf-8")
    assert load_config(place, {}).chosen == IBKRConfig()


def test_variables_are_expanded_in_any_value_and_nothing_else_is(tmp_path: Path) -> None:
    place = tmp_path / "c.yaml"
    place.write_text(
        "execution:\n  broker: ${BROKER}\n  okx:\n    api_key: a-${MIDDLE}-$HOME\n    api_secret: ${A}${B}\n"
        "    passphrase: '~ $(id) %PATH%'\n  ibkr:\n    port: ${PORT}\n  paper:\n    latency_ms: [1, '${LONGEST}']\n",
        encoding="utf-8",
    )
    config = load_config(
        place, {"BROKER": "okx", "MIDDLE": "${A}", "A": "1", "B": "2", "PORT": "4002", "HOME": "no", "LONGEST": "9"}
    )
    assert isinstance(config.okx, OKXConfig)
    assert config.okx.api_key.get_secret_value() == "a-${A}-$HOME"
    assert config.okx.api_secret.get_secret_value() == "12"
    assert config.okx.passphrase.get_secret_value() == "~ $(id) %PATH%"
    assert config.ibkr.port == 4002
    assert config.paper.latency_ms == (1.0, 9.0)
    assert config.okx.testnet is True


@pytest.mark.parametrize("broken", ["${", "${NO-NAME}", "${}", "x${1A}"])
def test_a_variable_written_wrong(told, broken: str) -> None:  # type: ignore[no-untyped-def]
    (line,) = told(f"execution:\n  broker: paper\n  oms:\n    max_open_orders: '{broken}'\n")
    assert line == "4: execution.oms.max_open_orders: a variable is written ${NAME}, of letters, digits and underscores"


def test_an_unset_variable_in_the_broker_s_name(told) -> None:  # type: ignore[no-untyped-def]
    (line,) = told("execution:\n  broker: ${BROKER}\n")
    assert line.startswith("2: execution.broker: the environment variable BROKER is not set")


def test_typos_are_told_with_the_nearest_name(told) -> None:  # type: ignore[no-untyped-def]
    text = shipped(broker="broker: binanse")
    assert told(text, KEYS) == [
        f"{line_of(text, 'binanse')}: execution.broker: unknown broker 'binanse'; did you mean binance?"
    ]
    text = shipped(client_id="clientid: 1", max_retries="retries: 3", oms="omms:", testnet="tesnet: true")
    lines = told(text, KEYS)
    expected = [
        ("tesnet", "unknown key execution.binance.tesnet; did you mean testnet?"),
        ("clientid", "unknown key execution.ibkr.clientid; did you mean client_id?"),
        ("omms:", "unknown key execution.omms; did you mean oms?"),
        (" retries: 3", "unknown key execution.resiliency.retries; did you mean max_retries?"),
    ]
    assert lines == [f"{line_of(text, part)}: {message}" for part, message in expected]
    (line,) = told("execution:\n  broker: paper\n  paper:\n    zzz: 1\n")
    assert line == (
        "4: unknown key execution.paper.zzz; known: initial_balance, latency_ms, slippage_bps, commission_bps"
    )
    assert told("excution:\n  broker: paper\n") == [
        "1: missing key execution; put broker and the other keys under execution:",
        "1: unknown key excution; did you mean execution?",
    ]


def test_a_broker_with_no_name_like_it_lists_all(told) -> None:  # type: ignore[no-untyped-def]
    (line,) = told("execution:\n  broker: 7\n")
    assert line == f"2: execution.broker: unknown broker 7; known: {', '.join(BROKERS)}"


def test_keys_given_twice(told) -> None:  # type: ignore[no-untyped-def]
    text = shipped(client_id="port: 4002")
    (line,) = told(text, KEYS)
    first = line_of(text, "port: 7497")
    assert line == (
        f"{line_of(text, 'port: 4002')}: execution.ibkr.port is given twice (first in line {first}); "
        "leave one of them out"
    )
    assert "execution.paper is given twice" in told("execution:\n  broker: paper\n  paper:\n  paper:\n")[0]


@pytest.mark.parametrize(
    ("key", "line", "message"),
    [
        ("testnet", "testnet: maybe", "execution.binance.testnet: 'maybe': must be true or false"),
        ("port", "port: 99999", "execution.ibkr.port: 99999: must be less than or equal to 65535"),
        ("port", "port: true", "execution.ibkr.port: True: must be a number, not true or false"),
        ("host", "host: 1", "execution.ibkr.host: 1: must be text; put it in quotes"),
        ("environment", "environment: prod", ""),
        ("initial_balance", "initial_balance: -1", "execution.paper.initial_balance: -1: must be greater than 0"),
        ("initial_balance", "initial_balance: .nan", "execution.paper.initial_balance: nan: must be a finite number"),
        (
            "latency_ms",
            "latency_ms: [50, 10]",
            "execution.paper.latency_ms: [50, 10]: must be [shortest, longest]; swap the two",
        ),
        (
            "latency_ms",
            "latency_ms: fast",
            "execution.paper.latency_ms: 'fast': must be two numbers, [shortest, longest], or one",
        ),
        ("latency_ms", "latency_ms: [1]", "must be two numbers, [shortest, longest], or one"),
        ("latency_ms", "latency_ms: [1, -2]", "execution.paper.latency_ms[1]: -2: must be greater than or equal to 0"),
        ("max_open_orders", "max_open_orders: 2.5", "execution.oms.max_open_orders: 2.5: must be a valid integer"),
        (
            "order_timeout_seconds",
            "order_timeout_seconds: soon",
            "execution.oms.order_timeout_seconds: 'soon': must be",
        ),
        ("enable_dlq", "enable_dlq: [1]", "execution.resiliency.enable_dlq: [1]: must be true or false"),
        ("initial_backoff", "initial_backoff: {a: 1}", "execution.resiliency.initial_backoff: {'a': 1}: must be"),
        ("host", "host: 2026-13-45", "execution.ibkr.host '2026-13-45' is no value YAML knows"),
        ("oms", "oms: 5\n  oom:", "execution.oms: 5 is no block; indent its keys below it"),
    ],
)
def test_wrong_values(told, key: str, line: str, message: str) -> None:  # type: ignore[no-untyped-def]
    text = shipped(**{key: line})
    environment = {**KEYS, "OANDA_ACCOUNT_ID": "1", "OANDA_TOKEN": "2"}
    message = message or "execution.oanda.environment: 'prod': must be 'practice' or 'live'"
    found = [one for one in told(text, environment) if message in one]
    assert found
    assert found[0].startswith(f"{line_of(text, line.splitlines()[0])}: ")


def test_secrets_are_in_no_message(told) -> None:  # type: ignore[no-untyped-def]
    (line,) = told(shipped(api_key="api_key: 123456789"), KEYS)
    assert line.endswith("execution.binance.api_key: the value (hidden) is no text; put it in quotes")
    assert "123456789" not in line


def test_missing_keys(told) -> None:  # type: ignore[no-untyped-def]
    assert told("execution:\n  paper:\n") == [
        f"1: missing key execution.broker; choose one of {', '.join(BROKERS)}",
    ]
    assert told("execution:\n  broker: okx\n  okx:\n    api_key: a\n") == [
        "3: missing key execution.okx.api_secret; add it, e.g. api_secret: ${OKX_API_SECRET}",
        "3: missing key execution.okx.passphrase; add it, e.g. passphrase: ${OKX_PASSPHRASE}",
    ]
    assert told("execution:\n  broker: coinbase\n") == [
        "1: missing key execution.coinbase: broker is 'coinbase'; add its block with api_key, api_secret"
    ]


def test_an_incomplete_block_of_another_broker_is_left_until_asked_for(tmp_path: Path) -> None:
    place = tmp_path / "c.yaml"
    place.write_text("execution:\n  broker: paper\n  fxcm:\n    user: me\n", encoding="utf-8")
    config = load_config(place, {})
    with pytest.raises(
        ConfigError, match=r"missing key execution\.fxcm\.password; missing key execution\.fxcm\.account"
    ):
        config.for_broker("fxcm")
    place.write_text(
        "execution:\n  broker: fxcm\n  fxcm:\n    user: me\n    password: p\n    account: 'a'\n", encoding="utf-8"
    )
    assert isinstance(load_config(place, {}).chosen, FXCMConfig)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "the file is empty; it must begin with execution:"),
        ("# only words\n", "the file is empty"),
        ("- a\n- b\n", "1: the file must begin with execution:"),
        ("execution:\n", "1: execution has no keys below it"),
        ("execution: paper\n", "1: execution has no keys below it"),
        ("execution:\n  broker: [paper\n  oms: 1\n", "not valid YAML"),
        ("execution:\n\tbroker: paper\n", "2:1: not valid YAML"),
        ("execution:\n  broker: paper\n---\nx: 1\n", "not valid YAML"),
        ("execution:\n  broker: \x00paper\n", "not valid YAML"),
        ("execution:\n  broker: paper\n  oms: &loop\n    x: *loop\n", "alias refers to itself"),
        ("execution:\n  broker: paper\n  ? [a, b]\n  : 1\n", "unknown key execution.?"),
    ],
)
def test_files_that_make_no_sense(told, text: str, message: str) -> None:  # type: ignore[no-untyped-def]
    assert message in " ".join(told(text))


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: there is no such file; copy config/execution\.yaml there"):
        load_config(tmp_path / "none.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    latin = tmp_path / "latin.yaml"
    latin.write_bytes("execution:  # prüfen\n".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"latin\.yaml: cannot be read .*UTF-8"):
        load_config(latin)


def test_made_by_hand_it_is_checked_too() -> None:
    with pytest.raises(ValidationError, match="broker is 'binance' and there is no block for it"):
        ExecutionConfig(broker="binance")
    assert PaperConfig(latency_ms=7).latency_ms == (7.0, 7.0)  # type: ignore[arg-type]
