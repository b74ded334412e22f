"""Replay does what a loop written by hand does, sees no future, and gives the same result every time."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autotrader_lab.execution.risk import RiskLimits
from autotrader_lab.journal import Journal, MemoryJournal, fold
from autotrader_lab.model.errors import DataError, InstrumentError
from autotrader_lab.model.instruments import Instrument, Instruments
from autotrader_lab.research import replay, samples
from autotrader_lab.strategy import ModelStrategy, MomentumModel

from .frames import SHARED, bars_frame, needs_shared
from .strategies import SmaCross, Watcher

OPEN_GATE = RiskLimits(
    max_daily_loss=None, max_drawdown=None, max_orders_per_minute=None, duplicate_window_s=0, price_collar_pct=None
)
QUIET: dict[str, Any] = {"progress": False, "limits": OPEN_GATE, "initial_balance": 1_000_000}


def _by_hand(
    frame: pd.DataFrame, fast: int, slow: int, size: float, fee: float
) -> list[tuple[Any, str, float, float, float]]:
    """The SMA cross as nobody's library would write it: fills at the next bar's open."""
    closes, opens, when = frame["close"].tolist(), frame["open"].tolist(), frame.index
    fills, held, side = [], 0.0, None
    for row in range(slow - 1, len(closes)):
        up = sum(closes[row - fast + 1 : row + 1]) / fast > sum(closes[row - slow + 1 : row + 1]) / slow
        if up is not side:
            side = up
            target = size if up else -size
            if row + 1 < len(closes):
                quantity = abs(target - held)
                price = opens[row + 1]
                fills.append((when[row + 1], "buy" if up else "sell", quantity, price, quantity * price * fee))
                held = target
    return fills


def _fills(result: Any) -> list[tuple[Any, ...]]:
    return list(result.fills[["side", "quantity", "price", "commission"]].itertuples(name=None))


def _files() -> list[Any]:
    perp = ("btc_perp_1m_202201.csv.gz", "timestamp")
    bitstamp = ("bitstamp_btcusd_1m_20200101.csv", "datetime")
    return [pytest.param(*perp, id="btc_perp"), pytest.param(*bitstamp, id="bitstamp")]


@needs_shared
@pytest.mark.parametrize(("name", "column"), _files())
def test_fills_are_those_of_a_loop_by_hand(name: str, column: str) -> None:
    frame = pd.read_csv(SHARED / "market" / name)
    frame.index = pd.DatetimeIndex(pd.to_datetime(frame.pop(column))).tz_localize("UTC")
    expected = _by_hand(frame, 20, 100, 1.0, 0.001)
    result = replay(SmaCross(), frame, symbol="BTC/USD", slippage_bps=0, **QUIET)
    got = _fills(result)
    assert len(expected) > 10
    assert [fill[:4] for fill in got] == [fill[:4] for fill in expected]
    assert [fill[4] for fill in got] == pytest.approx([fill[4] for fill in expected], abs=2e-8)
    cash = sum((-1 if side == "buy" else 1) * size * price - fee for _, side, size, price, fee in expected)
    held = sum((1 if side == "buy" else -1) * size for _, side, size, _, _ in expected)
    assert result.stats["end_equity"] == pytest.approx(1_000_000 + cash + held * frame["close"].iloc[-1], abs=1e-4)


def test_slippage_moves_every_market_fill_against_the_trader() -> None:
    frame = bars_frame(600)
    expected = _by_hand(frame, 5, 20, 2.0, 0.001)
    result = replay(SmaCross(5, 20, 2.0), frame, slippage_bps=10, **QUIET)
    assert len(expected) == len(result.fills)
    for (_, side, _, price, _), got in zip(expected, result.fills["price"], strict=True):
        assert got == pytest.approx(price * (1.001 if side == "buy" else 0.999), abs=1e-8)


def test_the_same_seed_gives_the_same_run_and_the_strategy_is_not_touched() -> None:
    frame, strategy = bars_frame(500), SmaCross(5, 20)
    runs = [replay(strategy, frame, latency_ms=(10, 200_000), seed=seed, **QUIET) for seed in (7, 7, 8)]
    assert strategy.side is None
    assert runs[0].strategy.side is not None
    for name in ("fills", "orders", "decisions", "equity"):
        pd.testing.assert_frame_equal(getattr(runs[0], name), getattr(runs[1], name))
    assert not runs[0].fills.equals(runs[2].fills)
    replay(strategy, frame, copy=False, **QUIET)
    assert strategy.side is not None


def test_latency_past_the_next_bar_meets_the_one_after() -> None:
    frame = bars_frame(10)
    slow = replay(Watcher({2: ("LONG", 1.0)}), frame, latency_ms=90_000, slippage_bps=0, **QUIET)
    assert list(slow.fills.index) == [frame.index[4]]
    assert slow.fills["price"].iloc[0] == frame["open"].iloc[4]


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), cut=st.integers(25, 118), other=st.integers(0, 10_000))
def test_the_future_never_changes_the_past(seed: int, cut: int, other: int) -> None:
    past, future = bars_frame(120, seed), bars_frame(120, other)
    mixed = pd.concat([past.iloc[: cut + 1], future.iloc[cut + 1 :]])
    whole, changed = (replay(SmaCross(5, 20), frame, **QUIET) for frame in (past, mixed))
    now = past.index[cut]
    for name in ("decisions", "fills", "equity"):
        first, second = getattr(whole, name), getattr(changed, name)
        pd.testing.assert_frame_equal(first[first.index <= now], second[second.index <= now])


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    plan=st.dictionaries(
        st.integers(0, 59), st.tuples(st.sampled_from(["LONG", "SHORT", "CLOSE"]), st.integers(1, 40).map(float))
    ),
)
def test_equity_is_what_the_strategy_saw_at_every_bar(seed: int, plan: dict[int, tuple[str, float]]) -> None:
    result = replay(Watcher(plan), bars_frame(60, seed), **QUIET)
    assert result.equity["equity"].tolist() == pytest.approx(result.strategy.equities, abs=1e-6)
    position = result.positions
    booked = (position["realised"] + position["unrealised"] - position["fees"]).sum()
    assert result.stats["end_equity"] == pytest.approx(1_000_000 + booked, abs=1e-6)
    assert result.strategy.closed == len(result.decisions) - (result.orders["status"] == "submitted").sum()
    assert sum(pnl for pnl, _, _ in result.strategy.executions) == pytest.approx(position["realised"].sum(), abs=1e-6)
    trips = result.round_trips
    assert trips["gross"].sum() == pytest.approx(
        position["realised"].sum() if _flat(position) else _closed(result), abs=1e-6
    )
    assert len(trips) == position["round_trips"].sum()


def _flat(position: pd.DataFrame) -> bool:
    return bool((position["quantity"] == 0).all())


def _closed(result: Any) -> float:
    """Realised P&L up to the last exit: what an open position realised by partial exits is no round trip yet."""
    if not len(result.round_trips):
        return 0.0
    until = result.round_trips["exit_time"].max()
    return float(result.fills.loc[:until, "realised"].sum())


def test_several_symbols_share_one_account() -> None:
    frame = samples.stocks(["AAPL", "IBM", "MSFT"])
    frame = frame[frame.index < "2001-01-01"]
    plan = {0: ("LONG", 10.0), 1: ("SHORT", 20.0), 2: ("LONG", 30.0), 300: ("CLOSE", 0.0)}
    result = replay(Watcher(plan), frame, **QUIET)
    assert set(result.fills["symbol"]) == {"AAPL", "IBM", "MSFT"}
    assert result.equity["equity"].tolist() == pytest.approx(result.strategy.equities, abs=1e-6)
    assert list(result.prices.columns) == ["AAPL", "IBM", "MSFT"]


def test_the_gate_and_the_account_refuse_as_live() -> None:
    frame = bars_frame(20)
    denied = replay(Watcher({3: ("LONG", 50.0)}), frame, progress=False, limits=RiskLimits(max_order_notional=1_000))
    assert denied.stats["denied"] == 1
    assert "NOTIONAL_OVER_LIMIT (asked" in denied.orders["reason"].iloc[0]
    poor = replay(Watcher({3: ("LONG", 50.0)}), frame, progress=False, initial_balance=1_000)
    assert poor.orders["status"].tolist() == ["rejected"]
    assert poor.stats["rejected"] == 1
    assert poor.strategy.closed == 1
    cash = replay(Watcher({3: ("SHORT", 1.0)}), frame, progress=False, allow_short=False)
    assert cash.orders["reason"].str.contains("SHORT_NOT_SUPPORTED").all()
    assert len(cash.fills) == 0


def _steps(closes: list[float], freq: str) -> pd.DataFrame:
    opens = [closes[0], *closes[:-1]]
    columns = {
        "open": opens,
        "high": [max(pair) for pair in zip(opens, closes, strict=True)],
        "low": [min(pair) for pair in zip(opens, closes, strict=True)],
        "close": closes,
    }
    return pd.DataFrame(columns, index=pd.date_range("2024-01-01", periods=len(closes), freq=freq, tz="UTC"))


def test_drawdown_is_limited_from_the_peak_between_orders() -> None:
    # 500 bought at 100 gain 25,000 and lose them again: flat from the start, a sixth below the peak.
    frame = _steps([100.0, 100, 150, 150, 100, 100], "1min")
    options = {"progress": False, "slippage_bps": 0, "commission_bps": 0}
    plan = {0: ("LONG", 500.0), 4: ("LONG", 1.0)}
    limits = {"max_daily_loss": None, "price_collar_pct": None}
    strict = replay(Watcher(plan), frame, limits=RiskLimits(max_drawdown=0.15, **limits), **options)
    assert strict.orders["reason"].iloc[1].startswith("DRAWDOWN_OVER_LIMIT (asked 0.19999")
    loose = replay(Watcher(plan), frame, limits=RiskLimits(max_drawdown=0.25, **limits), **options)
    assert loose.stats["denied"] == 0
    several = {"A": frame, "B": _steps([10.0] * 6, "1min")}
    both = replay(
        Watcher({0: ("LONG", 500.0), 8: ("LONG", 1.0)}),
        several,
        limits=RiskLimits(max_drawdown=0.15, **limits),
        **options,
    )
    assert both.orders["reason"].iloc[1].startswith("DRAWDOWN_OVER_LIMIT (asked 0.19999")


def test_the_days_loss_counts_from_midnight_whenever_the_first_order_comes() -> None:
    frame = _steps([100.0, 100, 90, 90, 75, 75], "8h")  # midnight before rows 3 and 6
    plan = {0: ("LONG", 500.0), 4: ("LONG", 1.0)}
    limits = {"max_drawdown": None, "price_collar_pct": None}
    options = {"progress": False, "slippage_bps": 0, "commission_bps": 0}
    strict = replay(Watcher(plan), frame, limits=RiskLimits(max_daily_loss=7_000, **limits), **options)
    assert strict.orders["reason"].iloc[1].startswith("DAILY_LOSS_OVER_LIMIT (asked 7500.0, limit 7000.0)")
    loose = replay(Watcher(plan), frame, limits=RiskLimits(max_daily_loss=8_000, **limits), **options)
    assert loose.stats["denied"] == 0


def test_limits_fill_at_their_price_or_better_only_when_reached() -> None:
    frame = bars_frame(50)
    limit = round(float(frame["low"].iloc[5:].min()) + 0.01, 4)
    result = replay(Watcher({2: ("LONG", 1.0)}, limit_price=limit), frame, **QUIET)
    reached = frame.iloc[3:][frame["low"].iloc[3:] <= limit].index[0]
    assert list(result.fills.index) == [reached]
    assert result.fills["price"].iloc[0] == min(limit, frame.loc[reached, "open"])
    far = replay(Watcher({2: ("LONG", 1.0)}, limit_price=1.0), frame, **QUIET)
    assert far.orders["status"].tolist() == ["submitted"]


def test_instruments_grid_is_kept() -> None:
    from decimal import Decimal

    grid = Instruments([Instrument("X", lot_size=Decimal("0.5"), tick_size=Decimal("0.01"))])
    result = replay(Watcher({2: ("LONG", 1.7)}), bars_frame(10), symbol="X", instruments=grid, **QUIET)
    assert result.fills["quantity"].tolist() == [1.5]
    with pytest.raises(InstrumentError, match="no symbol 'Y'"):
        replay(Watcher(), bars_frame(10), symbol="Y", instruments=grid, **QUIET)


def test_a_plain_function_and_a_phase_8_strategy_replay() -> None:
    def buy_dips(bar: Any, context: Any) -> Any:
        if bar.close < bar.open and not context.position(bar.symbol):
            return Watcher.long(bar.symbol, 1.0, context)
        return None

    plain = replay(buy_dips, bars_frame(50), **QUIET)
    assert plain.name == "buy_dips"
    assert plain.stats["trades"] == 1
    phase8 = replay(ModelStrategy(MomentumModel()), samples.stocks("AAPL"), progress=False)
    assert phase8.stats["round_trips"] > 10
    assert phase8.stats["fees"] > 0


def test_progress_is_told_and_costs_no_row() -> None:
    told: list[tuple[int, int]] = []
    replay(Watcher(), bars_frame(5000), on_progress=lambda done, total: told.append((done, total)), **QUIET)
    assert told[-1] == (5000, 5000)
    assert told == sorted(told)
    assert len(told) < 20


def test_the_progress_bar_is_shown_when_asked(capsys: pytest.CaptureFixture[str]) -> None:
    replay(Watcher(), bars_frame(100), limits=OPEN_GATE)
    assert "Watcher" in capsys.readouterr().err
    replay(Watcher(), bars_frame(100), **QUIET)
    assert capsys.readouterr().err == ""


def test_the_journal_holds_the_run_and_the_evidence(tmp_path: Any) -> None:
    with Journal.open(tmp_path / "journal.sqlite", session="s") as journal:
        result = replay(SmaCross(5, 20), bars_frame(400), journal=journal, evidence_for="abc", **QUIET)
        entries = list(journal.read())
        books = fold(entries)
        assert [fill.price for fill in books.fills] == result.fills["price"].tolist()
        assert set(result.fills["session"]) == {"s"}
        kinds = [entry.kind for entry in entries]
        assert kinds[0] == "stage_started"
        assert kinds[-1] == "stage_stopped"
        assert entries[0].decode(dict)["fingerprint"] == "abc"
        counters = next(entry for entry in entries if entry.kind == "counters").decode(dict)
        assert counters["fills"] == len(result.fills)
        assert counters["round_trips"] == result.stats["round_trips"]
        deepest = max(mark.drawdown for _, mark in books.equity)
        assert deepest == pytest.approx(result.stats["max_drawdown"], abs=1e-12)
        again = replay(SmaCross(5, 20), bars_frame(400), journal=journal, **QUIET)
        assert len(again.decisions) == len(result.decisions)
        assert not set(again.orders.index) & set(result.orders.index)
        assert len(fold(journal.read()).fills) == 2 * len(result.fills)


def test_memory_journals_give_the_same_frames_as_a_file(tmp_path: Any) -> None:
    memory = MemoryJournal("s")
    with Journal.open(tmp_path / "journal.sqlite", session="s") as file:
        first, second = (replay(SmaCross(5, 20), bars_frame(300), journal=one, **QUIET) for one in (memory, file))
    for name in ("fills", "orders", "decisions", "equity", "positions"):
        pd.testing.assert_frame_equal(getattr(first, name), getattr(second, name))


def test_data_a_strategy_would_not_hear_is_refused_before_anything_runs() -> None:
    quotes = pd.DataFrame(
        {"bid": [1.0, 1.0], "ask": [1.1, 1.1]}, index=pd.date_range("2024-01-01", periods=2, freq="s", tz="UTC")
    )
    with pytest.raises(DataError, match=r"Watcher listens with on_bar only; give bar_interval='1min'"):
        replay(Watcher(), quotes, **QUIET)

    class OnQuotes:
        def on_quote(self, quote: Any, context: Any) -> None:
            return None

    with pytest.raises(DataError, match=r"OnQuotes listens with on_quote only; give it quotes, or an on_bar"):
        replay(OnQuotes(), bars_frame(3), **QUIET)


def test_a_strategy_names_its_own_symbols() -> None:
    class OnlyIbm(Watcher):
        symbols = ("IBM",)

    frame = samples.stocks(["AAPL", "IBM"]).iloc[:40]
    assert {bar.symbol for bar in replay(OnlyIbm(), frame, **QUIET).strategy.events} == {"IBM"}
    assert replay(OnlyIbm(), bars_frame(5), **QUIET).prices.columns.tolist() == ["IBM"]
