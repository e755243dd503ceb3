"""The linear probe: how much of the labels can be read off features by a straight cut?

A multinomial logistic regression on frozen features, standardised by the training examples, with scikit-learn's default
L2 penalty; its accuracy on test examples says how far the features have taken the classes apart. The same on the raw
numbers of the data is what features must beat. Alain & Bengio, "Understanding intermediate layers using linear
classifier probes", 2016 (arXiv:1610.01644).
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.contract import Event
from models.layers.tables.table_numbers import TableNumbers

from .threads import one_thread

FITTED = 4000  # examples of the training split, at most
SCORED = 10_000  # examples of the test split, at most
ITERATIONS = 300  # of L-BFGS; more change the accuracy no more


def probe_accuracy(
    train: NDArray[Any], train_labels: NDArray[Any], test: NDArray[Any], test_labels: NDArray[Any]
) -> float | None:
    """The share of test features (M, F) whose label a logistic regression on features (N, F) finds.

    None where there is nothing to tell apart, or features are not finite.
    """
    if len(np.unique(train_labels)) < 2 or not (np.isfinite(train).all() and np.isfinite(test).all()):
        return None
    from sklearn.exceptions import ConvergenceWarning  # takes a second, which `raw_numbers` does without
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    probe = make_pipeline(StandardScaler(), LogisticRegression(max_iter=ITERATIONS))
    with one_thread(), warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        probe.fit(train.astype(np.float64), train_labels)
        return float(probe.score(test.astype(np.float64), test_labels))


def raw_numbers(x: Tensor, event: Event) -> Tensor:
    """The numbers (N, I) of examples (N, *event) as they are; where levels are names, a 1 for the one of each place.

    The columns of a table are as networks see them.
    """
    if event.kind == "table":
        return TableNumbers(event).to(x.device).numbers(x).double()
    if event.ordered or event.levels is None:
        return x.flatten(1).double()
    levels = x.round().long().clamp(0, event.levels - 1)
    return F.one_hot(levels, event.levels).flatten(1).double()
