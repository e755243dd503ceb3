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
class Neighbours:
    """The distance of each row of one table to the nearest row of another: all that privacy is measured by.

    As many training rows as holdout rows are looked at: of more rows the nearest is nearer.
    """

    synthetic_to_train: Distances
    synthetic_to_holdout: Distances
    train_to_synthetic: Distances
    holdout_to_synthetic: Distances
    holdout_to_train: Distances


def neighbours(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Columns,
    rows: int = ROWS,
    seed: int = 0,
) -> Neighbours:
    """The distances between three tables, each of which has rows."""
    scales = scales_of(encoded(columns, train)[0])
    count = min(len(train), len(holdout), rows)
    train, holdout, synthetic = (
        sampled(train, count, seed),
        sampled(holdout, count, seed),
        sampled(synthetic, rows, seed),
    )
    of_train, of_holdout, of_synthetic = encoded(columns, train, holdout, synthetic)
    synthetic_to_train, train_to_synthetic = nearest(of_synthetic, of_train, scales)
    synthetic_to_holdout, holdout_to_synthetic = nearest(of_synthetic, of_holdout, scales)
    holdout_to_train, _ = nearest(of_holdout, of_train, scales)
    return Neighbours(
        synthetic_to_train, synthetic_to_holdout, train_to_synthetic, holdout_to_synthetic, holdout_to_train
    )


def nearest(first: Encoded, second: Encoded, scales: Scales) -> tuple[Distances, Distances]:
    """The distance of each row of one table (N,) to the nearest row of another, and the other way round (M,)."""
    forward, back = np.empty(first.rows, np.float32), np.full(second.rows, np.inf, np.float32)
    ours, theirs = _standardised(first, scales), _standardised(second, scales)
    step = max(1, CELLS // second.rows)
    for start in range(0, first.rows, step):
        some = slice(start, start + step)
        total = np.zeros((len(forward[some]), second.rows), np.float32)
        for name, values in theirs.items():
            total += _apart(ours[name][some], values)
        for name, codes in second.codes.items():
            total += first.codes[name][some, None] != codes
        forward[some] = total.min(1)
        np.minimum(back, total.min(0), out=back)
    columns = np.float32(len(first.numbers) + len(first.codes))
    return forward / columns, back / columns


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
