"""The standard normal distribution, which most families start from."""

from __future__ import annotations

import math

from torch import Tensor


def standard_normal_log_density(u: Tensor) -> Tensor:
    """log N(u; 0, I) (N,) of u (N, D)."""
    return -0.5 * (u.square() + math.log(2 * math.pi)).sum(1)
