"""Glow: its passes, its start, its learnt prior, and agreement with normflows on the same weights."""

from __future__ import annotations

from typing import Any

import normflows
import pytest
import torch
from normflows import flows as nof
from torch import Tensor, nn

from models.contract import Event, UnsuitableEvent
from models.glow import Glow, GlowConfig
from models.glow_layers import ActNorm, InvertibleLinear
from models.layers.flows.bijections import Bijection, Composition
from models.layers.flows.couplings import Coupling, ExpCoupling, SigmoidCoupling
from models.layers.flows.multiscale import MultiScale, Squeeze

from .cases import IMAGE, Case

SMALL: dict[str, Any] = {"levels": 2, "depth": 2, "width": 6, "hidden": [8]}
VARIANTS = [
    Case("glow", IMAGE, {"dequantisation": "variational"}),
]

pytestmark = pytest.mark.usefixtures("double")

PICTURE = Event((1, 8, 8), 16, 3)
SIZES = {"levels": 2, "depth": 2, "width": 4, "hidden": [7]}


def glow(event: Event = PICTURE, jitter: float = 0.2, **options: object) -> Glow:
    model = Glow(GlowConfig(**{**SIZES, **options}), event)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(jitter * torch.randn_like(parameter))
    return model


def levels(model: Glow) -> list[list[Bijection]]:
    """The parts of each level."""
    assert isinstance(model.bijection, MultiScale)
    parts = []
    for level in model.bijection.bijections:
        assert isinstance(level, Composition)
        parts.append(level.bijections)
    return parts


@pytest.mark.parametrize(
    ("shape", "asked", "passes"),
    [((5,), 3, 2), ((1, 8, 8), 1, 2), ((1, 8, 8), 2, 5), ((3, 8, 8), 9, 5), ((3, 4, 6), 3, 2), ((1, 28, 28), 3, 5)],
    ids=str,
)
def test_both_directions_take_a_pass_of_each_network(
    shape: tuple[int, ...], asked: int, passes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As many levels as the sides can be halved; the learnt prior of a factored half is a network too."""
    counted, conditioner = 0, Coupling.conditioner

    def count(self: Coupling, shown: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        nonlocal counted
        counted += 1
        return conditioner(self, shown, context)

    monkeypatch.setattr(Coupling, "conditioner", count)
    model = glow(Event(shape, None if len(shape) == 1 else 16), levels=asked)
    x = model.sample(2)
    assert counted == model.sampling_passes == passes
    model.log_prob(x)
    assert counted == 2 * passes == passes + model.scoring_passes


@pytest.mark.parametrize("event", [PICTURE, Event((5,), None, 3)], ids=str)
def test_it_starts_with_unit_channels_after_every_actnorm(event: Event) -> None:
    model = glow(event, jitter=0.0, conditional=True)
    x = torch.randn(100, 5) * 7 if event.levels is None else torch.randint(16, (100, 1, 8, 8), dtype=torch.uint8)
    labels = torch.arange(100) % 3
    seen: dict[nn.Module, Tensor] = {}
    norms = [module for module in model.modules() if isinstance(module, ActNorm)]
    for norm in norms:
        norm.register_forward_hook(lambda module, inputs, outputs: seen.update({module: outputs[0]}))
    model.initialise(x, labels, torch.Generator().manual_seed(0))
    assert len(seen) == len(norms) == (4 if event is PICTURE else 2)
    for w in seen.values():
        channels = w.movedim(1, 0).flatten(1)
        torch.testing.assert_close(channels.mean(1), torch.zeros(len(channels)), atol=1e-9, rtol=0)
        torch.testing.assert_close(channels.std(1, correction=0), torch.ones(len(channels)))


def test_it_starts_by_examples_of_all_classes_though_they_are_sorted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("models.layers.flows.multiscale.INITIALISATION_EXAMPLES", 50)
    x = torch.arange(16, dtype=torch.uint8).repeat_interleave(20)[:, None, None, None].expand(-1, 1, 8, 8).contiguous()
    model = glow(jitter=0.0)
    model.initialise(x, None, torch.Generator().manual_seed(0))
    norm = next(module for module in model.modules() if isinstance(module, ActNorm))
    seen: list[Tensor] = []
    norm.register_forward_hook(lambda module, inputs, outputs: seen.append(outputs[0]))
    model.log_prob(x)
    channels = seen[0].movedim(1, 0).flatten(1)
    torch.testing.assert_close(channels.mean(1), torch.zeros(len(channels)), atol=0.1, rtol=0)
    torch.testing.assert_close(channels.std(1), torch.ones(len(channels)), atol=0.1, rtol=0)


def test_equal_examples_and_generators_start_equal_workers() -> None:
    """Every worker initialises its own copy, by the same examples."""
    x = torch.randint(16, (50, 1, 8, 8), dtype=torch.uint8)
    states = []
    for _ in range(2):
        torch.manual_seed(1)
        model = glow(jitter=0.0)
        model.initialise(x, None, torch.Generator().manual_seed(0))
        states.append(model.state_dict())
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_the_prior_of_what_is_factored_out_is_normal_given_the_rest() -> None:
    """log N(u; 0, I) of the code and the log-determinant together are log N(v_f; μ(v_g), σ(v_g))."""
    model = glow()
    prior = levels(model)[0][-1]
    assert isinstance(prior, ExpCoupling)
    h = torch.randn(3, 4, 4, 4)
    u, log_det = prior(h)
    s, t = prior.conditioner(h[:, :2], None)
    density = torch.distributions.Normal(-t * torch.exp(-s), torch.exp(-s)).log_prob(h[:, 2:]).flatten(1).sum(1)
    standard = torch.distributions.Normal(0, 1).log_prob(u[:, 2:]).flatten(1).sum(1)
    torch.testing.assert_close(standard + log_det, density)
    assert torch.equal(u[:, :2], h[:, :2])


class Interleaved(nn.Module):
    """A network of normflows whose outputs, shifts t before raw scales a as ours are, are brought into its form.

    Towards the noise normflows computes (v - shift) σ(a + 2), and we v σ(a + 2) + t.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, v: Tensor) -> Tensor:
        t, a = self.network(v).chunk(2, 1)
        return torch.stack([-t / torch.sigmoid(a + 2), a], 2).flatten(1, 2)


def peer_block(norm: Bijection, linear: Bijection, coupling: Bijection) -> nof.GlowBlock:
    """A block of normflows with the weights of a step of ours."""
    assert isinstance(norm, ActNorm) and isinstance(linear, InvertibleLinear) and isinstance(coupling, SigmoidCoupling)
    channels = len(norm.shift)
    block = nof.GlowBlock(channels, 4)
    theirs, conv, scale = block.flows
    network = theirs.flows[1].param_map
    layers = [layer for layer in network.net if isinstance(layer, nn.Conv2d)]
    for mine, other in zip([m for m in coupling.network.modules() if isinstance(m, nn.Conv2d)], layers, strict=True):
        other.load_state_dict(mine.state_dict())
    theirs.flows[1].param_map = Interleaved(network)
    copies = {"P": linear.permutation, "sign_S": linear.signs, "L": linear.lower, "U": linear.upper}
    conv.load_state_dict({**copies, "log_S": linear.log_diagonal, "eye": torch.eye(channels)})
    with torch.no_grad():
        scale.s.copy_(-norm.log_scale.view(1, -1, 1, 1))
        scale.t.copy_((-norm.shift * torch.exp(-norm.log_scale)).view(1, -1, 1, 1))
    scale.data_dep_init_done = torch.tensor(1.0)
    return block


@pytest.mark.filterwarnings("ignore:torch.lu is deprecated:UserWarning")  # normflows still asks for it
def test_agreement_with_normflows_on_the_same_weights() -> None:
    """The whole model of two levels; normflows has no learnt prior, so ours stays as it starts, standard normal."""
    model = glow()
    flows, bases = [], []
    for level, parts in enumerate(levels(model)):
        assert isinstance(parts[0], Squeeze)
        steps = [peer_block(*parts[i : i + 3]) for i in (1, 4)]
        flows.append([*reversed(steps), nof.Squeeze()])  # normflows goes from the noise to the data
        bases.append(normflows.distributions.DiagGaussian((2, 4, 4) if level == 0 else (8, 2, 2), trainable=False))
        for prior in parts[7:]:
            for parameter in prior.parameters():
                nn.init.zeros_(parameter)
    peer = normflows.MultiscaleFlow(bases[::-1], flows[::-1], [nof.Merge()], class_cond=False)
    y = torch.randn(5, 64)
    theirs = peer.log_prob(y.view(5, 1, 8, 8), None)
    torch.testing.assert_close(model.log_density(y), theirs, atol=1e-5, rtol=1e-5)
    (deep, early), _ = peer.inverse_and_log_det(y.view(5, 1, 8, 8))
    u, _ = model.bijection(y)
    torch.testing.assert_close(u, torch.cat([early.flatten(1), deep.flatten(1)], 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("event", "why"),
    [
        (Event((1, 7, 8), 16), r"glow models vectors, and images whose sides are even .* not an image of shape"),
        (Event((1, 16), 16), "not a sequence of shape"),
        (Event((1,), None), "this data has one number"),
    ],
    ids=["odd", "sequence", "number"],
)
def test_what_it_cannot_model(event: Event, why: str) -> None:
    with pytest.raises(UnsuitableEvent, match=why):
        Glow(GlowConfig(), event)
