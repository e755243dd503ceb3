"""The data of a request, as arrays of numbers or as tables whose columns are found by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from .refusal import Refusal

SHOWN = 8  # names in a message


def is_empty(data: Any) -> bool:
    """Is there nothing in it? Servers must be sent some input, which may be an empty one."""
    if isinstance(data, pd.DataFrame | np.ndarray):
        return data.size == 0
    return data is None or (hasattr(data, "__len__") and len(data) == 0)


def by_position(frame: pd.DataFrame) -> bool:
    """Do its columns have no names but their positions? Spark calls them '0', '1', …"""
    return [str(name) for name in frame.columns] == [str(place) for place in range(frame.shape[1])]


def in_order(frame: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The columns of these names, in this order. A `Refusal` names all that are missing, unknown or there twice."""
    if by_position(frame) and frame.shape[1] == len(names):
        return frame.set_axis(list(names), axis=1)
    columns = [str(name) for name in frame.columns]
    wrong = {
        "missing": [name for name in names if name not in columns],
        "not known to this model": [name for name in dict.fromkeys(columns) if name not in names],
        "there twice": [name for name in dict.fromkeys(columns) if columns.count(name) > 1],
    }
    said = [f"{_some(those)}: {'is' if len(those) == 1 else 'are'} {what}" for what, those in wrong.items() if those]
    if said:
        raise Refusal(f"data: {'; '.join(said)}; the columns must be {_some(names)}")
    return frame.set_axis(columns, axis=1)[list(names)]


def numbers(data: Any, names: Sequence[str] = (), missing: bool = False) -> np.ndarray:
    """The data as an array of numbers. In a table, columns that had `names` in training are found by them.

    None stands for NaN if some may be `missing`.
    """
    if is_empty(data):
        raise Refusal("data: this task needs some: an array, a list or a DataFrame")
    if isinstance(data, pd.DataFrame):
        return _of_frame(in_order(data, names) if names else data, missing)
    try:
        values = np.asarray(data)
        if missing and values.dtype == object:
            values = np.asarray(np.where(pd.isna(values), np.nan, values).tolist())
    except ValueError:
        raise Refusal("data: rows of different lengths are not allowed") from None
    if values.dtype.kind not in "buif" or values.ndim == 0:
        raise Refusal(f"data: {values.dtype} is not allowed: must be an array of numbers")
    return values


def _of_frame(frame: pd.DataFrame, missing: bool) -> np.ndarray:
    """Its columns (N, D) as floats, whatever the types are that they are stored in."""
    columns, wrong = [], []
    for name, column in frame.items():
        try:
            values = column.astype(object).where(column.notna(), None).to_numpy()
            columns.append(np.array([np.nan if value is None else float(value) for value in values]))
        except (TypeError, ValueError):
            wrong.append(str(name))
            continue
        if not missing and column.isna().any():
            wrong.append(f"{name} (with gaps)")
    if wrong:
        raise Refusal(f"data: {_some(wrong)}: must be numbers")
    return np.stack(columns, 1)


def _some(names: Sequence[str]) -> str:
    return ", ".join(map(str, names[:SHOWN])) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
