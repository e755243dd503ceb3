"""The distributions of single numbers: masses that sum to one at every edge, densities, and draws that invert them."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.contract import Event, UnsuitableEvent
from models.layers.autoregressive.outputs import (
    GaussianMixture,
    Levels,
    LogisticMixture,
    RoundedGaussian,
    Softmax,
    output_for,
)

from .cases import IMAGE, PALETTE, VECTOR


def logistic_outputs(levels: int, dtype: torch.dtype) -> Tensor:
    """Outputs (n, 3) of single logistics: means inside, at the edges and far outside, scales from tiny to huge."""
    means = torch.tensor([-100.0, -3.0, -1.001, -1.0, -1 + 1 / levels, -0.3, 0.0, 0.71, 1.0, 3.0, 100.0], dtype=dtype)
    log_scales = torch.tensor([-50.0, -7.0, -5.0, -3.0, -1.0, 0.0, 3.0, 20.0], dtype=dtype)
    mean, log_scale = (each.flatten() for each in torch.meshgrid(means, log_scales, indexing="ij"))
    return torch.stack([torch.zeros_like(mean), mean, log_scale], 1)


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_levels_of_logistics_sum_to_one(levels: int, dtype: torch.dtype) -> None:
    log_masses = LogisticMixture(levels, 1).log_masses(logistic_outputs(levels, dtype))
    assert log_masses.dtype == dtype and log_masses.isfinite().all()
    total = log_masses.double().exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), atol=2e-6, rtol=0)


def test_the_levels_of_a_mixture_sum_to_one_in_float32() -> None:
    h = torch.randn(500, 3 * 10, generator=torch.Generator().manual_seed(0)) * 3
    total = LogisticMixture(256, 10).log_masses(h).double().exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), atol=2e-6, rtol=0)


def test_a_bin_has_the_mass_between_its_bounds() -> None:
    h = torch.tensor([[0.3, -0.2, 0.1, 0.6, -1.0, -2.0]], dtype=torch.float64)
    weights, means, scales = h[:, :2].softmax(-1), 8.0 + 8.5 * h[:, 2:4], 8.5 * h[:, 4:].exp()
    masses = []
    for level in range(17):
        above = 1.0 if level == 16 else torch.sigmoid((level + 0.5 - means) / scales)
        below = 0.0 if level == 0 else torch.sigmoid((level - 0.5 - means) / scales)
        masses.append((weights * (above - below)).sum(-1))
    torch.testing.assert_close(LogisticMixture(17, 2).log_masses(h).exp(), torch.stack(masses, -1))


def test_gradients_of_far_logistics_are_finite() -> None:
    h = logistic_outputs(256, torch.float32).requires_grad_()
    for level in (0, 128, 255):
        (slope,) = torch.autograd.grad(LogisticMixture(256, 1).log_prob(h, torch.full((len(h),), level)).sum(), h)
        assert slope.isfinite().all()


@pytest.mark.parametrize("levels", [2, 3, 17, 256])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_levels_of_gaussians_sum_to_one(levels: int, dtype: torch.dtype) -> None:
    h = logistic_outputs(levels, dtype)[:, 1:]
    log_masses = RoundedGaussian(levels).log_masses(h)
    assert log_masses.dtype == dtype and log_masses.isfinite().all()
    total = log_masses.double().exp().sum(-1)
    torch.testing.assert_close(total, torch.ones_like(total), atol=2e-4 if dtype == torch.float32 else 2e-6, rtol=0)


def test_a_bin_of_a_gaussian_has_the_mass_between_its_bounds() -> None:
    h = torch.tensor([[0.1, -1.0], [1.3, -2.0], [-0.2, 6.0]], dtype=torch.float64)  # the last one is wide
    normal = torch.distributions.Normal(8.0 + 8.5 * h[:, 0], 8.5 * h[:, 1].exp())
    edges = torch.arange(-0.5, 17)
    edges[0], edges[-1] = -math.inf, math.inf
    below = normal.cdf(edges[:, None].double())
    torch.testing.assert_close(RoundedGaussian(17).log_masses(h).exp(), (below[1:] - below[:-1]).T)


def test_gradients_of_far_gaussians_are_finite() -> None:
    h = logistic_outputs(256, torch.float32)[:, 1:].requires_grad_()
    for level in (0, 128, 255):
        (slope,) = torch.autograd.grad(RoundedGaussian(256).log_prob(h, torch.full((len(h),), level)).sum(), h)
        assert slope.isfinite().all()


@pytest.mark.parametrize(
    "output",
    [Softmax(5), LogisticMixture(5, 2), RoundedGaussian(5)],
    ids=["softmax", "logistic_mixture", "gaussian"],
)
def test_levels_are_drawn_as_often_as_is_their_mass(output: Levels) -> None:
    h = torch.randn(output.size, generator=torch.Generator().manual_seed(0)).double()
    u = (torch.arange(10_000, dtype=torch.float64)[:, None] + 0.5) / 10_000
    drawn = output.draw(h.expand(len(u), -1), u, 1.0)
    shares = torch.bincount(drawn, minlength=5) / len(u)
    torch.testing.assert_close(shares.double(), output.log_masses(h).exp(), atol=2e-4, rtol=0)
    sharp = torch.bincount(output.draw(h.expand(len(u), -1), u, 0.5), minlength=5) / len(u)
    torch.testing.assert_close(sharp.double(), (2 * output.log_masses(h)).softmax(-1), atol=2e-4, rtol=0)
    assert (output.draw(h.expand(len(u), -1), u, 0.0) == output.log_masses(h).argmax()).all()


def test_a_draw_stays_a_level_at_the_ends_of_the_unit_interval() -> None:
    u = torch.tensor([[1e-300], [1 - 2**-53]], dtype=torch.float64)
    for output in (Softmax(256), LogisticMixture(256, 1)):
        drawn = output.draw(torch.zeros(2, output.size), u, 1.0)
        assert drawn.tolist() == [0, 255]


def test_a_gaussian_mixture_is_that_of_torch() -> None:
    h, x = torch.randn(50, 12, dtype=torch.float64), torch.randn(50, dtype=torch.float64)
    logits, mean, log_std = h.chunk(3, -1)
    peer = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=logits),
        torch.distributions.Normal(mean, (log_std / (1 + log_std.abs() / math.log(1e3))).exp()),
    )
    torch.testing.assert_close(GaussianMixture(4).log_prob(h, x), peer.log_prob(x))


def test_a_gaussian_mixture_is_drawn_by_component_and_quantile() -> None:
    h = torch.tensor([0.0, 1.0, -2.0, 3.0, math.log(0.5), 0.0], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    u = torch.rand(200_000, 2, dtype=torch.float64, generator=generator)
    output = GaussianMixture(2)
    x = output.draw(h.expand(len(u), -1), u, 1.0)
    weights = torch.tensor([0.0, 1.0], dtype=torch.float64).softmax(0)
    assert x.mean().item() == pytest.approx((weights @ h[2:4]).item(), abs=0.02)
    grid = torch.linspace(-12, 12, 2401, dtype=torch.float64)
    density = output.log_prob(h.expand(len(grid), -1), grid).exp()
    assert density.sum().item() * 0.01 == pytest.approx(1, abs=1e-6)
    below = density[grid < 0].sum().item() * 0.01
    assert (x < 0).double().mean().item() == pytest.approx(below, abs=0.01)
    assert set(output.draw(h.expand(len(u), -1), u, 0.0).tolist()) == {-2.0, 3.0}


def test_half_precision_is_scored_in_float32() -> None:
    for output in (Softmax(256), LogisticMixture(256, 2), GaussianMixture(2)):
        h = torch.randn(4, output.size, dtype=torch.bfloat16)
        assert output.log_prob(h, torch.arange(4)).dtype == torch.float32


def test_an_output_is_refused_where_it_makes_no_sense() -> None:
    assert isinstance(output_for(PALETTE, "softmax", 1), Softmax)
    assert isinstance(output_for(VECTOR, "gaussian_mixture", 1), GaussianMixture)
    assert isinstance(output_for(Event((4,), 17), "logistic_mixture", 1), LogisticMixture)
    with pytest.raises(UnsuitableEvent, match="gaussian_mixture takes vectors"):
        output_for(VECTOR, "softmax", 1)
    with pytest.raises(UnsuitableEvent, match="needs vectors; output: softmax"):
        output_for(IMAGE, "gaussian_mixture", 1)
    with pytest.raises(UnsuitableEvent, match=r"names.*softmax takes them"):
        output_for(PALETTE, "logistic_mixture", 1)
