"""What Glow does to channels alone: a scale and a shift that start by the data, and an invertible 1×1 convolution.

Both treat every pixel alike, and single features as channels without pixels.
Kingma & Dhariwal, "Glow: Generative Flow with Invertible 1×1 Convolutions", 2018 (arXiv:1807.03039).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .layers.flows.bijections import Bijection
from .layers.workers import channelwise, of_every_pixel

LEAST = 1e-6  # standard deviation of a channel that does not change


class ActNorm(Bijection):
    """w = e^s ⊙ v + b per channel, at first such that the first examples have mean 0 and variance 1.

    Batch normalisation without the batch: s and b are weights from then on, so rows do not mix.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(torch.zeros(channels))
        self.shift = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def initialise(self, v: Tensor, context: Tensor | None = None) -> None:
        axes = [axis for axis in range(v.dim()) if axis != 1]
        self.log_scale.copy_(-v.std(axes, correction=0).clamp_min(LEAST).log())
        self.shift.copy_(-v.mean(axes) * torch.exp(self.log_scale))

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        w = v * channelwise(torch.exp(self.log_scale), v) + channelwise(self.shift, v)
        return w, of_every_pixel(self.log_scale, v)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = (w - channelwise(self.shift, w)) * channelwise(torch.exp(-self.log_scale), w)
        return v, -of_every_pixel(self.log_scale, w)


class InvertibleLinear(Bijection):
    """w = W v per pixel, a learnt generalisation of a permutation, in the LU form

        W = P L (U + diag(ς ⊙ e^d)),      log |det dw/dv| = pixels · Σ d

    P is a fixed permutation, L is lower triangular with ones on the diagonal, U is strictly upper triangular, and the
    signs ς stay as they were. At first W is a random rotation. W⁻¹ takes two triangular solves.
    """

    permutation: Tensor
    signs: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        rotation, _ = torch.linalg.qr(torch.randn(channels, channels, dtype=torch.float64))
        permutation, lower, upper = torch.linalg.lu(rotation)
        dtype, diagonal = torch.get_default_dtype(), upper.diagonal()
        self.register_buffer("permutation", permutation.to(dtype))
        self.register_buffer("signs", diagonal.sign().to(dtype))
        self.lower = nn.Parameter(lower.tril(-1).to(dtype))
        self.upper = nn.Parameter(upper.triu(1).to(dtype))
        self.log_diagonal = nn.Parameter(diagonal.abs().log().to(dtype))

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        with torch.autocast(v.device.type, enabled=False):  # bfloat16 would blur all that goes through
            weight = self.permutation @ lower @ upper
            return _to_every_pixel(weight, v), of_every_pixel(self.log_diagonal, v)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        lower, upper = self._factors()
        with torch.autocast(w.device.type, enabled=False):
            solved = torch.linalg.solve_triangular(lower, self.permutation.T, upper=False, unitriangular=True)
            weight = torch.linalg.solve_triangular(upper, solved, upper=True)
            return _to_every_pixel(weight, w), -of_every_pixel(self.log_diagonal, w)

    def _factors(self) -> tuple[Tensor, Tensor]:
        """L, and U with its diagonal (C, C each)."""
        lower = self.lower.tril(-1) + torch.eye(len(self.lower), device=self.lower.device, dtype=self.lower.dtype)
        return lower, self.upper.triu(1) + torch.diag(self.signs * torch.exp(self.log_diagonal))


def _to_every_pixel(weight: Tensor, v: Tensor) -> Tensor:
    """W v for the channels of each pixel of v (N, C, …)."""
    return (weight @ v.flatten(2)).view_as(v) if v.dim() > 2 else v @ weight.T
