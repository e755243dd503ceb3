"""The layers of progressive GANs (Karras et al., 2018): equalised learning rates, pixel norm, minibatch deviation."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .precision import at_least_float32
from .workers import sum_over_workers

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
    """Appends to x (N, C, H, W) a map that tells how much examples vary: (N, C + 1, H, W).

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
