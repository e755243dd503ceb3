"""Diffusion: data are destroyed by a little noise at a time, and a network learns to undo each step.

It gets x_t and t and predicts the noise; a sample starts as pure noise and takes the steps back.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 - ᾱ_t) I),   x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε,   t = 1 … T
    p(x_s | x_t) = q(x_s | x_t, x̂_0(x_t, t)),   the posterior step, with x̂_0 in place of x_0
    ε-prediction:  x̂_0 = (x_t - √(1 - ᾱ_t) ε̂) / √ᾱ_t
    v-prediction:  x̂_0 = √ᾱ_t x_t - √(1 - ᾱ_t) v̂,   v = √ᾱ_t ε - √(1 - ᾱ_t) x_0
    simple loss:   E_t,ε ‖ε - ε̂‖² / D   (or v)

The bound is that of DDPM, -log p(x) ≤ L_T + Σ_{t≥2} L_{t-1} + L_0, with posterior variances β̃_t, for which a KL is a
weighted error:

    L_T     = KL(q(x_T | x_0) ‖ N(0, I))
    L_{t-1} = ½ (SNR_{t-1} - SNR_t) ‖x_0 - x̂_0(x_t, t)‖²,   SNR_t = ᾱ_t / (1 - ᾱ_t)
    L_0     = -log of N(x̂_0(x_1, 1), β_1 I): of its mass in the bin of each integer (outer bins are open), and of
              its density for vectors

Shapes: x (N, *event), and x_0, x_t, ε, v alike: integers on the scale -1 … 1, vectors standardised. The network is a
U-Net for images and sequences, an MLP for vectors; t and the label shift its features.

Samplers take the steps t → s of any subset of 1 … T. With x̂_0 and the noise ε̂ that goes with it,

    x_s = √ᾱ_s x̂_0 + √(1 - ᾱ_s - σ²) ε̂ + σ z,   σ² = η² (1 - ᾱ_s)/(1 - ᾱ_t) (1 - ᾱ_t/ᾱ_s)

which for η = 1 is a draw from p(x_s | x_t) (ancestral sampling), and for η = 0 (DDIM) has no randomness but x_T. For
integers x̂_0 is clipped to their range, in the bound as in the samplers, so that both are of one model: that of all T
ancestral steps without guidance. The last step returns x̂_0 without noise, as DDPM does. Guidance moves the prediction
away from that for no label: ε̂ = (1 + w) ε̂(x_t, y) - w ε̂(x_t).

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", 2020 (arXiv:2006.11239); cosine: Nichol & Dhariwal, 2021
(arXiv:2102.09672); v: Salimans & Ho, 2022 (arXiv:2202.00512); DDIM: Song, Meng & Ermon, 2021 (arXiv:2010.02502);
guidance: Ho & Salimans, 2022 (arXiv:2207.12598).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn

from .contract import (
    STRICT,
    Batch,
    Completion,
    Density,
    Event,
    Family,
    FamilyConfig,
    Player,
    Width,
)
from .diffusion_networks import TimedMLP, UNet
from .diffusion_schedule import Schedule
from .diffusion_streams import normal_stream, seeds_of
from .layers.bins import log_normal_bin
from .layers.draws import categorical, chosen_labels
from .layers.labels import one_hot
from .layers.normal import log_normal_density
from .layers.precision import at_least_float32
from .layers.units import from_centred, network_input, standardiser
from .noise import uniform_rows

ROWS = 512  # examples, or steps of examples, in one pass of the network


@validated(frozen=True, config=STRICT)
class DiffusionConfig(FamilyConfig):
    """Configuration of the diffusion model."""

    timesteps: int = Field(default=1000, ge=2)
    """T, the steps in which noise is added."""

    schedule: Literal["linear", "cosine"] = "linear"
    """How the noise grows: β in equal steps (times 1000/T, so that any T ends in noise), or ᾱ as a squared cosine."""

    least_noise: float | None = Field(default=None, ge=0, lt=1)
    """√β_1 is at least this: first steps of hardly any noise are far apart in SNR, and cost bits for nothing. Null: 3/8
    of a bin for integers, less noise than that hides nothing; 0.02 for vectors, in standard deviations of the data."""

    prediction: Literal["epsilon", "v"] = "epsilon"
    """What the network predicts: the noise ε, or the velocity v, better where there is little signal."""

    loss: Literal["simple", "bound"] = "simple"
    """The unweighted error of the prediction, or the variational bound in nats per dimension."""

    width: int = Field(default=32, ge=1)
    """Features of the U-Net at the full resolution, doubled below it."""

    levels: int = Field(default=2, ge=0)
    """How often the U-Net halves the sides, at most: it stops before they are odd, or less than 2."""

    blocks: int = Field(default=1, ge=1)
    """Residual blocks of the U-Net for each resolution on the way down; there is one more on the way up."""

    attention: bool = True
    """Let the places of the U-Net's lowest resolution attend to each other."""

    hidden: tuple[Width, ...] = Field(default=(256, 256, 256), min_length=1, strict=False)
    """Widths of the hidden layers of the MLP, which models vectors; equal neighbours make residual layers."""

    sampler: Literal["ancestral", "ddim"] = "ancestral"
    """Draw each step, or, with `ddim`, as much of it as `eta` says."""

    sampler_steps: int | None = Field(default=None, ge=1)
    """Steps of the sampler, evenly spaced over 1 … T; null takes all."""

    eta: float = Field(default=0.0, ge=0, le=1)
    """η of DDIM: 0 is deterministic, 1 is ancestral sampling. Only for `sampler: ddim`."""

    guidance: float = Field(default=0.0, ge=0)
    """w of classifier-free guidance when sampling; 0 samples the conditional model itself. It needs `label_dropout`."""

    label_dropout: float = Field(default=0.0, ge=0, lt=1)
    """The share of training examples whose label is hidden, so that the network can also do without."""

    bound_steps: int | None = Field(default=None, ge=2)
    """The timesteps of each example on which `log_prob` estimates the bound, one drawn from each of as many strata;
    t = 1 is always there. Null takes all T, which leaves only the noise ε to chance."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for name, steps in (("sampler_steps", self.sampler_steps), ("bound_steps", self.bound_steps)):
            if steps is not None and steps > self.timesteps:
                raise ValueError(f"{name} must be no more than timesteps, {self.timesteps}, not {steps}")
        if self.eta and self.sampler != "ddim":
            raise ValueError("eta is for sampler: ddim; ancestral sampling has none")
        if self.label_dropout and not self.conditional:
            raise ValueError("label_dropout needs conditional: true: there are no labels to hide")
        if self.guidance and not self.label_dropout:
            raise ValueError("guidance needs conditional: true and a label_dropout, for instance 0.1")
        return self


class Diffusion(Family, Density, Completion):
    """A schedule of noise, and a network that predicts it."""

    Config = DiffusionConfig
    parallel_sampling = True  # T passes, whatever D is
    approximation = "in each step the known numbers are put in place, with as much noise as the others still have"
    config: DiffusionConfig

    def __init__(self, config: DiffusionConfig, event: Event) -> None:
        super().__init__(config, event)
        self.units = standardiser(event)
        least = config.least_noise
        if least is None:
            least = 0.02 if event.levels is None else 0.75 / event.levels
        self.schedule = Schedule(config.schedule, config.timesteps, least**2)
        self.network: nn.Module
        if event.kind == "vector":
            self.network = TimedMLP(event.dimensions, config.hidden, self.classes)
        else:
            unet = config.width, config.levels, config.blocks, config.attention
            self.network = UNet(event.shape, *unet, self.classes)
        self.compiled = False  # are the steps of sampling compiled?

    @property
    def bound(self) -> str | None:
        T, steps = self.config.timesteps, self.config.bound_steps
        return f"variational, T={T}, " + ("all steps" if steps is None else f"{steps} of {T} steps drawn")

    @property
    def scoring_passes(self) -> int:
        """One for each timestep; few examples take several timesteps in one pass."""
        return self.config.bound_steps or self.config.timesteps

    @property
    def sampling_passes(self) -> int:
        """One for each step; guidance makes its two predictions in one pass."""
        return self.config.sampler_steps or self.config.timesteps

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        if self.units is not None:
            self.units.initialise(x)

    # Training

    def players(self) -> list[Player]:
        """One player."""
        config = self.config
        return [Player("diffusion", self, self._loss, config.learning_rate, weight_decay=config.weight_decay)]

    def _loss(self, batch: Batch) -> Tensor:
        """The loss at one timestep per example, of which a share `label_dropout` hides its label."""
        t = self._random_timesteps(batch)
        context = one_hot(batch.labels, self.classes)
        if context is not None and self.config.label_dropout:
            context = context * (batch.noise.uniform() >= self.config.label_dropout)[:, None]
        x_0 = self.start(batch.x)
        epsilon = batch.noise.normal(*self.event.shape).to(x_0)
        if self.config.loss == "simple":
            return self._error(x_0, t, epsilon, context)
        steps = self.config.timesteps * self._bound_term(x_0, t, epsilon, context, clip=False)
        return (self._prior(x_0) + steps).mean() / self.event.dimensions

    def _random_timesteps(self, batch: Batch) -> Tensor:
        """Timesteps (N,): row i of a global batch of B rows draws from the i-th of B strata of 1 … T.

        So every batch sees all amounts of noise. Rows are shuffled, so an example meets all of them in time.
        """
        noise, T = batch.noise, self.config.timesteps
        place = noise.start + torch.arange(noise.rows, device=batch.x.device) + noise.uniform()
        return 1 + (place * (T / noise.total)).long().clamp_max(T - 1)

    def _error(self, x_0: Tensor, t: Tensor, epsilon: Tensor, context: Tensor | None) -> Tensor:
        """The mean squared error of the network's prediction at timesteps t (N,), a scalar."""
        output = self._output(self.schedule.noised(x_0, t, epsilon), t, context)
        return (output - self._target(x_0, t, epsilon)).square().mean()

    def _target(self, x_0: Tensor, t: Tensor, epsilon: Tensor) -> Tensor:
        """What the network should predict: ε, or v = √ᾱ_t ε - √(1 - ᾱ_t) x_0."""
        if self.config.prediction == "epsilon":
            return epsilon
        signal, std = self.schedule.scales(t, x_0)
        return signal * epsilon - std * x_0

    def diagnostics(self, batch: Batch) -> dict[str, float]:
        """The unweighted error of the prediction, as in the simple loss, and L_0 in nats per dimension."""
        x_0, context = self.start(batch.x), one_hot(batch.labels, self.classes)
        t, epsilon = self._random_timesteps(batch), batch.noise.normal(*self.event.shape).to(x_0)
        decoded = self._bound_term(x_0, torch.ones_like(t), epsilon, context, clip=True)
        return {
            "prediction_error": self._error(x_0, t, epsilon, context).item(),
            "decoder_nats": decoded.mean().item() / self.event.dimensions,
        }

    # The network

    def start(self, x: Tensor) -> Tensor:
        """x_0 (N, *event) of examples: integers on the scale -1 … 1, vectors standardised."""
        return network_input(x, self.event, self.units).to(self._dtype)

    def _finish(self, x_0: Tensor) -> Tensor:
        """The examples nearest to x_0, as they are stored."""
        return from_centred(x_0, self.event) if self.units is None else self.units.quantise(x_0)

    @property
    def _dtype(self) -> torch.dtype:
        return next(self.network.parameters()).dtype

    @property
    def _device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _output(self, x_t: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """ε̂ or v̂ (N, *event) of x_t (N, *event) at timesteps t (N,), in float32 at least."""
        h = self.network(x_t, t / self.config.timesteps, context)
        return at_least_float32(h)

    def _guided(self, x_t: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        """The output, led away from that for no label; ε̂ and v̂ are led alike, each being linear in the other."""
        w = self.config.guidance
        if not w or context is None:
            return self._output(x_t, t, context)
        both = torch.cat([context, torch.zeros_like(context)])
        known, unknown = self._output(x_t.repeat(2, *[1] * (x_t.dim() - 1)), t.repeat(2), both).chunk(2)
        return (1 + w) * known - w * unknown

    def _origin(self, output: Tensor, x_t: Tensor, t: Tensor, clip: bool) -> Tensor:
        """x̂_0 by the network's output; `clip` brings it into the range of integers."""
        signal, std = self.schedule.scales(t, x_t)
        x_0 = signal * x_t - std * output if self.config.prediction == "v" else (x_t - std * output) / signal
        if not clip or self.event.levels is None:
            return x_0
        end = 1 - 1 / self.event.levels
        return x_0.clamp(-end, end)

    # The bound

    def log_likelihood(self, batch: Batch) -> Tensor:
        """The bound, over all timesteps or estimated without bias on `bound_steps` of them, each with one ε.

        Where labels are summed out, log 1/C Σ_y exp(bound_y) is biased upwards by the noise of the bounds, as far as
        several classes are likely. They share ε and t, so that little of it is left: on digits, with 8 of 1000 steps
        drawn, the bias was 0.001 bits per dimension, and with 20 it was 0.0001.
        """
        x_0, context = self.start(batch.x), one_hot(batch.labels, self.classes)
        t, weights = self._timesteps(batch)
        total = self._prior(x_0).double()
        at_once = max(1, ROWS // len(x_0))
        for steps, weight in zip(t.split(at_once), weights.split(at_once), strict=True):
            k = len(steps)
            epsilon = torch.cat([batch.noise.normal(*self.event.shape) for _ in range(k)]).to(x_0)
            many = None if context is None else context.repeat(k, 1)
            repeated = x_0.repeat(k, *[1] * (x_0.dim() - 1))
            terms = self._bound_term(repeated, steps.flatten(), epsilon, many, clip=True)
            total = total + (weight[:, None] * terms.double().view(k, -1)).sum(0)
        log_det = 0.0 if self.units is None else self.units(batch.x)[1]
        return log_det - total.to(x_0)

    def _timesteps(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Timesteps (k, N) of the bound, one drawn from each stratum, and how many of all T each stands for (k,)."""
        n = self.config.bound_steps or self.config.timesteps
        edges = torch.tensor(self.schedule.strata(n), device=batch.x.device)
        first, sizes = edges[:-1], edges.diff()
        if n == self.config.timesteps:
            return first[:, None].expand(-1, len(batch.x)), sizes
        u = batch.noise.uniform(n).T
        return first[:, None] + (u * sizes[:, None]).long().minimum(sizes[:, None] - 1), sizes

    def _prior(self, x_0: Tensor) -> Tensor:
        """L_T (N,) in nats."""
        alpha_bar = float(self.schedule.alpha_bar[-1])
        return 0.5 * (alpha_bar * (x_0.square() - 1) - math.log1p(-alpha_bar)).flatten(1).sum(1)

    def _bound_term(self, x_0: Tensor, t: Tensor, epsilon: Tensor, context: Tensor | None, clip: bool) -> Tensor:
        """L_{t-1} (N,) in nats at timesteps t (N,), L_0 where t is 1."""
        x_t = self.schedule.noised(x_0, t, epsilon)
        guess = self._origin(self._output(x_t, t, context), x_t, t, clip)
        return self._cost(x_0, guess, t, t - 1).flatten(1).sum(1)

    def _cost(self, x_0: Tensor, guess: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """What a step from t to s costs (N, *event) in nats if it believes in a guess x̂_0: a KL, or L_0 at s = 0."""
        shape = -1, *[1] * (x_0.dim() - 1)
        last, (_, std) = s.view(shape) == 0, self.schedule.scales(t, x_0)
        weight = self.schedule.weight(t, s.clamp_min(1)).to(x_0).view(shape)
        decoded = self._log_decoder(x_0, torch.where(last, guess, x_0), std)  # other guesses may be anywhere
        return torch.where(last, -decoded, weight * (x_0 - guess).square())

    def _log_decoder(self, x_0: Tensor, mean: Tensor, std: Tensor) -> Tensor:
        """log p(x | x_1) of each number: of the bin of an integer, or of a standardised real one."""
        z = (x_0 - mean) / std
        levels = self.event.levels
        if levels is None:
            return log_normal_density(z) - std.log()
        half, end = 1 / (levels * std), 1 - 2 / levels  # half a bin; only the outermost levels are beyond `end`
        return log_normal_bin(z - half, z + half, first=x_0 < -end, last=x_0 > end)

    # Sampling and completion

    def compile_sampling(self) -> None:
        self.compiled = True

    @torch.no_grad()
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Walk from noise to data. An example's row of the draw chooses its label, and seeds the noise of its steps."""
        u = uniform_rows(n, 2, generator).to(self._device)
        labels = chosen_labels(labels, self.classes, u[:, 0])
        labels = None if labels is None else labels.to(self._device)
        parts = [slice(i, i + ROWS) for i in range(0, n, ROWS)]
        context = one_hot(labels, self.classes)
        x_0 = torch.empty(n, *self.event.shape, device=self._device, dtype=self._dtype)
        for part in parts:
            x_0[part] = self._walk(seeds_of(u[part, 1]), None if context is None else context[part], temperature)[0]
        return self._finish(x_0)

    def completes_exactly(self, known: Tensor) -> bool:
        """Only where there is nothing to complete, or nothing to go by: steps do not look ahead to what is known."""
        return bool(known.all() or not known.any())

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Known-region replacement: in each step, known numbers go to x_s by the true x_0, and others by x̂_0.

        Unknown labels are drawn from p(y | known), of which the walk of each class bounds the likelihood: what its
        steps cost at the known numbers, by the equations of the bound, is -log p(known | y) or more, on average.
        """
        x, known = x.to(self._device), known.to(self._device).expand(len(x), *self.event.shape)
        u = uniform_rows(len(x), 2, generator).to(self._device)
        candidates = self.classes if labels is None and self.classes else 1
        x_0 = self.start(torch.where(known, x, 0))  # whatever stands for what is missing
        drawn = torch.empty_like(x_0)
        rows = max(1, ROWS // candidates)
        for part in (slice(i, i + rows) for i in range(0, len(x), rows)):
            chosen = None if labels is None else labels[part].to(self._device)
            drawn[part] = self._completed(x_0[part], known[part], chosen, u[part], temperature)
        return torch.where(known, x, self._finish(drawn))

    def _completed(self, x_0: Tensor, known: Tensor, labels: Tensor | None, u: Tensor, temperature: float) -> Tensor:
        """x_0 (n, *event), what is not known drawn by uniform numbers u (n, 2), and labels, too, if there are none."""
        seeds = seeds_of(u[:, 1])
        if labels is not None or not self.classes:
            return self._walk(seeds, one_hot(labels, self.classes), temperature, x_0, known)[0]
        n, C = len(x_0), self.classes
        every = torch.arange(C, device=x_0.device).repeat(n)
        x_0, known, seeds = (each.repeat_interleave(C, 0) for each in (x_0, known, seeds))
        walked, cost = self._walk(seeds, one_hot(every, C), temperature, x_0, known)
        label = categorical((-cost).view(n, C).softmax(1), u[:, 0])
        return walked.unflatten(0, (n, C))[torch.arange(n, device=label.device), label]

    def _walk(
        self,
        seeds: Tensor,
        context: Tensor | None,
        temperature: float,
        x_0: Tensor | None = None,
        known: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """From noise to x̂_0 (n, *event), passing through what is known of x_0; and what that cost (n,), in nats."""
        config, schedule = self.config, self.schedule
        eta = config.eta if config.sampler == "ddim" else 1.0
        step = torch.compile(self._step) if self.compiled else self._step

        def noise(block: int) -> Tensor:
            z = temperature * normal_stream(seeds, block, self.event.dimensions)
            return z.to(self._dtype).view(-1, *self.event.shape)

        grid = torch.tensor(schedule.grid(self.sampling_passes), device=seeds.device)
        x = noise(0)
        if x_0 is not None and known is not None:
            x = torch.where(known, schedule.noised(x_0, grid[0], x), x)
        cost = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        for block, (t, s) in enumerate(pairwise(grid), 1):
            x, mean_cost, std = step(x, t, s, context, eta, x_0, known)
            cost += mean_cost
            if block < len(grid) - 1 and eta:
                x = x + std * noise(block)
        return x, cost

    def _step(
        self,
        x_t: Tensor,
        t: Tensor,
        s: Tensor,
        context: Tensor | None,
        eta: float,
        x_0: Tensor | None,
        known: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Mean (n, *event) and standard deviation of x_s, and what the known numbers cost (n,)."""
        t_rows = t.expand(len(x_t))
        guess = self._origin(self._guided(x_t, t_rows, context), x_t, t, clip=True)
        cost = torch.zeros(len(x_t), dtype=torch.float64, device=x_t.device)
        if x_0 is not None and known is not None:
            cost = torch.where(known, self._cost(x_0, guess, t, s), 0.0).double().flatten(1).sum(1)
            guess = torch.where(known, x_0, guess)
        mean, std = self.schedule.step(guess, x_t, t, s, eta)
        return mean, cost, std
