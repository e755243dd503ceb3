"""Do synthetic rows keep what all real rows keep, though nobody wrote it down?

Two relations of two columns are looked for in the real rows:

    determines   each value of the one goes with a single value of the other, a gap being a value: a school degree and
                 its number of years
    at most      the one is never greater than the other, where both are known: an order is placed before it is sent

One counts if it holds in all real rows, and would not hold by itself: `by_chance`, the share of rows that would keep it
if the columns were independent, is below 0.95. A value that determines must have been seen five times, on the average,
or else every number determines everything.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import permutations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..metrics.metric_catalogue import METRICS
from .column_kinds import Columns, encoded, with_gaps_coded
from .column_shapes import mean_of

FEWEST = METRICS["pairs_kept"].least  # real rows that must agree
REPEATED = 5  # times that a value must be seen that determines another, on the average
BY_CHANCE = 0.95  # share of rows that keep a relation by chance, from which it says nothing
FIRST_LOOK = 1000  # rows, which refute most relations

Values = NDArray[np.float64]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class KeptPair:
    """The share of synthetic rows that keep one relation, and of how many it can be said.

    Nothing can be said of a row with a gap that has no order, nor of one with a value that no real row has.
    """

    first: str
    relation: str
    second: str
    kept: float | None
    by_chance: float
    judged_rows: int


@dataclass(frozen=True)
class KeptPairs:
    """The relations of the real rows, the mean share of rows that keep one, and the share that break none."""

    pairs: tuple[KeptPair, ...]
    mean: float | None
    none_broken: float | None
    real_rows: int
    synthetic_rows: int
    reason: str = ""


def kept_pairs(real: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns) -> KeptPairs:
    """The relations that all real rows keep, and how many synthetic rows do."""
    sizes = len(real), len(synthetic)
    if len(real) < FEWEST or not len(synthetic):
        reason = f"{len(real)} real rows and {len(synthetic)} synthetic rows are too few: {FEWEST} and 1 are needed"
        return KeptPairs((), None, None, *sizes, reason)
    found = [*_determining(real, synthetic, columns), *_ordered(real, synthetic, columns)]
    if not found:
        return KeptPairs((), None, None, *sizes, "no pair of columns has a rule")
    pairs, broken = zip(*found, strict=True)
    mean, none_broken = mean_of(pair.kept for pair in pairs), float((~np.any(broken, axis=0)).mean())
    return KeptPairs(
        pairs, mean, none_broken, *sizes, "" if mean is not None else "no row has values that can be judged"
    )


def _determining(
    real: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns
) -> Iterator[tuple[KeptPair, NDArray[np.bool_]]]:
    """The pairs of which one determines the other, and the synthetic rows (M,) that break it."""
    tables = encoded(columns, real, synthetic)
    ours, theirs = (table.codes | table.numbers for table in tables)
    codes = {
        name: np.split(with_gaps_coded(np.concatenate([ours[name], theirs[name]])), [len(real)]) for name in columns
    }
    seen = {name: len(np.unique(of_tables[0])) for name, of_tables in codes.items()}
    for first, second in permutations(columns, 2):
        if seen[first] * REPEATED > len(real) or seen[second] < 2:
            continue
        (a, a_new), (b, b_new) = codes[first], codes[second]
        follows = _map(a, b, int(max(a.max(), a_new.max())) + 1)
        if follows is None:
            continue
        chance = float((np.bincount(b)[follows[a]] / len(real)).mean())
        if chance >= BY_CHANCE:
            continue
        known = follows[a_new] >= 0
        broken = known & (follows[a_new] != b_new)
        yield _pair(first, "determines", second, known, broken, chance), broken


def _map(a: Codes, b: Codes, count: int) -> Codes | None:
    """Which code follows each of `count` codes of the first column (N,), -1 for unseen ones; None if several do."""
    for rows in (slice(FIRST_LOOK), slice(None)):
        follows = np.full(count, -1)
        follows[a[rows]] = b[rows]
        if (follows[a[rows]] != b[rows]).any():
            return None
    return follows


def _ordered(
    real: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns
) -> Iterator[tuple[KeptPair, NDArray[np.bool_]]]:
    """The pairs of which one is at most the other, and the synthetic rows (M,) that break it."""
    ours, theirs = (table.numbers for table in encoded(columns, real, synthetic))
    for first, second in permutations(ours, 2):
        a, b = ours[first], ours[second]
        if columns[first] != columns[second] or (a[:FIRST_LOOK] > b[:FIRST_LOOK]).any() or (a > b).any():
            continue
        both = ~(np.isnan(a) | np.isnan(b))
        if both.sum() < FEWEST or (chance := _at_most_by_chance(a[both], b[both])) >= BY_CHANCE:
            continue
        known = ~(np.isnan(theirs[first]) | np.isnan(theirs[second]))
        broken = theirs[first] > theirs[second]
        yield _pair(first, "at most", second, known, broken, chance), broken


def _at_most_by_chance(a: Values, b: Values) -> float:
    """P(a ≤ b) if the two were independent."""
    return float((np.searchsorted(np.sort(a), b, "right") / len(a)).mean())


def _pair(
    first: str, relation: str, second: str, known: NDArray[np.bool_], broken: NDArray[np.bool_], chance: float
) -> KeptPair:
    judged = int(known.sum())
    return KeptPair(first, relation, second, 1 - int(broken.sum()) / judged if judged else None, chance, judged)
