"""Denoising autoencoder: an autoencoder that is shown corrupted examples and must restore the clean ones.

To undo the corruption its networks must know which examples are likely: what is restored is pulled towards the data.
So the codes hold what several numbers agree on, and less of what is incidental.

    x̃ ~ c(x̃|x),    z = (f(x̃) - mean f) / std f,    the loss compares g(z) with x

The corruption c adds Gaussian noise, or sets a share of the numbers to nothing (masking: the lowest level of integers,
the mean of vectors) or to either end of their range (salt and pepper). Losses, shapes and samples are those of
`autoencoder.py`. Codes of given examples (`encode`) are those of the examples as they are; it is the codes of corrupted
ones that have mean 0 and variance 1.

When to use it: to restore damaged examples, or for features that do not depend on every detail. For samples take a
`vae`.

Vincent, Larochelle, Bengio & Manzagol, "Extracting and Composing Robust Features with Denoising Autoencoders", 2008.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from .autoencoder import Autoencoder, AutoencoderConfig
from .contract import STRICT, Event, UnsuitableEvent
from .noise import Noise


@validated(frozen=True, config=STRICT)
class DenoisingAutoencoderConfig(AutoencoderConfig):
    """Configuration of the denoising autoencoder."""

    corruption: Literal["gaussian", "masking", "salt_and_pepper"] = "masking"
    """What is done to the encoder's input; salt_and_pepper needs integers, whose range has ends."""

    level: float = Field(default=0.3, gt=0, le=1)
    """Standard deviation of Gaussian noise, as a share of the range of integers or in standard deviations of vectors;
    else the share of the numbers that are set to something else."""


class DenoisingAutoencoder(Autoencoder):
    """An autoencoder that is shown corrupted examples in training, and restores the clean ones."""

    Config = DenoisingAutoencoderConfig
    config: DenoisingAutoencoderConfig

    def __init__(self, config: DenoisingAutoencoderConfig, event: Event) -> None:
        if event.levels is None and config.corruption == "salt_and_pepper":
            raise UnsuitableEvent(
                "corruption: salt_and_pepper needs integers, whose range has ends; masking and gaussian take vectors"
            )
        super().__init__(config, event)

    def _seen(self, y: Tensor, noise: Noise) -> Tensor:
        """Examples on the scale of `_scaled` after the corruption c(x̃|x)."""
        level = self.config.level
        if self.config.corruption == "gaussian":
            return y + level * noise.normal(*self.event.shape).to(y)
        u = noise.uniform(*self.event.shape).to(y)
        if self.config.corruption == "masking":
            return y * (u >= level)
        ends = (u < level / 2).to(y.dtype)  # of those below `level`, half go up and half go down
        return torch.where(u < level, ends, y)
