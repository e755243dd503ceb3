"""From the data's own units to the real numbers that networks like, with the log-determinant that likelihoods need."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ..contract import Event
from ..noise import Noise


class Units(nn.Module):
    """A bijection between examples in the data's units and real vectors y (N, D).

    `bound` says what bound a density of y puts on the probability of examples: None where it is exact.
    """

    bound: str | None = None

    def forward(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """y (N, D) of examples x (N, *event), and log |det dy/dx| (N,)."""
        raise NotImplementedError

    def inverse(self, y: Tensor) -> Tensor:
        """The examples (N, *event), as floats in the data's units, of y (N, D)."""
        raise NotImplementedError

    def quantise(self, y: Tensor) -> Tensor:
        """The examples as they are stored: uint8 for integer events, float32 for vectors."""
        raise NotImplementedError

    def initialise(self, x: Tensor) -> None:
        """Fit whatever the bijection learns from the data."""
        return None


class Dequantised(Units):
    """Integers 0 … K-1, made continuous by uniform noise (Theis et al., 2016; Papamakarios et al., 2017).

        v = (x + u) / K,  u ~ U[0, 1)
        y = v                          without `alpha`
        y = logit(α + (1 - 2α) v)      with it

    The density of x + u averages, over u, to a lower bound of log P(x) (by Jensen). Without noise u = 1/2, the
    middle of the bin, which `inverse` maps back to x.
    """

    bound = "dequantised"

    def __init__(self, event: Event, alpha: float | None = None) -> None:
        super().__init__()
        assert event.levels is not None
        self.event, self.levels, self.alpha = event, event.levels, alpha

    def extra_repr(self) -> str:
        return f"levels={self.levels}, alpha={self.alpha}"

    def forward(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        u, log_q = self.within_bins(x, noise)
        v = (x.flatten(1).to(torch.get_default_dtype()) + u) / self.levels
        log_det = -log_q - math.log(self.levels) * self.event.dimensions
        if self.alpha is None:
            return v, log_det
        y = torch.logit(self.alpha + (1 - 2 * self.alpha) * v)
        # d logit(s)/ds = 1/(s(1-s)), and log s(1-s) = -softplus(-y) - softplus(y)
        stretch = math.log(1 - 2 * self.alpha) + F.softplus(y) + F.softplus(-y)
        return y, log_det + stretch.sum(1)

    def within_bins(self, x: Tensor, noise: Noise | None) -> tuple[Tensor, Tensor]:
        """u (N, D) in [0, 1), and the log density (N,) of its draw given x: of a uniform one, none at all."""
        shape = len(x), self.event.dimensions
        u = torch.full(shape, 0.5, device=x.device) if noise is None else noise.uniform(self.event.dimensions)
        return u, u.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return self._continuous(y) - 0.5

    def quantise(self, y: Tensor) -> Tensor:
        return self._continuous(y).floor().clamp_(0, self.levels - 1).to(torch.uint8)

    def _continuous(self, y: Tensor) -> Tensor:
        v = y if self.alpha is None else (torch.sigmoid(y) - self.alpha) / (1 - 2 * self.alpha)
        return (v * self.levels).unflatten(1, self.event.shape)


class Standardised(Units):
    """Real vectors, shifted and scaled to zero mean and unit variance by statistics of the whole training split.

    A mean may be many times as large as what varies around it: `rest` is what float32 has left of it in `mean`.
    """

    mean: Tensor
    rest: Tensor
    std: Tensor

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.known = event.columns is not None
        for name, value in (("mean", 0.0), ("rest", 0.0), ("std", 1.0)):
            self.register_buffer(name, torch.full((event.dimensions,), value))
        if event.columns is not None:
            known = [(column.mean, column.std) for column in event.columns]
            self._set(*torch.tensor(known, dtype=torch.float64).T)

    def initialise(self, x: Tensor) -> None:
        if not self.known:
            std = x.double().std(0)
            self._set(x.double().mean(0), torch.where(std > 0, std, 1.0))

    def _set(self, mean: Tensor, std: Tensor) -> None:
        self.mean.copy_(mean)
        self.rest.copy_(mean - self.mean)
        self.std.copy_(std)

    def forward(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        y = (x - self.mean - self.rest) / self.std
        return y, -self.std.log().sum().expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return y * self.std + self.rest + self.mean

    def quantise(self, y: Tensor) -> Tensor:
        return self.inverse(y).float()

    def numbers(self, x: Tensor) -> Tensor:
        """y (N, D): what a network sees of vectors x (N, D)."""
        return self(x)[0]


def centred(x: Tensor, event: Event, u: float | Tensor = 0.5) -> Tensor:
    """Integers 0 … K-1 on the scale -1 … 1, by default at the middles of their bins."""
    assert event.levels is not None
    return (x.to(torch.get_default_dtype()) + u) * (2 / event.levels) - 1


def from_centred(y: Tensor, event: Event) -> Tensor:
    """The integers, as uint8, whose bins hold numbers y on the scale -1 … 1: the inverse of `centred`."""
    assert event.levels is not None
    return ((y + 1) * (event.levels / 2)).floor().clamp_(0, event.levels - 1).to(torch.uint8)
