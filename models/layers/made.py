"""MADE, and the affine autoregressive transform on it: the block that MAF and IAF are stacks of.

Germain et al., "MADE: Masked Autoencoder for Distribution Estimation", 2015 (arXiv:1502.03509).
Papamakarios et al., "Masked Autoregressive Flow for Density Estimation", 2017 (arXiv:1705.07057).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bijections import Bijection
from .normal import bounded


class MaskedLinear(nn.Linear):
    """A linear layer whose weight is multiplied by a fixed 0/1 mask (out, in): one of several, masks (M, out, in)."""

    masks: Tensor

    def __init__(self, masks: Tensor) -> None:
        super().__init__(masks.shape[2], masks.shape[1])
        self.register_buffer("masks", masks.to(self.weight.dtype), persistent=False)

    def masked(self, member: int) -> Tensor:
        """The weight (out, in) under a mask."""
        return self.masks[member] * self.weight

    def forward(self, x: Tensor, member: int = 0) -> Tensor:
        return F.linear(x, self.masked(member), self.bias)


class MADE(nn.Module):
    """An MLP whose outputs for dimension i see only the dimensions before i in the given order.

    Each unit has a degree: an input's is its place in the order, 1 … D; hidden ones have degrees 1 … D-1, in cycles or
    at random. A hidden unit sees units of at most its degree, an output those of a smaller one (equations 8 and 9 of
    MADE). An order (D,) lists the dimensions from first to last; each dimension has `inputs` inputs. A context (N, C)
    is seen by all outputs.

    Several orders, and several draws of the hidden degrees for each, make an ensemble of members that share the weights
    and differ in their masks (sections 4.2 and 4.3): `connectivities` counts the draws, 0 stands for the cycles.
    """

    degrees: list[list[Tensor]]  # of each member: those of the inputs (D,), and of each hidden layer (width,)

    def __init__(
        self,
        orders: Sequence[Tensor],
        hidden: Sequence[int],
        outputs: int,
        context: int = 0,
        inputs: int = 1,
        connectivities: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.outputs, self.inputs = outputs, inputs
        self.degrees = [
            _degrees(order, hidden, generator if connectivities else None)
            for order in orders
            for _ in range(max(1, connectivities))
        ]
        self.layers = nn.ModuleList()
        for layer in range(len(hidden)):
            repeats = inputs if layer == 0 else 1
            masks = [own[layer + 1][:, None] >= own[layer].repeat_interleave(repeats) for own in self.degrees]
            self.layers.append(MaskedLinear(torch.stack(masks)))
        masks = [own[0].repeat_interleave(outputs)[:, None] > own[-1] for own in self.degrees]
        last = MaskedLinear(torch.stack(masks))
        self.layers.append(last)
        self.context = nn.Linear(context, hidden[0], bias=False) if context else None
        # The first dimension sees no hidden unit, so it is told the context by this alone.
        self.direct = nn.Linear(context, len(orders[0]) * outputs, bias=False) if context else None
        with torch.no_grad():  # close to the identity, yet with a gradient for every weight
            last.weight.mul_(0.01)
            last.bias.zero_()
            if self.direct is not None:
                self.direct.weight.zero_()

    @property
    def members(self) -> int:
        """How many sets of masks there are: those of the first order come first."""
        return len(self.degrees)

    def forward(self, x: Tensor, context: Tensor | None = None, member: int = 0) -> Tensor:
        """The outputs (N, D, outputs) for x (N, D · inputs), by the masks of a member."""
        h = self.layers[0](x, member)
        if self.context is not None and context is not None:
            h = h + self.context(context.to(h.dtype))
        for layer in self.layers[1:]:
            h = layer(F.relu(h), member)
        if self.direct is not None and context is not None:
            h = h + self.direct(context.to(h.dtype))
        return h.unflatten(1, (-1, self.outputs))


def _degrees(order: Tensor, hidden: Sequence[int], generator: torch.Generator | None) -> list[Tensor]:
    """The degrees of inputs and hidden units: in cycles, or drawn (no lower than the lowest of the layer before)."""
    dimensions = len(order)
    degrees = [torch.empty(dimensions, dtype=torch.long)]
    degrees[0][order] = torch.arange(1, dimensions + 1)
    top = max(1, dimensions - 1)
    for width in hidden:
        low = int(degrees[-1].min())
        drawn = None if generator is None else torch.randint(low, top + 1, (width,), generator=generator)
        degrees.append(torch.arange(width) % top + 1 if drawn is None else drawn)
    return degrees


class IncrementalMADE:
    """A member of a MADE, computed dimension by dimension: each hidden unit once, when all that it sees is there.

    With its units sorted by degree, a layer is computed from the front to the back, and all dimensions together take
    the arithmetic of one pass.
    """

    def __init__(self, made: MADE, n: int, context: Tensor | None = None, member: int = 0) -> None:
        self.inputs, self.outputs_each = made.inputs, made.outputs
        degrees = made.degrees[member]
        dimensions = len(degrees[0])
        by_degree = [own.argsort(stable=True) for own in degrees]
        units = torch.arange(dimensions * made.inputs).unflatten(0, (dimensions, made.inputs))
        columns = [units[by_degree[0]].flatten(), *by_degree[1:]]
        layers = [layer for layer in made.layers if isinstance(layer, MaskedLinear)]
        outputs = torch.arange(dimensions * made.outputs).unflatten(0, (dimensions, made.outputs))
        rows = [*by_degree[1:], outputs[by_degree[0]].flatten()]
        self.weights, self.biases = [], []
        for layer, row, column in zip(layers, rows, columns, strict=True):
            self.weights.append(layer.masked(member)[row.to(layer.weight.device)][:, column.to(layer.weight.device)])
            self.biases.append(layer.bias[row.to(layer.weight.device)].expand(n, -1))
        for place, shift in ((0, made.context), (-1, made.direct)):
            if shift is not None and context is not None:
                self.biases[place] = self.biases[place] + shift(context.to(self.weights[0].dtype))[:, rows[place]]
        ends = torch.arange(dimensions + 1)
        # ends[layer][d] units of the layer have a degree of at most d
        self.ends = [torch.searchsorted(own.sort().values, ends, right=True).tolist() for own in degrees]
        self.ends[0] = [end * made.inputs for end in self.ends[0]]
        self.units = [weight.new_zeros(n, weight.shape[1]) for weight in self.weights]

    def outputs(self, place: int) -> Tensor:
        """The outputs (n, outputs) for the dimension at `place` of the order."""
        rows, seen = slice(place * self.outputs_each, (place + 1) * self.outputs_each), self.ends[-1][place]
        return torch.addmm(self.biases[-1][:, rows], self.units[-1][:, :seen], self.weights[-1][rows, :seen].T)

    def feed(self, place: int, x: Tensor) -> None:
        """The inputs (n, `inputs`) of the dimension at `place`; in order."""
        degree = place + 1
        self.units[0][:, place * self.inputs : degree * self.inputs] = x
        for layer in range(1, len(self.units)):
            new, seen = slice(self.ends[layer][place], self.ends[layer][degree]), self.ends[layer - 1][degree]
            if new.start < new.stop:
                h = torch.addmm(
                    self.biases[layer - 1][:, new],
                    self.units[layer - 1][:, :seen],
                    self.weights[layer - 1][new, :seen].T,
                )
                self.units[layer][:, new] = F.relu(h)


class AutoregressiveAffine(Bijection):
    """The bijection w = f(v) with, for each dimension i in order,

        w_i = (v_i - μ_i(v_<i)) exp(-α_i(v_<i)),      log |det dw/dv| = -Σ_i α_i

    `forward` (v → w) is one pass of the MADE network for all dimensions. `inverse` (w → v) needs D passes, since
    μ_i and α_i are known only when v_<i is. α is kept inside ±log 1000 by a smooth clip.
    """

    def __init__(self, order: Tensor, hidden: Sequence[int], context: int = 0) -> None:
        super().__init__()
        self.order = order.tolist()
        self.made = MADE([order], hidden, outputs=2, context=context)

    @property
    def passes(self) -> int:
        return 1

    @property
    def inverse_passes(self) -> int:
        return len(self.order)

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
