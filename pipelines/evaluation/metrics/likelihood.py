"""Negative log-likelihood in the units of the field, and classification by Bayes' rule.

Integers are scored as they are. Vectors are scored as the literature does, standardised: with y_d = (x_d - μ_d) / σ_d
of the training split, log p(y) = log p(x) + Σ_d log σ_d. The sum is the `log_volume` below, 0 for integers.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.contract import Density, Event

NORMAL = 1.96  # standard errors on either side of a mean that hold 95 %

Batches = Iterable[tuple[Tensor, Tensor | None]]


@dataclass(frozen=True)
class Likelihood:
    """Mean negative log-likelihood per example in nats, and its standard error over the examples."""

    nats: float
    standard_error: float
    count: int

    @classmethod
    def of(cls, log_probs: Tensor, log_volume: float = 0.0) -> Likelihood:
        """The mean over log-probabilities (N,) in nats of the data's own units, given for standardised ones."""
        values = -(log_probs.double().cpu() + log_volume)
        deviation = values.std(correction=1).item() if len(values) > 1 else math.nan
        return cls(values.mean().item(), deviation / len(values) ** 0.5, len(values))

    def bits_per_dim(self, event: Event) -> float:
        """Bits per dimension of the discrete data."""
        return self.nats / (event.dimensions * math.log(2))

    def interval_in_unit_of(self, event: Event) -> tuple[float, float]:
        """The 95 % interval of the mean, in the unit that `unit_name` names."""
        ends = (self.nats - NORMAL * self.standard_error, self.nats + NORMAL * self.standard_error)
        first, last = (Likelihood(nats, self.standard_error, self.count).in_unit_of(event) for nats in ends)
        return first, last

    def in_unit_of(self, event: Event) -> float:
        """Bits per dimension of integers, nats of vectors: the unit that `unit_name` names."""
        return self.nats if event.levels is None else self.bits_per_dim(event)


def unit_name(event: Event) -> str:
    """What the likelihood of an event is called in metrics, with its unit."""
    return "nll_nats" if event.levels is None else "nll_bits_per_dim"


def objective_name(event: Event) -> str:
    """The unit in which a density is validated."""
    return f"val_{unit_name(event)}"


@torch.no_grad()
def score(model: Density, batches: Batches, seed: int, draws: int = 1) -> Tensor:
    """log p(x) (N,), or log p(x | label) of a conditional model, exact or bounded as the model is by so many draws."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([model.log_prob(x, labels, generator, draws) for x, labels in batches])


@torch.no_grad()
def score_classes(model: Density, batches: Batches, seed: int, draws: int = 1) -> Tensor:
    """log p(x | y) (N, C) for every class y of a conditional model."""
    generator = torch.Generator().manual_seed(seed)
    return torch.cat([model.log_prob_by_class(x, generator, draws) for x, _ in batches])


def bayes_accuracy(joint: Tensor, labels: Tensor) -> float:
    """How often argmax_y p(x, y) is the label, by log p(x, y) (N, C)."""
    return (joint.argmax(1).cpu() == labels.cpu()).double().mean().item()
