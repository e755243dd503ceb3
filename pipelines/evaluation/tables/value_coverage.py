"""How much of what occurs in the real rows occurs in synthetic rows too.

    categories       share of the real categories that are there at all
    numbers, dates   share of the range of the real values, from least to greatest, that synthetic values reach

as CategoryCoverage and RangeCoverage of SDMetrics; gaps are left out. `new` is the share of synthetic values that are
categories no real row has, or lie out of the real range: 0 is best, where nothing new can be.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .column_kinds import GAP, Columns, encoded
from .column_shapes import mean_of


@dataclass(frozen=True)
class Coverage:
    """The coverage of each column, with the mean of categories and that of ranges, and the share of new values."""

    covered: dict[str, float | None]
    categories: float | None
    ranges: float | None
    new: dict[str, float | None]
    reasons: dict[str, str]
    real_rows: int
    synthetic_rows: int


def value_coverage(real: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns) -> Coverage:
    """The coverage of the columns; of all rows, since what is rare is what may be missing."""
    ours, theirs = encoded(columns, real, synthetic)
    covered: dict[str, float | None] = {}
    new: dict[str, float | None] = {}
    for name in ours.codes:
        covered[name], new[name] = _categories(ours.codes[name], theirs.codes[name])
    for name in ours.numbers:
        covered[name], new[name] = _ranges(ours.numbers[name], theirs.numbers[name])
    reasons = {name: "it has no values in one of the tables" for name, value in covered.items() if value is None}
    reasons |= {name: "it never varies in the real rows" for name in _constant(ours.numbers) if covered[name] is None}
    categories, ranges = (mean_of(covered[name] for name in names) for names in (ours.codes, ours.numbers))
    covered = {name: covered[name] for name in columns}
    return Coverage(covered, categories, ranges, new, reasons, len(real), len(synthetic))


def _categories(real: NDArray[np.int64], synthetic: NDArray[np.int64]) -> tuple[float | None, float | None]:
    real, synthetic = np.unique(real[real != GAP]), synthetic[synthetic != GAP]
    if not len(real) or not len(synthetic):
        return None, None
    return float(np.isin(real, synthetic).mean()), float((~np.isin(synthetic, real)).mean())


def _ranges(real: NDArray[np.float64], synthetic: NDArray[np.float64]) -> tuple[float | None, float | None]:
    real, synthetic = real[~np.isnan(real)], synthetic[~np.isnan(synthetic)]
    if not len(real) or not len(synthetic):
        return None, None
    least, greatest = real.min(), real.max()
    new = float(((synthetic < least) | (synthetic > greatest)).mean())
    if least == greatest:
        return None, new
    missed = max(0.0, synthetic.min() - least) + max(0.0, greatest - synthetic.max())
    return float(max(0.0, 1 - missed / (greatest - least))), new


def _constant(numbers: dict[str, NDArray[np.float64]]) -> list[str]:
    return [name for name, values in numbers.items() if len(np.unique(values[~np.isnan(values)])) == 1]
