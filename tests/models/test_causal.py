"""Causal convolutions as conditioner of a flow: what an output sees, and how a flow starts."""

from __future__ import annotations

import pytest
import torch

from models.layers.autoregressive.causal import CausalNetwork
from models.layers.flows.bijections import Standardise


def network(length: int = 20, layers: int = 3, kernel_size: int = 2, context: int = 0, first: int = 1) -> CausalNetwork:
    torch.manual_seed(0)
    made = CausalNetwork(length, 10, layers, kernel_size, context=context, first_kernel=first).double()
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return made


@pytest.mark.parametrize(
    ("layers", "kernel_size", "first", "field"), [(3, 2, 1, 8), (2, 3, 1, 7), (1, 4, 1, 4), (2, 2, 5, 8)]
)
def test_an_output_sees_the_receptive_field_before_it_and_nothing_else(
    layers: int, kernel_size: int, first: int, field: int
) -> None:
    made = network(layers=layers, kernel_size=kernel_size, first=first)
    assert made.receptive_field == field
    v = torch.randn(1, 20, dtype=torch.float64, requires_grad=True)
    outputs = made(v)
    assert outputs.shape == (1, 20, 2)
    for t in range(20):
        (slope,) = torch.autograd.grad(outputs[:, t].sum(), v, retain_graph=True)
        assert (slope[0] != 0).tolist() == [t - field <= s < t for s in range(20)]


def test_every_output_sees_the_context_and_its_own_place() -> None:
    made, v = network(context=3), torch.zeros(1, 20, dtype=torch.float64)
    first, second = (made(v, context[None]) for context in torch.eye(3)[:2])
    assert ((first - second).abs() > 1e-9).all()
    assert (first[0, 12] - first[0, 13]).abs().min() > 1e-9  # both see nothing but zeros


def test_a_new_one_says_almost_nothing() -> None:
    torch.manual_seed(0)
    outputs = CausalNetwork(20, 5, 3, 2)(torch.randn(4, 20))
    assert 0 < outputs.abs().max() < 0.1


def test_standardising_is_to_zero_mean_and_unit_variance() -> None:
    y = torch.randn(50, 20, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 3 + 2
    part = Standardise().double()
    part.initialise(y)
    w, log_det = part(y)
    assert w.mean().item() == pytest.approx(0, abs=1e-12) and w.std().item() == pytest.approx(1)
    torch.testing.assert_close(log_det, -20 * y.std().log().expand(50))
    back, other = part.inverse(w)
    torch.testing.assert_close(back, y)
    torch.testing.assert_close(other, -log_det)
