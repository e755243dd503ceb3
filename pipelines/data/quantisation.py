r"""Amplitudes as levels 0 … K-1, and back: evenly spaced, or finer near silence.

µ-law companding (ITU-T Recommendation G.711, 1988; for models of sound van den Oord et al. 2016, "WaveNet: A Generative
Model for Raw Audio", arXiv:1609.03499, section 2.2) bends an amplitude x in [-1, 1] before it is quantised,

    F(x) = sgn(x) ln(1 + µ|x|) / ln(1 + µ),    µ = K - 1,

so that quiet sounds, which most samples are, get most of the levels. Level q stands for F = 2q/µ - 1, so levels 0 and µ
stand for the outermost amplitudes, and silence becomes the upper of the two middle levels when K is even.

Linear quantisation cuts the range into K even bins, and a level stands for the centre of its bin.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Encoding = Literal["mu_law", "linear"]


def encode(x: ArrayLike, levels: int, encoding: Encoding, low: float = -1.0, high: float = 1.0) -> NDArray[np.uint8]:
    """The levels (any shape) of amplitudes x in [low, high]; what lies outside is clipped.

    ValueError if `levels` is not in 2 … 256, or unless low < high.
    """
    _check(levels, low, high)
    unit = np.clip((np.asarray(x, np.float64) - low) * (2 / (high - low)) - 1, -1, 1)
    if encoding == "linear":
        level = np.floor((unit + 1) / 2 * levels)
    else:
        mu = levels - 1
        companded = np.sign(unit) * np.log1p(mu * np.abs(unit)) / np.log1p(mu)
        level = np.floor((companded + 1) / 2 * mu + 0.5)
    return np.minimum(level, levels - 1).astype(np.uint8)


def decode(q: ArrayLike, levels: int, encoding: Encoding, low: float = -1.0, high: float = 1.0) -> NDArray[np.float32]:
    """The amplitudes in [low, high] that levels q (any shape) stand for: `encode` gives q back.

    That needs a range that is not tiny beside its distance from zero, since the amplitudes are float32.
    ValueError if `levels` is not in 2 … 256, or unless low < high.
    """
    _check(levels, low, high)
    level = np.asarray(q, np.float64)
    if encoding == "linear":
        unit = (2 * level + 1) / levels - 1
    else:
        mu = levels - 1
        companded = 2 * level / mu - 1
        unit = np.sign(companded) * np.expm1(np.abs(companded) * np.log1p(mu)) / mu
    return ((unit + 1) / 2 * (high - low) + low).astype(np.float32)


def _check(levels: int, low: float, high: float) -> None:
    if not 2 <= levels <= 256:
        raise ValueError(f"there are 2 to 256 levels, not {levels}")
    if not low < high:
        raise ValueError(f"a range goes from a low to a higher number, not from {low} to {high}")
