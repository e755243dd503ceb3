"""Masses of the bins of integers under a distribution of real numbers, accurate in both tails.

A level v of 0 … K-1 has all that is rounded to it, from v - ½ to v + ½; the first and the last level have all beyond,
too, so the levels sum to one.

They hold everywhere, also where a distribution is much wider than a bin or a bin is thousands of standard deviations
away, and so do their gradients: networks that say σ themselves get there, and σ that are given are met by means that
start anywhere.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from .normal import log_normal_density

WIDE = 1e3  # standard deviation, in levels, beside which a bin is as good as a point
FAR = 50.0  # standard deviations, from which on log Φ(-x) = -x²/2 - log x - ½ log 2π to 1/x²


def log_logistic_bin(x: Tensor, mean: Tensor, scale: Tensor, levels: int) -> Tensor:
    """log(σ(b) - σ(a)) of the bin of x, from a = (x - ½ - μ) / s to b = (x + ½ - μ) / s:

    σ(b) - σ(a) = σ(b) σ(-a) (1 - e^(a-b)), every factor of which is representable. Of the open bins of the first and
    the last of the levels σ(b) or σ(-a) is left.
    """
    first, last = x <= 0, x >= levels - 1
    log_above = torch.where(first, 0.0, F.logsigmoid((mean - x + 0.5) / scale))
    log_below = torch.where(last, 0.0, F.logsigmoid((x + 0.5 - mean) / scale))
    log_inside = torch.where(first | last, 0.0, torch.log(-torch.expm1(-1 / scale)))
    return log_above + log_below + log_inside


def log_gaussian_bin(x: Tensor, mean: Tensor, std: Tensor, levels: int) -> Tensor:
    """log(Φ(b) - Φ(a)) of the bin of x, from a = (x - ½ - μ) / σ to b = (x + ½ - μ) / σ.

    Where a + b > 0 it is computed as Φ(-a) - Φ(-b), and where the Gaussian is so wide that both are nearly equal, as
    the density in the middle. Of the open bins of the first and the last of the levels Φ(b) or Φ(-a) is left.
    """
    z = (x - mean) / std
    a, b = z - 0.5 / std, z + 0.5 / std
    first, last, wide = x <= 0, x >= levels - 1, std > WIDE
    log_low, log_high = (_log_cdf(torch.where(z > 0, -far, near)) for far, near in ((b, a), (a, b)))
    inside = _log_difference(log_high, torch.where(wide, -1.0, log_low - log_high))  # in no branch a logarithm of zero
    density = log_normal_density(z) - torch.log(std)
    open_ended = _log_cdf(torch.where(first, b, -a))
    return torch.where(first | last, open_ended, torch.where(wide, density, inside))


def log_gaussian_interval(a: Tensor, b: Tensor, first: Tensor, last: Tensor) -> Tensor:
    """log(Φ(b) - Φ(a)) of any interval from a to b in standard deviations; open to below if first, to above if last.

    It is computed as that of a bin: from the side on which less lies, and where an interval is narrow as the density in
    its middle.
    """
    middle, width = (a + b) / 2, b - a
    narrow = width < 1 / WIDE
    log_low, log_high = (_log_cdf(torch.where(middle > 0, -far, near)) for far, near in ((b, a), (a, b)))
    inside = _log_difference(log_high, torch.where(narrow, -1.0, log_low - log_high))
    density = log_normal_density(middle) + torch.log(width.clamp_min(torch.finfo(width.dtype).tiny))
    open_ended = _log_cdf(torch.where(first, b, -a))
    return torch.where(first | last, open_ended, torch.where(narrow, density, inside))


def _log_difference(log_high: Tensor, log_ratio: Tensor) -> Tensor:
    """log(high - low), by log high and the log of low / high."""
    return log_high + torch.log(-torch.expm1(log_ratio))


def _log_cdf(x: Tensor) -> Tensor:
    """log Φ(x), with gradients that hold far out in the tail, where those of `log_ndtr` do not."""
    far = x < -FAR
    tail = torch.where(far, x, -FAR)
    return torch.where(
        far,
        log_normal_density(tail) - torch.log(-tail),
        torch.special.log_ndtr(x.clamp_min(-FAR)),
    )
