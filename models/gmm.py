"""Gaussian mixture: the oldest family, the baseline, and hard to beat on small data.

K Gaussians with weights; fitted by expectation-maximisation (each step raises the likelihood of its batch) or by
gradient. In real units y (N, D), with Σ_k diagonal, full, or low rank plus noise (probabilistic PCA):

    p(y) = Σ_k π_k N(y; μ_k, Σ_k)                       π_k|label for a conditional model
    E:  r_nk = π_k N(y_n; μ_k, Σ_k) / p(y_n)
    M:  π_k = mean_n r_nk,  μ_k = Σ_n r_nk y_n / Σ_n r_nk,  S_k = Σ_n r_nk (y_n-μ_k)(y_n-μ_k)ᵀ / Σ_n r_nk,
        Σ_k = S_k, or its diagonal, or W_k W_kᵀ + σ_k² I with the q leading eigenvectors U and eigenvalues λ of S_k:
        σ² = mean of the others,  W = U (λ - σ²)^½

Batches smaller than the data give stepwise EM (Cappé & Moulines, 2009): statistics move by (t+30)^-decay at step t, so
that what k-means has found is not thrown away by the first batch.

Dempster, Laird & Rubin, 1977; Tipping & Bishop, "Mixtures of Probabilistic Principal Component Analysers", 1999.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import (
    STRICT,
    Batch,
    Event,
    FamilyConfig,
    MaximumLikelihood,
    Player,
    RealDensity,
)
from .layers.draws import categorical, draw
from .layers.labels import known
from .layers.normal import standard_normal_log_density
from .layers.units import Units, fixed_units
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
    """Parameters: logits of π (1 or classes, K), means (K, D), and factors that make the covariances."""

    Config = GMMConfig
    parallel_sampling = True
    config: GMMConfig
    zeroth: Tensor
    first: Tensor
    second: Tensor
    em_steps: Tensor

    def __init__(self, config: GMMConfig, event: Event) -> None:
        super().__init__(config, event)
        K, D, rows = config.components, event.dimensions, max(1, self.classes)
        self.units: Units = fixed_units(event)
        self.rank = min(config.rank, D)
        self.logits = nn.Parameter(torch.zeros(rows, K))
        self.means = nn.Parameter(torch.randn(K, D))
        # log σ of every dimension: the noise of `low_rank`, the diagonal of the Cholesky factor of `full`.
        self.log_scale = nn.Parameter(torch.zeros(K, 1 if config.covariance == "low_rank" else D))
        shape = {"diagonal": (0, 0), "full": (D, D), "low_rank": (D, self.rank)}[config.covariance]
        self.factor = nn.Parameter(0.01 * torch.randn(K, *shape)) if config.covariance != "diagonal" else None
        # Running sufficient statistics of EM, double: E[yyᵀ] - μμᵀ cancels.
        self.register_buffer("zeroth", torch.zeros(rows, K, dtype=torch.float64))
        self.register_buffer("first", torch.zeros(K, D, dtype=torch.float64))
        second = (K, D) if config.covariance == "diagonal" else (K, D, D)
        self.register_buffer("second", torch.zeros(second, dtype=torch.float64))
        self.register_buffer("em_steps", torch.zeros((), dtype=torch.long))

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
            self._update_statistics(y, member, labels, kept=0.0)
            self._maximise()

    def _log_joint(self, y: Tensor, labels: Tensor | None) -> Tensor:
        """log π_k + log N(y; μ_k, Σ_k), (N, K)."""
        difference = y[:, None] - self.means  # (N, K, D)
        log_scale = self.log_scale.expand(self.means.shape)
        if self.config.covariance == "diagonal":
            white, log_det = difference * torch.exp(-log_scale), log_scale.sum(1)
        else:
            tril = self._cholesky()
            white = torch.linalg.solve_triangular(tril, difference.permute(1, 2, 0), upper=False).permute(2, 0, 1)
            log_det = tril.diagonal(dim1=1, dim2=2).log().sum(1)
        log_normal = standard_normal_log_density(white) - log_det
        return F.log_softmax(self.logits, 1)[self._label_rows(labels, len(y))] + log_normal

    def _label_rows(self, labels: Tensor | None, n: int) -> Tensor:
        """The row of `logits` that each of n examples uses."""
        return torch.zeros(n, dtype=torch.long, device=self.logits.device) if not self.classes else known(labels).long()

    def _cholesky(self) -> Tensor:
        """Cholesky factors (K, D, D) of the covariances."""
        assert self.factor is not None
        if self.config.covariance == "full":
            return self.factor.tril(-1) + torch.diag_embed(self.log_scale.exp())
        noise = torch.diag_embed((2 * self.log_scale).exp().expand(self.means.shape))
        with torch.autocast(noise.device.type, enabled=False):  # in bfloat16 the product is not positive definite
            return torch.linalg.cholesky(self.factor @ self.factor.mT + noise)

    def log_likelihood(self, batch: Batch) -> Tensor:
        y, log_det = self.units(batch.x, batch.noise)
        return self.log_density(y, batch.labels) + log_det

    def log_density(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        return self._log_joint(y, labels).logsumexp(1)

    @torch.no_grad()
    def _expectation_maximisation(self, batch: Batch) -> None:
        """One E and one M step on the global batch."""
        y, _ = self.units(batch.x, batch.noise)
        responsibility = self._log_joint(y, batch.labels).softmax(1)
        kept = 1 - float(self.em_steps + MADE_BEFORE) ** -self.config.step_decay
        self.em_steps += 1
        self._update_statistics(y, responsibility, batch.labels, kept)
        self._maximise()

    def _update_statistics(self, y: Tensor, responsibility: Tensor, labels: Tensor | None, kept: float) -> None:
        """Mix `kept` of the running statistics with those of y (N, D) and its responsibilities (N, K)."""
        y, responsibility = y.double(), responsibility.double()
        n = sum_over_workers(y.new_full((), len(y)))
        zeroth = torch.zeros_like(self.zeroth).index_add_(0, self._label_rows(labels, len(y)), responsibility)
        if self.config.covariance == "diagonal":
            second = responsibility.T @ y.square()
        else:
            second = torch.stack([(y * weight[:, None]).T @ y for weight in responsibility.T])
        for statistic, new in ((self.zeroth, zeroth), (self.first, responsibility.T @ y), (self.second, second)):
            statistic.mul_(kept).add_(sum_over_workers(new) / n, alpha=1 - kept)

    def _maximise(self) -> None:
        """The M step from the running statistics."""
        tiny = torch.finfo(self.logits.dtype).tiny
        self.logits.copy_((self.zeroth / self.zeroth.sum(1, keepdim=True).clamp_min(tiny)).clamp_min(tiny).log())
        weight = self.zeroth.sum(0).clamp_min(1e-10)
        means = self.first / weight[:, None]
        self.means.copy_(means)
        if self.config.covariance == "diagonal":
            variance = self.second / weight[:, None] - means.square()
            self.log_scale.copy_(0.5 * (variance.clamp_min(0) + self.config.variance_floor).log())
        else:
            self._set_covariances(self.second / weight[:, None, None] - means[:, :, None] * means[:, None])

    def _set_covariances(self, S: Tensor) -> None:
        """Take the covariances (K, D, D), floored, or what of them the shape can hold."""
        floor = self.config.variance_floor
        variance = S.diagonal(dim1=1, dim2=2).clamp_min(0) + floor
        if self.factor is None:
            self.log_scale.copy_(0.5 * variance.log())
        elif self.config.covariance == "full":
            tril = torch.linalg.cholesky(S + floor * torch.eye(S.shape[1], dtype=S.dtype, device=S.device))
            self.factor.copy_(tril)
            self.log_scale.copy_(tril.diagonal(dim1=1, dim2=2).log())
        else:
            eigenvalues, vectors = torch.linalg.eigh(S)  # ascending
            rest = eigenvalues[:, : S.shape[1] - self.rank]
            noise = rest.clamp_min(0).sum(1) / max(1, rest.shape[1]) + floor
            leading = (eigenvalues[:, -self.rank :] - noise[:, None]).clamp_min(0)
            self.factor.copy_(vectors[:, :, -self.rank :] * leading.sqrt()[:, None])
            self.log_scale.copy_(0.5 * noise.log()[:, None])

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw a component k, then y = μ_k + T Σ_k^½ ε."""
        D = self.event.dimensions
        drawn = draw(n, D, labels, self.classes, temperature, generator, self.means, uniform=1)
        weights = self.logits.softmax(1)[self._label_rows(drawn.labels, n)].double()
        k = categorical(weights, drawn.u[:, 0])
        if self.config.covariance == "diagonal":
            deviation = self.log_scale[k].exp() * drawn.z
        else:
            deviation = torch.einsum("nde,ne->nd", self._cholesky()[k], drawn.z)
        return self.units.quantise(self.means[k] + deviation)
