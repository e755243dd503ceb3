"""Diffusion of rows: the noise of names by matrices, the bound by sums over all states, and the joint of both kinds."""

from __future__ import annotations

import math
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn
from torch.distributions import Categorical, kl_divergence

from models import diffusion
from models.columns import Column
from models.contract import Batch, Event
from models.diffusion import Diffusion, DiffusionConfig
from models.diffusion_names import Multinomial
from models.diffusion_schedule import Schedule, betas
from models.layers.tables.named_units import NamedUnits
from models.noise import Noise

from .test_table_rows import EVENT, GAP, rows

P, MEANS, STD = torch.tensor([0.3, 0.7]).double(), torch.tensor([-1.5, 0.6]).double(), 0.2
MIXED = Event((2,), None, classes=2, shares=(0.3, 0.7), columns=(Column(), Column(levels=2, names=True)))
JOINT = torch.tensor([[0.1, 0.3], [0.25, 0.05], [0.1, 0.2]]).double()  # of three names and, beside them, two
TWO = Event((2,), None, columns=(Column(levels=2, names=True, gaps=0.2), Column(levels=2)))
schedules = pytest.mark.parametrize("name", ["linear", "cosine"])


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def small(event: Event = EVENT, jitter: float = 0.2, **options: Any) -> Diffusion:
    torch.manual_seed(0)
    model = Diffusion(DiffusionConfig(**{"timesteps": 6, "hidden": (8,), "prediction": "v", **options}), event)
    for parameter in model.parameters():
        parameter.data.add_(jitter * torch.randn_like(parameter))
    return model.eval()


class Oracle(nn.Module):
    """The best network for a joint distribution that is known."""

    def __init__(self, model: Diffusion) -> None:
        super().__init__()
        self.schedule, self.dtype = model.schedule, nn.Parameter(torch.zeros((), dtype=torch.float64))

    def alpha_bar(self, time: Tensor) -> Tensor:
        return self.schedule.alpha_bar[(time * self.schedule.timesteps).round().long()][:, None]


class OfMixture(Oracle):
    """A name c of probability P_c, and a number y ~ N(μ_c, σ²); of class k it is the k-th name."""

    def forward(self, x_t: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        a, y, c = self.alpha_bar(time), x_t[:, :1], x_t[:, 1:]
        variance = a * STD**2 + 1 - a
        log_p = P.log() if context is None else context.double().clamp_min(1e-9).log()
        logits = log_p - 0.5 * (y - a.sqrt() * MEANS).square() / variance  # what y says of c
        by_name = MEANS + a.sqrt() * STD**2 / variance * (y - a.sqrt() * MEANS)
        seen = (logits + (a * c + (1 - a) / 2).log()).softmax(1)
        x_0 = (seen * by_name).sum(1, keepdim=True)
        epsilon = (y - a.sqrt() * x_0) / (1 - a).sqrt()
        return torch.cat([a.sqrt() * epsilon - (1 - a).sqrt() * x_0, logits], 1)


class OfTwoNames(Oracle):
    """Two columns of the probabilities JOINT: of each, what the noisy other one says."""

    def forward(self, x_t: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        a = self.alpha_bar(time)
        first, second = x_t[:, :3], x_t[:, 3:]
        return torch.cat([((a * second + (1 - a) / 2) @ JOINT.T).log(), ((a * first + (1 - a) / 3) @ JOINT).log()], 1)


class OfOneName(Oracle):
    """One column of three names, of probabilities p; what the network says of it is p, or something else."""

    p = torch.tensor([0.2, 0.7, 0.1]).double()

    def forward(self, x_t: Tensor, time: Tensor, context: Tensor | None) -> Tensor:
        return self.p.log().expand(len(x_t), -1)


def states(*sizes: int) -> Tensor:
    """All combinations of one-hot columns of these sizes (Π K, Σ K)."""
    eyes = [torch.eye(size, dtype=torch.float64) for size in sizes]
    return torch.stack([torch.cat(each) for each in product(*eyes)])


# Names


@schedules
def test_one_step_kernels_compose_to_the_closed_form(name: str) -> None:
    process, Q = Multinomial(Schedule(name, 30), (4,)), torch.eye(4, dtype=torch.float64)
    x = states(4)
    for t, beta in enumerate(betas(name, 30).tolist(), 1):
        Q = Q @ ((1 - beta) * torch.eye(4, dtype=torch.float64) + beta / 4)
        torch.testing.assert_close(process.kept(x, torch.tensor(t), torch.tensor(0)), Q)


@schedules
@pytest.mark.parametrize(("t", "s"), [(30, 29), (30, 12), (7, 6), (2, 1), (1, 0), (20, 0)])
def test_a_step_is_the_posterior_by_bayes_rule(name: str, t: int, s: int) -> None:
    """Of both columns beside each other, and of every x_t and x_0; with guesses that are no names, too."""
    process, kernels = Multinomial(Schedule(name, 30), (4, 2)), []
    for begin, end in ((0, s), (s, t)):
        Q = [torch.eye(size, dtype=torch.float64) for size in (4, 2)]
        for beta in betas(name, 30)[begin:end].tolist():
            Q = [q @ ((1 - beta) * torch.eye(len(q), dtype=torch.float64) + beta / len(q)) for q in Q]
        kernels.append(Q)
    guesses = torch.cat([torch.rand(8, size, generator=seeded(size)).double().softmax(1) for size in (4, 2)], 1)
    x_t = states(4, 2)
    for x_0 in (states(4, 2).flip(0), guesses):
        law, scale = process.step(x_0, x_t, torch.tensor(t), torch.tensor(s), eta=0.0)
        assert scale == 1
        parts = zip(*(each.split((4, 2), 1) for each in (x_0, x_t, law.exp())), *kernels, strict=True)
        for start, end, found, before, after in parts:
            joint = (start @ before) * (end @ after.T)
            torch.testing.assert_close(found, joint / joint.sum(1, keepdim=True), atol=1e-12, rtol=1e-9)


@schedules
def test_costs_are_divergences_and_nothing_is_left_at_the_end(name: str) -> None:
    process = Multinomial(Schedule(name, 1000), (5, 3))
    x_0, x_t = states(5, 3), states(5, 3).flip(0)
    guess = torch.cat([torch.rand(15, size, generator=seeded(size)).double().softmax(1) for size in (5, 3)], 1)
    for t, s in ((1000, 999), (500, 200), (2, 1), (1, 0), (700, 0)):
        steps = torch.tensor(t), torch.tensor(s)
        found = process.cost(x_0, guess, x_t, *steps)
        laws = [process.step(each, x_t, *steps, 1.0)[0].split((5, 3), 1) for each in (x_0, guess)]
        for own, true, believed in zip(found.split((5, 3), 1), *laws, strict=True):
            expected = kl_divergence(Categorical(logits=true), Categorical(logits=believed))
            torch.testing.assert_close(own.sum(1), expected, rtol=1e-6, atol=1e-9)
    left = process.prior(x_0)
    q = process.kept(x_0, torch.tensor(1000), torch.tensor(0)).split((5, 3), 1)
    expected = sum(kl_divergence(Categorical(each), Categorical(torch.ones_like(each))) for each in q)
    torch.testing.assert_close(left, expected)
    assert (left >= 0).all() and (left < 1e-3).all()


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_names_are_drawn_by_their_probabilities_to_the_power_of_one_over_temperature(temperature: float) -> None:
    process, p, n = Multinomial(Schedule("linear", 10), (3,)), torch.tensor([0.2, 0.7, 0.1]), 40_000
    noise = process.noise(torch.randn(n, 3, generator=seeded()).double(), temperature)
    drawn = process.settle(p.log() + noise).mean(0)
    expected = (p.log() / temperature).softmax(0).double()
    assert ((drawn - expected).abs() < 4 * (expected / n).sqrt()).all()


def test_at_temperature_zero_the_likeliest_name_is_drawn_and_the_start_stays_uniform() -> None:
    process, z = Multinomial(Schedule("linear", 10), (3,)), torch.randn(9000, 3, generator=seeded()).double()
    assert (process.settle(torch.tensor([0.3, 0.4, 0.3]).log() + process.noise(z, 0.0))[:, 1] == 1).all()
    assert (process.settle(process.noise(z, 0.0)).mean(0) - 1 / 3).abs().max() < 0.02


def test_noised_names_have_the_frequencies_of_the_forward_process() -> None:
    process, n = Multinomial(Schedule("linear", 20), (4,)), 40_000
    x_0, t = torch.eye(4)[2].expand(n, 4), torch.full((n,), 9)
    found = process.noised(x_0, t, process.noise(torch.randn(n, 4, generator=seeded()))).double().mean(0)
    expected = process.kept(x_0[:1].double(), t[:1], torch.tensor(0))[0]
    assert ((found - expected).abs() < 4 * (expected / n).sqrt()).all()


# The bound


def exact_bound(model: Diffusion, sizes: tuple[int, ...]) -> Tensor:
    """-L of every row of names (Π K,): each term summed over all states x_t, none of it drawn."""
    names, x = Multinomial(model.schedule, sizes), states(*sizes)
    total = model.process.prior(x)
    for t in range(1, model.config.timesteps + 1):
        steps = torch.full((len(x),), t)
        q = names.kept(x, steps, torch.zeros_like(steps))
        for x_t in x:
            state = x_t.expand(len(x), -1)
            parts = zip(q.split(sizes, 1), state.split(sizes, 1), strict=True)
            likely = torch.stack([(own * there).sum(1) for own, there in parts]).prod(0)
            guess = names.origin(model.network(state, steps / model.config.timesteps, None), state, steps, clip=True)
            total = total + likely * names.cost(x, guess, state, steps, steps - 1).sum(1)
    return -total


@schedules
def test_the_bound_of_one_column_is_its_entropy_if_the_network_is_the_best(name: str) -> None:
    """For then each step is the truth; all that is lost is L_T. A network that is wrong loses more."""
    model = small(Event((1,), None, columns=(Column(levels=3, names=True),)), timesteps=30, schedule=name)
    model.network = oracle = OfOneName(model)
    p, oracle.p = OfOneName.p, OfOneName.p
    end = torch.tensor(30)
    marginal = p @ Multinomial(model.schedule, (3,)).kept(states(3), end, torch.zeros_like(end))
    entropy, last = -(p * p.log()).sum(), (marginal * (3 * marginal).log()).sum()
    torch.testing.assert_close(-(p * exact_bound(model, (3,))).sum(), entropy + last, rtol=1e-7, atol=1e-7)
    oracle.p = torch.tensor([0.25, 0.6, 0.15]).double()
    assert -(p * exact_bound(model, (3,))).sum() > entropy + last + 0.005


def test_the_bound_of_two_columns_is_the_sum_over_all_states_and_comes_close_to_the_entropy() -> None:
    """The drawn bound is that of direct sums on average; more and smaller steps lose less."""
    p, x = JOINT.flatten(), torch.tensor(list(product((0.0, 1.0, GAP), (0.0, 1.0))))
    entropy, gaps = -(p * p.log()).sum(), []
    for timesteps in (5, 25, 100):
        model = small(TWO, timesteps=timesteps)
        model.network = OfTwoNames(model)
        exact = exact_bound(model, (3, 2))
        gaps.append((-(p * exact).sum() - entropy).item())
    assert gaps[0] > gaps[1] > gaps[2] > 0 and gaps[2] < 0.02, gaps
    model = small(TWO, timesteps=5)
    model.network = OfTwoNames(model)
    exact, many = exact_bound(model, (3, 2)), x.repeat(2000, 1)
    drawn = model.log_prob(many, generator=seeded()).view(2000, 6)
    assert ((drawn.mean(0) - exact).abs() < 4 * drawn.std(0) / 2000**0.5).all()
    assert exact.exp().sum() < 1


def test_the_bound_of_a_name_and_a_number_comes_close_to_their_entropy() -> None:
    n = 300
    c = (torch.rand(n, generator=seeded()) > P[0]).long()
    y = MEANS[c] + STD * torch.randn(n, generator=seeded(1)).double()
    truth, gaps = P[c].log() - 0.5 * ((y - MEANS[c]) / STD).square() - math.log(STD * math.sqrt(2 * math.pi)), []
    for timesteps in (10, 50, 250):
        model = small(MIXED, timesteps=timesteps, schedule="cosine", least_noise=0.05)
        model.network = OfMixture(model)
        gap = truth - model.log_prob(torch.stack([y, c], 1).float(), generator=seeded())
        gaps.append(gap.mean().item())
        assert gap.mean() > -3 * gap.std() / n**0.5
    assert gaps[0] > gaps[1] > gaps[2] and gaps[2] < 0.25, gaps


def test_the_loss_of_the_bound_is_the_bound_on_average() -> None:
    model = small(TWO, loss="bound")
    x = torch.tensor([[GAP, 1.0]]).expand(12_000, 2)
    loss = model.players()[0].loss(Batch(x, None, Noise(seeded(), len(x)))).item()
    assert loss == pytest.approx(-model.log_prob(x[:2000]).mean().item() / 2, rel=0.05)


def test_the_simple_loss_is_the_error_of_numbers_and_the_bound_of_names() -> None:
    x, t = rows(60), 1 + torch.arange(60) % 6
    model = small()
    process, x_0 = model.process, model.start(x, Noise(seeded(), 60))
    noise = process.noise(torch.randn(60, *process.shape, generator=seeded(1)))
    x_t = process.noised(x_0, t, noise)
    output = model._output(x_t, t, None)
    target = model.schedule.target("v", x_0[:, :2], t, noise[:, :2])
    names = process.cost(x_0, process.origin(output, x_t, t, clip=False), x_t, t, t - 1)[:, 2:].sum(1)
    expected = (output[:, :2] - target).square().mean(1) + 6 * names / 2
    torch.testing.assert_close(model._errors(x_0, t, noise, None), expected)


# States


def test_rows_become_states_and_come_back() -> None:
    units, x = NamedUnits(EVENT), rows(300)
    assert units.sizes == (4, 2) and units.places == [2, 3, 0, 0, 0, 0, 1, 1]
    for noise in (None, Noise(seeded(), 300)):
        y, log_det = units(x, noise)
        assert y.shape == (300, 8) and log_det.shape == (300,)
        torch.testing.assert_close(units.quantise(y), x, equal_nan=True)
        torch.testing.assert_close(y[:, 2:].sum(1), torch.full((300,), 2.0))
    torch.testing.assert_close(units.inverse(units(x)[0])[:, :2], x[:, :2], equal_nan=True)
    gap = x[:, 0].isnan()
    assert gap.any() and torch.equal(y[:, 5] == 1, gap)


@pytest.mark.parametrize("event", [TWO, Event((1,), None, columns=(Column(levels=30),))], ids=["names", "numbers"])
def test_tables_of_one_kind_of_column_are_modelled_too(event: Event) -> None:
    model = small(event)
    x = model.sample(20, generator=seeded())
    assert x.shape == (20, event.dimensions) and model.log_prob(x).isfinite().all()
    model.players()[0].loss(Batch(x, None, Noise(seeded(), 20))).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


@pytest.mark.parametrize("loss", ["simple", "min_snr", "bound"])
def test_losses_are_means_over_rows_and_reach_every_weight(loss: str) -> None:
    model, x = small(loss=loss, dropout=0.3), rows(8)
    (player,) = model.train().players()
    whole = player.loss(Batch(x, None, Noise(seeded(), 8)))
    halves = [player.loss(Batch(x[i : i + 4], None, Noise(seeded(), 4, i, 8))) for i in (0, 4)]
    torch.testing.assert_close(whole, torch.stack(halves).mean())
    whole.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    with torch.autocast("cpu", torch.bfloat16):
        mixed = player.loss(Batch(x, None, Noise(seeded(), 8)))
    assert mixed.item() == pytest.approx(whole.item(), rel=0.05, abs=0.05)


def test_weights_survive_safetensors() -> None:
    model, other = small(), small(jitter=0.7)
    other.load_state_dict(load(save(model.state_dict())))
    drawn = [each.sample(5, generator=seeded()) for each in (model, other)]
    torch.testing.assert_close(*drawn, equal_nan=True, rtol=0, atol=0)


# Samples


@pytest.mark.parametrize("options", [{}, {"sampler": "ddim", "eta": 0.5, "sampler_steps": 3}], ids=["all", "ddim"])
def test_parts_of_a_batch_are_walked_alike(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    event = Event((4,), None, classes=3, columns=EVENT.columns)
    model = small(event, conditional=True, label_dropout=0.1, guidance=1.0, **options)
    whole = model.sample(7, generator=seeded())
    monkeypatch.setattr(diffusion, "ROWS", 3)
    torch.testing.assert_close(model.sample(7, generator=seeded()), whole, equal_nan=True)
    parts = [model.sample(n, generator=g) for g in [seeded()] for n in (1, 4, 2)]
    torch.testing.assert_close(torch.cat(parts), whole, equal_nan=True)


@pytest.mark.parametrize(
    ("sampler", "steps", "width"), [("ancestral", 150, 0.1), ("ddim", 50, 0.1), ("dpm_solver", 50, 0.06)]
)
def test_samples_of_the_best_network_are_those_of_the_data(sampler: Any, steps: int, width: float) -> None:
    """Numbers may go a smooth path while names are drawn: shares, what goes with what, and widths are right."""
    model = small(MIXED, timesteps=1000, schedule="cosine", sampler=sampler, sampler_steps=steps)
    model.network = OfMixture(model)
    x = model.sample(4000, generator=seeded())
    assert (x[:, 1] == 0).double().mean().item() == pytest.approx(0.3, abs=0.03)
    assert ((x[:, 0] < -0.45) == (x[:, 1] == 0)).double().mean() > 0.999
    for name in (0, 1):
        y = x[x[:, 1] == name, 0].double()
        assert y.mean().item() == pytest.approx(MEANS[name].item(), abs=0.02)
        assert y.std().item() / STD == pytest.approx(1, abs=width)


def test_names_of_few_steps_have_the_frequencies_of_many() -> None:
    """A single column's step is exact, however long it is."""
    event = Event((1,), None, columns=(Column(levels=3, names=True),))
    for steps in (1, 3, 30):
        model = small(event, timesteps=30, sampler_steps=steps)
        model.network = OfOneName(model)
        x = model.sample(20_000, generator=seeded())[:, 0]
        found = torch.stack([(x == name).double().mean() for name in range(3)])
        assert ((found - OfOneName.p).abs() < 4 * (OfOneName.p / len(x)).sqrt() + 1e-3).all()


def test_guidance_raises_probabilities_of_names_to_a_power() -> None:
    event = Event((4,), None, classes=3, columns=EVENT.columns)
    model = small(event, conditional=True, label_dropout=0.1, guidance=1.5)
    x, t, context = model.start(rows(3)), torch.tensor([1, 3, 6]), torch.eye(3)
    guided, plain = (model.process.origin(each, x, t, clip=True)[:, 2:6] for each in model._guided(x, t, context))
    anything = model.process.origin(model._output(x, t, 0 * context), x, t, clip=True)[:, 2:6]
    powers = plain**2.5 / anything**1.5
    torch.testing.assert_close(guided, powers / powers.sum(1, keepdim=True))


def test_the_joint_distribution_is_learnt() -> None:
    """What the second column is decides about all others, gaps among them."""
    x, steps = rows(4000), 600
    model = small(timesteps=100, hidden=(64, 64), sampler_steps=25, jitter=0.0).train()
    optimiser, generator = torch.optim.Adam(model.parameters(), 5e-3), seeded()
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, steps)
    (player,) = model.players()
    for _ in range(steps):
        batch = x[torch.randint(len(x), (256,), generator=generator)]
        optimiser.zero_grad()
        player.loss(Batch(batch, None, Noise(generator, 256))).backward()
        optimiser.step()
        schedule.step()
    model.eval()
    with torch.no_grad():
        made = model.sample(4000, generator=seeded(2))
    for few in (0, 1):
        real, fake = (each[each[:, 1] == few] for each in (x, made))
        assert len(fake) / len(made) == pytest.approx(len(real) / len(x), abs=0.05)
        for column, value in ((0, 1.0), (0, GAP), (2, 0.0), (3, GAP)):
            at = -1.0 if math.isnan(value) else value
            own, found = ((each[:, column].nan_to_num(-1) == at).double().mean() for each in (real, fake))
            assert (own - found).abs() < 0.1, (few, column, value, own, found)


# Completion


@pytest.mark.parametrize("conditional", [False, True])
def test_completions_keep_what_is_known_and_see_nothing_of_what_is_not(conditional: bool) -> None:
    event = Event((4,), None, classes=3, columns=EVENT.columns)
    model, x = small(event, conditional=conditional), rows(40)
    known = torch.rand(40, 4, generator=seeded(1)) < 0.5
    assert (x.isnan() & known)[:, (0, 3)].any(0).all()  # there are gaps that are known
    completed = model.complete(x, known, generator=seeded())
    assert torch.equal(completed[known].nan_to_num(-1), x[known].nan_to_num(-1))
    for other in (math.nan, 1.0):
        again = model.complete(torch.where(known, x, other), known, generator=seeded())
        torch.testing.assert_close(again, completed, equal_nan=True)
    parts = [model.complete(x[i : i + 1], known[i : i + 1], generator=g) for g in [seeded()] for i in range(40)]
    torch.testing.assert_close(torch.cat(parts), completed, equal_nan=True)
    nothing = torch.zeros(4, dtype=torch.bool)
    drawn = model.sample(40, generator=seeded())
    torch.testing.assert_close(model.complete(x, nothing, generator=seeded()), drawn, equal_nan=True)


def test_what_is_known_decides_what_is_drawn() -> None:
    model = small(MIXED, timesteps=80, schedule="cosine")
    model.network = OfMixture(model)
    c = torch.arange(80) % 2
    x = torch.stack([MEANS[c].float(), c.float()], 1)
    names = model.complete(x, torch.tensor([True, False]), generator=seeded())
    assert (names[:, 1] == c).double().mean() > 0.95
    numbers = model.complete(x, torch.tensor([False, True]), generator=seeded())
    assert ((numbers[:, 0] < -0.45) == (c == 0)).double().mean() > 0.95
    assert numbers[c == 1, 0].std().item() == pytest.approx(STD, rel=0.4)


def test_unknown_labels_are_drawn_from_what_is_known() -> None:
    model = small(MIXED, timesteps=40, schedule="cosine", conditional=True)
    model.network = OfMixture(model)
    c = torch.arange(40) % 2
    x = torch.stack([MEANS[c].float(), c.float()], 1)
    completed = model.complete(x, torch.tensor([False, True]), generator=seeded())
    assert ((completed[:, 0] < -0.45) == (c == 0)).all()
    told = model.complete(x, torch.tensor([False, False]), torch.zeros(40, dtype=torch.long), generator=seeded())
    assert (told[:, 1] == 0).all() and (told[:, 0] < -0.45).all()


def test_steps_of_a_short_walk_are_those_of_its_grid() -> None:
    """Between any s < t the posterior is drawn from: marginals of a long walk and of a short one agree at each s."""
    process, p = Multinomial(Schedule("linear", 60), (3,)), OfOneName.p
    law = torch.ones(3, dtype=torch.float64) / 3
    for t, s in pairwise(process.schedule.grid(6)):
        step, _ = process.step(p.expand(3, -1), states(3), torch.tensor(t), torch.tensor(s), 1.0)
        law = law @ step.exp()
        expected = p @ process.kept(states(3), torch.tensor(s), torch.tensor(0))
        torch.testing.assert_close(law, expected, atol=1e-4, rtol=0)
