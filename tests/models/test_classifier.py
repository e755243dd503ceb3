"""The classifier takes every kind of event, its features have a scale, and it learns."""

from __future__ import annotations

import pytest
import torch

from models.classifier import Classifier
from models.contract import Batch, Event, UnsuitableEvent
from models.noise import Noise

from .cases import COLOUR, EVENTS, IMAGE, PALETTE, SEQUENCE, examples


@pytest.mark.parametrize("event", [*EVENTS, Event((1, 1), 4, 3), Event((1, 8000), 256, 3)], ids=str)
def test_features_have_a_scale_and_logits_a_column_per_class(event: Event) -> None:
    model = Classifier(event, width=4, feature_dimensions=6, learning_rate=1e-3)
    x, labels = examples(event, 8)
    model.initialise(x, labels, torch.Generator())
    features = model.features(x)
    assert features.shape == (8, 6) and model.logits(x).shape == (8, event.classes)
    torch.testing.assert_close(features.mean(1), torch.zeros(8), atol=1e-5, rtol=0)
    torch.testing.assert_close(features.var(1, correction=0), torch.ones(8), atol=0.05, rtol=0)


def test_a_long_sequence_is_cheap() -> None:
    long, short = (Classifier(Event((1, length), 256, 10), 32, 32, 1e-3) for length in (16_000, 16))
    count = sum(parameter.numel() for parameter in long.parameters())
    assert count < 250_000 and count > sum(parameter.numel() for parameter in short.parameters())


def test_the_classifier_of_grey_images_has_two_convolutions() -> None:
    """What FIDs of earlier reports were measured in."""
    model = Classifier(IMAGE, 32, 32, 1e-3)
    assert [type(layer).__name__ for layer in model.body] == ["Conv2d", "SiLU", "Conv2d", "SiLU", "Flatten"]
    shapes = {name: tuple(weight.shape) for name, weight in model.state_dict().items() if name.endswith("weight")}
    assert shapes == {
        "body.0.weight": (32, 1, 3, 3),
        "body.2.weight": (64, 32, 3, 3),
        "feature_layer.weight": (32, 1024),
        "head.weight": (10, 32),
    }


def test_names_are_channels() -> None:
    model = Classifier(PALETTE, 4, 6, 1e-3)
    assert model.body[0].weight.shape[1] == 6
    assert Classifier(COLOUR, 4, 6, 1e-3).body[0].weight.shape[1] == 3


def test_it_learns_to_tell_frequencies() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(3, (96,), generator=generator)
    phase = 6.28 * torch.rand(96, 1, generator=generator)
    wave = torch.sin(0.2 * (1 + labels[:, None]) * torch.arange(64.0) + phase)
    x = ((wave + 1) * 7.99).to(torch.uint8)[:, None]
    model = Classifier(Event((1, 64), 16, 3), 8, 8, 1e-2)
    (player,) = model.players()
    optimiser = torch.optim.Adam(model.parameters(), lr=player.learning_rate)
    for _ in range(60):
        optimiser.zero_grad()
        player.loss(Batch(x, labels, Noise(generator, 96))).backward()
        optimiser.step()
    assert (model.logits(x).argmax(1) == labels).float().mean() > 0.95


def test_long_waves_are_told_apart_by_their_spectrograms_whatever_their_loudness() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 3
    phase, loud = 6.28 * torch.rand(60, 1, generator=generator), 0.05 + 0.9 * torch.rand(60, 1, generator=generator)
    wave = loud * torch.sin(0.3 * (1 + labels[:, None]) * torch.arange(600.0) + phase)
    x = ((wave + 1) * 127.99).to(torch.uint8)[:, None]
    model = Classifier(Event((1, 600), 256, 3), 8, 8, 3e-3)
    (player,) = model.players()
    optimiser = torch.optim.Adam(model.parameters(), lr=player.learning_rate)
    for _ in range(40):
        optimiser.zero_grad()
        player.loss(Batch(x, labels, Noise(generator, 60))).backward()
        optimiser.step()
    model.eval()
    assert (model.logits(x).argmax(1) == labels).float().mean() > 0.95
    quiet = ((0.5 * (wave / loud) + 1) * 127.99).to(torch.uint8)[:, None]
    assert (model.logits(quiet).argmax(1) == labels).float().mean() > 0.95
    assert (model.features(x) == model.features(x)).all(), "no dropout once it is trained"


def test_it_needs_labels() -> None:
    with pytest.raises(UnsuitableEvent, match="labels"):
        Classifier(Event(SEQUENCE.shape, 16), 4, 4, 1e-3)
