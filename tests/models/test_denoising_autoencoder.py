"""A denoising autoencoder corrupts what it is shown at the stated rate, and restores what was clean."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from models.contract import Event
from models.denoising_autoencoder import DenoisingAutoencoder, DenoisingAutoencoderConfig

from .cases import IMAGE, VECTOR, Case, batch, refused
from .test_autoencoder import noise, off_the_ring, trained_on_a_ring

SMALL: dict[str, Any] = {"latent": 3, "hidden": [8], "width": 4}
VARIANTS = [
    Case("denoising_autoencoder", IMAGE, {"corruption": "gaussian"}),
    Case("denoising_autoencoder", IMAGE, {"corruption": "salt_and_pepper", "loss": "bce"}),
]


def denoising(event: Event = IMAGE, **options: Any) -> DenoisingAutoencoder:
    """A small denoising autoencoder, always the same."""
    torch.manual_seed(0)
    return DenoisingAutoencoder(DenoisingAutoencoderConfig(**{"latent": 3, "hidden": [8], **options}), event)


def corrupted(event: Event, y: Tensor, **options: Any) -> Tensor:
    return denoising(event, **options)._seen(y, noise(len(y)))


@pytest.mark.parametrize("level", [0.1, 0.4])
def test_corruption_has_the_stated_rate(level: float) -> None:
    n, y = 2000, torch.full((2000, 1, 8, 8), 0.25)
    within = 5 * math.sqrt(level / (64 * n))
    masked = corrupted(IMAGE, y, corruption="masking", level=level)
    assert (masked == 0).double().mean().item() == pytest.approx(level, abs=within)
    assert ((masked == 0) | (masked == 0.25)).all()
    peppered = corrupted(IMAGE, y, corruption="salt_and_pepper", level=level)
    assert (peppered == 0).double().mean().item() == pytest.approx(level / 2, abs=within)
    assert (peppered == 1).double().mean().item() == pytest.approx(level / 2, abs=within)
    assert (peppered == 0.25).double().mean().item() == pytest.approx(1 - level, abs=within)
    noisy = corrupted(IMAGE, y, corruption="gaussian", level=level) - y
    assert noisy.mean().item() == pytest.approx(0, abs=within)
    assert noisy.std().item() == pytest.approx(level, rel=0.01)


@pytest.mark.parametrize("corruption", ["gaussian", "masking"])
def test_a_denoising_autoencoder_is_shown_noise_and_restores_what_was_clean(corruption: str) -> None:
    model, drawn = denoising(VECTOR, corruption=corruption, level=0.5).eval(), batch(VECTOR)
    context, clean = None, drawn.x
    seen = model._seen(clean, noise(16))
    assert not torch.equal(seen, clean)
    restored = model.decoder(model.normalise(model.encoder(seen, context)), context)
    torch.testing.assert_close(model.reconstruction_error(drawn), (restored - clean).square().mean(1))
    torch.testing.assert_close(model.encode(clean), model.normalise(model.encoder(clean, context)))


def test_a_denoising_autoencoder_pulls_examples_back_to_the_data() -> None:
    model = denoising(VECTOR, latent=2, hidden=[32], corruption="gaussian", level=0.5)
    x = trained_on_a_ring(model)
    noisy = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert off_the_ring(model.decode(model.encode(noisy))) < 0.6 * off_the_ring(noisy)


def test_what_does_not_fit_is_refused() -> None:
    refused(
        "denoising_autoencoder",
        VECTOR,
        r"^corruption: salt_and_pepper needs integers.*take vectors$",
        corruption="salt_and_pepper",
    )
