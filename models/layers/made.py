"""MADE and the affine autoregressive transform on it: the block that MAF and IAF are stacks of.

Germain et al., "MADE: Masked Autoencoder for Distribution Estimation", 2015 (arXiv:1502.03509).
Papamakarios et al., "Masked Autoregressive Flow for Density Estimation", 2017 (arXiv:1705.07057).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .normal import bounded


class MaskedLinear(nn.Linear):
    """A linear layer whose weight is multiplied by a fixed 0/1 mask (out, in)."""

    mask: Tensor

    def __init__(self, mask: Tensor) -> None:
        super().__init__(mask.shape[1], mask.shape[0])
        self.register_buffer("mask", mask.to(self.weight.dtype), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.mask * self.weight, self.bias)


class MADE(nn.Module):
    """An MLP whose outputs for dimension i see only the dimensions before i in the given order.

    Each unit has a degree: an input's is its place in the order, 1 … D; hidden ones cycle through 1 … D-1. A
    hidden unit sees units of at most its degree, an output those of a smaller one (equations 8 and 9 of MADE).
    `order` (D,) lists the dimensions from first to last. A context (N, C) is seen by all units.
    """

    def __init__(self, order: Tensor, hidden: Sequence[int], outputs: int, context: int = 0) -> None:
        super().__init__()
        dimensions = len(order)
        degrees = torch.empty(dimensions, dtype=torch.long)
        degrees[order] = torch.arange(1, dimensions + 1)
        self.outputs = outputs
        self.layers = nn.ModuleList()
        below = degrees
        for width in hidden:
            own = torch.arange(width) % max(1, dimensions - 1) + 1
            self.layers.append(MaskedLinear(own[:, None] >= below[None, :]))
            below = own
        last = MaskedLinear(degrees.repeat_interleave(outputs)[:, None] > below[None, :])
        self.layers.append(last)
        self.context = nn.Linear(context, hidden[0], bias=False) if context else None
        with torch.no_grad():  # close to the identity, yet with a gradient for every weight
            last.weight.mul_(0.01)
            last.bias.zero_()

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """The outputs (N, D, outputs) for x (N, D)."""
        h = self.layers[0](x)
        if self.context is not None and context is not None:
            h = h + self.context(context.to(h.dtype))
        for layer in self.layers[1:]:
            h = layer(F.relu(h))
        return h.unflatten(1, (-1, self.outputs))


class AutoregressiveAffine(nn.Module):
    """The bijection w = f(v) with, for each dimension i in order,

        w_i = (v_i - μ_i(v_<i)) exp(-α_i(v_<i)),      log |det dw/dv| = -Σ_i α_i

    `forward` (v → w) is one pass of the MADE network for all dimensions. `inverse` (w → v) needs D passes, since
    μ_i and α_i are known only when v_<i is. α is kept inside ±log 1000 by a smooth clip.
    """

    def __init__(self, order: Tensor, hidden: Sequence[int], context: int = 0) -> None:
        super().__init__()
        self.order = order.tolist()
        self.made = MADE(order, hidden, outputs=2, context=context)

    def conditioner(self, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """μ and α (N, D each) for v (N, D)."""
        mu, alpha = self.made(v, context).unbind(-1)
        return mu, bounded(alpha)

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """w (N, D) and log |det dw/dv| (N,): one pass."""
        mu, alpha = self.conditioner(v, context)
        return (v - mu) * torch.exp(-alpha), -alpha.sum(1)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """v (N, D) and log |det dv/dw| (N,): D passes, one dimension more right after each; differentiable."""
        v = torch.zeros_like(w)
        dimension = torch.arange(w.shape[1], device=w.device)
        log_det = w.new_zeros(len(w))
        for i in self.order:
            mu, alpha = self.conditioner(v, context)
            v = torch.where(dimension == i, w * torch.exp(alpha) + mu, v)
            log_det = log_det + alpha[:, i]
        return v, log_det


def orders(dimensions: int, blocks: int, permutation: Literal["reverse", "random"], seed: int) -> list[Tensor]:
    """One order of the dimensions per block: alternately forward and backward, or random (the first is forward)."""
    forward = torch.arange(dimensions)
    if permutation == "reverse":
        return [forward if block % 2 == 0 else forward.flip(0) for block in range(blocks)]
    generator = torch.Generator().manual_seed(seed)
    return [forward if block == 0 else torch.randperm(dimensions, generator=generator) for block in range(blocks)]
