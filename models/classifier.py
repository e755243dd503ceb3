"""The small classifier whose features measure the quality of samples. It generates nothing.

Two convolutions (for sequences: a few with long strides, and for long ones of numbers, such as sound, convolutions over
their spectrogram; for vectors: linear layers), a feature layer, a softmax. Its features play the part that Inception's
play in the original FID, on data of any size and kind; a distance in them is comparable only with distances in the same
classifier's, so results carry the digest of its weights.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import (
    Batch,
    Event,
    Features,
    Player,
    Trainable,
    UnsuitableEvent,
)
from .layers.inputs import input_channels, lens, network_input

STRIDE, KERNEL, SHORT = 4, 9, 16  # of the convolutions of sequences, and the length that they stop at
SOUND = 512  # numbers from which on a sequence is looked at by its spectrogram
WINDOW, HOP = 128, 64  # numbers of a frame of it, and from one to the next
FAINT = 1e-2  # power, beside that of the whole, below which nothing is heard
PLACES = (8, 8)  # of frequency and time that are left of a spectrogram


class Classifier(Trainable, Features):
    """Cross-entropy on the labels of the event."""

    kind: ClassVar[str] = "classifier"  # what distances in its features are called after

    def __init__(self, event: Event, width: int, feature_dimensions: int, learning_rate: float) -> None:
        super().__init__()
        if not event.classes:
            raise UnsuitableEvent("the classifier needs data with labels")
        self.event, self.learning_rate = event, learning_rate
        self.units = lens(event)
        sequence = _spectral if event.ordered and event.shape[-1] >= SOUND else _strides
        bodies = {"image": _convolutions, "sequence": sequence, "vector": _linears, "table": _linears}
        self.body = bodies[event.kind](event, width)
        with torch.no_grad():
            flat = self.body(torch.zeros(1, input_channels(event), *event.shape[1:])).shape[1]
        self.feature_layer = nn.Linear(flat, feature_dimensions)
        self.head = nn.Linear(feature_dimensions, event.classes)

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        if self.units is not None:
            self.units.initialise(x)

    def players(self) -> list[Player]:
        return [Player("classifier", self, self._loss, self.learning_rate, weight_decay=1e-2)]

    def features(self, x: Tensor) -> Tensor:
        """Feature vectors (N, F), normalised to zero mean and unit variance over F: distances have a scale."""
        y = self.body(network_input(x, self.event, self.units))
        return F.layer_norm(self.feature_layer(y), (self.head.in_features,))

    def logits(self, x: Tensor) -> Tensor:
        """Unnormalised log-probabilities (N, classes)."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def _loss(self, batch: Batch) -> Tensor:
        assert batch.labels is not None
        return F.cross_entropy(self.logits(batch.x), batch.labels.long())


def _convolutions(event: Event, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(input_channels(event), width, 3, padding=1),
        nn.SiLU(),
        nn.Conv2d(width, 2 * width, 3, stride=2, padding=1),
        nn.SiLU(),
        nn.Flatten(),
    )


def _strides(event: Event, width: int) -> nn.Sequential:
    """Each convolution leaves a quarter of the length, every other one has twice the channels of the one before."""
    layers: list[nn.Module] = []
    channels, length = input_channels(event), event.shape[1]
    while not layers or length > SHORT:
        wider = width << len(layers) // 4  # two entries a convolution
        layers += [nn.Conv1d(channels, wider, KERNEL, stride=STRIDE, padding=KERNEL // 2), nn.SiLU()]
        channels, length = wider, -(-length // STRIDE)
    return nn.Sequential(*layers, nn.Flatten())


class Spectrogram(nn.Module):
    """The logarithm of the power in windows of a wave of which the loudness is taken away."""

    window: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)

    def forward(self, y: Tensor) -> Tensor:
        """(N, 1, frequencies, frames) of waves (N, 1, T)."""
        wave = y[:, 0] - y[:, 0].mean(1, keepdim=True)
        wave = wave / (wave.square().mean(1, keepdim=True).sqrt() + 1e-3)
        power = torch.stft(wave, WINDOW, HOP, window=self.window, return_complex=True).abs().square()
        return torch.log(power + FAINT)[:, None]


def _spectral(event: Event, width: int) -> nn.Sequential:
    """Three convolutions over the spectrogram, each of half the resolution of the one before."""
    half = max(1, width // 2)
    layers: list[nn.Module] = [Spectrogram()]
    for inputs, outputs in ((1, half), (half, width), (width, width)):
        layers += [nn.Conv2d(inputs, outputs, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(PLACES), nn.Flatten(), nn.Dropout(0.4))


def _linears(event: Event, width: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Flatten(), nn.Linear(input_channels(event), 4 * width), nn.SiLU(), nn.Linear(4 * width, 4 * width), nn.SiLU()
    )
