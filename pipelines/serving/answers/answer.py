"""Answers: arrays and tables that say how they were made, and the same as JSON."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd


class Answer(np.ndarray):
    """An array that says in `attrs`, as a DataFrame does, how it was made: its task, and the seed if it was drawn."""

    attrs: dict[str, Any]

    def __array_finalize__(self, made_of: Any) -> None:
        self.attrs = getattr(made_of, "attrs", {})


def answered(values: np.ndarray | pd.DataFrame, attrs: Mapping[str, Any]) -> Answer | pd.DataFrame:
    """The values, with what is to be said about them."""
    made = values if isinstance(values, pd.DataFrame) else np.asarray(values).view(Answer)
    made.attrs = {name: value for name, value in attrs.items() if value is not None}
    return made


def as_json(answer: Answer | pd.DataFrame) -> dict[str, Any]:
    """An object of what is said about an answer, and its values under the name of the task.

    There is nothing in it that JSON does not know: a gap is null, bytes are in base64, times as ISO 8601 has them.
    """
    if isinstance(answer, pd.DataFrame):
        columns = {name: [_plain(value) for value in answer[name].tolist()] for name in answer.columns}
        values: Any = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    else:
        values = answer.tolist() if _is_plain(answer) else _plain(answer.tolist())
    attrs = {name: _plain(value) for name, value in answer.attrs.items()}
    return {attrs["task"]: values, **attrs}


def _is_plain(values: np.ndarray) -> bool:
    """Are all of them numbers that JSON knows? Looking at each of a large array takes as long as drawing it."""
    return values.dtype.kind in "biu" or (values.dtype.kind == "f" and bool(np.isfinite(values).all()))


def _plain(value: Any) -> Any:
    """A value that JSON knows."""
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if isinstance(value, np.generic) else value
