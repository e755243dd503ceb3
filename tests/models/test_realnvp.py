"""Real NVP: its passes and scales, and agreement with zuko, nflows and normflows on the same weights."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import nflows.transforms as nf
import pytest
import torch
import zuko
from nflows.distributions.normal import StandardNormal
from nflows.flows import Flow as PeerFlow
from normflows.flows import MaskedAffineFlow
from torch import Tensor, nn

from models.contract import Event, UnsuitableEvent
from models.layers.flows.bijections import BatchNorm, Bijection, Composition
from models.layers.flows.couplings import Checkerboard, Coupling, TanhCoupling
from models.layers.flows.multiscale import MultiScale, Squeeze
from models.realnvp import RealNVP, RealNVPConfig

from .cases import IMAGE, Case

SMALL: dict[str, Any] = {"couplings": 3, "couplings_per_mask": 2, "width": 4, "residual_blocks": 1, "hidden": [8]}
VARIANTS = [
    Case("realnvp", IMAGE, {"batch_norm": False}),
]

pytestmark = pytest.mark.usefixtures("double")

D = 5
SIZES = {"hidden": [7, 6], "couplings": 3, "couplings_per_mask": 2, "width": 4, "residual_blocks": 1}


def realnvp(event: Event, **options: object) -> RealNVP:
    """A small one, in evaluation, whose weights and moments are not those of the start."""
    model = RealNVP(RealNVPConfig(**{**SIZES, **options}), event).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
        for norm in model.modules():
            if isinstance(norm, BatchNorm):
                norm.norm.running_mean.normal_()
                norm.norm.running_var.uniform_(0.5, 2)
    return model


def of(bijection: nn.Module) -> list[Bijection]:
    assert isinstance(bijection, Composition)
    return bijection.bijections


@pytest.mark.parametrize(
    ("shape", "scales", "passes"),
    [((D,), 2, 3), ((1, 12), 2, 3), ((1, 8, 8), 1, 3), ((1, 8, 8), 2, 7), ((3, 8, 8), 9, 11), ((1, 7, 8), 2, 3)],
    ids=str,
)
def test_both_directions_take_a_pass_of_each_coupling(
    shape: tuple[int, ...], scales: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many scales as the sides can be halved: of 8 twice, of 7 not at all."""
    counted, conditioner = 0, Coupling.conditioner

    def count(self: Coupling, shown: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        nonlocal counted
        counted += 1
        return conditioner(self, shown, context)

    monkeypatch.setattr(Coupling, "conditioner", count)
    model = realnvp(Event(shape, None if len(shape) == 1 else 16), scales=scales)
    x = model.sample(2)
    assert counted == model.sampling_passes == passes
    model.log_prob(x)
    assert counted == 2 * passes == passes + model.scoring_passes


def test_every_number_of_a_code_depends_on_all_pixels() -> None:
    model = realnvp(Event((1, 4, 4), 16))
    y = torch.randn(1, 16)
    slopes = torch.autograd.functional.jacobian(lambda v: model.bijection(v)[0], y)[0, :, 0]
    assert (slopes.abs() > 1e-9).all()


class _Tanh(zuko.transforms.MonotonicAffineTransform):
    """zuko's affine map with the scale of the paper in place of its own."""

    def __init__(self, factor: Tensor, shift: Tensor, raw: Tensor) -> None:
        super().__init__(shift, raw)
        self.log_scale = factor * torch.tanh(raw)
        self.scale = self.log_scale.exp()


def test_agreement_with_zuko_on_the_same_weights() -> None:
    model = realnvp(Event((D,), None), batch_norm=False)
    couplings = [part for part in of(model.bijection) if isinstance(part, TanhCoupling)]
    peer = zuko.flows.NICE(D, transforms=3, hidden_features=(7, 6), activation=nn.SiLU)
    for turn, (coupling, theirs) in enumerate(zip(couplings, peer.transform.transforms, strict=True)):
        theirs.mask = torch.arange(D) % 2 == turn % 2
        theirs.univariate = partial(_Tanh, coupling.factor)
        sees, moves = coupling.split.sees, coupling.split.moves
        theirs.hyper = zuko.nn.MLP(sees, 2 * moves, (7, 6), activation=nn.SiLU)
        linear = [layer for layer in coupling.network.modules() if isinstance(layer, nn.Linear)]
        others = [layer for layer in theirs.hyper if hasattr(layer, "weight")]
        with torch.no_grad():
            for mine, other in zip(linear, others, strict=True):
                # Ours has all shifts before all scales, zuko's the two of each dimension side by side.
                rows = slice(None) if mine is not linear[-1] else torch.arange(2 * moves).view(2, moves).T.flatten()
                other.weight.copy_(mine.weight[rows])
                other.bias.copy_(mine.bias[rows])
    y = torch.randn(20, D)
    torch.testing.assert_close(model.log_density(y), peer().log_prob(y), atol=1e-5, rtol=1e-5)


def peer_coupling(coupling: TanhCoupling, mask: Tensor) -> nf.Transform:
    """nflows' affine coupling of the same network, with the scale of the paper."""

    class Peer(nf.AffineCouplingTransform):
        def _scale_and_shift(self, outputs: Tensor) -> tuple[Tensor, Tensor]:
            t, a = outputs.chunk(2, 1)
            return torch.exp(coupling.factor.view(-1, *[1] * (a.dim() - 2)) * torch.tanh(a)), t

    return Peer(mask, lambda sees, moves: coupling.network)


def peer_batch_norm(norm: BatchNorm) -> nf.Transform:
    peer = nf.BatchNorm(len(norm.gamma), eps=norm.norm.eps)
    peer.load_state_dict(
        {
            "unconstrained_weight": torch.log(torch.expm1(norm.gamma.exp() - norm.norm.eps)),
            "bias": norm.beta,
            "running_mean": norm.norm.running_mean,
            "running_var": norm.norm.running_var,
        }
    )
    return peer.eval()


def test_agreement_with_nflows_on_the_same_weights() -> None:
    """A table, with batch normalisation."""
    model = realnvp(Event((D,), None))
    theirs: list[nf.Transform] = []
    for index, part in enumerate(of(model.bijection)):
        if isinstance(part, BatchNorm):
            theirs.append(peer_batch_norm(part))
        else:
            assert isinstance(part, TanhCoupling)
            theirs.append(peer_coupling(part, torch.arange(D) % 2 != index // 2 % 2))
    assert len(theirs) == 6
    peer = PeerFlow(nf.CompositeTransform(theirs), StandardNormal([D]))
    y, noise = torch.randn(20, D), torch.randn(20, D)
    torch.testing.assert_close(model.log_density(y), peer.log_prob(y), atol=1e-5, rtol=1e-5)
    ours, _ = model.bijection.inverse(noise)
    torch.testing.assert_close(ours, peer._transform.inverse(noise)[0], atol=1e-5, rtol=1e-5)


class Masked(nf.Transform):
    """normflows' coupling by a mask, from the data to the noise, as a transform of nflows."""

    def __init__(self, coupling: TanhCoupling, mask: Tensor) -> None:
        super().__init__()

        def half(which: int, v: Tensor) -> Tensor:
            return coupling.network(v, None).chunk(2, 1)[which]

        def scale(v: Tensor) -> Tensor:
            return coupling.factor.view(-1, 1, 1) * torch.tanh(half(1, v))

        self.flow = MaskedAffineFlow(mask)
        self.flow.t, self.flow.s = partial(half, 0), scale

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.flow(v)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.flow.inverse(w)


def peer_scale(scale: Composition, shape: tuple[int, int, int]) -> list[nf.Transform]:
    """The transforms of a scale that begins with images of a shape, out of nflows and normflows."""
    theirs: list[nf.Transform] = []
    channels, height, width = shape
    fields = torch.arange(height)[:, None] + torch.arange(width)
    turn = 0
    for part in scale.bijections:
        if isinstance(part, Squeeze):
            theirs.append(nf.SqueezeTransform())
            channels, turn = 4 * channels, 0
            continue
        assert isinstance(part, TanhCoupling)
        if isinstance(part.split, Checkerboard):
            theirs.append(Masked(part, ((fields + turn) % 2 == 0).double().expand(channels, -1, -1)))
        else:
            moved = torch.arange(channels) >= channels // 2
            theirs.append(peer_coupling(part, moved if turn % 2 == 0 else ~moved))
        turn += 1
    return theirs


def test_images_agree_with_nflows_and_normflows_on_the_same_weights() -> None:
    """Three scales: normflows' masks on checkerboards, nflows' couplings, squeezes and scales."""
    model = realnvp(Event((1, 8, 8), 16), scales=3, batch_norm=False)
    assert isinstance(model.bijection, MultiScale)
    peer = nf.MultiscaleCompositeTransform(3)
    shape = (1, 8, 8)
    for index, scale in enumerate(model.bijection.bijections):
        assert isinstance(scale, Composition)
        theirs = peer_scale(scale, shape)
        end = shape
        if index < 2:
            end = (4 * shape[0], shape[1] // 2, shape[2] // 2)
            # nflows factors out the first half of the channels, where we, like Glow, factor out the second.
            theirs.append(nf.Permutation(torch.arange(end[0]).roll(end[0] // 2)))
        peer.add_transform(nf.CompositeTransform(theirs), end)
        shape = (end[0] // 2, *end[1:])
    y = torch.randn(4, 64)
    u, log_det = model.bijection(y)
    other, other_log_det = peer(y.view(4, 1, 8, 8))
    torch.testing.assert_close(u, other, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(log_det, other_log_det, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.bijection.inverse(u)[0].view(4, 1, 8, 8), peer.inverse(other)[0])


def test_images_may_be_of_any_size_and_a_single_number_of_none() -> None:
    for shape in ((1, 7, 7), (3, 6, 10), (1, 1, 2)):
        model = realnvp(Event(shape, 16))
        x = torch.randint(16, (2, *shape), dtype=torch.uint8)
        torch.testing.assert_close(model.decode(model.encode(x)), x.double(), atol=1e-6, rtol=0)
        assert model.encode(x).shape == (2, math.prod(shape))
    with pytest.raises(UnsuitableEvent, match="this data has one number"):
        RealNVP(RealNVPConfig(), Event((1,), None))
