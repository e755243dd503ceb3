"""MADE: the network of MADE itself and of the blocks of MAF and IAF, whole and one dimension after the other.

Germain et al., "MADE: Masked Autoencoder for Distribution Estimation", 2015 (arXiv:1502.03509).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...dropout import Dropout
from .staircase import StaircaseLinear


class MaskedLinear(nn.Linear):
    """A linear layer whose weight is multiplied by a fixed 0/1 mask (out, in): one of several, masks (M, out, in)."""

    masks: Tensor

    def __init__(self, masks: Tensor) -> None:
        super().__init__(masks.shape[2], masks.shape[1])
        self.register_buffer("masks", masks.to(self.weight.dtype), persistent=False)

    def dense(self, member: int) -> Tensor:
        """The weight (out, in) under a mask."""
        return self.masks[member] * self.weight

    def forward(self, x: Tensor, member: int = 0) -> Tensor:
        return F.linear(x, self.dense(member), self.bias)


class MaskedMLP(nn.Module):
    """An MLP whose outputs for dimension i see only the dimensions before i in the given order.

    Each unit has a degree: an input's is its place in the order, 1 … D; hidden ones have degrees 1 … D-1, in equal
    numbers or at random; a layer of fewer units has as many degrees, evenly spread. A hidden unit sees units of at most
    its degree, an output those of a smaller one (equations 8 and 9 of MADE). An order (D,) lists the dimensions from
    first to last; each dimension has `inputs` inputs. A context (N, C) is seen by all outputs.

    Several orders, and several draws of the hidden degrees for each, make an ensemble of members that share the weights
    and differ in their masks (sections 4.2 and 4.3): `connectivities` counts the draws, 0 stands for equal numbers.
    """

    # Of each member: those of the inputs (D,), and of each hidden layer (width,). They decide the shapes of weights, so
    # they are on the CPU wherever the weights are.
    degrees: list[list[Tensor]]

    def __init__(
        self,
        orders: Sequence[Tensor],
        hidden: Sequence[int],
        outputs: int,
        context: int = 0,
        inputs: int = 1,
        connectivities: int = 0,
        seed: int = 0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        generator = torch.Generator().manual_seed(seed)
        self.outputs, self.inputs = outputs, inputs
        self.degrees = [
            _degrees(order, hidden, generator if connectivities else None)
            for order in orders
            for _ in range(max(1, connectivities))
        ]
        self.layers = nn.ModuleList()
        for layer in range(len(hidden)):
            seen = [own[layer].repeat_interleave(inputs if layer == 0 else 1) for own in self.degrees]
            self.layers.append(_masked_layer(seen, [own[layer + 1] for own in self.degrees]))
        last = _masked_layer([own[-1] for own in self.degrees], self._output_degrees(), strict=True)
        self.layers.append(last)
        self.context = nn.Linear(context, hidden[0], bias=False) if context else None
        # The first dimension sees no hidden unit, so the context reaches it by this alone.
        self.direct = nn.Linear(context, len(orders[0]) * outputs, bias=False) if context else None
        with torch.no_grad():  # close to the identity, yet with a gradient for every weight
            last.weight.mul_(0.01)
            last.bias.zero_()
            if self.direct is not None:
                self.direct.weight.zero_()

    @property
    def output_bias(self) -> Tensor:
        """The bias (D · outputs) of the outputs, dimension by dimension."""
        return cast("Tensor", self.layers[-1].bias)

    def _output_degrees(self) -> list[Tensor]:
        return [own[0].repeat_interleave(self.outputs) for own in self.degrees]

    @property
    def members(self) -> int:
        """How many sets of masks there are: those of the first order come first."""
        return len(self.degrees)

    def forward(self, x: Tensor, context: Tensor | None = None, member: int = 0) -> Tensor:
        """The outputs (N, D, outputs) for x (N, D · inputs), by the masks of a member."""
        which = (member,) if self.members > 1 else ()
        h = self.layers[0](x, *which)
        if self.context is not None and context is not None:
            h = h + self.context(context.to(h.dtype))
        for layer in self.layers[1:]:
            h = layer(self.dropout(F.relu(h)), *which)
        if self.direct is not None and context is not None:
            h = h + self.direct(context.to(h.dtype))
        return h.unflatten(1, (-1, self.outputs))


def _masked_layer(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], strict: bool = False
) -> MaskedLinear | StaircaseLinear:
    """A layer by the degrees of its inputs and outputs in each member; a single one needs no zeros."""
    if len(inputs) == 1:
        return StaircaseLinear(inputs[0], outputs[0], strict)
    device = torch.get_default_device()  # that of the weight: on the meta device whole masks take no room either
    pairs = [(seen.to(device), own.to(device)) for seen, own in zip(inputs, outputs, strict=True)]
    masks = [own[:, None] > seen if strict else own[:, None] >= seen for seen, own in pairs]
    return MaskedLinear(torch.stack(masks))


def _degrees(order: Tensor, hidden: Sequence[int], generator: torch.Generator | None) -> list[Tensor]:
    """The degrees of inputs and hidden units: regular ones, or drawn (no lower than the lowest of the layer before)."""
    dimensions = len(order)
    degrees = [torch.empty(dimensions, dtype=torch.long, device="cpu")]
    degrees[0][order] = torch.arange(1, dimensions + 1, device="cpu")
    top = max(1, dimensions - 1)
    for width in hidden:
        low = int(degrees[-1].min())
        drawn = None if generator is None else torch.randint(low, top + 1, (width,), generator=generator, device="cpu")
        degrees.append(_regular(width, top) if drawn is None else drawn)
    return degrees


def _regular(width: int, top: int) -> Tensor:
    """Sorted degrees (width,): each of 1 … top equally often, or evenly spread where there are more of them."""
    if width < top:
        return torch.linspace(1, top, width, device="cpu").round().long()
    return (torch.arange(width, device="cpu") % top + 1).sort().values


class IncrementalMLP:
    """A member of a MADE, computed dimension by dimension: each hidden unit once, when all that it sees is there.

    With its units sorted by degree, a layer is computed from the front to the back, and all dimensions together take
    the arithmetic of one pass.
    """

    def __init__(self, made: MaskedMLP, n: int, context: Tensor | None = None, member: int = 0) -> None:
        self.inputs, self.outputs_each = made.inputs, made.outputs
        degrees = made.degrees[member]
        dimensions = len(degrees[0])
        by_degree = [own.argsort(stable=True) for own in degrees]
        units = torch.arange(dimensions * made.inputs).unflatten(0, (dimensions, made.inputs))
        columns = [units[by_degree[0]].flatten(), *by_degree[1:]]
        outputs = torch.arange(dimensions * made.outputs).unflatten(0, (dimensions, made.outputs))
        rows = [*by_degree[1:], outputs[by_degree[0]].flatten()]
        self.weights, self.biases = [], []
        for layer, row, column in zip(made.layers, rows, columns, strict=True):
            assert isinstance(layer, MaskedLinear | StaircaseLinear)
            dense = layer.dense() if isinstance(layer, StaircaseLinear) else layer.dense(member)
            self.weights.append(dense[row.to(dense.device)][:, column.to(dense.device)])
            self.biases.append(layer.bias[row.to(dense.device)].expand(n, -1))
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


def orders(dimensions: int, blocks: int, permutation: Literal["reverse", "random"], seed: int) -> list[Tensor]:
    """One order of the dimensions per block: alternately forward and backward, or random (the first is forward)."""
    forward = torch.arange(dimensions, device="cpu")
    if permutation == "reverse":
        return [forward if block % 2 == 0 else forward.flip(0) for block in range(blocks)]
    generator = torch.Generator().manual_seed(seed)
    return [
        forward if block == 0 else torch.randperm(dimensions, generator=generator, device="cpu")
        for block in range(blocks)
    ]
