"""Gaussian mixture: the oldest family, the baseline, and hard to beat on small data.

K components with weights; fitted by expectation-maximisation (each step raises the likelihood of its batch) or by
gradient. They are Gaussians in real units y (N, D), Σ_k diagonal, full, or low rank plus noise (probabilistic PCA):

    p(y) = Σ_k π_k N(y; μ_k, Σ_k)                       π_k|label for a conditional model
    E:  r_nk = π_k N(y_n; μ_k, Σ_k) / p(y_n)
    M:  π_k = mean_n r_nk,  μ_k = Σ_n r_nk y_n / Σ_n r_nk,  Σ_k = Σ_n r_nk (y_n-μ_k)(y_n-μ_k)ᵀ / Σ_n r_nk, or its
        diagonal; for W_k W_kᵀ + σ_k² I see gmm_covariances.py

Of a table, whose columns have types, a Gaussian sees the rows made continuous, and bounds their likelihood. With
`covariance: diagonal` a component is a product of a likelihood per column instead, and the mixture is exact: see
gmm_columns.py. What is missing of an example is drawn given what is known: see gmm_gaussians.py and gmm_columns.py.

Batches smaller than the data give stepwise EM (Cappé & Moulines, 2009): statistics move by (t+30)^-decay at step t, so
that what k-means has found is not thrown away by the first batch.

When to use it: first, on any data: it trains in seconds, and what does not beat it is not worth its cost. On tables
with `covariance: diagonal` it is exact, and completes any gaps exactly.

Dempster, Laird & Rubin, 1977; Tipping & Bishop, "Mixtures of Probabilistic Principal Component Analysers", 1999.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import STRICT, Batch, Completion, Event, FamilyConfig, MaximumLikelihood, Player, RealDensity
from .gmm_columns import Columns
from .gmm_components import NOBODY, Components, Sums
from .gmm_covariances import Covariances, Diagonal, Full, LowRank
from .gmm_gaussians import Gaussians
from .gmm_start import k_means
from .layers.draws import categorical, draw
from .layers.inputs import fixed_units
from .layers.labels import known as labels_of
from .layers.units import Units
from .layers.workers import sum_over_workers

MADE_BEFORE = 30  # steps of stepwise EM for which the start counts


@validated(frozen=True, config=STRICT)
class GMMConfig(FamilyConfig):
    """Configuration of the Gaussian mixture."""

    components: int = Field(default=10, ge=1)
    """K, the number of components."""

    covariance: Literal["full", "diagonal", "low_rank"] = "full"
    """The shape of each Σ_k. Of a table diagonal alone is exact, a product of a likelihood per column; full and
    low_rank are Gaussians of the rows made continuous, and their likelihood is a bound."""

    rank: int = Field(default=8, ge=1)
    """q, the columns of W_k of a low-rank covariance; at most D."""

    fit: Literal["em", "gradient"] = "em"
    """Expectation-maximisation, or Adam on the log-likelihood."""

    step_decay: float = Field(default=0.0, ge=0, le=1)
    """Step t of EM keeps 1 - (t+30)^-decay of the statistics so far; 0 keeps none (plain EM, for whole batches)."""

    variance_floor: float = Field(default=1e-6, gt=0)
    """Added to every variance, in the real units; of a product of columns the least variance, on a column's scale."""

    pseudo_examples: float = Field(default=1e-4, gt=0)
    """Of products of columns: EM counts for each component, and for each training example, so many pseudo-examples that
    are distributed as the columns are. So what a component has never seen is rare, and not impossible."""


class GMM(MaximumLikelihood, RealDensity, Completion):
    """Parameters: logits of π (1 or classes, K), and those of the components.

    Of Gaussians these are means (K, D), and those of the covariances; of products those of `columns`.
    """

    Config = GMMConfig
    parallel_sampling = True
    unbiased = True
    typed_columns = True
    needs_to_teach = "of a table a gmm can teach with covariance: full or low_rank"
    approximation = "a known integer, or name or gap of a table, counts as the middle of its bin"
    config: GMMConfig
    units: Units

    def __init__(self, config: GMMConfig, event: Event) -> None:
        super().__init__(config, event)
        K, D = config.components, event.dimensions
        self.logits = nn.Parameter(torch.zeros(max(1, self.classes), K))
        self._running: Sums = {}  # of stepwise EM, per example
        self._em_steps = torch.zeros((), dtype=torch.long)
        self.columns: Columns | None = None
        if event.kind == "table" and config.covariance == "diagonal":
            self.columns = Columns(K, event, config.variance_floor, config.pseudo_examples)
            return
        self.units = fixed_units(event)
        self.means = nn.Parameter(torch.randn(K, D))
        shapes: Mapping[str, Callable[[int, int], Covariances]] = {
            "diagonal": Diagonal,
            "full": Full,
            "low_rank": partial(LowRank, rank=min(config.rank, D)),
        }
        self.covariances: Covariances = shapes[config.covariance](K, D)

    @property
    def components(self) -> Components:
        """What the mixture is of."""
        if self.columns is not None:
            return self.columns
        return Gaussians(self.units, self.means, self.covariances, self.config.variance_floor)

    @property
    def bound(self) -> str | None:
        return self.components.bound

    @property
    def teaches(self) -> bool:
        """Gaussians have a density of real units."""
        return self.columns is None

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

    @property
    def working_bytes(self) -> int:
        """The sums of EM, in double, their running ones, and what the M step makes of them before it has the weights.

        A full covariance is summed, centred and factored.
        """
        if self.config.fit != "em":
            return 0
        copies = 3 if self.config.step_decay == 0 else 4
        return 8 * copies * (self.logits.numel() + self.components.numbers_of_sums)

    def lighter(self, share: float) -> list[dict[str, Any]]:
        """Another shape of covariance, or fewer components, in proportion."""
        shapes = {"full": ("low_rank", "diagonal"), "low_rank": ("diagonal",), "diagonal": ()}[self.config.covariance]
        fewer = int(self.config.components * share)
        return [*({"covariance": shape} for shape in shapes), *({"components": n} for n in (fewer,) if n > 0)]

    def working_state(self) -> dict[str, Tensor]:
        return {"em_steps": self._em_steps, **self._running}

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        """The mixture of the clusters that k-means finds."""
        self.components.initialise(x)
        y, _ = self.components.see(x)
        member, centres = k_means(self.components.points(x), self.config.components, generator)
        with torch.no_grad():
            self.components.start(y, member, centres)
            sums = self._sums(y, member, labels)
            self._running = sums if self.config.step_decay else {}
            self._maximise(sums)

    def log_likelihood(self, batch: Batch) -> Tensor:
        y, beside = self.components.see(batch.x, batch.noise)
        return self._log_joint(y, batch.labels).logsumexp(1) + beside

    def log_density(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        assert self.teaches
        return self._log_joint(y, labels).logsumexp(1)

    def _log_joint(self, y: Tensor, labels: Tensor | None) -> Tensor:
        """log π_k + log p(y | k), (N, K)."""
        log_density = self.components.log_density(y)
        return F.log_softmax(self.logits, 1)[self._label_rows(labels, len(y))] + log_density

    def _label_rows(self, labels: Tensor | None, n: int) -> Tensor:
        """The row of `logits` that each of n examples uses."""
        if not self.classes:
            return torch.zeros(n, dtype=torch.long, device=self.logits.device)
        return labels_of(labels).long()

    @torch.no_grad()
    def _expectation_maximisation(self, batch: Batch) -> None:
        """One E and one M step on the global batch."""
        y, _ = self.components.see(batch.x, batch.noise)
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
        r = responsibility.double()
        zeroth = r.new_zeros(self.logits.shape).index_add_(0, self._label_rows(labels, len(y)), r)
        sums = {"zeroth": zeroth, **self.components.sums(y, r)}
        n = sum_over_workers(r.new_full((), len(y)))
        return {name: sum_over_workers(each) / n for name, each in sums.items()}

    def _maximise(self, sums: Mapping[str, Tensor]) -> None:
        """The M step."""
        tiny = torch.finfo(self.logits.dtype).tiny
        zeroth = sums["zeroth"]
        self.logits.copy_((zeroth / zeroth.sum(1, keepdim=True).clamp_min(tiny)).clamp_min(tiny).log())
        self.components.maximise(zeroth.sum(0).clamp_min(NOBODY), sums)

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw a component k, then an example of it."""
        return self._draw(n, labels, temperature, generator, None)

    def completes_exactly(self, known: Tensor) -> bool:
        return self.components.knows_exactly(known)

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw a component by p(k | x_known), and a label if there is none, then what is missing."""
        x, known = x.to(self.logits.device), known.to(self.logits.device).expand(len(x), *self.event.shape)
        labels = None if labels is None else labels.to(self.logits.device)
        y, _ = self.components.see(torch.where(known, x, 0))  # whatever stands for what is missing
        drawn = self._draw(len(x), labels, temperature, generator, (y, known.flatten(1)))
        return torch.where(known, x, drawn)

    def _draw(
        self,
        n: int,
        labels: Tensor | None,
        temperature: float,
        generator: torch.Generator | None,
        given: tuple[Tensor, Tensor] | None,
    ) -> Tensor:
        """n examples, whose numbers y (n, D) are `given` where a mask (n, D) is true."""
        log_known = None if given is None else self.components.log_density_of_known(*given)
        width, uniform = self.components.normals, 1 + self.components.uniforms
        shares = self._label_shares(log_known)
        drawn = draw(n, width, labels, shares, temperature, generator, self.logits, uniform)
        rows = self._label_rows(drawn.labels, n)
        if log_known is None:
            weights = self.logits.softmax(1)[rows].double()
        else:
            weights = (F.log_softmax(self.logits.double(), 1)[rows] + log_known).softmax(1)
        return self.components.draw(categorical(weights, drawn.u[:, 0]), drawn, temperature, given)

    def _label_shares(self, log_known: Tensor | None) -> Sequence[float] | Tensor:
        """p(label), or p(label | x_known) (N, C) by log p(x_known | k) (N, K); () if unconditional."""
        if log_known is None or not self.classes:
            return self.label_shares
        by_class = F.log_softmax(self.logits.double(), 1) + log_known[:, None]
        return self.joint(by_class.logsumexp(2)).softmax(1)
