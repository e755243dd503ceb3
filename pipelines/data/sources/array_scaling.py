"""Arrays of real numbers, or of integers of many bits, as levels: the option `rescale` of the sources npz and npy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...errors import UserError
from ...params.data_section import Arrays
from ..rows import Rows
from .rescaling import VALUES, Scale, learnt, look_at, said

WAYS = "data.rescale to type, file, data or percentile, or to the least and the greatest value such as [0, 1]"


@dataclass
class Rescaling:
    """A scale that is applied to arrays, and what it clipped."""

    scale: Scale
    clipped: int = 0
    constant: int = 0

    def __call__(self, chunk: np.ndarray, name: str) -> np.ndarray:
        """The levels of examples (n, …). A UserError, with the `name` of the array, for values that have none."""
        by_itself = self.scale.how == "file"
        parts = [self._levels(part, name) for part in (chunk if by_itself else [chunk])]
        return np.stack(parts) if by_itself else parts[0]

    def _levels(self, values: np.ndarray, name: str) -> np.ndarray:
        try:
            levels, clipped = self.scale(values)
        except ValueError as error:
            raise UserError(f"{name}: {error}; remove such rows, or set {WAYS}") from None
        self.clipped += clipped
        self.constant += self.scale.how == "file" and bool(values.min() == values.max())
        return levels

    def sentence(self) -> str:
        """What is said of it."""
        return said(self.scale, self.clipped, self.constant, "example")


def rescaling(data: Arrays, levels: int, train: Rows) -> Rescaling | None:
    """The scale that the parameters ask for; one for all values is learnt from the training array."""
    if data.rescale is None:
        return None
    if isinstance(data.rescale, tuple):
        return Rescaling(Scale("range", *data.rescale, levels=levels))
    if data.rescale in ("type", "file"):
        return Rescaling(Scale(data.rescale, levels=levels))
    count = int(np.prod(train.shape))
    try:
        seen = [look_at(chunk, chunk.size * VALUES // count) for chunk in train.chunks()]
    except ValueError as error:
        raise UserError(f"{train.name}: {error}; remove such rows") from None
    scale = learnt(data.rescale, seen, levels)
    if not scale.low < scale.high:
        raise UserError(
            f"params.yaml: data.rescale: all values of {train.name} are {scale.low:g}: nothing can be learnt"
        )
    return Rescaling(scale)


def span(rows: Rows) -> str:
    """The least and the greatest value, for a message."""
    finite = [chunk[np.isfinite(chunk)] for chunk in rows.chunks()]
    there = [chunk for chunk in finite if chunk.size]
    return f"{min(chunk.min() for chunk in there):g} to {max(chunk.max() for chunk in there):g}" if there else "none"
