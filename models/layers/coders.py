"""The two networks of an autoencoder, deterministic or variational: from examples to codes, and back.

An encoder maps what the network sees of the examples, y (N, channels, …), to vectors (N, outputs), from which a family
makes codes. A decoder maps codes z (N, L) to vectors (N, D · outputs), `outputs` numbers for each of the D numbers of
an example, in their order. Both come as an MLP for every event, and, for images, as a stack of strided convolutions per
halving of the sides and its mirror image of transposed ones. A conditional model shows its classes, one-hot, to both.

No normalisation: at these depths nothing needs it, and a batch norm would make the loss of a row depend on the others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Literal

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn

from ..contract import STRICT, Event, FamilyConfig, UnsuitableEvent, Width
from .images import halvings
from .inputs import input_channels
from .labels import append

Architecture = Literal["mlp", "convolutional"]


@validated(frozen=True, config=STRICT)
class CoderConfig(FamilyConfig):
    """What the configurations of families with an encoder and a decoder have in common."""

    latent: int = Field(default=16, ge=1)
    """L, the length of a code."""

    architecture: Architecture = "mlp"
    """Both networks: an MLP, or strided convolutions and their mirror image (images whose sides can be halved only)."""

    hidden: tuple[Width, ...] = Field(default=(256, 256), min_length=1, strict=False)
    """Widths of the encoder's hidden layers, of an MLP; the decoder has them in reverse."""

    width: int = Field(default=32, ge=1)
    """Channels of a convolutional network at half the resolution; each further halving doubles them."""


class Coder(nn.Module):
    """A network of a batch of rows and the one-hot classes of these rows, if any."""

    def forward(self, rows: Tensor, context: Tensor | None) -> Tensor:
        """Vectors (N, ·) of rows (N, …) in their context (N, C)."""
        raise NotImplementedError


class MLP(Coder):
    """Linear maps with SiLU between them; the context stands beside the inputs."""

    def __init__(self, widths: Sequence[int], bias: bool = True) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before, after in pairwise(widths[:-1]):
            layers += [nn.Linear(before, after), nn.SiLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1], bias))

    def forward(self, rows: Tensor, context: Tensor | None) -> Tensor:
        vectors: Tensor = self.layers(append(rows.flatten(1), context))
        return vectors


class ConvolutionalEncoder(Coder):
    """A strided convolution per halving, each with twice the channels, then a linear map of features and context."""

    def __init__(self, event: Event, outputs: int, classes: int, width: int, bias: bool) -> None:
        super().__init__()
        widths, lowest = _stages(event, width)
        layers: list[nn.Module] = []
        for before, after in pairwise([input_channels(event), *widths]):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.SiLU()]
        self.features = nn.Sequential(*layers, nn.Flatten())
        self.last = nn.Linear(widths[-1] * lowest[0] * lowest[1] + classes, outputs, bias)

    def forward(self, rows: Tensor, context: Tensor | None) -> Tensor:
        vectors: Tensor = self.last(append(self.features(rows), context))
        return vectors


class ConvolutionalDecoder(Coder):
    """The mirror image: a linear map to the lowest resolution, then a transposed convolution per doubling."""

    def __init__(self, event: Event, latent: int, classes: int, width: int, outputs: int) -> None:
        super().__init__()
        widths, lowest = _stages(event, width)
        widths = [*reversed(widths), event.shape[0] * outputs]
        layers: list[nn.Module] = [
            nn.Linear(latent + classes, widths[0] * lowest[0] * lowest[1]),
            nn.Unflatten(1, (widths[0], *lowest)),
        ]
        for before, after in pairwise(widths):
            layers += [nn.SiLU(), nn.ConvTranspose2d(before, after, 4, 2, 1)]
        self.layers, self.outputs = nn.Sequential(*layers), outputs

    def forward(self, rows: Tensor, context: Tensor | None) -> Tensor:
        images: Tensor = self.layers(append(rows, context))
        return images.unflatten(1, (-1, self.outputs)).movedim(2, -1).flatten(1)


def encoder(
    event: Event,
    outputs: int,
    classes: int,
    architecture: Architecture,
    hidden: Sequence[int],
    width: int,
    bias: bool = True,
) -> Coder:
    """The network from `network_input` of an event to vectors (N, outputs), without a `bias` at the end if so wished.

    Raises `UnsuitableEvent` where the architecture does not fit the event.
    """
    if architecture == "convolutional":
        return ConvolutionalEncoder(event, outputs, classes, width, bias)
    inputs = event.dimensions // event.shape[0] * input_channels(event)
    return MLP([inputs + classes, *hidden, outputs], bias)


def decoder(
    event: Event,
    latent: int,
    classes: int,
    architecture: Architecture,
    hidden: Sequence[int],
    width: int,
    outputs: int = 1,
) -> Coder:
    """The network from codes (N, latent) to vectors (N, D · outputs); `hidden` are the encoder's widths.

    Raises `UnsuitableEvent` where the architecture does not fit the event.
    """
    if architecture == "convolutional":
        return ConvolutionalDecoder(event, latent, classes, width, outputs)
    return MLP([latent + classes, *reversed(hidden), event.dimensions * outputs])


def _stages(event: Event, width: int) -> tuple[list[int], tuple[int, int]]:
    """The channels after each halving, and the sides after the last."""
    stages = halvings(*event.shape[1:]) if event.kind == "image" else 0
    if not stages:
        raise UnsuitableEvent(
            "architecture: convolutional needs images whose sides are even and 4 or more,"
            f" not {event.in_words}; architecture: mlp takes every event"
        )
    _, height, side = event.shape
    return [width << stage for stage in range(stages)], (height >> stages, side >> stages)


def code_of_any_class(encode: Callable[[Tensor, Tensor | None], Tensor], x: Tensor, classes: int) -> Tensor:
    """The codes (N, L) of examples whose labels are unknown: those of a conditional model, averaged over all labels."""
    if not classes:
        return encode(x, None)
    codes = [encode(x, torch.full((len(x),), label, device=x.device)) for label in range(classes)]
    return torch.stack(codes).mean(0)
