"""Components that are Gaussians in real units y (N, D): N(y; μ_k, Σ_k), with what is known of y given.

The conditionals of a Gaussian are Gaussian. A draw ỹ of all numbers becomes one given y_c, by Matheron's rule:

    y = ỹ + Σ_·c Σ_cc⁻¹ (y_c - ỹ_c)

Integers are known to lie in bins, of which the middle stands for them here: their conditionals are nearly exact.

Journel & Huijbregts, "Mining Geostatistics", 1978; Wilson et al., 2020 (arXiv:2002.09309).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .gmm_components import Components, Sums
from .gmm_covariances import Covariances
from .layers.draws import Draw
from .layers.units import Units
from .noise import Noise


@dataclass(frozen=True)
class Gaussians(Components):
    """A look at the modules and the parameters of a mixture, which own the weights."""

    units: Units
    means: nn.Parameter
    covariances: Covariances
    floor: float  # of variances

    @property
    def normals(self) -> int:
        return self.covariances.noise

    @property
    def uniforms(self) -> int:
        return 0

    @property
    def numbers_of_sums(self) -> int:
        return self.means.numel() + self.covariances.numbers_of_sums()

    @property
    def bound(self) -> str | None:
        return self.units.bound

    def see(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """The real units, and log |det dy/dx|."""
        y, log_det = self.units(x, noise)
        return y, log_det

    def initialise(self, x: Tensor) -> None:
        self.units.initialise(x)

    def points(self, x: Tensor) -> Tensor:
        return self.see(x)[0]

    def start(self, y: Tensor, member: Tensor, centres: Tensor) -> None:
        self.means.copy_(centres)
        self.covariances.start(y, member)

    def log_density(self, y: Tensor) -> Tensor:
        return self.covariances.log_normal(y, self.means)

    def log_density_of_known(self, y: Tensor, known: Tensor) -> Tensor:
        log_p = torch.zeros(len(y), len(self.means), dtype=torch.float64, device=y.device)
        for rows, places in _alike(known):
            difference = y[rows][:, None, places].double() - self.means[:, places].double()
            log_p[rows] = self.covariances.log_marginal(difference, places)
        return log_p

    def knows_exactly(self, known: Tensor) -> bool:
        return self.bound is None or not known.any() or bool(known.all())

    def sums(self, y: Tensor, r: Tensor) -> Sums:
        y = y.double()
        return {"first": r.T @ y, **self.covariances.sums(y, r, self.means.double())}

    def maximise(self, weight: Tensor, sums: Mapping[str, Tensor]) -> None:
        self.means.copy_(self.covariances.maximise(weight, sums["first"], dict(sums), self.floor))

    def draw(self, component: Tensor, drawn: Draw, temperature: float, given: tuple[Tensor, Tensor] | None) -> Tensor:
        """y = μ_k + T Σ_k^½ ε, and then as the given numbers have it."""
        y = self.means[component]
        for k in component.unique().tolist():
            rows = component == k
            y[rows] += self.covariances.deviation(k, drawn.z[rows])
        if given is not None:
            y = self._conditioned(y, component, *given)
        return self.units.quantise(y)

    def _conditioned(self, drawn: Tensor, component: Tensor, y: Tensor, known: Tensor) -> Tensor:
        """Draws (N, D) of components (N,), given y (N, D) where a mask (N, D) is true."""
        moved = drawn.clone()
        for rows, places in _alike(known):
            for k in component[rows].unique().tolist():
                mine = rows[component[rows] == k]
                difference = (y[mine][:, places] - drawn[mine][:, places]).double()
                moved[mine] += self.covariances.regression(k, difference, places).to(drawn)
        return torch.where(known, y.to(moved), moved)


def _alike(known: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The rows of which the same is known, for each mask among masks (N, D), and the places that are, if any are."""
    masks, which = torch.unique(known, dim=0, return_inverse=True)
    for number, mask in enumerate(masks):
        if mask.any():
            yield (which == number).nonzero()[:, 0], mask.nonzero()[:, 0]
