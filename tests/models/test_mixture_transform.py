"""The mixture of Gaussians as a bijection: its density is the mixture's, its inverse inverts, tails included."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from models.layers.flows.mixture_transform import AutoregressiveMixture, AutoregressiveQuantile
from models.layers.normal import standard_normal_log_density

pytestmark = pytest.mark.usefixtures("double")

D, K = 4, 3


def block(scale: float = 0.3, kind: type[AutoregressiveMixture] = AutoregressiveMixture) -> AutoregressiveMixture:
    mixture = kind(torch.randperm(D), (16, 12), K)
    with torch.no_grad():
        for parameter in mixture.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return mixture


def test_the_density_is_that_of_the_mixture() -> None:
    mixture, v = block(), torch.randn(20, D) * 2
    w, log_det = mixture(v)
    conditionals = mixture.output.log_prob(mixture.conditioner(v, None), v).sum(1)
    torch.testing.assert_close(standard_normal_log_density(w) + log_det, conditionals)


def test_outputs_of_the_other_direction_have_the_density_of_the_mixture_given_the_inputs_before() -> None:
    quantile, v = block(kind=AutoregressiveQuantile), torch.randn(20, D)
    w, log_det = quantile(v)
    conditionals = quantile.output.log_prob(quantile.conditioner(v, None), w).sum(1)
    torch.testing.assert_close(standard_normal_log_density(v) - log_det, conditionals)


@pytest.mark.parametrize("kind", [AutoregressiveMixture, AutoregressiveQuantile])
def test_jacobians_of_both_directions_match_autograd(kind: type[AutoregressiveMixture]) -> None:
    mixture, v = block(kind=kind), torch.randn(1, D)
    w, log_det = mixture(v)
    matrix = jacobian(lambda x: mixture(x)[0], v)[0, :, 0]
    torch.testing.assert_close(log_det[0], matrix.slogdet().logabsdet)
    back, back_log_det = mixture.inverse(w)
    torch.testing.assert_close(back, v, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(back_log_det, -log_det, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_inverts_far_out_in_the_tails(dtype: torch.dtype) -> None:
    """To the precision of a number of that size; components are far apart, so that F is flat between them."""
    mixture = block().to(dtype)
    h = torch.randn(7, 3 * K) * torch.tensor([1.0] * K + [20.0] * K + [0.5] * K)
    h = h.to(dtype)[:, None].expand(7, 9, 3 * K)
    w = torch.tensor([-30.0, -8.0, -2.0, -0.5, 0.0, 0.7, 3.0, 9.0, 25.0], dtype=dtype).expand(7, 9)
    v, log_slope = mixture.invert(w, h)
    assert v.isfinite().all() and log_slope.isfinite().all()
    again, _ = mixture.transform(v, h)
    # Where F is steep, a v that is right to its last digit is a w that is not; where it is flat, the other way round.
    error, eps = (again - w).abs(), max(torch.finfo(dtype).eps, 1e-13)
    of_v = error * torch.exp(-log_slope) <= 8 * eps * (1 + v.abs())
    assert (of_v | (error <= 8 * eps * (1 + w.abs()))).all()
    assert of_v.double().mean() > 0.5


def test_a_mixture_of_one_component_is_an_affine_map() -> None:
    mixture = AutoregressiveMixture(torch.arange(D), (8,), 1)
    v = torch.randn(6, D)
    h: Tensor = mixture.conditioner(v, None)
    _, mean, log_std = mixture.output.parameters(h)
    w, log_det = mixture(v)
    torch.testing.assert_close(w, (v - mean[..., 0]) * torch.exp(-log_std[..., 0]))
    torch.testing.assert_close(log_det, -log_std[..., 0].sum(1))


def test_the_other_direction_has_the_gradients_of_the_implicit_function() -> None:
    quantile, v = block(kind=AutoregressiveQuantile), torch.randn(2, D)
    h = quantile.conditioner(v, None).detach().requires_grad_()
    for place in (0, 1):
        assert torch.autograd.gradcheck(lambda x, y, i=place: quantile.transform(x, y)[i], (v.requires_grad_(), h))
