"""Do synthetic rows lie nearer to the rows they were made from than to other rows of the same kind?

The distance to the closest record (DCR) of synthetic rows, in the unit of `record_distances`, to as many training rows
as there are holdout rows, and to these. `closer` is the share of synthetic rows that are nearer to a training row, ties
counted half: ½ where nothing was copied. Where the holdout is small, most copied rows are not among so few training
rows, and are not seen by it.

Its interval is Wilson's, but not that of S independent rows. Synthetic rows around one real row say one thing, whether
that row is of training or of holdout; and if nothing was copied, which M of the 2 M are the training rows is a matter
of chance. With c_j synthetic rows around row j the share then has the variance of one of this many independent rows:

    1 / n = (Σ c_j² / S² - 1 / 2M) 2M / (2M - 1)

So copies are counted too, among all training rows. A row is an exact copy if a training row has its values in all
columns, and a near copy if one lies within 0.01: that is a hundredth of a standard deviation in the average column, and
no other category in up to a hundred columns. Where tables have few columns and few values, new rows repeat old ones by
chance: what is expected are the same shares of the holdout rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .binomial_share import Share, share
from .column_kinds import Columns, encoded
from .record_distances import Distances, Neighbours

NEAR = 0.01  # distance of a near copy
EVEN = 1e-9  # 1 / n, at least: it is 0 where each real row is the nearest of as many synthetic rows


@dataclass(frozen=True)
class Spread:
    """The median and the 5th percentile of distances to the closest record."""

    median: float
    fifth_percentile: float


@dataclass(frozen=True)
class Closest:
    """The distances of synthetic rows to as many rows of training and of holdout, and near copies of training rows.

    As many `independent_rows` would know `closer` as well.
    """

    to_train: Spread
    to_holdout: Spread
    closer: Share
    independent_rows: float
    near: Share
    near_expected: Share


@dataclass(frozen=True)
class Copies:
    """The share of synthetic rows, and of holdout rows, that some training row equals; of all rows of the tables."""

    exact: Share
    expected: Share


def closest(distances: Neighbours) -> Closest:
    """How near synthetic rows are."""
    train, holdout = distances.to_train.among, distances.to_holdout.among
    nearer = float((train < holdout).sum() + (train == holdout).sum() / 2)
    crowds = np.bincount(np.where(train < holdout, 2 * distances.to_train.which, 2 * distances.to_holdout.which + 1))
    both = 2 * len(distances.to_holdout.back)
    inverse = (np.square(crowds / len(train)).sum() - 1 / both) * both / (both - 1)
    independent = 1 / max(float(inverse), EVEN)
    return Closest(
        _spread(train), _spread(holdout), share(nearer, len(train), independent), independent,
        _near(distances.to_train.distances), _near(distances.holdout_to_train.distances),
    )  # fmt: skip


def copies(train: pd.DataFrame, holdout: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns) -> Copies:
    """How many rows are exact copies of training rows."""
    seen, new, made = (_fingerprints(table) for table in _cells(columns, train, holdout, synthetic))
    return Copies(*(share(int(np.isin(rows, seen).sum()), len(rows)) for rows in (made, new)))


def _spread(distances: Distances) -> Spread:
    return Spread(float(np.median(distances)), float(np.quantile(distances, 0.05)))


def _near(distances: Distances) -> Share:
    return share(int((distances <= NEAR).sum()), len(distances))


def _cells(columns: Columns, *frames: pd.DataFrame) -> list[pd.DataFrame]:
    """Tables of which equal values are equal to the bit: zero has no sign."""
    return [
        pd.DataFrame({name: values + 0.0 for name, values in table.numbers.items()} | table.codes)
        for table in encoded(columns, *frames)
    ]


def _fingerprints(cells: pd.DataFrame) -> NDArray[Any]:
    """64 bits for each row, which two rows of a million share with a chance of 3 in 10⁸ if they differ."""
    return pd.util.hash_pandas_object(cells, index=False).to_numpy()
