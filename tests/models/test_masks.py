"""The masked MLP of MADE: what each output sees, by its gradients, and the orders of its blocks."""

from __future__ import annotations

import pytest
import torch
from torch.autograd.functional import jacobian

from models.layers.autoregressive.masked import MaskedMLP, orders

from .cases import perturbed

pytestmark = pytest.mark.usefixtures("double")

D = 5


@pytest.mark.parametrize("dimensions", [1, 2, 5])
@pytest.mark.parametrize("hidden", [(32,), (32, 24)])
def test_outputs_see_only_earlier_dimensions(dimensions: int, hidden: tuple[int, ...]) -> None:
    order = torch.randperm(dimensions)
    made = perturbed(MaskedMLP([order], hidden, outputs=2))
    slopes = jacobian(lambda x: made(x).sum(0), torch.randn(20, dimensions))  # of many inputs: a ReLU may be off
    sees = slopes.abs().sum((1, 2)) > 0
    place = order.argsort()
    assert not (sees & (place[None, :] >= place[:, None])).any()
    assert sees.sum() == dimensions * (dimensions - 1) // 2, "every earlier dimension is seen"


def test_a_layer_of_few_units_sees_something_of_every_dimension_but_the_last() -> None:
    made = perturbed(MaskedMLP([torch.arange(20)], (8, 6), outputs=1))
    slopes = jacobian(lambda x: made(x).sum(0), torch.randn(50, 20))[:, 0]  # (output, row, input)
    sees = slopes.abs().sum(1) > 0
    assert not sees.triu().any()
    assert sees[-1, :-1].all(), "the last output sees all that is before it"
    assert (sees.sum(1).diff() >= 0).all() and len(sees.sum(1).unique()) > 3


def test_a_context_is_seen_by_every_output() -> None:
    made = MaskedMLP([torch.arange(D)], (16,), outputs=2, context=3)
    perturbed(made)
    x, context = torch.randn(1, D), torch.randn(1, 3)
    assert (jacobian(lambda c: made(x, c), context)[0].abs().sum((1, 2, 3)) > 0).all()


def test_orders() -> None:
    forward, backward, again = orders(4, 3, "reverse", seed=0)
    assert forward.tolist() == again.tolist() == [0, 1, 2, 3] and backward.tolist() == [3, 2, 1, 0]
    first, second, _ = orders(50, 3, "random", seed=1)
    assert first.tolist() == list(range(50)) and sorted(second.tolist()) == first.tolist() != second.tolist()
    assert orders(50, 2, "random", seed=1)[1].tolist() == second.tolist()
