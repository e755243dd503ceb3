"""Linear layers whose weight is zero above a staircase, computed without the zeros.

In a masked network a unit sees just the units of a lower degree. With the units of both sides sorted by degree the
weight is a staircase,

    ▓░        ▓ all of it counts: multiplied as it is
    ▓▓▓░      ░ cut through by the edge of the staircase: multiplied by its 0/1 mask first
    ▓▓▓▓▓░    and nothing to the right of it: neither stored nor multiplied, forwards or backwards

so that passes, gradients and the optimiser's steps take about half of what they take with the whole matrix. The masks
are those of Germain et al., "MADE", 2015 (arXiv:1502.03509).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

ROWS = 128  # of a step: with fewer there are more products of matrices, with more the edge is wider
STEPS = 4  # at least, of a layer that has that many rows


@dataclass(frozen=True)
class Step:
    """Some rows of a staircase: they see the first `full` columns whole, and those up to `seen` by a mask."""

    rows: slice
    full: int
    seen: int
    weights: slice  # where their block of the weight is, (rows, seen) flattened


class StaircaseLinear(nn.Module):
    """y = (mask ⊙ W) x + b, where an output sees the inputs of at most its degree, or of a smaller one if `strict`.

    `weight` holds what is on the staircase, step by step. It starts as the weight of `nn.Linear` does.
    """

    matrices = ("weight",)  # of its parameters, for the optimiser

    def __init__(self, inputs: Tensor, outputs: Tensor, strict: bool = False) -> None:
        super().__init__()
        self.in_features, self.out_features = len(inputs), len(outputs)
        self.in_order, self.out_order = inputs.argsort(stable=True), outputs.argsort(stable=True)
        self.sorted_in, self.sorted_out = _is_sorted(self.in_order), _is_sorted(self.out_order)
        # ends[j] inputs are seen by the j-th output
        ends = torch.searchsorted(inputs.sort().values, outputs.sort().values, right=not strict)
        self.steps = _steps(ends.tolist())
        bound = max(1, len(inputs)) ** -0.5
        self.weight = nn.Parameter(torch.empty(self.steps[-1].weights.stop).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(len(outputs)).uniform_(-bound, bound))
        for number, step in enumerate(self.steps):
            columns = torch.arange(step.full, step.seen, device=ends.device)
            edge = (columns < ends[step.rows, None]).float().to(self.weight.device)
            self.register_buffer(f"edge_{number}", edge, persistent=False)

    def edges(self, dtype: torch.dtype) -> list[Tensor]:
        """The masks (rows, seen - full) of the steps."""
        return [cast("Tensor", getattr(self, f"edge_{number}")).to(dtype) for number in range(len(self.steps))]

    def forward(self, x: Tensor) -> Tensor:
        """y (N, out_features) of x (N, in_features)."""
        if x.device.type != "cpu" or torch.compiler.is_compiling():  # there many small products cost more than zeros
            return F.linear(x, self.dense(), self.bias)
        weight: Tensor = self.weight
        bias: Tensor = self.bias
        if torch.is_autocast_enabled("cpu"):
            dtype = torch.get_autocast_dtype("cpu")
            x, weight, bias = x.to(dtype), weight.to(dtype), bias.to(dtype)
        y: Tensor = _StaircaseProduct.apply(x, weight, bias, self)
        return y

    def dense(self) -> Tensor:
        """mask ⊙ W (out_features, in_features), differentiable."""
        rows = []
        for step, edge, block in zip(self.steps, self.edges(self.weight.dtype), self.blocks(self.weight), strict=True):
            kept = torch.cat([block[:, : step.full], block[:, step.full :] * edge], 1)
            rows.append(F.pad(kept, (0, self.in_features - step.seen)))
        weight = torch.cat(rows)
        return weight[self.out_order.argsort()][:, self.in_order.argsort()]

    @torch.no_grad()
    def assign(self, weight: Tensor) -> None:
        """Take over what a whole weight (out_features, in_features) has on the staircase."""
        weight = weight[self.out_order][:, self.in_order]
        for step, block in zip(self.steps, self.blocks(self.weight), strict=True):
            block.copy_(weight[step.rows, : step.seen])

    def blocks(self, weight: Tensor) -> list[Tensor]:
        """The blocks (rows, seen) of a flat weight, or of its gradient: views."""
        return [weight[step.weights].view(step.rows.stop - step.rows.start, step.seen) for step in self.steps]


def _is_sorted(order: Tensor) -> bool:
    return torch.equal(order, torch.arange(len(order), device=order.device))


def _steps(ends: list[int]) -> list[Step]:
    count = min(len(ends), max(STEPS, -(-len(ends) // ROWS)))
    bounds = [len(ends) * step // count for step in range(count + 1)]
    steps, start = list[Step](), 0
    for first, last in pairwise(bounds):
        full, seen = ends[first], ends[last - 1]
        size = (last - first) * seen
        steps.append(Step(slice(first, last), full, seen, slice(start, start + size)))
        start += size
    return steps


class _StaircaseProduct(torch.autograd.Function):
    """The product without the zeros; autograd's own rules for slices would fill whole gradients with them."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, layer: StaircaseLinear) -> Tensor:
        if not layer.sorted_in:
            x = x[:, layer.in_order]
        b = bias if layer.sorted_out else bias[layer.out_order]
        y = x.new_empty(len(x), layer.out_features)
        for step, edge, block in zip(layer.steps, layer.edges(weight.dtype), layer.blocks(weight), strict=True):
            part = y[:, step.rows]
            torch.addmm(b[step.rows], x[:, : step.full], block[:, : step.full].T, out=part)
            part.addmm_(x[:, step.full : step.seen], (block[:, step.full :] * edge).T)
        ctx.save_for_backward(x, weight)
        ctx.layer = layer
        return y if layer.sorted_out else y[:, layer.out_order.argsort()]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        (grad_y,), (x, weight), layer = grads, ctx.saved_tensors, ctx.layer
        needs_x, needs_weight, needs_bias, _ = ctx.needs_input_grad
        sorted_grad = grad_y if layer.sorted_out else grad_y[:, layer.out_order]
        grad_x = torch.zeros_like(x) if needs_x else None
        grad_weight = torch.empty_like(weight) if needs_weight else None
        blocks, grad_blocks = layer.blocks(weight), layer.blocks(weight if grad_weight is None else grad_weight)
        for step, edge, block, grad_block in zip(
            layer.steps, layer.edges(weight.dtype), blocks, grad_blocks, strict=True
        ):
            part = sorted_grad[:, step.rows]
            if grad_weight is not None:
                torch.mm(part.T, x[:, : step.seen], out=grad_block)
                grad_block[:, step.full :] *= edge
            if grad_x is not None:
                grad_x[:, : step.full].addmm_(part, block[:, : step.full])
                grad_x[:, step.full : step.seen].addmm_(part, block[:, step.full :] * edge)
        if grad_x is not None and not layer.sorted_in:
            grad_x = grad_x[:, layer.in_order.argsort()]
        return grad_x, grad_weight, grad_y.sum(0) if needs_bias else None, None
