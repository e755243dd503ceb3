"""What all flows share: units, a bijection from the data to noise, a base distribution, and the capabilities.

    log p(y) = log p(u) + log |det du/dy|,      u = f(y)

A family says what its bijection f is; everything else is written once, here.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Annotated, Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from ...contract import (
    STRICT,
    Batch,
    Event,
    FamilyConfig,
    Invertible,
    MaximumLikelihood,
    Reparameterised,
)
from ...noise import Noise
from ..draws import draw
from ..labels import one_hot
from ..units import Units
from .bases import BASES, BaseName
from .bijections import Bijection
from .dequantisation import Dequantisation, real_units

Alpha = Annotated[float, Field(gt=0, lt=0.5)]


@validated(frozen=True, config=STRICT)
class FlowConfig(FamilyConfig):
    """What the configurations of all flows have in common."""

    alpha: Alpha | None = 0.05
    """α of the logit transform of integer events, y = logit(α + (1 - 2α) (x + u) / K); null for y = (x + u) / K. Unused
    for vectors."""

    dequantisation: Dequantisation = "uniform"
    """Noise u in [0, 1) that makes integers continuous: uniform, or learnt, which tightens the bound."""


class Flow(MaximumLikelihood, Reparameterised, Invertible):
    """A base distribution and a bijection f from the real units y of the data to its noise u."""

    parallel_sampling = True
    unbiased = True
    typed_columns = True
    units: Units

    def __init__(self, config: Any, event: Event, base: BaseName = "normal") -> None:
        super().__init__(config, event)
        self.units = real_units(event, config.alpha, config.dequantisation)
        self.base = BASES[base]()
        self.bijection = self.make_bijection()

    @abstractmethod
    def make_bijection(self) -> Bijection:
        """f, from y (N, D) to u (N, D), by the configuration and the event."""

    @property
    def sampling_passes(self) -> int:
        return self.bijection.inverse_passes

    @property
    def scoring_passes(self) -> int:
        return self.bijection.passes

    @property
    def bound(self) -> str | None:
        return self.units.bound

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        self.units.initialise(x)
        y, _ = self.units(x, Noise(generator, len(x), device=x.device))
        self.bijection.initialise(y, one_hot(labels, self.classes))

    def log_likelihood(self, batch: Batch) -> Tensor:
        y, log_det = self.units(batch.x, batch.noise)
        return self.log_density(y, batch.labels) + log_det

    def log_density(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(y) (N,) of the real units y (N, D)."""
        u, log_det = self.bijection(y, one_hot(labels, self.classes))
        return self.base.log_density(u) + log_det

    def sample_density(self, u: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y (N, D) made of standard normal noise u (N, D), and its log p(y) (N,), both differentiable."""
        u = self.base.from_normal(u)
        y, log_det = self.bijection.inverse(u, one_hot(labels, self.classes))
        return y, self.base.log_density(u) - log_det

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        weight = next(self.parameters())
        drawn = draw(n, self.event.dimensions, labels, self.label_shares, temperature, generator, weight)
        y, _ = self.bijection.inverse(self.base.from_normal(drawn.z), one_hot(drawn.labels, self.classes))
        return self.units.quantise(y)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        return self._codes_of(x, labels, None)

    def draw_codes(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        return self._codes_of(x, labels, noise)

    def _codes_of(self, x: Tensor, labels: Tensor | None, noise: Noise | None) -> Tensor:
        """Codes of the centres of bins, or of dequantised integers."""
        y, _ = self.units(x, noise)
        return self.base.to_normal(self.bijection(y, one_hot(labels, self.classes))[0])

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.units.inverse(self.bijection.inverse(self.base.from_normal(z), one_hot(labels, self.classes))[0])
