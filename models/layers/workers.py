"""Statistics of the global batch: what a computation over all examples needs when they are spread over workers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.distributed import is_available, is_initialized
from torch.distributed.nn.functional import all_reduce

from .precision import at_least_float32


def sum_over_workers(x: Tensor) -> Tensor:
    """The sum of `x` over all workers, differentiable; `x` itself where there is one worker."""
    if is_available() and is_initialized():
        return all_reduce(x)
    return x


def rows_of_all_workers(x: Tensor, start: int, total: int) -> Tensor:
    """The rows (total, …) of the global batch, of which x (N, …) are those from `start` on; x if one worker is all."""
    if not (is_available() and is_initialized()) or len(x) == total:
        return x
    whole = x.new_zeros(total, *x.shape[1:])
    whole[start : start + len(x)] = x
    return sum_over_workers(whole)


def mean_over_rows(x: Tensor) -> Tensor:
    """The mean (…) of x (N, …) over the rows of the global batch, differentiable."""
    total = sum_over_workers(torch.cat([x.sum(0).flatten(), x.new_full((1,), len(x))]))
    return (total[:-1] / total[-1].detach()).view(x.shape[1:])


class GlobalBatchNorm(nn.Module):
    """Batch normalisation (Ioffe & Szegedy, 2015) of channels, with the moments of the *global* batch.

    With moments per worker, N workers would train another model than one does. `torch.nn.SyncBatchNorm` is the
    same idea, for GPUs only. Without `affine` the outputs keep the mean 0 and the variance 1.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, momentum: float = 0.1, eps: float = 1e-5, affine: bool = True) -> None:
        super().__init__()
        self.momentum, self.eps = momentum, eps
        self.weight = nn.Parameter(torch.ones(channels)) if affine else None
        self.bias = nn.Parameter(torch.zeros(channels)) if affine else None
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalise x (N, C, …) by moments over all but the channels; in evaluation by the running ones."""
        x = at_least_float32(x)  # moments in bfloat16 would be worthless
        if not self.training:
            return self._affine(x, self.running_mean, self.running_var)
        mean, var, count = self.moments(x)
        self.track(mean, var, count)
        return self._affine(x, mean, var)

    def moments(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance (C,) of x (N, C, …) over the global batch, differentiable, and of how many numbers."""
        axes = [axis for axis in range(x.dim()) if axis != 1]
        # Two passes, mean then variance: E[x²] - E[x]² would cancel in float32.
        total = sum_over_workers(torch.cat([x.sum(axes), x.new_full((1,), x.numel() // x.shape[1])]))
        count = total[-1].detach()
        mean = total[:-1] / count
        return mean, sum_over_workers((x - channelwise(mean, x)).square().sum(axes)) / count, count

    @torch.no_grad()
    def track(self, mean: Tensor, var: Tensor, count: Tensor) -> None:
        """Bring the running moments nearer to those of a batch."""
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(var * count / (count - 1).clamp_min(1), self.momentum)

    def _affine(self, x: Tensor, mean: Tensor, var: Tensor) -> Tensor:
        scale = torch.rsqrt(var + self.eps)
        if self.weight is None or self.bias is None:
            return (x - channelwise(mean, x)) * channelwise(scale, x)
        scale = self.weight * scale
        return (x - channelwise(mean, x)) * channelwise(scale, x) + channelwise(self.bias, x)


def of_every_pixel(log_scale: Tensor, v: Tensor) -> Tensor:
    """The sum of log scales (C,) over all channels and pixels, for each row (N,) of v (N, C, …)."""
    return (math.prod(v.shape[2:]) * log_scale.sum()).expand(len(v))


def channelwise(values: Tensor, x: Tensor) -> Tensor:
    """Values (C,) in the shape in which they meet the channels of x (N, C, …)."""
    return values.view(1, -1, *[1] * (x.dim() - 2))
