"""Inverting autoregressive bijections: every method finds what a pass per dimension finds, with its gradient."""

from __future__ import annotations

from unittest.mock import MagicMock

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian

from models.layers.flows.affine_transform import AutoregressiveAffine, affine_made
from models.layers.flows.inversion import AutoregressiveBijection, Inversion
from models.layers.flows.mixture_transform import AutoregressiveMixture, AutoregressiveQuantile

D, C = 7, 3
METHODS: list[Inversion] = ["incremental", "jacobi", "plain"]
KINDS = [AutoregressiveAffine, AutoregressiveMixture, AutoregressiveQuantile]


def block(kind: type[AutoregressiveBijection], dimensions: int = D, scale: float = 0.3) -> AutoregressiveBijection:
    torch.manual_seed(0)
    order = torch.randperm(dimensions)
    if issubclass(kind, AutoregressiveMixture):
        built: AutoregressiveBijection = kind(order, (24, 16), 3, C)
    else:
        built = affine_made(order, (24, 16), C)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return built


def inverse(bijection: AutoregressiveBijection, method: Inversion, w: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
    bijection.inversion = method
    with torch.no_grad():
        return bijection.inverse(w, context)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", ["incremental", "jacobi"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_methods_agree_with_a_pass_per_dimension(
    kind: type[AutoregressiveBijection], method: Inversion, dtype: torch.dtype
) -> None:
    bijection, tolerance = block(kind).to(dtype), 1e-5 if dtype == torch.float32 else 1e-12
    w, context = torch.randn(50, D, dtype=dtype), torch.randn(50, C, dtype=dtype)
    v, log_det = inverse(bijection, method, w, context)
    expected, expected_log_det = inverse(bijection, "plain", w, context)
    torch.testing.assert_close(v, expected, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(log_det, expected_log_det, atol=10 * tolerance, rtol=tolerance)


@pytest.mark.parametrize("method", METHODS)
def test_many_dimensions_in_float32(method: Inversion) -> None:
    """Log-scales and means of the size that trained flows have."""
    bijection = block(AutoregressiveAffine, dimensions=200, scale=0.08)
    v, context = torch.randn(20, 200), torch.randn(20, C)
    with torch.no_grad():
        w, log_det = bijection(v, context)
    assert (w - v).abs().mean() > 0.1
    found, back = inverse(bijection, method, w, context)
    torch.testing.assert_close(found, v, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(back, -log_det, atol=1e-3, rtol=1e-5)


def test_jacobi_needs_few_passes_where_dimensions_depend_on_each_other_weakly(passes: MagicMock) -> None:
    bijection = block(AutoregressiveAffine, dimensions=200, scale=0.03)
    inverse(bijection, "jacobi", torch.randn(20, 200), torch.randn(20, C))
    assert 3 < passes.call_count < 60


def test_jacobi_takes_all_passes_where_errors_grow_before_they_vanish() -> None:
    """v_i = w_i + 8 v_{i-1}: each pass has greater changes than the one before, up to the last."""
    chain, dimensions = affine_made(torch.arange(6), (5,)).double(), 6
    with torch.no_grad():
        for parameter in chain.parameters():
            parameter.zero_()
        inputs, outputs = torch.zeros(5, 6).double(), torch.zeros(12, 5).double()
        inputs[range(5), range(5)] = 1  # units are positive
        outputs[range(2, 12, 2), range(5)] = 8
        for layer, weight in zip(chain.network.layers, (inputs, outputs), strict=True):
            layer.assign(weight)  # type: ignore[operator]
    w = torch.rand(3, dimensions).double()
    expected = [w[:, 0]]
    for i in range(1, dimensions):
        expected.append(w[:, i] + 8 * expected[-1])
    chain.inversion = "jacobi"
    with torch.no_grad():
        torch.testing.assert_close(chain.inverse(w)[0], torch.stack(expected, 1))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_gradients_are_those_of_the_inverse_function(kind: type[AutoregressiveBijection], method: Inversion) -> None:
    """dv/dw is the inverse matrix of dw/dv, and dv = -(dw/dv)⁻¹ dw for a change of weights."""
    bijection = block(kind).double()
    bijection.inversion = method
    v, context = torch.randn(1, D).double(), torch.randn(1, C).double()
    w = bijection(v, context)[0].detach()
    slope = jacobian(lambda x: bijection(x, context)[0], v)[0, :, 0]
    back = jacobian(lambda x: bijection.inverse(x, context)[0], w)[0, :, 0]
    torch.testing.assert_close(back, slope.inverse(), atol=1e-8, rtol=1e-8)

    g, weight = torch.randn(1, D).double(), bijection.network.layers[0].weight
    (by_inverse,) = torch.autograd.grad((bijection.inverse(w, context)[0] * g).sum(), weight)  # type: ignore[arg-type]
    pulled = -torch.linalg.solve(slope.T, g[0])[None]
    (expected,) = torch.autograd.grad((bijection(v, context)[0] * pulled).sum(), weight)  # type: ignore[arg-type]
    torch.testing.assert_close(by_inverse, expected, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_the_log_determinant_has_a_gradient(method: Inversion) -> None:
    """Against finite differences; ReLU units have no corners so near."""
    bijection = block(AutoregressiveAffine).double()
    bijection.inversion = method
    w, context = torch.randn(2, D).double(), torch.randn(2, C).double()
    assert torch.autograd.gradcheck(lambda x: bijection.inverse(x, context)[1], w.requires_grad_())


@pytest.mark.parametrize("method", METHODS)
def test_what_has_no_gradient_gets_none(method: Inversion, passes: MagicMock) -> None:
    bijection = block(AutoregressiveAffine).requires_grad_(False)
    bijection.inversion = method
    v, log_det = bijection.inverse(torch.randn(2, D), torch.randn(2, C))
    assert not v.requires_grad and not log_det.requires_grad
