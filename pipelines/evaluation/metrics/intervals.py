"""How far FID and KID may be off, since they were measured on so many examples: 95 % intervals.

Both are functions of two whole sets. Their variance is estimated by the jackknife over blocks (Quenouille, 1949; Efron
& Stein, 1981): each set is dealt out to B blocks, and with θ₋b the number without block b of a set

    var = Σ over both sets of (B - 1) / B Σ_b (θ₋b - mean θ₋b)²,        θ ± t √var

where t is the quantile of Student's distribution with B - 1 degrees of freedom. The interval is one for the number that
sets of this size have on average: the FID of few examples is larger than that of many, and that is no matter of chance.
Blocks are dealt out in an order of chance, always the same one, since rows may come sorted by class, and a set without
a class is no smaller set of its kind. Examples count as independent; where neighbours are alike, such as windows of
one recording, intervals are too narrow. `benchmarks/intervals.py` measures how often they hold what they promise.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student
from sklearn.metrics.pairwise import polynomial_kernel

from .distances import fid, kid
from .threads import one_thread

BLOCKS = 20  # at most; of a small set each example is one
LEVEL = 0.95

Array = NDArray[Any]
Interval = tuple[float, float]


def fid_interval(real: Array, fake: Array) -> Interval:
    """The interval of `fid` of features (N, F) and (M, F), which is never negative."""
    low, high = around(fid(real, fake), *fid_without(real, fake))
    return max(0.0, low), high


def kid_interval(real: Array, fake: Array) -> Interval:
    """The interval of `kid` of features (N, F) and (M, F)."""
    return around(kid(real, fake), *kid_without(real, fake))


def fid_without(real: Array, fake: Array) -> tuple[Array, Array]:
    """The `fid` of features (N, F) and (M, F) without each block of the one and of the other."""
    real, fake = _shuffled(real), _shuffled(fake)
    without = [fid(rest, fake) for rest in _leaving_out(real)], [fid(real, rest) for rest in _leaving_out(fake)]
    return np.array(without[0]), np.array(without[1])


@one_thread()
def kid_without(real: Array, fake: Array) -> tuple[Array, Array]:
    """The `kid` of features (N, F) and (M, F) without each block of either, by sums of blocks of kernel matrices."""
    real, fake = _shuffled(real).astype(np.float64), _shuffled(fake).astype(np.float64)
    n, m, first, second = len(real), len(fake), _blocks(real), _blocks(fake)
    cross = _sums(polynomial_kernel(real, fake, degree=3, coef0=1), first, second)
    of_real, of_fake = _within(real, first), _within(fake, second)
    without_real = of_real[1:] + of_fake[0] - 2 * (cross.sum() - cross.sum(1)) / ((n - np.bincount(first)) * m)
    without_fake = of_real[0] + of_fake[1:] - 2 * (cross.sum() - cross.sum(0)) / (n * (m - np.bincount(second)))
    return without_real, without_fake


def _within(x: Array, blocks: Array) -> Array:
    """The mean kernel of two different rows of x (N, F): of all rows, and then without each of the blocks (1 + B,)."""
    kernel = polynomial_kernel(x, degree=3, coef0=1)
    np.fill_diagonal(kernel, 0)
    sums = _sums(kernel, blocks, blocks)
    rest = sums.sum() - 2 * sums.sum(1) + np.diag(sums)
    left = np.append(len(x), len(x) - np.bincount(blocks))
    return np.append(sums.sum(), rest) / (left * (left - 1))


def _sums(kernel: Array, first: Array, second: Array) -> Array:
    """The sums of a matrix (N, M) over the blocks (N,) of its rows and (M,) of its columns."""
    rows = np.add.reduceat(kernel, np.searchsorted(first, np.unique(first)), 0)
    return np.asarray(np.add.reduceat(rows, np.searchsorted(second, np.unique(second)), 1))


def _shuffled(x: Array) -> Array:
    """The set in an order that says nothing."""
    return np.random.default_rng(0).permutation(x)


def _blocks(x: Array) -> Array:
    """The block of each row (N,): even parts of a shuffled set."""
    count = min(BLOCKS, len(x))
    return np.arange(len(x)) * count // len(x)


def _leaving_out(x: Array) -> Iterator[Array]:
    """The set (N, F) without each of its blocks."""
    blocks = _blocks(x)
    return (x[blocks != block] for block in np.unique(blocks))


def around(value: float, *without: Array) -> Interval:
    """The interval around a number, given it without each of the blocks of each of the sets."""
    margin = reach(*without)
    return value - margin, value + margin


def reach(*without: Array) -> float:
    """How far the interval of a number reaches to either side, given it without each of the blocks of each set."""
    variance = sum(float((len(each) - 1) * each.var()) for each in without)
    return float(student.ppf((1 + LEVEL) / 2, min(map(len, without)) - 1)) * variance**0.5
