"""NICE: its passes, where it starts, and agreement with nflows and zuko on the same weights."""

from __future__ import annotations

from typing import Any

import nflows.transforms as nf
import pytest
import torch
import zuko
from nflows.distributions.normal import StandardNormal
from nflows.flows import Flow as PeerFlow
from nflows.nn import nets
from torch import Tensor, nn
from torch.nn import functional as F

from models.contract import Event, UnsuitableEvent
from models.layers.flows.bijections import Composition
from models.layers.flows.couplings import AdditiveCoupling, Coupling
from models.layers.units import Dequantised
from models.nice import NICE, NICEConfig, Rescaling

from .cases import VECTOR, Case

SMALL: dict[str, Any] = {"couplings": 3, "hidden": [8]}
VARIANTS = [
    Case("nice", VECTOR, {"prior": "normal"}),
]

pytestmark = pytest.mark.usefixtures("double")

D = 5


def nice(prior: str = "normal", event: Event | None = None, jitter: float = 0.3) -> NICE:
    model = NICE(NICEConfig(couplings=4, hidden=[7, 6], prior=prior), event or Event((D,), None))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(jitter * torch.randn_like(parameter))
    return model


def parts(model: NICE) -> tuple[list[AdditiveCoupling], Rescaling]:
    assert isinstance(model.bijection, Composition)
    *couplings, rescaling = model.bijection.bijections
    assert isinstance(rescaling, Rescaling)
    return [part for part in couplings if isinstance(part, AdditiveCoupling)], rescaling


@pytest.mark.parametrize("prior", ["normal", "logistic"])
def test_both_directions_take_a_pass_of_each_coupling(prior: str, monkeypatch: pytest.MonkeyPatch) -> None:
    model, passes, conditioner = nice(prior), 0, Coupling.conditioner

    def counted(self: Coupling, shown: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        nonlocal passes
        passes += 1
        return conditioner(self, shown, context)

    monkeypatch.setattr(Coupling, "conditioner", counted)
    x = model.sample(3)
    assert passes == model.sampling_passes == 4
    model.log_prob(x)
    assert passes == 4 + model.scoring_passes == 8


def test_only_the_scales_change_a_volume() -> None:
    model = nice()
    _, log_det = model.bijection(torch.randn(3, D))
    torch.testing.assert_close(log_det, parts(model)[1].log_scale.sum().expand(3))


def test_it_starts_with_each_number_of_unit_size() -> None:
    """The couplings start as the identity: a pixel that never changes has a wide noise to begin with, and no gradient
    has to bring its scale from 1 to that of the dequantisation."""
    event = Event((1, 2, 3), 256)
    model = nice(event=event, jitter=0.0)
    x = torch.randint(256, (300, *event.shape), dtype=torch.uint8)
    x[:, 0, 0, 0] = 0
    model.initialise(x, None, torch.Generator().manual_seed(0))
    u = model.bijection(model.units(x)[0])[0].std(0)
    torch.testing.assert_close(u[1:], torch.ones(5), atol=0.1, rtol=0)
    assert parts(model)[1].log_scale[0].exp().item() == pytest.approx(256 * 12**0.5, rel=0.1)
    assert isinstance(model.units, Dequantised) and model.units.alpha is None


class PeerNetwork(nets.MLP):
    """nflows' own MLP, which is not told a context, with the activation of ours."""

    def __init__(self, sees: int, moves: int) -> None:
        super().__init__([sees], [moves], [7, 6], activation=F.silu)

    def forward(self, v: Tensor, context: Tensor | None) -> Tensor:
        return super().forward(v)

    def linear(self) -> list[nn.Module]:
        """Its layers, from the first to the last."""
        return [self._input_layer, *self._hidden_layers, self._output_layer]


def test_agreement_with_nflows_on_the_same_weights() -> None:
    model = nice()
    couplings, rescaling = parts(model)
    theirs: list[nf.Transform] = []
    for turn, coupling in enumerate(couplings):
        mask = [place % 2 != turn % 2 for place in range(D)]
        theirs.append(nf.AdditiveCouplingTransform(torch.tensor(mask), PeerNetwork))
        linear = [layer for layer in coupling.network.modules() if isinstance(layer, nn.Linear)]
        for mine, other in zip(linear, theirs[-1].transform_net.linear(), strict=True):
            other.load_state_dict(mine.state_dict())
    scales = nf.ActNorm(D)
    scales.load_state_dict(
        {"log_scale": rescaling.log_scale, "shift": torch.zeros(D), "initialized": torch.tensor(True)}
    )
    peer = PeerFlow(nf.CompositeTransform([*theirs, scales]), StandardNormal([D]))
    y = torch.randn(20, D)
    torch.testing.assert_close(model.log_density(y), peer.log_prob(y), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(model.bijection(y)[0], peer.transform_to_noise(y), atol=1e-5, rtol=1e-5)


def test_agreement_with_zuko_on_the_same_weights() -> None:
    """Which has no layer of scales: ours then only stretches the noise."""
    model = nice()
    couplings, rescaling = parts(model)
    peer = zuko.flows.NICE(
        D,
        transforms=4,
        hidden_features=(7, 6),
        activation=nn.SiLU,
        univariate=zuko.transforms.AdditiveTransform,
        shapes=[()],
    )
    for coupling, theirs in zip(couplings, peer.transform.transforms, strict=True):
        linear = [layer for layer in coupling.network.modules() if isinstance(layer, nn.Linear)]
        theirs.hyper = zuko.nn.MLP(coupling.split.sees, coupling.split.moves, (7, 6), activation=nn.SiLU)
        for mine, other in zip(linear, [layer for layer in theirs.hyper if hasattr(layer, "weight")], strict=True):
            other.load_state_dict(mine.state_dict())
    y = torch.randn(20, D)
    noise, log_det = peer.transform().call_and_ladj(y)
    u, mine_log_det = model.bijection(y)
    torch.testing.assert_close(u, noise * rescaling.log_scale.exp(), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mine_log_det, log_det + rescaling.log_scale.sum(), atol=1e-5, rtol=1e-5)


def test_a_single_number_has_no_halves() -> None:
    with pytest.raises(UnsuitableEvent, match="this data has one number"):
        NICE(NICEConfig(), Event((1,), None))
