"""How good samples of tables are: column by column, pair by pair, and for what tables are made for, prediction.

    marginal_distance     mean over columns of the 1-Wasserstein distance between samples and test rows, in standard
                          deviations of the test column: it says how far values have to be moved
    correlation_distance  mean over pairs of columns of |correlation in samples - correlation in test rows|
    synthetic_score       what a predictor reaches on test rows that was trained on samples, beside `real_score`, of one
                          trained on as many training rows ("train on synthetic, test on real"; Esteban et al., 2017,
                          arXiv:1706.02633): the accuracy for labels, else the mean R² for columns given the others

The statistic of Kolmogorov and Smirnov was not taken: to it, values that are off by a hair are as wrong as any others.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.metrics import r2_score

from ...data.spread import spread
from .threads import one_thread

PREDICTED = 4  # columns, evenly spread, that are predicted where there are no labels
ROWS = 5000  # to learn from, and to be judged by, at most
ITERATIONS = 50  # of boosting


def marginal_distance(samples: NDArray[Any], test: NDArray[Any]) -> float | None:
    """The distance of the columns of samples (N, D) and test rows (M, D); None where none of them varies."""
    samples, test = samples.astype(np.float64), test.astype(np.float64)
    columns = np.flatnonzero(_varies(test))
    distances = [wasserstein_distance(samples[:, d], test[:, d]) / test[:, d].std() for d in columns]
    return float(np.mean(distances)) if distances else None


@one_thread()
def correlation_distance(samples: NDArray[Any], test: NDArray[Any]) -> float | None:
    """The distance of the correlations of samples (N, D) and test rows (M, D); None for fewer than two columns.

    A column that never varies is correlated with none.
    """
    if test.shape[1] < 2:
        return None
    first, second = _correlations(samples), _correlations(test)
    return float(np.abs(first - second)[np.triu_indices(test.shape[1], 1)].mean())


def score_on_real(
    x: NDArray[Any], labels: NDArray[Any] | None, test: NDArray[Any], test_labels: NDArray[Any] | None
) -> float | None:
    """What a predictor trained on rows x (N, D) reaches on test rows (M, D): the accuracy for labels, else a mean R².

    None for a single column without labels, for labels all of a kind, and for rows that are not finite. A column that
    never varies is predicted by none.
    """
    x, test = x[:ROWS], test[:ROWS]
    if not np.isfinite(x).all():
        return None
    if labels is not None and test_labels is not None:
        labels = labels[:ROWS]
        if len(np.unique(labels)) < 2:
            return None
        fitted = HistGradientBoostingClassifier(max_iter=ITERATIONS, random_state=0).fit(x, labels)
        return float(fitted.score(test, test_labels[:ROWS]))
    varying = np.flatnonzero(_varies(test))
    if x.shape[1] < 2 or not len(varying):
        return None
    columns = varying[spread(len(varying), PREDICTED)]
    return float(np.mean([_r2(x, test, column) for column in columns]))


def _r2(x: NDArray[Any], test: NDArray[Any], column: int) -> float:
    rest = np.arange(x.shape[1]) != column
    fitted = HistGradientBoostingRegressor(max_iter=ITERATIONS, random_state=0).fit(x[:, rest], x[:, column])
    return float(r2_score(test[:, column], fitted.predict(test[:, rest])))


def _correlations(x: NDArray[Any]) -> NDArray[Any]:
    x = x.astype(np.float64)
    deviations = np.where(_varies(x), x - x.mean(0), 0)
    unit = deviations / np.maximum(np.linalg.norm(deviations, axis=0), np.finfo(np.float64).tiny)
    return unit.T @ unit


def _varies(x: NDArray[Any]) -> NDArray[np.bool_]:
    """Which columns (D,) vary at all, by their ends: the mean of equal numbers may be rounded to another number."""
    return x.min(0) < x.max(0)
