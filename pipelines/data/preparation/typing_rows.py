"""What the training rows say of typed columns: means, shares of levels and gaps, how values are spread, and recur."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from models.columns import FEW

from ...errors import UserError
from ..sources import Source
from ..tables.typed_rows import NAMED
from .recurring import recurring
from .transforms import Transform

COUNTED = 1 << 12  # levels up to which each is counted; of more, a sample of the rows says how they are spread
POINTS = 64  # of a distribution function
CELLS = 1 << 24  # of the sample
UNSEEN = 0.5  # rows that are added to each level, so that none is impossible


class Typed(Transform):
    """Standardise real numbers, and note each column's distribution, all by the training rows alone."""

    needs_fit = True

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.names = source.columns
        self.types = [dict(kind) for kind in source.meta["types"]]
        self.fill = source.meta["missing"] == "mean"
        self.dtype = np.dtype(np.float32)
        self.columns: list[dict[str, Any]] = []

    def fit(self, chunks: Iterable[np.ndarray], rows: int) -> None:
        D, rng = len(self.types), np.random.default_rng(0)
        share = min(1.0, CELLS / (rows * D))
        count, total, square = np.zeros(D), np.zeros(D), np.zeros(D)
        levels = [np.zeros(kind["levels"]) if _counted(kind) else np.zeros(0) for kind in map(_with_levels, self.types)]
        shift, sampled = np.zeros(0), []
        for x in chunks:
            shift = shift if len(shift) else np.nan_to_num(np.nanmax(np.vstack([x, np.full(D, -np.inf)]), 0), neginf=0)
            y = x - shift
            count, total, square = count + (~np.isnan(x)).sum(0), total + np.nansum(y, 0), square + np.nansum(y**2, 0)
            for d in (d for d, counts in enumerate(levels) if len(counts)):
                there = x[~np.isnan(x[:, d]), d].astype(np.int64)
                levels[d] += np.bincount(there, minlength=len(levels[d]))
            sampled.append(x if share == 1 else x[rng.random(len(x)) < share])
        empty = [name for name, there in zip(self.names, count, strict=True) if not there]
        if empty:
            raise UserError(f"column {', '.join(empty)}: no training row has a value; leave it out with data.exclude")
        mean = total / count
        self.mean, self.std = mean + shift, np.sqrt(np.maximum(square / count - mean**2, 0))
        self._check_constant()
        sample = np.concatenate(sampled)
        gaps = (rows - count) / rows
        self.columns = [
            self._column(d, float(gaps[d]), levels[d], sample[~np.isnan(sample[:, d]), d], rows) for d in range(D)
        ]
        self.decisions = _about_atoms(self.columns)

    def _check_constant(self) -> None:
        real = [d for d, kind in enumerate(self.types) if _continuous(kind) and self.std[d] == 0]
        if real:
            raise UserError(
                f"column {', '.join(self.names[d] for d in real)} is constant in the training split: it has no density;"
                " leave it out with data.exclude"
            )

    def _column(self, d: int, gaps: float, counts: np.ndarray, sample: np.ndarray, rows: int) -> dict[str, Any]:
        """What meta.json says of a column, whose numbers are standardised if they are real."""
        kind = _with_levels(self.types[d])
        mean, std = float(self.mean[d]), float(self.std[d])
        seen = {"name": self.names[d], "gaps": max(gaps, UNSEEN / rows) if kind["gaps"] else 0.0}
        if _continuous(kind):
            self.types[d] |= {"mean": mean, "std": std}
            y = (sample - mean) / std
            distribution = _of_reals(y) if kind["heavy"] else []
            ends = {"min": float(y.min()), "max": float(y.max())}
            return {**seen, "mean": 0.0, "std": 1.0, **ends, "distribution": distribution, "type": self.types[d]}
        K = kind["levels"]
        distribution = _of_levels(counts) if len(counts) and len(counts) <= POINTS else _of_many(counts, sample, K)
        ends = {"min": float(sample.min()), "max": float(sample.max())}
        named = kind["kind"] in ("boolean", "category")
        atoms = [] if named or K <= FEW else recurring(*_found(counts, sample), K)
        return {
            **seen, "mean": mean, "std": std or 1.0, **ends, "levels": K, "names": named, "distribution": distribution,
            "atoms": atoms, "type": self.types[d],
        }  # fmt: skip

    def finite(self, x: np.ndarray) -> bool:
        """NaN stands for gaps."""
        return not np.isinf(x).any()

    def __call__(self, x: np.ndarray, split: str) -> np.ndarray:
        if self.fill:
            means = [m if _continuous(kind) else round(m) for m, kind in zip(self.mean, self.types, strict=True)]
            x = np.where(np.isnan(x), means, x)
        continuous = np.array([_continuous(kind) for kind in self.types])
        return np.where(continuous, (x - self.mean) / np.where(self.std > 0, self.std, 1), x).astype(np.float32)


def _about_atoms(columns: list[dict[str, Any]]) -> list[str]:
    """The columns with values that recur, and how many these are."""
    counted = ", ".join(f"{each['name']} {len(each['atoms'])}" for each in columns if each.get("atoms"))
    return [f"Values that stand out of those around them are outcomes of their own ({counted})."] if counted else []


def _with_levels(kind: dict[str, Any]) -> dict[str, Any]:
    """The type, with the count of its names as levels."""
    return {**kind, "levels": len(kind["values"])} if kind["kind"] in NAMED else {"levels": None, **kind}


def _continuous(kind: dict[str, Any]) -> bool:
    return _with_levels(kind)["levels"] is None


def _counted(kind: dict[str, Any]) -> bool:
    return kind["levels"] is not None and (kind["levels"] <= COUNTED or kind["kind"] in NAMED)


def _of_levels(counts: np.ndarray) -> list[tuple[float, float]]:
    """The distribution function at every level."""
    below = np.concatenate([[0.0], (counts + UNSEEN / len(counts)).cumsum()])
    return [(float(at), float(share)) for at, share in enumerate(below / below[-1])]


def _found(counts: np.ndarray, sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rising integers, and how many rows of all, or of the sample where not each was counted, have them."""
    if len(counts):
        return np.arange(len(counts)), counts
    values, found = np.unique(sample, return_counts=True)
    return values.astype(np.int64), found.astype(np.float64)


def _of_many(counts: np.ndarray, sample: np.ndarray, levels: int) -> list[tuple[float, float]]:
    """That of integers of many levels, at quantiles, and at both ends of levels that are frequent."""
    values, found = _found(counts, sample)
    total = found.sum()
    below = found.cumsum() - found
    places = np.searchsorted(found.cumsum(), np.linspace(0, total, POINTS, endpoint=False), side="right")
    often = np.flatnonzero(found > total / POINTS)
    edges = {0.0: 0.0, float(levels): 1.0}
    edges |= {float(values[at]): below[at] / total for at in {*places.tolist(), *often.tolist()}}
    edges |= {float(values[at] + 1): (below[at] + found[at]) / total for at in often.tolist()}
    even = UNSEEN * len(edges) / (total + UNSEEN * len(edges))  # of a uniform distribution, so that no slope is zero
    return [(at, (1 - even) * edges[at] + even * at / levels) for at in sorted(edges)]


def _of_reals(y: np.ndarray) -> list[tuple[float, float]]:
    """That of real numbers, at quantiles; the ends are half a row from 0 and 1."""
    ends = np.linspace(UNSEEN / len(y), 1 - UNSEEN / len(y), min(POINTS, max(4, len(y) // 8)) + 1)
    at = np.quantile(y, np.linspace(0, 1, len(ends)))
    apart = np.concatenate([[True], np.diff(at) > 1e-9 * max(1.0, float(np.abs(at).max()))])
    return [(float(t), float(share)) for t, share in zip(at[apart], ends[apart], strict=True)]
