"""The multi-scale architecture: some of the numbers become codes early, the rest continues at a lower resolution.

At the end of each scale but the last, half of the channels are factored out and become codes as they are; the other
half is what the next scale works on. This spares the deep layers most of the arithmetic. A squeeze trades resolution
for channels: each 2×2 square of pixels becomes one pixel with four times the channels.

Dinh et al., "Density Estimation Using Real NVP", 2016 (arXiv:1605.08803), section 3.6.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .bijections import Bijection

Shape = tuple[int, int, int]  # (C, H, W)
INITIALISATION_EXAMPLES = 1000  # examples for the moments of channels


class Squeeze(Bijection):
    """(N, C, H, W) → (N, 4C, H/2, W/2); the four pixels of a square are neighbours in the order of the channels."""

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_unshuffle(v, 2), v.new_zeros(len(v))

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return F.pixel_shuffle(w, 2), w.new_zeros(len(w))


def squeezed(shape: Shape) -> Shape:
    """The shape after a squeeze."""
    channels, height, width = shape
    return 4 * channels, height // 2, width // 2


def kept_half(shape: Shape) -> Shape:
    """The shape of the channels that are not factored out."""
    channels, height, width = shape
    return channels // 2, height, width


class MultiScale(Bijection):
    """Scales one after the other, from flat images (N, D) to codes (N, D).

    `scales` come with the `shapes` in which each ends. The first half of its channels is the input of the next one;
    the second half is factored out. Codes are in the order in which they are done: those of the first scale come first.
    """

    def __init__(self, shape: Shape, scales: Sequence[Bijection], shapes: Sequence[Shape]) -> None:
        super().__init__()
        self.shape, self.last_shape = shape, shapes[-1]
        self.scales = nn.ModuleList(scales)
        self.factored = [kept_half(each) for each in shapes[:-1]]  # both halves are of one shape

    @property
    def bijections(self) -> list[Bijection]:
        """The scales, from the highest resolution to the lowest."""
        return [cast("Bijection", scale) for scale in self.scales]

    @property
    def passes(self) -> int:
        return sum(scale.passes for scale in self.bijections)

    @property
    def inverse_passes(self) -> int:
        return sum(scale.inverse_passes for scale in self.bijections)

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        h, log_det, codes = v.unflatten(1, self.shape), v.new_zeros(len(v)), []
        for index, scale in enumerate(self.bijections):
            h, scale_log_det = scale(h, context)
            log_det = log_det + scale_log_det
            if index < len(self.factored):
                h, done = h.chunk(2, 1)
                codes.append(done.flatten(1))
        return torch.cat([*codes, h.flatten(1)], 1), log_det

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        shapes = [*self.factored, self.last_shape]
        codes = [
            code.unflatten(1, shape)
            for code, shape in zip(w.split([math.prod(shape) for shape in shapes], 1), shapes, strict=True)
        ]
        h, log_det = codes.pop(), w.new_zeros(len(w))
        for scale in reversed(self.bijections):
            h, scale_log_det = scale.inverse(h, context)
            log_det = log_det + scale_log_det
            if codes:
                h = torch.cat([h, codes.pop()], 1)
        return h.flatten(1), log_det

    @torch.no_grad()
    def initialise(self, v: Tensor, context: Tensor | None = None) -> None:
        """By some of the examples: a network's features of all of them, at the full resolution, may not fit."""
        count = min(INITIALISATION_EXAMPLES, len(v))
        rows = torch.linspace(0, len(v) - 1, count, device=v.device).long()  # evenly, for they may be sorted
        h, context = v[rows].unflatten(1, self.shape), None if context is None else context[rows]
        for index, scale in enumerate(self.bijections):
            scale.initialise(h, context)
            h, _ = scale(h, context)
            if index < len(self.factored):
                h, _ = h.chunk(2, 1)
