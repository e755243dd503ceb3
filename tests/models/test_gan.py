"""The GAN's losses put together, its regularisers in training, and what its watch-dog says."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from models.contract import Batch, Event, UnsuitableEvent
from models.gan import GAN, GANConfig
from models.gan_networks import MAPS, Architecture
from models.layers.adversarial import LOSSES, LossName
from models.layers.diffaugment import _shifted, changed
from models.noise import Noise
from pipelines.data.examples import Examples
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import Training
from pipelines.training.task import Task

from .cases import COLOUR, IMAGE, SEQUENCE, VECTOR, Case, batch, examples, refused

SMALL: dict[str, Any] = {"latent": 4, "width": 4, "hidden": [8]}
VARIANTS = [
    Case("gan", IMAGE, {"discriminator_steps": 2}),
    Case("gan", IMAGE, {"architecture": "residual", "spectral_norm": True, "loss": "hinge", "conditional": True}),
    Case("gan", IMAGE, {"loss": "wasserstein", "gradient_penalty": 1.0, "conditional": True}),
    Case("gan", IMAGE, {"architecture": "mlp", "r1": 1.0, "instance_noise": 0.1}),
]


def needed(event: Event) -> dict[str, Any]:
    return {} if event.kind == "image" else {"architecture": "mlp"}


ARCHITECTURES: tuple[Architecture, ...] = get_args(Architecture)
BOUNDED: dict[str, Any] = {"loss": "wasserstein", "gradient_penalty": 1.0}


def small(event: Event = IMAGE, **options: Any) -> GAN:
    torch.manual_seed(0)
    gan = GAN(GANConfig(**{"latent": 4, "width": 4, "hidden": [8], "learning_rate": 1e-3, **options}), event)
    gan.initialise(*examples(event, 64), torch.Generator().manual_seed(0))
    return gan


def training(gan: GAN, folder: Path, steps: int = 1, batch_size: int = 16) -> Training:
    x, labels = examples(gan.event, 64)
    data = Examples(x.numpy(), labels.numpy())
    task = Task("gan", gan, gan.players(), data, lambda: {"objective": 0.0})
    return Training(task, Loop(steps=steps, batch_size=batch_size, schedule="constant"), 0, Folder(folder))


def gradient_norm(module: nn.Module) -> float:
    return torch.stack([weight.grad.norm() for weight in module.parameters() if weight.grad is not None]).norm().item()


# Losses


@pytest.mark.parametrize("loss", ["non_saturating", "least_squares", "hinge"])
def test_losses_are_those_of_scores_of_dequantised_and_generated_images(
    loss: LossName, monkeypatch: pytest.MonkeyPatch
) -> None:
    gan = small(loss=loss)

    def scores(x: Tensor, context: Tensor | None) -> Tensor:
        return x.mean((1, 2, 3)) * 5

    monkeypatch.setattr(gan.discriminator, "forward", scores)
    drawn, noise = batch(IMAGE), batch(IMAGE).noise
    real = (drawn.x + noise.uniform(1, 8, 8)) * (2 / 17) - 1
    fake = gan.generator(noise.normal(4))
    discriminator, generator = gan.players()
    expected = LOSSES[loss].discriminator(scores(real, None), scores(fake, None)).mean()
    torch.testing.assert_close(discriminator.loss(drawn), expected)
    fake = gan.generator(batch(IMAGE).noise.normal(4))
    torch.testing.assert_close(generator.loss(batch(IMAGE)), LOSSES[loss].generator(scores(fake, None)).mean())


def sure_and_unsure(loss: LossName) -> tuple[float, float]:
    """The norms of the generator's gradient before a discriminator that is sure, and before one that is not."""
    gan, norms = small(loss=loss), []
    _, generator = gan.players()
    for bias in (-12.0, 0.0):
        gan.zero_grad()
        nn.init.constant_(gan.discriminator.head.bias, bias)
        generator.loss(batch(IMAGE)).backward()
        norms.append(gradient_norm(gan.generator))
    return norms[0], norms[1]


def test_the_generator_learns_from_a_sure_discriminator_by_the_non_saturating_loss_alone() -> None:
    sure, unsure = sure_and_unsure("non_saturating")
    assert sure > unsure
    sure, unsure = sure_and_unsure("minimax")
    assert sure < 1e-4 * unsure


def test_scoring_real_and_generated_in_one_pass_changes_nothing() -> None:
    gan = small(architecture="residual", conditional=True)
    assert gan.discriminator.rowwise
    real, fake = torch.randn(2, 6, 1, 8, 8)
    context = torch.eye(10)[:6]
    together = torch.stack(gan._scores(real, fake, context))
    apart = torch.stack([gan.discriminator(x, context) for x in (real, fake)])
    torch.testing.assert_close(together, apart)


def test_penalties_are_added_with_their_weights() -> None:
    gan = small(VECTOR, architecture="mlp", loss="hinge")
    # d(x) = 2 x_0 - ½ + 3 x_1 has the slope √13 everywhere.
    gan.discriminator.body, gan.discriminator.head = nn.Sequential(nn.Flatten()), nn.Linear(2, 1)
    with torch.no_grad():
        gan.discriminator.head.weight.copy_(torch.tensor([[2.0, 3.0]]))
    plain = gan._discriminator_loss(batch(VECTOR))
    for options, penalty in (({"r1": 0.4}, 0.2 * 13), ({"gradient_penalty": 5.0}, 5 * (math.sqrt(13) - 1) ** 2)):
        gan.config = GANConfig(architecture="mlp", latent=4, loss="hinge", **options)
        assert gan._discriminator_loss(batch(VECTOR)).item() == pytest.approx(plain.item() + penalty, rel=1e-4)


def test_a_smoothed_label_reaches_the_loss() -> None:
    """Cross-entropies differ by s d(x); the discriminator is the same, and so is the noise."""
    plain, smoothed = small(), small(label_smoothing=0.2)
    scores = plain.discriminator(plain._real(batch(IMAGE)), None)
    losses = [gan.players()[0].loss(batch(IMAGE)) for gan in (plain, smoothed)]
    torch.testing.assert_close(losses[1] - losses[0], 0.2 * scores.mean(), atol=1e-5, rtol=1e-4)


# Regularisers in training


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("loss", LOSSES)
def test_every_loss_trains_every_architecture(loss: LossName, architecture: Architecture, tmp_path: Path) -> None:
    bound = {"weight_clip": 0.05} if loss == "wasserstein" else {}
    gan = small(loss=loss, architecture=architecture, conditional=True, **bound)
    if gan.discriminator.head.bias is not None:  # within ±1 the two slopes of the hinge cancel in it
        nn.init.constant_(gan.discriminator.head.bias, 1.5)
    run = training(gan, tmp_path)
    before = {name: weight.detach().clone() for name, weight in gan.named_parameters()}
    run._step()
    assert all(math.isfinite(total) for total in run._pending.values())
    for name, weight in gan.named_parameters():
        assert weight.grad is not None and weight.grad.isfinite().all() and weight.grad.any(), name
        assert weight.isfinite().all() and not torch.equal(weight, before[name]), name


def test_averaged_critics_are_normalised_by_their_own_singular_values() -> None:
    gan, other = (small(spectral_norm=True) for _ in range(2))
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter))
    weights = zip(gan.state_dict().items(), other.state_dict().values(), strict=True)
    gan.load_state_dict({key: (a + b) / 2 if a.is_floating_point() else a for (key, a), b in weights})
    for layer in gan.eval().discriminator.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            assert torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("options", [{"r1": 1.0}, BOUNDED, {"spectral_norm": True}], ids=str)
def test_every_regulariser_trains_every_architecture(
    architecture: Architecture, options: dict[str, Any], tmp_path: Path
) -> None:
    gan = small(architecture=architecture, conditional=True, instance_noise=0.1, **options)
    training(gan, tmp_path)._step()
    assert all(weight.grad is not None and weight.grad.any() for weight in gan.parameters())
    assert all(weight.isfinite().all() for weight in gan.parameters())
    assert gan.discriminator.rowwise


def test_clipped_weights_stay_inside(tmp_path: Path) -> None:
    gan = small(loss="wasserstein", weight_clip=0.01, conditional=True)
    assert max(weight.abs().max() for weight in gan.discriminator.parameters()) > 0.01
    training(gan, tmp_path)._step()
    assert max(weight.abs().max() for weight in gan.discriminator.parameters()) == pytest.approx(0.01)
    assert max(weight.abs().max() for weight in gan.generator.parameters()) > 0.01


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_spectrally_normalised_maps_have_largest_singular_values_of_one(architecture: Architecture) -> None:
    gan = small(architecture=architecture, spectral_norm=True, conditional=True)
    maps = [layer for layer in gan.discriminator.modules() if isinstance(layer, MAPS)]
    with torch.no_grad():
        for layer in maps:
            layer.parametrizations.weight.original.mul_(7)
        for _ in range(30):  # steps of the power iteration
            gan.discriminator(torch.zeros(2, *IMAGE.shape), torch.eye(10)[:2])
    for layer in maps:
        assert torch.linalg.matrix_norm(layer.weight.detach().flatten(1), 2).item() == pytest.approx(1, rel=0.05)


def test_a_critic_of_which_slopes_are_asked_has_no_batch_normalisation() -> None:
    assert not small().discriminator.rowwise
    gan = small(**BOUNDED).train()
    x = torch.randn(4, *IMAGE.shape)
    torch.testing.assert_close(gan.discriminator(x, None)[:2], gan.discriminator(x[:2], None))


def test_instance_noise_decays_with_the_steps() -> None:
    gan = small(instance_noise=0.5, instance_noise_steps=100)
    x, labels = examples(IMAGE, 64)

    def spread(step: int) -> float:
        drawn = Batch(x, labels, Noise(torch.Generator().manual_seed(0), 64), torch.tensor(step))
        clean = torch.zeros(64, *IMAGE.shape)
        return gan._shown(clean, drawn).std().item()

    assert spread(0) == pytest.approx(0.5, rel=0.03)
    assert spread(75) == pytest.approx(0.25 * spread(0))
    assert spread(100) == spread(10**6) == 0


def test_both_players_are_shown_the_instance_noise() -> None:
    for player, late in zip(small(instance_noise=0.5).players(), small().players(), strict=True):
        assert player.loss(batch(IMAGE)) != late.loss(batch(IMAGE))


def test_players_have_their_own_paces() -> None:
    gan = small(discriminator_ratio=3.0, discriminator_steps=5, beta1=0.0, beta2=0.9, weight_decay=0.1)
    discriminator, generator = gan.players()
    assert (discriminator.learning_rate, generator.learning_rate) == (pytest.approx(3e-3), 1e-3)
    assert (discriminator.every, generator.every) == (1, 5)
    assert discriminator.betas == generator.betas == (0.0, 0.9)
    assert discriminator.weight_decay == generator.weight_decay == 0.1


def test_the_discriminators_loss_does_not_move_the_generator() -> None:
    gan = small()
    gan.players()[0].loss(batch(IMAGE)).backward()
    assert all(weight.grad is None for weight in gan.generator.parameters())


def test_it_learns_a_ring_of_gaussians(tmp_path: Path) -> None:
    """Most samples come to lie near one of eight modes, of which most get some; before, next to none do."""
    angles = torch.arange(8) * (math.pi / 4)
    modes = 2 * torch.stack([angles.cos(), angles.sin()], 1)
    x = modes.repeat(250, 1) + 0.1 * torch.randn(2000, 2, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    config = GANConfig(architecture="mlp", latent=2, hidden=(64, 64), learning_rate=2e-3, loss="least_squares")
    gan = GAN(config, Event((2,), None))
    gan.initialise(x, None, torch.Generator())

    def found() -> tuple[float, int]:
        samples = gan.sample(1000, generator=torch.Generator().manual_seed(0))
        distance, mode = torch.cdist(samples, modes).min(1)
        near = distance < 0.5
        return near.float().mean().item(), len(mode[near].unique())

    before, _ = found()
    task = Task("ring", gan, gan.players(), Examples(x.numpy(), None), lambda: {"objective": 0.0})
    loop = Loop(steps=400, batch_size=128, schedule="constant")
    run = Training(task, loop, 0, Folder(tmp_path))
    for _ in range(loop.steps):
        run._step()
    share, count = found()
    assert before < 0.1 and share > 0.5 and count >= 7


# Shapes and events


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (1, 28, 28), (1, 6, 10)])
def test_images_of_many_sizes(architecture: Architecture, shape: tuple[int, int, int]) -> None:
    gan = GAN(GANConfig(architecture=architecture, latent=4, width=2, hidden=(8,)), Event(shape, 256))
    assert gan.sample(2).shape == (2, *shape)
    assert gan.features(torch.zeros(2, *shape, dtype=torch.uint8)).shape[0] == 2


@pytest.mark.parametrize("architecture", ["dcgan", "residual"])
def test_an_architecture_refuses_events_that_are_not_its(architecture: Architecture) -> None:
    config = GANConfig(architecture=architecture)
    for event in (VECTOR, SEQUENCE):
        with pytest.raises(UnsuitableEvent, match=rf"^architecture: {architecture} makes images .* mlp makes any"):
            GAN(config, event)
    with pytest.raises(UnsuitableEvent, match=r"even and 4 or more, not \(7, 7\); architecture: mlp takes any"):
        GAN(config, Event((1, 7, 7), 256))
    assert GAN(GANConfig(architecture="mlp"), Event((1, 7, 7), 256)).sample(1).shape == (1, 1, 7, 7)


def test_vectors_come_back_in_their_own_units() -> None:
    gan = small(VECTOR, architecture="mlp")
    x = 100 + 5 * torch.randn(500, 2, generator=torch.Generator().manual_seed(0))
    gan.initialise(x, None, torch.Generator())
    nn.init.zeros_(gan.generator[-2].weight)
    torch.testing.assert_close(gan.sample(3), x.mean(0).expand(3, 2), atol=5.0, rtol=0)


# Configurations


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "wasserstein"}, "needs a weight_clip, a gradient_penalty or spectral_norm"),
        ({**BOUNDED, "weight_clip": 0.1}, "set one of them"),
        ({"loss": "hinge", "label_smoothing": 0.1}, "loss: hinge has no labels to smooth; these have: minimax"),
        ({"label_smoothing": 0.5}, "less than 0.5"),
        ({"loss": "vanilla"}, "non_saturating"),
    ],
)
def test_what_does_not_go_together_is_refused_in_one_line(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message) as caught:
        GANConfig(**options)
    assert caught.value.error_count() == 1


@pytest.mark.parametrize("bound", [{"weight_clip": 0.1}, {"gradient_penalty": 10.0}, {"spectral_norm": True}], ids=str)
def test_one_bound_is_enough_for_a_wasserstein_critic(bound: dict[str, Any]) -> None:
    assert GANConfig(loss="wasserstein", **bound).loss == "wasserstein"


# The watch-dog


def with_scores(gan: GAN, real: float, fake: float, monkeypatch: pytest.MonkeyPatch) -> dict[str, float]:
    """The diagnostics with a critic that gives these scores."""
    monkeypatch.setattr(gan, "_real", lambda drawn: torch.full((len(drawn.x),), real))
    monkeypatch.setattr(gan, "_fake", lambda drawn, context: torch.full((len(drawn.x),), fake))
    monkeypatch.setattr(gan.discriminator, "forward", lambda x, context: x)
    with torch.no_grad():
        return gan.diagnostics(batch(gan.event))


def test_diagnostics_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    measured = with_scores(small(), 1.0, -2.0, monkeypatch)
    odds = 1 / (1 + math.exp(2))
    assert measured == pytest.approx(
        {
            "score_gap": 3.0,
            "generator_slope": 1 - odds,
            "D_on_real": 1 / (1 + math.exp(-1)),
            "D_on_fake": odds,
            "discriminator_accuracy": 1.0,
        }
    )
    assert with_scores(small(loss="least_squares"), 0.4, 0.6, monkeypatch) == pytest.approx(
        {"score_gap": -0.2, "generator_slope": 0.4, "discriminator_accuracy": 0.0}, abs=1e-6
    )
    critic = with_scores(small(loss="wasserstein", weight_clip=0.1), 50.0, 20.0, monkeypatch)
    assert critic == {"score_gap": 30.0, "generator_slope": 1.0}


@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.margin is not None])
def test_a_saturated_discriminator_is_a_concern(loss: LossName, monkeypatch: pytest.MonkeyPatch) -> None:
    gan = small(loss=loss)
    (concern,) = gan.concerns(with_scores(gan, 9.0, -9.0, monkeypatch))
    assert concern.startswith("the discriminator is saturated: it is right about 100.0% of the examples")
    assert ("next to no gradient" in concern) == (loss in ("minimax", "maximum_likelihood"))
    assert gan.concerns(with_scores(gan, 0.6, 0.4, monkeypatch)) == []
    assert gan.concerns(with_scores(gan, -9.0, 9.0, monkeypatch)) == []  # it is fooled


def test_a_critics_scores_are_no_concern(monkeypatch: pytest.MonkeyPatch) -> None:
    gan = small(**BOUNDED)
    assert gan.concerns(with_scores(gan, 900.0, -900.0, monkeypatch)) == []


def test_diagnostics_of_real_networks_are_numbers() -> None:
    for gan in (small(conditional=True), small(COLOUR, architecture="residual", spectral_norm=True)):
        with torch.no_grad():
            measured = gan.eval().diagnostics(batch(gan.event))
        assert all(math.isfinite(value) for value in measured.values())


@pytest.mark.parametrize("architecture", ["dcgan", "residual"])
def test_an_architecture_of_images_is_refused_where_sides_cannot_be_halved(architecture: str) -> None:
    refused("gan", VECTOR, "images of integers", architecture=architecture)
    refused("gan", Event((1, 7, 8), 2), "even and 4 or more", architecture=architecture)
    refused("gan", Event((1, 2, 2), 2), "even and 4 or more", architecture=architecture)


# Small data


def test_what_the_discriminator_is_shown_is_changed_alike_and_differentiably() -> None:
    x = torch.full((300, 2, 8, 8), 0.25, requires_grad=True)
    shown = changed(x, Noise(torch.Generator().manual_seed(0), 300))
    holes = (shown == 0).flatten(1).double().mean(1)
    assert holes.min() > 0.05 and holes.max() < 0.6 and holes.std() > 0.03, "of other sizes, where edges cut them"
    values = shown.detach().amax((1, 2, 3))
    assert values.max() <= 0.75 + 1e-6 and values.std() > 0.2, "brightness"
    (gradient,) = torch.autograd.grad(shown.sum(), x)
    assert (gradient.sum((1, 2, 3)) > 0).all()
    again = changed(x[100:110], Noise(torch.Generator().manual_seed(0), 10, 100, 300))
    assert torch.equal(again, shown[100:110])


def test_images_move_by_whole_pixels_and_zeros_come_in() -> None:
    x = torch.arange(1.0, 65.0).view(1, 1, 8, 8)
    assert torch.equal(_shifted(x, 2, torch.tensor([0.5])), x)
    down = _shifted(x, 2, torch.tensor([0.1]))
    assert torch.equal(down[0, 0, 1:], x[0, 0, :-1]) and (down[0, 0, 0] == 0).all()
    left = _shifted(x, 3, torch.tensor([0.9]))
    assert torch.equal(left[0, 0, :, :-1], x[0, 0, :, 1:]) and (left[0, 0, :, -1] == 0).all()


def test_a_lazy_penalty_is_on_average_that_of_each_step() -> None:
    x = torch.randint(17, (8, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def of(step: int, **config: Any) -> float:
        torch.manual_seed(0)
        model = GAN(GANConfig(width=4, latent=2, **config), Event((1, 8, 8), 17)).eval()
        batch = Batch(x, None, Noise(torch.Generator().manual_seed(1), 8), torch.tensor(step))
        return model._discriminator_loss(batch).item()

    without = of(0, r1=1e-12)
    every, lazy = of(0, r1=2.0) - without, [of(step, r1=2.0, r1_every=4) - without for step in range(5)]
    assert every > 0 and lazy == pytest.approx([4 * every, 0, 0, 0, 4 * every], rel=1e-5, abs=1e-9)


def test_tables_are_not_augmented() -> None:
    with pytest.raises(UnsuitableEvent, match="augment: true changes images of integers, not a vector of shape"):
        GAN(GANConfig(architecture="mlp", augment=True), Event((3,), None))
