"""Negative log-likelihood in the units of the field."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from models.contract import Density, Event


@dataclass(frozen=True)
class Likelihood:
    """Mean negative log-likelihood per example in nats, and its standard error over the examples."""

    nats: float
    standard_error: float
    count: int

    def bits_per_dim(self, event: Event) -> float:
        """Bits per dimension of the discrete data."""
        return self.nats / (event.dimensions * math.log(2))


@torch.no_grad()
def negative_log_likelihood(
    model: Density, batches: Iterable[tuple[Tensor, Tensor | None]], generator: torch.Generator
) -> Likelihood:
    """The mean of -log p(x | label) over batches, exact or bounded as the model is."""
    values = torch.cat([-model.log_prob(x, labels, generator).double().cpu() for x, labels in batches])
    deviation = values.std(correction=1) if len(values) > 1 else torch.tensor(math.nan)
    return Likelihood(values.mean().item(), (deviation / len(values) ** 0.5).item(), len(values))


def objective_name(event: Event) -> str:
    """The unit in which a density is validated: bits per dimension of integers, nats of vectors."""
    return "val_nll_nats" if event.levels is None else "val_nll_bits_per_dim"


def in_objective_unit(likelihood: Likelihood, event: Event) -> float:
    """The negative log-likelihood in the unit that `objective_name` names."""
    return likelihood.nats if event.levels is None else likelihood.bits_per_dim(event)
