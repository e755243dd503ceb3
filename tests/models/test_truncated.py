"""Moments of truncated normal numbers against high precision, where they are easy and far out in the tails."""

from __future__ import annotations

import math

import pytest
import torch

from models.layers.truncated import truncated_moments

ENDS = [
    (-1.0, 2.0), (0.0, 1e-3), (-0.1, 0.1), (-1e-2, 1.0), (0.5, 0.52), (-8.0, 9.0), (-3.0, 40.0), (5.0, 5.01),
    (-30.0, -29.0), (30.0, 30.01), (38.0, 60.0), (-60.0, -59.9), (200.0, 200.5), (1e3, 1e3 + 1), (-1e4, -1e4 + 0.01),
]  # fmt: skip


def ours(a: float, b: float) -> tuple[float, float]:
    """E[z] and E[z²], with infinite ends as those of the first and the last bin."""
    ends = (torch.tensor([0.0 if math.isinf(end) else end], dtype=torch.float64) for end in (a, b))
    mean, square = truncated_moments(*ends, torch.tensor([a == -math.inf]), torch.tensor([b == math.inf]))
    return mean.item(), square.item()


def exact(a: float, b: float) -> tuple[float, float]:
    """By 80 digits."""
    mpmath = pytest.importorskip("mpmath")
    with mpmath.workdps(80):
        low, high = mpmath.mpf(a), mpmath.mpf(b)
        if low + high > 0:  # the upper tail loses its digits
            low, high = -high, -low
        phi_low, phi_high = (0 if mpmath.isinf(end) else mpmath.npdf(end) for end in (low, high))
        mass = _ncdf(mpmath, high) - _ncdf(mpmath, low)
        mean = (phi_low - phi_high) / mass
        terms = (0 if mpmath.isinf(end) else end * phi for end, phi in ((low, phi_low), (high, phi_high)))
        first, second = terms
        return float(mean if b + a <= 0 else -mean), float(1 + (first - second) / mass)


def _ncdf(mpmath, x):  # noqa: ANN001, ANN202 -- numbers of mpmath
    return mpmath.erfc(-x / mpmath.sqrt(2)) / 2


@pytest.mark.parametrize(("a", "b"), ENDS)
def test_moments_are_those_of_high_precision(a: float, b: float) -> None:
    mean, square = exact(a, b)
    assert ours(a, b) == (pytest.approx(mean, rel=1e-9, abs=1e-12), pytest.approx(square, rel=1e-9, abs=1e-12))


@pytest.mark.parametrize("end", [-40.0, -3.0, 0.0, 0.7, 6.0, 35.0, 1e4])
def test_moments_of_open_intervals(end: float) -> None:
    for a, b in ((-math.inf, end), (end, math.inf)):
        mean, square = exact(a, b)
        assert ours(a, b) == (pytest.approx(mean, rel=1e-9, abs=1e-12), pytest.approx(square, rel=1e-9, abs=1e-12))
    assert ours(-math.inf, math.inf) == (0.0, 1.0)


@pytest.mark.parametrize("middle", [0.0, 0.3, -7.0, 50.0, 3000.0])
@pytest.mark.parametrize("width", [9e-4, 1e-6, 1e-12])
def test_what_is_narrow_is_a_point(middle: float, width: float) -> None:
    mean, square = ours(middle - width / 2, middle + width / 2)
    assert mean == pytest.approx(middle, abs=1e-12, rel=1e-12)
    assert square == pytest.approx(middle**2, abs=1e-12, rel=1e-12)


def test_moments_of_many_draws() -> None:
    z = torch.randn(2_000_000, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    within = z[(z > -0.5) & (z < 1.5)]
    assert ours(-0.5, 1.5) == (
        pytest.approx(within.mean().item(), abs=3e-3),
        pytest.approx(within.square().mean().item(), abs=3e-3),
    )
