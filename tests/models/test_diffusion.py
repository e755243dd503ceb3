"""Diffusion: the noise by Bayes' rule, the bound by its parts and by distributions that are known, and the samplers."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F

from models import diffusion, diffusion_sampler
from models.contract import Batch, Event, UnsuitableEvent
from models.diffusion import Diffusion, DiffusionConfig
from models.diffusion_bound import cost, log_decoder, prior
from models.diffusion_networks import Attention, Block, TimedMLP, UNet
from models.diffusion_schedule import Schedule, betas
from models.diffusion_streams import further_seeds, normal_stream, seeds_of
from models.noise import Noise

from .cases import IMAGE, VECTOR, Case, batch, examples

SMALL: dict[str, Any] = {"timesteps": 5, "width": 4, "levels": 1, "hidden": [8]}
VARIANTS = [
    Case("diffusion", IMAGE, {"prediction": "v", "sampler": "ddim", "sampler_steps": 3, "bound_steps": 3}),
    Case("diffusion", IMAGE, {"conditional": True, "label_dropout": 0.3, "guidance": 1.0, "schedule": "cosine"}),
    Case("diffusion", VECTOR, {"loss": "bound"}),
]

SCHEDULES = ("linear", "cosine")
PAIR = Event((1, 2), 3)  # two numbers of three levels: nine examples in all
schedules = pytest.mark.parametrize("name", SCHEDULES)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(event: Event = IMAGE, jitter: float = 0.2, **options: Any) -> Diffusion:
    torch.manual_seed(0)
    model = Diffusion(DiffusionConfig(**{"timesteps": 6, "width": 4, "hidden": (8,), **options}), event)
    for parameter in model.parameters():
        parameter.data.add_(jitter * torch.randn_like(parameter))
    return model.eval()


class Oracle(nn.Module):
    """The best prediction of ε or v there is, made of E[x_0 | x_t]; or one that is off by some error."""

    prediction, error = "epsilon", 0.0

    def __init__(self, schedule: Schedule) -> None:
        super().__init__()
        self.schedule, self.dtype = schedule, nn.Parameter(torch.zeros((), dtype=torch.float64))

    def expected(self, x_t: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        raise NotImplementedError

    def forward(self, x_t: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        t = (time * self.schedule.timesteps).round().long()
        signal, std = self.schedule.scales(t, x_t)
        x_0 = self.expected(x_t, t, context)
        epsilon = (x_t - signal * x_0) / std
        return (signal * epsilon - std * x_0 if self.prediction == "v" else epsilon) + self.error


class OfGaussian(Oracle):
    """x_0 ~ N(0, s² I)."""

    s = 0.5

    def expected(self, x_t: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        signal, std = self.schedule.scales(t, x_t)
        return signal * self.s**2 / (signal**2 * self.s**2 + std**2) * x_t


def of_gaussian(model: Diffusion, error: float = 0.0) -> Diffusion:
    """The model with the best network for x_0 ~ N(0, s² I), or one that is off by some error."""
    model.network = oracle = OfGaussian(model.schedule)
    oracle.prediction, oracle.error = model.config.prediction, error
    return model


class OfStates(Oracle):
    """x_0 is one of a few examples (S, *event), of known probabilities (S,); of class y it is the y-th."""

    def __init__(self, schedule: Schedule, states: Tensor, p: Tensor) -> None:
        super().__init__(schedule)
        self.states, self.p = states, p

    def expected(self, x_t: Tensor, t: Tensor, context: Tensor | None) -> Tensor:
        if context is not None:
            return torch.einsum("ns,s...->n...", context.to(x_t), self.states)
        signal, std = self.schedule.scales(t, x_t)
        z = (x_t[:, None] - signal[:, None] * self.states) / std[:, None]
        posterior = (self.p.log() - 0.5 * z.square().flatten(2).sum(2)).softmax(1)
        return torch.einsum("ns,s...->n...", posterior, self.states)


# The noise


@schedules
def test_one_step_kernels_compose_to_the_closed_form(name: str) -> None:
    schedule, mean, variance = Schedule(name, 50), 1.0, 0.0
    for t, beta in enumerate(betas(name, 50).tolist(), 1):
        mean, variance = math.sqrt(1 - beta) * mean, (1 - beta) * variance + beta
        signal, std = schedule.scales(torch.tensor(t), torch.ones(1, dtype=torch.float64))
        assert (signal.item(), std.item() ** 2) == (pytest.approx(mean), pytest.approx(variance))


def test_schedules_are_those_of_the_papers() -> None:
    linear, cosine = betas("linear", 1000), Schedule("cosine", 1000).alpha_bar
    assert (linear[0].item(), linear[-1].item()) == (pytest.approx(1e-4), pytest.approx(0.02))
    f = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (0, 500)]
    assert cosine[500].item() == pytest.approx(f[1] / f[0])
    assert betas("linear", 100).sum().item() == pytest.approx(linear.sum().item())  # as much noise in fewer steps


@schedules
@pytest.mark.parametrize("timesteps", [10, 100, 1000])
def test_nothing_of_the_data_is_left_at_the_end(name: str, timesteps: int) -> None:
    model = small(schedule=name, timesteps=timesteps)
    x_0 = model.start(examples(IMAGE, 8)[0]).double()
    alpha_bar = model.schedule.alpha_bar[-1]
    forward = Normal(alpha_bar.sqrt() * x_0, (1 - alpha_bar).sqrt())
    expected = kl_divergence(forward, Normal(0.0, 1.0)).flatten(1).sum(1)
    torch.testing.assert_close(prior(model.schedule, x_0), expected)
    assert expected.max() / 64 < 1e-3


@schedules
@pytest.mark.parametrize(("t", "s"), [(50, 49), (50, 20), (7, 6), (2, 1)])
def test_a_step_is_the_posterior_by_bayes_rule(name: str, t: int, s: int) -> None:
    schedule, (x_0, x_t) = Schedule(name, 50), torch.randn(2, 5, dtype=torch.float64, generator=seeded())
    at_s, at_t = schedule.alpha_bar[s], schedule.alpha_bar[t]
    kept = at_t / at_s  # q(x_t | x_s) = N(√kept x_s, 1 - kept)
    precision = 1 / (1 - at_s) + kept / (1 - kept)
    mean = (at_s.sqrt() * x_0 / (1 - at_s) + kept.sqrt() * x_t / (1 - kept)) / precision
    found, std = schedule.step(x_0, x_t, torch.tensor(t), torch.tensor(s), eta=1.0)
    torch.testing.assert_close(found, mean)
    torch.testing.assert_close(std, precision.rsqrt())


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
def test_steps_of_every_eta_keep_the_marginals(eta: float) -> None:
    """If x_t ~ q(x_t | x_0), then x_s ~ q(x_s | x_0)."""
    schedule, x_0, one = Schedule("linear", 50), torch.full((1,), 0.3, dtype=torch.float64), torch.ones(1)
    for t, s in pairwise(schedule.grid(7)):
        steps = torch.tensor(t), torch.tensor(s)
        centre, std = schedule.step(x_0, schedule.noised(x_0, steps[0], 0 * one), *steps, eta)
        above, _ = schedule.step(x_0, schedule.noised(x_0, steps[0], one), *steps, eta)
        torch.testing.assert_close(centre, schedule.alpha_bar[s].sqrt() * x_0)
        torch.testing.assert_close((above - centre) ** 2 + std**2, (1 - schedule.alpha_bar[s]).view(1))
        assert (std.item() == 0) == (eta == 0 or s == 0)


def test_grids_of_steps_go_from_the_last_to_zero() -> None:
    schedule = Schedule("linear", 100)
    assert schedule.grid(100) == list(range(100, -1, -1))
    assert schedule.grid(4) == [100, 75, 50, 25, 0]
    assert schedule.grid(1) == [100, 0]


def test_the_first_noise_is_as_strong_as_the_bins_are_wide() -> None:
    assert (1 - small(timesteps=1000).schedule.alpha_bar[1]).sqrt() == pytest.approx(0.75 / 17)
    fine = Event((1, 8, 8), 256)
    assert (1 - small(fine, timesteps=1000).schedule.alpha_bar[1]).sqrt() == pytest.approx(0.01)
    assert (1 - small(least_noise=0.1, timesteps=1000).schedule.alpha_bar[1]).sqrt() == pytest.approx(0.1)


# The bound


@schedules
def test_the_cost_of_a_step_is_a_divergence_of_posteriors(name: str) -> None:
    model = small(schedule=name, timesteps=20)
    x_0, guess, x_t = torch.rand(3, 4, 1, 8, 8, dtype=torch.float64, generator=seeded()) * 2 - 1
    for t, s in ((20, 19), (12, 5), (2, 1)):
        steps = torch.tensor(t), torch.tensor(s)
        (true, std), (believed, _) = (model.schedule.step(each, x_t, *steps, 1.0) for each in (x_0, guess))
        expected = kl_divergence(Normal(true, std), Normal(believed, std))
        torch.testing.assert_close(cost(model.schedule, 17, x_0, guess, *steps), expected, rtol=1e-6, atol=1e-9)


def test_the_decoder_gives_bins_their_mass() -> None:
    model = small()
    x_0 = model.start(torch.arange(17)).double()
    for std in (0.02, 0.5):
        normal = Normal(torch.tensor(0.35, dtype=torch.float64), std)
        edges = torch.tensor([-math.inf, *((2 * level / 17 - 1) for level in range(1, 17)), math.inf])
        expected = normal.cdf(edges.double()).diff()
        found = log_decoder(17, x_0, normal.mean, torch.tensor(std)).exp()
        torch.testing.assert_close(found, expected)
        assert found.sum().item() == pytest.approx(1)
    far = log_decoder(17, x_0.float(), torch.tensor(1.0), torch.tensor(0.01))
    assert far.isfinite().all() and far[0] < far[1] < -1000


@pytest.mark.parametrize("event", [IMAGE, VECTOR], ids=["image", "vector"])
@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_the_bound_is_the_sum_of_its_parts(event: Event, prediction: str) -> None:
    """L_T + Σ L_{t-1} + L_0 by torch.distributions, with the noise of the bound itself."""
    model = small(event, conditional=True, prediction=prediction).double()
    x, labels = examples(event, 3)
    if model.units is not None:
        x = x.double()
        model.units.initialise(x)
    x_0, noise = model.start(x), Noise(seeded(), 3)
    context = nn.functional.one_hot(labels, event.classes).double()
    alpha_bar, one = model.schedule.alpha_bar, torch.tensor(1)
    total = kl_divergence(Normal(alpha_bar[6].sqrt() * x_0, (1 - alpha_bar[6]).sqrt()), Normal(0.0, 1.0))
    for t in range(1, 7):
        step = torch.tensor(t)
        signal, std = alpha_bar[t].sqrt(), (1 - alpha_bar[t]).sqrt()
        x_t = signal * x_0 + std * noise.normal(*event.shape).double()
        h = model.network(x_t, torch.full((3,), t) / 6, context)  # the time as the model shows it, in float32
        guess = signal * x_t - std * h if prediction == "v" else (x_t - std * h) / signal
        if event is IMAGE:
            guess = guess.clamp(-16 / 17, 16 / 17)
        if t > 1:
            true, believed = (model.schedule.step(each, x_t, step, step - 1, 1.0) for each in (x_0, guess))
            total = total + kl_divergence(Normal(*true), Normal(*believed))
        elif event is VECTOR:
            assert model.units is not None
            total = total - (Normal(guess, std).log_prob(x_0) - model.units.std.log())
        else:
            total = total - log_decoder(event.levels, x_0, guess, model.schedule.scales(one, x_0)[1])
    found = model.log_prob(x, labels, seeded())
    torch.testing.assert_close(found, -total.flatten(1).sum(1), rtol=1e-6, atol=1e-6)


def test_the_bound_is_the_same_however_many_steps_are_in_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    model, (x, _) = small(), examples(IMAGE, 3)
    whole = model.log_prob(x)
    monkeypatch.setattr(diffusion, "ROWS", 4)
    torch.testing.assert_close(model.log_prob(x), whole)


@schedules
def test_the_bound_approaches_the_entropy_of_a_gaussian_from_above(name: str) -> None:
    truth, gaps = Normal(torch.zeros(2, dtype=torch.float64), OfGaussian.s), []
    x = OfGaussian.s * torch.randn(400, 2, generator=seeded(), dtype=torch.float64)
    for timesteps in (10, 50, 250):
        model = of_gaussian(small(VECTOR, timesteps=timesteps, schedule=name, prediction="v", least_noise=0.1))
        gap = truth.log_prob(x).sum(1) - model.log_prob(x, generator=seeded())
        gaps.append(gap.mean().item())
        assert gap.mean() > -3 * gap.std() / len(gap) ** 0.5
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.25


def test_the_bound_of_all_examples_has_at_most_unit_mass() -> None:
    """With the best network it has nearly that; and its mean is no less than the entropy."""
    model = small(PAIR, timesteps=100, schedule="cosine")
    x = torch.cartesian_prod(torch.arange(3), torch.arange(3))[:, None].to(torch.uint8)
    p = torch.tensor([0.3, 0.02, 0.08, 0.1, 0.2, 0.05, 0.1, 0.05, 0.1], dtype=torch.float64)
    model.network = OfStates(model.schedule, model.start(x).double(), p)
    bounds = torch.stack([model.log_prob(x, generator=seeded(seed)) for seed in range(60)]).mean(0)
    entropy = -(p * p.log()).sum()
    assert 0.85 < bounds.exp().sum() < 1.0
    assert entropy < -(p * bounds).sum() < entropy + 0.2


def test_drawn_steps_estimate_the_sum_of_all_without_bias() -> None:
    x = examples(VECTOR, 1)[0].expand(3000, 2)
    whole, drawn = (small(VECTOR, timesteps=12, bound_steps=steps).log_prob(x) for steps in (None, 4))
    error = (whole.var() + drawn.var()).sqrt() / len(x) ** 0.5
    assert drawn.std() > 1.2 * whole.std()
    assert (whole.mean() - drawn.mean()).abs() < 3 * error


@pytest.mark.parametrize("steps", [2, 5, 11, 12])
def test_drawn_steps_stand_for_every_step_once(steps: int) -> None:
    model = small(timesteps=12, bound_steps=steps)
    x = torch.zeros(4000, 1, 8, 8, dtype=torch.uint8)
    t, weights = model.schedule.drawn(steps, Noise(seeded(), len(x)))
    assert t.shape == (steps, 4000) and (t[0] == 1).all() and weights.sum() == 12
    counts = torch.zeros(13).index_add_(0, t.flatten(), weights[:, None].expand(t.shape).flatten().float())
    torch.testing.assert_close(counts[1:] / 4000, torch.ones(12), atol=0.15, rtol=0)


@schedules
def test_strata_are_finer_where_the_bound_has_more_to_say(name: str) -> None:
    schedule = Schedule(name, 1000, first=0.002)
    begins = schedule.strata(9)
    assert begins[:2] == [1, 2] and begins[-1] == 1001
    left = (1 - schedule.alpha_bar[[begin - 1 for begin in begins[1:]]]).log()
    torch.testing.assert_close(left.diff(), (-left[0] / 8).expand(8), atol=0.1, rtol=0)
    assert schedule.strata(1000) == list(range(1, 1002))
    assert min(b - a for a, b in pairwise(schedule.strata(997))) == 1


def test_the_bound_says_how_it_was_computed() -> None:
    assert small().bound == "variational, T=6, all steps"
    model = small(bound_steps=3)
    assert model.bound == "variational, T=6, 3 of 6 steps drawn" and model.scoring_passes == 3


# Training


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_a_perfect_prediction_is_the_truth(prediction: str) -> None:
    model = small(prediction=prediction, timesteps=40)
    x_0, epsilon = torch.rand(2, 40, 1, 8, 8, dtype=torch.float64, generator=seeded()) * 1.8 - 0.9
    t = torch.arange(1, 41)
    target = model.schedule.target(prediction, x_0, t, epsilon)
    torch.testing.assert_close(model.process.origin(target, model.schedule.noised(x_0, t, epsilon), t, clip=True), x_0)


def test_v_is_the_velocity_on_a_circle() -> None:
    """With √ᾱ = cos φ and √(1 - ᾱ) = sin φ, v = dx_t/dφ."""
    model, t = small(prediction="v"), torch.tensor([3])
    x_0, epsilon = torch.randn(2, 1, 5, dtype=torch.float64, generator=seeded())
    phi, little = model.schedule.alpha_bar[3].sqrt().acos(), 1e-6
    before, after = (angle.cos() * x_0 + angle.sin() * epsilon for angle in (phi - little, phi + little))
    torch.testing.assert_close(model.schedule.target("v", x_0, t, epsilon), (after - before) / (2 * little))


def test_the_simple_loss_is_the_error_of_the_noise() -> None:
    model, drawn = small(), batch(IMAGE, 6)
    noise, x_0 = batch(IMAGE, 6).noise, model.start(drawn.x)
    t = 1 + (torch.arange(6) + noise.uniform()).long()  # six rows, six timesteps: one each
    assert t.tolist() == [1, 2, 3, 4, 5, 6]
    epsilon = noise.normal(1, 8, 8)
    error = model.network(model.schedule.noised(x_0, t, epsilon), t / 6, None) - epsilon
    torch.testing.assert_close(model.players()[0].loss(drawn), error.square().mean())


def test_the_loss_of_the_bound_is_the_bound_on_average() -> None:
    """T rows of one example meet all T steps: their mean is the bound."""
    model = small(VECTOR, loss="bound", prediction="v")
    x = examples(VECTOR, 1)[0].expand(6000, 2)
    loss = model.players()[0].loss(Batch(x, None, Noise(seeded(), len(x)))).item()
    assert loss == pytest.approx(-model.log_prob(x[:1000]).mean().item() / 2, rel=0.05)


@schedules
def test_the_loss_of_the_bound_has_finite_gradients_wherever_a_bad_network_guesses(name: str) -> None:
    model = small(loss="bound", schedule=name, timesteps=1000, jitter=0.5)
    model.players()[0].loss(batch(IMAGE, 32)).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_labels_are_hidden_from_a_share_of_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = small(conditional=True, label_dropout=0.3), []
    forward = model.network.forward
    monkeypatch.setattr(model.network, "forward", lambda x, t, c: (seen.append(c), forward(x, t, c))[1])
    model.players()[0].loss(batch(IMAGE, 1000))
    assert (seen[0].sum(1) == 0).double().mean().item() == pytest.approx(0.3, abs=0.05)
    assert (seen[0].sum(1) <= 1).all()


# Networks


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (1, 7, 7), (1, 12, 8), (1, 16), (1, 15)])
def test_the_network_keeps_every_shape(shape: tuple[int, ...]) -> None:
    network = UNet(shape, 4, 2, 1, True, 3)
    x = torch.randn(2, *shape, generator=seeded())
    assert (network(x, torch.ones(2), torch.eye(3)[:2]) == 0).all()  # a new network says nothing
    for parameter in network.parameters():
        nn.init.normal_(parameter)
    first = network(x, torch.ones(2), torch.eye(3)[:2])
    assert first.shape == x.shape
    assert not torch.allclose(first, network(x, torch.ones(2) / 2, torch.eye(3)[:2]))
    assert not torch.allclose(first, network(x, torch.ones(2), torch.eye(3)[1:]))


def test_the_network_of_vectors_sees_time_and_class() -> None:
    network, x = TimedMLP(3, (8, 8), 2), torch.randn(2, 3, generator=seeded())
    nn.init.normal_(network.last.weight)
    first = network(x, torch.ones(2), torch.eye(2))
    assert first.shape == x.shape
    assert not torch.allclose(first, network(x, torch.ones(2) / 2, torch.eye(2)))
    assert not torch.allclose(first, network(x, torch.ones(2), torch.eye(2).flip(0)))


# Samplers


def test_streams_are_standard_normal_whichever_rows_are_asked_for() -> None:
    seeds = seeds_of(torch.arange(500) / 500)
    z = torch.stack([normal_stream(seeds, block, 40) for block in range(5)], 1)
    assert torch.equal(z[7:9, 3], normal_stream(seeds[7:9], 3, 40))
    assert z.unique().numel() == z.numel()
    ordered = z.flatten().sort().values
    uniform = (torch.arange(len(ordered)) + 0.5) / len(ordered)
    assert (torch.special.ndtr(ordered) - uniform).abs().max() < 1.6 / len(ordered) ** 0.5  # Kolmogorov & Smirnov
    for one, other in ((z[1:], z[:-1]), (z[:, 1:], z[:, :-1]), (z[..., 1:], z[..., :-1])):
        assert (one * other).mean().abs() < 4 / one.numel() ** 0.5


def test_further_seeds_have_streams_of_their_own() -> None:
    seeds = seeds_of(torch.arange(200) / 200)
    several = further_seeds(seeds, 3)
    assert torch.equal(several[:, 0], seeds) and several.unique().numel() == 600
    assert torch.equal(several[5:7], further_seeds(seeds[5:7], 3))
    first, second, third = (normal_stream(each, 0, 50) for each in several.T)
    for one, other in ((first, second), (second, third), (first, third), (first[:, 1:], second[:, :-1])):
        assert (one * other).mean().abs() < 4 / one.numel() ** 0.5


def test_samples_of_the_best_network_are_those_of_the_data() -> None:
    model = of_gaussian(small(VECTOR, timesteps=300, schedule="cosine", prediction="v"))
    ddim = {"sampler": "ddim", "sampler_steps": 50}
    for options in ({}, {"sampler_steps": 150}, ddim, {**ddim, "eta": 0.5}):
        model.config = DiffusionConfig(timesteps=300, prediction="v", **options)
        x = model.sample(2000, generator=seeded())
        assert x.std().item() == pytest.approx(OfGaussian.s, rel=0.05), options


@pytest.mark.parametrize(("schedule", "prediction"), [("linear", "epsilon"), ("linear", "v"), ("cosine", "v")])
def test_a_small_error_of_the_network_is_a_small_one_of_vectors(schedule: str, prediction: str) -> None:
    """Nothing clips vectors: by ε, where only 2e-5 of the signal is left, an error of 0.02 moved the mean by 1.65 σ."""
    model = of_gaussian(small(VECTOR, timesteps=1000, schedule=schedule, prediction=prediction), error=0.02)
    x = model.sample(5000, generator=seeded())
    assert x.mean().abs().item() < 0.25 * OfGaussian.s


def test_noise_is_not_predicted_for_vectors_where_no_signal_is_left() -> None:
    with pytest.raises(UnsuitableEvent, match="prediction: epsilon is not allowed with schedule: cosine for vectors"):
        Diffusion(DiffusionConfig(schedule="cosine"), VECTOR)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_few_steps_do_not_narrow_samples(schedule: str) -> None:
    """Of the best network for normal data 25 ancestral steps make samples that are too narrow."""
    model = of_gaussian(small(VECTOR, timesteps=1000, schedule=schedule, prediction="v"))
    widths = dict[str, float]()
    for sampler in ("auto", "dpm_solver", "ddim", "ancestral"):
        model.config = DiffusionConfig(prediction="v", sampler=sampler, sampler_steps=25)  # type: ignore[arg-type]
        widths[sampler] = model.sample(20_000, generator=seeded()).std().item() / OfGaussian.s
    # What is left is lost by the last step, which returns x̂_0, and not by the solver.
    last = torch.tensor(40)
    signal, std = (each.item() for each in model.schedule.scales(last, torch.zeros(1, dtype=torch.float64)))
    returned = signal * OfGaussian.s / (signal**2 * OfGaussian.s**2 + std**2) ** 0.5
    assert widths["auto"] == widths["dpm_solver"] == pytest.approx(returned, abs=0.015), (widths, returned)
    assert widths["ancestral"] < widths["ddim"] < widths["dpm_solver"], widths


@pytest.mark.parametrize("sampler", ["ancestral", "ddim", "dpm_solver"])
def test_only_the_ancestral_sampler_draws_noise_on_its_way(sampler: str, monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = []

    def counted(seeds: Tensor, block: int, width: int) -> Tensor:
        blocks.append(block)
        return normal_stream(seeds, block, width)

    monkeypatch.setattr(diffusion_sampler, "normal_stream", counted)
    small(sampler=sampler, sampler_steps=4).sample(2, generator=seeded())
    assert blocks == ([0, 1, 2, 3] if sampler == "ancestral" else [0])


def test_guidance_leads_away_from_the_prediction_for_no_label() -> None:
    model = small(conditional=True, label_dropout=0.1)
    x, t, context = torch.randn(3, 1, 8, 8, generator=seeded()), torch.tensor([1, 3, 6]), torch.eye(10)[:3]
    conditional, unconditional = model._output(x, t, context), model._output(x, t, 0 * context)
    torch.testing.assert_close(model._guided(x, t, context)[0], conditional)
    model.config = DiffusionConfig(conditional=True, label_dropout=0.1, guidance=1.5, timesteps=6)
    torch.testing.assert_close(model._guided(x, t, context)[0], 2.5 * conditional - 1.5 * unconditional)


@pytest.mark.parametrize("options", [{}, {"sampler": "ddim", "sampler_steps": 3}, {"guidance": 1.0}], ids=str)
def test_parts_of_a_batch_are_walked_alike(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(conditional=True, label_dropout=0.1, **options)
    whole = model.sample(7, generator=seeded())
    monkeypatch.setattr(diffusion, "ROWS", 3)
    torch.testing.assert_close(model.sample(7, generator=seeded()), whole)


# Completion


@pytest.mark.parametrize("event", [IMAGE, VECTOR], ids=["image", "vector"])
@pytest.mark.parametrize("conditional", [False, True])
def test_completions_keep_what_is_known(event: Event, conditional: bool) -> None:
    model, (x, _) = small(event, conditional=conditional), examples(event, 5)
    known = torch.rand(5, *event.shape, generator=seeded(1)) < 0.5
    completed = model.complete(x, known, generator=seeded())
    assert completed.dtype == x.dtype and torch.equal(completed[known], x[known])
    assert not torch.equal(completed, x)
    assert not torch.equal(completed, model.complete(x, known, generator=seeded(1)))
    parts = [model.complete(x[i : i + 1], known[i : i + 1], generator=g) for g in [seeded()] for i in range(5)]
    torch.testing.assert_close(torch.cat(parts), completed)
    nothing = torch.zeros(event.shape, dtype=torch.bool)
    torch.testing.assert_close(model.complete(x, nothing, generator=seeded()), model.sample(5, generator=seeded()))
    assert torch.equal(model.complete(x, ~nothing, generator=seeded()), x)
    assert model.completes_exactly(nothing) and model.completes_exactly(~nothing)
    assert not model.completes_exactly(known)


def test_what_is_known_decides_what_is_drawn() -> None:
    """Two numbers that are always equal."""
    model = small(PAIR, timesteps=50)
    states = torch.tensor([[[0, 0]], [[2, 2]]], dtype=torch.uint8)
    model.network = OfStates(model.schedule, model.start(states).double(), torch.tensor([0.5, 0.5]))
    x = states.repeat_interleave(50, 0)
    completed = model.complete(x, torch.tensor([[True, False]]), generator=seeded())
    assert (completed == x).double().mean() > 0.95


def test_unknown_labels_are_drawn_from_what_is_known() -> None:
    event = Event((1, 2), 3, classes=3)
    model = small(event, timesteps=20, conditional=True, least_noise=0.02)
    states = torch.tensor([[[0, 0]], [[1, 1]], [[2, 2]]], dtype=torch.uint8)
    model.network = OfStates(model.schedule, model.start(states).double(), torch.ones(3) / 3)
    x = states.repeat_interleave(20, 0)
    assert torch.equal(model.complete(x, torch.tensor([[True, False]]), generator=seeded()), x)
    told = model.complete(x, torch.tensor([[True, False]]), torch.ones(60, dtype=torch.long), generator=seeded())
    assert (told[:, 0, 1] == 1).all()


# Losses and networks


@pytest.mark.parametrize("prediction", ["epsilon", "v"])
def test_min_snr_weighs_the_error_of_the_origin(prediction: str) -> None:
    model, (x, _) = small(timesteps=50, prediction=prediction), examples(IMAGE, 200)
    x_0, t = model.start(x), 1 + torch.arange(200) % 50
    epsilon = torch.randn(x_0.shape, generator=seeded(), dtype=x_0.dtype)
    x_t = model.schedule.noised(x_0, t, epsilon)
    guess = model.schedule.origin(prediction, model._output(x_t, t, None), x_t, t)
    snr = model.schedule.snr[t].clamp_max(5.0)
    expected = snr * (x_0 - guess).square().flatten(1).mean(1)
    weights = model.schedule.min_snr(prediction, t)
    torch.testing.assert_close(weights * model._errors(x_0, t, epsilon, None), expected, rtol=1e-5, atol=1e-6)


def test_min_snr_is_a_loss() -> None:
    x, _ = examples(IMAGE, 16)
    losses = []
    for loss in ("simple", "min_snr"):
        (player,) = small(loss=loss, timesteps=50).players()
        losses.append(player.loss(Batch(x, None, Noise(seeded(), 16))).item())
    assert losses[0] != losses[1] and all(value > 0 for value in losses)


@pytest.mark.parametrize(("levels", "count"), [(0, 1), (1, 4), (2, 7)])
def test_attention_at_as_many_resolutions_as_are_asked_for(levels: int, count: int) -> None:
    """One in the middle; at each resolution after one block on the way down, and after two on the way up."""
    model = Diffusion(DiffusionConfig(width=8, levels=1, attention_levels=levels), Event((1, 8, 8), 16))
    assert sum(isinstance(module, Attention) for module in model.modules()) == count


def test_the_embedding_scales_and_shifts_features() -> None:
    torch.manual_seed(0)
    block = Block(nn.Conv2d, 8, 8, 4, dropout=0.0)
    nn.init.normal_(block.conv2.weight)
    h, e = torch.randn(1, 8, 4, 4), torch.randn(1, 4)
    nn.init.zeros_(block.scale_shift.weight)
    with torch.no_grad():
        block.scale_shift.bias[:8], block.scale_shift.bias[8:] = -1.0, 0.7
    constant = block.conv2(F.silu(torch.full((1, 8, 4, 4), 0.7)))
    torch.testing.assert_close(block(h, e), h + constant)


# Configuration


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sampler_steps": 1001}, "sampler_steps must be no more than timesteps, 1000"),
        ({"bound_steps": 1001}, "bound_steps must be no more than timesteps, 1000"),
        ({"eta": 0.5}, "eta is for sampler: ddim"),
        ({"label_dropout": 0.1}, "label_dropout needs conditional: true"),
        ({"guidance": 1.0, "conditional": True}, "guidance needs conditional: true and a label_dropout"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiffusionConfig(**options)
