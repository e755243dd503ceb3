"""What any model of integers must beat: a unigram, and for sequences a linear predictor, in bits per dimension.

The unigram gives each level its share of the training numbers, wherever it stands. The linear predictor is that of
lossless audio coding: least squares predict a level from the `TAPS` before it, and the error of the rounded prediction
e = x_t - round(x̂_t) has the distribution of the errors in training,

    P(x_t = v | x_<t) = h(v - round(x̂_t)) / Σ_w h(w - round(x̂_t)),   v, w = 0 … K-1

Robinson, "Shorten: Simple lossless and near-lossless waveform compression", 1994.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from .threads import one_thread

TAPS = 16
WINDOWS = 2**20  # that are in memory at once
SMOOTHING = 1.0  # is added to each count, so that nothing is impossible


def unigram(train: Iterable[NDArray[np.uint8]], test: NDArray[np.uint8], levels: int) -> float:
    """Bits per number of test examples, given parts of the training split, all of any shape."""
    counts = np.full(levels, SMOOTHING)
    for part in train:
        counts += np.bincount(part.ravel(), minlength=levels)
    bits = -np.log2(counts / counts.sum())
    return float(bits[test].mean())


@one_thread()
def linear_predictor(train: NDArray[np.uint8], test: NDArray[np.uint8], levels: int) -> float:
    """Bits per number of test sequences (M, T), for a predictor fitted to training sequences (N, T)."""
    parts = np.array_split(train, max(1, train.size // WINDOWS))
    squares, products = 1e-6 * np.eye(TAPS + 1), np.zeros(TAPS + 1)
    for windows, targets in map(_windows, parts):
        squares += windows.T @ windows
        products += windows.T @ targets
    weights = np.linalg.solve(squares, products)
    counts = np.full(2 * levels - 1, SMOOTHING)
    for windows, targets in map(_windows, parts):
        errors = targets - _rounded(windows @ weights, levels)
        counts += np.bincount((errors + levels - 1).astype(np.int64), minlength=2 * levels - 1)
    windows, targets = _windows(test)
    predicted = _rounded(windows @ weights, levels).astype(np.int64)
    below = np.concatenate([[0.0], counts.cumsum()])  # below[i]: the counts of errors less than i - (K - 1)
    possible = below[2 * levels - 1 - predicted] - below[levels - 1 - predicted]
    masses = counts[targets.astype(np.int64) - predicted + levels - 1] / possible
    return float(-np.log(masses).mean() / math.log(2))


def _windows(x: NDArray[np.uint8]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The TAPS numbers before each number and a 1, (N · T, TAPS + 1), and the numbers themselves (N · T,).

    A sequence is preceded by copies of its first number, whose own prediction is thus too good by a little.
    """
    padded = np.pad(x.astype(np.float64), ((0, 0), (TAPS, 0)), mode="edge")
    past = np.lib.stride_tricks.sliding_window_view(padded, TAPS, axis=1)[:, :-1].reshape(-1, TAPS)
    return np.concatenate([past, np.ones((len(past), 1))], 1), x.astype(np.float64).ravel()


def _rounded(prediction: NDArray[np.float64], levels: int) -> NDArray[np.float64]:
    return np.clip(np.round(prediction), 0, levels - 1)
