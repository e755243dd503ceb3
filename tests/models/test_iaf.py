"""IAF by itself: causal networks for sequences, and a last block of mixtures."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
import torch
from torch.autograd.functional import jacobian

from models.contract import Event, UnsuitableEvent
from models.iaf import IAF, IAFConfig
from models.layers.autoregressive.causal import CausalNetwork
from models.layers.flows.sequential import has_gaussian_conditionals

from .cases import SEQUENCE, VECTOR, Case, perturbed

SMALL: dict[str, Any] = {"blocks": 2, "hidden": [8]}
VARIANTS = [
    Case("iaf", VECTOR, {"batch_norm": True}),
    Case("iaf", VECTOR, {"mixture_components": 3, "conditional": True}),
    Case("iaf", SEQUENCE, {"network": "causal", "alpha": None, "channels": 4, "layers": 2, "conditional": True}),
    Case("iaf", VECTOR, {"permutation": "random"}),
]


pytestmark = pytest.mark.usefixtures("double")


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


def test_an_iaf_that_ends_in_a_mixture_makes_samples_of_two_modes() -> None:
    flow = IAF(IAFConfig(blocks=1, hidden=(4,), mixture_components=2), Event((1,), None))
    for parameter in flow.requires_grad_(False).parameters():
        parameter.zero_()
    mixture = flow.bijection.of.bijections[-1]  # type: ignore[union-attr]
    mixture.network.output_bias.data.copy_(torch.tensor([0.0, 0.0, -2.0, 2.0, -1.0, -1.0]))  # logits, μ, log σ
    y = torch.linspace(-6, 6, 2001)[:, None]
    density = flow.log_density(y).exp()
    assert torch.trapezoid(density, y[:, 0]) == pytest.approx(1, abs=1e-4)
    modes = (density[1:-1] > density[:-2]) & (density[1:-1] > density[2:])
    torch.testing.assert_close(y[1:-1, 0][modes], torch.tensor([-2.0, 2.0]), atol=0.02, rtol=0)
    samples, log_q = flow.sample_density(torch.randn(500, 1))
    torch.testing.assert_close(log_q, flow.log_density(samples))
    assert (samples.abs() - 2).abs().max() < 2 and 150 < (samples > 0).sum() < 350
