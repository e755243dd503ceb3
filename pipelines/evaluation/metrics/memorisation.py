"""Memorisation: do samples repeat training examples?

Samples that lie nearer to the training examples than new examples of the same distribution do have been copied from
them (Meehan et al., "A Non-Parametric Test to Detect Data-Copying in Generative Models", 2020, arXiv:2004.05675). With
d(x) the distance from x to the nearest training example, in features:

    memorisation  P(d(sample) < d(test example)), ties counted half: ½ where samples are as new as test examples are
    copied        share of samples with d below the first percentile of d(test example): 0.01 is expected. Where data
                  repeats itself, d is often 0, and of a tie at the percentile as much counts as makes it 0.01

Both are low for samples that are far from all data, which are bad but not copied.
"""

from __future__ import annotations

import numpy as np

from .metric_catalogue import METRICS

RARE = 0.01  # share of test examples that lie nearer to a training example than what counts as copied
ENOUGH = METRICS["copied"].least  # test examples, of which fewer have no such percentile


def memorisation(samples: np.ndarray, test: np.ndarray, train: np.ndarray) -> float:
    """The probability that a sample lies nearer to a training example than a test example does; features (N, F)."""
    from sklearn.metrics import roc_auc_score  # takes a second, which not all who look at neighbours need

    ours, theirs = (nearest(x, train, 1)[1][:, 0] for x in (samples, test))
    return float(roc_auc_score(np.repeat([1, 0], [len(ours), len(theirs)]), -np.concatenate([ours, theirs])))


def copied(samples: np.ndarray, test: np.ndarray, train: np.ndarray) -> float | None:
    """The share of samples that lie nearer to a training example than all but one in a hundred test examples.

    None where there are fewer of these.
    """
    if len(test) < ENOUGH:
        return None
    ours, theirs = (nearest(x, train, 1)[1][:, 0] for x in (samples, test))
    theirs.sort()
    below, up_to = (np.searchsorted(theirs, ours, side) / len(theirs) for side in ("left", "right"))
    ties = np.maximum(up_to - below, np.finfo(np.float64).tiny)
    return float(((RARE - below) / ties).clip(0, 1).mean())


def nearest(x: np.ndarray, train: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows (N, k) of the nearest training examples (M, F) to each x (N, F), and their distances (N, k)."""
    from sklearn.neighbors import NearestNeighbors

    distances, rows = NearestNeighbors(n_neighbors=k).fit(train).kneighbors(x)
    return rows, distances
