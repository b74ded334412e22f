"""What a result shows, saves and carries to another process."""

from __future__ import annotations

import pickle
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest

from autotrader_lab.model.errors import DataError
from autotrader_lab.research import ReplayResult, replay, samples
from autotrader_lab.research.plots import thin
from autotrader_lab.research.summary import DESCRIPTIONS

from .frames import bars_frame
from .strategies import SmaCross, Watcher
from .test_replay import QUIET

FRAMES = ("fills", "orders", "decisions", "equity", "positions", "round_trips", "prices")


@pytest.fixture(autouse=True)
def _no_display() -> None:
    mpl.use("Agg")


def _run(count: int = 400) -> ReplayResult:
    return replay(SmaCross(5, 20), bars_frame(count), symbol="X/USD", **QUIET)


@pytest.mark.parametrize("strategy", [SmaCross(5, 20), Watcher()], ids=["trades", "never trades"])
def test_saved_and_loaded_is_the_same(tmp_path: Any, strategy: Any) -> None:
    result = replay(strategy, bars_frame(200), symbol="X/USD", **QUIET)
    loaded = ReplayResult.load(result.save(tmp_path / "runs" / "first"))
    for name in FRAMES:
        pd.testing.assert_frame_equal(getattr(result, name), getattr(loaded, name), check_freq=False)
    pd.testing.assert_series_equal(result.stats, loaded.stats)
    assert (loaded.name, loaded.fingerprint, loaded.settings) == (result.name, result.fingerprint, result.settings)
    assert repr(loaded) == repr(result)


def test_loading_what_is_no_result(tmp_path: Any) -> None:
    with pytest.raises(DataError, match="holds no saved replay"):
        ReplayResult.load(tmp_path)
    folder = _run(50).save(tmp_path)
    (folder / "result.json").write_text('{"format": 99}')
    with pytest.raises(DataError, match="newer version"):
        ReplayResult.load(folder)


def test_a_result_travels_to_another_process() -> None:
    result = _run()
    there = pickle.loads(pickle.dumps(result))
    pd.testing.assert_frame_equal(there.fills, result.fills)
    pd.testing.assert_series_equal(there.stats, result.stats)


def test_every_figure_is_described_and_shown() -> None:
    result = _run()
    assert list(result.stats.index) == list(DESCRIPTIONS)
    shown = result._repr_html_()
    assert "<svg" in shown
    assert all(f'title="{meaning}"'.replace("'", "&#x27;") in shown for meaning in DESCRIPTIONS.values())
    assert "SmaCross" in repr(result)


def test_frames_keep_their_columns_when_nothing_happened() -> None:
    busy, idle = _run(), replay(Watcher(), bars_frame(5), **QUIET)
    for name in FRAMES[:6]:
        assert list(getattr(idle, name).columns) == list(getattr(busy, name).columns)
        if name != "equity":
            assert len(getattr(idle, name)) == 0


def test_the_figure_shows_the_run() -> None:
    result = _run()
    drawn = result.plot()
    price, equity, fallen = drawn.axes
    assert equity.lines[0].get_ydata().tolist() == result.equity["equity"].tolist()
    assert fallen.lines[0].get_ydata().min() == pytest.approx(-100 * result.stats["max_drawdown"])
    marked = sum(len(points.get_offsets()) for points in price.collections)
    assert marked == len(result.fills)
    drawn.canvas.draw()
    several = replay(SmaCross(5, 20), samples.stocks(["AAPL", "IBM"]), **QUIET).plot()
    assert len(several.axes[0].lines) == 2
    several.canvas.draw()


def test_the_interactive_plot_has_three_parts() -> None:
    layout = _run().hvplot()
    assert len(layout) == 3


def test_thinning_keeps_the_spikes() -> None:
    values = pd.Series(range(100_000), dtype="float64")
    values.iloc[54_321] = 1e9
    values.iloc[12_345] = -1e9
    line = thin(values, 1_000)
    assert len(line) <= 1_010
    assert line.max() == 1e9
    assert line.min() == -1e9
    assert (line.index[0], line.index[-1]) == (0, 99_999)
