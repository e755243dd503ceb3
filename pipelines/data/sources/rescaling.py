"""Values of any type as levels 0 … K-1: a range of values is spread evenly over them, and what lies outside clipped.

    level = round((K - 1) (v - low) / (high - low))

The range is that of the values' type, that of each example by itself, or one for all, given or learnt.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

PERCENTILES = (1.0, 99.0)
VALUES = 1 << 22  # at most about so many values are kept to find percentiles


@dataclass(frozen=True)
class Scale:
    """How values become levels: from low … high, or `file`: each example's own range, or `type`: that of its type."""

    how: str
    low: float = 0.0
    high: float = 0.0
    levels: int = 256

    def __call__(self, values: np.ndarray) -> tuple[np.ndarray, int]:
        """The levels of one example, and how many of its values were clipped.

        ValueError for values that are no finite numbers, and for real numbers whose type's range, 0 … 1, is exceeded.
        """
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            raise ValueError("it holds NaN or infinite numbers")
        low, high = self._range(values)
        if not low < high:
            return np.zeros(values.shape, np.uint8), 0
        unit = (values.astype(np.float64) - low) / (high - low)
        clipped = int(((unit < 0) | (unit > 1)).sum())
        return np.rint(np.clip(unit, 0, 1) * (self.levels - 1)).astype(np.uint8), clipped

    def _range(self, values: np.ndarray) -> tuple[float, float]:
        if self.how == "file":
            return float(values.min()), float(values.max())
        if self.how != "type":
            return self.low, self.high
        low, high = type_range(values.dtype)
        if values.dtype.kind == "f" and not low <= values.min() <= values.max() <= high:
            raise ValueError(f"its real numbers are from {values.min():g} to {values.max():g}, and not from 0 to 1")
        return low, high


def type_range(dtype: np.dtype) -> tuple[float, float]:
    """The least and greatest value of integers of a type; 0 and 1 for real numbers and booleans."""
    if dtype.kind in "ui":
        return float(np.iinfo(dtype).min), float(np.iinfo(dtype).max)
    return 0.0, 1.0


@dataclass(frozen=True)
class Seen:
    """What is noted of some values on the way to a range for all: the outermost ones, and some that stand for all."""

    low: float
    high: float
    some: np.ndarray


def look_at(values: np.ndarray, keep: int) -> Seen:
    """Note the outermost of some values, and about `keep` of them, evenly spread. ValueError unless all are finite."""
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise ValueError("it holds NaN or infinite numbers")
    flat = values.reshape(-1)
    return Seen(float(flat.min()), float(flat.max()), flat[:: max(1, len(flat) // max(1, keep))].astype(np.float32))


def learnt(how: str, seen: Iterable[Seen], levels: int = 256) -> Scale:
    """The scale for all of the values that were seen."""
    listed = list(seen)
    if how == "percentile":
        low, high = np.percentile(np.concatenate([each.some for each in listed]), PERCENTILES).tolist()
    else:
        low, high = min(each.low for each in listed), max(each.high for each in listed)
    return Scale(how, low, high, levels)


def said(scale: Scale, clipped: int, constant: int, what: str) -> str:
    """The sentence about a scale that was applied."""
    top = f"0 … {scale.levels - 1}"
    ways = {
        "type": f"The range of the values' type became the levels {top}",
        "file": f"The range of each {what}'s own values became the levels {top}",
        "data": f"The range of the training values, {scale.low:g} … {scale.high:g}, became the levels {top}",
        "percentile": f"The training values from the {PERCENTILES[0]:g}st to the {PERCENTILES[1]:g}th percentile,"
        f" {scale.low:g} … {scale.high:g}, became the levels {top}",
        "range": f"Values from {scale.low:g} to {scale.high:g} became the levels {top}",
    }
    more = f"; {clipped:,} values outside were clipped" if clipped else ""
    return ways[scale.how] + more + (f"; {constant:,} of one value alone became 0." if constant else ".")
