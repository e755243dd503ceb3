"""What the data page counts: computed a chunk at a time, so that data of any size needs little time and memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..data.rows import CHUNK_BYTES, Rows
from ..data.spread import spread

MOST_ROWS = 200_000
MOST_NUMBERS = 50_000_000  # of integers, which are only counted
MOST_REALS = 20_000_000
BINS = 60


@dataclass(frozen=True)
class LevelCounts:
    """How often each level occurs in each channel, (C, K), in so many rows of the data."""

    counts: NDArray[np.int64]
    rows: int

    @classmethod
    def of(cls, rows: Rows, levels: int) -> LevelCounts:
        """Of images (N, C, H, W) or sequences (N, 1, T) of integers 0 … levels-1."""
        counts, seen = np.zeros((rows.shape[1], levels), np.int64), 0
        for chunk in sampled(rows, MOST_NUMBERS):
            seen += len(chunk)
            for channel in range(len(counts)):
                counts[channel] += np.bincount(chunk[:, channel].reshape(-1), minlength=levels)
        return cls(counts, seen)

    @property
    def shares(self) -> NDArray[np.float64]:
        """The share of each level in each channel (C, K)."""
        return self.counts / self.counts.sum(1, keepdims=True)

    @property
    def mean(self) -> NDArray[np.float64]:
        """The mean level of each channel (C,)."""
        return self.shares @ np.arange(self.counts.shape[1])

    @property
    def std(self) -> NDArray[np.float64]:
        """The standard deviation of the levels of each channel (C,)."""
        return np.sqrt(np.maximum(self.shares @ np.arange(self.counts.shape[1]) ** 2 - self.mean**2, 0))


@dataclass(frozen=True)
class ColumnCounts:
    """How often the columns of a table fall into even bins, counts (D, B) between edges (D, B+1); correlations (D, D).

    The correlation with a column that never varies is NaN.
    """

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    correlation: NDArray[np.float64]
    rows: int

    @classmethod
    def of(cls, rows: Rows, columns: Sequence[Mapping[str, Any]]) -> ColumnCounts:
        """Of the first columns of vectors (N, D); `columns` says the mean, min and max of each that is counted."""
        edges = np.stack([bin_edges(column["min"], column["max"]) for column in columns])
        counts, seen = np.zeros((len(columns), BINS), np.int64), 0
        mean = np.array([column["mean"] for column in columns])
        total, products = np.zeros(len(columns)), np.zeros((len(columns), len(columns)))
        for chunk in sampled(rows, MOST_REALS):
            seen += len(chunk)
            x = chunk[:, : len(columns)].astype(np.float64)
            for number in range(len(columns)):
                counts[number] += _binned(x[:, number], edges[number])
            x -= mean
            total += x.sum(0)
            products += x.T @ x
        covariance = products / seen - np.outer(total, total) / seen**2
        variance = np.diag(covariance).copy()
        scale = np.array([column["max"] - column["min"] for column in columns])
        variance[variance <= 1e-14 * scale**2] = np.nan
        variance[scale == 0] = np.nan
        return cls(edges, counts, np.clip(covariance / np.sqrt(np.outer(variance, variance)), -1, 1), seen)


@dataclass(frozen=True)
class ValueCounts:
    """How often the numbers of series (N, T) fall into even bins, counts (B,) between edges (B+1,); mean and std."""

    edges: NDArray[np.float64]
    counts: NDArray[np.int64]
    mean: float
    std: float
    rows: int

    @classmethod
    def of(cls, rows: Rows, low: float, high: float) -> ValueCounts:
        """Of all numbers together, which lie between `low` and `high`."""
        edges, counts, seen = bin_edges(low, high), np.zeros(BINS, np.int64), 0
        centre, total, squares = (low + high) / 2, 0.0, 0.0
        for chunk in sampled(rows, MOST_REALS):
            seen += len(chunk)
            x = chunk.reshape(-1).astype(np.float64)
            counts += _binned(x, edges)
            total += (x - centre).sum()
            squares += ((x - centre) ** 2).sum()
        size = counts.sum()
        return cls(edges, counts, centre + total / size, max(squares / size - (total / size) ** 2, 0) ** 0.5, seen)


def sampled(rows: Rows, most_numbers: int) -> Iterator[NDArray[Any]]:
    """Chunks of all rows, or of evenly spread ones where they or their numbers would be too many."""
    most = max(1, min(MOST_ROWS, most_numbers // max(1, int(np.prod(rows.shape[1:])))))
    if len(rows) <= most:
        yield from rows.chunks()
        return
    index, size = spread(len(rows), most), max(1, CHUNK_BYTES // rows.row_bytes)
    for start in range(0, most, size):
        yield rows.take(index[start : start + size])


def bin_edges(low: float, high: float) -> NDArray[np.float64]:
    """Even bins from `low` to `high`; around a single value one unit wide together."""
    return np.linspace(low, high, BINS + 1) if high > low else np.linspace(low - 0.5, low + 0.5, BINS + 1)


def _binned(x: NDArray[np.float64], edges: NDArray[np.float64]) -> NDArray[np.int64]:
    """The numbers in each of even bins; what lies outside, which rounding can bring about, counts for the outermost."""
    place = ((x - edges[0]) * (BINS / (edges[-1] - edges[0]))).astype(np.int64)
    return np.bincount(np.clip(place, 0, BINS - 1), minlength=BINS)
