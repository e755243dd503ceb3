"""What a family can do, as its classes say, and whether the finished model does it."""

from __future__ import annotations

from typing import Any

import torch

from models.contract import Completion, Density, Invertible, Latent

from ..metrics.operations import PARALLEL, sampling_growth
from .subject import Subject

INVERTED = 256  # test examples that are encoded and decoded again, at most
EXACT = 0.5  # levels: an error below it is none, once rounded
NEARLY = 1e-2  # standard deviations of a column


def measure(subject: Subject) -> dict[str, Any]:
    """Each ability, and beside it what backs it: the growth of operations with D, and the error of the inverse."""
    family = subject.family
    growth, error = sampling_growth(family), inversion_error(subject)
    limit = NEARLY if subject.event.levels is None else EXACT
    return {
        "parallel_sampling": family.parallel_sampling and (growth is None or growth < PARALLEL),
        "sampling_growth": None if growth is None else round(growth, 3),
        "invertible": error is not None and error < limit,
        "inversion_error": error,
        "exact_likelihood": isinstance(family, Density) and family.bound is None,
        "latent": isinstance(family, Latent),
        "completion": isinstance(family, Completion),
        "conditional": family.classes > 0,
    }


def inversion_error(subject: Subject) -> float | None:
    """The largest |decode(encode(x)) - x| over test examples, in levels, or in standard deviations of a column.

    None for a family that does not claim to be invertible. Infinite where codes are.
    """
    family, event = subject.family, subject.event
    if not isinstance(family, Invertible):
        return None
    x, labels = subject.test.head(INVERTED)
    given = labels if family.classes else None
    decoded = family.decode(family.encode(x, given), given).double()
    apart = torch.where(decoded.isnan() & x.isnan(), 0.0, (decoded - x.double()).abs())
    if event.levels is None:
        unit = torch.tensor([column["std"] for column in subject.data.meta["columns"]])
        apart = apart / unit.to(apart)
    return float(apart.nan_to_num(nan=torch.inf, posinf=torch.inf).max())
