"""What the columns of a table are, and tables as numbers and codes that can be compared.

A column is a `number`, a `category` (booleans and ordered categories too) or a `date`, and any may have gaps: NaN, NaT
or None. Dates are judged as numbers, in days since 1970. An infinite number counts as a gap.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Kind = Literal["number", "category", "date"]
Columns = Mapping[str, Kind]

ROWS = 20_000  # that are learnt from, or measured against each other, at most
GAP = -1  # the code of a missing category
MICROSECONDS = 86_400 * 10**6  # of a day


@dataclass(frozen=True)
class Encoded:
    """A table whose `numbers` (N,) have NaN for gaps, and whose categories are `codes` (N,) with GAP for gaps.

    Tables that were encoded together have the same codes for the same values.
    """

    numbers: dict[str, NDArray[np.float64]]
    codes: dict[str, NDArray[np.int64]]
    rows: int

    def taken(self, rows: NDArray[Any]) -> Encoded:
        """These rows of it, by number or by mask."""
        numbers = {name: column[rows] for name, column in self.numbers.items()}
        codes = {name: column[rows] for name, column in self.codes.items()}
        return Encoded(numbers, codes, int(np.arange(self.rows)[rows].size))


def guessed(frame: pd.DataFrame) -> dict[str, Kind]:
    """The kinds of the columns of a table by their types."""
    return {str(name): _kind(frame[name]) for name in frame.columns}


def encoded(columns: Columns, *frames: pd.DataFrame) -> tuple[Encoded, ...]:
    """Tables with these columns, in comparable form."""
    codes = {name: _codes([frame[name] for frame in frames]) for name, kind in columns.items() if kind == "category"}
    return tuple(
        Encoded(
            {name: numeric(frame[name], kind) for name, kind in columns.items() if kind != "category"},
            {name: of_frames[which] for name, of_frames in codes.items()},
            len(frame),
        )
        for which, frame in enumerate(frames)
    )


def numeric(column: pd.Series[Any], kind: Kind) -> NDArray[np.float64]:
    """The values (N,) of a column of numbers or dates, NaN where there is none."""
    if kind == "date":
        moments = pd.to_datetime(column, utc=True).astype("datetime64[us, UTC]")
        return np.where(moments.isna(), np.nan, moments.astype(np.int64).to_numpy() / MICROSECONDS)
    values = pd.to_numeric(column).to_numpy(np.float64, na_value=np.nan)
    return np.where(np.isfinite(values), values, np.nan)


def sampled(frame: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """At most so many rows, drawn without repetition; all of them, in their order, where there are no more."""
    return frame if len(frame) <= rows else frame.sample(rows, random_state=seed)


def with_gaps_coded(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Numbers (N,) as codes (N,) in their order; gaps have one of their own, the last."""
    return np.unique(values, return_inverse=True)[1].astype(np.int64)


def _kind(column: pd.Series[Any]) -> Kind:
    if pd.api.types.is_datetime64_any_dtype(column):
        return "date"
    number = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return "number" if number else "category"


def _codes(columns: list[pd.Series[Any]]) -> list[NDArray[np.int64]]:
    """The codes of a column of several tables."""
    together = pd.concat([column.astype(object) for column in columns], ignore_index=True)
    codes = pd.factorize(together)[0].astype(np.int64)
    return np.split(codes, np.cumsum([len(column) for column in columns])[:-1])
