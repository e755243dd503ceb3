"""NSF by itself: splines and blocks against autograd in float64, their inverses, agreement with zuko, and learning."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import zuko
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.nn.functional import one_hot

from models.catalogue import family_class
from models.contract import Batch, Density, Event
from models.layers.flows.bijections import Composition
from models.layers.flows.inversion import AutoregressiveBijection, Inversion
from models.layers.flows.sequential import has_gaussian_conditionals
from models.noise import Noise
from models.nsf import LEAST, NSF, AutoregressiveSpline, Linear, NSFConfig, inverse_spline, spline, spline_knots

from .cases import IMAGE, VECTOR, Case, perturbed

SMALL: dict[str, Any] = {"blocks": 2, "hidden": [8], "bins": 4}
VARIANTS = [
    Case("nsf", IMAGE, {"permutation": "random", "bins": 8}),
    Case("nsf", IMAGE, {"dequantisation": "variational", "conditional": True}),
    Case("nsf", VECTOR, {"batch_norm": True, "inversion": "jacobi"}),
    Case("nsf", VECTOR, {"bound": 6.0, "permutation": "random"}),
    Case("nsf", VECTOR, {"linear": False}),
    Case("nsf", VECTOR, {"mixture_components": 3, "conditional": True}),
]


pytestmark = pytest.mark.usefixtures("double")

B, K, C = 3.0, 8, 3


def curves(n: int = 20, scale: float = 2.0) -> Tensor:
    """The knots (3, n, K+1) of random curves."""
    return spline_knots(scale * torch.randn(n, 3 * K - 1), K, B)


def everywhere(knots: Tensor, axis: int) -> tuple[Tensor, Tensor]:
    """Numbers inside, at, close to and outside of the knots of curves, by x or by y; and their knots."""
    n, at = knots.shape[1], knots[axis]
    inside = at[:, :-1] + at.diff() * torch.rand(n, K)
    outside = torch.tensor([-1e4, -7.0, -B - 1e-9, B + 1e-9, 3.5, 1e4]).expand(n, -1)
    numbers = torch.cat([inside, at, at - 1e-9, at + 1e-9, outside], 1)
    return numbers, knots[:, :, None].expand(3, n, numbers.shape[1], K + 1)


def flow(dimensions: int, conditional: bool = False, **options: Any) -> NSF:
    """A flow whose weights were moved until its splines bend: its numbers come to be within the bound and outside."""
    config = NSFConfig(**{"blocks": 3, "hidden": (16, 12), "conditional": conditional, **options})
    return perturbed(NSF(config, Event((dimensions,), None, C)), 0.4)


def block(dimensions: int = 6, inversion: Inversion = "auto") -> AutoregressiveSpline:
    torch.manual_seed(1)
    return perturbed(AutoregressiveSpline(torch.randperm(dimensions), (24, 16), K, B, C, inversion), 0.4)


@pytest.mark.parametrize("scale", [0.3, 2.0, 20.0])
def test_knots_increase_from_end_to_end_by_the_least_at_least(scale: float) -> None:
    x, y, slopes = curves(scale=scale)
    for places in (x, y):
        assert (places[:, 0] == -B).all() and (places[:, -1] == B).all()
        assert (places.diff() >= 2 * B * LEAST * (1 - 1e-9)).all()
    assert (slopes >= LEAST).all() and (slopes[:, [0, -1]] == 1).all()


def test_a_curve_goes_through_its_knots_with_their_slopes() -> None:
    knots = curves()
    x, y, slopes = knots
    w, log_slope = spline(x, knots[:, :, None].expand(3, -1, K + 1, K + 1))
    torch.testing.assert_close(w, y)
    torch.testing.assert_close(log_slope.exp(), slopes)


def test_the_log_slope_is_that_of_autograd_inside_at_and_outside_the_knots() -> None:
    v, knots = everywhere(curves(), axis=0)
    v.requires_grad_()
    w, log_slope = spline(v, knots)
    (slope,) = torch.autograd.grad(w.sum(), v)
    torch.testing.assert_close(log_slope, slope.log(), atol=1e-9, rtol=1e-9)


def test_a_curve_and_its_slope_have_the_gradients_of_finite_differences() -> None:
    h, v = torch.randn(6, 3 * K - 1).requires_grad_(), (2 * torch.randn(6)).requires_grad_()
    for place in (0, 1):
        assert torch.autograd.gradcheck(lambda x, y, i=place: spline(x, spline_knots(y, K, B))[i], (v, h))


def test_the_inverse_inverts_inside_at_and_outside_the_knots() -> None:
    v, knots = everywhere(curves(), axis=0)
    w, log_slope = spline(v, knots)
    back, back_log_slope = inverse_spline(w, knots)
    torch.testing.assert_close(back, v, atol=1e-10, rtol=1e-10)
    torch.testing.assert_close(back_log_slope, log_slope, atol=1e-6, rtol=1e-6)
    w, knots = everywhere(curves(), axis=1)
    torch.testing.assert_close(spline(inverse_spline(w, knots)[0], knots)[0], w, atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_inverse_of_wild_curves_is_right_to_the_last_digits(dtype: torch.dtype) -> None:
    """Of w, for where a curve is flat many v have the same. The root as the paper has it is wrong by thousands."""
    w, knots = (each.to(dtype) for each in everywhere(curves(n=500, scale=20.0), axis=1))
    v, log_slope = inverse_spline(w, knots)
    again, _ = spline(v, knots)
    digit = torch.finfo(dtype).eps * (B + w.abs())
    assert ((again - w).abs() <= 100 * digit * (1 + torch.exp(log_slope))).all()


def test_curves_are_monotonic() -> None:
    knots, v = curves(scale=5.0), torch.linspace(-4, 4, 4001).expand(20, -1)
    w, _ = spline(v, knots[:, :, None].expand(3, 20, 4001, K + 1))
    assert (w.diff() > 0).all()


def test_outputs_of_zero_are_the_identity() -> None:
    v = torch.linspace(-5, 5, 101)
    knots = spline_knots(torch.zeros(101, 3 * K - 1), K, B)
    for direction in (spline, inverse_spline):
        w, log_slope = direction(v, knots)
        torch.testing.assert_close(w, v)
        torch.testing.assert_close(log_slope, torch.zeros(101))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gradients_are_finite_however_far_outside_and_wild_the_outputs(dtype: torch.dtype) -> None:
    v = torch.tensor([-1e30, -B, -1.0, 0.0, B, 4.0, 1e30], dtype=dtype).requires_grad_()
    h = (1e3 * torch.randn(7, 3 * K - 1, dtype=dtype)).requires_grad_()
    w, log_slope = spline(v, spline_knots(h, K, B))
    found = torch.autograd.grad(w.sum() + log_slope.sum(), (v, h))
    assert all(each.isfinite().all() for each in (w, log_slope, *found))


def test_agreement_with_zuko_through_the_same_knots() -> None:
    """zuko clips what it is given to slopes of 1e-3 … 1e3 softly, so it is given what comes out right."""
    h, limit = 0.7 * torch.randn(50, 3 * K - 1), math.log(1e3)
    x, y, slopes = knots = spline_knots(h, K, B)

    def unclipped(clipped: Tensor, most: float) -> Tensor:
        return clipped / (1 - clipped.abs() / most)

    sizes = [unclipped((places.diff() / B * K / 2).log(), limit / 2) for places in (x, y)]
    theirs = zuko.transforms.MonotonicRQSTransform(*sizes, unclipped(slopes[:, 1:-1].log(), limit), bound=B)
    torch.testing.assert_close(torch.stack([theirs.horizontal, theirs.vertical, theirs.derivatives]), knots)
    v = 2 * torch.randn(50)
    assert 5 < (v.abs() > B).sum() < 45
    w, log_slope = spline(v, knots)
    for ours, peers in zip((w, log_slope), theirs.call_and_ladj(v), strict=True):
        torch.testing.assert_close(ours, peers, atol=1e-6, rtol=1e-6)
    torch.testing.assert_close(inverse_spline(v, knots)[0], theirs.inv(v), atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("dimensions", [1, 2, 6])
def test_the_jacobian_of_a_block_is_triangular_in_its_order(dimensions: int) -> None:
    bent, v, context = block(dimensions), torch.randn(1, dimensions), torch.randn(1, C)
    _, log_det = bent(v, context)
    matrix = jacobian(lambda x: bent(x, context)[0], v)[0, :, 0][bent.order][:, bent.order]
    assert torch.equal(matrix.triu(1), torch.zeros(dimensions, dimensions))
    assert (matrix.tril(-1) != 0).sum() == dimensions * (dimensions - 1) / 2
    torch.testing.assert_close(log_det[0], matrix.diagonal().log().sum(), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("dimensions", [1, 3, 6])
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("options", [{}, {"linear": False, "mixture_components": 2}, {"batch_norm": True}])
def test_jacobians_of_both_directions_match_autograd(
    dimensions: int, conditional: bool, options: dict[str, Any]
) -> None:
    model = flow(dimensions, conditional, **options).eval()
    context, y = one_hot(torch.tensor([2]), C).double() if conditional else None, torch.randn(1, dimensions)
    for direction in (model.bijection, model.bijection.inverse):
        _, log_det = direction(y, context)
        matrix = jacobian(lambda v, f=direction: f(v, context)[0], y)[0, :, 0]
        torch.testing.assert_close(log_det[0], matrix.slogdet().logabsdet, atol=1e-8, rtol=1e-8)
    u, _ = model.bijection(y, context)
    torch.testing.assert_close(model.bijection.inverse(u, context)[0], y, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("method", ["incremental", "jacobi"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_samplers_agree_with_a_pass_per_dimension(method: Inversion, dtype: torch.dtype) -> None:
    tolerance = 1e-4 if dtype == torch.float32 else 1e-10
    w, context = torch.randn(50, 6, dtype=dtype), torch.randn(50, C, dtype=dtype)
    with torch.no_grad():
        found, expected = (block(inversion=each).to(dtype).inverse(w, context) for each in (method, "plain"))
    for ours, plain in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, plain, atol=tolerance, rtol=tolerance)
    assert (found[0] - w).abs().mean() > 0.1


@pytest.mark.parametrize("method", ["incremental", "jacobi", "plain"])
def test_gradients_of_the_inverse_are_those_of_the_inverse_function(method: Inversion) -> None:
    bent, v, context = block(inversion=method), torch.randn(1, 6), torch.randn(1, C)
    w = bent(v, context)[0].detach()
    slope = jacobian(lambda x: bent(x, context)[0], v)[0, :, 0]
    back = jacobian(lambda x: bent.inverse(x, context)[0], w)[0, :, 0]
    torch.testing.assert_close(back, slope.inverse(), atol=1e-8, rtol=1e-8)


def test_a_new_flow_is_nearly_the_base_and_takes_a_pass_per_block() -> None:
    model, y = NSF(NSFConfig(blocks=3, hidden=(16,)), Event((4,), None)), torch.randn(30, 4)
    torch.testing.assert_close(model.log_density(y), model.base.log_density(y), atol=0.3, rtol=0)
    assert model.scoring_passes == 3 and model.sampling_passes == 3 * 4
    assert not has_gaussian_conditionals(model)


def test_parts_are_those_of_the_configuration() -> None:
    config = NSFConfig(blocks=2, hidden=(4,), batch_norm=True, mixture_components=2, bins=5, bound=4.0)
    bijection = NSF(config, Event((3,), None)).bijection
    assert isinstance(bijection, Composition)
    names = [type(part).__name__ for part in bijection.bijections]
    assert names == [*["Linear", "AutoregressiveSpline", "BatchNorm"] * 2, "Linear", "AutoregressiveMixture"]
    orders = [part.order for part in bijection.bijections if isinstance(part, AutoregressiveBijection)]
    assert orders == [[0, 1, 2], [2, 1, 0], [0, 1, 2]]
    (block,) = NSF(NSFConfig(blocks=1, hidden=(4,), linear=False), Event((3,), None)).bijection.children()
    assert [type(part) for part in block] == [AutoregressiveSpline]  # type: ignore[attr-defined]


def test_a_linear_map_has_triangular_factors_and_inverts() -> None:
    linear, v = perturbed(Linear(6), 1.0), torch.randn(9, 6)
    w, log_det = linear(v)
    matrix = jacobian(lambda x: linear(x)[0], v[:1])[0, :, 0]
    torch.testing.assert_close(w, v @ matrix.T + linear.bias)
    for minor in range(1, 7):  # those of an L U, which are products of U's diagonal
        expected = linear.factors.diagonal()[:minor].sum()
        torch.testing.assert_close(matrix[:minor, :minor].logdet(), expected)
    torch.testing.assert_close(log_det, matrix.logdet().expand(9))
    back, back_log_det = linear.inverse(w)
    torch.testing.assert_close(back, v)
    torch.testing.assert_close(back_log_det, -log_det)


@pytest.mark.parametrize("wrong", [{"bins": 1}, {"bins": 257}, {"bound": 0.0}, {"bound": math.inf}, {"knots": 8}])
def test_configurations_are_strict(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        NSFConfig(**wrong)


def checkerboard(n: int, seed: int) -> Tensor:
    """Points (n, 2) on the black squares, of sides of 1, of a board of 4 × 4: their log p is -log 8."""
    generator = torch.Generator().manual_seed(seed)
    column, row = torch.randint(4, (n,), generator=generator), torch.randint(2, (n,), generator=generator)
    corners = torch.stack([column, 2 * row + column % 2], 1)
    return corners + torch.rand(n, 2, generator=generator) - 2


def score(model: str, steps: int) -> float:
    """log p of a test set in nats, after a short training in float32."""
    torch.manual_seed(0)
    kind = family_class(model)
    family = kind(kind.Config(blocks=2, hidden=(32, 32)), Event((2,), None))
    x, noise = checkerboard(20_000, seed=1), torch.Generator().manual_seed(2)
    family.initialise(x, None, noise)
    (player,) = family.players()
    optimiser = torch.optim.Adam(family.parameters(), 5e-3)
    for step in range(steps):
        rows = x[torch.randint(len(x), (256,), generator=noise)]
        optimiser.param_groups[0]["lr"] = 5e-3 * (1 - step / steps)
        optimiser.zero_grad()
        player.loss(Batch(rows, None, Noise(noise, 256))).backward()
        optimiser.step()
    assert isinstance(family, Density)
    with torch.no_grad():
        return float(family.log_prob(checkerboard(5_000, seed=3)).mean())


def test_it_learns_a_checkerboard_better_than_affine_blocks_of_the_same_size() -> None:
    torch.set_default_dtype(torch.float32)
    found, affine, best = score("nsf", 300), score("maf", 300), -math.log(8)
    assert affine + 0.2 < found < best
