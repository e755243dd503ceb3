"""The classifier two-sample test: can a classifier tell samples of two distributions apart?

It learns from half of both; its area under the ROC curve on the other half is ½ if it cannot, and 1 if it always can.
Lopez-Paz & Oquab, "Revisiting Classifier Two-Sample Tests", 2016 (arXiv:1610.06545).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split


def two_sample_auc(first: NDArray[Any], second: NDArray[Any], seed: int) -> float | None:
    """The area under the ROC curve of boosted trees on rows (N, D) and (M, D); None where there are numbers missing."""
    rows = np.concatenate([first, second])
    if not np.isfinite(rows).all():
        return None
    which = np.repeat([0, 1], [len(first), len(second)])
    train, test, train_which, test_which = train_test_split(
        rows, which, test_size=0.5, random_state=seed, stratify=which
    )
    classifier = HistGradientBoostingClassifier(random_state=seed).fit(train, train_which)
    return float(roc_auc_score(test_which, classifier.predict_proba(test)[:, 1]))
