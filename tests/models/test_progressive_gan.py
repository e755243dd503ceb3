"""The progressive GAN: its layers by hand, what a fade-in starts and ends with, and growth that survives a crash."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch.nn import functional as F

from models.contract import Batch, Event, UnsuitableEvent
from models.noise import Noise
from models.progressive_gan import ProgressiveGAN, ProgressiveGANConfig
from models.progressive_gan_networks import (
    EqualisedConv2d,
    EqualisedLinear,
    Growth,
    MinibatchDeviation,
    PixelNorm,
    down,
    up,
)
from pipelines.data.examples import Examples
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training import checkpoint
from pipelines.training.loop import Training
from pipelines.training.players import make_optimiser
from pipelines.training.task import Task

from .cases import IMAGE, Case, batch, examples, refused

SMALL: dict[str, Any] = {"latent": 4, "width": 4, "phase_steps": 2, "gradient_penalty": 1.0, "drift": 0.1}
VARIANTS = [
    Case("progressive_gan", IMAGE, {"loss": "non_saturating", "gradient_penalty": 0.0, "r1": 1.0}),
]

TWICE = Event((1, 16, 16), 256)  # grows from 4 × 4 by two doublings
S = 2  # steps of a phase, below
STEPS = 5 * S + 1  # of a training through all phases


def small(event: Event = TWICE, **options: Any) -> ProgressiveGAN:
    torch.manual_seed(0)
    return ProgressiveGAN(ProgressiveGANConfig(**{"latent": 3, "width": 3, "phase_steps": S, **options}), event)


def growth(stage: int, alpha: float | None = None) -> Growth:
    """A stage that is fading in by α, or that has faded in."""
    return Growth(stage, alpha is not None, torch.tensor(1.0 if alpha is None else alpha))


# Layers


def test_an_equalised_weight_is_scaled_at_each_use() -> None:
    torch.manual_seed(0)
    linear, convolution = EqualisedLinear(8, 5), EqualisedConv2d(4, 6, 3)
    x, image = torch.randn(2, 8), torch.randn(2, 4, 5, 5)
    torch.testing.assert_close(linear(x), x @ (linear.weight * (2 / 8) ** 0.5).T)
    weight = convolution.weight * (2 / (4 * 9)) ** 0.5
    torch.testing.assert_close(convolution(image), F.conv2d(image, weight, padding=1))
    torch.testing.assert_close(EqualisedLinear(8, 5, gain=1.0).scale, 8**-0.5)


def test_equalised_layers_start_with_outputs_of_unit_variance() -> None:
    """Of unit inputs, with a gain of 1; and with the gain √2 the mean square stays 1 from rectifier to rectifier."""
    torch.manual_seed(0)
    h = torch.randn(64, 256)
    assert EqualisedLinear(256, 512, gain=1.0)(h).var().item() == pytest.approx(1, abs=0.05)
    image = torch.randn(8, 64, 12, 12)
    assert EqualisedConv2d(64, 64, 3, gain=1.0)(image)[..., 1:-1, 1:-1].var().item() == pytest.approx(1, abs=0.05)
    for _ in range(4):
        h = EqualisedLinear(256, 256)(h).relu()
    assert h.square().mean().item() == pytest.approx(1, abs=0.2)


def test_pixel_norm_by_hand() -> None:
    x = torch.tensor([3.0, 4.0, 0.0, 0.0]).view(1, 4, 1, 1)
    torch.testing.assert_close(PixelNorm()(x).flatten(), torch.tensor([1.2, 1.6, 0.0, 0.0]))
    normed = PixelNorm()(torch.randn(2, 5, 3, 3))
    torch.testing.assert_close(normed.square().mean(1), torch.ones(2, 3, 3))


def test_minibatch_deviation_by_hand() -> None:
    """Two features at one place: deviations 1 and 3, whose mean 2 is seen everywhere."""
    x = torch.tensor([[0.0, 5.0], [2.0, -1.0]]).view(2, 2, 1, 1)
    seen = MinibatchDeviation()(x)
    torch.testing.assert_close(seen[:, :2], x)
    torch.testing.assert_close(seen[:, 2:], torch.full((2, 1, 1, 1), 2.0))


def test_identical_examples_have_no_minibatch_deviation() -> None:
    layer = MinibatchDeviation()
    image = torch.randn(1, 3, 4, 4)
    assert layer(image.repeat(5, 1, 1, 1))[:, 3].abs().max() < 2e-4  # √ε
    assert layer(torch.randn(5, 3, 4, 4))[:, 3].min() > 0.1


def test_in_evaluation_the_minibatch_deviation_is_the_running_one() -> None:
    layer = MinibatchDeviation(momentum=0.5)
    layer(torch.tensor([0.0, 6.0]).view(2, 1, 1, 1))  # 3, after the initial 1
    seen = layer.eval()(torch.randn(4, 1, 2, 2))
    torch.testing.assert_close(seen[:, 1], torch.full((4, 2, 2), 2.0))


# Growth


def test_growth_follows_from_the_step() -> None:
    phases = [Growth.at(torch.tensor(step), 4, 2) for step in range(24)]
    assert [each.stage for each in phases] == [0] * 4 + [1] * 8 + [2] * 12
    assert [each.fading for each in phases] == [False] * 4 + [True] * 4 + [False] * 4 + [True] * 4 + [False] * 8
    rising = [0, 0.25, 0.5, 0.75]
    assert [float(each.alpha) for each in phases] == [1] * 4 + rising + [1] * 4 + rising + [1] * 8


@pytest.mark.parametrize("stage", [1, 2])
def test_a_fade_in_starts_with_the_network_before_and_ends_with_the_one_after(stage: int) -> None:
    gan = small().double()
    z, x = torch.randn(5, 3).double(), torch.randn(5, 1, 4 << stage, 4 << stage).double()
    make, score = gan.generator, gan.discriminator
    assert torch.equal(make(z, growth(stage, 0.0)), up(make(z, growth(stage - 1))))
    assert torch.equal(make(z, growth(stage, 1.0)), make(z, growth(stage)))
    assert torch.equal(score(x, None, growth(stage, 0.0)), score(down(x), None, growth(stage - 1)))
    assert torch.equal(score(x, None, growth(stage, 1.0)), score(x, None, growth(stage)))
    half = 0.5 * up(make(z, growth(stage - 1))) + 0.5 * make(z, growth(stage))
    torch.testing.assert_close(make(z, growth(stage, 0.5)), half)


def test_real_examples_fade_in_too() -> None:
    gan = small(Event((1, 8, 8), 4))
    x = torch.zeros(1, 1, 8, 8, dtype=torch.uint8)
    x[..., 0, 0] = 3  # on the scale -1 … 1: 0.75, and -0.75 elsewhere
    assert gan.real(x, growth(0))[0, 0, 0, :2].tolist() == [-0.375, -0.75]
    assert gan.real(x, growth(1))[0, 0, 0, :2].tolist() == [0.75, -0.75]
    assert gan.real(x, growth(1, 0.0))[0, 0, 0, :2].tolist() == [-0.375, -0.375]
    assert gan.real(x, growth(1, 0.5))[0, 0, 0, :3].tolist() == [0.1875, -0.5625, -0.75]


@pytest.mark.parametrize("step", range(0, 5 * S, S // 2))
def test_only_the_weights_in_use_get_a_gradient(step: int) -> None:
    gan = small()
    now = gan.growth(torch.tensor(step))
    for player in gan.players():
        gan.zero_grad()
        player.loss(at(TWICE, step)).backward()
        maps = {"generator": "to_image", "discriminator": "from_image"}[player.name]
        used = {now.stage, now.stage - 1} if now.fading else {now.stage}
        for name, parameter in player.module.named_parameters():
            part, _, rest = name.partition(".")
            index = int(rest.split(".")[0]) if rest[0].isdigit() else 0
            expected = index in used if part == maps else index <= now.stage
            assert (parameter.grad is not None) == expected, name


@pytest.mark.parametrize("step", range(0, 5 * S, S // 2))
def test_samples_of_every_growth_are_events(step: int) -> None:
    gan = small(Event((3, 16, 16), 7))
    gan.step.fill_(step)
    samples = gan.eval().sample(4, generator=torch.Generator().manual_seed(0))
    assert samples.shape == (4, 3, 16, 16) and samples.dtype == torch.uint8
    assert 0 < int(samples.max()) < 7 and samples.float().std() > 0
    enlarged = 2 - gan.growth().stage  # times
    assert torch.equal(up(down(samples.double(), enlarged), enlarged), samples.double())
    assert gan.features(samples).shape == (4, 12)


def at(event: Event, step: int, n: int = 6) -> Batch:
    x, _ = examples(Event(event.shape, event.levels, 2), n)
    return Batch(x, None, Noise(torch.Generator().manual_seed(0), n), torch.tensor(step))


# Losses


def test_the_critic_pays_for_slopes_and_for_drift(monkeypatch: pytest.MonkeyPatch) -> None:
    """d(x) = 3 Σ x has the slope 3 √16 = 12 on 4 × 4 images everywhere."""
    gan = small(IMAGE, gradient_penalty=2.0, drift=0.5)
    monkeypatch.setattr(gan.discriminator, "forward", lambda x, context, growth: 3 * x.sum((1, 2, 3)))
    drawn, noise = batch(IMAGE), batch(IMAGE).noise
    real = gan.real(drawn.x, growth(0), noise.uniform(1, 8, 8))
    z = noise.normal(3)
    fake = gan.generator(z * (3**0.5) / z.norm(dim=1, keepdim=True), growth(0))
    on_real, on_fake = (3 * x.sum((1, 2, 3)) for x in (real, fake))
    discriminator, _ = gan.players()
    expected = (on_fake - on_real).mean() + 2 * (12 - 1) ** 2 + 0.5 * on_real.square().mean()
    torch.testing.assert_close(discriminator.loss(drawn), expected)


def test_r1_is_half_the_squared_slope_at_real_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = []
    for gamma in (0.0, 0.25):
        gan = small(IMAGE, loss="non_saturating", gradient_penalty=0.0, drift=0.0, r1=gamma)
        monkeypatch.setattr(gan.discriminator, "forward", lambda x, context, growth: 3 * x.sum((1, 2, 3)))
        losses.append(gan.players()[0].loss(batch(IMAGE)).item())
    assert losses[1] - losses[0] == pytest.approx(0.25 / 2 * 12**2, rel=1e-5)


def test_a_wasserstein_critic_needs_a_penalty() -> None:
    with pytest.raises(ValueError, match="gradient_penalty"):
        ProgressiveGANConfig(gradient_penalty=0.0)
    ProgressiveGANConfig(loss="hinge", gradient_penalty=0.0)


# Training


class Kill(Exception):
    """Stands for kill -9: nothing catches it."""


class Fragile(ProgressiveGAN):
    """A progressive GAN whose training is killed in a step, between the moves of both players."""

    fail_at: int | None = None

    def _generator_loss(self, batch: Batch) -> torch.Tensor:
        if int(batch.step) == self.fail_at:
            raise Kill
        return super()._generator_loss(batch)


def trained(folder: Path, fail_at: int | None = None) -> Training:
    """A training through all five phases and beyond, or what is left of one that is killed."""
    torch.manual_seed(0)
    gan = Fragile(small().config, TWICE)
    gan.fail_at = fail_at
    x, _ = examples(Event(TWICE.shape, 256, 2), 16)

    def validate() -> dict[str, float]:
        samples = gan.sample(4, generator=torch.Generator().manual_seed(0)).double()
        return {"objective": samples.mean().item(), **gan.diagnostics(at(TWICE, 0))}

    task = Task("test", gan, gan.players(), Examples(x.numpy(), None), validate)
    loop = Loop(steps=STEPS, batch_size=4, validate_every=1, checkpoint_every=1, ema_decay=0.8)
    training = Training(task, loop, 0, Folder(folder), lambda _: None)
    training.run()
    return training


def outcome(training: Training) -> tuple[Any, ...]:
    """All that a training leaves: weights, averages, moments, history."""
    moments = {
        f"{name}/{index}/{key}": value.tolist()
        for name, optimiser in training.optimisers.items()
        for index, values in optimiser.state_dict()["state"].items()
        for key, value in values.items()
    }
    tensors = [{key: value.tolist() for key, value in each.items()} for each in (training.best, training.ema)]
    return training.state.history, tensors, moments, {k: v.tolist() for k, v in training.module.state_dict().items()}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Training:
    return trained(tmp_path_factory.mktemp("undisturbed"))


@pytest.mark.parametrize("phase", range(5))
def test_killed_in_any_phase_it_ends_with_the_same_bits(undisturbed: Training, tmp_path: Path, phase: int) -> None:
    with pytest.raises(Kill):
        trained(tmp_path, S * phase + S // 2)
    assert outcome(trained(tmp_path)) == outcome(undisturbed)


def test_averaged_and_best_weights_know_how_far_they_have_grown(undisturbed: Training) -> None:
    assert int(undisturbed.ema["step"]) == STEPS
    assert int(undisturbed.best["step"]) == undisturbed.state.best_step
    grown = [(row["resolution"], row["fade_in"]) for row in undisturbed.state.history]
    assert grown == [(4, 1), (8, 0), (8, 0.5), (8, 1), (8, 1), (16, 0), (16, 0.5), (16, 1), (16, 1), (16, 1), (16, 1)]


def test_a_weight_has_no_moments_before_its_first_use(tmp_path: Path) -> None:
    with pytest.raises(Kill):
        trained(tmp_path, S)
    found = checkpoint.load(Folder(tmp_path))
    assert found is not None
    gan = small()
    (player,) = [each for each in gan.players() if each.name == "generator"]
    name_of = {id(parameter): name for name, parameter in gan.generator.named_parameters()}
    names = [name_of[id(each)] for group in make_optimiser(player).param_groups for each in group["params"]]
    moved = {names[int(key.split("/")[0])] for key in found[0]["optimiser:generator"]}
    assert moved == {name for name in names if name.startswith(("blocks.0.", "to_image.0."))}


# What is told


def test_concerns_say_that_it_has_not_grown_up() -> None:
    gan = small()
    assert gan.concerns({}) == []
    assert gan.concerns({"resolution": 16, "fade_in": 1.0}) == []
    (fading,) = gan.concerns({"resolution": 16, "fade_in": 0.25})
    assert "0.25" in fading and f"after {4 * S} steps" in fading and "phase_steps" in fading
    (low,) = gan.concerns({"resolution": 8, "fade_in": 1.0})
    assert "8 pixels high, not 16" in low


@pytest.mark.parametrize(
    ("shape", "lowest"),
    [((1, 8, 8), (4, 4)), ((1, 28, 28), (7, 7)), ((3, 32, 32), (4, 4)), ((1, 8, 12), (4, 6))],
)
def test_where_growth_starts(shape: tuple[int, int, int], lowest: tuple[int, int]) -> None:
    gan = small(Event(shape, 256), width=2)
    assert gan.generator(torch.randn(1, 3), growth(0)).shape == (1, shape[0], *lowest)
    assert gan.generator(torch.randn(1, 3), growth(gan.doublings)).shape == (1, *shape)


def test_widths_double_downwards_up_to_the_widest() -> None:
    gan = small(width=3, widest=5)
    weights = gan.generator.state_dict()
    assert [weights[f"to_image.{stage}.weight"].shape[1] for stage in range(3)] == [5, 5, 3]


@pytest.mark.parametrize("shape", [(1, 7, 8), (1, 6, 6), (3, 4, 4)])
def test_an_image_that_cannot_be_halved_is_refused(shape: tuple[int, int, int]) -> None:
    with pytest.raises(UnsuitableEvent, match=r"even and 8 or more"):
        small(Event(shape, 256))


def test_other_events_are_refused() -> None:
    with pytest.raises(UnsuitableEvent, match="images of integers"):
        small(Event((4,), None))
    with pytest.raises(UnsuitableEvent, match="names"):
        small(Event((1, 8, 8), 6, ordered=False))


@pytest.mark.parametrize("sides", [(7, 8), (8, 9), (6, 6), (4, 4)])
def test_images_that_cannot_be_doubled_to_are_refused(sides: tuple[int, int]) -> None:
    refused("progressive_gan", Event((1, *sides), 256), "even and 8 or more")
