"""The DCGAN's losses against their definition, and who moves whom."""

from __future__ import annotations

import pytest
import torch

from models.contract import Event, UnsuitableEvent
from models.dcgan import DCGAN, DCGANConfig

from .families import IMAGE, batch


@pytest.fixture
def gan() -> DCGAN:
    return DCGAN(DCGANConfig(latent=4, width=4, learning_rate=1e-3, discriminator_ratio=3.0), IMAGE)


def test_losses_are_binary_cross_entropies_of_real_and_fake(gan: DCGAN, monkeypatch: pytest.MonkeyPatch) -> None:
    def logits(x: torch.Tensor, context: torch.Tensor | None) -> torch.Tensor:
        return x.mean((1, 2, 3)) * 5

    monkeypatch.setattr(gan.discriminator, "forward", logits)
    drawn = batch(IMAGE)
    real = (drawn.x + batch(IMAGE).noise.uniform(1, 8, 8)) * (2 / 17) - 1
    noise = batch(IMAGE).noise
    noise.uniform(1, 8, 8)
    fake = gan.generator(noise.normal(4))
    entropy = torch.nn.functional.binary_cross_entropy_with_logits
    on_real, on_fake = logits(real, None), logits(fake, None)
    discriminator, generator = gan.players()
    expected = entropy(on_real, torch.ones(16)) + entropy(on_fake, torch.zeros(16))
    torch.testing.assert_close(discriminator.loss(drawn), expected)
    fake = gan.generator(batch(IMAGE).noise.normal(4))
    torch.testing.assert_close(generator.loss(batch(IMAGE)), entropy(logits(fake, None), torch.ones(16)))


def test_the_generator_still_learns_when_the_discriminator_is_sure(gan: DCGAN) -> None:
    """The point of the non-saturating loss: log(1 - D) would be flat here."""
    torch.nn.init.constant_(gan.discriminator.head.bias, -12.0)
    _, generator = gan.players()
    generator.loss(batch(IMAGE)).backward()
    norms = [p.grad.norm() for p in gan.generator.parameters() if p.grad is not None]
    sure = torch.stack(norms).norm()
    gan.zero_grad()
    torch.nn.init.constant_(gan.discriminator.head.bias, 0.0)
    generator.loss(batch(IMAGE)).backward()
    unsure = torch.stack([p.grad.norm() for p in gan.generator.parameters() if p.grad is not None]).norm()
    assert sure > unsure


def test_players_have_their_own_learning_rates(gan: DCGAN) -> None:
    discriminator, generator = gan.players()
    assert (discriminator.name, generator.name) == ("discriminator", "generator")
    assert generator.learning_rate == 1e-3
    assert discriminator.learning_rate == pytest.approx(3e-3)


def test_the_discriminators_loss_does_not_move_the_generator(gan: DCGAN) -> None:
    discriminator, _ = gan.players()
    discriminator.loss(batch(IMAGE)).backward()
    assert all(parameter.grad is None for parameter in gan.generator.parameters())


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (1, 6, 10)])
def test_images_of_many_sizes(shape: tuple[int, int, int]) -> None:
    gan = DCGAN(DCGANConfig(latent=4, width=2), Event(shape, 256))
    assert gan.sample(2).shape == (2, *shape)


def test_an_odd_image_is_refused() -> None:
    with pytest.raises(UnsuitableEvent, match="even"):
        DCGAN(DCGANConfig(), Event((1, 7, 7), 256))
