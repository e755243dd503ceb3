"""Power spectra: what they are of a wave, what they do not tell apart, and that their distance can be descended."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.spectra import SEGMENTS, mean_power, spectral_distance

ONE = torch.ones(6, 1)
TWO = torch.eye(2)[torch.arange(6) % 2]


def noise(n: int = 6, seed: int = 0) -> Tensor:
    return torch.randn(n, 512, generator=torch.Generator().manual_seed(seed))


def test_the_power_of_a_wave_is_at_its_frequency() -> None:
    wave = torch.sin(2 * math.pi * 10 / 64 * torch.arange(512))[None]
    power = mean_power(wave, 64).unflatten(1, (33, SEGMENTS))
    assert (power.argmax(1) == 10).all()
    torch.testing.assert_close(mean_power(3 * wave, 64), 9 * power.flatten(1))


def test_noise_has_as_much_power_everywhere() -> None:
    power = mean_power(noise(400), 64).mean(0).unflatten(0, (33, SEGMENTS))[1:-1, 1:-1]
    torch.testing.assert_close(power, torch.ones_like(power), atol=0.2, rtol=0)


def test_when_it_is_loud_matters_to_the_eighth() -> None:
    early, late = noise(), noise()
    early[:, 256:], late[:, :256] = 0, 0
    assert spectral_distance(early, late, ONE).item() > 100 * spectral_distance(early, early.roll(3, 1), ONE).item()


def test_phases_and_the_order_of_a_class_do_not_matter() -> None:
    x = noise()
    assert spectral_distance(x, x, TWO).item() == 0
    assert spectral_distance(-x, x, TWO).item() == pytest.approx(0, abs=1e-9)
    assert spectral_distance(x[[4, 5, 2, 3, 0, 1]], x, TWO).item() == pytest.approx(0, abs=1e-9)
    assert spectral_distance(x[[1, 0, 3, 2, 5, 4]], x, TWO).item() > 0.01


def test_the_distance_of_another_loudness_is_its_logarithm_squared() -> None:
    x = noise()
    assert spectral_distance(2 * x, x, ONE).item() == pytest.approx(math.log(4) ** 2, rel=1e-3)


def test_the_distance_falls_by_steps_along_its_gradient() -> None:
    real = torch.nn.functional.avg_pool1d(noise(seed=1), 5, 1, 2)
    x = noise().requires_grad_()
    optimiser, distances = torch.optim.Adam([x], 0.05), []
    for _ in range(30):
        optimiser.zero_grad()
        distance = spectral_distance(x, real, TWO)
        distance.backward()
        optimiser.step()
        distances.append(distance.item())
    assert distances[-1] < distances[0] / 3


def test_windows_are_no_longer_than_the_sounds() -> None:
    x = noise()[:, :40]
    assert spectral_distance(2 * x, x, ONE).item() == pytest.approx(math.log(4) ** 2, rel=1e-2)


def test_silence_is_no_reason_for_infinities() -> None:
    x = torch.zeros(6, 512, requires_grad=True)
    spectral_distance(x, noise(), TWO).backward()
    assert x.grad is not None and x.grad.isfinite().all()
