"""Invertible maps between the data y and the noise u, and how maps are put together.

A flow is a bijection w = f(v) whose log |det dw/dv| is cheap. By the change of variables

    log p(y) = log p(u) + log |det du/dy|,      u = f(y)

Dinh et al., "NICE", 2014 (arXiv:1410.8516). Invertible batch normalisation: Dinh, Sohl-Dickstein & Bengio, "Density
Estimation Using Real NVP", 2016 (arXiv:1605.08803), and Papamakarios et al., "Masked Autoregressive Flow", 2017.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import cast

import torch
from torch import Tensor, nn

from ..workers import GlobalBatchNorm, channelwise, of_every_pixel


class Bijection(nn.Module, ABC):
    """An invertible map of rows (N, …), with the log-determinants of both directions."""

    @property
    def passes(self) -> int:
        """Sequential network passes of `forward`."""
        return 0

    @property
    def inverse_passes(self) -> int:
        """Sequential network passes of `inverse`."""
        return 0

    @abstractmethod
    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """w (N, …) of v (N, …), and log |det dw/dv| (N,), given a context (N, C)."""

    @abstractmethod
    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """v (N, …) of w (N, …), and log |det dv/dw| (N,)."""

    def initialise(self, v: Tensor, context: Tensor | None = None) -> None:
        """Data-dependent initialisation, by examples of what will come in."""
        return None


class Composition(Bijection):
    """One bijection after the other."""

    def __init__(self, parts: Iterable[Bijection]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    @property
    def bijections(self) -> list[Bijection]:
        """The parts, from the first of `forward` to the last."""
        return [cast("Bijection", part) for part in self.parts]

    @property
    def passes(self) -> int:
        return sum(part.passes for part in self.bijections)

    @property
    def inverse_passes(self) -> int:
        return sum(part.inverse_passes for part in self.bijections)

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_det = v.new_zeros(len(v))
        for part in self.bijections:
            v, part_log_det = part(v, context)
            log_det = log_det + part_log_det
        return v, log_det

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_det = w.new_zeros(len(w))
        for part in reversed(self.bijections):
            w, part_log_det = part.inverse(w, context)
            log_det = log_det + part_log_det
        return w, log_det

    @torch.no_grad()
    def initialise(self, v: Tensor, context: Tensor | None = None) -> None:
        for place, part in enumerate(self.bijections):
            part.initialise(v, context)
            if place + 1 < len(self.bijections):  # a pass can take long, and nothing waits for the last
                v, _ = part(v, context)


class Inverse(Bijection):
    """A bijection the other way round."""

    def __init__(self, of: Bijection) -> None:
        super().__init__()
        self.of = of

    @property
    def passes(self) -> int:
        return self.of.inverse_passes

    @property
    def inverse_passes(self) -> int:
        return self.of.passes

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return self.of.inverse(v, context)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        out: tuple[Tensor, Tensor] = self.of(w, context)
        return out


class BatchNorm(Bijection):
    """Batch normalisation of channels, with the log-determinant of its scales:

        w = (v - m) / √(s² + ε) · e^γ + β,      log |det dw/dv| = Σ (γ - ½ log(s² + ε))

    m and s² are moments of the global batch in training, and running ones in evaluation. `inverse` always goes by the
    running ones, for the batch that a sample would belong to does not exist.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GlobalBatchNorm(channels, affine=False)
        self.gamma = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    @torch.no_grad()
    def initialise(self, v: Tensor, context: Tensor | None = None) -> None:
        mean, var, _ = self.norm.moments(v)
        self.norm.running_mean.copy_(mean)
        self.norm.running_var.copy_(var)

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        mean, log_scale = self._moments(v)
        w = (v - channelwise(mean, v)) * channelwise(torch.exp(log_scale), v) + channelwise(self.beta, v)
        return w, of_every_pixel(log_scale, v)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        log_scale = self._log_scale(self.norm.running_var)
        v = (w - channelwise(self.beta, w)) * channelwise(torch.exp(-log_scale), w)
        return v + channelwise(self.norm.running_mean, w), -of_every_pixel(log_scale, w)

    def inverse_log_slope(self, w: Tensor) -> Tensor:
        """log dv/dw of each number of w (N, C, …), by the running moments."""
        return channelwise(-self._log_scale(self.norm.running_var), w).expand_as(w)

    def _moments(self, v: Tensor) -> tuple[Tensor, Tensor]:
        """m and the log of the whole scale, of each channel."""
        if self.training:
            mean, var, count = self.norm.moments(v)
            self.norm.track(mean, var, count)
        else:
            mean, var = self.norm.running_mean, self.norm.running_var
        return mean, self._log_scale(var)

    def _log_scale(self, var: Tensor) -> Tensor:
        return self.gamma - 0.5 * torch.log(var + self.norm.eps)


class Standardise(Bijection):
    """w = (v - m) / s with one mean and one scale for all numbers, which the data set at the start."""

    mean: Tensor
    log_std: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("log_std", torch.zeros(()))

    @torch.no_grad()
    def initialise(self, v: Tensor, context: Tensor | None = None) -> None:
        self.mean.copy_(v.mean())
        self.log_std.copy_(v.std().clamp_min(1e-8).log())

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return (v - self.mean) * torch.exp(-self.log_std), -self._log_det(v)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        return w * torch.exp(self.log_std) + self.mean, self._log_det(w)

    def inverse_log_slope(self, w: Tensor) -> Tensor:
        """log dv/dw of each number of w (N, T)."""
        return self.log_std.expand_as(w)

    def _log_det(self, v: Tensor) -> Tensor:
        return of_every_pixel(self.log_std.expand(v.shape[1]), v)
