"""p(x|z): the distribution of an example given a decoder's outputs, in the data's own units.

`bernoulli`: for integers 0 … K-1 the successes of K-1 trials (for K = 2 the usual Bernoulli decoder). `gaussian`: a
density for vectors; integers take the mass of their bins. `discretised_logistic`: the same with a logistic in the
Gaussian's place, whose tails are heavier and whose masses are cheaper,

    P(x = v | z) = σ((v + ½ - μ) / s) - σ((v - ½ - μ) / s),      the outermost bins open to infinity,

with the mean μ from the network and a scale s for each dimension, fixed or learnt: pixels differ much in how well they
are known, and one s for all would be that of the worst. `categorical`: each level has a probability of its own, the
only one that makes sense where levels are names. Then h is (…, D·K), else (…, D); x is (N, D), and log p(x|z) (…) has a
value for each of the leading dimensions of h, the last of which is N: several codes for each example.

Kingma et al., "Improving Variational Inference with Inverse Autoregressive Flow", 2016 (arXiv:1606.04934), section 5.1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import Event, UnsuitableEvent
from .layers.bins import log_gaussian_bin, log_logistic_bin
from .layers.draws import categorical
from .layers.normal import standard_normal_log_density
from .layers.tables.column_outputs import TableOutput

DecoderName = Literal["bernoulli", "gaussian", "discretised_logistic", "categorical"]
START_VARIANCE = 0.1  # of a variance that is learnt
COMPONENTS = 5  # of the mixtures of a table's numbers
TABLE = 1 << 24  # masses of levels at a time, where all are needed


class Likelihood(nn.Module, ABC):
    """The distribution of an example given the outputs of a decoder network."""

    outputs = 1  # of the network, per dimension
    uniforms = 1  # that one draw consumes, per dimension

    @abstractmethod
    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (…) of decoder outputs h (…, D · outputs) and x (N, D)."""

    @abstractmethod
    def mean(self, h: Tensor) -> Tensor:
        """E[x|z] (N, D)."""

    @abstractmethod
    def draw(self, h: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        """x (N, D) drawn by uniform numbers u (N, D · uniforms), of P^(1/T), normalised, if P is one of levels."""


class LevelsLikelihood(Likelihood):
    """The distribution of levels, drawn through its distribution function."""

    def draw(self, h: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if temperature == 1:
            return self.quantile(h, u)
        some = max(1, TABLE // self.log_masses(h[:1]).numel())
        sharper = ((self.log_masses(part) / temperature).softmax(-1) for part in h.split(some))
        return torch.cat([categorical(p, part) for p, part in zip(sharper, u.split(some), strict=True)]).to(h.dtype)

    @abstractmethod
    def quantile(self, h: Tensor, u: Tensor) -> Tensor:
        """The x (N, D) that have as much mass below them as uniform numbers u (N, D)."""

    @abstractmethod
    def log_masses(self, h: Tensor) -> Tensor:
        """log p(x = v | z) (N, D, K) of every level v."""


class BernoulliDecoder(LevelsLikelihood):
    """x ~ Binomial(levels - 1, p) in each dimension; the outputs are the logits of p."""

    log_choices: Tensor

    def __init__(self, event: Event) -> None:
        super().__init__()
        assert event.levels is not None
        self.trials = event.levels - 1
        level = torch.arange(event.levels, dtype=torch.float64)
        choices = math.lgamma(self.trials + 1) - torch.lgamma(level + 1) - torch.lgamma(self.trials - level + 1)
        self.register_buffer("log_choices", choices.to(torch.get_default_dtype()), persistent=False)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy_with_logits(h, (x / self.trials).expand_as(h), reduction="none")
        if self.trials == 1:
            return -entropy.sum(-1)
        return self.log_choices[x.long()].sum(-1) - self.trials * entropy.sum(-1)

    def mean(self, h: Tensor) -> Tensor:
        return self.trials * torch.sigmoid(h)

    def quantile(self, h: Tensor, u: Tensor) -> Tensor:
        if self.trials == 1:  # the same, without a table of masses
            return (u > torch.sigmoid(-h)).to(h.dtype)
        return categorical(self.log_masses(h).exp(), u).to(h.dtype)

    def log_masses(self, h: Tensor) -> Tensor:
        levels = torch.arange(self.trials + 1, dtype=h.dtype, device=h.device)
        return (
            self.log_choices.to(h.dtype)
            + levels * F.logsigmoid(h)[..., None]
            + (self.trials - levels) * F.logsigmoid(-h)[..., None]
        )


class CategoricalDecoder(LevelsLikelihood):
    """x = k with probability softmax(h)_k in each dimension."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        assert event.levels is not None
        self.outputs, self.ordered = event.levels, event.ordered

    def log_masses(self, h: Tensor) -> Tensor:
        return F.log_softmax(h.unflatten(-1, (-1, self.outputs)), -1)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        log_mass = self.log_masses(h)
        return log_mass.gather(-1, x.long().expand(log_mass.shape[:-1])[..., None]).sum((-1, -2))

    def mean(self, h: Tensor) -> Tensor:
        """E[x|z] (N, D); names have no mean, so of them the most probable one."""
        log_mass = self.log_masses(h)
        if not self.ordered:
            return log_mass.argmax(-1).to(h.dtype)
        return log_mass.exp() @ torch.arange(self.outputs, dtype=h.dtype, device=h.device)

    def quantile(self, h: Tensor, u: Tensor) -> Tensor:
        return categorical(self.log_masses(h).exp(), u).to(h.dtype)


class GaussianDecoder(LevelsLikelihood):
    """x ~ N(μ, σ²) in each dimension; integers take the mass of the bin around them, the outer bins are open."""

    log_std: Tensor

    def __init__(self, event: Event, variance: float | None) -> None:
        super().__init__()
        self.levels = event.levels
        # One unit of the network's output is half the range of integers, or one standard deviation of a vector.
        self.unit = 1.0 if event.levels is None else event.levels / 2
        _learnt_or_fixed(self, "log_std", event, variance)

    def _location_scale(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation in the data's units."""
        std = self.log_std.exp() * self.unit
        if self.levels is None:
            return h, std
        # A tenth of a bin's width puts all mass into one bin. Less gains nothing, and makes other bins impossible. It
        # is added to a learnt one: behind a limit it would find no way back.
        learnt = isinstance(self.log_std, nn.Parameter)
        return h * self.unit + (self.levels - 1) / 2, std + 0.1 if learnt else std.clamp_min(0.1)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        mean, std = self._location_scale(h)
        if self.levels is None:
            return standard_normal_log_density((x - mean) / std) - std.log().sum()
        return log_gaussian_bin(x, mean, std, self.levels).sum(-1)

    def mean(self, h: Tensor) -> Tensor:
        """The location μ (N, D), inside the range of integers."""
        mean, _ = self._location_scale(h)
        return mean if self.levels is None else mean.clamp(0, self.levels - 1)

    def draw(self, h: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if self.levels is not None:
            return super().draw(h, u, temperature)
        mean, std = self._location_scale(h)
        return mean + temperature * std * torch.special.ndtri(u).to(mean)

    def quantile(self, h: Tensor, u: Tensor) -> Tensor:
        assert self.levels is not None
        mean, std = self._location_scale(h)
        return (mean + std * torch.special.ndtri(u).to(mean)).round().clamp(0, self.levels - 1)

    def log_masses(self, h: Tensor) -> Tensor:
        assert self.levels is not None
        mean, std = self._location_scale(h)
        return log_gaussian_bin(_all_levels(h, self.levels), mean[..., None], std[..., None], self.levels)


class LogisticDecoder(LevelsLikelihood):
    """Integers take the mass that a logistic of mean μ and scale s gives to their bins, in each dimension."""

    # Bins: all mass is in one. Added, not a limit: behind a limit a learnt scale would find no way back.
    NARROWEST = 0.05
    log_std: Tensor

    def __init__(self, event: Event, variance: float | None) -> None:
        super().__init__()
        assert event.levels is not None
        self.levels = event.levels
        _learnt_or_fixed(self, "log_std", event, variance)

    def _location_scale(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """μ and s in units of levels; outputs of 0 give the middle of the range."""
        half = self.levels / 2
        scale = self.log_std.exp() * (half * math.sqrt(3) / math.pi)  # the variance is (π s)² / 3
        return half - 0.5 + half * h, scale + self.NARROWEST

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        mean, scale = self._location_scale(h)
        return log_logistic_bin(x, mean, scale, self.levels).sum(-1)

    def mean(self, h: Tensor) -> Tensor:
        """The location μ (N, D), inside the range of integers."""
        return self._location_scale(h)[0].clamp(0, self.levels - 1)

    def quantile(self, h: Tensor, u: Tensor) -> Tensor:
        mean, scale = self._location_scale(h)
        return (mean + scale * torch.logit(u).to(mean)).round().clamp(0, self.levels - 1)

    def log_masses(self, h: Tensor) -> Tensor:
        mean, scale = self._location_scale(h)
        return log_logistic_bin(_all_levels(h, self.levels), mean[..., None], scale[..., None], self.levels)


class TableDecoder(Likelihood):
    """Each column of a table has the distribution of its type: of names a probability each, of numbers a mixture."""

    uniforms = TableOutput.uniforms

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.output, self.columns = TableOutput(event, COMPONENTS), event.dimensions
        self.outputs = self.output.size

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        h = self._by_column(h)
        return self.output.log_prob(h, x.expand(h.shape[:-1])).sum(-1)

    def mean(self, h: Tensor) -> Tensor:
        """The most likely name or the mean number of each column (N, D)."""
        return self.output.middle(self._by_column(h)).to(h)

    def draw(self, h: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        return self.output.draw(self._by_column(h), u.unflatten(-1, (self.columns, -1)), temperature)

    def _by_column(self, h: Tensor) -> Tensor:
        return h.unflatten(-1, (self.columns, self.outputs))


def likelihood(name: DecoderName, event: Event, variance: float | None) -> Likelihood:
    """The p(x|z) called `name`. Raises `UnsuitableEvent` where it is none of such an event."""
    if event.kind == "table":
        return TableDecoder(event)
    if event.levels is None and name != "gaussian":
        raise UnsuitableEvent(f"decoder: {name} needs integer events; decoder: gaussian takes vectors")
    if not event.ordered and name != "categorical":
        raise UnsuitableEvent(
            f"decoder: {name} models numbers, and these levels are names, like the colours of a palette;"
            f" decoder: categorical takes them"
        )
    if name == "gaussian":
        return GaussianDecoder(event, variance)
    if name == "discretised_logistic":
        return LogisticDecoder(event, variance)
    return BernoulliDecoder(event) if name == "bernoulli" else CategoricalDecoder(event)


def _all_levels(h: Tensor, levels: int) -> Tensor:
    """0 … K-1 (K,), of the kind of h."""
    return torch.arange(levels, dtype=h.dtype, device=h.device)


def _learnt_or_fixed(module: nn.Module, name: str, event: Event, variance: float | None) -> None:
    """Give a module log standard deviations (D,): of a given variance, or weights that learn one."""
    log_std = torch.full((event.dimensions,), 0.5 * math.log(variance or START_VARIANCE))
    if variance is None:
        module.register_parameter(name, nn.Parameter(log_std))
    else:
        module.register_buffer(name, log_std)
