"""Can an attacker with the synthetic table tell who was in the training table?

The attack of distances: a row that lies near a synthetic row is taken for a training row. `auc` is the area under its
ROC curve, over training rows and holdout rows: ½ where it is a guess, 1 where training rows are always nearer.
Chen et al., "GAN-Leaks", 2019 (arXiv:1909.03935). The 95 % interval is that of the bootstrap over the rows of both
tables.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..metrics.threads import one_thread
from .record_distances import Neighbours

DRAWS = 500  # of the bootstrap


@dataclass(frozen=True)
class Membership:
    """The attack's area under the ROC curve, its interval, and how many rows were attacked."""

    auc: float
    low: float
    high: float
    train_rows: int
    holdout_rows: int


@one_thread()
def membership(distances: Neighbours, seed: int = 0) -> Membership:
    """How well the attack of distances does."""
    train, holdout = distances.to_train.back, distances.to_holdout.back
    ranks = np.unique(np.concatenate([train, holdout]), return_inverse=True)[1]
    members, others = np.split(ranks, [len(train)])
    count = int(ranks.max()) + 1
    rng = np.random.default_rng(seed)
    draws = [_auc(_counts(members, count, rng), _counts(others, count, rng)) for _ in range(DRAWS)]
    low, high = np.quantile(draws, [0.025, 0.975])
    auc = _auc(np.bincount(members, minlength=count), np.bincount(others, minlength=count))
    return Membership(auc, float(low), float(high), len(train), len(holdout))


def _counts(ranks: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """How often each rank occurs among as many rows, drawn with repetition."""
    return np.bincount(rng.choice(ranks, len(ranks)), minlength=count)


def _auc(members: NDArray[np.intp], others: NDArray[np.intp]) -> float:
    """P(the distance of a member is less than another's), ties counted half, by how often each distance occurs."""
    farther = others.sum() - np.cumsum(others) + others / 2
    return float(members @ farther / (members.sum() * others.sum()))
