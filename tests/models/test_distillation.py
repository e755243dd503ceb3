"""The distillation's loss is the KL of student and teacher, by whatever is known of them, and learning lowers it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from models.catalogue import build, family_class
from models.contract import Batch, Event, Family, UnsuitableEvent
from models.distillation import Distillation
from models.iaf import IAF, IAFConfig
from models.layers.autoregressive.conditionals import Gaussians
from models.layers.flows.affine_transform import affine_made
from models.layers.flows.bijections import Bijection, Composition, Inverse, Standardise
from models.layers.flows.sequential import gaussian_conditionals, has_gaussian_conditionals
from models.layers.normal import bounded
from models.noise import Noise
from models.spectra import spectral_distance
from models.wavenet import WaveNet, WaveNetConfig

from .cases import IMAGE, VECTOR

PLANE = Event((2,), None, 3)
SOUND = Event((1, 6), 8, 3)


class Forward(IAF):
    """An IAF both of whose blocks go forward in time, on a scale of its own."""

    def make_bijection(self) -> Bijection:
        order = torch.arange(self.event.dimensions)
        blocks = Composition(affine_made(order, self.config.hidden, self.classes) for _ in range(2))
        return Composition([Standardise(), Inverse(blocks)])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def jittered(family: Any, jitter: float) -> Any:
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(jitter * torch.randn(parameter.shape, generator=seeded(1)))
    return family


def wavenet(output: Any = "gaussian", jitter: float = 0.2, conditional: bool = True, **options: Any) -> WaveNet:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"channels": 6, "gate_channels": 6, "skip_channels": 6, "layers": 2, "stacks": 1}
    config = WaveNetConfig(**{"input": "scalar", **sizes, "components": 2, **options}, output=output)
    config = WaveNetConfig(**{**vars(config), "conditional": conditional})
    teacher: WaveNet = jittered(WaveNet(config, SOUND), jitter)
    return teacher


def forward_student(jitter: float = 0.1, **options: Any) -> Forward:
    """Begins at about what a new teacher is: the middle of the range, and as wide as half of it."""
    torch.manual_seed(1)
    student: Forward = jittered(
        Forward(IAFConfig(**{"hidden": (8,), "alpha": None, "conditional": True, **options}), SOUND), jitter
    )
    scale_of(student).initialise(torch.tensor([[0.0, 1.0]]))
    return student


def scale_of(student: Forward) -> Standardise:
    assert isinstance(student.bijection, Composition)
    scale = student.bijection.bijections[0]
    assert isinstance(scale, Standardise)
    return scale


def batch(n: int, seed: int = 0, step: int = 0) -> Batch:
    x = torch.randint(8, (n, 1, 6), generator=seeded(seed), dtype=torch.uint8)
    return Batch(x, torch.arange(n) % 3, Noise(seeded(seed), n), torch.tensor(step))


def loss_of(distillation: Distillation, given: Batch) -> torch.Tensor:
    (player,) = distillation.players()
    return player.loss(given)


def learn(distillation: Distillation, steps: int, rate: float = 1e-2, n: int = 64) -> None:
    (player,) = distillation.players()
    optimiser = torch.optim.Adam(player.module.parameters(), lr=rate)
    for step in range(steps):
        optimiser.zero_grad()
        player.loss(batch(n, step, step)).backward()
        optimiser.step()


def family(model: str, event: Event = PLANE, **options: Any) -> Family:
    sizes = {} if model in ("gmm", "vae", "gan") else {"blocks": 2, "hidden": [16]}
    return build(model, family_class(model).Config(**{**sizes, **options}), event)


def blocks_of(flow: Any) -> Any:
    """The blocks of a maf or an iaf."""
    return (flow.bijection.of if isinstance(flow.bijection, Inverse) else flow.bijection).bijections


def test_the_divergence_of_two_gaussians_is_their_kl() -> None:
    """Two one-component mixtures would do; here both flows are made affine by zeroing what depends on y."""
    student, teacher = family("iaf"), family("maf")
    with torch.no_grad():
        for flow in (student, teacher):
            for parameter in flow.parameters():
                parameter.zero_()
        blocks_of(student)[0].network.layers[-1].bias.copy_(torch.tensor([0.5, 0.2, -0.3, 0.1]))  # μ₁ α₁ μ₂ α₂
        blocks_of(teacher)[0].network.layers[-1].bias.copy_(torch.tensor([-0.1, 0.3, 0.4, -0.2]))

    def gaussian(flow: Family, to_data: bool) -> Normal:
        mu, alpha = blocks_of(flow)[0].conditioner(torch.zeros(1, 2), None).unbind(-1)
        alpha = bounded(alpha)
        # iaf: y = (u - μ) exp(-α); maf: u = (y - μ) exp(-α)
        return Normal(-mu * (-alpha).exp(), (-alpha).exp()) if to_data else Normal(mu, alpha.exp())

    expected = kl_divergence(gaussian(student, True), gaussian(teacher, False)).sum() / 2
    u = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0))
    kl, standard_error = Distillation(student, teacher).estimate(u, None, 50_000)
    assert kl == pytest.approx(expected.item(), abs=4 * standard_error)
    assert standard_error < 1e-2


def test_learning_lowers_the_divergence_and_leaves_the_teacher_alone() -> None:
    student, teacher = family("iaf", conditional=True), family("maf", conditional=True)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    distillation = Distillation(student, teacher)
    (player,) = distillation.players()
    u, labels = torch.randn(512, 2, generator=torch.Generator().manual_seed(1)), torch.arange(512) % 3
    optimiser = torch.optim.Adam(player.module.parameters(), lr=1e-2)
    start, _ = distillation.estimate(u, labels, 512)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        optimiser.zero_grad()
        player.loss(Batch(torch.empty(128, 0), None, Noise(generator, 128))).backward()
        optimiser.step()
    end, _ = distillation.estimate(u, labels, 512)
    assert end < start / 5
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_student_takes_over_the_units_of_its_teacher() -> None:
    student, teacher = family("iaf"), family("maf")
    teacher.initialise(torch.randn(100, 2) * 3 + 1, None, torch.Generator())
    Distillation(student, teacher)
    assert torch.equal(student.units.mean, teacher.units.mean)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("student", "teacher", "reason"),
    [
        (lambda: family("gmm"), lambda: family("maf"), "cannot score its own samples"),
        (lambda: family("iaf", IMAGE), lambda: family("gan", IMAGE), "no density of real units"),
        (lambda: family("iaf", conditional=True), lambda: family("maf"), "both be conditional"),
        (lambda: family("iaf", IMAGE, alpha=0.1), lambda: family("maf", IMAGE), "same alpha and .* alpha: 0.1, deq"),
        (
            lambda: family("iaf", IMAGE, dequantisation="variational"),
            lambda: family("maf", IMAGE),
            "dequantisation: alpha: 0.05, variationally .* is not alpha: 0.05, dequantised$",
        ),
        (forward_student, lambda: wavenet(input="embedding"), "input: scalar and output: gaussian or logistic_mixture"),
        (forward_student, lambda: wavenet("softmax"), "input: scalar and output: gaussian or logistic_mixture"),
    ],
)
def test_a_pair_that_cannot_work_is_refused(student: Any, teacher: Any, reason: str) -> None:
    with pytest.raises(UnsuitableEvent, match=reason):
        Distillation(student(), teacher())


def test_vectors_have_no_alpha_to_agree_on() -> None:
    Distillation(family("iaf", VECTOR, alpha=0.1), family("maf", VECTOR))


@pytest.mark.parametrize(
    ("student", "teacher", "options", "reason"),
    [
        (forward_student, wavenet, {"warm_start_steps": 1}, "turns noise into data"),
        (forward_student, wavenet, {"cover": 0.1}, "cover needs a teacher that turns noise into data"),
        (lambda: family("iaf"), lambda: family("maf"), {"contrastive": 0.1}, "contrastive needs conditional"),
        (lambda: family("iaf"), lambda: family("maf"), {"power": 0.1}, "spectra of sequences"),
        (lambda: family("iaf"), lambda: family("maf"), {"scale": 0.1}, "Gaussian conditionals"),
        (forward_student, lambda: wavenet("logistic_mixture"), {"scale": 0.1}, "Gaussian conditionals"),
        (lambda: family("iaf"), lambda: family("maf"), {"draws": 2}, "says its conditionals"),
        (forward_student, wavenet, {"draws": 2}, "the closed form needs none"),
        (lambda: family("iaf", batch_norm=True), lambda: family("maf"), {"cover": 0.1}, "without batch_norm"),
    ],
)
def test_a_weight_that_cannot_be_used_is_refused(student: Any, teacher: Any, options: Any, reason: str) -> None:
    with pytest.raises(UnsuitableEvent, match=reason):
        Distillation(student(), teacher(), **options)


# Conditionals


def test_the_relative_entropy_of_gaussians_is_that_of_torch() -> None:
    mean, log_std = torch.randn(2, 4, 5, 6, generator=seeded(), dtype=torch.float64).unbind(0)
    q, p = Gaussians(mean[0], log_std[0]), Gaussians(mean[1], log_std[1])
    expected = kl_divergence(Normal(q.mean, q.log_std.exp()), Normal(p.mean, p.log_std.exp()))
    torch.testing.assert_close(q.cross_entropy(p) - q.entropy(), expected)
    torch.testing.assert_close(q.cross_entropy(q), q.entropy())
    torch.testing.assert_close(q.log_density(mean[1]), Normal(q.mean, q.log_std.exp()).log_prob(mean[1]))


def test_blocks_in_one_direction_make_gaussian_conditionals() -> None:
    """y_t is affine in u_t, by the mean and the scale that u_<t says; and together they are the density."""
    student = forward_student(0.5).double()
    torch.set_default_dtype(torch.float64)  # that of one-hot labels
    try:
        labels, u = torch.arange(4) % 3, torch.randn(4, 6, generator=seeded(), dtype=torch.float64)
        y, q = gaussian_conditionals(student, u, labels)
        expected, log_q = student.sample_density(u, labels)
        torch.testing.assert_close(y, expected)
        torch.testing.assert_close(q.log_density(y).sum(1), log_q)
        torch.testing.assert_close(student.log_density(y, labels), log_q)
        for t in range(6):
            other = u.clone()
            other[:, t:] += 1.5
            moved, same = gaussian_conditionals(student, other, labels)
            torch.testing.assert_close(same.mean[:, t], q.mean[:, t])
            torch.testing.assert_close(same.log_std[:, t], q.log_std[:, t])
            torch.testing.assert_close(moved[:, t] - y[:, t], 1.5 * q.log_std[:, t].exp())
    finally:
        torch.set_default_dtype(torch.float32)


def test_blocks_in_both_directions_do_not() -> None:
    assert has_gaussian_conditionals(forward_student()) and has_gaussian_conditionals(family("iaf", PLANE, blocks=1))
    assert not has_gaussian_conditionals(family("iaf", PLANE)) and not has_gaussian_conditionals(family("maf", PLANE))


# What a wavenet teaches


@pytest.mark.parametrize(
    ("output", "options"),
    [("gaussian", {}), ("logistic_mixture", {}), ("logistic_mixture", {"draws": 20})],
    ids=str,
)
def test_the_loss_is_the_divergence_by_whatever_is_known_of_the_conditionals(output: Any, options: Any) -> None:
    """In closed form, by draws or by one sample; and the more is known, the less it varies."""
    distillation = Distillation(forward_student(), wavenet(output), **options)
    n = 20_000
    with torch.no_grad():
        loss = loss_of(distillation, batch(n))
        noise = Noise(seeded(9), n)
        divergence = distillation.divergence(noise.normal(6), noise.integers(3))
    error = (divergence.std() / n**0.5).item()
    assert loss.item() == pytest.approx(divergence.mean().item(), abs=5 * error)
    if output == "gaussian":  # the noise of y_t itself is integrated over
        with torch.no_grad():
            losses = torch.stack([loss_of(distillation, batch(50, seed)) for seed in range(20)])
        assert losses.std() < 0.5 * divergence.std() / 50**0.5


def test_the_divergence_is_zero_of_equals_alone() -> None:
    teacher = wavenet(jitter=0.0)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.zero_()
    student = forward_student(jitter=0.0)
    with torch.no_grad():
        for parameter in student.parameters():
            parameter.zero_()
    scale_of(student).mean.fill_(0.5)
    scale_of(student).log_std.fill_(math.log(0.5))
    assert loss_of(Distillation(student, teacher), batch(8)).item() == pytest.approx(0, abs=1e-6)
    scale_of(student).mean.fill_(0.6)
    assert loss_of(Distillation(student, teacher), batch(8)).item() == pytest.approx(0.1**2 / 2 / 0.5**2, abs=1e-6)


def test_the_weights_of_entropy_and_of_scales_are_what_they_say() -> None:
    student, teacher = forward_student(), wavenet()
    with torch.no_grad():
        plain, half, scaled = (
            loss_of(Distillation(student, teacher, entropy=entropy, scale=scale), batch(32))
            for entropy, scale in ((1.0, 0.0), (0.5, 0.0), (1.0, 3.0))
        )
        noise = Noise(seeded(), 32)
        labels = noise.integers(3)
        y, q = gaussian_conditionals(student, noise.normal(6), labels)
        p = teacher.conditionals(y, labels)
    assert isinstance(p, Gaussians)
    torch.testing.assert_close(half - plain, 0.5 * q.entropy().mean())
    torch.testing.assert_close(scaled - plain, 3 * (q.log_std - p.log_std).square().mean())


@pytest.mark.parametrize(("output", "options"), [("gaussian", {"scale": 0.1}), ("logistic_mixture", {"draws": 4})])
def test_a_student_of_a_wavenet_learns(output: Any, options: Any) -> None:
    distillation = Distillation(forward_student(), wavenet(output, jitter=0.4), **options)
    u, labels = torch.randn(256, 6, generator=seeded(5)), torch.arange(256) % 3
    start, _ = distillation.estimate(u, labels, 256)
    learn(distillation, 60, rate=2e-2)
    end, _ = distillation.estimate(u, labels, 256)
    assert 0 < end < start / 3


def test_contrast_keeps_samples_of_a_class_from_being_another_s() -> None:
    u, labels = torch.randn(512, 6, generator=seeded(5)), torch.arange(512) % 3
    apart = []
    for contrastive in (0.0, 0.3):
        teacher = wavenet(jitter=0.4)
        with torch.no_grad():  # classes that differ
            for layer in teacher._layers():
                assert layer.context is not None
                layer.context.weight.mul_(4)
        distillation = Distillation(forward_student(), teacher, contrastive=contrastive)
        learn(distillation, 60, rate=2e-2)
        with torch.no_grad():
            y, log_q = distillation.student.sample_density(u, labels)
            others = distillation.teacher.log_density(y, (labels + 1) % 3)
        apart.append((log_q - others).mean().item() / 6)
    assert apart[1] > 1.3 * apart[0]


def test_power_compares_with_the_examples_of_a_batch() -> None:
    """Samples of the batch's labels are compared with its examples, both as waveforms."""
    seen: list[torch.Tensor] = []

    def waveform(x: torch.Tensor) -> torch.Tensor:
        seen.append(x)
        return x / 4 - 1

    distillation = Distillation(forward_student(), wavenet(), power=1.0, waveform=waveform)
    given = batch(30)
    loss_of(distillation, given)
    sounds, real = seen[:2]
    assert torch.equal(real, given.x.flatten(1).float())
    u = Noise(seeded(), 30).normal(6)
    y, _ = distillation.student.sample_density(u, given.labels)
    torch.testing.assert_close(sounds, 8 * y - 0.5)
    with_power, without = (
        loss_of(Distillation(forward_student(), wavenet(), power=power, waveform=waveform), batch(30))
        for power in (2.0, 1.0)
    )
    assert given.labels is not None
    distance = spectral_distance(sounds / 4 - 1, real / 4 - 1, torch.eye(3)[given.labels])
    torch.testing.assert_close(with_power - without, distance)


def test_a_loss_is_the_mean_over_rows() -> None:
    distillation = Distillation(forward_student(), wavenet("logistic_mixture"), draws=3, contrastive=0.2)
    whole = loss_of(distillation, batch(8))
    halves = [loss_of(distillation, Batch(torch.empty(4, 0), None, Noise(seeded(), 4, start, 8))) for start in (0, 4)]
    torch.testing.assert_close(whole, torch.stack(halves).mean())


# Warm start


def test_a_warm_start_is_to_learn_the_teacher_by_heart() -> None:
    student, teacher = family("iaf"), jittered(family("maf", blocks=3), 0.3)
    distillation = Distillation(student, teacher, warm_start_steps=100)
    u = torch.randn(256, 2, generator=seeded(0))
    with torch.no_grad():
        lesson = teacher.sample_density(u)[0]
        distance = (student.sample_density(u)[0] - lesson).square().mean()
        rows = Batch(torch.empty(256, 0), None, Noise(seeded(0), 256), torch.tensor(99))
        torch.testing.assert_close(loss_of(distillation, rows), distance)
        rows = Batch(torch.empty(256, 0), None, Noise(seeded(0), 256), torch.tensor(100))
        torch.testing.assert_close(loss_of(distillation, rows), distillation.divergence(u, None).mean())
    learn(distillation, 60)
    with torch.no_grad():
        assert (student.sample_density(u)[0] - lesson).square().mean() < distance / 5


def test_blocks_learn_from_their_counterparts() -> None:
    """The loss is the KL of the Gaussians that each block makes of what the teacher's blocks before it made."""
    student, teacher = (jittered(family(name, blocks=3, conditional=True), 0.1) for name in ("iaf", "maf"))
    u, labels = torch.randn(128, 2, generator=seeded(0)), torch.arange(128) % 3
    context, v, expected = torch.eye(3)[labels], u, torch.zeros(())
    for own, taught in zip(blocks_of(student), reversed(blocks_of(teacher)), strict=True):
        w, _ = taught.inverse(v, context)
        mean, alpha = taught.conditioner(w, context).unbind(-1)
        mu, beta = own.conditioner(v, context).unbind(-1)
        p, q = Normal(mean, bounded(alpha).exp()), Normal(-mu * (-bounded(beta)).exp(), (-bounded(beta)).exp())
        torch.testing.assert_close(p.mean + p.stddev * v, w)
        expected, v = expected + kl_divergence(q, p).mean(), w
    distillation = Distillation(student, teacher, warm_start_steps=1)
    torch.testing.assert_close(distillation._warm_start_loss(u, labels), expected)


def test_a_batch_normalisation_of_the_teacher_is_part_of_the_block_that_follows() -> None:
    teacher = jittered(family("maf", blocks=3, batch_norm=True), 0.3)
    teacher.initialise(3 * torch.randn(500, 2) + 1, None, seeded())
    distillation = Distillation(jittered(family("iaf", blocks=3), 0.3), teacher, warm_start_steps=1)
    v, log_q = torch.randn(64, 2, generator=seeded(0)), torch.zeros(64)
    y, expected = teacher.sample_density(v)
    for _, taught in distillation.pairs:
        w, p = taught.conditionals(v, None)
        torch.testing.assert_close(p.mean + p.log_std.exp() * v, w)
        log_q, v = log_q - p.log_std.sum(1), w
    torch.testing.assert_close(v, y)
    prior = Normal(0.0, 1.0).log_prob(torch.randn(64, 2, generator=seeded(0))).sum(1)
    torch.testing.assert_close(prior + log_q, expected)


@pytest.mark.parametrize(
    ("own", "taught"),
    [
        ({"blocks": 3}, {"blocks": 2}),
        ({"blocks": 2}, {"blocks": 2}),  # from noise to data one begins forward, the other backward
        ({"blocks": 3, "batch_norm": True}, {"blocks": 3}),
        ({"blocks": 3}, {"blocks": 3, "mixture_components": 2}),
    ],
)
def test_blocks_without_counterparts_are_learnt_as_a_whole(own: Any, taught: Any) -> None:
    assert Distillation(family("iaf", **own), family("maf", **taught), warm_start_steps=1).pairs == []


def test_block_by_block_a_deep_teacher_is_learnt_sooner() -> None:
    teacher = jittered(family("maf", blocks=5), 0.5)
    u = torch.randn(512, 2, generator=seeded(9))
    reached = []
    for whole in (False, True):
        torch.manual_seed(1)
        distillation = Distillation(family("iaf", blocks=5), teacher, warm_start_steps=1000)
        distillation.pairs = [] if whole else distillation.pairs
        learn(distillation, 100)
        reached.append(distillation.estimate(u, None, 512)[0])
    assert reached[0] < reached[1] / 2


# The teacher's own samples


def test_to_cover_is_to_find_the_samples_of_the_teacher_likely() -> None:
    student, teacher = family("iaf"), jittered(family("maf"), 0.3)
    plain, covering = Distillation(student, teacher), Distillation(student, teacher, cover=0.7)
    noise = Noise(seeded(0), 256)
    noise.normal(2)  # those of the student's own samples
    lesson = teacher.sample_density(noise.normal(2))[0]
    rows = [Batch(torch.empty(256, 0), None, Noise(seeded(0), 256)) for _ in range(2)]
    unlikely = -student.log_density(lesson).mean() / 2
    torch.testing.assert_close(loss_of(covering, rows[0]), loss_of(plain, rows[1]) + 0.7 * unlikely)


def test_a_student_learns_to_cover_its_teacher() -> None:
    student, teacher = family("iaf"), jittered(family("maf"), 0.3)
    lesson = teacher.sample_density(torch.randn(256, 2, generator=seeded(1)))[0]
    apart = [(teacher.log_density(lesson) - student.log_density(lesson)).mean().item()]
    learn(Distillation(student, teacher, entropy=0.0, cover=1.0), 60)
    apart.append((teacher.log_density(lesson) - student.log_density(lesson)).mean().item())
    assert apart[1] < apart[0] / 2, "without the entropy of its samples only this keeps a student from collapsing"


@pytest.mark.parametrize("inversion", ["incremental", "jacobi"])
def test_a_student_that_has_no_idea_at_all_still_learns(inversion: str) -> None:
    student = family("iaf", inversion=inversion)
    blocks_of(student)[0].network.output_bias.data[::2] = 100.0  # far from all that the teacher makes
    distillation = Distillation(student, jittered(family("maf"), 0.3), cover=1.0)
    assert distillation._cover_loss(torch.randn(64, 2), None) == 0
    loss = loss_of(distillation, Batch(torch.empty(64, 0), None, Noise(seeded(0), 64)))
    loss.backward()
    gradients = [parameter.grad for parameter in student.parameters() if parameter.requires_grad]
    assert all(grad is not None and grad.isfinite().all() for grad in gradients)


def test_all_that_is_trained_of_a_student_is_in_its_loss() -> None:
    made, taught = (family(name, IMAGE, dequantisation="variational") for name in ("iaf", "maf"))
    loss_of(Distillation(made, taught), Batch(torch.empty(4, 0), None, Noise(seeded(0), 4))).backward()
    assert all((parameter.grad is not None) == parameter.requires_grad for parameter in made.parameters())


def test_what_a_student_has_no_idea_of_is_left_out_until_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    student, teacher = family("iaf"), jittered(family("maf"), 0.3)
    distillation = Distillation(student, teacher, cover=1.0)
    u = torch.randn(64, 2, generator=seeded(0))
    scores = student.log_density(distillation._teacher_samples(u, None))
    middle = scores.median().item()
    monkeypatch.setattr("models.distillation.LOSS_LIMIT", -middle / 2)
    kept = scores[scores > middle]
    torch.testing.assert_close(distillation._cover_loss(u, None), -kept.sum() / (64 * 2))
