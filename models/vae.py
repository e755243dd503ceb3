"""Variational autoencoder: a latent code z explains each example, and a second network guesses the code.

The decoder p(x|z) generates, the encoder q(z|x) makes learning it possible: together they bound the likelihood from
below, and training raises the bound.

    -ELBO = E_q[-log p(x|z)] + KL(q(z|x) ‖ p(z)) = distortion + rate          (training: distortion + β · rate)
    log p(x) ≥ log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x),  z_k ~ q(z|x)          (evaluation: tighter as K grows)

The posterior is a Gaussian, z = μ(x) + σ(x) ε, whose KL is known in closed form; or that Gaussian z_0 led through
inverse autoregressive steps, whose KL is estimated from the sample that training draws anyway:

    z_t = σ_t ⊙ z_{t-1} + (1 - σ_t) ⊙ m_t,   m_t and log σ_t at j functions of z_{t-1} before j, and of h(x)
    log q(z|x) = Σ_j [-½ ε_j² - ½ log 2π - log σ_j(x) - Σ_t log σ_{t,j}]

Against codes that say nothing (posterior collapse): a β that rises from 0 (`kl_warmup_steps`), or λ nats per dimension
that cost nothing (`free_bits`): rate = Σ_j max(λ, E_x[KL_j]).

Shapes: x (N, *event), z (N, L), both (C, N, ·) where there are C codes of each example. Likelihoods are those of the
data's own units (`vae_decoders.py`), networks those of `layers/coders.py`.

When to use it: for codes with a meaning, samples in one pass and a bound on the likelihood, of any kind of data,
levels without an order included. Samples of images are smoother than the data.

Kingma & Welling, "Auto-Encoding Variational Bayes", 2013 (arXiv:1312.6114); β: Higgins et al., 2017; the bound with K
samples, also as a training objective, and active units: Burda, Grosse & Salakhutdinov, "Importance Weighted
Autoencoders", 2015 (arXiv:1509.00519); free bits and the IAF posterior: Kingma et al., "Improving Variational Inference
with Inverse Autoregressive Flow", 2016 (arXiv:1606.04934); warm-up: Sønderby et al., 2016 (arXiv:1602.02282).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import (
    STRICT,
    Batch,
    Density,
    Event,
    Family,
    Features,
    Latent,
    Player,
    Width,
)
from .layers.autoregressive.masked import MaskedMLP, orders
from .layers.coders import CoderConfig, code_of_any_class, decoder, encoder
from .layers.draws import draw
from .layers.inputs import lens, network_input
from .layers.labels import one_hot
from .layers.normal import bounded
from .layers.precision import at_least_float32
from .layers.units import Standardised
from .layers.workers import mean_over_rows
from .noise import Noise
from .vae_decoders import DecoderName, likelihood

ROWS = 2048  # of codes in one call of the decoder: enough to be quick, few enough for the caches and for memory
ACTIVE = 1e-2  # variance over examples above which a unit's posterior mean counts as active (Burda et al.)


@validated(frozen=True, config=STRICT)
class VAEConfig(CoderConfig):
    """Configuration of the VAE."""

    decoder: DecoderName = "bernoulli"
    """p(x|z) of each dimension: K-1 Bernoulli trials or a discretised logistic (integer events only), a Gaussian, or
    any distribution over the K levels (integer events only; the one decoder for levels that are names). The columns of
    a table have the distributions of their types."""

    variance: float | None = Field(default=None, gt=0)
    """Variance of the Gaussian or logistic decoder, in units of half the range of integers or of the standardised
    vectors; null learns one per dimension."""

    posterior: Literal["diagonal", "iaf"] = "diagonal"
    """q(z|x): a Gaussian with independent dimensions, or one led through inverse autoregressive steps."""

    iaf_blocks: int = Field(default=2, ge=1)
    """Steps of an IAF posterior, through the dimensions alternately forward and backward."""

    iaf_hidden: tuple[Width, ...] = Field(default=(128,), min_length=1, strict=False)
    """Widths of the hidden layers of each step's MADE; the encoder's further output h has the first of them."""

    kl_weight: float = Field(default=1.0, ge=0)
    """β, the weight of the rate in the training loss. It does not change what is evaluated."""

    kl_warmup_steps: int = Field(default=0, ge=0)
    """Steps in which the weight of the rate rises from 0 to β."""

    free_bits: float = Field(default=0.0, ge=0)
    """λ, the nats of rate per latent dimension, on average over a batch, that cost nothing in training."""

    training_samples: int = Field(default=1, ge=1)
    """Codes per example in training; more than one train the importance-weighted bound."""

    importance_samples: int = Field(default=64, ge=1)
    """K, the codes per example of the bound that `log_prob` returns."""

    @field_validator("training_samples")
    @classmethod
    def _whole_bound(cls, samples: int, info: ValidationInfo) -> int:
        """The importance-weighted bound does not fall into a distortion and a rate."""
        neutral = {"kl_weight": 1.0, "kl_warmup_steps": 0, "free_bits": 0.0}
        changed = [
            f"{name}: {info.data[name]}" for name in neutral if info.data.get(name, neutral[name]) != neutral[name]
        ]
        if samples > 1 and changed:
            raise ValueError(
                f"the importance-weighted bound has no rate to weigh: set it to 1, or leave out {changed[0]}"
            )
        return samples


@dataclass(frozen=True)
class Posterior:
    """q(z|x) of N examples: mean and log standard deviation (N, L) of the Gaussian, and h (N, H) for IAF steps."""

    mean: Tensor
    log_std: Tensor
    h: Tensor | None


class IAFSteps(nn.Module):
    """The steps from the Gaussian's codes to those of an IAF posterior."""

    START = 1.5  # added to the logit of σ, so that the steps begin by changing little: "sufficiently positive"

    def __init__(self, latent: int, blocks: int, hidden: tuple[int, ...]) -> None:
        super().__init__()
        self.mades = nn.ModuleList(
            MaskedMLP([order], hidden, outputs=2, context=hidden[0]) for order in orders(latent, blocks, "reverse", 0)
        )

    def forward(self, z: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """The codes (M, L) that z (M, L) become, given h (M, H), and Σ_t log σ_t (M, L): log |det| per dimension."""
        log_det = torch.zeros_like(z)
        for made in self.mades:
            m, logit = made(z, h).to(z.dtype).unbind(-1)
            log_sigma = F.logsigmoid(logit + self.START)
            z = m + log_sigma.exp() * (z - m)
            log_det = log_det + log_sigma
        return z, log_det


class VAE(Family, Density, Latent, Features):
    """An encoder, a decoder network, and the likelihood p(x|z) of its outputs."""

    Config = VAEConfig
    parallel_sampling = True
    config: VAEConfig

    def __init__(self, config: VAEConfig, event: Event) -> None:
        super().__init__(config, event)
        self.units = lens(event)
        self.likelihood = likelihood(config.decoder, event, config.variance)
        sizes = (self.classes, config.architecture, config.hidden, config.width)
        context = config.iaf_hidden[0] if config.posterior == "iaf" else 0
        self.encoder = encoder(event, 2 * config.latent + context, *sizes)
        self.decoder = decoder(event, config.latent, *sizes, self.likelihood.outputs)
        self.iaf = IAFSteps(config.latent, config.iaf_blocks, config.iaf_hidden) if context else None

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        """It has a decoder for every event."""
        return None

    @property
    def bound(self) -> str | None:
        return f"IWAE, K={self.config.importance_samples}"

    @property
    def scoring_passes(self) -> int:
        return 2

    @property
    def sampling_passes(self) -> int:
        return 1

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        if self.units is not None:
            self.units.initialise(x)

    # Training

    def players(self) -> list[Player]:
        """One player, which minimises distortion + β · rate in nats per dimension."""
        config = self.config
        return [Player("vae", self, self._loss, config.learning_rate, weight_decay=config.weight_decay)]

    def _loss(self, batch: Batch) -> Tensor:
        if self.config.training_samples > 1:
            return -self._importance_weighted(batch, self.config.training_samples).mean() / self.event.dimensions
        distortion, rates = self._distortion_and_rates(batch)
        if self.config.free_bits:
            rate = mean_over_rows(rates).clamp_min(self.config.free_bits).sum()
        else:
            rate = rates.sum(1).mean()
        return (distortion.mean() + self._kl_weight(batch.step) * rate) / self.event.dimensions

    def _kl_weight(self, step: Tensor) -> Tensor | float:
        """β, on its way up from 0 in the first steps."""
        if not self.config.kl_warmup_steps:
            return self.config.kl_weight
        return self.config.kl_weight * (step / self.config.kl_warmup_steps).clamp_max(1)

    def distortion_and_rate(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-log p(x|z) at one z ~ q(z|x), and KL(q(z|x) ‖ N(0, I)), (N,) each in nats.

        The KL of a Gaussian is that of the closed form, the KL of an IAF posterior an estimate from z.
        """
        distortion, rates = self._distortion_and_rates(batch)
        return distortion, rates.sum(1)

    def _distortion_and_rates(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Distortion (N,), and the rate of each latent dimension (N, L)."""
        context = one_hot(batch.labels, self.classes)
        posterior = self.posterior(batch.x, context)
        z, rates = self._codes(posterior, batch.noise.normal(self.config.latent))
        if self.iaf is None:
            mean, log_std = posterior.mean, posterior.log_std
            rates = 0.5 * (mean.square() + (2 * log_std).exp() - 1) - log_std
        return -self._log_decoder(batch.x, z, context), rates

    def diagnostics(self, batch: Batch) -> dict[str, float]:
        """Mean distortion and rate, in nats per example, and the codes' dimensions that are in use."""
        distortion, rate = self.distortion_and_rate(batch)
        active = self.encode(batch.x, batch.labels).var(0, correction=0) > ACTIVE
        return {
            "distortion": distortion.mean().item(),
            "rate": rate.mean().item(),
            "active_units": float(active.sum().item()),
        }

    def concerns(self, measured: Mapping[str, float]) -> list[str]:
        """Posterior collapse: fewer than half of the units tell examples apart."""
        units = self.config.latent
        active = measured.get("active_units", units)
        if 2 * active >= units:
            return []
        weighed = self.config.training_samples == 1  # or there is no rate to weigh
        remedy = "lower kl_weight, or set kl_warmup_steps or free_bits" if weighed else "set training_samples to 1"
        return [
            f"posterior collapse: {units - active:.0f} of {units} latent units are inactive (their posterior means vary"
            f" by less than {ACTIVE} between examples); {remedy}"
        ]

    # The parts of the bound

    def posterior(self, x: Tensor, context: Tensor | None) -> Posterior:
        """q(z|x) of examples x (N, *event) in the context of their classes (N, C)."""
        outputs = self.encoder(network_input(x, self.event, self.units), context)
        mean, log_std, h = at_least_float32(outputs).tensor_split([self.config.latent, 2 * self.config.latent], 1)
        return Posterior(mean, bounded(log_std), None if self.iaf is None else h)

    def _codes(self, posterior: Posterior, noise: Tensor) -> tuple[Tensor, Tensor]:
        """z (…, N, L) of standard normal noise (…, N, L), and log q(z|x) - log p(z) of each dimension (…, N, L)."""
        noise = noise.to(posterior.mean)
        z = posterior.mean + posterior.log_std.exp() * noise
        log_det = posterior.log_std
        if self.iaf is not None and posterior.h is not None:
            h = posterior.h.expand(*z.shape[:-1], -1)
            flowed, flow_log_det = self.iaf(z.flatten(0, -2), h.flatten(0, -2))
            z, log_det = flowed.view_as(z), log_det + flow_log_det.view_as(z)
        return z, 0.5 * (z.square() - noise.square()) - log_det  # the constants of the two normal densities cancel

    def _log_decoder(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """log p(x|z) (…, N) of codes (…, N, L), in the data's units; vectors are decoded in standardised ones."""
        if context is not None:
            context = context.expand(*z.shape[:-1], -1).flatten(0, -2)
        h = at_least_float32(self.decoder(z.flatten(0, -2), context)).unflatten(0, z.shape[:-1])
        if not isinstance(self.units, Standardised):
            return self.likelihood.log_prob(h, x.flatten(1).to(h.dtype))
        y, log_det = self.units(x)
        return self.likelihood.log_prob(h, y) + log_det

    # Likelihood

    def log_likelihood(self, batch: Batch) -> Tensor:
        """The importance-weighted bound with K codes; without gradients its memory does not grow with K."""
        return self._importance_weighted(batch, self.config.importance_samples)

    def _importance_weighted(self, batch: Batch, samples: int) -> Tensor:
        """log 1/K Σ_k p(x, z_k) / q(z_k|x) (N,)."""
        log_sum = None
        for log_weights in self._log_weights(batch, samples):
            log_part = log_weights.logsumexp(0)
            log_sum = log_part if log_sum is None else torch.logaddexp(log_sum, log_part)
        assert log_sum is not None
        return log_sum - math.log(samples)

    def _log_weights(self, batch: Batch, samples: int) -> Iterator[Tensor]:
        """log p(x, z_k) - log q(z_k|x) of K codes for each example, some at a time (C, N).

        The noise comes code by code, so that the first codes are the same however many there are, and however many are
        computed at a time.
        """
        context = one_hot(batch.labels, self.classes)
        posterior = self.posterior(batch.x, context)
        at_a_time = max(1, ROWS // len(batch.x))
        for start in range(0, samples, at_a_time):
            codes = min(at_a_time, samples - start)
            noise = torch.stack([batch.noise.normal(self.config.latent) for _ in range(codes)])
            z, gap = self._codes(posterior, noise)
            yield self._log_decoder(batch.x, z, context) - gap.sum(-1)

    # Samples and codes

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw z ~ N(0, T² I), then x ~ p(x|z), at the same temperature."""
        L, D, weight = self.config.latent, self.event.dimensions, next(self.parameters())
        uniform = D * self.likelihood.uniforms
        drawn = draw(n, L, labels, self.label_shares, temperature, generator, weight, uniform)
        x = self.likelihood.draw(self.decoder(drawn.z, one_hot(drawn.labels, self.classes)), drawn.u, temperature)
        if isinstance(self.units, Standardised):
            return self.units.quantise(x)
        return x.unflatten(1, self.event.shape).to(torch.float32 if self.event.levels is None else torch.uint8)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The posterior means; of an IAF posterior, whose mean is not known, the code that ε = 0 leads to."""
        posterior = self.posterior(x, one_hot(labels, self.classes))
        return self._codes(posterior, torch.zeros_like(posterior.mean))[0]

    def draw_codes(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        posterior = self.posterior(x, one_hot(labels, self.classes))
        return self._codes(posterior, noise.normal(self.config.latent))[0]

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        mean = self.likelihood.mean(self.decoder(z, one_hot(labels, self.classes)))
        return self.units.inverse(mean) if isinstance(self.units, Standardised) else mean.unflatten(1, self.event.shape)

    def features(self, x: Tensor) -> Tensor:
        """The codes of examples; those of a conditional model are averaged over all labels."""
        return code_of_any_class(self.encode, x, self.classes)
