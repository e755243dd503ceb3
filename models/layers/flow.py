"""What MAF and IAF share: units, a stack of autoregressive blocks, a standard normal base, and the capabilities.

The two differ in one thing only, which direction of a block is the single pass. A subclass says so with `_to_noise`
and `_to_data`; everything else is written once, here.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn

from ..contract import STRICT, Batch, Event, FamilyConfig, Invertible, MaximumLikelihood, Reparameterised, Width
from ..noise import uniform_rows
from .labels import chosen_labels, one_hot
from .made import AutoregressiveAffine, orders
from .normal import standard_normal_log_density
from .units import Units, bound_of, real_units


@validated(frozen=True, config=STRICT)
class AutoregressiveFlowConfig(FamilyConfig):
    """Configuration of a stack of MADE blocks."""

    blocks: int = Field(default=5, ge=1)
    """Autoregressive transforms, one after the other."""

    hidden: tuple[Width, ...] = Field(default=(256, 256), min_length=1, strict=False)
    """Widths of the hidden layers of each block's MADE network."""

    permutation: Literal["reverse", "random"] = "reverse"
    """Order of the dimensions in each block: alternately forward and backward, or random ones."""

    permutation_seed: int = Field(default=0, ge=0)
    """Seed of random orders; part of the model, since weights fit one order only."""

    alpha: float = Field(default=0.05, gt=0, lt=0.5)
    """α of the logit transform of integer events, which keeps it away from infinity; unused for vectors."""


class AutoregressiveFlow(MaximumLikelihood, Reparameterised, Invertible):
    """A normal base distribution and a stack of autoregressive blocks in the real units y of the data."""

    def __init__(self, config: Any, event: Event) -> None:
        super().__init__(config, event)
        self.units: Units = real_units(event, config.alpha)
        self.blocks = nn.ModuleList(
            AutoregressiveAffine(order, config.hidden, self.classes)
            for order in orders(event.dimensions, config.blocks, config.permutation, config.permutation_seed)
        )

    @abstractmethod
    def _to_noise(self, y: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """u (N, D) and log |det du/dy| (N,) of y (N, D)."""

    @abstractmethod
    def _to_data(self, u: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """y (N, D) and log |det dy/du| (N,) of u (N, D)."""

    def _through(self, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """All blocks in their quick direction: w (N, D) and log |det dw/dv| (N,), one pass per block."""
        log_det = v.new_zeros(len(v))
        for block in self.blocks:
            v, block_log_det = block(v, context)
            log_det = log_det + block_log_det
        return v, log_det

    def _back(self, w: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """All blocks in their slow direction: v (N, D) and log |det dv/dw| (N,), D passes per block."""
        log_det = w.new_zeros(len(w))
        for block in reversed(self.blocks):
            assert isinstance(block, AutoregressiveAffine)
            w, block_log_det = block.inverse(w, context)
            log_det = log_det + block_log_det
        return w, log_det

    @property
    def bound(self) -> str | None:
        return bound_of(self.event)

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        self.units.initialise(x)

    def log_likelihood(self, batch: Batch) -> Tensor:
        y, log_det = self.units(batch.x, batch.noise)
        return self.log_density(y, batch.labels) + log_det

    def log_density(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(y) (N,) of the real units, by the change of variables: log N(u; 0, I) + log |det du/dy|."""
        u, log_det = self._to_noise(y, one_hot(labels, self.classes))
        return standard_normal_log_density(u) + log_det

    def sample_density(self, u: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y (N, D) made of base noise u (N, D), and its log p(y) (N,), both differentiable."""
        y, log_det = self._to_data(u, one_hot(labels, self.classes))
        return y, standard_normal_log_density(u) - log_det

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        rows = uniform_rows(n, self.event.dimensions + 1, generator)
        chosen = chosen_labels(labels, self.classes, rows[:, -1])
        parameter = next(self.parameters())
        u = (torch.special.ndtri(rows[:, :-1]) * temperature).to(parameter)
        context = one_hot(chosen if chosen is None else chosen.to(u.device), self.classes)
        y, _ = self._to_data(u, context)
        return self.units.quantise(y)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        y, _ = self.units(x)
        return self._to_noise(y, one_hot(labels, self.classes))[0]

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.units.inverse(self._to_data(z, one_hot(labels, self.classes))[0])
