"""Gaussian mixture: the oldest family, the baseline, and hard to beat on small data.

K Gaussians with weights; fitted by expectation-maximisation (each step raises the likelihood of its batch) or by
gradient. In real units y (N, D), with Σ_k diagonal, full, or low rank plus noise (probabilistic PCA):

    p(y) = Σ_k π_k N(y; μ_k, Σ_k)                       π_k|label for a conditional model
    E:  r_nk = π_k N(y_n; μ_k, Σ_k) / p(y_n)
    M:  π_k = mean_n r_nk,  μ_k = Σ_n r_nk y_n / Σ_n r_nk,  Σ_k = Σ_n r_nk (y_n-μ_k)(y_n-μ_k)ᵀ / Σ_n r_nk, or its
        diagonal; for W_k W_kᵀ + σ_k² I see gmm_covariances.py

Batches smaller than the data give stepwise EM (Cappé & Moulines, 2009): statistics move by (t+30)^-decay at step t, so
that what k-means has found is not thrown away by the first batch.

Dempster, Laird & Rubin, 1977; Tipping & Bishop, "Mixtures of Probabilistic Principal Component Analysers", 1999.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import STRICT, Batch, Event, FamilyConfig, MaximumLikelihood, Player, RealDensity
from .gmm_covariances import NOBODY, Covariances, Diagonal, Full, LowRank, Sums
from .layers.draws import categorical, draw
from .layers.inputs import fixed_units
from .layers.labels import known
from .layers.units import Units
from .layers.workers import sum_over_workers

LLOYD_STEPS = 30  # of k-means, for the start
MADE_BEFORE = 30  # steps of stepwise EM for which the start counts


@validated(frozen=True, config=STRICT)
class GMMConfig(FamilyConfig):
    """Configuration of the Gaussian mixture."""

    components: int = Field(default=10, ge=1)
    """K, the number of Gaussians."""

    covariance: Literal["full", "diagonal", "low_rank"] = "full"
    """The shape of each Σ_k."""

    rank: int = Field(default=8, ge=1)
    """q, the columns of W_k of a low-rank covariance; at most D."""

    fit: Literal["em", "gradient"] = "em"
    """Expectation-maximisation, or Adam on the log-likelihood."""

    step_decay: float = Field(default=0.0, ge=0, le=1)
    """Step t of EM keeps 1 - (t+30)^-decay of the statistics so far; 0 keeps none (plain EM, for whole batches)."""

    variance_floor: float = Field(default=1e-6, gt=0)
    """Added to every variance, in the real units."""


class GMM(MaximumLikelihood, RealDensity):
    """Parameters: logits of π (1 or classes, K), means (K, D), and those of the covariances."""

    Config = GMMConfig
    parallel_sampling = True
    unbiased = True
    typed_columns = True
    config: GMMConfig

    def __init__(self, config: GMMConfig, event: Event) -> None:
        super().__init__(config, event)
        K, D = config.components, event.dimensions
        self.units: Units = fixed_units(event)
        self.logits = nn.Parameter(torch.zeros(max(1, self.classes), K))
        self.means = nn.Parameter(torch.randn(K, D))
        shapes: Mapping[str, Callable[[int, int], Covariances]] = {
            "diagonal": Diagonal,
            "full": Full,
            "low_rank": partial(LowRank, rank=min(config.rank, D)),
        }
        self.covariances: Covariances = shapes[config.covariance](K, D)
        self._running: Sums = {}  # of stepwise EM, per example
        self._em_steps = torch.zeros((), dtype=torch.long)

    @property
    def bound(self) -> str | None:
        return self.units.bound

    @property
    def scoring_passes(self) -> int:
        return 1

    @property
    def sampling_passes(self) -> int:
        return 1

    def players(self) -> list[Player]:
        """One player: maximum likelihood, by EM or by gradient."""
        config = self.config
        closed_form = self._expectation_maximisation if config.fit == "em" else None
        return [
            Player(
                "mixture",
                self,
                self._loss,
                config.learning_rate,
                weight_decay=config.weight_decay,
                closed_form=closed_form,
            )
        ]

    def working_state(self) -> dict[str, Tensor]:
        return {"em_steps": self._em_steps, **self._running}

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        """The mixture of the clusters that k-means finds, from k-means++ seeds (Arthur & Vassilvitskii, 2007)."""
        self.units.initialise(x)
        y, _ = self.units(x)
        centres = y[torch.randint(len(y), (1,), generator=generator)]
        for _ in range(1, self.config.components):
            squared_distance = torch.cdist(y, centres).amin(1).square().cpu()
            if squared_distance.sum() == 0:  # fewer distinct examples than components: repeat one
                squared_distance = torch.ones_like(squared_distance)
            centres = torch.cat([centres, y[torch.multinomial(squared_distance, 1, generator=generator)]])
        for _ in range(LLOYD_STEPS):
            member = F.one_hot(torch.cdist(y, centres).argmin(1), len(centres)).to(y.dtype)
            centres = torch.where(member.sum(0)[:, None] > 0, member.T @ y / member.sum(0)[:, None], centres)
        with torch.no_grad():
            self.means.copy_(centres)
            self.covariances.start(y, member)
            sums = self._sums(y, member, labels)
            self._running = sums if self.config.step_decay else {}
            self._maximise(sums)

    def _log_joint(self, y: Tensor, labels: Tensor | None) -> Tensor:
        """log π_k + log N(y; μ_k, Σ_k), (N, K)."""
        log_normal = self.covariances.log_normal(y, self.means)
        return F.log_softmax(self.logits, 1)[self._label_rows(labels, len(y))] + log_normal

    def _label_rows(self, labels: Tensor | None, n: int) -> Tensor:
        """The row of `logits` that each of n examples uses."""
        return torch.zeros(n, dtype=torch.long, device=self.logits.device) if not self.classes else known(labels).long()

    def log_likelihood(self, batch: Batch) -> Tensor:
        y, log_det = self.units(batch.x, batch.noise)
        return self.log_density(y, batch.labels) + log_det

    def log_density(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        return self._log_joint(y, labels).logsumexp(1)

    @torch.no_grad()
    def _expectation_maximisation(self, batch: Batch) -> None:
        """One E and one M step on the global batch."""
        y, _ = self.units(batch.x, batch.noise)
        sums = self._sums(y, self._log_joint(y, batch.labels).softmax(1), batch.labels)
        if self._running:
            share = float(self._em_steps + MADE_BEFORE) ** -self.config.step_decay
            for name, new in sums.items():
                self._running[name].mul_(1 - share).add_(new, alpha=share)
            sums = self._running
        self._em_steps += 1
        self._maximise(sums)

    def _sums(self, y: Tensor, responsibility: Tensor, labels: Tensor | None) -> Sums:
        """What the M step needs of y (N, D) and responsibilities (N, K): per example, over all workers, in double.

        In double since what is left of a sum of squares without the mean's may be little.
        """
        y, r = y.double(), responsibility.double()
        zeroth = r.new_zeros(self.logits.shape).index_add_(0, self._label_rows(labels, len(y)), r)
        sums = {"zeroth": zeroth, "first": r.T @ y, **self.covariances.sums(y, r, self.means.double())}
        n = sum_over_workers(y.new_full((), len(y)))
        return {name: sum_over_workers(each) / n for name, each in sums.items()}

    def _maximise(self, sums: Mapping[str, Tensor]) -> None:
        """The M step."""
        tiny = torch.finfo(self.logits.dtype).tiny
        zeroth = sums["zeroth"]
        self.logits.copy_((zeroth / zeroth.sum(1, keepdim=True).clamp_min(tiny)).clamp_min(tiny).log())
        weight = zeroth.sum(0).clamp_min(NOBODY)
        self.means.copy_(self.covariances.maximise(weight, sums["first"], dict(sums), self.config.variance_floor))

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw a component k, then y = μ_k + T Σ_k^½ ε."""
        drawn = draw(
            n, self.covariances.noise, labels, self.label_shares, temperature, generator, self.means, uniform=1
        )
        weights = self.logits.softmax(1)[self._label_rows(drawn.labels, n)].double()
        component = categorical(weights, drawn.u[:, 0])
        y = self.means[component]
        for k in component.unique().tolist():
            rows = component == k
            y[rows] += self.covariances.deviation(k, drawn.z[rows])
        return self.units.quantise(y)
