"""PixelRNN: an image as a sequence of pixels, of which an LSTM in two dimensions remembers all that came before.

The recurrence goes over whole rows, or over whole diagonals, so that it takes as many steps as the image has rows or
diagonals and not pixels. Masked convolutions of the image and between the layers see to it that one pass gives all
conditionals.

    p(x) = Π_i p(x_i | x_<i),   i in raster order, channels R → G → B within a pixel

A 7 × 7 convolution of the image, then layers of an LSTM with residual connections; i counts its steps:

    [o_i, f_i, i_i, g_i] = σ(K^ss ⊛ h_(i-1) + K^is ⊛ x_i)      σ is tanh for g
    c_i = f_i ⊙ c_(i-1) + i_i ⊙ g_i
    h_i = o_i ⊙ tanh(c_i)
    x'  = x + U h

with a bias per class at the gates for p(x | y). `row_lstm`: step i is a row, K^is and K^ss are 1 × k along it. Its h
sees a triangle that opens upward; the rest is left to the layers, and never all is seen. `diagonal_bilstm`: step i is a
diagonal from the lower left to the upper right; K^is is 1 × 1, K^ss looks at the pixel to the left and the one above,
c_(i-1) is that of the pixel to the left. So h sees all pixels above and to the left. A second one on the mirrored image
sees those above and to the right; moved down by a row, lest it sees the future, it is added. Its features are x + E y
with the image y, a step beyond the paper: by mask A x leaves out the pixel itself, and in the row above the last pixel
would be in nobody's view. So nothing is left out.

Shapes: x (N, C, H, W) integers; features (N, 2h, H, W) with h hidden units; outputs (N, D, P). `log_prob` is one pass
of H steps (rows) or H + W - 1 (diagonals) in each layer; K^is is applied to the whole image at once, before. `sample`
takes D steps, each of which computes one pixel; all together take the arithmetic of about one pass.

van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016 (arXiv:1601.06759).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import STRICT, Event
from .layers.autoregressive import Stepper
from .layers.labels import one_hot
from .layers.raster import (
    KernelSide,
    MaskedConv2d,
    PixelConv,
    PixelHead,
    RasterConfig,
    RasterFamily,
    RasterStepper,
    grouped,
)
from .layers.units import input_channels, network_input


@validated(frozen=True, config=STRICT)
class PixelRNNConfig(RasterConfig):
    """Configuration of PixelRNN."""

    recurrence: Literal["row_lstm", "diagonal_bilstm"] = "diagonal_bilstm"
    """Row by row with a triangle in view, or diagonal by diagonal with all that came before."""

    layers: int = Field(default=7, ge=1)
    """LSTM layers after the first convolution."""

    width: int = Field(default=64, ge=1)
    """Hidden units h of an LSTM, rounded up to a multiple of the image's channels; a pixel has 2h features."""

    kernel: KernelSide = 3
    """Pixels along the row that the Row LSTM's convolutions see, those of the row above and (masked) the row's own."""


def input_to_state(into: int, hidden: int, groups: int, side: int = 0) -> MaskedConv2d:
    """K^is, from features to the four gates. It carries their bias, which is 1 for f: at first, c is kept."""
    conv = MaskedConv2d(into, 4 * hidden, groups, side=side, parts=4)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    nn.init.ones_(conv.bias[hidden : 2 * hidden])
    return conv


def cell(gates: Tensor, c: Tensor) -> tuple[Tensor, Tensor]:
    """The next c and h (…, h) of gates [o, f, i, g] (…, 4h) before their nonlinearities, and the c before."""
    hidden = c.shape[-1]
    ofi, g = gates.split([3 * hidden, hidden], -1)
    o, f, i = torch.sigmoid(ofi).chunk(3, -1)
    c = torch.addcmul(f * c, i, torch.tanh(g))
    return c, o * torch.tanh(c)


class RowLSTM(nn.Module):
    """An LSTM from row to row. Its units form groups as features do, by which K^is is masked.

    K^ss needs no masks, since the row above is known with all its channels.
    """

    def __init__(self, into: int, hidden: int, event: Event, classes: int, kernel: int) -> None:
        super().__init__()
        self.hidden, self.kernel = hidden, kernel
        self.input = input_to_state(into, hidden, event.shape[0], side=kernel // 2)
        self.state = nn.Linear(kernel * hidden, 4 * hidden, bias=False)  # of a window, pixel after pixel
        self.context = nn.Linear(classes, 4 * hidden, bias=False) if classes else None

    @staticmethod
    def steps(height: int, width: int) -> int:
        """Rows."""
        return height

    def windows(self, h: Tensor) -> Tensor:
        """The k neighbours (W, N, k · h) of the pixels of a row (W, N, h), side by side; zeros beyond its ends."""
        side, width = self.kernel // 2, len(h)
        padded = F.pad(h, (0, 0, 0, 0, side, side))
        return torch.cat([padded[tap : tap + width] for tap in range(self.kernel)], -1)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """h (N, h, H, W) of features (N, 2h, H, W)."""
        gates = self.input(x)
        if self.context is not None:
            gates = gates + self.context(context)[:, :, None, None]
        gates = gates.permute(2, 3, 0, 1).contiguous()  # (H, W, N, 4h)
        h = c = gates.new_zeros(*gates.shape[1:3], self.hidden)
        rows, state = [], self.state.weight.T
        for row in gates.unbind():
            all_gates = torch.addmm(row.flatten(0, 1), self.windows(h).flatten(0, 1), state)
            c, h = cell(all_gates.view_as(row), c)
            rows.append(h)
        return torch.stack(rows).permute(2, 3, 0, 1)


class Skew(nn.Module):
    """Pixels in the order of their diagonals, for an image, and for one that is mirrored first.

    In the paper each row is moved one to the right of the row above, which makes diagonals columns. To sort pixels by
    diagonals does the same, and needs no padding: diagonal d has the pixels (r, d - r) that there are, from above.
    """

    order: Tensor
    inverse: Tensor

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width
        pixels = torch.arange(height * width).view(height, width)
        row, column = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
        order = (row + column).flatten().argsort(stable=True)
        both = torch.cat([order, pixels.flip(1).flatten()[order] + len(order)])
        self.register_buffer("order", both, persistent=False)
        self.register_buffer("inverse", both.argsort(), persistent=False)

    @property
    def rows(self) -> list[range]:
        """The rows of each diagonal's pixels."""
        diagonals = range(self.height + self.width - 1)
        return [range(max(0, d - self.width + 1), min(d + 1, self.height)) for d in diagonals]

    def forward(self, x: Tensor) -> Tensor:
        """Skewed images (2, H · W, …) of two images (2, H, W, …)."""
        return x.flatten(0, 2).index_select(0, self.order).unflatten(0, (2, -1))

    def undo(self, y: Tensor) -> Tensor:
        """The images (2, H, W, …), neither of them mirrored, of skewed ones (2, H · W, …)."""
        return y.flatten(0, 1).index_select(0, self.inverse).unflatten(0, (2, self.height, self.width))


class DiagonalLSTM(nn.Module):
    """The weights of one direction. K^ss needs no masks, since the neighbours are known with all their channels."""

    def __init__(self, into: int, hidden: int, groups: int, classes: int) -> None:
        super().__init__()
        self.input = input_to_state(into, hidden, groups)
        self.state = nn.Linear(2 * hidden, 4 * hidden, bias=False)  # of the neighbour at the side, and the one above
        self.context = nn.Linear(classes, 4 * hidden, bias=False) if classes else None

    def matrix(self) -> Tensor:
        """K^is as a matrix (2h, 4h)."""
        return self.input.visible()[:, :, 0, 0].T

    def bias(self, context: Tensor | None) -> Tensor:
        """The bias of the gates (1, 4h), or (N, 4h) if there are classes (N, classes)."""
        assert self.input.bias is not None
        return self.input.bias[None] if self.context is None else self.input.bias + self.context(context)


class DiagonalBiLSTM(nn.Module):
    """Two LSTMs from diagonal to diagonal, one from the upper left, and one from the upper right."""

    def __init__(self, into: int, hidden: int, event: Event, classes: int) -> None:
        super().__init__()
        self.hidden, (groups, height, width) = hidden, event.shape
        self.from_left = DiagonalLSTM(into, hidden, groups, classes)
        self.from_right = DiagonalLSTM(into, hidden, groups, classes)
        self.skew = Skew(height, width)

    @staticmethod
    def steps(height: int, width: int) -> int:
        """Diagonals."""
        return height + width - 1

    def forward(self, x: Tensor, own: Tensor, context: Tensor | None) -> Tensor:
        """h (N, h, H, W) of features (N, 2h, H, W): that from the left, plus that from the right of the row above.

        The latter is told the pixels' `own` features (N, 2h, H, W) too, for it is complete before they are drawn upon.
        """
        both = (self.from_left, self.from_right)
        pixels = self.skew(torch.stack([x, x + own]).permute(0, 3, 4, 1, 2))  # (2, H · W, N, 2h)
        gates = torch.bmm(pixels.flatten(1, 2), torch.stack([each.matrix() for each in both]))
        biases = torch.stack([each.bias(context) for each in both])[:, None]
        h = self._recur(gates.unflatten(1, pixels.shape[1:3]) + biases)
        from_left, from_right = self.skew.undo(h)
        above = torch.cat([torch.zeros_like(from_right[:1]), from_right[:-1]])
        return (from_left + above).permute(2, 3, 0, 1)

    def _recur(self, gates: Tensor) -> Tensor:
        """h (2, H · W, N, h) of what K^is and the bias give to the gates (2, H · W, N, 4h), diagonal by diagonal.

        The diagonal before, with a zero at either end, has the left neighbours and the upper ones, one place apart.
        """
        states = torch.stack([each.state.weight.T for each in (self.from_left, self.from_right)])
        rows = self.skew.rows
        h = c = gates.new_zeros(2, 0, gates.shape[2], self.hidden)
        first, diagonals = 0, []
        for diagonal, own in zip(gates.split([len(each) for each in rows], 1), rows, strict=True):
            start, length = own.start - first, len(own)
            h, c = (F.pad(each, (0, 0, 0, 0, 1, 1)) for each in (h, c))
            neighbours = torch.cat([h.narrow(1, start + 1, length), h.narrow(1, start, length)], -1)
            all_gates = torch.baddbmm(diagonal.flatten(1, 2), neighbours.flatten(1, 2), states)
            c, h = cell(all_gates.view_as(diagonal), c.narrow(1, start + 1, length))
            first = own.start
            diagonals.append(h)
        return torch.cat(diagonals, 1)


class Layer(nn.Module):
    """x + U h, where U is a 1 × 1 convolution by mask B."""

    def __init__(self, recurrence: RowLSTM | DiagonalBiLSTM, groups: int) -> None:
        super().__init__()
        self.recurrence = recurrence
        self.up = MaskedConv2d(recurrence.hidden, 2 * recurrence.hidden, groups)

    def forward(self, x: Tensor, *given: Tensor | None) -> Tensor:
        """The next features (N, 2h, H, W), of these and of what else the recurrence is given."""
        return x + self.up(self.recurrence(x, *given))


class PixelRNN(RasterFamily):
    """Layers of a two-dimensional LSTM and a distribution for each number."""

    Config = PixelRNNConfig
    config: PixelRNNConfig

    def __init__(self, config: PixelRNNConfig, event: Event) -> None:
        super().__init__(config, event)
        hidden, groups, side = grouped(config.width, event), event.shape[0], config.first_kernel // 2
        into, diagonal = input_channels(event), config.recurrence == "diagonal_bilstm"
        self.first = MaskedConv2d(into, 2 * hidden, groups, above=side, side=side, own=False)
        self.own = nn.Conv2d(into, 2 * hidden, 1, bias=False) if diagonal else None  # E
        self.layers = nn.ModuleList(Layer(self._recurrence(hidden), groups) for _ in range(config.layers))
        self.head = self.raster_head(2 * hidden)

    def _recurrence(self, hidden: int) -> RowLSTM | DiagonalBiLSTM:
        if self.config.recurrence == "row_lstm":
            return RowLSTM(2 * hidden, hidden, self.event, self.classes, self.config.kernel)
        return DiagonalBiLSTM(2 * hidden, hidden, self.event, self.classes)

    @property
    def sequential_steps(self) -> int:
        """Steps of the recurrence of each layer that one pass of the network takes one after the other."""
        _, height, width = self.event.shape
        recurrence = RowLSTM if self.config.recurrence == "row_lstm" else DiagonalBiLSTM
        return recurrence.steps(height, width)

    def network(self, x: Tensor, labels: Tensor | None) -> Tensor:
        y, context = network_input(x, self.event, None), one_hot(labels, self.classes)
        given = (context,) if self.own is None else (self.own(y), context)
        h = self.first(y)
        for layer in self.layers:
            h = layer(h, *given)
        return self.head(h)

    def stepper(self, n: int, labels: Tensor | None) -> Stepper:
        steps = _RowSteps if self.config.recurrence == "row_lstm" else _DiagonalSteps
        return steps(self, n, one_hot(labels, self.classes))


class _RowPixels:
    """A `Layer` with a Row LSTM of n images, pixel by pixel."""

    def __init__(self, lstm: RowLSTM, up: MaskedConv2d, n: int, width: int, context: Tensor | None) -> None:
        shift = None if lstm.context is None else lstm.context(context)
        self.lstm, self.input, self.up = lstm, PixelConv(lstm.input, n, width, shift), PixelConv(up, n, width)
        zero = up.weight.new_zeros(n, lstm.hidden // self.up.groups)
        # By group and column: that of the row above, until a pixel's own takes its place.
        self.c = [[zero] * width for _ in range(self.up.groups)]

    def next_row(self) -> None:
        """A row begins: K^ss for all of it, given h of the row above."""
        h = self.up.inputs()[:, :, 0].permute(2, 0, 1)
        self.input.add(self.lstm.windows(h) @ self.lstm.state.weight.T)

    def __call__(self, x: Tensor, column: int, group: int) -> Tensor:
        """U h (n, ·) of a group at a pixel of the row, given its features (n, ·)."""
        self.c[group][column], h = cell(self.input(x, column, group), self.c[group][column])
        return self.up(h, column, group)


class _DiagonalPixels:
    """A `Layer` with a Diagonal BiLSTM of n images, pixel by pixel; h from the right is told row by row."""

    def __init__(self, lstm: DiagonalLSTM, up: MaskedConv2d, n: int, width: int, context: Tensor | None) -> None:
        shift = None if lstm.context is None else lstm.context(context)
        self.input, self.up = PixelConv(lstm.input, n, width, shift), PixelConv(up, n, width)
        hidden = up.in_channels
        left, self.above = lstm.state.weight.T.split(hidden)
        self.left = [left[:, outputs] for outputs in self.input.outputs_of]
        self.h = left.new_zeros(width + 1, n, hidden)  # of the row; a zero is to the left of it
        self.zero = left.new_zeros(n, hidden // self.up.groups)

    def next_row(self, from_right: Tensor) -> None:
        """A row begins: K^ss for all that is above it, and h from the right (W, n, h) of the row above."""
        self.input.add(self.h[1:] @ self.above)
        self.from_right = from_right.chunk(self.up.groups, -1)
        self.c = [self.zero] * self.up.groups  # of the pixel to the left

    def __call__(self, x: Tensor, column: int, group: int) -> Tensor:
        """U h (n, ·) of a group at a pixel of the row, given its features (n, ·)."""
        gates = self.input(x, column, group).addmm_(self.h[column], self.left[group])
        self.c[group], h = cell(gates, self.c[group])
        size = h.shape[1]
        self.h[column + 1, :, group * size : (group + 1) * size] = h
        return self.up(h + self.from_right[group][column], column, group)


class _FromRight:
    """The LSTMs from the right of all L layers, row by row.

    A row is complete when they come to it, so no layer waits for another: a step is one product for all of them.
    """

    def __init__(self, lstms: list[DiagonalLSTM], n: int, width: int, context: Tensor | None) -> None:
        self.inputs = torch.stack([lstm.matrix() for lstm in lstms])
        self.bias = torch.stack([lstm.bias(context) for lstm in lstms])[:, None]
        states = torch.stack([lstm.state.weight.T for lstm in lstms])
        hidden = states.shape[1] // 2
        self.right, self.above = states.split(hidden, 1)
        self.h = states.new_zeros(len(lstms), width, n, hidden)

    def next_row(self, x: Tensor) -> None:
        """Make h (L, W, n, h) of the next row, given its features (L, W, n, 2h)."""
        gates = torch.bmm(x.flatten(1, 2), self.inputs).baddbmm_(self.h.flatten(1, 2), self.above)
        pixels = (gates.unflatten(1, x.shape[1:3]) + self.bias).unbind(1)
        h = c = torch.zeros_like(self.h[:, 0])
        row = []
        for pixel in reversed(pixels):
            c, h = cell(torch.baddbmm(pixel, h, self.right), c)
            row.append(h)
        self.h = torch.stack(row[::-1], 1)


class _Steps(RasterStepper):
    """What both recurrences have in common: a pixel goes through the layers."""

    layers: Sequence[_RowPixels | _DiagonalPixels]

    def __init__(self, family: PixelRNN, n: int) -> None:
        super().__init__(family.event, n, family.first)
        self.head = PixelHead(family.head, n, self.width)

    def compile(self) -> None:
        """Nothing: each column has tensors of its own, for which torch.compile would compile it anew."""

    def number(self, column: int, group: int) -> Tensor:
        x = self.first.outputs(column, group)
        for layer in self.layers:
            x = x + layer(x, column, group)
        return self.head(x, column, group)


class _RowSteps(_Steps):
    """Rows are prepared, pixels computed."""

    layers: list[_RowPixels]

    def __init__(self, family: PixelRNN, n: int, context: Tensor | None) -> None:
        super().__init__(family, n)
        self.layers = []
        for layer in family.layers:
            assert isinstance(layer, Layer)
            assert isinstance(layer.recurrence, RowLSTM)
            self.layers.append(_RowPixels(layer.recurrence, layer.up, n, self.width, context))

    def begin_row(self) -> None:
        self.first.next_row()
        for layer in self.layers:
            layer.next_row()


class _DiagonalSteps(_Steps):
    """From the left pixel by pixel; from the right row by row, each when it is complete."""

    layers: list[_DiagonalPixels]

    def __init__(self, family: PixelRNN, n: int, context: Tensor | None) -> None:
        super().__init__(family, n)
        self.layers, from_right = [], []
        for layer in family.layers:
            assert isinstance(layer, Layer)
            assert isinstance(layer.recurrence, DiagonalBiLSTM)
            self.layers.append(_DiagonalPixels(layer.recurrence.from_left, layer.up, n, self.width, context))
            from_right.append(layer.recurrence.from_right)
        assert family.own is not None
        self.own, self.from_right = family.own, _FromRight(from_right, n, self.width, context)

    def begin_row(self) -> None:
        if self.computed >= 0:  # there is a row above, now complete
            x = torch.stack([layer.input.inputs() for layer in self.layers]) + self.own(self.first.inputs())
            self.from_right.next_row(x[:, :, :, 0].permute(0, 3, 1, 2))
        self.first.next_row()
        for layer, h in zip(self.layers, self.from_right.h, strict=True):
            layer.next_row(h)
