"""Two entries compared by the same test examples: their difference is known better than either number.

A likelihood is a mean over test examples, and so is a difference of likelihoods: its standard error is that of the
differences of the examples. Of FID and KID the jackknife leaves out the same block of test examples in both numbers,
and blocks of the samples, which two entries do not share, in one:

    var = (B - 1) / B [Σ_b (d₋b - mean d₋b)² + Σ over both entries of Σ_b (θ₋b - mean θ₋b)²],   d₋b = θ₋b - θ'₋b
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from ..array_record import ArrayRecord
from .intervals import LEVEL, reach

BLOCKWISE = {"fid": "fid", "kid": "kid"}
PAIRABLE = {"nll_nats": "nll", "nll_bits_per_dim": "nll", "completion_score": "completion_score", **BLOCKWISE}

Array = NDArray[Any]


@dataclass(frozen=True)
class Paired(ArrayRecord):
    """What an entry's numbers are made of, in the order of the test examples; empty where it has none.

    `nll` (N,) is that of each example in nats, `completion_score` (E,) the score of each example that is completed.
    `fid_real` and `kid_real` (B,) are without each block of the test examples, `fid_fake` and `kid_fake` (B,) without
    each block of the samples.
    """

    nll: Array
    completion_score: Array
    fid_real: Array
    fid_fake: Array
    kid_real: Array
    kid_fake: Array

    @classmethod
    def of(cls, known: Mapping[str, Array]) -> Paired:
        """That of an entry of which these are known."""
        return cls(**{each.name: known.get(each.name, np.zeros(0)) for each in fields(cls)})


def margin(a: Paired, b: Paired, name: str) -> float | None:
    """How far the 95 % interval of the difference of two entries reaches, in a number that a metric is called.

    In the unit of `nll` for likelihoods. None where the number has no parts, or those of the two do not match.
    """
    if name in BLOCKWISE:
        real, other = getattr(a, f"{name}_real"), getattr(b, f"{name}_real")
        if len(real) < 2 or len(real) != len(other):
            return None
        return reach(real - other, getattr(a, f"{name}_fake"), getattr(b, f"{name}_fake"))
    if name not in PAIRABLE:
        return None
    mine, theirs = getattr(a, PAIRABLE[name]), getattr(b, PAIRABLE[name])
    if len(mine) < 2 or len(mine) != len(theirs):
        return None
    difference = mine - theirs
    return float(student.ppf((1 + LEVEL) / 2, len(mine) - 1) * np.std(difference, ddof=1) / math.sqrt(len(mine)))
