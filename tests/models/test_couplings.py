"""Couplings, what Glow does to channels, and scales: Jacobians, inverses, masks, and agreement with peers' layers."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import nflows.transforms as nf
import pytest
import torch
from normflows import flows as nof
from torch import Tensor, nn
from torch.autograd.functional import jacobian
from torch.nn import functional as F

from models.glow_layers import ActNorm, InvertibleLinear
from models.layers.flows.bijections import Bijection, Composition
from models.layers.flows.couplings import (
    AdditiveCoupling,
    Checkerboard,
    Coupling,
    ExpCoupling,
    Halves,
    SigmoidCoupling,
    SingleConvolution,
    Split,
    TanhCoupling,
    first_or_second,
    odd_or_even,
    plain_network,
    residual_network,
    vector_network,
)
from models.layers.flows.multiscale import MultiScale, Squeeze

pytestmark = pytest.mark.usefixtures("double")

CLASSES = 3


def perturbed(module: nn.Module, scale: float = 0.2) -> nn.Module:
    """A module away from its careful start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return module


def of_vectors(kind: Callable[[Split, nn.Module], Coupling], D: int, turn: int, outputs: int = 2) -> Coupling:
    split = odd_or_even(D, turn)
    return kind(split, vector_network(split.sees, outputs * split.moves, (7, 6), CLASSES))


def of_images(kind: Callable[[Split, nn.Module], Coupling], split: Checkerboard | Halves, outputs: int = 2) -> Coupling:
    return kind(split, residual_network(split.sees, outputs * split.moves, 4, 1, CLASSES))


def scales() -> MultiScale:
    """Two scales of images (1, 4, 4), of which the first ends with (4, 2, 2)."""
    first = Composition([Squeeze(), ActNorm(4), of_images(SigmoidCoupling, first_or_second(4, 0))])
    second = Composition([InvertibleLinear(2), of_images(TanhCoupling, Checkerboard((2, 2, 2), 1))])
    return MultiScale((1, 4, 4), [first, second], [(4, 2, 2), (2, 2, 2)])


CASES: dict[str, tuple[Callable[[], Bijection], tuple[int, ...]]] = {
    "additive": (lambda: of_vectors(AdditiveCoupling, 5, 0, outputs=1), (5,)),
    "tanh": (lambda: of_vectors(TanhCoupling, 5, 1), (5,)),
    "sigmoid": (lambda: of_vectors(SigmoidCoupling, 5, 0), (5,)),
    "exp": (lambda: of_vectors(ExpCoupling, 4, 1), (4,)),
    "channels": (lambda: of_images(SigmoidCoupling, first_or_second(5, 1)), (5, 2, 3)),
    "checkerboard": (lambda: of_images(TanhCoupling, Checkerboard((2, 3, 3), 1)), (2, 3, 3)),
    "prior": (lambda: ExpCoupling(first_or_second(4, 0), SingleConvolution(2, 4, CLASSES)), (4, 2, 3)),
    "actnorm": (lambda: ActNorm(4), (4, 2, 3)),
    "linear": (lambda: InvertibleLinear(5), (5,)),
    "convolution": (lambda: InvertibleLinear(4), (4, 2, 3)),
    "squeeze": (Squeeze, (2, 2, 4)),
    "scales": (scales, (16,)),
}
cases = pytest.mark.parametrize("name", sorted(CASES))


def made(name: str) -> tuple[Bijection, tuple[int, ...], Tensor]:
    """The bijection of a case, the shape that it takes, and a context of three rows."""
    make, shape = CASES[name]
    bijection = make()
    perturbed(bijection)
    return bijection, shape, F.one_hot(torch.tensor([2, 0, 1]), CLASSES).double()


@cases
def test_log_determinants_are_those_of_the_jacobian(name: str) -> None:
    bijection, shape, context = made(name)
    x, D = torch.randn(1, *shape), math.prod(shape)
    for direction in (bijection, bijection.inverse):
        matrix = jacobian(lambda v, f=direction: f(v, context[:1])[0], x).view(D, D)
        x, log_det = direction(x, context[:1])
        torch.testing.assert_close(log_det[0], matrix.slogdet().logabsdet, atol=1e-9, rtol=1e-9)


@cases
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-6), (torch.float32, 1e-4)])
def test_a_bijection_inverts_and_its_log_determinants_cancel(name: str, dtype: torch.dtype, tolerance: float) -> None:
    bijection, shape, context = made(name)
    bijection.to(dtype)
    v = torch.randn(3, *shape, dtype=dtype)
    w, forward = bijection(v, context)
    back, backward = bijection.inverse(w, context)
    torch.testing.assert_close(back, v, atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(forward, -backward, atol=tolerance, rtol=tolerance)
    assert forward.shape == (3,) and forward.dtype == w.dtype == dtype


def a_network(split: Split, shape: tuple[int, ...]) -> nn.Module:
    """One that shifts what a split moves, away from its start."""
    if len(shape) == 1:
        return perturbed(vector_network(split.sees, split.moves, (6,), 0))
    return perturbed(residual_network(split.sees, split.moves, 4, 1, 0))


@pytest.mark.parametrize(
    ("shape", "make"),
    [
        ((5,), partial(odd_or_even, 5)),
        ((5, 2, 2), partial(first_or_second, 5)),
        ((5, 3, 4), partial(Checkerboard, (5, 3, 4))),
    ],
    ids=["odd_or_even", "first_or_second", "checkerboard"],
)
def test_two_turns_move_everything_and_each_number_once(shape: tuple[int, ...], make: Callable[[int], Split]) -> None:
    v = torch.randn(4, *shape)
    moved = []
    for split in (make(0), make(1)):
        w, _ = AdditiveCoupling(split, a_network(split, shape))(v)
        moved.append((w != v).all(0))
        assert torch.equal(moved[-1], (w != v).any(0)), "in every row the same numbers move"
    assert torch.equal(moved[0], ~moved[1])


def test_masks_are_what_they_are_called() -> None:
    v = torch.arange(1.0, 6.0)[None]
    assert odd_or_even(5, 0)(v)[0].tolist() == [[1, 3, 5]] and odd_or_even(5, 1)(v)[0].tolist() == [[2, 4]]
    assert first_or_second(5, 0)(v)[0].tolist() == [[1, 2]] and first_or_second(5, 1)(v)[0].tolist() == [[3, 4, 5]]
    for turn, shown in ((0, [[1, 0, 1], [0, 1, 0]]), (1, [[0, 1, 0], [1, 0, 1]])):
        split = Checkerboard((2, 2, 3), turn)
        assert split(torch.ones(1, 2, 2, 3))[0].tolist() == [[shown, shown]]


def test_a_squeeze_makes_channels_of_the_pixels_of_a_square() -> None:
    v = torch.arange(16.0).view(1, 1, 4, 4)
    w, _ = Squeeze()(v)
    assert w[0, :, 0, 0].tolist() == [0, 1, 4, 5] and w[0, :, 1, 1].tolist() == [10, 11, 14, 15]


def test_what_is_factored_out_comes_first_and_is_left_alone_by_later_scales() -> None:
    model = scales()
    perturbed(model)
    v = torch.randn(2, 16)
    first, second = model.bijections
    h, _ = first(v.view(2, 1, 4, 4), torch.ones(2, CLASSES))
    codes, _ = model(v, torch.ones(2, CLASSES))
    torch.testing.assert_close(codes[:, :8], h[:, 2:].flatten(1))
    torch.testing.assert_close(codes[:, 8:], second(h[:, :2], torch.ones(2, CLASSES))[0].flatten(1))


@pytest.mark.parametrize("shape", [(4,), (4, 3, 2)])
def test_actnorm_starts_with_unit_channels(shape: tuple[int, ...]) -> None:
    v = torch.randn(50, *shape) * 3 + 2
    norm = ActNorm(4)
    norm.initialise(v)
    w, _ = norm(v)
    w = w.movedim(1, 0).flatten(1)
    torch.testing.assert_close(w.mean(1), torch.zeros(4), atol=1e-9, rtol=0)
    torch.testing.assert_close(w.var(1, correction=0), torch.ones(4))


def test_an_invertible_linear_map_starts_as_a_rotation_and_keeps_its_signs() -> None:
    linear = InvertibleLinear(6)
    eye = torch.eye(6)
    rotation, log_det = linear(eye)
    torch.testing.assert_close(rotation @ rotation.T, eye)
    torch.testing.assert_close(log_det, torch.zeros(6), atol=1e-9, rtol=0)
    sign = rotation.T.slogdet().sign
    perturbed(linear, 1.0)
    moved, log_det = linear(eye)
    torch.testing.assert_close(moved.T.slogdet().logabsdet, log_det[0])
    assert moved.T.slogdet().sign == sign


def test_a_class_reaches_every_network() -> None:
    """Of couplings of vectors, of images, and of what is factored out."""
    networks = [vector_network(2, 2, (6,), CLASSES), residual_network(2, 2, 4, 1, CLASSES)]
    networks += [plain_network(2, 2, 4, CLASSES), SingleConvolution(2, 2, CLASSES)]
    for network in networks:
        perturbed(network)
        v = torch.randn(1, 2) if network is networks[0] else torch.randn(1, 2, 3, 3)
        outputs = [network(v, F.one_hot(torch.tensor([label]), CLASSES).double()) for label in range(CLASSES)]
        assert not torch.allclose(outputs[0], outputs[1]) and not torch.allclose(outputs[1], outputs[2])


@pytest.mark.parametrize("name", ["scales", "tanh", "linear"])
def test_mixed_precision_blurs_networks_only(name: str) -> None:
    """What goes through and its log-determinants stay in float32: they would be worth little in bfloat16."""
    bijection, shape, context = made(name)
    bijection.float()
    v = torch.randn(3, *shape, dtype=torch.float32)
    exact, log_det = bijection(v, context)
    with torch.autocast("cpu", torch.bfloat16):
        w, mixed = bijection(v, context)
        back, _ = bijection.inverse(w, context)
    assert w.dtype == mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, log_det, atol=0.05, rtol=0.05)
    torch.testing.assert_close(w, exact, atol=0.05, rtol=0.05)
    torch.testing.assert_close(back, v, atol=0.05 if name == "scales" else 1e-5, rtol=0)


class Shared(nn.Module):
    """One of our networks as nflows wants it: with channels of the outputs, shifts first."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, v: Tensor, context: Tensor | None) -> Tensor:
        return self.network(v, context)


class SigmoidOfNflows(nf.AffineCouplingTransform):
    """nflows' affine coupling without the thousandth that it adds to each scale."""

    def _scale_and_shift(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = super()._scale_and_shift(outputs)
        return scale - 1e-3, shift


@pytest.mark.parametrize("shape", [(5,), (5, 2, 3)])
@pytest.mark.parametrize("kind", ["additive", "sigmoid"])
def test_couplings_agree_with_nflows(shape: tuple[int, ...], kind: str) -> None:
    split = odd_or_even(5, 0)
    outputs = split.moves * (1 if kind == "additive" else 2)
    network = vector_network(3, outputs, (8,), 0) if len(shape) == 1 else plain_network(3, outputs, 4, 0)
    perturbed(network, 0.4)
    mine, theirs = {
        "additive": (AdditiveCoupling, nf.AdditiveCouplingTransform),
        "sigmoid": (SigmoidCoupling, SigmoidOfNflows),
    }[kind]
    agree(mine(split, network), theirs([0, 1, 0, 1, 0], lambda sees, moves: Shared(network)), torch.randn(6, *shape))


@pytest.mark.parametrize("kind", ["additive", "sigmoid"])
def test_couplings_agree_with_normflows(kind: str) -> None:
    """Whose networks are told no context, and have the shift and the scale of each channel side by side."""
    split = first_or_second(4, 0)
    network = plain_network(2, 2 if kind == "additive" else 4, 4, 0)
    perturbed(network, 0.4)
    mine = (AdditiveCoupling if kind == "additive" else SigmoidCoupling)(split, network)
    peer = nof.AffineCouplingBlock(Interleaved(network), scale=kind == "sigmoid", scale_map="sigmoid_inv")
    v = torch.randn(6, 4, 2, 3)
    for ours, theirs in ((mine, peer), (mine.inverse, peer.inverse)):
        (w, log_det), (other, other_log_det) = ours(v), theirs(v)
        torch.testing.assert_close(w, other)
        torch.testing.assert_close(log_det, other_log_det)


class Interleaved(nn.Module):
    """One of our networks as normflows wants it."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, v: Tensor) -> Tensor:
        outputs = self.network(v, None)
        return outputs if outputs.shape[1] == 2 else torch.stack(outputs.chunk(2, 1), 2).flatten(1, 2)


def test_actnorm_agrees_with_nflows_and_normflows() -> None:
    v = torch.randn(20, 3, 2, 2) * 4 + 1
    norm, peer, other = ActNorm(3), nf.ActNorm(3).train(), nof.ActNorm((3, 1, 1))
    norm.initialise(v)
    peer(v)  # both initialise themselves by what they see first, by the unbiased variance
    other.inverse(v)
    torch.testing.assert_close(norm.log_scale, peer.log_scale, atol=0.02, rtol=0)
    torch.testing.assert_close(norm.log_scale, -other.s.flatten(), atol=0.02, rtol=0)
    peer.load_state_dict({**norm.state_dict(), "initialized": torch.tensor(True)})
    agree(norm, peer, v)
    with torch.no_grad():
        other.s.copy_(-norm.log_scale.view(1, 3, 1, 1))
        other.t.copy_((-norm.shift * torch.exp(-norm.log_scale)).view(1, 3, 1, 1))
    w, log_det = other.inverse(v)
    torch.testing.assert_close(norm(v)[0], w)
    torch.testing.assert_close(norm(v)[1], log_det.expand(20))


@pytest.mark.filterwarnings("ignore:torch.lu is deprecated:UserWarning")  # what the peers still ask for
@pytest.mark.filterwarnings("ignore:torch.triangular_solve is deprecated:UserWarning")
def test_a_convolution_agrees_with_nflows_and_normflows() -> None:
    linear = InvertibleLinear(4)
    perturbed(linear)
    v = torch.randn(6, 4, 2, 3)

    peer = nof.Invertible1x1Conv(4, use_lu=True)
    copies = {"P": linear.permutation, "sign_S": linear.signs, "L": linear.lower, "U": linear.upper}
    peer.load_state_dict({**copies, "log_S": linear.log_diagonal, "eye": torch.eye(4)})
    for mine, theirs in ((linear, peer.inverse), (linear.inverse, peer)):
        (w, log_det), (other, other_log_det) = mine(v), theirs(v)
        torch.testing.assert_close(w, other)
        torch.testing.assert_close(log_det, other_log_det.expand(6))

    # nflows permutes first: L U Q v with positive diagonals. Without a permutation both are L U v.
    conv = nf.OneByOneConvolution(4)
    conv.permutation._permutation.copy_(torch.arange(4))
    linear.permutation.copy_(torch.eye(4))
    linear.signs.fill_(1)
    with torch.no_grad():
        conv.lower_entries.copy_(linear.lower[conv.lower_indices])
        conv.upper_entries.copy_(linear.upper[conv.upper_indices])
        conv.unconstrained_upper_diag.copy_(torch.log(torch.expm1(torch.exp(linear.log_diagonal) - conv.eps)))
    agree(linear, conv, v)


def test_squeeze_agrees_with_nflows_and_normflows() -> None:
    v = torch.randn(2, 3, 4, 6)
    agree(Squeeze(), nf.SqueezeTransform(), v)
    assert torch.equal(Squeeze()(v)[0], nof.Squeeze().inverse(v)[0])


def agree(mine: Bijection, theirs: nf.Transform, v: Tensor) -> None:
    """Both directions of a bijection and of nflows' transform are the same, with the same log-determinants."""
    w, log_det = mine(v)
    other, other_log_det = theirs(v, None)
    torch.testing.assert_close(w, other, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(log_det, other_log_det, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(mine.inverse(w)[0], theirs.inverse(other, None)[0], atol=1e-9, rtol=1e-9)
