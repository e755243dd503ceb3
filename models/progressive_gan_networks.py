"""The networks of the progressive GAN, how far they have grown, and their layers.

Karras, Aila, Laine & Lehtinen, 2018 (arXiv:1710.10196): equalised learning rates, pixel norm, minibatch deviation.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import Event
from .layers.precision import at_least_float32
from .layers.workers import sum_over_workers

EPSILON = 1e-8
BEFORE_RECTIFIER = math.sqrt(2)  # the gain that keeps the variance through a rectifier (He et al., 2015)


class EqualisedLinear(nn.Module):
    """A linear map (N, inputs) → (N, outputs) by w·g/√fan_in, w ~ N(0, 1): see `EqualisedConv2d`."""

    def __init__(self, inputs: int, outputs: int, gain: float = BEFORE_RECTIFIER, bias: bool = True) -> None:
        super().__init__()
        self.scale = gain / math.sqrt(inputs)
        self.weight = nn.Parameter(torch.randn(outputs, inputs))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.scale, self.bias)


class EqualisedConv2d(nn.Module):
    """A convolution that keeps height and width, by w·g/√fan_in, w ~ N(0, 1).

    Scaled at each use, and not once at the start, weights of all layers have the same range, and so Adam, whose steps
    do not depend on the size of gradients, moves them all at the same relative speed.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, gain: float = BEFORE_RECTIFIER) -> None:
        super().__init__()
        self.padding = kernel // 2
        self.scale = gain / math.sqrt(inputs * kernel * kernel)
        self.weight = nn.Parameter(torch.randn(outputs, inputs, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.weight * self.scale, self.bias, padding=self.padding)


class PixelNorm(nn.Module):
    """x / √(mean over channels of x²): each pixel's feature vector gets the length √C. x is (N, C, …)."""

    def forward(self, x: Tensor) -> Tensor:
        x = at_least_float32(x)  # squares in bfloat16 would be too coarse
        return x * torch.rsqrt(x.square().mean(1, keepdim=True) + EPSILON)


class MinibatchDeviation(nn.Module):
    """Appends to x (N, C, H, W) a map of how much examples vary: (N, C + 1, H, W).

    Its one number is the standard deviation of each feature at each place over the *global* batch, averaged over
    features and places. A discriminator that sees it notices generators that always make the same. In evaluation the
    number is a running mean, so that what is computed for an example does not depend on its neighbours.
    """

    running: Tensor

    def __init__(self, momentum: float = 0.1) -> None:
        super().__init__()
        self.momentum = momentum
        self.register_buffer("running", torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        x = at_least_float32(x)
        deviation = self._deviation(x) if self.training else self.running
        return torch.cat([x, deviation.expand(len(x), 1, *x.shape[2:])], 1)

    def _deviation(self, x: Tensor) -> Tensor:
        # Two passes, mean then variance: E[x²] - E[x]² would cancel in float32.
        rows = sum_over_workers(x.new_full((), len(x)))
        mean = sum_over_workers(x.sum(0)) / rows
        variance = sum_over_workers((x - mean).square().sum(0)) / rows
        deviation = (variance + EPSILON).sqrt().mean()
        with torch.no_grad():
            self.running.lerp_(deviation, self.momentum)
        return deviation


@dataclass(frozen=True)
class Growth:
    """How far both networks have grown: `stage` doublings, the last of which has weight `alpha` if it is `fading`."""

    stage: int
    fading: bool
    alpha: Tensor

    @classmethod
    def at(cls, step: Tensor, phase_steps: int, doublings: int) -> Growth:
        """The growth at a step (a scalar). Only the phase becomes a number of Python: there are few of them."""
        phase = int((step // phase_steps).clamp(max=2 * doublings))
        fading = phase % 2 == 1
        alpha = (step - phase * phase_steps) / phase_steps if fading else torch.ones(())
        return cls((phase + 1) // 2, fading, alpha)

    def blend(self, before: Tensor, after: Tensor) -> Tensor:
        """(1 - α) before + α after."""
        return (1 - self.alpha) * before + self.alpha * after


def up(x: Tensor, doublings: int = 1) -> Tensor:
    """Images (N, C, H, W) enlarged by repeating pixels."""
    return F.interpolate(x, scale_factor=2.0**doublings, mode="nearest")


def down(x: Tensor, halvings: int = 1) -> Tensor:
    """Images (N, C, H, W) made smaller by averaging."""
    return F.avg_pool2d(x, 2**halvings)


def _lowest(event: Event, doublings: int) -> tuple[int, int]:
    """Height and width that growth starts with."""
    return event.shape[1] >> doublings, event.shape[2] >> doublings


class Generator(nn.Module):
    """z → image: each block doubles the resolution, and each resolution has its own map `to_image`."""

    def __init__(self, event: Event, inputs: int, widths: Sequence[int]) -> None:
        """For z (N, `inputs`); `widths` are the channels at each resolution, from the lowest to the full one."""
        super().__init__()
        height, rows = _lowest(event, len(widths) - 1)
        first: list[nn.Module] = [
            EqualisedLinear(inputs, widths[0] * height * rows),
            nn.Unflatten(1, (widths[0], height, rows)),
            nn.LeakyReLU(0.2),
            PixelNorm(),
            *self._convolution(widths[0], widths[0]),
        ]
        later = [
            [nn.Upsample(scale_factor=2), *self._convolution(before, after), *self._convolution(after, after)]
            for before, after in pairwise(widths)
        ]
        self.blocks = nn.ModuleList(nn.Sequential(*layers) for layers in [first, *later])
        self.to_image = nn.ModuleList(EqualisedConv2d(width, event.shape[0], 1, gain=1.0) for width in widths)

    @staticmethod
    def _convolution(before: int, after: int) -> list[nn.Module]:
        return [EqualisedConv2d(before, after, 3), nn.LeakyReLU(0.2), PixelNorm()]

    def forward(self, z: Tensor, growth: Growth) -> Tensor:
        """Images (N, C, H/2^k, W/2^k) at the resolution of `growth`, of noise and labels z (N, L + classes)."""
        h = before = self.blocks[0](z)
        for block in self.blocks[1 : growth.stage + 1]:
            before, h = h, block(h)
        image: Tensor = self.to_image[growth.stage](h)
        return growth.blend(up(self.to_image[growth.stage - 1](before)), image) if growth.fading else image


class Discriminator(nn.Module):
    """Image → score: the generator's mirror image, whose last block also sees how much the examples vary."""

    def __init__(self, event: Event, classes: int, widths: Sequence[int]) -> None:
        super().__init__()
        height, rows = _lowest(event, len(widths) - 1)
        self.from_image = nn.ModuleList(
            nn.Sequential(EqualisedConv2d(event.shape[0], width, 1), nn.LeakyReLU(0.2)) for width in widths
        )
        last: list[nn.Module] = [
            MinibatchDeviation(),
            EqualisedConv2d(widths[0] + 1, widths[0], 3),
            nn.LeakyReLU(0.2),
            nn.Flatten(),
            EqualisedLinear(widths[0] * height * rows, widths[0]),
            nn.LeakyReLU(0.2),
        ]
        earlier = [
            [*self._convolution(after, after), *self._convolution(after, before), nn.AvgPool2d(2)]
            for before, after in pairwise(widths)
        ]
        self.blocks = nn.ModuleList(nn.Sequential(*layers) for layers in [last, *earlier])
        self.head = EqualisedLinear(widths[0], 1, gain=1.0)
        self.class_head = EqualisedLinear(widths[0], classes, gain=1.0, bias=False) if classes else None

    @staticmethod
    def _convolution(before: int, after: int) -> list[nn.Module]:
        return [EqualisedConv2d(before, after, 3), nn.LeakyReLU(0.2)]

    def features(self, x: Tensor, growth: Growth) -> Tensor:
        """The last hidden layer (N, F) of images at the resolution of `growth`."""
        stage = growth.stage
        h: Tensor = self.from_image[stage](x)
        if stage:
            h = self.blocks[stage](h)
            if growth.fading:
                h = growth.blend(self.from_image[stage - 1](down(x)), h)
            for block in reversed(self.blocks[1:stage]):
                h = block(h)
        h = self.blocks[0](h)
        return h

    def forward(self, x: Tensor, context: Tensor | None, growth: Growth) -> Tensor:
        """Scores (N,); of a conditional model by projection on the class."""
        h = self.features(x, growth)
        score: Tensor = self.head(h)[:, 0]
        score = at_least_float32(score)
        if self.class_head is None or context is None:
            return score
        return score + (self.class_head(h) * context.to(h.dtype)).sum(1)
