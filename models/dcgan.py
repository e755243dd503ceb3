"""Deep convolutional GAN: a generator learns to fool a discriminator that learns not to be fooled.

Neither has a likelihood; samples are one pass of strided transposed convolutions. Losses are the non-saturating ones
of the original paper, in logits d(x) of "x is real":

    discriminator:  E_x[softplus(-d(x))] + E_z[softplus(d(G(z)))]
    generator:      E_z[softplus(-d(G(z)))]

Shapes: z (N, L), G(z) (N, C, H, W) on the scale -1 … 1; integers are dequantised before the discriminator sees them,
so that it cannot tell real from fake by their being whole numbers.

Goodfellow et al., "Generative Adversarial Nets", 2014 (arXiv:1406.2661); Radford, Metz & Chintala, "Unsupervised
Representation Learning with DCGAN", 2015 (arXiv:1511.06434).
"""

from __future__ import annotations

from itertools import pairwise

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import STRICT, Batch, Event, Family, FamilyConfig, Features, Player
from .layers.images import halvings
from .layers.labels import append, chosen_labels, one_hot
from .layers.units import centred
from .layers.workers import GlobalBatchNorm
from .noise import uniform_rows


@validated(frozen=True, config=STRICT)
class DCGANConfig(FamilyConfig):
    """Configuration of the DCGAN. `learning_rate` is the generator's."""

    latent: int = Field(default=32, ge=1)
    """L, the length of the generator's input noise."""

    width: int = Field(default=32, ge=1)
    """Channels at half the resolution; each further halving doubles them."""

    learning_rate: float = Field(default=2e-4, gt=0)
    """Adam's step size for the generator."""

    discriminator_ratio: float = Field(default=1.0, gt=0)
    """The discriminator's step size divided by the generator's."""

    discriminator_steps: int = Field(default=1, ge=1)
    """The generator moves once in this many steps, the discriminator in each."""

    beta1: float = Field(default=0.5, ge=0, lt=1)
    """Adam's decay of the first moment, for both players."""


class Generator(nn.Module):
    """z → image: a linear map to the lowest resolution, then a transposed convolution per doubling."""

    def __init__(self, event: Event, inputs: int, width: int) -> None:
        super().__init__()
        stages = halvings(*event.shape[1:])
        channels, height, rows = event.shape[0], event.shape[1] >> stages, event.shape[2] >> stages
        widths = [*(width << stage for stage in reversed(range(stages))), channels]
        layers: list[nn.Module] = [
            nn.Linear(inputs, widths[0] * height * rows, bias=False),
            nn.Unflatten(1, (widths[0], height, rows)),
        ]
        for before, after in pairwise(widths):
            layers += [GlobalBatchNorm(before), nn.ReLU(), nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False)]
        self.layers = nn.Sequential(*layers, nn.Tanh())
        _initialise(self)

    def forward(self, z: Tensor) -> Tensor:
        image: Tensor = self.layers(z)
        return image


class Discriminator(nn.Module):
    """Image → logit: a strided convolution per halving, then a linear map of the features and the label."""

    def __init__(self, event: Event, classes: int, width: int) -> None:
        super().__init__()
        stages = halvings(*event.shape[1:])
        layers: list[nn.Module] = [nn.Conv2d(event.shape[0], width, 4, 2, 1), nn.LeakyReLU(0.2)]
        for stage in range(1, stages):
            before, after = width << (stage - 1), width << stage
            layers += [nn.Conv2d(before, after, 4, 2, 1, bias=False), GlobalBatchNorm(after), nn.LeakyReLU(0.2)]
        self.body = nn.Sequential(*layers, nn.Flatten())
        features = (width << (stages - 1)) * (event.shape[1] >> stages) * (event.shape[2] >> stages)
        self.head = nn.Linear(features, 1)
        self.class_head = nn.Linear(classes, features, bias=False) if classes else None
        _initialise(self)

    def forward(self, x: Tensor, context: Tensor | None) -> Tensor:
        """Logits (N,); of a conditional model by projection on the class (Miyato & Koyama, 2018)."""
        h = self.body(x)
        logit: Tensor = self.head(h)[:, 0]
        if self.class_head is None or context is None:
            return logit
        return logit + (h * self.class_head(context.to(h.dtype))).sum(1)


def _initialise(module: nn.Module) -> None:
    """Weights of all maps from N(0, 0.02²), as DCGAN has them."""
    for layer in module.modules():
        if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)):
            nn.init.normal_(layer.weight, std=0.02)


class DCGAN(Family, Features):
    """Two players: the discriminator moves first."""

    Config = DCGANConfig
    parallel_sampling = True
    config: DCGANConfig

    def __init__(self, config: DCGANConfig, event: Event) -> None:
        super().__init__(config, event)
        self.generator = Generator(event, config.latent + self.classes, config.width)
        self.discriminator = Discriminator(event, self.classes, config.width)

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        """It models images of ordered integers whose sides can be halved."""
        if event.kind != "image" or event.levels is None:
            return f"dcgan models images of integers, not a {event.kind} of shape {event.shape}"
        if not halvings(*event.shape[1:]):
            return f"dcgan halves images: their sides must be even and 4 or more, not {event.shape[1:]}"
        return super().refusal(event)

    @property
    def sampling_passes(self) -> int:
        return 1

    def players(self) -> list[Player]:
        config = self.config
        betas = (config.beta1, 0.999)
        decay = config.weight_decay
        pace = config.learning_rate * config.discriminator_ratio
        return [
            Player("discriminator", self.discriminator, self._discriminator_loss, pace, 1, betas, decay),
            Player(
                "generator",
                self.generator,
                self._generator_loss,
                config.learning_rate,
                config.discriminator_steps,
                betas,
                decay,
            ),
        ]

    def _fake(self, batch: Batch, context: Tensor | None) -> Tensor:
        z = batch.noise.normal(self.config.latent).to(next(self.generator.parameters()))
        return self.generator(append(z, context))

    def _discriminator_loss(self, batch: Batch) -> Tensor:
        context = one_hot(batch.labels, self.classes)
        real = centred(batch.x, self.event, batch.noise.uniform(*self.event.shape))
        fake = self._fake(batch, context).detach()
        on_real, on_fake = self.discriminator(real, context), self.discriminator(fake, context)
        return (F.softplus(-on_real) + F.softplus(on_fake)).mean()

    def _generator_loss(self, batch: Batch) -> Tensor:
        context = one_hot(batch.labels, self.classes)
        return F.softplus(-self.discriminator(self._fake(batch, context), context)).mean()

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        rows = uniform_rows(n, self.config.latent + 1, generator)
        weight = next(self.generator.parameters())
        chosen = chosen_labels(labels, self.classes, rows[:, -1])
        context = one_hot(None if chosen is None else chosen.to(weight.device), self.classes)
        z = (torch.special.ndtri(rows[:, :-1]) * temperature).to(weight)
        levels = self.event.levels
        assert levels is not None
        x = (self.generator(append(z, context)) + 1) * (levels / 2)
        return x.floor().clamp_(0, levels - 1).to(torch.uint8)

    def features(self, x: Tensor) -> Tensor:
        """The discriminator's last hidden layer."""
        return self.discriminator.body(centred(x, self.event))
