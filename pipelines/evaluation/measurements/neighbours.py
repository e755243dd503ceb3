"""The training examples that lie nearest to samples: was something copied?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from models.contract import Event

from ..array_record import ArrayRecord
from ..metrics.memorisation import nearest
from ..validation import spread_rows
from .subject import SEARCHED, Subject

SHOWN = {"image": 10, "sequence": 3, "vector": 0, "table": 0}  # samples
BESIDE = 3  # training examples beside each


@dataclass(frozen=True)
class Neighbours(ArrayRecord):
    """The samples (S, *event) that lie nearest to training examples, the most alike first, with their nearest ones.

    `neighbours` (S, B, *event) are in the order of their `distances` (S, B) in features.
    """

    samples: NDArray[Any]
    neighbours: NDArray[Any]
    distances: NDArray[np.float64]

    @classmethod
    def none(cls, event: Event) -> Neighbours:
        """Those of samples that cannot be compared."""
        x = np.zeros((0, *event.shape), np.float32 if event.levels is None else np.uint8)
        return cls(x, x[:, None], np.zeros((0, 0)))


def nearest_training_examples(subject: Subject) -> Neighbours:
    """The samples that are most like training examples; none of vectors, or where samples overflow."""
    fake, _, train = subject.in_features
    count = SHOWN[subject.event.kind]
    if not count or not np.isfinite(fake).all():
        return Neighbours.none(subject.event)
    index, distances = nearest(fake, train, min(BESIDE, len(train)))  # (N, B) both
    first = np.argsort(distances[:, 0], kind="stable")[:count]
    rows = spread_rows(subject.train, SEARCHED)[torch.from_numpy(index[first].reshape(-1))]
    x, _ = subject.train.rows(rows)
    return Neighbours(
        samples=subject.samples[torch.from_numpy(first).to(subject.samples.device)].cpu().numpy(),
        neighbours=x.cpu().numpy().reshape(len(first), -1, *subject.event.shape),
        distances=distances[first],
    )
