"""Diffusion: data are destroyed by a little noise at a time, and a network learns to undo each step.

It gets x_t and t and predicts the noise; a sample starts as pure noise and takes the steps back.

    q(x_t | x_0) = N(√ᾱ_t x_0, (1 - ᾱ_t) I),   x_t = √ᾱ_t x_0 + √(1 - ᾱ_t) ε,   t = 1 … T
    p(x_s | x_t) = q(x_s | x_t, x̂_0(x_t, t)),   the posterior step, with x̂_0 in place of x_0
    ε-prediction:  x̂_0 = (x_t - √(1 - ᾱ_t) ε̂) / √ᾱ_t
    v-prediction:  x̂_0 = √ᾱ_t x_t - √(1 - ᾱ_t) v̂,   v = √ᾱ_t ε - √(1 - ᾱ_t) x_0
    simple loss:   E_t,ε ‖ε - ε̂‖² / D   (or v);   min-SNR:  E_t,ε min(SNR_t, 5) ‖x_0 - x̂_0‖² / D

The bound is that of DDPM, -log p(x) ≤ L_T + Σ_{t≥2} L_{t-1} + L_0, with posterior variances β̃_t, for which a KL is a
weighted error:

    L_T     = KL(q(x_T | x_0) ‖ N(0, I))
    L_{t-1} = ½ (SNR_{t-1} - SNR_t) ‖x_0 - x̂_0(x_t, t)‖²,   SNR_t = ᾱ_t / (1 - ᾱ_t)
    L_0     = -log of N(x̂_0(x_1, 1), β_1 I): of its mass in the bin of each integer (outer bins are open), and of
              its density for vectors

Shapes: x (N, *event), and x_0, x_t, ε, v alike: integers on the scale -1 … 1, vectors standardised. The network is a
U-Net for images and sequences, an MLP for vectors and tables; t and the label shift its features.

Rows of a table are numbers and names at once (TabDDPM). Numbers are brought to the scales of their columns, integers
made continuous by noise and gaps an outcome at the upper end (`layers/tables/table_units.py`), and noised as vectors
are. Names and integers of few levels become one-hot, with a place for a gap, and are noised by multinomial diffusion
(`diffusion_names.py`). One network sees all of a row: x_0, x_t (N, numbers + Σ K); it predicts the noise of numbers and
logits of names. The simple loss is the mean error of the numbers plus the mean T L_{t-1} of the names; the terms of the
bound add up, with the log-determinant of the numbers' scales. Steps of names are always draws from their posterior.

At temperature T numbers have T times the noise, and each step of names draws from probabilities to the power of 1/T;
names at the start are uniform at every T.

The sampler takes steps of which `eta` says how random they are (`diffusion_sampler.py`). For integers x̂_0 is clipped to
their range, in the bound as in the sampler, so that both are of one model: that of all T ancestral steps without
guidance. The last step returns x̂_0 without noise, as DDPM does. Guidance moves the prediction away from that for no
label: ε̂ = (1 + w) ε̂(x_t, y) - w ε̂(x_t).

When to use it: for samples of high quality, of any kind of data, where a sample may take tens of network passes. Its
likelihood is a bound, and its completions are approximate, whatever the mask.

Ho, Jain & Abbeel, "Denoising Diffusion Probabilistic Models", 2020 (arXiv:2006.11239); cosine: Nichol & Dhariwal, 2021
(arXiv:2102.09672); v: Salimans & Ho, 2022 (arXiv:2202.00512); DDIM: Song, Meng & Ermon, 2021 (arXiv:2010.02502);
guidance: Ho & Salimans, 2022 (arXiv:2207.12598); min-SNR: Hang et al., 2023 (arXiv:2303.09556); tables: Kotelnikov et
al., "TabDDPM", 2023 (arXiv:2209.15421).
"""

from __future__ import annotations

from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from .contract import (
    STRICT,
    Batch,
    Completion,
    Density,
    Event,
    Family,
    FamilyConfig,
    Player,
    Share,
    UnsuitableEvent,
    Width,
)
from .diffusion_completion import completed
from .diffusion_networks import TimedMLP, UNet
from .diffusion_sampler import Sampler
from .diffusion_schedule import Schedule
from .diffusion_states import process_of, units_of
from .diffusion_streams import seeds_of
from .dropout import dropping
from .layers.draws import chosen_labels
from .layers.labels import one_hot
from .layers.precision import at_least_float32
from .noise import Noise, uniform_rows

MANY_STEPS = 200  # from which on ancestral samples are as wide as they should be
ROWS = 512  # examples, or steps of examples, in one pass of the network
WALKS = 16  # for each completion of a row


@validated(frozen=True, config=STRICT)
class DiffusionConfig(FamilyConfig):
    """Configuration of the diffusion model."""

    timesteps: int = Field(default=1000, ge=2)
    """T, the steps in which noise is added."""

    schedule: Literal["linear", "cosine"] = "linear"
    """How the noise grows: β in equal steps (times 1000/T, so that any T ends in noise), or ᾱ as a squared cosine."""

    least_noise: float | None = Field(default=None, ge=0, lt=1)
    """√β_1 is at least this: first steps of hardly any noise are far apart in SNR, and cost bits for nothing. Null: 3/8
    of a bin for integers, less noise than that hides nothing; 0.02 for vectors and numbers of tables, in standard
    deviations of the data."""

    prediction: Literal["epsilon", "v"] = "epsilon"
    """What the network predicts: the noise ε, or the velocity v, better where there is little signal."""

    loss: Literal["simple", "min_snr", "bound"] = "simple"
    """The unweighted error of the prediction; that of x̂_0 weighted by the signal-to-noise ratio, but by no more than 5,
    so that steps with hardly any noise do not outweigh the others; or the variational bound in nats per dimension. The
    names of a table have the bound in all three."""

    width: int = Field(default=32, ge=1)
    """Features of the U-Net at the full resolution, doubled below it."""

    levels: int = Field(default=2, ge=0)
    """How often the U-Net halves the sides, at most: it stops before they are odd, or less than 2."""

    blocks: int = Field(default=1, ge=1)
    """Residual blocks of the U-Net for each resolution on the way down; there is one more on the way up."""

    attention: bool = True
    """Let the places of the U-Net's lowest resolution attend to each other."""

    attention_levels: int = Field(default=0, ge=0)
    """Of how many resolutions of the U-Net, from the lowest on, places attend to each other after each block, too."""

    dropout: Share = 0.0
    """The share of the features inside of each block that is dropped in training; for small data."""

    hidden: tuple[Width, ...] = Field(default=(256, 256, 256), min_length=1, strict=False)
    """Widths of the hidden layers of the MLP, for vectors and tables; equal neighbours make residual layers."""

    sampler: Literal["auto", "ancestral", "ddim", "dpm_solver"] = "auto"
    """Draw each step; or, with `ddim`, as much of it as `eta` says; or none, with `dpm_solver`, of the second order.
    `auto` is `dpm_solver` below 200 steps, with which `ancestral` samples are too narrow, and else `ancestral`, as for
    completions. Names are drawn in each step of every sampler."""

    sampler_steps: int | None = Field(default=None, ge=1)
    """Steps of the sampler, evenly spaced over 1 … T; null takes all."""

    eta: float = Field(default=0.0, ge=0, le=1)
    """η of DDIM: 0 is deterministic, 1 is ancestral sampling. Only for `sampler: ddim`."""

    walks: int | None = Field(default=None, ge=1)
    """Walks for each completion, of which one is drawn by how likely it makes what is known: steps do not look
    ahead to that. Null: 16 for rows of a table, of which a known name may decide about numbers; 1 for others."""

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
    typed_columns = True
    approximation = "in each step the known numbers are put in place, with as much noise as the others still have"
    config: DiffusionConfig

    def __init__(self, config: DiffusionConfig, event: Event) -> None:
        super().__init__(config, event)
        if event.levels is None and (config.prediction, config.schedule) == ("epsilon", "cosine"):
            # x̂_0 = (x_t - √(1-ᾱ_t) ε̂) / √ᾱ_t, where √ᾱ_T is 2e-5, and nothing clips it as it does integers: an error
            # of 0.02 in ε̂ moved the mean of samples by 1.65 standard deviations.
            raise UnsuitableEvent(
                "prediction: epsilon is not allowed with schedule: cosine for vectors and tables: where hardly any"
                " signal is left, small errors of the noise would move samples far; take prediction: v, or schedule:"
                " linear"
            )
        self.units = units_of(event)
        least = config.least_noise
        if least is None:
            least = 0.02 if event.levels is None else 0.75 / event.levels
        self.schedule = Schedule(config.schedule, config.timesteps, least**2)
        self.process = process_of(event, self.units, self.schedule, config.prediction)
        self.network = self._network(self.process.shape)
        self.compiled = False  # are the steps of sampling compiled?

    def _network(self, shape: tuple[int, ...]) -> TimedMLP | UNet:
        """An MLP for flat states, a U-Net for those with an order in space or time."""
        config = self.config
        if len(shape) == 1:
            return TimedMLP(shape[0], config.hidden, self.classes, config.dropout)
        unet = config.width, config.levels, config.blocks, config.attention
        return UNet(shape, *unet, self.classes, config.attention_levels, config.dropout)

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
        self.units.initialise(x)

    # Training

    def players(self) -> list[Player]:
        """One player."""
        config = self.config
        return [Player("diffusion", self, self._loss, config.learning_rate, weight_decay=config.weight_decay)]

    def _loss(self, batch: Batch) -> Tensor:
        """The loss at one timestep per example, of which a share `label_dropout` hides its label."""
        t = self.schedule.random_timesteps(batch.noise)
        context = one_hot(batch.labels, self.classes)
        if context is not None and self.config.label_dropout:
            context = context * (batch.noise.uniform() >= self.config.label_dropout)[:, None]
        x_0 = self.start(batch.x, batch.noise)
        epsilon = self._noise(batch.noise).to(x_0)
        with dropping(self, batch.noise):
            if self.config.loss == "bound":
                steps = self.config.timesteps * self._bound_term(x_0, t, epsilon, context, clip=False)
                return (self.process.prior(x_0) + steps).mean() / self.event.dimensions
            return self._errors(x_0, t, epsilon, context, self.config.loss == "min_snr").mean()

    def _errors(
        self, x_0: Tensor, t: Tensor, epsilon: Tensor, context: Tensor | None, weighted: bool = False
    ) -> Tensor:
        """The mean errors (N,) of the network's prediction at timesteps t (N,)."""
        x_t = self.process.noised(x_0, t, epsilon)
        return self.process.errors(self._output(x_t, t, context), x_0, x_t, t, epsilon, weighted)

    def _noise(self, noise: Noise) -> Tensor:
        """ε (N, *shape), the noise of one timestep."""
        return self.process.noise(noise.normal(*self.process.shape))

    def diagnostics(self, batch: Batch) -> dict[str, float]:
        """The unweighted error of the prediction, as in the simple loss, and L_0 in nats per dimension."""
        x_0, context = self.start(batch.x, batch.noise), one_hot(batch.labels, self.classes)
        t, epsilon = self.schedule.random_timesteps(batch.noise), self._noise(batch.noise).to(x_0)
        decoded = self._bound_term(x_0, torch.ones_like(t), epsilon, context, clip=True)
        return {
            "prediction_error": self._errors(x_0, t, epsilon, context).mean().item(),
            "decoder_nats": decoded.mean().item() / self.event.dimensions,
        }

    # The network

    def start(self, x: Tensor, noise: Noise | None = None) -> Tensor:
        """x_0 (N, *shape) of examples; numbers that have to be made continuous are, by noise if there is any."""
        return self.units(x, noise)[0].to(self._dtype)

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

    def _guided(self, x_t: Tensor, t: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """The output, led away from that for no label, and as it is; ε̂ and v̂, linear in each other, are led alike."""
        w = self.config.guidance
        if not w or context is None:
            output = self._output(x_t, t, context)
            return output, output
        both = torch.cat([context, torch.zeros_like(context)])
        known, unknown = self._output(x_t.repeat(2, *[1] * (x_t.dim() - 1)), t.repeat(2), both).chunk(2)
        return (1 + w) * known - w * unknown, known

    # The bound

    def log_likelihood(self, batch: Batch) -> Tensor:
        """The bound, over all timesteps or estimated without bias on `bound_steps` of them, each with one ε.

        Where labels are summed out, log 1/C Σ_y exp(bound_y) is biased upwards by the noise of the bounds, as far as
        several classes are likely. They share ε and t, so that little of it is left: on digits, with 8 of 1000 steps
        drawn, the bias was 0.001 bits per dimension, and with 20 it was 0.0001.
        """
        context = one_hot(batch.labels, self.classes)
        x_0, log_det = self.units(batch.x, batch.noise)
        x_0 = x_0.to(self._dtype)
        t, weights = self.schedule.drawn(self.scoring_passes, batch.noise)
        total = self.process.prior(x_0).double()
        at_once = max(1, ROWS // len(x_0))
        for steps, weight in zip(t.split(at_once), weights.split(at_once), strict=True):
            k = len(steps)
            epsilon = torch.cat([self._noise(batch.noise) for _ in range(k)]).to(x_0)
            many = None if context is None else context.repeat(k, 1)
            repeated = x_0.repeat(k, *[1] * (x_0.dim() - 1))
            terms = self._bound_term(repeated, steps.flatten(), epsilon, many, clip=True)
            total = total + (weight[:, None] * terms.double().view(k, -1)).sum(0)
        return log_det - total.to(x_0)

    def _bound_term(self, x_0: Tensor, t: Tensor, epsilon: Tensor, context: Tensor | None, clip: bool) -> Tensor:
        """L_{t-1} (N,) in nats at timesteps t (N,), L_0 where t is 1."""
        x_t = self.process.noised(x_0, t, epsilon)
        guess = self.process.origin(self._output(x_t, t, context), x_t, t, clip)
        return self.process.cost(x_0, guess, x_t, t, t - 1).flatten(1).sum(1)

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
        labels = chosen_labels(labels, self.label_shares, u[:, 0])
        labels = None if labels is None else labels.to(self._device)
        context, sampler = one_hot(labels, self.classes), self._sampler()
        x_0 = torch.empty(n, *self.process.shape, device=self._device, dtype=self._dtype)
        for part in (slice(i, i + ROWS) for i in range(0, n, ROWS)):
            some = None if context is None else context[part]
            x_0[part], _ = sampler.walk(seeds_of(u[part, 1]), some, temperature)
        return self.units.quantise(x_0)

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
        """Known-region replacement: in each step, what is known goes to x_s by the true x_0, and the rest by x̂_0.

        Of several `walks`, and of all classes if labels are unknown, one is drawn: see `diffusion_completion.py`.
        """
        x, known = x.to(self._device), known.to(self._device).expand(len(x), *self.event.shape)
        u = uniform_rows(len(x), 2, generator).to(self._device)
        classes, walks = self.classes if labels is None and self.classes else 1, self._walks
        x_0 = self.start(torch.where(known, x, 0))  # whatever stands for what is missing
        drawn, places = torch.empty_like(x_0), self.process.mask(known)
        given, ways = known.flatten(1).any(1), (self._sampler(completes=True), self._sampler())
        for sampler, these, several in ((ways[0], given, walks), (ways[1], ~given, 1)):
            for part in these.nonzero()[:, 0].split(max(1, ROWS // (classes * several))):
                chosen = None if labels is None else labels[part.to(labels.device)].to(self._device)
                some = x_0[part], places[part], chosen, u[part]
                drawn[part] = completed(sampler, *some, temperature, several, self.classes, self.joint)
        return torch.where(known, x, self.units.quantise(drawn))

    @property
    def _walks(self) -> int:
        """Of each completion."""
        return self.config.walks or (WALKS if self.event.kind == "table" else 1)

    def _sampler(self, completes: bool = False) -> Sampler:
        name, steps = self.config.sampler, self.sampling_passes
        if name == "auto":  # noise on the way lets what is drawn come to fit what is known
            name = "dpm_solver" if steps < MANY_STEPS and not completes else "ancestral"
        eta = {"ancestral": 1.0, "ddim": self.config.eta, "dpm_solver": 0.0}[name]
        second = name == "dpm_solver"
        return Sampler(self.schedule, self.process, steps, eta, self._guess, self._dtype, self.compiled, second)

    def _guess(self, x_t: Tensor, t: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """x̂_0 of x_t (n, *shape) at a timestep t (), with guidance and without."""
        guided, plain = self._guided(x_t, t.expand(len(x_t)), context)
        guess = self.process.origin(guided, x_t, t, clip=True)
        return guess, guess if plain is guided else self.process.origin(plain, x_t, t, clip=True)
