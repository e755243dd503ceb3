"""How far rows of mixed columns are from each other, and from the nearest row of another table.

After Gower ("A general coefficient of similarity and some of its properties", 1971), the mean over columns of

    numbers, dates   |a - b| / σ, in standard deviations of the training rows (not of the range, which is an outlier's)
    categories       0 where they are the same, else 1

where a gap and a value are 1 apart, and two gaps 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .column_kinds import ROWS, Columns, Encoded, encoded, sampled

CELLS = 2**18  # of the matrix of distances that are laid out at once: they fit a processor's cache

Distances = NDArray[np.float32]
Scales = dict[str, tuple[float, float]]  # the mean and the standard deviation of columns


@dataclass(frozen=True)
class Nearest:
    """The `distances` of the rows of one table (N,) to the nearest row of another, and `back` (M,).

    `among` are the distances to the nearest of only some rows of the other, and `which` is its number.
    """

    distances: Distances
    among: Distances
    which: NDArray[np.intp]
    back: Distances


@dataclass(frozen=True)
class Neighbours:
    """Who is near whom among three tables: all that privacy is measured by.

    What is `among` training rows is among as many as there are holdout rows: of more rows the nearest is nearer.
    """

    to_train: Nearest
    to_holdout: Nearest
    holdout_to_train: Nearest


def neighbours(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Columns,
    rows: int = ROWS,
    seed: int = 0,
) -> Neighbours:
    """Those of three tables that have rows: of at most `rows`, and no more of holdout than of training."""
    scales = scales_of(encoded(columns, train)[0])
    train = train.sample(min(len(train), rows), random_state=seed)  # in an order that says nothing
    frames = train, sampled(holdout, len(train), seed), sampled(synthetic, rows, seed)
    of_train, of_holdout, of_synthetic = encoded(columns, *frames)
    return Neighbours(
        nearest(of_synthetic, of_train, scales, of_holdout.rows),
        nearest(of_synthetic, of_holdout, scales, of_holdout.rows),
        nearest(of_holdout, of_train, scales, of_train.rows),
    )


def nearest(first: Encoded, second: Encoded, scales: Scales, some: int) -> Nearest:
    """The nearest rows of a second table, and of its first rows."""
    forward, among = np.empty(first.rows, np.float32), np.empty(first.rows, np.float32)
    which, back = np.empty(first.rows, np.intp), np.full(second.rows, np.inf, np.float32)
    ours, theirs = _standardised(first, scales), _standardised(second, scales)
    step = max(1, CELLS // second.rows)
    for start in range(0, first.rows, step):
        now = slice(start, start + step)
        total = np.zeros((len(forward[now]), second.rows), np.float32)
        for name, values in theirs.items():
            total += _apart(ours[name][now], values)
        for name, codes in second.codes.items():
            total += first.codes[name][now, None] != codes
        which[now] = total[:, :some].argmin(1)
        among[now] = np.take_along_axis(total, which[now, None], 1)[:, 0]
        forward[now] = np.minimum(among[now], total[:, some:].min(1, initial=np.inf))
        np.minimum(back, total.min(0), out=back)
    columns = np.float32(len(first.numbers) + len(first.codes))
    return Nearest(forward / columns, among / columns, which, back / columns)


def scales_of(table: Encoded) -> Scales:
    """The mean and the standard deviation of each column of numbers; the latter is 1 of one that never varies."""
    known = {name: values[~np.isnan(values)] for name, values in table.numbers.items()}
    return {
        name: (float(values.mean()), float(values.std())) if len(np.unique(values)) > 1 else (0.0, 1.0)
        for name, values in known.items()
    }


def _standardised(table: Encoded, scales: Scales) -> dict[str, Distances]:
    return {name: ((table.numbers[name] - mean) / spread).astype(np.float32) for name, (mean, spread) in scales.items()}


def _apart(x: Distances, y: Distances) -> Distances:
    """The distances (K, M) of one column's values."""
    apart = np.subtract.outer(x, y)
    np.abs(apart, out=apart)
    here, there = np.isnan(x), np.isnan(y)
    if here.any() or there.any():
        apart = np.where(np.isnan(apart), np.not_equal.outer(here, there), apart).astype(np.float32)
    return apart
