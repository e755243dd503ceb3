"""Do pairs of columns go together as they do in the real rows?

    two numbers      1 - |ρ_real - ρ_synthetic| / 2, of Pearson's correlations, over rows without gaps in either
    otherwise        1 - ½ Σ |p_real - p_synthetic| over the cells of the contingency table, where gaps are a value

as the Column Pair Trends of SDMetrics' QualityReport (https://docs.sdv.dev/sdmetrics), from 0 to 1, where 1 is best. In
a mixed pair numbers are cut into ten bins of equal width, and as there each table has bins of its own range and gaps
fall into the last: a single outlier in synthetic rows moves all of their bins.

`mean` is that of all pairs, as papers report it. The report of SDMetrics 0.32 counts only pairs that go together in the
real rows, with |ρ| > 0.5 or Cramér's V > 0.3: that is `associated_mean`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..metrics.threads import one_thread
from .column_kinds import Columns, Encoded, encoded, sampled
from .column_shapes import CHEAP_ROWS, mean_of

CORRELATED, ASSOCIATED = 0.5, 0.3  # above which the report counts a pair
BINS = 10
CELLS = 10_000  # of two columns, of which more are sorted before they are counted

Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Trend:
    """One pair: its `score`, and how strongly it goes together in the real rows, by |ρ| or Cramér's V."""

    first: str
    second: str
    measure: str
    score: float | None
    real: float | None
    associated: bool
    reason: str = ""


@dataclass(frozen=True)
class Trends:
    """All pairs, the mean of all and of those that go together in the real rows, and how many rows were compared."""

    pairs: tuple[Trend, ...]
    mean: float | None
    associated_mean: float | None
    real_rows: int
    synthetic_rows: int


@one_thread()
def pair_trends(real: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns, seed: int = 0) -> Trends:
    """The pairs of columns of synthetic rows beside those of real rows."""
    real, synthetic = sampled(real, CHEAP_ROWS, seed), sampled(synthetic, CHEAP_ROWS, seed)
    tables = encoded(columns, real, synthetic)
    cells = [_cells(table) for table in tables]
    pairs = []
    for first, second in combinations(columns, 2):
        if "category" in (columns[first], columns[second]):
            pairs.append(_contingency(first, second, cells))
        else:
            pairs.append(_correlation(first, second, tables))
    associated = mean_of(pair.score for pair in pairs if pair.associated)
    return Trends(tuple(pairs), mean_of(pair.score for pair in pairs), associated, len(real), len(synthetic))


def correlation(x: NDArray[np.float64], y: NDArray[np.float64]) -> float | None:
    """Pearson's correlation of values (N,) where both are known; None where one of them never varies."""
    known = ~(np.isnan(x) | np.isnan(y))
    x, y = x[known], y[known]
    if len(x) < 2 or x.min() == x.max() or y.min() == y.max():
        return None
    x, y = x - x.mean(), y - y.mean()
    return float((x @ y / (np.linalg.norm(x) * np.linalg.norm(y))).clip(-1, 1))


def cramers_v(first: Codes, second: Codes) -> float | None:
    """How strongly codes (N,) go together, from 0 to 1; None where one of them never varies.

    With n cells, and their sums r of rows and c of columns, χ² / N is Σ n² / r c - 1: empty cells need no room.
    """
    rows, columns = np.bincount(first), np.bincount(second)
    kinds = min(np.count_nonzero(rows), np.count_nonzero(columns))
    if kinds < 2:
        return None
    joint = first * len(columns) + second
    if len(rows) * len(columns) <= CELLS:
        counts = np.bincount(joint)
        cells = np.flatnonzero(counts)
        counts = counts[cells]
    else:
        cells, counts = np.unique(joint, return_counts=True)
    chi2 = (np.square(counts) / (rows[cells // len(columns)] * columns[cells % len(columns)])).sum() - 1
    return float(max(0.0, chi2 / (kinds - 1)) ** 0.5)


def _correlation(first: str, second: str, tables: Sequence[Encoded]) -> Trend:
    real, synthetic = (correlation(table.numbers[first], table.numbers[second]) for table in tables)
    strength = None if real is None else abs(real)
    if real is None or synthetic is None:
        where = "real" if real is None else "synthetic"
        return Trend(first, second, "correlation", None, strength, False, f"a column never varies in the {where} rows")
    return Trend(first, second, "correlation", 1 - abs(real - synthetic) / 2, strength, abs(real) > CORRELATED)


def _contingency(first: str, second: str, cells: Sequence[dict[str, Codes]]) -> Trend:
    if not len(cells[0][first]) or not len(cells[1][first]):
        return Trend(first, second, "contingency", None, None, False, "a table has no rows")
    width = max(int(table[second].max()) for table in cells) + 1
    real, synthetic = _shares([table[first] * width + table[second] for table in cells])
    strength = cramers_v(cells[0][first], cells[0][second])
    score = float(1 - np.abs(real - synthetic).sum() / 2)
    return Trend(first, second, "contingency", score, strength, strength is not None and strength > ASSOCIATED)


def _shares(joint: list[Codes]) -> list[NDArray[np.float64]]:
    """The share of each cell in each table, of the cells that occur at all if there are many."""
    if max(int(each.max()) for each in joint) > CELLS:
        joint = np.split(np.unique(np.concatenate(joint), return_inverse=True)[1], [len(joint[0])])
    count = max(int(each.max()) for each in joint) + 1
    return [np.bincount(each, minlength=count) / len(each) for each in joint]


def _cells(table: Encoded) -> dict[str, Codes]:
    """The cell of each row in each column: the bin of a number, the category, or the gap."""
    binned = {name: _binned(values) for name, values in table.numbers.items()}
    return binned | {name: codes + 1 for name, codes in table.codes.items()}


def _binned(values: NDArray[np.float64]) -> Codes:
    known = values[~np.isnan(values)]
    return np.digitize(values, np.histogram_bin_edges(known, BINS)).astype(np.int64)
