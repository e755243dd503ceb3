"""MAF by itself: its configuration, and a last block of mixtures."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models import made
from models.contract import Event
from models.maf import MAF, MAFConfig

from .cases import IMAGE, VECTOR, Case

SMALL: dict[str, Any] = {"blocks": 2, "hidden": [8]}
VARIANTS = [
    Case("maf", IMAGE, {"permutation": "random"}),
    Case("maf", IMAGE, {"dequantisation": "variational", "conditional": True}),
    Case("maf", VECTOR, {"batch_norm": True, "inversion": "jacobi"}),
    Case("maf", VECTOR, {"mixture_components": 3, "conditional": True}),
]


pytestmark = pytest.mark.usefixtures("double")

D, K = 4, 3


def test_a_flow_that_ends_in_a_mixture_has_a_made_of_mixtures_for_its_base() -> None:
    """MAF MoG as the paper has it: the noise of the blocks below has the density of a MADE MoG."""
    event = Event((D,), None)
    flow = MAF(MAFConfig(blocks=1, hidden=(16,), mixture_components=K), event)
    for parameter in flow.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    affine, mixture = flow.bijection.bijections  # type: ignore[attr-defined]
    base = made.MADE(made.MADEConfig(hidden=(16,), output="gaussian_mixture", components=K), event)
    order = torch.arange(D).flip(0)  # of the second block
    y = torch.randn(9, D)
    u, log_det = affine(y)
    h = mixture.conditioner(u, None)
    torch.testing.assert_close(flow.log_density(y), base.output.log_prob(h, u).sum(1) + log_det)
    assert mixture.order == order.tolist()
    assert flow.scoring_passes == 2 and flow.sampling_passes == 2 * D


def test_configurations_are_frozen_and_strict() -> None:
    config = MAFConfig(blocks=2, hidden=[4])
    assert config.hidden == (4,)
    with pytest.raises(AttributeError):
        config.blocks = 3  # type: ignore[misc]
    with pytest.raises(ValueError, match="greater than"):
        MAFConfig(alpha=-0.1)
