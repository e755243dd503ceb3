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
sees those above and to the right; it is moved down by a row, so that it does not see the future, and added. Its
features are x + E y with the image y, a step beyond the paper: by mask A x leaves out the pixel itself, so that the
last pixel of the row above would be seen by none of the two; with E y it is.

Shapes: x (N, C, H, W) integers; features (N, 2h, H, W) with h hidden units; outputs (N, D, P). `log_prob` is one pass
of H steps (rows) or H + W - 1 (diagonals) in each layer; K^is is applied to the whole image at once, before. `sample`
takes D steps, each of which computes one pixel; all together take the arithmetic of about one pass.

When to use it: for exact likelihoods of small images, where the recurrence over rows or diagonals may take its time;
it sees all that came before in each layer, where a `pixelcnn` needs many.

van den Oord, Kalchbrenner & Kavukcuoglu, "Pixel Recurrent Neural Networks", 2016 (arXiv:1601.06759).
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn

from .contract import STRICT, Event
from .layers.autoregressive.chain import Stepper
from .layers.autoregressive.raster import KernelSide, MaskedConv2d, RasterConfig, RasterFamily, grouped
from .layers.inputs import input_channels, network_input
from .layers.labels import one_hot
from .pixelrnn_layers import DiagonalBiLSTM, Layer, RowLSTM
from .pixelrnn_sampler import DiagonalSteps, RowSteps


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
        context = one_hot(labels, self.classes)
        if self.own is None:
            return RowSteps(self.event, self.first, self.layers, self.head, n, context)
        return DiagonalSteps(self.event, self.first, self.own, self.layers, self.head, n, context)
