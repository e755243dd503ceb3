"""MAF and IAF, one stack in two directions: Jacobians against autograd in float64, costs, agreement with peers."""

from __future__ import annotations

from typing import Any
from unittest.mock import MagicMock

import nflows.transforms
import normflows
import pytest
import torch
import zuko
from torch import Tensor, nn
from torch.autograd.functional import jacobian

from models.contract import Event
from models.iaf import IAF
from models.layers.autoregressive.masked import MaskedMLP
from models.layers.autoregressive.staircase import StaircaseLinear
from models.layers.flows.affine_transform import AutoregressiveAffine, affine_made
from models.layers.flows.bijections import Composition, Inverse
from models.layers.flows.flow import Flow
from models.layers.normal import bounded
from models.maf import MAF

from .cases import perturbed

pytestmark = pytest.mark.usefixtures("double")

D = 5
FLOWS = [MAF, IAF]


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


def test_no_samples_are_made_of_no_noise() -> None:
    for kind, options in ((MAF, {"batch_norm": True, "inversion": "jacobi"}), (IAF, {"batch_norm": True})):
        model = kind(kind.Config(blocks=1, hidden=(4,), **options), Event((3,), None))
        assert model.sample(0).shape == (0, 3)
        assert model.log_prob(torch.zeros(0, 3)).shape == (0,)
        y, _ = model.sample_density(torch.zeros(0, 3))
        assert y.shape == (0, 3)


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


def copy_weights(made: MaskedMLP, layers: list[tuple[Tensor, Tensor, Tensor]]) -> None:
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
