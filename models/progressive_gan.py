"""Progressive GAN: generator and discriminator grow together, from the lowest resolution to that of the data.

They learn first what images look like from afar. Then a block of layers is put on top of the generator and one before
the discriminator, which doubles the resolution. So that it does not upset what has been learnt, a new block is faded
in: its weight α in a sum rises from 0 to 1. With S = `phase_steps` and D doublings, training has 2D + 1 phases,

    step:    0 … S     S … 2S          2S … 3S    3S … 4S         4S … 5S    …       2DS …
    phase:   lowest    + 1st, fading   + 1st      + 2nd, fading   + 2nd      …       all grown

and while the s-th block fades in, α = (step mod S) / S,

    generator:      x = (1 - α) up(rgb_{s-1}(h)) + α rgb_s(block_s(up(h)))       h: features of the s-1 blocks before
    discriminator:  h = (1 - α) features_{s-1}(down(x)) + α block_s(features_s(x))
    real examples:  x = (1 - α) up(down(x)) + α x

where `up` repeats pixels and `down` averages squares of four. Losses are Wasserstein's, of a critic d with a penalty
on its slope at x̂ between real and generated examples and another on its drift away from zero:

    critic:     E_z[d(G(z))] - E_x[d(x)] + λ E[(‖∇d(x̂)‖ - 1)²] + ε E_x[d(x)²]
    generator:  -E_z[d(G(z))]

or any other of `layers/adversarial.py`, where the penalty R1, γ/2 E_x[‖∇d(x)‖²], is the usual one.

Shapes: z (N, L) on the sphere ‖z‖ = √L, G(z) (N, C, H/2^k, W/2^k) on the scale -1 … 1 with k doublings still to come;
samples of a network that has not grown yet are enlarged by `up`. The step is kept in a buffer, and growth follows from
it: so weights that are averaged, exported or resumed know how far they have grown. Unlike the paper, the optimisers'
moments are kept from phase to phase.

When to use it: for images that can be halved several times, of which one `gan` of the full resolution is hard to
train. Images of 8 × 8 grow only once.

Karras, Aila, Laine & Lehtinen, "Progressive Growing of GANs for Improved Quality, Stability, and Variation", 2018
(arXiv:1710.10196); Gulrajani et al., "Improved Training of Wasserstein GANs", 2017 (arXiv:1704.00028); conditional by
projection: Miyato & Koyama, 2018 (arXiv:1802.05637).
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
)
from .layers.adversarial import LOSSES, LossName, gradient_penalty, r1_penalty
from .layers.draws import draw
from .layers.images import halvings
from .layers.labels import append, one_hot
from .layers.units import centred, from_centred
from .progressive_gan_networks import Discriminator, Generator, Growth, PixelNorm, down, up

LOWEST = 4  # the least side of the images that growth starts with


@validated(frozen=True, config=STRICT)
class ProgressiveGANConfig(FamilyConfig):
    """Configuration of the progressive GAN. `learning_rate` is the generator's."""

    learning_rate: float = Field(default=5e-3, gt=0)
    """Adam's step size for the generator. The paper has 1e-3, and a thousand times as many steps."""

    latent: int = Field(default=32, ge=1)
    """L, the length of the generator's input noise."""

    width: int = Field(default=32, ge=1)
    """Channels at full resolution; each halving doubles them, up to `widest`."""

    widest: int = Field(default=512, ge=1)
    """The most channels at any resolution."""

    phase_steps: int = Field(default=300, ge=1)
    """S, the steps of each phase: of training at a resolution before the next is added, and of its fading in."""

    loss: LossName = "wasserstein"
    """The loss of both players: see models/layers/adversarial.py."""

    gradient_penalty: float = Field(default=10.0, ge=0)
    """λ, the weight of (‖∇d‖ - 1)² between real and generated examples; Wasserstein's loss needs it."""

    r1: float = Field(default=0.0, ge=0)
    """γ, the weight of ½ ‖∇d‖² at real examples; for the losses other than Wasserstein's."""

    drift: float = Field(default=1e-3, ge=0)
    """ε, the weight of the squared scores of real examples, which keeps the critic's from drifting away from zero."""

    discriminator_ratio: float = Field(default=1.0, gt=0)
    """The discriminator's step size divided by the generator's."""

    discriminator_steps: int = Field(default=1, ge=1)
    """The generator moves once in this many steps, the discriminator in each."""

    beta1: float = Field(default=0.0, ge=0, lt=1)
    """Adam's decay of the first moment, for both players."""

    beta2: float = Field(default=0.99, ge=0, lt=1)
    """Adam's decay of the second moment, for both players."""

    @field_validator("gradient_penalty")
    @classmethod
    def _bounded_critic(cls, gradient_penalty: float, info: ValidationInfo) -> float:
        """Without a bound on its slope the Wasserstein critic's scores grow for ever."""
        if info.data.get("loss") == "wasserstein" and not gradient_penalty:
            raise ValueError("loss: wasserstein needs a gradient_penalty above 0")
        return gradient_penalty


class ProgressiveGAN(Family, Features):
    """Two players that grow: the discriminator moves first, and notes the step."""

    Config = ProgressiveGANConfig
    parallel_sampling = True
    config: ProgressiveGANConfig
    step: Tensor

    def __init__(self, config: ProgressiveGANConfig, event: Event) -> None:
        super().__init__(config, event)
        self.doublings = halvings(event.shape[1], event.shape[2], LOWEST, most=8)
        widths = [min(config.width << left, config.widest) for left in reversed(range(self.doublings + 1))]
        self.generator = Generator(event, config.latent + self.classes, widths)
        self.discriminator = Discriminator(event, self.classes, widths)
        # An integer: the training loop averages weights, and copies what counts.
        self.register_buffer("step", torch.zeros((), dtype=torch.long))

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        """It models images of ordered integers with sides that can be halved to no less than `LOWEST`."""
        if event.kind != "image" or event.levels is None:
            return f"progressive_gan models images of integers, not {event.in_words}"
        if not halvings(event.shape[1], event.shape[2], LOWEST):
            sides = event.shape[1:]
            return f"progressive_gan doubles images: their sides must be even and {2 * LOWEST} or more, not {sides}"
        return super().refusal(event)

    @property
    def sampling_passes(self) -> int:
        return 1

    def players(self) -> list[Player]:
        config = self.config
        betas, decay = (config.beta1, config.beta2), config.weight_decay
        pace = config.learning_rate * config.discriminator_ratio
        return [
            Player("discriminator", self.discriminator, self._discriminator_loss, pace, 1, betas, decay, partly=True),
            Player(
                "generator",
                self.generator,
                self._generator_loss,
                config.learning_rate,
                config.discriminator_steps,
                betas,
                decay,
                partly=True,
            ),
        ]

    def growth(self, step: Tensor | None = None) -> Growth:
        """How far the networks have grown at a step (a scalar on the CPU); by default after the last of training."""
        return Growth.at(self.step.cpu() if step is None else step, self.config.phase_steps, self.doublings)

    def real(self, x: Tensor, growth: Growth, u: float | Tensor = 0.5) -> Tensor:
        """Examples (N, *event) as the discriminator sees them: small, and without the detail that has not faded in."""
        small = down(centred(x, self.event, u), self.doublings - growth.stage)
        return growth.blend(up(down(small)), small) if growth.fading else small

    def _fake(self, batch: Batch, context: Tensor | None, growth: Growth) -> Tensor:
        z = batch.noise.normal(self.config.latent).to(next(self.generator.parameters()))
        return self._images(z, context, growth)

    def _images(self, z: Tensor, context: Tensor | None, growth: Growth, temperature: float = 1.0) -> Tensor:
        """Images of normal noise z (N, L), which is put on the sphere of radius √L (times the temperature)."""
        images: Tensor = self.generator(append(PixelNorm()(z) * temperature, context), growth)
        return images

    def _discriminator_loss(self, batch: Batch) -> Tensor:
        config, growth = self.config, self.growth(batch.step)
        self.step.copy_(batch.step + 1)
        context = one_hot(batch.labels, self.classes)
        real = self.real(batch.x, growth, batch.noise.uniform(*self.event.shape))
        fake = self._fake(batch, context, growth).detach()
        on_real = self.discriminator(real, context, growth)
        on_fake = self.discriminator(fake, context, growth)
        loss = LOSSES[config.loss].discriminator(on_real, on_fake) + config.drift * on_real.square()
        return (loss + self._penalty(real, fake, batch.noise.uniform(), context, growth)).mean()

    # torch.compile differentiates once, and the gradient of a slope is a second derivative.
    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _penalty(self, real: Tensor, fake: Tensor, u: Tensor, context: Tensor | None, growth: Growth) -> Tensor:
        """What the discriminator pays for its slopes (N,)."""

        def score(x: Tensor) -> Tensor:
            scores: Tensor = self.discriminator(x, context, growth)
            return scores

        penalty = real.new_zeros(len(real))
        if self.config.gradient_penalty:
            penalty = penalty + self.config.gradient_penalty * gradient_penalty(score, real, fake, u)
        if self.config.r1:
            penalty = penalty + self.config.r1 * r1_penalty(score, real)
        return penalty

    def _generator_loss(self, batch: Batch) -> Tensor:
        growth = self.growth(batch.step)
        context = one_hot(batch.labels, self.classes)
        scores = self.discriminator(self._fake(batch, context, growth), context, growth)
        return LOSSES[self.config.loss].generator(scores).mean()

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        growth, weight = self.growth(), next(self.generator.parameters())
        drawn = draw(n, self.config.latent, labels, self.label_shares, 1.0, generator, weight)
        images = self._images(drawn.z, one_hot(drawn.labels, self.classes), growth, temperature)
        return from_centred(up(images, self.doublings - growth.stage), self.event)

    def features(self, x: Tensor) -> Tensor:
        """The discriminator's last hidden layer."""
        growth = self.growth()
        return self.discriminator.features(self.real(x, growth), growth)

    def diagnostics(self, batch: Batch) -> dict[str, float]:
        """The height of the images made so far, the weight of their newest detail, and by how much scores differ."""
        growth = self.growth()
        context = one_hot(batch.labels, self.classes)
        on_real = self.discriminator(self.real(batch.x, growth), context, growth)
        on_fake = self.discriminator(self._fake(batch, context, growth), context, growth)
        return {
            "resolution": self.event.shape[1] >> (self.doublings - growth.stage),
            "fade_in": float(growth.alpha),
            "score_gap": float(on_real.mean() - on_fake.mean()),
        }

    def concerns(self, measured: Mapping[str, float]) -> list[str]:
        """Has it not grown up? A training that ends so was too short for its phases."""
        full = self.event.shape[1]
        steps = 2 * self.doublings * self.config.phase_steps
        grown = f"it is fully grown after {steps} steps, with a lower phase_steps after fewer"
        if measured.get("resolution", full) < full:
            return [f"its images are {measured['resolution']:g} pixels high, not {full}: {grown}"]
        if measured.get("fade_in", 1) < 1:
            return [
                f"the finest detail of its images is still fading in, its weight is {measured['fade_in']:.2f}: {grown}"
            ]
        return []
