"""What a predictor of one column reaches on real rows that it has not seen, when it is trained on synthetic rows.

"Train on synthetic, test on real" (Esteban et al., 2017, arXiv:1706.02633), beside the same predictor trained on as
many real rows. Boosted trees predict the column from all others:

    category     accuracy; f1, the mean over classes; f1_minority, of the rarer class in the test rows, of two; auc, of
                 one class against the rest, the mean over classes
    number       r2, which is 0 for always saying the mean; dates are numbers

Rows whose target is a gap are left out; the counts are of those that are used.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ..metrics.metric_catalogue import METRICS
from .boosted_trees import Matrix, classifier, matrices, regressor
from .column_kinds import ROWS, Columns, encoded, numeric, sampled

FEWEST = METRICS["synthetic_score"].least  # rows to learn from, and to be judged by
CLASSES = 30  # that can be learnt in reasonable time
OF_CLASSES, OF_NUMBERS = ("accuracy", "f1", "f1_minority", "auc"), ("r2",)

Classes = NDArray[np.int64]


@dataclass(frozen=True)
class LearntTarget:
    """The scores of predictors of `target`, both trained on `train_rows` rows; None for one that is not defined."""

    target: str
    on_synthetic: dict[str, float | None]
    on_real: dict[str, float | None]
    train_rows: int
    test_rows: int
    reason: str = ""


def learnt_target(
    train: pd.DataFrame,
    synthetic: pd.DataFrame,
    test: pd.DataFrame,
    columns: Columns,
    target: str,
    rows: int = ROWS,
    seed: int = 0,
) -> LearntTarget:
    """What synthetic rows teach about a column of real test rows, beside what real rows teach."""
    train, synthetic, test = (frame[frame[target].notna()] for frame in (train, synthetic, test))
    count = min(len(train), len(synthetic), rows)
    frames = [sampled(train, count, seed), sampled(synthetic, count, seed), sampled(test, rows, seed)]
    if columns[target] == "category":
        y: list[NDArray[np.float64] | Classes] = [table.codes[target] for table in encoded(columns, *frames)]
    else:
        y = [numeric(frame[target], columns[target]) for frame in frames]
    reason = _why_not(y, columns[target] == "category") if len(columns) > 1 else "there is nothing to predict it from"
    if reason:
        blank: dict[str, float | None] = dict.fromkeys(OF_CLASSES if columns[target] == "category" else OF_NUMBERS)
        return LearntTarget(target, blank, blank, count, len(frames[2]), reason)
    rest = {name: kind for name, kind in columns.items() if name != target}
    x = matrices(rest, *frames)
    judge = _classes if columns[target] == "category" else _numbers
    real, ours = (judge(rest, x[which], y[which], x[2], y[2], seed) for which in (0, 1))
    return LearntTarget(target, ours, real, count, len(frames[2]))


def _why_not(y: list[NDArray[np.float64] | Classes], classes: bool) -> str:
    """Why a target cannot be learnt; empty where it can."""
    train, _, test = y
    if min(len(train), len(test)) < FEWEST:
        return f"{len(train)} rows to learn from and {len(test)} to be judged by: {FEWEST} are needed of each"
    if any(len(np.unique(each)) < 2 for each in y):
        return "the target never varies in one of the tables"
    if classes and len(np.unique(np.concatenate(y))) > CLASSES:
        return f"it has more than {CLASSES} classes"
    return ""


def _numbers(
    columns: Columns, x: Matrix, y: NDArray[Any], test: Matrix, truth: NDArray[Any], seed: int
) -> dict[str, float | None]:
    from sklearn.metrics import r2_score

    return {"r2": float(r2_score(truth, regressor(columns, seed, x, y).predict(test)))}


def _classes(
    columns: Columns, x: Matrix, y: NDArray[Any], test: Matrix, truth: NDArray[Any], seed: int
) -> dict[str, float | None]:
    from sklearn.metrics import accuracy_score, f1_score

    fitted = classifier(columns, seed, x, y)
    predicted = fitted.predict(test)
    present, counts = np.unique(truth, return_counts=True)
    rarer = f1_score(truth == present[counts.argmin()], predicted == present[counts.argmin()], zero_division=0)
    return {
        "accuracy": float(accuracy_score(truth, predicted)),
        "f1": float(f1_score(truth, predicted, labels=present, average="macro", zero_division=0)),
        "f1_minority": float(rarer) if len(present) == 2 else None,
        "auc": _auc(truth, fitted.predict_proba(test), fitted.classes_),
    }


def _auc(truth: Classes, probabilities: NDArray[np.float64], classes: Classes) -> float:
    """The mean over the classes of test rows; one that was never seen in training is found by chance, ½."""
    from sklearn.metrics import roc_auc_score

    of_class = {int(each): probabilities[:, at] for at, each in enumerate(classes)}
    nothing = np.zeros(len(truth))
    return float(np.mean([roc_auc_score(truth == each, of_class.get(int(each), nothing)) for each in np.unique(truth)]))
