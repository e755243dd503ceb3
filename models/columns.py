"""What is known of one column of a table before anything is trained: its type, and how its values are distributed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# The distribution function of a column: at each of the rising values t the share F(t) of the examples that lie below.
Distribution = tuple[tuple[float, float], ...]

# Rising integers, each with its share of the examples that have a value.
Atoms = tuple[tuple[float, float], ...]

FEW = 20  # integers of so many levels have a probability for each


@dataclass(frozen=True)
class Column:
    """One number of an example, in the data's units: a real one, or one of `levels` integers 0, 1, ….

    Of `names`, such as those of colours, no level lies between two others. NaN stands for a gap, a value that is not
    there; `gaps` is the share of the training examples that have one. `mean` and `std` are those of the training
    examples that have a value. `distribution` is that of the value, or of an integer plus noise uniform on [0, 1), over
    the training examples; real numbers of a moderate range need none. `atoms` are the integers of which there are far
    more than of those around them, such as 40 hours of work in a week: point masses, which nothing smooth can hold.
    """

    mean: float = 0.0
    std: float = 1.0
    levels: int | None = None
    names: bool = False
    gaps: float = 0.0
    distribution: Distribution = ()
    atoms: Atoms = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Column:
        """The column that an object of a config.json or of a meta.json describes."""
        pairs = {name: tuple((at, share) for at, share in fields.get(name, ())) for name in ("distribution", "atoms")}
        return cls(**{**fields, **pairs})

    @property
    def by_level(self) -> bool:
        """Is each level an outcome with a probability of its own: a name, or one of few integers?"""
        return self.names or 0 < (self.levels or 0) <= FEW

    @property
    def shares(self) -> list[float]:
        """The share of each level among the training examples, none of them 0, and that of gaps last, if there are any.

        A distribution that is known at a few levels alone rises evenly between them.
        """
        levels = self.levels or 0
        at, below = zip(*(self.distribution or ((0.0, 0.0), (float(levels), 1.0))), strict=True)
        each = np.diff(np.interp(np.arange(levels + 1), at, below)).clip(np.finfo(np.float32).tiny)
        return [*((1 - self.gaps) * each).tolist(), *([self.gaps] if self.gaps else [])]

    @property
    def typed(self) -> bool:
        """Is there more to it than a real number, of which mean and standard deviation say enough?"""
        return self.levels is not None or self.gaps > 0 or len(self.distribution) > 0
