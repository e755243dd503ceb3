"""The distributions of the noise u that flows start from, independent and of about unit size.

Codes and the noise of samples are standard normal throughout the project, so each base says how its numbers are those
of a standard normal z: u = F⁻¹(Φ(z)), with F its own distribution function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ..normal import standard_normal_log_density

BaseName = Literal["normal", "logistic"]


class Base(ABC):
    """A distribution of independent numbers."""

    @abstractmethod
    def log_density(self, u: Tensor) -> Tensor:
        """log p(u) (N,) of u (N, D)."""

    @abstractmethod
    def from_normal(self, z: Tensor) -> Tensor:
        """The u (N, D) that have as much mass below them as standard normal z (N, D)."""

    @abstractmethod
    def to_normal(self, u: Tensor) -> Tensor:
        """The inverse of `from_normal`."""


class StandardNormal(Base):
    """N(0, 1)."""

    def log_density(self, u: Tensor) -> Tensor:
        return standard_normal_log_density(u)

    def from_normal(self, z: Tensor) -> Tensor:
        return z

    def to_normal(self, u: Tensor) -> Tensor:
        return u


class StandardLogistic(Base):
    """p(u) = σ(u) σ(-u), whose tails are heavier than the normal's: NICE's prior."""

    def log_density(self, u: Tensor) -> Tensor:
        return (F.logsigmoid(u) + F.logsigmoid(-u)).sum(-1)

    def from_normal(self, z: Tensor) -> Tensor:
        """logit Φ(z) = log Φ(z) - log Φ(-z), accurate in both tails."""
        return torch.special.log_ndtr(z) - torch.special.log_ndtr(-z)

    def to_normal(self, u: Tensor) -> Tensor:
        return normal_quantile(torch.sigmoid(u.double()), torch.sigmoid(-u.double())).to(u.dtype)


def normal_quantile(below: Tensor, above: Tensor) -> Tensor:
    """Φ⁻¹ of the mass below, in float64, where the mass above is given as well: each tail from its own side."""
    tiny = torch.finfo(torch.float64).tiny
    low = torch.special.ndtri(torch.where(below < above, below, above).clamp_min(tiny))
    return torch.where(below < above, low, -low)


BASES: dict[BaseName, type[Base]] = {"normal": StandardNormal, "logistic": StandardLogistic}
