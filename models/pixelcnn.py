"""PixelCNN: an image as a sequence of pixels, each predicted by convolutions that see only those before it.

Masks cut the kernels to the rows above and to what is left in the same row, so that one pass gives all conditionals.

    p(x) = Π_i p(x_i | x_<i),   i in raster order, channels R → G → B within a pixel

`plain` is a stack of masked residual blocks. It has a blind spot: what lies to the right in the rows above is seen only
within a cone, for each layer sees one pixel further to the right than the last. `gated` has none: a vertical stack v of
unmasked convolutions sees all rows above, a horizontal stack h the row itself, and v feeds h in each layer:

    v' = tanh(W_f * v) ⊙ σ(W_g * v)
    z  = tanh(U_f * h + L_f v̂) ⊙ σ(U_g * h + L_g v̂),   v̂ = [W_f * v, W_g * v]
    h' = h + R z,     skip = Σ S z

with a bias per class in both for p(x | y). Shapes: x (N, C, H, W) integers; features (N, width, H, W); outputs (N, D,
P). `log_prob` is one pass. `sample` takes D steps, each of which computes one pixel of the horizontal stack; vertical
convolutions are made row by row, so that all steps together take the arithmetic of about one pass.

When to use it: for exact likelihoods and good samples of images, where a sample may take a step per pixel.

van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016 (arXiv:1601.06759); van den Oord et
al., "Conditional Image Generation with PixelCNN Decoders", 2016 (arXiv:1606.05328). Mixtures of logistics: Salimans et
al., "PixelCNN++", 2017 (arXiv:1701.05517), here there is one for each channel, and the masks let it depend on the
others.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import STRICT, Event, Share
from .dropout import Dropout
from .layers.autoregressive.chain import Stepper
from .layers.autoregressive.raster import (
    KernelSide,
    MaskedConv2d,
    PixelConv,
    PixelHead,
    RasterConfig,
    RasterFamily,
    RasterHead,
    RasterStepper,
    RowConv,
    RowConv2d,
    grouped,
)
from .layers.inputs import input_channels, network_input
from .layers.labels import one_hot


@validated(frozen=True, config=STRICT)
class PixelCNNConfig(RasterConfig):
    """Configuration of PixelCNN."""

    stack: Literal["plain", "gated"] = "gated"
    """Masked residual blocks, or gated layers with a vertical and a horizontal stack and no blind spot."""

    layers: int = Field(default=8, ge=1)
    """Blocks or gated layers after the first convolution."""

    width: int = Field(default=64, ge=2)
    """Features of a pixel, rounded up to a multiple of the image's channels; `plain` blocks halve them inside."""

    kernel: KernelSide = 3
    """Side of the convolutions after the first; odd."""

    dropout: Share = 0.0
    """The share of the features inside of each block or layer that is dropped in training; for small data."""


class PlainBlock(nn.Module):
    """h + up(conv(down(h))), a ReLU before each: the k × k convolution has half the width."""

    def __init__(self, width: int, inner: int, kernel: int, groups: int, classes: int, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        self.down = MaskedConv2d(width, inner, groups)
        self.conv = MaskedConv2d(inner, inner, groups, above=kernel // 2, side=kernel // 2)
        self.up = MaskedConv2d(inner, width, groups)
        self.context = nn.Linear(classes, inner, bias=False) if classes else None

    def forward(self, h: Tensor, context: Tensor | None) -> Tensor:
        """The next features (N, width, H, W)."""
        y = self.conv(F.relu(self.down(F.relu(h))))
        if self.context is not None:
            y = y + self.context(context)[:, :, None, None]
        return h + self.up(self.dropout(F.relu(y)))


class PlainStack(nn.Module):
    """A masked convolution of the image, and residual blocks."""

    def __init__(self, config: PixelCNNConfig, into: int, width: int, event: Event, classes: int) -> None:
        super().__init__()
        groups, side = event.shape[0], config.first_kernel // 2
        self.first = MaskedConv2d(into, width, groups, above=side, side=side, own=False)
        inner = grouped(width // 2, event)
        self.blocks = nn.ModuleList(
            PlainBlock(width, inner, config.kernel, groups, classes, config.dropout) for _ in range(config.layers)
        )

    def forward(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Features (N, width, H, W) of network inputs (N, ·, H, W)."""
        h = self.first(y)
        for block in self.blocks:
            h = block(h, context)
        return h


class GatedLayer(nn.Module):
    """One layer of the vertical and of the horizontal stack; the equations are above.

    The last layer only adds to the skip path: v' and h' would lead nowhere.
    """

    def __init__(self, width: int, kernel: int, groups: int, classes: int, last: bool, dropout: float) -> None:
        super().__init__()
        self.dropout = Dropout(dropout)
        side, self.paths = kernel // 2, 1 if last else 2
        self.vertical = RowConv2d(width, 2 * width, above=side, side=side, own=True)  # W
        self.horizontal = MaskedConv2d(width, 2 * width, groups, side=side, parts=2)  # U
        self.link = nn.Conv2d(2 * width, 2 * width, 1)  # L
        self.out = MaskedConv2d(width, self.paths * width, groups, parts=self.paths)  # S and R
        self.context = nn.Linear(classes, 2 * self.paths * width, bias=False) if classes else None

    def contexts(self, context: Tensor | None) -> tuple[Tensor | float, Tensor | float]:
        """What the classes (N, classes) add to v̂ and to the gates of h (N, 2 · width each)."""
        if self.context is None:
            return 0.0, 0.0
        horizontal, *vertical = self.context(context).chunk(self.paths, 1)
        return vertical[0] if vertical else 0.0, horizontal

    def forward(self, v: Tensor, h: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor, Tensor]:
        """The next v and h, and what is added to the skip path, (N, width, H, W) each."""
        v_bias, h_bias = (
            each if isinstance(each, float) else each[:, :, None, None] for each in self.contexts(context)
        )
        v_hat = self.vertical(v)
        z = self.dropout(gate(self.horizontal(h) + self.link(v_hat) + h_bias))
        skip, *residual = self.out(z).chunk(self.paths, 1)
        return (gate(v_hat + v_bias), h + residual[0], skip) if residual else (v, h, skip)


class GatedStack(nn.Module):
    """First convolutions of the rows above, and of the row; then gated layers."""

    def __init__(self, config: PixelCNNConfig, into: int, width: int, event: Event, classes: int) -> None:
        super().__init__()
        groups, side = event.shape[0], config.first_kernel // 2
        self.vertical = RowConv2d(into, width, above=side, side=side, own=False)
        self.horizontal = MaskedConv2d(into, width, groups, side=side, own=False)
        self.layers = nn.ModuleList(
            GatedLayer(width, config.kernel, groups, classes, layer == config.layers - 1, config.dropout)
            for layer in range(config.layers)
        )

    def forward(self, y: Tensor, context: Tensor | None) -> Tensor:
        """Features (N, width, H, W), the sum of the skip path, of network inputs (N, ·, H, W)."""
        v, h = self.vertical(y), self.horizontal(y)
        total: Tensor | float = 0.0
        for layer in self.layers:
            v, h, skip = layer(v, h, context)
            total = total + skip
        assert isinstance(total, Tensor)
        return total


def gate(y: Tensor) -> Tensor:
    """tanh(a) ⊙ σ(b) of y = [a, b] (N, 2 · width, …)."""
    a, b = y.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


class PixelCNN(RasterFamily):
    """A stack of masked convolutions and a distribution for each number."""

    Config = PixelCNNConfig
    config: PixelCNNConfig

    def __init__(self, config: PixelCNNConfig, event: Event) -> None:
        super().__init__(config, event)
        width = grouped(config.width, event)
        stack = PlainStack if config.stack == "plain" else GatedStack
        self.stack = stack(config, input_channels(event), width, event, self.classes)
        self.head = self.raster_head(width)

    def network(self, x: Tensor, labels: Tensor | None) -> Tensor:
        return self.head(self.stack(network_input(x, self.event, None), one_hot(labels, self.classes)))

    def stepper(self, n: int, labels: Tensor | None) -> Stepper:
        context = one_hot(labels, self.classes)
        if isinstance(self.stack, PlainStack):
            return _PlainSteps(self.event, self.stack, self.head, n, context)
        return _GatedSteps(self.event, self.stack, self.head, n, context)


class _PlainSteps(RasterStepper):
    """Blocks, pixel by pixel; of the rows above each convolution keeps what it has put."""

    def __init__(self, event: Event, stack: PlainStack, head: RasterHead, n: int, context: Tensor | None) -> None:
        super().__init__(event, n, stack.first)
        self.head = PixelHead(head, n, self.width)
        self.blocks = []
        for block in stack.blocks:
            assert isinstance(block, PlainBlock)
            shift = None if block.context is None else block.context(context)
            down, up = PixelConv(block.down, n, self.width), PixelConv(block.up, n, self.width)
            self.blocks.append((down, PixelConv(block.conv, n, self.width, shift), up))

    def begin_row(self) -> None:
        self.first.next_row()
        for _, conv, _ in self.blocks:
            conv.next_row()

    def number(self, column: int, group: int) -> Tensor:
        h = self.first.outputs(column, group)
        for down, conv, up in self.blocks:
            y = conv(F.relu(down(F.relu(h), column, group)), column, group)
            h = h + up(F.relu(y), column, group)
        return self.head(h, column, group)


class _GatedSteps(RasterStepper):
    """The vertical stack row by row, the horizontal one pixel by pixel."""

    def __init__(self, event: Event, stack: GatedStack, head: RasterHead, n: int, context: Tensor | None) -> None:
        super().__init__(event, n, stack.horizontal)
        self.rows, self.head = RowConv(stack.vertical, n, self.width), PixelHead(head, n, self.width)
        self.layers = []
        for layer in stack.layers:
            assert isinstance(layer, GatedLayer)
            v_bias, h_bias = layer.contexts(context)
            vertical = (RowConv(layer.vertical, n, self.width), v_bias, layer.link)
            horizontal = PixelConv(layer.horizontal, n, self.width, None if isinstance(h_bias, float) else h_bias)
            self.layers.append((vertical, horizontal, PixelConv(layer.out, n, self.width), layer.paths))

    def begin_row(self) -> None:
        v = self.rows(self.first.inputs())
        for (rows, bias, link), horizontal, _, _ in self.layers:
            v_hat = rows(v)
            horizontal.add(link(v_hat)[:, :, 0].permute(2, 0, 1))
            v = gate(v_hat + (bias if isinstance(bias, float) else bias[:, :, None, None]))

    def number(self, column: int, group: int) -> Tensor:
        h = self.first.outputs(column, group)
        total: Tensor | float = 0.0
        for _, horizontal, out, paths in self.layers:
            skip, *residual = out(gate(horizontal(h, column, group)), column, group).chunk(paths, 1)
            h, total = h + residual[0] if residual else h, total + skip
        assert isinstance(total, Tensor)
        return self.head(total, column, group)
