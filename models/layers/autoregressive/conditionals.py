"""Densities of real numbers by their conditionals: what a distillation can compare number by number.

    p(y) = Π_t p(y_t | y_<t)

Where the conditionals of teacher and student are known as distributions, each given the same past, more can be done
than to score one sample: draw y_t many times, or integrate over it in closed form.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from ...contract import RealDensity
from ..normal import log_normal_density
from .outputs import Rounded


class Conditionals(ABC):
    """p(y_t | y_<t) of all t, given the past that they were made for."""

    @abstractmethod
    def log_density(self, y: Tensor) -> Tensor:
        """log p(y_t | y_<t) (…, N, T) of numbers y_t (…, N, T)."""


@dataclass(frozen=True)
class Gaussians(Conditionals):
    """N(μ_t, σ_t²), with μ and log σ (N, T)."""

    mean: Tensor
    log_std: Tensor

    def log_density(self, y: Tensor) -> Tensor:
        z = (y - self.mean) * torch.exp(-self.log_std)
        return log_normal_density(z) - self.log_std

    def entropy(self) -> Tensor:
        """H (N, T) = log σ + ½ log 2πe."""
        return self.log_std + 0.5 * math.log(2 * math.pi * math.e)

    def cross_entropy(self, other: Gaussians) -> Tensor:
        """H(q, p) (N, T) of these q relative to others p: log σ_p + ½ log 2π + (σ_q² + (μ_q - μ_p)²) / (2 σ_p²)."""
        variance, precision = torch.exp(2 * self.log_std), torch.exp(-2 * other.log_std)
        spread = (variance + (self.mean - other.mean).square()) * precision
        return other.log_std + 0.5 * (math.log(2 * math.pi) + spread)

    def draw(self, z: Tensor) -> Tensor:
        """y_t (…, N, T) made of standard normal noise z (…, N, T)."""
        return self.mean + torch.exp(self.log_std) * z


@dataclass(frozen=True)
class OutputConditionals(Conditionals):
    """The real numbers behind rounded ones, in the units y = (x + ½) / K, by network outputs h (N, T, P)."""

    output: Rounded
    h: Tensor
    levels: int

    def log_density(self, y: Tensor) -> Tensor:
        return self.output.log_density(self.h, y * self.levels - 0.5) + math.log(self.levels)


class Teaching(RealDensity):
    """A density whose conditionals are known as distributions, if its configuration allows it: a teacher."""

    @property
    @abstractmethod
    def gaussian(self) -> bool:
        """Are its conditionals `Gaussians`?"""

    @abstractmethod
    def conditionals(self, y: Tensor, labels: Tensor | None = None) -> Conditionals:
        """p(y_t | y_<t, labels) of all t of y (N, T), differentiable in y: one pass."""

    def log_density(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.conditionals(y, labels).log_density(y).sum(1)
