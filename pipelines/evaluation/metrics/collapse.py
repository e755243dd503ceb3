"""Mode collapse: do samples show everything that the data shows, or a few things over and over?

Two numbers of samples and real examples, both in the features by which samples are judged:

    classes covered   how many classes have at least a tenth of the share of samples that they have of real examples,
                      both as a classifier sees them
    diversity         mean distance of two samples ÷ mean distance of two real examples
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray

from ...data.spread import spread

SHARE = 0.1  # of what is expected of a class: with less of it, it is not covered
EXPECTED = 5  # samples; where fewer are expected, chance alone may leave none
LOW = 0.5  # diversity below which samples are too much alike
ROWS = 1000  # examples at most, for all pairs of which distances are measured


def classes_covered(real: NDArray[np.int64], fake: NDArray[np.int64], classes: int) -> int:
    """How many classes samples with the labels `fake` (M,) cover, given those of real examples (N,).

    A class that is so rare that its absence says nothing counts as covered.
    """
    expected = np.bincount(real, minlength=classes) / len(real) * len(fake)
    found = np.bincount(fake, minlength=classes)
    return int(((found >= SHARE * expected) | (expected < EXPECTED)).sum())


def mean_distance(x: NDArray[np.floating]) -> float:
    """The mean distance of two different rows of features (N, F)."""
    rows = torch.from_numpy(x[spread(len(x), ROWS)]).double()
    return torch.pdist(rows).mean().item()


def collapse_concerns(measured: Mapping[str, float | None], classes: int) -> list[str]:
    """What `classes_covered` and `diversity` say about samples of data with so many classes, in a sentence each."""
    covered, diversity = measured.get("classes_covered"), measured.get("diversity")
    concerns = []
    if covered is not None and covered < classes:
        concerns.append(
            f"mode collapse: samples cover {covered:.0f} of {classes} classes; longer training may help, and of a GAN"
            " another loss, a smaller learning_rate or another discriminator_ratio"
        )
    if diversity is not None and diversity < LOW:
        concerns.append(
            f"mode collapse: samples are much alike: two of them differ {diversity:.2f} times as much as two real"
            " examples, in features; of a GAN another loss, a regulariser or smaller learning rates may help"
        )
    return concerns
