"""The gated PixelCNN of pytorch-generative, rebuilt layer by layer from its description: a rival to train against.

That library is not on the package registry. Its gated layer has a vertical stack of a 1 × k convolution followed by one
of (k // 2 + 1) × 1, with a 1 × 1 convolution beside them; a 1 × 1 link to the horizontal stack; and in that stack a 1 ×
(k // 2 + 1) convolution and 1 × 1 convolutions for the residual and the skip path. Convolutions are padded on both
sides and cropped. The first layer is a gated layer with a kernel of 7 that does not see the pixel itself.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def _gate(x: Tensor) -> Tensor:
    a, b = x.chunk(2, 1)
    return torch.tanh(a) * torch.sigmoid(b)


class GatedLayer(nn.Module):
    """One gated layer; `first` shifts both stacks by a row and a pixel, and has no residual."""

    def __init__(self, into: int, out: int, kernel: int, first: bool = False) -> None:
        super().__init__()
        side = kernel // 2
        self.first = first
        self.vertical_row = nn.Conv2d(into, out, (1, kernel), padding=(0, side))
        self.vertical_column = nn.Conv2d(out, 2 * out, (side + 1 - first, 1), padding=(side + 1, 0))
        self.vertical_point = nn.Conv2d(into, 2 * out, 1)
        self.link = nn.Conv2d(2 * out, 2 * out, 1)
        self.horizontal = nn.Conv2d(into, 2 * out, (1, side + 1 - first), padding=(0, side + first))
        self.residual = nn.Conv2d(out, out, 1)
        self.skip = nn.Conv2d(out, out, 1)

    def forward(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        height, width = v.shape[2:]
        column = self.vertical_column(self.vertical_row(v))[:, :, :height]
        link = self.link(column)
        up = _gate(column + self.vertical_point(v))
        z = _gate(link + self.horizontal(h)[:, :, :, :width])
        residual = self.residual(z)
        return up, residual if self.first else residual + h, self.skip(z)


class GatedPixelCNN(nn.Module):
    """A first layer, `layers` more, and a head of two 1 × 1 convolutions on the sum of the skip paths."""

    def __init__(self, layers: int, width: int, head: int, outputs: int) -> None:
        super().__init__()
        self.first = GatedLayer(1, width, 7, first=True)
        self.layers = nn.ModuleList(GatedLayer(width, width, 3) for _ in range(layers))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv2d(width, head, 1), nn.ReLU(), nn.Conv2d(head, outputs, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, outputs, H, W) of images (N, 1, H, W)."""
        v, h, total = self.first(x, x)
        for layer in self.layers:
            v, h, skip = layer(v, h)
            total = total + skip
        return self.head(total)

    def loss(self, x: Tensor) -> Tensor:
        """Mean negative log-likelihood per pixel of images of integers (N, 1, H, W)."""
        return F.cross_entropy(self(x * 2.0 - 1), x[:, 0].long())
