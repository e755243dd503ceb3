"""The recurrences of PixelRNN pixel by pixel, for sampling: what a new pixel does not change is computed once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .contract import Event
from .layers.autoregressive.raster import MaskedConv2d, PixelConv, PixelHead, RasterHead, RasterStepper
from .pixelrnn_layers import DiagonalBiLSTM, DiagonalLSTM, Layer, RowLSTM, cell


class RowPixels:
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


class DiagonalPixels:
    """A `Layer` with a Diagonal BiLSTM of n images, pixel by pixel; h from the right is passed in row by row."""

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


class FromRight:
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


class LayerSteps(RasterStepper):
    """What both recurrences have in common: a pixel goes through the layers."""

    layers: Sequence[RowPixels | DiagonalPixels]

    def __init__(self, event: Event, first: MaskedConv2d, head: RasterHead, n: int) -> None:
        super().__init__(event, n, first)
        self.head = PixelHead(head, n, self.width)

    def compile(self) -> None:
        """Nothing: each column has tensors of its own, for which torch.compile would compile it anew."""

    def number(self, column: int, group: int) -> Tensor:
        x = self.first.outputs(column, group)
        for layer in self.layers:
            x = x + layer(x, column, group)
        return self.head(x, column, group)


class RowSteps(LayerSteps):
    """Rows are prepared, pixels computed."""

    layers: list[RowPixels]

    def __init__(
        self,
        event: Event,
        first: MaskedConv2d,
        layers: nn.ModuleList,
        head: RasterHead,
        n: int,
        context: Tensor | None,
    ) -> None:
        super().__init__(event, first, head, n)
        self.layers = []
        for layer in layers:
            assert isinstance(layer, Layer)
            assert isinstance(layer.recurrence, RowLSTM)
            self.layers.append(RowPixels(layer.recurrence, layer.up, n, self.width, context))

    def begin_row(self) -> None:
        self.first.next_row()
        for layer in self.layers:
            layer.next_row()


class DiagonalSteps(LayerSteps):
    """From the left pixel by pixel; from the right row by row, each when it is complete."""

    layers: list[DiagonalPixels]

    def __init__(
        self,
        event: Event,
        first: MaskedConv2d,
        own: nn.Conv2d,
        layers: nn.ModuleList,
        head: RasterHead,
        n: int,
        context: Tensor | None,
    ) -> None:
        super().__init__(event, first, head, n)
        self.layers, from_right = [], []
        for layer in layers:
            assert isinstance(layer, Layer)
            assert isinstance(layer.recurrence, DiagonalBiLSTM)
            self.layers.append(DiagonalPixels(layer.recurrence.from_left, layer.up, n, self.width, context))
            from_right.append(layer.recurrence.from_right)
        self.own, self.from_right = own, FromRight(from_right, n, self.width, context)

    def begin_row(self) -> None:
        if self.computed >= 0:  # there is a row above, now complete
            x = torch.stack([layer.input.inputs() for layer in self.layers]) + self.own(self.first.inputs())
            self.from_right.next_row(x[:, :, :, 0].permute(0, 3, 1, 2))
        self.first.next_row()
        for layer, h in zip(self.layers, self.from_right.h, strict=True):
            layer.next_row(h)
