"""Variational autoencoder: a latent code z explains each example, and a second network guesses the code.

The decoder p(x|z) generates, the encoder q(z|x) makes learning it possible: together they bound the likelihood from
below, and training raises the bound.

    -ELBO = E_q[-log p(x|z)] + KL(q(z|x) ‖ p(z)) = distortion + rate          (training: distortion + β · rate)
    log p(x) ≥ log 1/K Σ_k p(x|z_k) p(z_k) / q(z_k|x),  z_k ~ q(z|x)          (evaluation: tighter as K grows)

Shapes: x (N, *event), z (N, L). The likelihoods are those of the data's own units: for integers 0 … K-1 a `bernoulli`
decoder counts successes of K-1 Bernoulli trials per pixel (for K = 2 the usual one), and a `gaussian` decoder gives
each integer the mass of its bin; for vectors the Gaussian is a density. A `categorical` decoder gives each level a
probability of its own, the only one that makes sense where levels are names: then h is (N, D·K), else (N, D).

Kingma & Welling, "Auto-Encoding Variational Bayes", 2013 (arXiv:1312.6114); β: Higgins et al., 2017; the bound with K
samples: Burda, Grosse & Salakhutdinov, "Importance Weighted Autoencoders", 2015 (arXiv:1509.00519).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import (
    STRICT,
    Batch,
    Density,
    Event,
    Family,
    FamilyConfig,
    Features,
    Latent,
    Player,
    UnsuitableEvent,
    Width,
)
from .layers.labels import append, chosen_labels, one_hot
from .layers.normal import bounded, standard_normal_log_density
from .layers.units import Standardised, input_channels, network_input
from .noise import uniform_rows


@validated(frozen=True, config=STRICT)
class VAEConfig(FamilyConfig):
    """Configuration of the VAE."""

    latent: int = Field(default=16, ge=1)
    """L, the length of a code."""

    hidden: tuple[Width, ...] = Field(default=(256, 256), min_length=1, strict=False)
    """Widths of the encoder's hidden layers; the decoder has them in reverse."""

    decoder: Literal["bernoulli", "gaussian", "categorical"] = "bernoulli"
    """p(x|z) of each dimension: K-1 Bernoulli trials (integer events only), a Gaussian, or any distribution over the K
    levels (integer events only; the one decoder for levels that are names)."""

    variance: float | None = Field(default=None, gt=0)
    """Variance of the Gaussian decoder, in units of half the range of integers or of the standardised vectors; null
    learns one per dimension."""

    kl_weight: float = Field(default=1.0, ge=0)
    """β, the weight of the rate in the training loss. It does not change what is evaluated."""

    importance_samples: int = Field(default=64, ge=1)
    """K, the codes per example of the bound that `log_prob` returns."""


class BernoulliDecoder(nn.Module):
    """x ~ Binomial(levels - 1, p) in each dimension."""

    outputs = 1  # of the network, per dimension

    def __init__(self, event: Event) -> None:
        super().__init__()
        assert event.levels is not None
        self.trials = event.levels - 1

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (N,) of decoder outputs h (N, D), the logits of p, and x (N, D)."""
        choices = math.lgamma(self.trials + 1) - torch.lgamma(x + 1) - torch.lgamma(self.trials - x + 1)
        return (choices + x * F.logsigmoid(h) + (self.trials - x) * F.logsigmoid(-h)).sum(-1)

    def mean(self, h: Tensor) -> Tensor:
        """E[x|z] (N, D)."""
        return self.trials * torch.sigmoid(h)

    def draw(self, h: Tensor, u: Tensor) -> Tensor:
        """x (N, D) drawn by uniform numbers u (N, D): the quantile function of the binomial."""
        levels = torch.arange(self.trials + 1, dtype=h.dtype, device=h.device)
        choices = math.lgamma(self.trials + 1) - torch.lgamma(levels + 1) - torch.lgamma(self.trials - levels + 1)
        log_mass = choices + levels * F.logsigmoid(h)[..., None] + (self.trials - levels) * F.logsigmoid(-h)[..., None]
        return (u[..., None] > log_mass.exp().cumsum(-1)[..., :-1]).sum(-1).to(h.dtype)


class CategoricalDecoder(nn.Module):
    """x = k with probability softmax(h)_k in each dimension."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        assert event.levels is not None
        self.outputs, self.ordered = event.levels, event.ordered

    def _log_mass(self, h: Tensor) -> Tensor:
        """log p (N, D, K) of each level."""
        return F.log_softmax(h.unflatten(1, (-1, self.outputs)), -1)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (N,) of decoder outputs h (N, D·K), the logits of the levels, and x (N, D)."""
        return self._log_mass(h).gather(-1, x.long()[..., None]).sum((1, 2))

    def mean(self, h: Tensor) -> Tensor:
        """E[x|z] (N, D); names have no mean, so of them the most probable one."""
        log_mass = self._log_mass(h)
        if not self.ordered:
            return log_mass.argmax(-1).to(h.dtype)
        return log_mass.exp() @ torch.arange(self.outputs, dtype=h.dtype, device=h.device)

    def draw(self, h: Tensor, u: Tensor) -> Tensor:
        """x (N, D) drawn by uniform numbers u (N, D): the quantile function."""
        return (u[..., None] > self._log_mass(h).exp().cumsum(-1)[..., :-1]).sum(-1).to(h.dtype)


class GaussianDecoder(nn.Module):
    """x ~ N(μ, σ²) in each dimension; integers take the mass of the bin around them, the outer bins are open."""

    outputs = 1

    def __init__(self, event: Event, variance: float | None) -> None:
        super().__init__()
        self.levels = event.levels
        # One unit of the network's output is half the range of integers, or one standard deviation of a vector.
        self.unit = 1.0 if event.levels is None else event.levels / 2
        log_std = torch.full((event.dimensions,), 0.5 * math.log(variance or 0.1))
        if variance is None:
            self.log_std = nn.Parameter(log_std)
        else:
            self.register_buffer("log_std", log_std)

    def _location_scale(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation in the data's units."""
        std = self.log_std.exp() * self.unit
        if self.levels is None:
            return h, std
        # A tenth of a bin's width puts all mass into one bin. Less gains nothing, and makes other bins impossible.
        return h * self.unit + (self.levels - 1) / 2, std.clamp_min(0.1)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x|z) (N,) of decoder outputs h (N, D) and x (N, D)."""
        mean, std = self._location_scale(h)
        if self.levels is None:
            return standard_normal_log_density((x - mean) / std) - std.log().sum()
        upper = torch.where(x >= self.levels - 1, math.inf, (x + 0.5 - mean) / std)
        lower = torch.where(x <= 0, -math.inf, (x - 0.5 - mean) / std)
        return _log_normal_mass(lower, upper).sum(-1)

    def mean(self, h: Tensor) -> Tensor:
        """The location μ (N, D), inside the range of integers."""
        mean, _ = self._location_scale(h)
        return mean if self.levels is None else mean.clamp(0, self.levels - 1)

    def draw(self, h: Tensor, u: Tensor) -> Tensor:
        """x (N, D) drawn by uniform numbers u (N, D)."""
        mean, std = self._location_scale(h)
        x = mean + std * torch.special.ndtri(u).to(mean)
        return x if self.levels is None else x.round().clamp(0, self.levels - 1)


def _log_normal_mass(lower: Tensor, upper: Tensor) -> Tensor:
    """log of the standard normal mass between two bounds, accurate in both tails.

    Both bounds are first mirrored into the lower tail, where Φ(upper) - Φ(lower) does not cancel; then
    log(Φ(upper) - Φ(lower)) = log Φ(upper) + log(1 - exp(log Φ(lower) - log Φ(upper))).
    """
    mirror = lower + upper > 0
    lower, upper = torch.where(mirror, -upper, lower), torch.where(mirror, -lower, upper)
    log_upper = torch.special.log_ndtr(upper)
    log_lower = torch.special.log_ndtr(lower.clamp_min(-1e4))
    return log_upper + torch.log(-torch.expm1((log_lower - log_upper).clamp_max(-1e-7)))


Decoder = BernoulliDecoder | CategoricalDecoder | GaussianDecoder


def _decoder(config: VAEConfig, event: Event) -> Decoder:
    """The p(x|z) that is configured. Raises `UnsuitableEvent` where it is none of such an event."""
    if event.levels is None and config.decoder != "gaussian":
        raise UnsuitableEvent(f"decoder: {config.decoder} needs integer events; decoder: gaussian takes vectors")
    if not event.ordered and config.decoder != "categorical":
        raise UnsuitableEvent(
            f"decoder: {config.decoder} models numbers, and these levels are names, like the colours of a palette;"
            f" decoder: categorical takes them"
        )
    if config.decoder == "gaussian":
        return GaussianDecoder(event, config.variance)
    return BernoulliDecoder(event) if config.decoder == "bernoulli" else CategoricalDecoder(event)


def _mlp(widths: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.SiLU()]
    return nn.Sequential(*layers[:-1])


class VAE(Family, Density, Latent, Features):
    """Gaussian codes, an MLP on either side."""

    Config = VAEConfig
    parallel_sampling = True
    config: VAEConfig

    def __init__(self, config: VAEConfig, event: Event) -> None:
        super().__init__(config, event)
        D, L = event.dimensions, config.latent
        self.units = Standardised(event) if event.levels is None else None
        likelihood, inputs = _decoder(config, event), D // event.shape[0] * input_channels(event)
        self.encoder = _mlp([inputs + self.classes, *config.hidden, 2 * L])
        self.decoder = _mlp([L + self.classes, *reversed(config.hidden), D * likelihood.outputs])
        self.likelihood: Decoder = likelihood

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

    def players(self) -> list[Player]:
        """One player, which minimises distortion + β · rate in nats per dimension."""
        config = self.config
        return [Player("vae", self, self._loss, config.learning_rate, weight_decay=config.weight_decay)]

    def _loss(self, batch: Batch) -> Tensor:
        distortion, rate = self.distortion_and_rate(batch)
        return (distortion + self.config.kl_weight * rate).mean() / self.event.dimensions

    def diagnostics(self, batch: Batch) -> dict[str, float]:
        """Mean distortion and rate, in nats per example, and the codes' dimensions that are in use."""
        distortion, rate = self.distortion_and_rate(batch)
        mean, _ = self.posterior(batch.x, one_hot(batch.labels, self.classes))
        active = mean.var(0) > 1e-2  # the threshold of Burda et al.
        return {
            "distortion": distortion.mean().item(),
            "rate": rate.mean().item(),
            "active_units": float(active.sum().item()),
        }

    def posterior(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Mean and log standard deviation (N, L each) of q(z|x)."""
        y = network_input(x, self.event, self.units)
        mean, log_std = self.encoder(append(y.flatten(1), context)).chunk(2, 1)
        return mean, bounded(log_std)

    def distortion_and_rate(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """-log p(x|z) at one z ~ q(z|x), and KL(q(z|x) ‖ N(0, I)) in closed form, (N,) each in nats."""
        context = one_hot(batch.labels, self.classes)
        mean, log_std = self.posterior(batch.x, context)
        z = mean + log_std.exp() * batch.noise.normal(self.config.latent).to(mean)
        rate = 0.5 * (mean.square() + (2 * log_std).exp() - 1 - 2 * log_std).sum(1)
        return -self._log_decoder(batch.x, z, context), rate

    def _log_decoder(self, x: Tensor, z: Tensor, context: Tensor | None) -> Tensor:
        """log p(x|z) (N,) in the data's units; for vectors the decoder works on standardised ones."""
        h = self.decoder(append(z, context))
        h = h.to(torch.promote_types(h.dtype, torch.float32))  # bfloat16 cannot tell neighbouring levels apart
        if self.units is None:
            return self.likelihood.log_prob(h, x.flatten(1).to(h.dtype))
        y, log_det = self.units(x)
        return self.likelihood.log_prob(h, y) + log_det

    def log_likelihood(self, batch: Batch) -> Tensor:
        """The importance-weighted bound with K codes, one code at a time in constant memory."""
        context = one_hot(batch.labels, self.classes)
        mean, log_std = self.posterior(batch.x, context)
        log_weight = mean.new_full((len(mean),), -math.inf)
        for _ in range(self.config.importance_samples):
            noise = batch.noise.normal(self.config.latent).to(mean)
            z = mean + log_std.exp() * noise
            log_q = standard_normal_log_density(noise) - log_std.sum(1)
            term = self._log_decoder(batch.x, z, context) + standard_normal_log_density(z) - log_q
            log_weight = torch.logaddexp(log_weight, term)
        return log_weight - math.log(self.config.importance_samples)

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw z ~ N(0, T² I), then x ~ p(x|z), noise of the decoder included."""
        L, D = self.config.latent, self.event.dimensions
        weight = next(self.parameters())
        z_rows, x_rows, label_rows = uniform_rows(n, L + D + 1, generator).split([L, D, 1], 1)
        chosen = chosen_labels(labels, self.classes, label_rows[:, 0])
        context = one_hot(None if chosen is None else chosen.to(weight.device), self.classes)
        z = (torch.special.ndtri(z_rows) * temperature).to(weight)
        x = self.likelihood.draw(self.decoder(append(z, context)), x_rows.to(weight.device))
        if self.units is None:
            return x.unflatten(1, self.event.shape).to(torch.uint8)
        return self.units.quantise(x)

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The posterior means."""
        return self.posterior(x, one_hot(labels, self.classes))[0]

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        mean = self.likelihood.mean(self.decoder(append(z, one_hot(labels, self.classes))))
        return mean.unflatten(1, self.event.shape) if self.units is None else self.units.inverse(mean)

    def features(self, x: Tensor) -> Tensor:
        """The posterior means of an unconditional model."""
        return self.encode(x)
