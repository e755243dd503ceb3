"""Integers that recur far more often than those around them: 40 hours of work in a week, no gain, a rounded price.

An integer v of a column is an atom if of its n training rows there are at least one in a thousand, and many more than
the median m of the rows that the six integers nearest to it have each,

    n - m > 4 √(n + m),

four standard deviations of the difference of two counts that are Poisson. So a column whose counts rise and fall
smoothly has none, however few its levels are, nor has a value that only a few rows repeat.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

MOST = 64  # atoms of a column: the most frequent ones
SHARE = 1e-3  # of the rows, at least
BESIDE = 3  # integers on either side
DEVIATIONS = 4.0

Integers = NDArray[np.int64]


def recurring(values: Integers, counts: NDArray[np.float64], levels: int) -> list[tuple[float, float]]:
    """The atoms, each with its share, among rising values (V,) of 0 … levels-1 that are found so often, counts (V,)."""
    total = counts.sum()
    often = np.flatnonzero(counts >= max(1, SHARE * total))
    beside = values[often, None] + np.array([k for k in range(-BESIDE, BESIDE + 1) if k])
    place = np.searchsorted(values, beside).clip(0, len(values) - 1)
    near = np.where(values[place] == beside, counts[place], 0.0)
    near[(beside < 0) | (beside >= levels)] = np.nan
    n, m = counts[often], np.nanmedian(near, 1) if len(often) else np.zeros(0)
    atoms = often[n - m > DEVIATIONS * np.sqrt(n + m)]
    kept = np.sort(atoms[np.argsort(-counts[atoms], kind="stable")[:MOST]])
    return [(float(values[at]), float(counts[at] / total)) for at in kept]
