"""Can a classifier tell synthetic rows from real ones, in their original values?

Boosted trees are cross-validated on as many rows of each; the area under the ROC curve is ½ where they cannot, which is
best, and 1 where they always can. Lopez-Paz & Oquab, "Revisiting Classifier Two-Sample Tests", 2016 (arXiv:1610.06545).
Below ½ by more than `deviation` are tables with copies of real rows: a copy in the training folds has the other label.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from ..metrics.metric_catalogue import METRICS
from .boosted_trees import classifier, matrices
from .column_kinds import ROWS, Columns, sampled

FOLDS = 5
FEWEST = METRICS["two_sample_auc"].least  # rows of each: leaves of the trees have twenty


@dataclass(frozen=True)
class ToldApart:
    """The mean `auc` of the folds, their standard deviation, and how many rows of each table were used."""

    auc: float | None
    deviation: float | None
    rows: int
    reason: str = ""


def told_apart(
    real: pd.DataFrame, synthetic: pd.DataFrame, columns: Columns, rows: int = ROWS, seed: int = 0
) -> ToldApart:
    """How well boosted trees tell synthetic rows from real ones."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedKFold

    count = min(len(real), len(synthetic), rows)
    if count < FEWEST:
        return ToldApart(None, None, count, f"{count} rows of each are too few to learn from: {FEWEST} are needed")
    x = np.concatenate(matrices(columns, sampled(real, count, seed), sampled(synthetic, count, seed)))
    which = np.repeat([0, 1], count)
    scores = []
    for train, test in StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(x, which):
        fitted = classifier(columns, seed, x[train], which[train])
        scores.append(roc_auc_score(which[test], fitted.predict_proba(x[test])[:, 1]))
    return ToldApart(float(np.mean(scores)), float(np.std(scores, ddof=1)), count)
