"""The first two moments of a standard normal number that is known to lie in an interval.

    Z = Φ(b) - Φ(a)
    E[z | a < z < b]  = (φ(a) - φ(b)) / Z
    E[z² | a < z < b] = 1 + (a φ(a) - b φ(b)) / Z

Far out in a tail φ and Z vanish, and their ratio does not. With Mills' ratio R(x) = (1 - Φ(x)) / φ(x), which is a
scaled complementary error function, and on the side where a + b ≥ 0,

    Z / φ(a) = R(a) - e^-Δ R(b),     φ(b) / φ(a) = e^-Δ,     Δ = (b - a)(b + a) / 2

Johnson, Kotz & Balakrishnan, "Continuous Univariate Distributions", volume 1, 1994, section 10.1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from .bins import WIDE


def truncated_moments(a: Tensor, b: Tensor, first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
    """E[z] and E[z²] (…) of z ~ N(0, 1) between a and b (…), in float64; open to below if first, to above if last.

    An interval so narrow that `log_gaussian_interval` takes its density at the middle is a point there, too: so these
    are the moments that belong to that mass.
    """
    a = torch.where(first, -torch.inf, a.double())
    b = torch.where(last, torch.inf, b.double())
    mirrored = (a + b < 0) | (first & ~last)
    low, high = torch.where(mirrored, -b, a), torch.where(mirrored, -a, b)
    open_ended = high.isinf()
    end = torch.where(open_ended, 0.0, high)  # in no branch an infinity times zero
    start = torch.where(low.isinf(), 0.0, low)
    ratio = torch.where(open_ended, 0.0, torch.exp(-0.5 * (end - start) * (end + start)))  # φ(b) / φ(a)
    mass = _mills(start) - ratio * _mills(end)  # Z / φ(a)
    narrow = high - low < 1 / WIDE
    middle = 0.5 * (start + end)
    mean = torch.where(narrow, middle, (1 - ratio) / torch.where(narrow, 1.0, mass))
    square = torch.where(narrow, middle.square(), 1 + (start - end * ratio) / torch.where(narrow, 1.0, mass))
    everywhere = low.isinf()
    mean, square = torch.where(everywhere, 0.0, mean), torch.where(everywhere, 1.0, square)
    return torch.where(mirrored, -mean, mean), square


def _mills(x: Tensor) -> Tensor:
    """(1 - Φ(x)) / φ(x)."""
    return math.sqrt(math.pi / 2) * torch.special.erfcx(x / math.sqrt(2))
