"""Rows as boosted trees of scikit-learn take them: categories are kept as such, gaps are branches of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from .column_kinds import GAP, Columns, encoded

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

ITERATIONS = 100  # of boosting, at most
CATEGORIES = 254  # that the trees can tell apart; rarer ones of a column count as one more

Matrix = NDArray[np.float64]


def matrices(columns: Columns, *frames: pd.DataFrame) -> list[Matrix]:
    """The features (N, D) of tables; the same category is the same number in all of them."""
    tables = encoded(columns, *frames)
    ranks = {name: _ranks([table.codes[name] for table in tables]) for name in tables[0].codes}
    return [
        np.column_stack([ranks[name][which] if name in ranks else table.numbers[name] for name in columns])
        for which, table in enumerate(tables)
    ]


def classifier(columns: Columns, seed: int, x: Matrix, y: NDArray[Any]) -> HistGradientBoostingClassifier:
    """One that has learnt classes (N,) from features (N, D) of these columns."""
    from sklearn.ensemble import HistGradientBoostingClassifier  # takes a second, which counting does not need

    return HistGradientBoostingClassifier(**_settings(columns, seed)).fit(_with_values(x), y)


def regressor(columns: Columns, seed: int, x: Matrix, y: NDArray[Any]) -> HistGradientBoostingRegressor:
    """One that has learnt numbers (N,) from features (N, D) of these columns."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    return HistGradientBoostingRegressor(**_settings(columns, seed)).fit(_with_values(x), y)


def _settings(columns: Columns, seed: int) -> dict[str, Any]:
    categorical = [kind == "category" for kind in columns.values()]
    return {"categorical_features": categorical, "max_iter": ITERATIONS, "random_state": seed}


def _with_values(x: Matrix) -> Matrix:
    """Features (N, D) where columns of nothing but gaps, which scikit-learn cannot cut into bins, are all the same."""
    return np.where(np.isnan(x).all(0), 0, x)


def _ranks(columns: list[NDArray[np.int64]]) -> list[Matrix]:
    """Codes of tables as ranks by how frequent they are, the most frequent first, and NaN for gaps."""
    together = np.concatenate(columns)
    frequent = np.argsort(-np.bincount(together[together != GAP], minlength=1), kind="stable")
    rank = np.minimum(np.argsort(frequent), CATEGORIES).astype(np.float64)
    return [np.where(codes == GAP, np.nan, rank[codes]) for codes in columns]
