from __future__ import annotations

import math

import pytest
from pydantic import ValidationError

from autotrader_lab.model.errors import ConfigError
from autotrader_lab.strategy import (
    PortfolioConfig,
    RiskConfig,
    SignalConfig,
    SizingConfig,
    StrategyConfig,
    TradingStrategy,
)

INF = math.inf

# The specification's table, typed again from the page.
SPECIFIED = {
    SignalConfig: {
        "buy_threshold": 0.55,
        "sell_threshold": 0.45,
        "min_ev": 10,
        "transaction_cost": 5,
        "avg_win": 100,
        "avg_loss": 80,
        "max_hold_bars": 100,
        "max_hold_seconds": 300,
        "max_mae_pct": 0.02,
        "trailing_stop": True,
        "profit_levels": ((0.005, 0.25), (0.010, 0.50), (0.020, 1.00)),
    },
    SizingConfig: {
        "method": "volatility_scaled",
        "target_volatility": 0.01,
        "lookback": 20,
        "vol_method": "ewma",
        "kelly_fraction": 0.25,
        "win_rate": None,
        "avg_win": None,
        "avg_loss": None,
        "fraction": 0.02,
        "total_risk_budget": 0.10,
        "max_position": INF,
        "max_position_pct": 0.20,
        "min_position": 0,
    },
    RiskConfig: {
        "max_daily_loss": 10000,
        "daily_loss_warning": 0.80,
        "max_trades_per_day": 1000,
        "max_trades_per_hour": 100,
        "max_trades_per_minute": 10,
        "consecutive_loss_limit": 5,
        "cooldown_minutes": 30,
        "max_drawdown": 0.20,
        "scale_start_drawdown": 0.10,
        "max_position_per_symbol": {},
        "default_max_position": INF,
        "max_gross_exposure": INF,
        "max_net_exposure": INF,
        "max_sector_exposure": {},
    },
    PortfolioConfig: {
        "max_concurrent_positions": 20,
        "max_per_sector": None,
        "max_per_venue": None,
        "max_correlation": 0.70,
        "correlation_lookback": 60,
        "correlation_update_freq": 10,
        "cooldown_loss_count": 3,
        "cooldown_minutes": 15,
        "progressive_cooldown": True,
        "max_cooldown_minutes": 240,
        "min_sectors": 0,
        "min_venues": 0,
        "max_sector_concentration": 1.0,
        "max_venue_concentration": 1.0,
    },
}


@pytest.mark.parametrize("section", SPECIFIED, ids=lambda section: section.__name__)
def test_every_default_is_the_specifications(section):
    assert section().model_dump(include=set(SPECIFIED[section])) == SPECIFIED[section]


def test_keys_beyond_the_specification_change_nothing_by_default():
    extra = {
        name: section().model_dump()[name]
        for section, known in SPECIFIED.items()
        for name in section.model_fields
        if name not in known
    }
    assert extra == {"exit_on_reversal": False}
    assert StrategyConfig().allow_short is True


def test_yaml_round_trip_keeps_infinity_none_tuples_and_mappings(tmp_path):
    path = tmp_path / "strategy.yaml"
    made = StrategyConfig(
        strategy_name="träumer",
        description="tests: a colon, and 'quotes'",
        signal=SignalConfig(profit_levels=((0.001, 0.5),), max_hold_seconds=None, max_hold_bars=None),
        sizing=SizingConfig(max_position=INF, win_rate=None),
        risk=RiskConfig(max_position_per_symbol={"BTC/USDT": 1.5}, max_sector_exposure={"tech": 5e4}),
        portfolio=PortfolioConfig(max_per_sector=3, max_per_venue=None),
        allow_short=False,
    )
    made.to_yaml(path)
    read = StrategyConfig.from_yaml(path)
    assert read == made
    assert read.signal.profit_levels == ((0.001, 0.5),)
    assert read.sizing.max_position == INF
    StrategyConfig().to_yaml(path)
    assert StrategyConfig.from_yaml(path) == StrategyConfig()


def test_an_empty_file_and_empty_sections_mean_defaults(tmp_path):
    path = tmp_path / "strategy.yaml"
    path.write_text("")
    assert StrategyConfig.from_yaml(path) == StrategyConfig()
    path.write_text("risk:\nsignal:\n  buy_threshold: 0.6\n")
    assert StrategyConfig.from_yaml(path).signal.buy_threshold == 0.6


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("signal:\n  buy_treshold: 0.6\n", ["signal.buy_treshold", "did you mean 'buy_threshold'"]),
        ("risc:\n  max_drawdown: 0.1\n", ["risc", "did you mean 'risk'"]),
        ("portfolio:\n  xyzzy: 1\n", ["portfolio.xyzzy", "max_concurrent_positions"]),
        ("sizing:\n  max_position_pct: 3\n", ["sizing.max_position_pct = 3", "less than or equal to 1"]),
        ("sizing:\n  method: kely\n", ["sizing.method = 'kely'", "'kelly'"]),
        ("signal:\n  buy_threshold: 0.4\n", ["signal", "buy_threshold 0.4 must exceed sell_threshold 0.45"]),
        ("signal:\n  profit_levels: [[0.02, 0.5], [0.01, 1.0]]\n", ["signal.profit_levels", "0.01", "increasing"]),
        ("signal:\n  profit_levels: [[0.02, 1.5]]\n", ["signal.profit_levels", "fraction 1.5", "(0, 1]"]),
        ("risk:\n  scale_start_drawdown: 0.5\n", ["risk", "scale_start_drawdown 0.5", "max_drawdown 0.2"]),
        ("risk:\n  max_daily_loss: .nan\n", ["risk.max_daily_loss = nan"]),
        ("portfolio:\n  cooldown_minutes: 500\n", ["portfolio", "500", "max_cooldown_minutes 240"]),
        ("sizing:\n  min_position: 10\n  max_position: 5\n", ["sizing", "min_position 10", "max_position 5"]),
        ("signal: 3\n", ["signal", "3"]),
        ("- a\n- b\n", ["expected a mapping", "list"]),
        ("signal: {buy_threshold: [\n", ["not valid YAML"]),
    ],
)
def test_a_mistake_names_the_file_the_key_the_value_and_the_way_out(tmp_path, text, parts):
    path = tmp_path / "mistaken.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        StrategyConfig.from_yaml(path)
    for part in [str(path), *parts]:
        assert part in str(caught.value)


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path):
    path = tmp_path / "mistaken.yaml"
    path.write_text("sizing:\n  fraction: 2\nrisk:\n  max_drawdown: -1\n")
    with pytest.raises(ConfigError, match=r"sizing\.fraction = 2.*risk\.max_drawdown = -1"):
        StrategyConfig.from_yaml(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"absent\.yaml: cannot be read"):
        StrategyConfig.from_yaml(tmp_path / "absent.yaml")


def test_constructors_and_assignments_are_checked_too():
    with pytest.raises(ValidationError, match="did you mean 'max_drawdown'"):
        RiskConfig(max_drawdwn=0.1)
    made = StrategyConfig()
    with pytest.raises(ValidationError, match="less than or equal to 1"):
        made.sizing.fraction = 7.0
    made.sizing.fraction = 0.5
    assert made.sizing.fraction == 0.5


def test_the_strategy_keeps_its_own_copy():
    mine = StrategyConfig()
    made = TradingStrategy(mine, 1000.0)
    mine.risk.max_daily_loss = 1.0
    assert made.config.risk.max_daily_loss == 10_000.0
