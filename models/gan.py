"""Generative adversarial networks: a generator learns to fool a discriminator that learns not to be fooled.

Their losses, `loss`, and their networks, `architecture`, are parameters; so is all that keeps the training in
balance. There is no likelihood, and a sample is one pass of the generator.

    discriminator:  E_x[L_real(d(x + σ_t ε))] + E_z[L_fake(d(G(z) + σ_t ε'))]
                    + λ E[(‖∇d(x̂)‖ - 1)²] + γ/2 E_x[‖∇d(x)‖²]
    generator:      E_z[L_G(d(G(z) + σ_t ε))],     σ_t = σ_0 max(0, 1 - t/T) at step t

with the losses L of `layers/adversarial.py` and the networks of `gan_networks.py`. The penalties of weights λ and γ,
spectral normalisation and clipped weights all bound how steep d can be.

Shapes: z (N, L), x and G(z) (N, *event), d (N,). Integers are dequantised, so that the discriminator cannot tell real
from fake by their being whole numbers, and brought to the scale -1 … 1; vectors are standardised. Of the rows of a
table both players see numbers, names and gaps, and are told what a row shall have: see `gan_tables.py`.

The moving average of the generator that is often exported is the training loop's `ema_decay`: with it, averages of all
weights are validated and exported, while training continues with the weights themselves.

When to use it: for samples in one pass, where no likelihood is needed and some runs may be spent on the balance of the
two players. Watch `classes_covered`, and the warnings about mode collapse.

Goodfellow et al., "Generative Adversarial Nets", 2014 (arXiv:1406.2661); two learning rates: Heusel et al., 2017
(arXiv:1706.08500); instance noise: Sønderby et al., 2016 (arXiv:1610.04490), and Arjovsky & Bottou, 2017
(arXiv:1701.04862). The papers of losses, penalties and architectures are named where they are defined.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from pydantic import Field, ValidationInfo, field_validator
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from .contract import (
    STRICT,
    Batch,
    Event,
    Family,
    FamilyConfig,
    Features,
    Player,
    UnsuitableEvent,
    Width,
)
from .gan_networks import Architecture, Critic, generator, normalise_spectrally, rows_generator
from .gan_tables import TableRows
from .layers.adversarial import LOSSES, LossName, gradient_penalty, squared_slope
from .layers.diffaugment import changed
from .layers.draws import draw
from .layers.images import halvings
from .layers.inputs import network_input, standardiser
from .layers.labels import append, one_hot
from .layers.precision import at_least_float32
from .layers.units import centred, from_centred

VANISHING = 0.02  # the generator's loss is flat where its derivative by d is less


@validated(frozen=True, config=STRICT)
class GANConfig(FamilyConfig):
    """Configuration of the GAN. `learning_rate` is the generator's."""

    loss: LossName = "non_saturating"
    """What both players lower; `wasserstein` needs a bound on the critic's slope."""

    architecture: Architecture = "dcgan"
    """`mlp` for events of any kind, and the only one for tables; `dcgan` and `residual` for images whose sides can be
    halved."""

    latent: int = Field(default=32, ge=1)
    """L, the length of the generator's input noise."""

    width: int = Field(default=32, ge=1)
    """Channels: of `dcgan` at half the resolution, and each further halving doubles them; of `residual` everywhere."""

    hidden: tuple[Width, ...] = Field(default=(128, 128), min_length=1, strict=False)
    """Widths of the hidden layers of `mlp`, in the generator and in the discriminator."""

    learning_rate: float = Field(default=2e-4, gt=0)
    """Adam's step size for the generator."""

    discriminator_ratio: float = Field(default=1.0, gt=0)
    """The discriminator's step size divided by the generator's: two time-scales."""

    discriminator_steps: int = Field(default=1, ge=1)
    """The generator moves once in this many steps, the discriminator in each."""

    beta1: float = Field(default=0.5, ge=0, lt=1)
    """Adam's decay of the first moment, for both players."""

    beta2: float = Field(default=0.999, ge=0, lt=1)
    """Adam's decay of the second moment, for both players."""

    spectral_norm: bool = False
    """Divide each weight of the discriminator by its largest singular value. There is no batch normalisation then."""

    gradient_penalty: float = Field(default=0.0, ge=0)
    """λ, the weight of the penalty on slopes of the critic other than 1, between real and generated examples. With it
    the discriminator has no batch normalisation, which would make slopes those of a whole batch."""

    r1: float = Field(default=0.0, ge=0)
    """γ, the weight of the penalty on any slope at real examples. No batch normalisation, as above."""

    r1_every: int = Field(default=1, ge=1)
    """The steps between two penalties by `r1`, each as many times as heavy: as good, and cheaper."""

    augment: bool = False
    """Show the discriminator images, real and generated, in other brightness, shifted, and with a hole; for small
    data."""

    weight_clip: float | None = Field(default=None, gt=0, validate_default=True)
    """The discriminator's weights are brought back to this distance from 0 after each of its steps; null lets them."""

    label_smoothing: float = Field(default=0.0, ge=0, lt=0.5)
    """One-sided label smoothing: the discriminator's target for real examples is one minus this."""

    instance_noise: float = Field(default=0.0, ge=0)
    """σ_0, the standard deviation of noise on all that the discriminator sees, on the scale -1 … 1 of integers, in
    standard deviations of vectors and of the numbers of a table, or beside the ones of its names."""

    instance_noise_steps: int = Field(default=1000, ge=1)
    """T, the step by which the instance noise has decayed to nothing."""

    @field_validator("weight_clip")
    @classmethod
    def _bounded_critic(cls, weight_clip: float | None, info: ValidationInfo) -> float | None:
        """Without a bound the Wasserstein critic's scores grow for ever; clipped weights leave the penalty no say."""
        penalised, normed = info.data.get("gradient_penalty", 0) > 0, info.data.get("spectral_norm", False)
        if weight_clip is not None and penalised:
            raise ValueError("gradient_penalty and weight_clip bound the same slope: set one of them")
        if info.data.get("loss") == "wasserstein" and weight_clip is None and not penalised and not normed:
            raise ValueError("loss: wasserstein needs a weight_clip, a gradient_penalty or spectral_norm: true")
        return weight_clip

    @field_validator("label_smoothing")
    @classmethod
    def _labels_to_smooth(cls, label_smoothing: float, info: ValidationInfo) -> float:
        loss = info.data.get("loss")
        if label_smoothing and loss is not None and not LOSSES[loss].smoothable:
            allowed = ", ".join(name for name, each in LOSSES.items() if each.smoothable)
            raise ValueError(f"loss: {loss} has no labels to smooth; these have: {allowed}")
        return label_smoothing


class GAN(Family, Features):
    """Two players: the discriminator moves first."""

    Config = GANConfig
    parallel_sampling = True
    typed_columns = True
    config: GANConfig

    def __init__(self, config: GANConfig, event: Event) -> None:
        super().__init__(config, event)
        self._check_architecture()
        if config.augment and (event.kind != "image" or event.levels is None):
            raise UnsuitableEvent(f"augment: true changes images of integers, not {event.in_words}; leave it out")
        self.loss = LOSSES[config.loss]
        self.table = TableRows(event, self.classes) if event.kind == "table" else None
        self.units = standardiser(event) if self.table is None else self.table.numbers
        told = self.classes
        if self.table is None:
            self.seen = event
            inputs = config.latent + told
            self.generator = generator(config.architecture, event, inputs, config.width, config.hidden)
        else:
            self.seen, told = self.table.seen, told + self.table.choices.total
            self.generator = rows_generator(self.table.numbers.total, config.latent + told, config.hidden)
        self.discriminator = Critic(
            config.architecture,
            self.seen,
            told,
            config.width,
            config.hidden,
            rowwise=config.spectral_norm or config.gradient_penalty > 0 or config.r1 > 0,
            biased=self.loss.boundary is not None,
        )
        if config.spectral_norm:
            normalise_spectrally(self.discriminator)

    def _check_architecture(self) -> None:
        """Raise `UnsuitableEvent` where the configured architecture is none for the event."""
        architecture, event = self.config.architecture, self.event
        if architecture == "mlp":
            return
        if event.kind != "image" or event.levels is None:
            raise UnsuitableEvent(
                f"architecture: {architecture} makes images of integers, not {event.in_words};"
                " architecture: mlp makes any"
            )
        if not halvings(*event.shape[1:]):
            raise UnsuitableEvent(
                f"architecture: {architecture} halves images: their sides must be even and 4 or more,"
                f" not {event.shape[1:]}; architecture: mlp takes any"
            )

    @property
    def sampling_passes(self) -> int:
        return 1

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        if self.units is not None:
            self.units.initialise(x)
        if self.table is not None:
            self.table.initialise(x, labels)

    # Training

    def players(self) -> list[Player]:
        config = self.config
        betas = (config.beta1, config.beta2)
        return [
            Player(
                "discriminator",
                self.discriminator,
                self._discriminator_loss,
                config.learning_rate * config.discriminator_ratio,
                betas=betas,
                weight_decay=config.weight_decay,
                project=None if config.weight_clip is None else self._clip_weights,
            ),
            Player(
                "generator",
                self.generator,
                self._generator_loss,
                config.learning_rate,
                config.discriminator_steps,
                betas,
                config.weight_decay,
            ),
        ]

    def _clip_weights(self) -> None:
        clip = self.config.weight_clip
        assert clip is not None
        for weight in self.discriminator.parameters():
            weight.clamp_(-clip, clip)

    def _discriminator_loss(self, batch: Batch) -> Tensor:
        batch, context = self._told(batch)
        real = self._shown(self._real(batch), batch)
        with torch.no_grad():
            fake = self._shown(self._fake(batch, context), batch)
        if self.config.r1 or self.config.gradient_penalty:
            r1 = self.config.r1 * self.config.r1_every if batch.step % self.config.r1_every == 0 else 0.0
            return self._penalised_loss(real, fake, context, batch.noise.uniform(), r1).mean()
        on_real, on_fake = self._scores(real, fake, context)
        return self.loss.discriminator(on_real, on_fake, self.config.label_smoothing).mean()

    # torch.compile differentiates once, and the gradient of a slope is a second derivative.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _penalised_loss(self, real: Tensor, fake: Tensor, context: Tensor | None, u: Tensor, r1: float) -> Tensor:
        """The discriminator's loss (N,), and what it pays for its slopes."""
        config = self.config
        real.requires_grad_(r1 > 0)
        on_real, on_fake = self._scores(real, fake, context)
        loss = self.loss.discriminator(on_real, on_fake, config.label_smoothing)
        if config.gradient_penalty:
            penalty = gradient_penalty(lambda x: self._score(x, context), real, fake, u)
            loss = loss + config.gradient_penalty * penalty
        if r1:
            loss = loss + (0.5 * r1) * squared_slope(on_real, real)
        return loss

    def _generator_loss(self, batch: Batch) -> Tensor:
        batch, context = self._told(batch)
        h = self._outputs(batch, context)
        fake = self._shown(self._as_seen(h, batch), batch)
        loss = self.loss.generator(self._score(fake, context))
        if self.table is not None and context is not None:
            loss = loss + self.table.cross_entropy(h, context[:, self.classes :])
        return loss.mean()

    def _told(self, batch: Batch) -> tuple[Batch, Tensor | None]:
        """A batch, and what both players are told of its rows: labels, and of a table conditions, (N, C) if any."""
        if self.table is None:
            return batch, one_hot(batch.labels, self.classes)
        batch, condition = self.table.conditioned(batch)
        return batch, self._context(batch.labels, condition)

    def _context(self, labels: Tensor | None, condition: Tensor) -> Tensor:
        context = one_hot(labels, self.classes)
        return condition if context is None else append(context, condition)

    def _real(self, batch: Batch) -> Tensor:
        """Examples (N, *seen) as the discriminator sees them."""
        if self.table is not None:
            return self.table.real(batch)
        if self.units is not None:
            return self.units.numbers(batch.x)
        return centred(batch.x, self.event, batch.noise.uniform(*self.event.shape))

    def _fake(self, batch: Batch, context: Tensor | None) -> Tensor:
        """Generated examples (N, *seen) as the discriminator sees them."""
        return self._as_seen(self._outputs(batch, context), batch)

    def _outputs(self, batch: Batch, context: Tensor | None) -> Tensor:
        """G(z) (N, *seen)."""
        z = batch.noise.normal(self.config.latent).to(next(self.generator.parameters()))
        outputs: Tensor = self.generator(append(z, context))
        return outputs

    def _as_seen(self, outputs: Tensor, batch: Batch) -> Tensor:
        """What the discriminator sees (N, *seen) of the generator's outputs."""
        if self.table is None:
            return outputs
        return self.table.generated(outputs, batch.noise.uniform(self.table.choices.total))

    def _shown(self, x: Tensor, batch: Batch) -> Tensor:
        """x as the discriminator is shown it: changed, and with the instance noise of the batch's step."""
        if self.config.augment:
            x = changed(x, batch.noise)
        if not self.config.instance_noise:
            return x
        left = (1 - batch.step / self.config.instance_noise_steps).clamp_min(0)
        return x + self.config.instance_noise * left * batch.noise.normal(*self.seen.shape).to(x)

    def _score(self, x: Tensor, context: Tensor | None) -> Tensor:
        """d(x) (N,), in float32 where the network computes in bfloat16."""
        d: Tensor = self.discriminator(x, context)
        return at_least_float32(d)

    def _scores(self, real: Tensor, fake: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """d(x) and d(G(z)) (N,), in one pass where that changes nothing and costs nothing.

        Batch normalisation is of real and of generated examples each by themselves, as DCGAN has it; the slope at real
        examples would be sought at generated ones too.
        """
        if not self.discriminator.rowwise or self.config.r1:
            return self._score(real, context), self._score(fake, context)
        both = self._score(torch.cat([real, fake]), None if context is None else torch.cat([context, context]))
        on_real, on_fake = both.chunk(2)
        return on_real, on_fake

    # Diagnostics

    def diagnostics(self, batch: Batch) -> dict[str, float]:
        """How well the discriminator tells real examples from generated ones, and the slope of the generator's loss.

        `score_gap` is E[d(x)] - E[d(G(z))], `generator_slope` E|dL_G/dd|; D = σ(d) where d is a logit. They are those
        of a finished model: without instance noise, and with the running moments of a batch normalisation.
        """
        batch, context = self._told(batch)
        real, fake = self._score(self._real(batch), context), self._score(self._fake(batch, context), context)
        with torch.enable_grad():
            d = fake.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.loss.generator(d).sum(), d)
        measured = {"score_gap": real.mean() - fake.mean(), "generator_slope": slope.abs().mean()}
        if self.loss.logit:
            measured |= {"D_on_real": real.sigmoid().mean(), "D_on_fake": fake.sigmoid().mean()}
        if self.loss.boundary is not None:
            right = (real > self.loss.boundary).float().mean() + (fake <= self.loss.boundary).float().mean()
            measured["discriminator_accuracy"] = 0.5 * right
        return {name: value.item() for name, value in measured.items()}

    def concerns(self, measured: Mapping[str, float]) -> list[str]:
        """Saturation: a discriminator that is always right, and sure of it, teaches the generator little."""
        accuracy, gap = measured.get("discriminator_accuracy", 0.0), measured.get("score_gap", 0.0)
        if self.loss.margin is None or accuracy <= 0.99 or gap < self.loss.margin:
            return []
        flat = measured["generator_slope"] < VANISHING
        why = f", and the loss {self.config.loss} gives the generator next to no gradient there" if flat else ""
        return [
            f"the discriminator is saturated: it is right about {accuracy:.1%} of the examples, with mean scores"
            f" {gap:.1f} apart{why}; a smaller discriminator_ratio, r1, instance_noise or spectral_norm may hold it"
            " back"
        ]

    # Samples and features

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        weight = next(self.generator.parameters())
        uniforms = 0 if self.table is None else self.table.uniforms
        drawn = draw(n, self.config.latent, labels, self.label_shares, temperature, generator, weight, uniforms)
        if self.table is not None:
            condition = self.table.condition(drawn.u[:, 0], drawn.labels)
            h = self.generator(append(drawn.z, self._context(drawn.labels, condition)))
            return self.table.rows(h, drawn.u[:, 1:], temperature)
        y = self.generator(append(drawn.z, one_hot(drawn.labels, self.classes)))
        return from_centred(y, self.event) if self.units is None else self.units.quantise(y)

    def features(self, x: Tensor) -> Tensor:
        """The discriminator's last hidden layer (N, F)."""
        features: Tensor = self.discriminator.body(network_input(x, self.event, self.units))
        return features
