"""An autoencoder restores examples by the loss that it says, from normalised codes, and its samples show the holes."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.autoencoder import Autoencoder, AutoencoderConfig
from models.contract import Batch, Event, UnsuitableEvent
from models.layers.units import Standardised
from models.noise import Noise

from .cases import COLOUR, IMAGE, PALETTE, SEQUENCE, VECTOR, Case, batch, examples

SMALL: dict[str, Any] = {"latent": 3, "hidden": [8], "width": 4}
VARIANTS = [
    Case("autoencoder", COLOUR, {"architecture": "convolutional", "loss": "bce", "conditional": True}),
]


def small(event: Event = IMAGE, **options: Any) -> Autoencoder:
    """A small autoencoder, always the same."""
    torch.manual_seed(0)
    return Autoencoder(AutoencoderConfig(**{"latent": 3, "hidden": [8], **options}), event)


def noise(rows: int) -> Noise:
    return Noise(torch.Generator().manual_seed(0), rows)


def test_the_squared_error_is_that_of_integers_between_0_and_1() -> None:
    model, drawn = small().eval(), batch(IMAGE)
    restored = model.decoder(model.encode(drawn.x), None)
    expected = (restored - drawn.x.flatten(1) / 16).square().mean(1)
    torch.testing.assert_close(model.reconstruction_error(drawn), expected)
    (player,) = model.players()
    torch.testing.assert_close(player.loss(drawn), expected.mean())


def test_the_cross_entropy_is_that_of_integers_as_probabilities() -> None:
    model, drawn = small(loss="bce").eval(), batch(IMAGE)
    p, x = torch.sigmoid(model.decoder(model.encode(drawn.x), None)), drawn.x.flatten(1) / 16
    expected = -(x * p.log() + (1 - x) * (1 - p).log()).mean(1)
    torch.testing.assert_close(model.reconstruction_error(drawn), expected)
    torch.testing.assert_close(model.decode(model.encode(drawn.x)).flatten(1), 16 * p)


def test_the_squared_error_of_vectors_is_in_standard_deviations() -> None:
    model, drawn = small(VECTOR), batch(VECTOR)
    x = drawn.x * torch.tensor([1000.0, 0.01]) + 5
    model.initialise(x, None, torch.Generator())
    model.eval()
    off = (model.decode(model.encode(x)) - x) / x.std(0)
    error = model.reconstruction_error(Batch(x, None, noise(16)))
    torch.testing.assert_close(error, off.square().mean(1), rtol=1e-3, atol=1e-4)
    assert isinstance(model.units, Standardised)


@pytest.mark.parametrize("event", [IMAGE, COLOUR, VECTOR, SEQUENCE], ids=str)
def test_codes_have_mean_0_and_variance_1(event: Event) -> None:
    model, (x, _) = small(event), examples(event, 200)
    model.initialise(x, None, torch.Generator())
    with torch.no_grad():
        for _ in range(100):  # until the running moments have forgotten their start
            in_training = model.encode(x)
        for z in (in_training, model.eval().encode(x)):
            torch.testing.assert_close(z.mean(0), torch.zeros(3), atol=2e-3, rtol=0)
            torch.testing.assert_close(z.var(0), torch.ones(3), atol=2e-2, rtol=0)


def trained_on_a_ring(model: Autoencoder) -> Tensor:
    """The ring, after a short training on it."""
    angle = torch.linspace(0, 2 * math.pi, 257)[:-1]
    x = torch.stack([angle.cos(), angle.sin()], 1)
    model.initialise(x, None, torch.Generator())
    optimiser, random = torch.optim.Adam(model.parameters(), 1e-2), torch.Generator().manual_seed(0)
    (player,) = model.players()
    for _ in range(150):
        optimiser.zero_grad()
        player.loss(Batch(x, None, Noise(random, len(x)))).backward()
        optimiser.step()
    model.eval()
    return x


def off_the_ring(x: Tensor) -> float:
    return (x.norm(dim=1) - 1).abs().mean().item()


def test_samples_fall_into_the_holes_between_codes() -> None:
    """Codes of a ring are a ring: of the same mean and variance as the Gaussian that is sampled, and empty inside."""
    model = small(VECTOR, latent=2, hidden=[32])
    x = trained_on_a_ring(model)
    with torch.no_grad():
        z = model.encode(x)
        restored, sampled = model.decode(z), model.sample(1000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(z.std(0), torch.ones(2), atol=0.05, rtol=0)
    assert off_the_ring(restored) < 0.05
    assert off_the_ring(sampled) > 10 * off_the_ring(restored)


def test_without_temperature_all_samples_are_the_middle_of_the_codes() -> None:
    model = small(loss="bce").eval()
    expected = model.decode(torch.zeros(1, 3)).round().to(torch.uint8).expand(4, -1, -1, -1)
    assert torch.equal(model.sample(4, temperature=0.0), expected)


def test_labels_reach_both_networks() -> None:
    model, (x, labels) = small(conditional=True).eval(), examples(IMAGE, 5)
    other, z = (labels + 1) % 10, torch.ones(5, 3)
    assert not torch.equal(model.encode(x, labels), model.encode(x, other))
    assert not torch.equal(model.decode(z, labels), model.decode(z, other))
    codes = torch.stack([model.encode(x, torch.full((5,), label)) for label in range(10)])
    torch.testing.assert_close(model.features(x), codes.mean(0))


@pytest.mark.parametrize("event", [IMAGE, Event((1, 28, 28), 256), Event((3, 32, 32), 256)], ids=str)
def test_convolutions_know_images_of_every_size(event: Event) -> None:
    model, (x, _) = small(event, architecture="convolutional", width=4), examples(Event(event.shape, 2, 1), 2)
    with torch.no_grad():
        assert model.decode(model.encode(x)).shape == x.shape
        assert model.reconstruction_error(Batch(x, None, noise(2))).shape == (2,)


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(UnsuitableEvent, match=r"^loss: bce needs integer events; loss: mse takes vectors$"):
        small(VECTOR, loss="bce")
    with pytest.raises(UnsuitableEvent, match="names"):
        small(PALETTE)
    with pytest.raises(UnsuitableEvent, match="architecture: convolutional needs images"):
        small(SEQUENCE, architecture="convolutional")
