"""The standard normal distribution, which most families start from."""

from __future__ import annotations

import math

from torch import Tensor

LIMIT = math.log(1e3)


def log_normal_density(z: Tensor) -> Tensor:
    """log N(z; 0, 1) (…) of each number z (…)."""
    return -0.5 * (z.square() + math.log(2 * math.pi))


def standard_normal_log_density(u: Tensor) -> Tensor:
    """log N(u; 0, I) (…) of u (…, D)."""
    return -0.5 * (u.square() + math.log(2 * math.pi)).sum(-1)


def bounded(log_scale: Tensor) -> Tensor:
    """A network's log scale, kept within ±log 1000 by a smooth clip: the scale can neither vanish nor overflow."""
    return log_scale / (1 + log_scale.abs() / LIMIT)
