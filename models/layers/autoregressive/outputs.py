"""The outputs of an autoregressive network: the distribution of the next number, in the data's own units.

Each kind maps P network outputs to the distribution of one number. `draw` inverts the distribution function at uniform
numbers, so that samples are a function of them alone. The mixture of logistics gives each level v the mass of its bin,

    P(v) = Σ_m π_m [σ((v + ½ - μ_m) / s_m) - σ((v - ½ - μ_m) / s_m)],   the outermost bins open to infinity,

so its levels sum to one. Salimans et al., "PixelCNN++", 2017 (arXiv:1701.05517). A single Gaussian has Φ in place of σ.

Such an output is also a density of the real number x that is rounded to v, p(x) = Σ_m π_m Logistic(x; μ_m, s_m): the
mass of a level is the integral of p over its bin. It is what a student of real numbers can learn from.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from ...contract import Event, UnsuitableEvent
from ..bins import log_gaussian_bin, log_logistic_bin
from ..draws import categorical
from ..normal import bounded, log_normal_density
from ..precision import at_least_float32

NARROWEST = -7.0  # log of the smallest scale of a logistic, in half ranges: a fraction of a bin for 256 levels


class Output(ABC):
    """The distribution of one number given P network outputs."""

    size: int  # P
    uniforms: int  # that one draw consumes

    def start(self) -> Tensor:
        """Outputs (P,) to begin with; those of a mixture's components differ, for equal components would stay equal."""
        return torch.zeros(self.size)

    def starts(self, numbers: int) -> Tensor:
        """`start` of so many numbers, one after the other."""
        return self.start().repeat(numbers)

    def at(self, position: int) -> Output:
        """The distribution of the number at a position of a flat event; all are alike but those of tables."""
        return self

    @abstractmethod
    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x) (…) of numbers x (…) and network outputs h (…, P)."""

    @abstractmethod
    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        """Numbers (…) drawn by uniform numbers u (…, `uniforms`) from outputs h (…, P)."""


class Levels(Output):
    """The distribution of one of K levels, drawn through its distribution function."""

    uniforms = 1

    def __init__(self, levels: int) -> None:
        self.levels = levels

    @abstractmethod
    def log_masses(self, h: Tensor) -> Tensor:
        """log P(v) (…, K) of every level."""

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        """Levels from P(v)^(1/T), normalised; the most likely one at T = 0. In float64: levels are many, u is fine."""
        log_masses = self.log_masses(h.double())
        if temperature == 0:
            return log_masses.argmax(-1)
        return categorical((log_masses / temperature).softmax(-1), u[..., 0].to(log_masses))


class Softmax(Levels):
    """One logit per level: any distribution, and no notion that levels are near each other."""

    def __init__(self, levels: int) -> None:
        super().__init__(levels)
        self.size = levels

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return self.log_masses(at_least_float32(h)).gather(-1, x.long()[..., None])[..., 0]

    def log_masses(self, h: Tensor) -> Tensor:
        return F.log_softmax(h, -1)


class Rounded(Levels):
    """Levels that are rounded real numbers, the outermost ones all that lies beyond."""

    @abstractmethod
    def log_density(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x) (…) of real x (…) in units of levels; its integral over x - ½ … x + ½ is the mass of a level x."""


class LogisticMixture(Rounded):
    """M logistics on the scale of the levels, each level the mass of its bin: smooth, with few outputs."""

    def __init__(self, levels: int, components: int) -> None:
        super().__init__(levels)
        self.size = 3 * components

    def start(self) -> Tensor:
        return _apart(self.size // 3)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        logits, mean, scale = self.parameters(at_least_float32(h))
        x = x.to(mean.dtype)[..., None]
        return (F.log_softmax(logits, -1) + log_logistic_bin(x, mean, scale, self.levels)).logsumexp(-1)

    def log_masses(self, h: Tensor) -> Tensor:
        return self.log_prob(h[..., None, :], _all_levels(h, self.levels))

    def log_density(self, h: Tensor, x: Tensor) -> Tensor:
        logits, mean, scale = self.parameters(at_least_float32(h))
        z = (x.to(mean.dtype)[..., None] - mean) / scale
        log_logistic = F.logsigmoid(z) + F.logsigmoid(-z) - torch.log(scale)
        return (F.log_softmax(logits, -1) + log_logistic).logsumexp(-1)

    def parameters(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of π, and μ and s in units of levels; outputs of 0 give means at the middle of the range."""
        logits, mean, log_scale = h.chunk(3, -1)
        half = self.levels / 2
        return logits, half - 0.5 + half * mean, half * torch.exp(log_scale.clamp_min(NARROWEST))


class RoundedGaussian(Rounded):
    """A single Gaussian on the scale of the levels: the conditional that a distillation has a closed form for."""

    size = 2

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        mean, log_std = self.parameters(at_least_float32(h))
        return log_gaussian_bin(x.to(mean.dtype), mean, torch.exp(log_std), self.levels)

    def log_masses(self, h: Tensor) -> Tensor:
        return self.log_prob(h[..., None, :], _all_levels(h, self.levels))

    def log_density(self, h: Tensor, x: Tensor) -> Tensor:
        mean, log_std = self.parameters(at_least_float32(h))
        return log_normal_density((x - mean) * torch.exp(-log_std)) - log_std

    def parameters(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """μ and log σ in units of levels; outputs of 0 give a mean at the middle of the range."""
        mean, log_std = h.unbind(-1)
        half = self.levels / 2
        return half - 0.5 + half * mean, math.log(half) + log_std.clamp_min(NARROWEST)


class GaussianMixture(Output):
    """M Gaussians, for real numbers; a single one is the usual conditional of MADE."""

    uniforms = 2

    def __init__(self, components: int) -> None:
        self.size = 3 * components

    def start(self) -> Tensor:
        return _apart(self.size // 3)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        logits, mean, log_std = self.parameters(at_least_float32(h))
        z = (x[..., None] - mean) * torch.exp(-log_std)
        log_normal = log_normal_density(z) - log_std
        return (F.log_softmax(logits, -1) + log_normal).logsumexp(-1)

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        """A component by the first uniform number, then its Gaussian, whose standard deviation is scaled by T."""
        logits, mean, log_std = self.parameters(h.double())
        component = categorical(logits.softmax(-1), u[..., 0].to(logits))[..., None]
        mean, log_std = mean.gather(-1, component)[..., 0], log_std.gather(-1, component)[..., 0]
        return mean + temperature * log_std.exp() * torch.special.ndtri(u[..., 1].to(logits))

    def parameters(self, h: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits, means and log standard deviations."""
        logits, mean, log_std = h.chunk(3, -1)
        return logits, mean, bounded(log_std)


LevelsName = Literal["softmax", "logistic_mixture", "gaussian"]
OutputName = Literal[LevelsName, "gaussian_mixture"]


def output_for(event: Event, name: OutputName, components: int) -> Output:
    """The output called `name`, of `components` components if it is a mixture.

    Raises `UnsuitableEvent` where it is none for the numbers of such an event.
    """
    if event.levels is None:
        if name != "gaussian_mixture":
            raise UnsuitableEvent(f"output: {name} needs integer events; output: gaussian_mixture takes vectors")
        return GaussianMixture(components)
    if name == "gaussian_mixture":
        raise UnsuitableEvent(f"output: {name} needs vectors; output: softmax or logistic_mixture takes integers")
    if name == "softmax":
        return Softmax(event.levels)
    if not event.ordered:
        raise UnsuitableEvent(
            f"output: {name} models numbers, and these levels are names, like the colours of a palette;"
            " output: softmax takes them"
        )
    return RoundedGaussian(event.levels) if name == "gaussian" else LogisticMixture(event.levels, components)


def _all_levels(h: Tensor, levels: int) -> Tensor:
    """0 … levels-1 (…, levels) for each of the outputs h (…, P)."""
    return torch.arange(levels, device=h.device).expand(*h.shape[:-1], levels)


def _apart(components: int) -> Tensor:
    """Outputs (3 · components,) of equal weights and scales, and means spread over -1 … 1."""
    means = torch.linspace(-1, 1, components) if components > 1 else torch.zeros(1)
    return torch.cat([torch.zeros(components), means, torch.zeros(components)])
