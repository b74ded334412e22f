"""Bad data is refused with one error that names the thing, the row and the way out; good data keeps every number."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pandas as pd
import pytest

from autotrader_lab.model.errors import DataError
from autotrader_lab.model.market import Bar, Quote, Trade
from autotrader_lab.research import samples
from autotrader_lab.research.data import load

from .frames import SHARED, bars_frame, needs_shared

TRADES = SHARED / "market" / "binance_btcusdt-trades.parquet"
QUOTES = SHARED / "market" / "binance_btcusdt-quotes.parquet"


def test_bars_keep_every_number() -> None:
    frame = bars_frame(5)
    loaded = load(frame, symbol="X")
    events = list(loaded.events())
    assert loaded.kind == "bars"
    assert loaded.symbols == ("X",)
    for (moment, row), event in zip(frame.iterrows(), events, strict=True):
        assert isinstance(event, Bar)
        assert event == Bar("X", pd.Timestamp(moment).value, row.open, row.high, row.low, row.close, row.volume)  # type: ignore[arg-type]


@pytest.mark.parametrize("rename", [str.upper, str.title, lambda name: f" {name} "])
def test_capitalisation_does_not_matter(rename: Any) -> None:
    frame = bars_frame(4)
    assert np.array_equal(load(frame.rename(columns=rename)).values["close"], frame["close"])


@pytest.mark.parametrize("name", ["timestamp", "time", "date", "datetime", "Date"])
def test_time_may_be_a_column(name: str) -> None:
    frame = bars_frame(4)
    moved = frame.reset_index(names=name)
    assert np.array_equal(load(moved).timestamps_ns, load(frame).timestamps_ns)


def test_times_as_text_with_summer_time_offsets() -> None:
    frame = bars_frame(2).reset_index(drop=True)
    frame["time"] = ["2024-03-30T12:00:00+01:00", "2024-03-31T12:00:00+02:00"]
    assert list(load(frame).index.strftime("%H:%M")) == ["11:00", "10:00"]


def test_naive_time_is_declared_or_refused() -> None:
    frame = bars_frame(3).tz_localize(None)
    with pytest.raises(DataError, match=r'no time zone.*timezone="UTC".*tz_localize\("UTC"\)'):
        load(frame)
    assert np.array_equal(load(frame, timezone="UTC").timestamps_ns, load(bars_frame(3)).timestamps_ns)
    column = frame.reset_index(names="date")
    with pytest.raises(DataError, match=r"column 'date' has no time zone.*df\['date'\]\.dt\.tz_localize"):
        load(column)
    with pytest.raises(DataError, match="Europe/Nowhere"):
        load(frame, timezone="Europe/Nowhere")


def _with(row: int, **values: Any) -> pd.DataFrame:
    frame = bars_frame(6).astype("object")
    for name, value in values.items():
        frame.iloc[row, frame.columns.get_loc(name)] = value  # type: ignore[index]
    return frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (bars_frame(0), "empty"),
        (bars_frame(4).drop(columns="close"), "missing: 'close'"),
        (bars_frame(4).rename(columns={"close": "clse"}), r"'close' \(nearest is 'clse'\)"),
        (bars_frame(4)[["volume"]], "no market data"),
        (bars_frame(4).reset_index(drop=True), r"no time.*rename"),
        (bars_frame(4).reset_index(drop=True).assign(time=[1, 2, 3, 4]), r"numbers.*unit='ms'"),
        (bars_frame(4).reset_index(drop=True).assign(time="11/5/2019 9:30"), r"row 0 is '11/5/2019 9:30'.*format="),
        (bars_frame(4)[::-1], r"not sorted: row 1 .*sort_index"),
        (pd.concat([bars_frame(2), bars_frame(2)[1:]]), r"duplicate time 2024-01-01 00:01:00\+00:00 in rows 1 and 2"),
        (_with(2, close=float("nan")), r"column 'close' \(close\), row 2 .*00:02.*nan.*dropna"),
        (_with(3, open=float("inf")), r"column 'open' \(open\), row 3 .*inf"),
        (_with(3, volume="lots"), r"column 'volume'.*row 3.*'lots'"),
        (_with(1, high=50.0), r"high is below low in row 1 .*high 50\.0"),
        (_with(4, close=1000.0), r"close lies outside low to high in row 4 .*close 1000\.0"),
        (_with(0, low=-1.0), r"'low' is not positive in row 0"),
        (_with(5, volume=-1.0), r"'volume' is negative in row 5"),
        (bars_frame(2).assign(Close=1.0), "same name"),
        (bars_frame(2).assign(symbol=["A", None]), "row 1 is empty"),
        (pd.concat({"A": bars_frame(2)}, axis=1), "2 levels"),
        (bars_frame(2).set_index(pd.DatetimeIndex(["2024-01-01", pd.NaT], tz="UTC")), r"row 1 has no time"),
    ],
)
def test_bad_bars_are_refused(frame: pd.DataFrame, message: str) -> None:
    with pytest.raises(DataError, match=message):
        load(frame)


def test_what_is_no_data_at_all(tmp_path: Any) -> None:
    for thing, message in (
        ([1, 2], "is a list; give"),
        ({}, "empty mapping"),
        (tmp_path / "prices.parquet", "no file"),
        (tmp_path, "neither .parquet nor .csv"),
    ):
        with pytest.raises(DataError, match=message):
            load(thing)  # type: ignore[arg-type]
    (tmp_path / "bars.csv").write_text("")
    with pytest.raises(DataError, match="cannot be read"):
        load(tmp_path / "bars.csv")
    with pytest.raises(DataError, match=r"did you mean 'bars\.csv'"):
        load(tmp_path / "bar.csv")


@pytest.mark.parametrize("suffix", ["csv", "csv.gz", "parquet"])
def test_files_give_what_the_frame_gives(tmp_path: Any, suffix: str) -> None:
    frame = bars_frame(10)
    path = tmp_path / f"bars.{suffix}"
    frame.reset_index(names="time").to_parquet(path) if suffix == "parquet" else frame.to_csv(path, index_label="time")
    from_file, from_frame = load(str(path)), load(frame)
    assert np.array_equal(from_file.timestamps_ns, from_frame.timestamps_ns)
    assert all(np.array_equal(from_file.values[name], from_frame.values[name]) for name in from_frame.values)


def test_bar_interval_moves_the_stamp_to_when_the_bar_is_known() -> None:
    frame = bars_frame(3)
    assert (load(frame, bar_interval="1min").timestamps_ns - load(frame).timestamps_ns == 60 * 10**9).all()
    for bad in ("soon", "-1min"):
        with pytest.raises(DataError, match=re.escape(repr(bad))):
            load(frame, bar_interval=bad)
    assert np.array_equal(load(_quotes(), bar_interval="1min").timestamps_ns, load(_quotes()).timestamps_ns)


def test_several_symbols_are_merged_by_time() -> None:
    apple, ibm = bars_frame(3), bars_frame(3).shift(freq="30s")
    long = pd.concat([apple.assign(symbol="AAPL"), ibm.assign(symbol="IBM")])
    for data in (long, {"AAPL": apple, "IBM": ibm}):
        events = list(load(data).events())
        assert [event.symbol for event in events] == ["AAPL", "IBM"] * 3
        assert [event.timestamp_ns for event in events] == sorted(event.timestamp_ns for event in events)
    assert load(long, symbol="IBM").symbols == ("IBM",)
    with pytest.raises(DataError, match="'IBN'; did you mean 'IBM'"):
        load(long, symbol="IBN")
    with pytest.raises(DataError, match="no symbol column"):
        load(apple, symbol=["AAPL", "IBM"])
    with pytest.raises(DataError, match="mixes kinds"):
        load({"A": apple, "B": _quotes()})


def _quotes(second_ask: float = 10.3) -> pd.DataFrame:
    index = pd.date_range("2024-01-01", periods=3, freq="s", tz="UTC")
    return pd.DataFrame({"bid": [10.0, 10.2, 10.1], "ask": [10.1, second_ask, 10.2]}, index=index)


def test_crossed_quotes_are_kept_and_told() -> None:
    with pytest.warns(UserWarning, match="1 of 3 quotes are crossed"):
        loaded = load(_quotes(second_ask=10.1))
    assert [event.bid for event in loaded.events() if isinstance(event, Quote)] == [10.0, 10.2, 10.1]


def test_trades_may_share_a_time_and_know_their_taker() -> None:
    index = pd.DatetimeIndex(["2024-01-01"] * 2, tz="UTC")
    by_side = pd.DataFrame({"price": [1.0, 2.0], "amount": [3.0, 4.0], "side": ["BUY", "sell"]}, index=index)
    by_maker = pd.DataFrame({"price": [1.0, 2.0], "qty": [3.0, 4.0], "buyer_maker": [False, True]}, index=index)
    for frame in (by_side, by_maker):
        events = list(load(frame, symbol="X").events())
        first, second = index.as_unit("ns").asi8
        assert events == [Trade("X", int(first), 1.0, 3.0, "buy"), Trade("X", int(second), 2.0, 4.0, "sell")]
    with pytest.raises(DataError, match="'hold'; use 'buy' or 'sell'"):
        load(by_side.assign(side="hold"))


@needs_shared
def test_recorded_binance_trades_are_the_reference_numbers() -> None:
    loaded = load(TRADES, symbol="BTC/USDT")
    price, size = loaded.values["price"], loaded.values["size"]
    assert len(loaded) == 2001
    assert size.sum() == pytest.approx(87.071596, abs=1e-9)
    assert (price * size).sum() / size.sum() == pytest.approx(39492.76626827, abs=1e-7)
    assert loaded.aggressors.count("sell") == 914  # the buyer was the maker


@needs_shared
def test_recorded_quotes_of_both_fx_venues() -> None:
    oanda = load(SHARED / "market" / "oanda_eurusd_ticks_20140502.parquet", timezone="UTC")
    assert len(oanda) == 49_341
    assert 1e4 * (oanda.values["ask"] - oanda.values["bid"]).mean() == pytest.approx(1.9508, abs=1e-4)
    with pytest.warns(UserWarning, match="12061 of 96406 quotes are crossed"):
        fxcm = load(SHARED / "market" / "fxcm_eurusd_ticks_20140502.parquet", timezone="UTC")
    assert 1e4 * (fxcm.values["ask"] - fxcm.values["bid"]).mean() == pytest.approx(0.1876, abs=1e-4)
    assert load(QUOTES).symbols == ("BTC/USDT",)


def test_sample_stocks_have_their_splits_adjusted_away() -> None:
    raw = samples.stocks("AAPL", adjusted=False)["close"]
    adjusted = samples.stocks("AAPL")["close"]
    days = pd.DatetimeIndex(raw.index).strftime("%Y-%m-%d")
    raw.index = adjusted.index = days
    assert raw["2005-02-25"] == 88.99
    assert raw["2005-02-28"] == 44.86
    moves, raw_moves = adjusted.pct_change(), raw.pct_change()
    for split in ("2000-06-21", "2005-02-28"):
        assert raw_moves[split] < -0.4
        assert abs(moves[split]) < 0.15
    assert moves["2000-09-29"] == pytest.approx(25.75 / 53.50 - 1, abs=1e-3)  # a fall, and no split


def test_sample_stocks_load_and_name_what_there_is() -> None:
    loaded = load(samples.stocks(["AAPL", "GOOG"]))
    assert loaded.symbols == ("AAPL", "GOOG")
    assert len(load(samples.stocks("GOOG"))) == 2148
    assert loaded.index.tz is not None
    with pytest.raises(DataError, match="'APPL'; did you mean 'AAPL'"):
        samples.stocks("APPL")
