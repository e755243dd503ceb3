"""Do columns, each on its own, look like the real ones?

    numbers, dates   1 - sup |F_real - F_synthetic|, of the empirical distribution functions (Kolmogorov and Smirnov)
    categories       1 - ½ Σ |p_real - p_synthetic|, the complement of the total variation distance

as the Column Shapes of SDMetrics' QualityReport (https://docs.sdv.dev/sdmetrics), which leaves gaps out; a table that
never has any loses nothing by it, and so each column also has

    gaps             1 - |share of gaps in real rows - share in synthetic rows|, SDMetrics' MissingValueSimilarity

All are from 0 to 1, where 1 is best. Above 50,000 rows, as there, as many are drawn.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .column_kinds import GAP, Columns, encoded, sampled

CHEAP_ROWS = 50_000  # whose columns and pairs of columns are counted, at most


@dataclass(frozen=True)
class Shapes:
    """The `score` of each column and their `mean`, the similarity of `gaps`, and how many rows were compared.

    `reasons` says why a column has no score.
    """

    score: dict[str, float | None]
    mean: float | None
    gaps: dict[str, float]
    reasons: dict[str, str]
    real_rows: int
    synthetic_rows: int


def column_shapes(real: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns, seed: int = 0) -> Shapes:
    """The shapes of the columns of synthetic rows beside those of real rows."""
    real, synthetic = sampled(real, CHEAP_ROWS, seed), sampled(synthetic, CHEAP_ROWS, seed)
    ours, theirs = encoded(columns, real, synthetic)
    score: dict[str, float | None] = {}
    gaps: dict[str, float] = {}
    for name, kind in columns.items():
        if kind == "category":
            first, second = ours.codes[name], theirs.codes[name]
            known, also = first != GAP, second != GAP
            score[name] = total_variation_complement(first[known], second[also])
        else:
            x, y = ours.numbers[name], theirs.numbers[name]
            known, also = ~np.isnan(x), ~np.isnan(y)
            score[name] = ks_complement(x[known], y[also])
        gaps[name] = 1 - abs(_share(known) - _share(also))
    reasons = {name: "it has no values in one of the tables" for name, value in score.items() if value is None}
    return Shapes(score, mean_of(score.values()), gaps, reasons, len(real), len(synthetic))


def ks_complement(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    """The complement of the statistic of Kolmogorov and Smirnov of values (N,) and (M,); None where there are none."""
    if not len(x) or not len(y):
        return None
    x, y = np.sort(x), np.sort(y)
    at = np.concatenate([x, y])
    difference = np.searchsorted(x, at, "right") / len(x) - np.searchsorted(y, at, "right") / len(y)
    return float(1 - np.abs(difference).max())


def total_variation_complement(x: NDArray[np.int64], y: NDArray[np.int64]) -> float | None:
    """The complement of the total variation distance of codes (N,) and (M,), none negative; None for none."""
    if not len(x) or not len(y):
        return None
    count = int(max(x.max(), y.max())) + 1
    return float(
        1 - np.abs(np.bincount(x, minlength=count) / len(x) - np.bincount(y, minlength=count) / len(y)).sum() / 2
    )


def mean_of(scores: Iterable[float | None]) -> float | None:
    """The mean of those that there are."""
    known = [score for score in scores if score is not None]
    return float(np.mean(known)) if known else None


def _share(known: NDArray[np.bool_]) -> float:
    return float(known.mean()) if len(known) else 0.0
