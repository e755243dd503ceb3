"""Mixtures of products of columns: exact on rows of tables, in their likelihood, their fit and their completions."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import pytest
import torch
from torch import Tensor

from models.catalogue import build, family_class
from models.columns import Column
from models.contract import Batch, Event, UnsuitableEvent
from models.distillation import Distillation
from models.gmm import GMM, GMMConfig
from models.noise import Noise

from .test_table_rows import EVENT, FEW, GAP, HEAVY, MANY, NAMES, REAL, rows, total_probability

COUNTS = Column(
    mean=9.0, std=6.0, levels=25, gaps=0.25, distribution=((0.0, 0.0), (5.0, 0.4), (12.0, 0.7), (25.0, 1.0))
)
DISCRETE = Event((3,), None, 3, shares=(0.5, 0.3, 0.2), columns=(NAMES, FEW, COUNTS))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(event: Event = EVENT, jitter: float = 1.0, **options: Any) -> GMM:
    """A mixture with weights of chance, in float64."""
    torch.manual_seed(0)
    model = GMM(GMMConfig(**{"components": 3, "covariance": "diagonal", **options}), event).double().eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(jitter * torch.randn(weight.shape, generator=seeded(weight.numel())))
    return model


def every_row(event: Event) -> Tensor:
    """All rows of an event of names and integers."""
    values = [[*range(column.levels or 0), *([GAP] if column.gaps else [])] for column in event.columns or ()]
    return torch.tensor(list(product(*values)), dtype=torch.float64)


def fit(model: GMM, x: Tensor, steps: int, labels: Tensor | None = None, batch_size: int | None = None) -> GMM:
    """The model after steps of its own kind."""
    model.initialise(x, labels, seeded())
    (player,) = model.players()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for step in range(steps):
        some = slice(None) if batch_size is None else torch.randperm(len(x), generator=seeded(step))[:batch_size]
        batch = Batch(x[some], None if labels is None else labels[some], Noise(seeded(), len(x[some])))
        if player.closed_form is not None:
            player.closed_form(batch)
        else:
            optimiser.zero_grad()
            player.loss(batch).backward()
            optimiser.step()
    return model


@torch.no_grad()
def mean_log_prob(model: GMM, x: Tensor, labels: Tensor | None = None) -> float:
    return model.log_prob(x, labels).double().mean().item()


def prior(model: GMM) -> float:
    """What EM raises beside the mean log-likelihood."""
    assert model.columns is not None
    return model.columns.log_prior().item()


# The likelihood


@torch.no_grad()
def test_rows_sum_and_integrate_to_one() -> None:
    model = mixture()
    assert model.bound is None and model.draws_of(8) == 1
    assert total_probability(model, 1) == pytest.approx(1, abs=1e-6)
    assert mixture(DISCRETE).log_prob(every_row(DISCRETE)).exp().sum().item() == pytest.approx(1, abs=1e-12)


@torch.no_grad()
def test_a_density_on_a_bent_scale_integrates_to_one_in_the_units_of_the_data() -> None:
    model = mixture(Event((1,), None, columns=(HEAVY,)), jitter=0.3)
    t = (
        torch.arange(-3000, 3000, 0.02, dtype=torch.float64)[:, None] + 0.01
    )  # middles: the slope jumps at whole numbers
    assert (model.log_prob(t).exp().sum() * 0.02).item() == pytest.approx(1, abs=1e-4)


@torch.no_grad()
def test_what_no_column_can_hold_is_impossible() -> None:
    model = mixture()
    fine = torch.tensor([2.0, 1.0, 29.0, 0.3], dtype=torch.float64)
    assert model.log_prob(fine[None]).isfinite().all()
    for column, value in ((0, 3.0), (1, 2.0), (1, GAP), (2, GAP)):
        row = fine.clone()
        row[column] = value
        assert model.log_prob(row[None]).item() == -math.inf


@torch.no_grad()
def test_names_of_many_levels_start_with_the_shares_of_their_distribution() -> None:
    """A distribution that is known at some points says of each level what lies between its ends."""
    wide = Column(levels=90, names=True, gaps=0.1, distribution=((0.0, 0.0), (1.0, 0.5), (11.0, 0.9), (90.0, 1.0)))
    model = GMM(GMMConfig(components=2, covariance="diagonal"), Event((1,), None, columns=(wide,)))
    p = model.log_prob(torch.tensor([[0.0], [1.0], [10.0], [89.0], [GAP]])).exp()
    torch.testing.assert_close(p, torch.tensor([0.45, 0.036, 0.036, 0.09 / 79, 0.1]))


@pytest.mark.parametrize("far", [3.0, 40.0, 4000.0])
def test_gradients_hold_in_the_tails(far: float) -> None:
    """Of means and scales far away from all rows, against differences; of the rows' own numbers against autograd."""
    event = Event((3,), None, columns=(MANY, REAL, NAMES))
    model = mixture(event, jitter=0.1, components=2)
    assert model.columns is not None
    x = torch.tensor([[0.0, 1.0, 0.0], [29.0, -far, 2.0], [7.0, GAP, GAP]], dtype=torch.float64)
    with torch.no_grad():
        model.columns.numbers.means[0] += far / 10
        model.columns.numbers.log_scale[1] -= 1.0
    parameters = list(model.parameters())
    loss = model.log_prob(x).sum()
    gradients = torch.autograd.grad(loss, parameters)
    for parameter, gradient in zip(parameters, gradients, strict=True):
        assert gradient.isfinite().all()
        for place in range(parameter.numel()):
            ends = []
            for step in (-1e-6, 1e-6):
                with torch.no_grad():
                    parameter.view(-1)[place] += step
                    ends.append(model.log_prob(x).sum().item())
                    parameter.view(-1)[place] -= step
            expected = (ends[1] - ends[0]) / 2e-6
            assert gradient.flatten()[place].item() == pytest.approx(
                expected, rel=1e-4, abs=1e-4 + 1e-9 * abs(loss.item())
            )


# Samples


@torch.no_grad()
@pytest.mark.parametrize("conditional", [False, True])
def test_samples_have_the_frequencies_that_log_prob_says(conditional: bool) -> None:
    model, every, n = mixture(DISCRETE, conditional=conditional), every_row(DISCRETE), 40_000
    x = model.sample(n, generator=seeded())
    assert x.dtype == torch.float32
    p = model.log_prob(every).exp()
    assert 0.5 * (frequencies(x, every) - p).abs().sum() < 0.5 * (p * (1 - p) / n).sqrt().sum() * 1.2


def frequencies(x: Tensor, every: Tensor) -> Tensor:
    """How often each of all rows is there."""
    code = torch.tensor([1000.0, 100.0, 1.0], dtype=torch.float64)
    codes = torch.where(every.isnan(), 50.0, every) @ code
    mine = torch.where(x.isnan(), 50.0, x).double() @ code
    found = torch.searchsorted(codes.sort().values, mine)
    counted = torch.bincount(found, minlength=len(codes)).double() / len(x)
    made = torch.zeros_like(counted)
    made[codes.argsort()] = counted
    return made


@torch.no_grad()
def test_numbers_have_the_moments_of_their_gaussians() -> None:
    event = Event((1,), None, columns=(Column(mean=1.0, std=2.0, gaps=0.5),))
    model = mixture(event, components=2)
    assert model.columns is not None
    x = model.sample(60_000, generator=seeded())[:, 0].double()
    there = x[~x.isnan()]
    grid = torch.linspace(-40, 40, 80_001, dtype=torch.float64)
    p = model.log_prob(grid[:, None]).exp() * 1e-3
    assert (x.isnan().double().mean() - model.log_prob(torch.tensor([[GAP]]).double()).exp()).abs() < 0.01
    mean = (p * grid).sum() / p.sum()
    assert there.mean().item() == pytest.approx(mean.item(), abs=0.03)
    assert there.var().item() == pytest.approx(((p * (grid - mean).square()).sum() / p.sum()).item(), rel=0.03)


@torch.no_grad()
def test_at_temperature_zero_a_component_has_one_row() -> None:
    model = mixture()
    x = model.sample(500, temperature=0.0, generator=seeded())
    assert len(torch.unique(x.nan_to_num(-1), dim=0)) <= 3


# The fit


@pytest.mark.parametrize("pseudo", [1e-3, 1e-300])
def test_em_never_lowers_what_it_raises(pseudo: float) -> None:
    """The likelihood, exactly, where the prior is worth nothing; else the likelihood and the prior together."""
    event = Event((6,), None, columns=(NAMES, FEW, MANY, REAL, COUNTS, HEAVY))
    x = torch.cat([rows(500), rows(500)[:, 2:3].clamp_max(24), rows(500)[:, 2:3] * 3 - rows(500)[:, 1:2]], 1)
    x[::4, 4] = GAP
    model = mixture(event, components=4, pseudo_examples=pseudo, variance_floor=1e-3)
    (player,) = model.players()
    assert player.closed_form is not None
    trace = []
    for _ in range(31):
        with torch.no_grad():
            trace.append(mean_log_prob(model, x) + prior(model))
        player.closed_form(Batch(x, None, Noise(seeded(), len(x))))
    assert all(after >= before - 1e-10 for before, after in pairwise(trace))
    assert trace[-1] > trace[0] + 1


def test_one_component_finds_the_shares_and_the_normal_of_each_scale() -> None:
    """The maximum of the likelihood is known in closed form for what is not in bins."""
    x = rows(3000)
    model = fit(GMM(GMMConfig(components=1, covariance="diagonal", pseudo_examples=1e-9), EVENT), x, 2)
    real = x[:, 3][~x[:, 3].isnan()].double()
    p = model.log_prob(torch.tensor([[1.0, 0.0, 0.0, GAP], [1.0, 1.0, 0.0, GAP]])).exp()
    assert (p[1] / p[0]).item() == pytest.approx(((x[:, 1] == 1).sum() / (x[:, 1] == 0).sum()).item(), rel=1e-4)
    assert model.columns is not None
    place = 1  # of the real column among the numbers
    mean, std = model.columns.numbers.means[0, place].item(), model.columns.numbers.log_scale[0, place].exp().item()
    assert mean == pytest.approx(((real - 1) / 2).mean().item(), abs=1e-5)
    assert std == pytest.approx((real / 2).std(correction=0).item(), rel=1e-5)


@pytest.mark.parametrize("how", ["em", "stepwise", "gradient"])
def test_a_known_mixture_is_found_again(how: str) -> None:
    options = {"em": {}, "stepwise": {"step_decay": 0.6}, "gradient": {"fit": "gradient"}}[how]
    event = Event((4,), None, columns=(NAMES, FEW, COUNTS, REAL))
    truth = mixture(event, components=2)
    assert truth.columns is not None
    with torch.no_grad():
        truth.logits.copy_(torch.tensor([[0.7, 0.3]]).log())
        truth.columns.numbers.means.copy_(torch.tensor([[-1.0, -1.5], [1.0, 1.5]]))
        truth.columns.numbers.log_scale.copy_(torch.tensor([[0.5, 0.4], [0.3, 0.8]]).log())
        x, unseen = truth.sample(4000, generator=seeded(5)), truth.sample(3000, generator=seeded(6))
    steps, batch_size = (40, None) if how == "em" else (120, 1000)
    model = fit(GMM(GMMConfig(components=2, covariance="diagonal", **options), event), x, steps, batch_size=batch_size)
    assert mean_log_prob(model, unseen) == pytest.approx(mean_log_prob(truth, unseen.double()), abs=0.01)
    assert model.columns is not None
    order = model.columns.numbers.means[:, 1].argsort()
    found, true = model.columns.numbers, truth.columns.numbers
    torch.testing.assert_close(found.means[order].double(), true.means, atol=0.06, rtol=0)
    torch.testing.assert_close(found.log_scale[order].exp().double(), true.log_scale.exp(), atol=0.06, rtol=0)
    assert model.logits.softmax(1)[0, order].tolist() == pytest.approx([0.7, 0.3], abs=0.03)


def test_what_a_component_has_never_seen_is_rare_and_not_impossible() -> None:
    x = torch.tensor([[0.0, 0.0], [1.0, 1.0]]).repeat(50, 1)  # never a 2, and no gap
    event = Event((2,), None, columns=(NAMES, FEW))
    model = fit(GMM(GMMConfig(components=1, covariance="diagonal", pseudo_examples=0.01), event), x, 2)
    p = model.log_prob(torch.tensor([[2.0, 0.0], [GAP, 0.0]])).exp()
    assert p.tolist() == pytest.approx([0.5 * 0.01 * 0.18 / 1.01, 0.5 * 0.01 * 0.1 / 1.01], rel=1e-4)


def test_stepwise_em_comes_close_to_em_on_all() -> None:
    x = rows(1500)
    whole = fit(GMM(GMMConfig(components=3, covariance="diagonal"), EVENT), x, 60)
    some = fit(GMM(GMMConfig(components=3, covariance="diagonal", step_decay=0.6), EVENT), x, 100, batch_size=300)
    assert mean_log_prob(some, x) == pytest.approx(mean_log_prob(whole, x), abs=0.02)


def test_a_component_without_examples_is_no_failure() -> None:
    x = torch.tensor([[0.0, 0.0, 3.0, GAP], [1.0, 1.0, 4.0, 2.0]]).repeat(20, 1)
    model = fit(GMM(GMMConfig(components=6, covariance="diagonal"), EVENT), x, 3)
    assert model.log_prob(rows(50)).isfinite().all() and model.sample(50, generator=seeded()).shape == (50, 4)


@pytest.mark.parametrize(
    "columns", [(NAMES,), (FEW, FEW), (MANY,), (REAL, HEAVY), (COUNTS,)], ids=["names", "few", "many", "real", "gaps"]
)
def test_tables_of_one_kind_of_column(columns: tuple[Column, ...]) -> None:
    event = Event((len(columns),), None, columns=columns)
    with torch.no_grad():
        x = mixture(event).sample(200, generator=seeded())
    model = fit(GMM(GMMConfig(components=2, covariance="diagonal"), event), x, 3)
    assert model.log_prob(x).isfinite().all() and model.sample(5, generator=seeded()).shape == x[:5].shape
    model.complete(x, torch.rand(x.shape, generator=seeded()) < 0.5, generator=seeded())


def test_labels_have_weights_of_their_own() -> None:
    event = replace(EVENT, classes=2, shares=(0.5, 0.5))
    x = rows(3000)
    labels = x[:, 1].long()  # which decides about all others
    model = GMM(GMMConfig(components=4, covariance="diagonal", conditional=True), event)
    fit(model, x, 40, labels)
    known = torch.tensor([True, False, True, True])
    by_class = torch.stack([model.log_prob(x, torch.full((len(x),), label)) for label in range(2)], 1)
    assert (by_class.argmax(1) == labels).double().mean() > 0.99
    torch.testing.assert_close(model.log_prob(x), (by_class.logsumexp(1) - math.log(2)))
    made = model.complete(x, known, labels, generator=seeded())
    assert (made[:, 1].long() == labels).double().mean() > 0.99
    drawn = model.sample(1000, torch.ones(1000, dtype=torch.long), generator=seeded())
    assert (drawn[:, 1] == 1).double().mean() > 0.99


# Completions


@torch.no_grad()
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize("known", [[True, False, False], [False, True, True], [False, False, True]])
def test_the_missing_is_drawn_given_the_known(known: list[bool], conditional: bool) -> None:
    """Frequencies of p(missing | known) = p(x) / p(known), by all rows that there are; the labels unknown."""
    model, every, n = mixture(DISCRETE, conditional=conditional, components=4), every_row(DISCRETE), 20_000
    mask, given = torch.tensor(known), torch.tensor([GAP, 1.0, 7.0], dtype=torch.float64)
    assert model.completes_exactly(mask)
    agree = ((every == given) | (every.isnan() & given.isnan()))[:, mask].all(1)
    p = torch.where(agree, model.log_prob(every).exp(), 0.0)
    p = p / p.sum()
    x = given.float().expand(n, -1)
    completed = model.complete(x, mask, generator=seeded())
    assert torch.equal(completed[:, mask].nan_to_num(-1), x[:, mask].nan_to_num(-1))
    assert 0.5 * (frequencies(completed, every) - p).abs().sum() < 0.5 * (p * (1 - p) / n).sqrt().sum() * 1.25


@torch.no_grad()
def test_a_known_real_number_weighs_the_components_by_its_density() -> None:
    model, n = mixture(components=2), 20_000
    x = torch.tensor([1.0, 0.0, 3.0, 0.4]).expand(n, -1)
    completed = model.complete(x, torch.tensor([False, True, True, True]), generator=seeded())
    every = torch.tensor([0.0, 1.0, 2.0, GAP])[:, None]
    p = model.log_prob(torch.cat([every, x[:4, 1:]], 1)).exp()
    p = p / p.sum()
    seen = torch.stack(
        [((completed[:, 0] == v) | (completed[:, 0].isnan() & v.isnan())).double().mean() for v in every]
    )
    torch.testing.assert_close(seen, p, atol=0.015, rtol=0)


# As a family


def test_students_cannot_learn_from_what_has_no_density_of_real_units() -> None:
    student = build("iaf", family_class("iaf").Config(blocks=1, hidden=(8,)), EVENT)
    with pytest.raises(UnsuitableEvent, match="of a table a gmm can teach with covariance: full or low_rank"):
        Distillation(student, mixture())
    Distillation(student, build("gmm", GMMConfig(components=2, covariance="low_rank"), EVENT))


def test_full_and_low_rank_are_bounds_on_tables() -> None:
    for covariance in ("full", "low_rank"):
        model = GMM(GMMConfig(components=2, covariance=covariance, rank=2), EVENT)
        assert model.bound == "dequantised" and model.columns is None
