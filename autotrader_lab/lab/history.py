"""History on its way from a notebook to the host: checked before anything starts, carried as a parquet file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from autotrader_lab.host.runs import RunFolder
from autotrader_lab.model.errors import DataError
from autotrader_lab.research.data import load

__all__ = ["prepare", "store"]


def prepare(data: Any, stage: str, symbol: str, options: dict[str, Any]) -> tuple[pd.DataFrame, dict[str, Any]]:
    """`data` as a frame that can be traded on, and the options that say what it is of.

    Parameters
    ----------
    data : DataFrame or path
    stage : str
        What it is for.
    symbol : str
        What it is of, where neither a column nor an option says.
    options : dict

    Raises
    ------
    DataError
        Naming column, row and way out.
    """
    chosen = dict(options)
    frame = _frame(data)
    if "symbol" not in {str(column).lower() for column in frame.columns} and chosen.get("symbol") is None:
        chosen["symbol"] = symbol
    load(frame, symbol=chosen.get("symbol"), timezone=chosen.get("timezone"), bar_interval=chosen.get("bar_interval"))
    if stage != "replay":
        chosen["history"] = True
    return frame, chosen


def store(frame: pd.DataFrame, folder: RunFolder) -> None:
    """Put `frame` where the host finds it, in one step."""
    temporary = folder.replay_file.with_suffix(".new")
    frame.to_parquet(temporary)
    temporary.replace(folder.replay_file)


def _frame(data: Any) -> pd.DataFrame:
    """`data` as one frame that can be stored."""
    if isinstance(data, pd.DataFrame):
        return data
    if isinstance(data, (str, Path)):
        path = Path(data).expanduser()
        try:
            return pd.read_csv(path) if path.suffix == ".csv" else pd.read_parquet(path)
        except (OSError, ValueError) as error:
            raise DataError(
                f"data {str(path)!r} cannot be read ({error}); give a frame, a .parquet or a .csv"
            ) from error
    raise DataError(f"data is a {type(data).__name__}; give a frame of bars, quotes or trades, or the path of one")
