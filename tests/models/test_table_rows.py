"""Rows of a table: names, integers, real numbers and gaps, as exact probabilities, as bounds, and as samples."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, replace
from itertools import product
from typing import Any

import pytest
import torch
from torch import Tensor

from models.catalogue import build, family_class
from models.columns import Column
from models.contract import Batch, Completion, Density, Event, Family, Latent
from models.layers.bins import log_gaussian_interval
from models.layers.tables.column_outputs import Names, Numbers
from models.layers.tables.marginals import Marginals
from models.layers.tables.table_numbers import TableNumbers
from models.layers.tables.table_units import TableUnits
from models.noise import Noise

GAP = math.nan


def shares(*each: float) -> tuple[tuple[float, float], ...]:
    """The distribution of names or levels with these shares."""
    below = [0.0]
    for share in each:
        below.append(below[-1] + share)
    return tuple((float(at), min(share, 1.0)) for at, share in enumerate(below))


NAMES = Column(levels=3, names=True, gaps=0.1, distribution=shares(0.5, 0.3, 0.2))
FEW = Column(mean=0.5, std=0.5, levels=2, distribution=shares(0.5, 0.5))
MANY = Column(mean=3.0, std=5.0, levels=30, distribution=((0.0, 0.0), (1.0, 0.6), (10.0, 0.9), (30.0, 1.0)))
REAL = Column(mean=1.0, std=2.0, gaps=0.2)
HEAVY = Column(mean=0.0, std=9.0, distribution=((-40.0, 0.01), (-1.0, 0.25), (1.0, 0.75), (40.0, 0.99)))
EVENT = Event((4,), None, columns=(NAMES, FEW, MANY, REAL))
ATOMS = replace(MANY, atoms=((0.0, 0.6), (7.0, 0.05), (29.0, 0.02)))
WITH_ATOMS = Event((4,), None, columns=(NAMES, FEW, ATOMS, REAL))
GAPS_AND_ATOMS = replace(ATOMS, gaps=0.3)
EVENTS = pytest.mark.parametrize("event", [EVENT, WITH_ATOMS], ids=["smooth", "atoms"])
SMALL: dict[str, dict[str, Any]] = {
    "made": {"hidden": [32], "components": 3},
    "vae": {"hidden": [16], "latent": 2, "importance_samples": 2},
    "gmm": {"components": 3, "covariance": "diagonal"},
    "maf": {"blocks": 1, "hidden": [16]},
    "iaf": {"blocks": 1, "hidden": [16]},
    "nice": {"hidden": [16]},
    "realnvp": {"hidden": [16]},
    "glow": {"depth": 1, "hidden": [16]},
    "nsf": {"hidden": [16]},
    "diffusion": {"timesteps": 10, "hidden": [16], "prediction": "v"},
}


def small(name: str, event: Event = EVENT) -> Any:
    """A small model of a family, with weights of chance."""
    torch.manual_seed(0)
    allowed = family_class(name).Config.__dataclass_fields__
    values = {key: value for key, value in SMALL[name].items() if key in allowed}
    model = build(name, family_class(name).Config(**values), event)
    model.initialise(rows(400), None, torch.Generator().manual_seed(0))
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(len(weight.shape))))
    return model.eval()


def rows(n: int) -> Tensor:
    """Rows of a joint distribution that is known: what the second column is decides about all others."""
    u = torch.rand(n, 6, generator=torch.Generator().manual_seed(3))
    few = (u[:, 0] < 0.5).float()
    names = torch.where(few > 0, (u[:, 1] < 0.8) * 1.0, 1 + (u[:, 1] < 0.4) * 1.0)
    names = torch.where(u[:, 2] < 0.1, GAP, names)
    many = torch.where(few > 0, (u[:, 3] * 30).floor(), 0.0)
    real = torch.where(u[:, 4] < 0.4 * few, GAP, 1 + 2 * torch.special.ndtri(u[:, 5].clamp(1e-4, 1 - 1e-4)))
    return torch.stack([names, few, many, real], 1)


def test_an_event_with_typed_columns_is_a_table() -> None:
    assert EVENT.kind == "table"
    assert Event((2,), None, columns=(Column(), Column(mean=3.0))).kind == "vector"


def test_families_that_cannot_model_rows_say_which_can() -> None:
    for name in ("progressive_gan", "wavenet", "pixelcnn", "autoencoder"):
        assert (reason := family_class(name).refusal(EVENT)) is not None and "table" in reason


@pytest.mark.parametrize("column", [NAMES, FEW, MANY, REAL, HEAVY])
def test_marginals_invert_and_their_slope_is_that_of_autograd(column: Column) -> None:
    marginals = Marginals([column])
    low, high = (0.0, float(column.levels)) if column.levels else (-90.0, 90.0)
    t = torch.linspace(low, high, 203, dtype=torch.float64)[1:-1, None].requires_grad_()
    y, log_slope = marginals(t)
    (slope,) = torch.autograd.grad(y.sum(), t)
    assert torch.allclose(log_slope, slope.log(), atol=1e-9)
    assert torch.allclose(marginals.inverse(y), t, atol=1e-6)
    assert (y.diff(dim=0) > 0).all()


def test_units_are_undone() -> None:
    units, x = TableUnits(EVENT), rows(500)
    for noise in (None, Noise(torch.Generator().manual_seed(0), 500)):
        y, _ = units(x, noise)
        assert torch.allclose(units.quantise(y), x, atol=1e-5, equal_nan=True)


def test_columns_that_are_independent_become_standard_normal() -> None:
    """Names, integers and gaps drawn by their shares: nothing is left for the density to learn."""
    n = 20_000
    u = torch.rand(n, 2, generator=torch.Generator().manual_seed(0))
    names = torch.where(u[:, 0] < 0.1, GAP, (u[:, 1] > 0.5).float() + (u[:, 1] > 0.8).float())
    units = TableUnits(Event((1,), None, columns=(NAMES,)))
    y, log_det = units(names[:, None], Noise(torch.Generator().manual_seed(1), n))
    assert abs(y.mean()) < 0.03 and abs(y.std() - 1) < 0.03
    log_p = -0.5 * y[:, 0].square() - 0.5 * math.log(2 * math.pi) + log_det
    for value, share in ((0.0, 0.45), (1.0, 0.27), (2.0, 0.18), (GAP, 0.1)):
        mine = names.isnan() if math.isnan(value) else names == value
        assert log_p[mine].exp() == pytest.approx(share, rel=1e-5)


def total_probability(model: Any, draws: int) -> float:
    """The sum over names, integers and gaps of the integral over the real column."""
    grid = torch.linspace(-60, 60, 1201)
    total = 0.0
    for name, few in product((0, 1, 2, GAP), (0, 1)):
        many = torch.arange(30.0)
        without = torch.stack([torch.full((30,), name), torch.full((30,), few), many, torch.full((30,), GAP)], 1)
        total += model.log_prob(without, draws=draws).double().exp().sum().item()
        for value in many.tolist():
            x = torch.stack([torch.full_like(grid, each) for each in (name, few, value)] + [grid], 1)
            total += model.log_prob(x, draws=draws).double().exp().sum().item() * (120 / 1200)
    return total


@torch.no_grad()
@EVENTS
@pytest.mark.parametrize("name", ["made", "gmm"])
def test_exact_families_have_rows_that_sum_and_integrate_to_one(name: str, event: Event) -> None:
    model = small(name, event)
    assert model.bound is None
    assert total_probability(model, 1) == pytest.approx(1, abs=2e-4)


@torch.no_grad()
@pytest.mark.parametrize("name", ["maf"])
def test_the_mean_over_noise_of_a_bound_sums_and_integrates_to_one(name: str) -> None:
    model = small(name)
    assert model.bound == "dequantised" and model.unbiased
    assert total_probability(model, 16) == pytest.approx(1, abs=0.05)


@torch.no_grad()
@EVENTS
@pytest.mark.parametrize("name", ["made", "gmm"])
def test_exact_families_sample_by_their_own_probabilities(name: str, event: Event) -> None:
    model = small(name, event)
    x = model.sample(20_000, generator=torch.Generator().manual_seed(0))
    probe = torch.tensor([[GAP, 1.0, 0.0, GAP], [1.0, 0.0, 0.0, GAP], [0.0, 1.0, 3.0, GAP], [0.0, 1.0, 7.0, GAP]])
    for row, log_p in zip(probe, model.log_prob(probe), strict=True):
        found = ((x == row) | (x.isnan() & row.isnan())).all(1).double().mean().item()
        expected = log_p.exp().item()
        assert found == pytest.approx(expected, abs=4 * math.sqrt(expected / len(x)))


@torch.no_grad()
@EVENTS
def test_made_goes_on_as_whole_passes_do(event: Event) -> None:
    model = small("made", event)
    x = model.sample(200, generator=torch.Generator().manual_seed(0))
    model.stepper = model.plain_stepper
    again = model.sample(200, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(again, x, atol=1e-4, equal_nan=True)


@torch.no_grad()
@EVENTS
@pytest.mark.parametrize("name", sorted(SMALL))
def test_every_family_draws_values_that_the_types_allow_and_scores_them(name: str, event: Event) -> None:
    model: Family = small(name, event)
    x = model.sample(300, generator=torch.Generator().manual_seed(1))
    assert x.shape == (300, 4) and x.dtype == torch.float32
    for column, values in zip(EVENT.columns or (), x.T, strict=True):
        there = values[~values.isnan()]
        assert column.gaps or len(there) == len(values)
        if column.levels is not None:
            assert (there == there.floor()).all() and there.min() >= 0 and there.max() < column.levels
    assert isinstance(model, Density) and model.log_prob(x).isfinite().all()
    if isinstance(model, Latent):
        assert model.decode(model.encode(x)).shape == x.shape
    parts = torch.cat([model.sample(n, generator=g) for g in [torch.Generator().manual_seed(1)] for n in (1, 2)])
    assert torch.allclose(parts, x[:3], atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("name", ["made", "vae"])
def test_the_joint_distribution_is_learnt(name: str) -> None:
    """All others depend on the second column: the trained model knows, and its gaps are where those of the data are."""
    x, model = rows(4000), small(name)
    model.train()
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    generator = torch.Generator().manual_seed(0)
    for step in range(300):
        batch = x[torch.randint(len(x), (256,), generator=generator)]
        (player,) = model.players()
        loss = player.loss(Batch(batch, None, Noise(generator, 256), torch.tensor(step)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    with torch.no_grad():
        made = model.sample(4000, generator=torch.Generator().manual_seed(2))
    for few in (0, 1):
        real, fake = (each[each[:, 1] == few] for each in (x, made))
        assert len(fake) / len(made) == pytest.approx(len(real) / len(x), abs=0.05)
        assert (fake[:, 3].isnan().double().mean() - real[:, 3].isnan().double().mean()).abs() < 0.1
        assert ((fake[:, 0] == 1).double().mean() - (real[:, 0] == 1).double().mean()).abs() < 0.1
        assert ((fake[:, 2] == 0).double().mean() - (real[:, 2] == 0).double().mean()).abs() < 0.1


@torch.no_grad()
@EVENTS
def test_made_completes_rows_exactly_in_its_order(event: Event) -> None:
    model = small("made", event)
    assert isinstance(model, Completion)
    x, known = rows(50), torch.tensor([True, True, False, False])
    made = model.complete(x, known, generator=torch.Generator().manual_seed(0))
    assert model.completes_exactly(known)
    assert torch.equal(made[:, :2].nan_to_num(-1), x[:, :2].nan_to_num(-1))
    assert made[:, 2].isfinite().all()


def test_networks_see_a_name_as_one_place_and_a_gap_as_another() -> None:
    seen = TableNumbers(EVENT).numbers(torch.tensor([[GAP, 1.0, 0.0, 1.0], [2.0, 0.0, 5.0, GAP]]))
    assert seen.shape == (2, 4 + 1 + 1 + 2)
    assert seen[0, :4].tolist() == [0, 0, 0, 1] and seen[1, :4].tolist() == [0, 0, 1, 0]
    assert seen[0, 6:].tolist() == [0, 0] and seen[1, 6:].tolist() == [0, 1]


def test_even_blocks_hold_the_same_numbers() -> None:
    x = rows(20)
    own, even = TableNumbers(EVENT), TableNumbers(EVENT, even=True)
    blocks = even.numbers(x).unflatten(1, (4, -1))
    assert torch.equal(
        torch.cat([blocks[:, 0], blocks[:, 1, :1], blocks[:, 2, :1], blocks[:, 3, :2]], 1), own.numbers(x)
    )
    for column in range(4):
        assert torch.equal(even.block(x[:, column], column), blocks[:, column])


@pytest.mark.parametrize(("a", "b"), [(-1.0, 2.0), (5.0, 5.001), (-30.0, -29.0), (8.0, 9.0), (0.2, 0.2000001)])
def test_masses_of_intervals_are_those_of_high_precision(a: float, b: float) -> None:
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 60
    expected = float(mpmath.log(mpmath.ncdf(b) - mpmath.ncdf(a)))
    ends = torch.tensor([a], dtype=torch.float64), torch.tensor([b], dtype=torch.float64)
    no = torch.tensor([False])
    assert log_gaussian_interval(*ends, no, no).item() == pytest.approx(expected, rel=1e-6)


def test_many_names_begin_with_their_shares() -> None:
    """A distribution that is known at fewer points than there are names says something of each of them."""
    column = Column(levels=100, names=True, gaps=0.5, distribution=((0.0, 0.0), (1.0, 0.5), (99.0, 0.99), (100.0, 1.0)))
    assert len(column.shares) == 101 and sum(column.shares) == pytest.approx(1)
    assert column.shares[0] == pytest.approx(0.25) and column.shares[50] == pytest.approx(0.245 / 98)
    assert Names([column]).start()[0].softmax(0).tolist() == pytest.approx(column.shares, rel=1e-5)


# Atoms


def outputs(columns: list[Column], n: int) -> tuple[Numbers, Tensor]:
    """The distribution of numbers, and the same outputs of chance (n, C, P) for n rows."""
    numbers = Numbers(columns, components=3)
    h = torch.randn(len(columns), numbers.size, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    return numbers, h.expand(n, -1, -1)


@pytest.mark.parametrize("column", [MANY, ATOMS, GAPS_AND_ATOMS], ids=["none", "three", "three and gaps"])
def test_an_atom_has_its_weight_and_the_mass_that_is_smooth_and_all_masses_sum_to_one(column: Column) -> None:
    x = torch.cat([torch.arange(30.0), *([torch.tensor([GAP])] if column.gaps else [])]).double()
    numbers, h = outputs([column, replace(HEAVY, gaps=0.1)], len(x))
    p = numbers.log_prob(h, torch.stack([x, torch.zeros_like(x)], 1))[:, 0].exp()
    assert p.sum().item() == pytest.approx(1, abs=1e-9)
    atoms = [int(at) for at, _ in column.atoms]
    logits = torch.cat([h[0, 0, :3], h[0, 0, 10 : 10 + len(atoms)]])
    omega = logits.softmax(0)[3:] * (torch.sigmoid(-h[0, 0, 9]) if column.gaps else 1.0)
    without = numbers.log_prob(
        h.index_fill(-1, torch.arange(10, 10 + len(atoms)), -torch.inf), x[:, None].expand(-1, 2)
    )
    for at, weight in zip(atoms, omega, strict=True):
        smooth = (1 - logits.softmax(0)[3:].sum()) * without[at, 0].exp()
        assert p[at].item() == pytest.approx((weight + smooth).item(), rel=1e-9)


def test_atoms_are_drawn_by_their_probabilities() -> None:
    numbers, h = outputs([GAPS_AND_ATOMS], 100_000)
    u = torch.rand(100_000, 1, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    drawn = numbers.draw(h, u, 1.0)[:, 0]
    for value in (0.0, 6.0, 7.0, 8.0, 29.0, GAP):
        expected = numbers.log_prob(h[:1], torch.tensor([[value]], dtype=torch.float64)).exp().item()
        found = (drawn.isnan() if math.isnan(value) else drawn == value).double().mean().item()
        assert found == pytest.approx(expected, abs=4 * math.sqrt(expected / len(drawn)) + 1e-4)


def test_atoms_begin_with_their_shares() -> None:
    numbers = Numbers([GAPS_AND_ATOMS, REAL], components=3)
    start = numbers.start()
    shares = start[0, [0, 1, 2, 10, 11, 12]].softmax(0)
    assert shares.tolist() == pytest.approx([0.11, 0.11, 0.11, 0.6, 0.05, 0.02], rel=1e-5)
    assert start.isfinite().all() and start[0, 9].sigmoid().item() == pytest.approx(0.3)


def test_the_middle_is_an_atom_that_is_likelier_than_all_else_and_otherwise_the_mean() -> None:
    numbers = Numbers([ATOMS], components=1)
    mean, atoms = 1, slice(4, 7)  # places of outputs: a logit, a mean, a scale, the gap, and three atoms
    h = torch.zeros(3, 1, numbers.size, dtype=torch.float64)
    h[0, 0, atoms] = torch.tensor([0.0, 9.0, 0.0])
    h[1, 0, atoms], h[1, 0, mean] = -40.0, 1.5
    h[2, 0, atoms] = torch.tensor([0.0, 0.0, -40.0])  # 0, 7 and the Gaussian are as likely
    places = Marginals([ATOMS])(torch.tensor([[0.5], [7.5]], dtype=torch.float64))[0][:, 0]
    expected = Marginals([ATOMS]).inverse(torch.stack([torch.tensor(1.5), places.sum() / 3])[:, None]).floor()[:, 0]
    assert numbers.middle(h)[:, 0].tolist() == [7, *expected.tolist()]


def test_networks_see_atoms_as_ones_beside_their_numbers_and_it_is_undone() -> None:
    event = Event((2,), None, columns=(GAPS_AND_ATOMS, FEW))
    table, smooth = TableNumbers(event, atoms=True), TableNumbers(event)
    x = torch.tensor([[0.0, 1.0], [7.0, 0.0], [8.0, 1.0], [29.0, 0.0], [GAP, 0.0]])
    seen = table.numbers(x)
    assert seen.shape == (5, 1 + 3 + 1 + 1)
    assert seen[:, 1:4].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [0, 0, 0]]
    assert torch.equal(seen[:, [0, 4, 5]], smooth.numbers(x))
    within = table.numbers(x, torch.full((5, 2), 0.9))
    assert torch.equal(within[:, 0] == seen[:, 0], torch.tensor([True, True, False, True, True])), "atoms are points"
    torch.testing.assert_close(table.quantise(within), x, equal_nan=True)
    seen[1, 0] = 3.0
    assert table.quantise(seen)[1, 0] == 7, "the place of an atom says what the number is"


def test_atoms_are_in_what_a_config_json_says_of_a_column() -> None:
    assert Column.of(json.loads(json.dumps(asdict(GAPS_AND_ATOMS)))) == GAPS_AND_ATOMS


def test_made_learns_how_often_atoms_are_there_and_on_what_they_depend() -> None:
    """Half of the rows with the second column 1 have exactly 7, all others any level: nothing smooth has both."""
    u = torch.rand(4000, 3, generator=torch.Generator().manual_seed(6))
    x = rows(4000)
    x[:, 2] = torch.where((x[:, 1] == 1) & (u[:, 0] < 0.5), 7.0, (u[:, 1] * 30).floor())
    column = Column(15.0, 8.0, levels=30, distribution=((0.0, 0.0), (30.0, 1.0)), atoms=((7.0, 0.25),))
    torch.manual_seed(0)
    event = replace(EVENT, columns=(NAMES, FEW, column, REAL))
    model = build("made", family_class("made").Config(hidden=[32], components=3), event)
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    for _ in range(200):
        (player,) = model.players()
        loss = player.loss(Batch(x, None, Noise(torch.Generator().manual_seed(0), len(x)), torch.tensor(0)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    with torch.no_grad():
        made = model.sample(4000, generator=torch.Generator().manual_seed(2))
    for few, expected in ((1, 0.5 + 0.5 / 30), (0, 1 / 30)):
        mine = made[made[:, 1] == few, 2]
        assert (mine == 7).double().mean().item() == pytest.approx(expected, abs=0.04)
        assert ((mine == 6) | (mine == 8)).double().mean().item() < 0.12
