"""MADE, MAF and IAF: masks, Jacobians against autograd in float64, costs, and agreement with zuko."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock, patch

import nflows.transforms
import normflows
import pytest
import torch
import zuko
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from models.contract import Event, UnsuitableEvent
from models.iaf import IAF, IAFConfig
from models.layers.affine_transform import AutoregressiveAffine, affine_made
from models.layers.bijections import Composition, Inverse
from models.layers.causal import CausalNetwork
from models.layers.flow import Flow
from models.layers.made import MADE, orders
from models.layers.normal import bounded
from models.layers.sequential import has_gaussian_conditionals
from models.layers.staircase import StaircaseLinear
from models.layers.units import Dequantised, Standardised
from models.maf import MAF, MAFConfig
from models.noise import Noise

pytestmark = pytest.mark.usefixtures("double")

D = 5
FLOWS = [MAF, IAF]


def perturbed(module: nn.Module, scale: float = 0.3) -> nn.Module:
    """A module away from its near-identity start."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return module


def flow(family: type[Flow], conditional: bool = False, permutation: str = "reverse") -> Flow:
    config = family.Config(blocks=3, hidden=[16, 12], conditional=conditional, permutation=permutation)
    built = family(config, Event((D,), None, 4))
    perturbed(built)
    return built


def blocks_of(model: Flow) -> list[AutoregressiveAffine]:
    """The blocks of a MAF or an IAF, in their quick direction."""
    stack = model.bijection.of if isinstance(model.bijection, Inverse) else model.bijection
    assert isinstance(stack, Composition)
    return [part for part in stack.bijections if isinstance(part, AutoregressiveAffine)]


@pytest.mark.parametrize("dimensions", [1, 2, 5])
@pytest.mark.parametrize("hidden", [(32,), (32, 24)])
def test_outputs_see_only_earlier_dimensions(dimensions: int, hidden: tuple[int, ...]) -> None:
    order = torch.randperm(dimensions)
    made = perturbed(MADE([order], hidden, outputs=2))
    slopes = jacobian(lambda x: made(x).sum(0), torch.randn(20, dimensions))  # of many inputs: a ReLU may be off
    sees = slopes.abs().sum((1, 2)) > 0
    place = order.argsort()
    assert not (sees & (place[None, :] >= place[:, None])).any()
    assert sees.sum() == dimensions * (dimensions - 1) // 2, "every earlier dimension is seen"


def test_a_layer_of_few_units_sees_something_of_every_dimension_but_the_last() -> None:
    made = perturbed(MADE([torch.arange(20)], (8, 6), outputs=1))
    slopes = jacobian(lambda x: made(x).sum(0), torch.randn(50, 20))[:, 0]  # (output, row, input)
    sees = slopes.abs().sum(1) > 0
    assert not sees.triu().any()
    assert sees[-1, :-1].all(), "the last output sees all that is before it"
    assert (sees.sum(1).diff() >= 0).all() and len(sees.sum(1).unique()) > 3


def test_no_samples_are_made_of_no_noise() -> None:
    for kind, options in ((MAF, {"batch_norm": True, "inversion": "jacobi"}), (IAF, {"batch_norm": True})):
        model = kind(kind.Config(blocks=1, hidden=(4,), **options), Event((3,), None))
        assert model.sample(0).shape == (0, 3)
        assert model.log_prob(torch.zeros(0, 3)).shape == (0,)
        y, _ = model.sample_density(torch.zeros(0, 3))
        assert y.shape == (0, 3)


def test_a_context_is_seen_by_every_output() -> None:
    made = MADE([torch.arange(D)], (16,), outputs=2, context=3)
    perturbed(made)
    x, context = torch.randn(1, D), torch.randn(1, 3)
    assert (jacobian(lambda c: made(x, c), context)[0].abs().sum((1, 2, 3)) > 0).all()


def test_a_block_inverts_and_its_log_determinants_cancel() -> None:
    block = perturbed(affine_made(torch.randperm(D), (16,)))
    v = torch.randn(7, D)
    w, forward = block(v)
    back, backward = block.inverse(w)
    torch.testing.assert_close(back, v, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(forward, -backward, atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("family", FLOWS)
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("permutation", ["reverse", "random"])
def test_jacobians_of_both_directions_match_autograd(family: type[Flow], conditional: bool, permutation: str) -> None:
    model = flow(family, conditional, permutation)
    context = torch.nn.functional.one_hot(torch.tensor([2]), 4).double() if conditional else None
    y = torch.randn(1, D)
    for direction in (model.bijection, model.bijection.inverse):
        _, log_det = direction(y, context)
        matrix = jacobian(lambda v, f=direction: f(v, context)[0], y)[0, :, 0]
        torch.testing.assert_close(log_det[0], matrix.slogdet().logabsdet, atol=1e-9, rtol=1e-9)
    u, _ = model.bijection(y, context)
    torch.testing.assert_close(model.bijection.inverse(u, context)[0], y, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("family", FLOWS)
def test_a_round_trip_in_float32(family: type[Flow]) -> None:
    model = flow(family).float()
    x = torch.randn(64, D, dtype=torch.float32)
    torch.testing.assert_close(model.decode(model.encode(x)), x, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FLOWS)
def test_the_density_of_own_samples_is_the_density_of_examples(family: type[Flow]) -> None:
    model = flow(family, conditional=True)
    labels = torch.tensor([0, 1, 2, 3])
    y, log_q = model.sample_density(torch.randn(4, D), labels)
    torch.testing.assert_close(log_q, model.log_density(y, labels), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("family", FLOWS)
def test_passes_are_as_many_as_stated(family: type[Flow], passes: MagicMock) -> None:
    model = family(family.Config(blocks=3, hidden=[16, 12], inversion="plain"), Event((D,), None))
    with torch.no_grad():
        model.sample(3)
        assert passes.call_count == model.sampling_passes == (3 if family is IAF else 3 * D)
        passes.reset_mock()
        model.log_prob(torch.randn(3, D))
        assert passes.call_count == model.scoring_passes == (3 * D if family is IAF else 3)


def test_orders() -> None:
    forward, backward, again = orders(4, 3, "reverse", seed=0)
    assert forward.tolist() == again.tolist() == [0, 1, 2, 3] and backward.tolist() == [3, 2, 1, 0]
    first, second, _ = orders(50, 3, "random", seed=1)
    assert first.tolist() == list(range(50)) and sorted(second.tolist()) == first.tolist() != second.tolist()
    assert orders(50, 2, "random", seed=1)[1].tolist() == second.tolist()


@pytest.mark.parametrize("alpha", [None, 0.05])
def test_units_of_integers(alpha: float | None) -> None:
    event = Event((1, 2, 3), 17)
    units = Dequantised(event, alpha)
    x = torch.randint(17, (50, 1, 2, 3), dtype=torch.uint8)
    y, log_det = units(x, Noise(torch.Generator().manual_seed(0), 50))
    assert torch.equal(units.quantise(y), x)
    torch.testing.assert_close(units.inverse(units(x)[0]), x.double(), atol=1e-9, rtol=0)
    # The derivative of y with respect to x + u, which is the derivative of the inverse turned round.
    slope = torch.autograd.functional.jacobian(lambda v: units.inverse(v).flatten(1), y[:1])[0, :, 0]
    torch.testing.assert_close(log_det[0], -slope.slogdet().logabsdet, atol=1e-9, rtol=1e-9)


def test_units_of_vectors() -> None:
    units = Standardised(Event((3,), None))
    x = torch.randn(200, 3) * torch.tensor([1.0, 5.0, 0.1]) + 2
    units.initialise(x)
    y, log_det = units(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(3), atol=1e-9, rtol=0)
    torch.testing.assert_close(y.std(0), torch.ones(3))
    torch.testing.assert_close(units.inverse(y), x)
    torch.testing.assert_close(log_det, -x.std(0).log().sum().expand(200))


class _PaperAffine(zuko.transforms.AffineTransform):
    """zuko's affine map in the parameters of the MAF paper, (x - μ) exp(-α), with our clip of α."""

    def __init__(self, mu: Tensor, alpha: Tensor) -> None:
        alpha = bounded(alpha)
        super().__init__(-mu * torch.exp(-alpha), torch.exp(-alpha))


@pytest.mark.parametrize("family", FLOWS)
def test_agreement_with_zuko_on_the_same_weights(family: type[Flow]) -> None:
    torch.set_default_dtype(torch.float32)
    model = family(family.Config(blocks=3, hidden=[16, 12]), Event((D,), None)).float()
    peer = zuko.flows.Flow(
        [
            zuko.flows.MaskedAutoregressiveTransform(
                D,
                order=_places(block),
                hidden_features=(16, 12),
                univariate=_PaperAffine,
                shapes=[(), ()],
            )
            for block in blocks_of(model)
        ],
        zuko.lazy.UnconditionalDistribution(zuko.distributions.DiagNormal, torch.zeros(D), torch.ones(D), buffer=True),
    )
    perturbed(peer)
    for block, theirs in zip(blocks_of(model), peer.transform.transforms, strict=True):
        linear = [layer for layer in theirs.hyper if isinstance(layer, nn.Linear)]
        copy_weights(block.network, [(layer.weight, layer.bias, layer.mask.float()) for layer in linear])
    y = torch.randn(32, D)
    if family is MAF:
        torch.testing.assert_close(model.log_density(y), peer().log_prob(y), atol=1e-5, rtol=1e-5)
        return
    # An IAF is the same stack, run from the noise: the transform takes noise to data.
    data, log_det = peer.transform().call_and_ladj(y)
    ours, log_q = model.sample_density(y)
    base = torch.distributions.Normal(0, 1).log_prob(y).sum(1)
    torch.testing.assert_close(ours, data, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(log_q, base - log_det, atol=1e-5, rtol=1e-5)


class _NflowsPaper(nflows.transforms.MaskedAffineAutoregressiveTransform):
    """nflows' block in the parameters of the MAF paper, with our clip of α."""

    def _elementwise_forward(self, inputs: Tensor, autoregressive_params: Tensor) -> tuple[Tensor, Tensor]:
        mu, alpha = autoregressive_params.unflatten(1, (-1, 2)).unbind(-1)
        alpha = bounded(alpha)
        return (inputs - mu) * torch.exp(-alpha), -alpha.sum(1)


class _NormflowsPaper(normflows.flows.MaskedAffineAutoregressive):
    """normflows' block likewise; it lacks the activation of the first hidden layer, which is put there."""

    _elementwise_forward = _NflowsPaper._elementwise_forward

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.autoregressive_net.initial_layer.register_forward_hook(lambda _, inputs, output: output.relu())


@pytest.mark.parametrize("kind", [_NflowsPaper, _NormflowsPaper])
def test_a_block_agrees_with_nflows_and_normflows_on_the_same_weights(kind: type[nn.Module]) -> None:
    theirs = perturbed(kind(D, 12, num_blocks=1, use_residual_blocks=False), 0.6)
    block = affine_made(torch.arange(D), (12, 12))
    network = theirs.autoregressive_net
    layers = [network.initial_layer, network.blocks[0].linear, network.final_layer]
    copy_weights(block.network, [(layer.weight, layer.bias, layer.mask.double()) for layer in layers])
    v = torch.randn(32, D)
    for ours, peers in zip(block(v), theirs(v), strict=True):
        torch.testing.assert_close(ours, peers, atol=1e-5, rtol=1e-5)
        assert ours.std() > 0.1


def copy_weights(made: MADE, layers: list[tuple[Tensor, Tensor, Tensor]]) -> None:
    """Take over weights, biases and masks of another MADE, whose hidden units stand in another order than by degree."""
    reach, columns = torch.eye(layers[0][0].shape[1]), torch.arange(layers[0][0].shape[1])
    for mine, (weight, bias, mask) in zip(made.layers, layers, strict=True):
        assert isinstance(mine, StaircaseLinear)
        reach = (mask @ reach > 0).to(mask.dtype)  # the inputs that each unit sees
        rows = torch.arange(len(weight)) if mine is made.layers[-1] else reach.sum(1).argsort(stable=True)
        mine.assign(weight[rows][:, columns])
        with torch.no_grad():
            mine.bias.copy_(bias[rows])
        torch.testing.assert_close(mine.dense(), (mask * weight)[rows][:, columns])
        columns = rows


def _places(block: nn.Module) -> Tensor:
    """The place of each dimension in a block's order."""
    assert isinstance(block, AutoregressiveAffine)
    return torch.tensor(block.order).argsort()


def test_configurations_are_frozen_and_strict() -> None:
    config = MAFConfig(blocks=2, hidden=[4])
    assert config.hidden == (4,) and IAFConfig(blocks=2).blocks == 2
    with pytest.raises(AttributeError):
        config.blocks = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="greater than"):
        MAFConfig(alpha=-0.1)


SOUND = Event((1, 12), 8, 3)


def causal(**options: object) -> IAF:
    torch.manual_seed(0)
    sizes = {"blocks": 2, "channels": 5, "layers": 2, "kernel_size": 2, "alpha": None, "conditional": True}
    model = IAF(IAFConfig(network="causal", **{**sizes, **options}), SOUND)
    perturbed(model, 0.2)
    return model


def test_causal_blocks_make_sounds_in_a_pass_each_and_invert() -> None:
    model, labels = causal().double(), torch.tensor([0, 1, 2])
    y, log_q = model.sample_density(torch.randn(3, 12), labels)
    torch.testing.assert_close(model.log_density(y, labels), log_q, atol=1e-9, rtol=1e-9)
    assert model.sampling_passes == 2 and model.scoring_passes == 2 * 12
    assert has_gaussian_conditionals(model)
    context = torch.nn.functional.one_hot(labels[:1], 3).double()
    matrix = jacobian(lambda u: model.bijection.inverse(u, context)[0], y[:1])[0, :, 0]
    assert torch.equal(matrix.triu(1), torch.zeros(12, 12)), "each number sees the noise up to its own time"
    torch.testing.assert_close(model.bijection.inverse(y[:1], context)[1][0], matrix.slogdet().logabsdet)


def test_a_causal_flow_takes_mean_and_scale_of_the_data_and_makes_no_pass_for_it() -> None:
    model, x = causal(), torch.randint(8, (50, 1, 12), dtype=torch.uint8)
    with patch.object(CausalNetwork, "forward", side_effect=AssertionError):
        model.initialise(x, torch.zeros(50, dtype=torch.long), torch.Generator().manual_seed(0))
    standardise = model.bijection.bijections[0]  # type: ignore[operator, index]
    assert 0.3 < standardise.mean < 0.7 and -2 < standardise.log_std < -0.5


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_norm": True}, "in the order of time"),
        ({"mixture_components": 2}, "in the order of time"),
        ({"permutation": "random"}, "in the order of time"),
        ({"inversion": "incremental"}, "needs network: made"),
    ],
)
def test_what_causal_networks_cannot_do_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        IAFConfig(network="causal", **options)


def test_causal_networks_take_sequences() -> None:
    with pytest.raises(UnsuitableEvent, match="takes sequences, not a vector"):
        IAF(IAFConfig(network="causal"), Event((4,), None))
