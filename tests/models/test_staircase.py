"""Staircase layers: equal to masked ones in value and gradient, whatever the order of the units."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from models.layers.autoregressive import staircase
from models.layers.autoregressive.staircase import StaircaseLinear


def layer(strict: bool, ordered: bool, dimensions: int = 13) -> tuple[StaircaseLinear, torch.Tensor]:
    """A layer in float64, and its mask."""
    torch.manual_seed(0)
    inputs, outputs = torch.randint(1, dimensions, (17,)), torch.randint(1, dimensions, (23,))
    if ordered:
        inputs, outputs = inputs.sort().values, outputs.sort().values
    mask = outputs[:, None] > inputs if strict else outputs[:, None] >= inputs
    return StaircaseLinear(inputs, outputs, strict).double(), mask.double()


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("ordered", [False, True])
@pytest.mark.parametrize("rows", [1, 4, 100])
def test_values_and_gradients_are_those_of_the_masked_layer(
    strict: bool, ordered: bool, rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staircase, "ROWS", rows)
    stairs, mask = layer(strict, ordered)
    weight = torch.randn(23, 17, dtype=torch.float64, requires_grad=True)
    stairs.assign(weight)
    assert torch.equal(stairs.dense(), mask * weight)
    x = torch.randn(5, 17, dtype=torch.float64, requires_grad=True)
    g = torch.randn(5, 23, dtype=torch.float64)
    expected = F.linear(x, mask * weight, stairs.bias)
    torch.testing.assert_close(stairs(x), expected)
    of_x, of_weight, of_bias = torch.autograd.grad(expected, [x, weight, stairs.bias], g)
    by_x, by_weight, by_bias = torch.autograd.grad(stairs(x), [x, stairs.weight, stairs.bias], g)
    torch.testing.assert_close(by_x, of_x)
    torch.testing.assert_close(by_bias, of_bias)
    stairs.weight.data.copy_(by_weight)
    torch.testing.assert_close(stairs.dense(), of_weight)


def test_the_gradient_of_the_whole_weight_is_that_of_the_product() -> None:
    """`dense` serves accelerators and compiled code in place of the product."""
    stairs, _ = layer(strict=True, ordered=False)
    x = torch.randn(5, 17, dtype=torch.float64)
    (by_product,) = torch.autograd.grad(stairs(x).square().sum(), stairs.weight)
    (by_dense,) = torch.autograd.grad(F.linear(x, stairs.dense(), stairs.bias).square().sum(), stairs.weight)
    torch.testing.assert_close(by_product, by_dense)


def test_what_is_not_seen_is_not_stored() -> None:
    degrees = torch.arange(1, 1025)
    stairs = StaircaseLinear(degrees, degrees)
    assert stairs.weight.numel() == 1024 * 1024 * (8 + 1) / (2 * 8)


def test_under_autocast_it_computes_in_half_precision() -> None:
    stairs, _ = layer(strict=False, ordered=True)
    stairs, x = stairs.float(), torch.randn(4, 17, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        y = stairs(x)
    y.float().sum().backward()
    assert y.dtype == torch.bfloat16 and stairs.weight.grad is not None and x.grad is not None
    assert stairs.weight.grad.dtype == x.grad.dtype == torch.float32
    torch.testing.assert_close(y.float(), stairs(x), atol=0.05, rtol=0.05)
