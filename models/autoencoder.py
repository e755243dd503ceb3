"""Autoencoders: a network squeezes each example into a short code, a second one restores the example from it.

Training makes the restoration good, and nothing else: no prior says where codes lie, and there is no likelihood. So an
autoencoder is not a generative model. It samples all the same, as the baseline that shows why the others exist:
codes are normalised to zero mean and unit variance over the data, `sample` draws z ~ N(0, T² I) and decodes it. That
Gaussian has the mean and variance of the codes and not their shape: they lie on thin, curved sheets with holes between
them, where the decoder was never trained, and most z fall into the holes.

    z = (f(x) - mean f) / std f,    x̂ = g(z), or σ(g(z)) for bce

    mse:  1/D Σ_d (x̂_d - x_d)²                                    x in standard deviations, or integers as x/(K-1)
    bce:  -1/D Σ_d x_d log σ(h_d) + (1 - x_d) log σ(-h_d)          integers only, x/(K-1) as a probability

Shapes: x (N, *event), z (N, L), outputs h (N, D).

When to use it: to compress examples into short codes, or as the reference that shows what a missing prior costs. For
samples take a `vae`.

Rumelhart, Hinton & Williams, "Learning Internal Representations by Error Propagation", 1986; Hinton & Salakhutdinov,
"Reducing the Dimensionality of Data with Neural Networks", 2006.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic.dataclasses import dataclass as validated
from torch import Tensor
from torch.nn import functional as F

from .contract import (
    STRICT,
    Batch,
    Event,
    Family,
    Features,
    Player,
    Reconstruction,
    UnsuitableEvent,
)
from .layers.coders import CoderConfig, code_of_any_class, decoder, encoder
from .layers.draws import draw
from .layers.inputs import standardiser
from .layers.labels import one_hot
from .layers.precision import at_least_float32
from .layers.workers import GlobalBatchNorm
from .noise import Noise


@validated(frozen=True, config=STRICT)
class AutoencoderConfig(CoderConfig):
    """Configuration of the autoencoder."""

    loss: Literal["mse", "bce"] = "mse"
    """What restoring is measured by: the squared error, or the cross-entropy of integers as probabilities."""


class Autoencoder(Family, Reconstruction, Features):
    """Codes of zero mean and unit variance, and their networks; not a generative model, though it samples like one."""

    Config = AutoencoderConfig
    parallel_sampling = True
    config: AutoencoderConfig

    def __init__(self, config: AutoencoderConfig, event: Event) -> None:
        super().__init__(config, event)
        if event.levels is None and config.loss == "bce":
            raise UnsuitableEvent("loss: bce needs integer events; loss: mse takes vectors")
        self.units = standardiser(event)
        sizes = (self.classes, config.architecture, config.hidden, config.width)
        self.encoder = encoder(event, config.latent, *sizes, bias=False)  # the normalisation would take it away again
        self.normalise = GlobalBatchNorm(config.latent, affine=False)
        self.decoder = decoder(event, config.latent, *sizes)

    @property
    def sampling_passes(self) -> int:
        return 1

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        if self.units is not None:
            self.units.initialise(x)

    def players(self) -> list[Player]:
        """One player, which lowers the mean reconstruction error."""
        config = self.config
        return [Player("autoencoder", self, self._loss, config.learning_rate, weight_decay=config.weight_decay)]

    def _loss(self, batch: Batch) -> Tensor:
        return self.reconstruction_error(batch).mean()

    def reconstruction_error(self, batch: Batch) -> Tensor:
        """The loss (N,) of each example, per dimension."""
        context, y = one_hot(batch.labels, self.classes), self._scaled(batch.x)
        h = self.decoder(self._code(self._seen(y, batch.noise), context), context)
        h, target = at_least_float32(h), y.flatten(1)
        if self.config.loss == "mse":
            return (h - target).square().mean(1)
        return F.binary_cross_entropy_with_logits(h, target, reduction="none").mean(1)

    def _seen(self, y: Tensor, noise: Noise) -> Tensor:
        """What the encoder is shown of the examples y (N, *event)."""
        return y

    def _scaled(self, x: Tensor) -> Tensor:
        """y (N, *event): vectors standardised, integers as x/(K-1) on 0 … 1."""
        if self.units is not None:
            return self.units(x)[0]
        assert self.event.levels is not None
        return x.to(torch.get_default_dtype()) / (self.event.levels - 1)

    def _code(self, y: Tensor, context: Tensor | None) -> Tensor:
        """z (N, L) of y (N, *event); networks like integers centred."""
        return self.normalise(self.encoder(y if self.units is not None else 2 * y - 1, context))

    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The codes, whose mean is 0 and whose variance is 1 over the training data."""
        return self._code(self._scaled(x), one_hot(labels, self.classes))

    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        h = self.decoder(z, one_hot(labels, self.classes))
        if self.units is not None:
            return self.units.inverse(h)
        assert self.event.levels is not None
        share = h.clamp(0, 1) if self.config.loss == "mse" else torch.sigmoid(h)
        return (share * (self.event.levels - 1)).unflatten(1, self.event.shape)

    def features(self, x: Tensor) -> Tensor:
        """The codes; those of a conditional model are averaged over all labels."""
        return code_of_any_class(self.encode, x, self.classes)

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Decode z ~ N(0, T² I), which fails: the codes of the data do not fill that Gaussian."""
        weight = next(self.parameters())
        drawn = draw(n, self.config.latent, labels, self.label_shares, temperature, generator, weight)
        x = self.decode(drawn.z, drawn.labels)
        return x.float() if self.event.levels is None else x.round().to(torch.uint8)
