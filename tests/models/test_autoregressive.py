"""What all autoregressive families promise: the past only, one sampler that equals the plain one, exact completion."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from functools import partial
from typing import cast
from unittest.mock import patch

import pytest
import torch
from torch import Tensor

from models.catalogue import build, family_class
from models.contract import Completion, Density, Event
from models.layers.autoregressive.chain import Autoregressive

from .cases import Case, examples
from .families import CASES, members

AUTOREGRESSIVE = [case for case in CASES if issubclass(family_class(case.model), Autoregressive)]
cases = pytest.mark.parametrize("case", AUTOREGRESSIVE, ids=str)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def family_of(case: Case, dtype: torch.dtype = torch.float32) -> Autoregressive:
    return cast("Autoregressive", case.build().to(dtype).eval())


@pytest.fixture(params=[torch.float32, torch.float64], ids=["float32", "float64"])
def dtype(request: pytest.FixtureRequest) -> Iterator[torch.dtype]:
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(torch.float32)


COMPLETING = [case for case in CASES if issubclass(family_class(case.model), Completion)]


@pytest.mark.parametrize("case", [case for case in COMPLETING if case not in AUTOREGRESSIVE], ids=str)
def test_a_family_that_is_not_among_them_completes_exactly_only_where_its_likelihood_is_exact(case: Case) -> None:
    family = case.build()
    assert isinstance(family, Completion)
    first = torch.arange(case.event.dimensions).view(case.event.shape) == 0
    assert not family.completes_exactly(first) or (isinstance(family, Density) and family.bound is None)


@cases
def test_the_sampler_that_reuses_work_gives_the_samples_of_the_plain_one(case: Case, dtype: torch.dtype) -> None:
    family = family_of(case, dtype)
    quick = family.sample(6, generator=seeded(0))
    with patch.object(family, "stepper", family.plain_stepper):
        plain = family.sample(6, generator=seeded(0))
    if case.event.levels is None:
        torch.testing.assert_close(quick, plain, atol=1e-5, rtol=1e-5)
    else:
        assert torch.equal(quick, plain)


@cases
def test_completions_of_the_two_samplers_are_equal(case: Case) -> None:
    family = family_of(case)
    x, labels = examples(case.event, 4)
    known = torch.rand(4, *case.event.shape, generator=seeded(1)) < 0.5
    quick = family.complete(x, known, labels if family.classes else None, 1.0, seeded(0))
    with patch.object(family, "stepper", family.plain_stepper):
        plain = family.complete(x, known, labels if family.classes else None, 1.0, seeded(0))
    torch.testing.assert_close(quick, plain)


@cases
def test_a_number_sees_only_those_before_it(case: Case) -> None:
    """Change one number: the conditionals of those before it, and of itself, are what they were."""
    family = family_of(case)
    x, labels = examples(case.event, 1)
    other, _ = examples(case.event, 1, seed=5)
    y, z = family.to_network(x), family.to_network(other)
    outputs = family.network(y, labels)
    seen = False
    for place, position in enumerate(family.order):
        changed = y.clone().flatten(1)
        changed[:, position] = z.flatten(1)[:, position]
        moved = (family.network(changed.view_as(y), labels) - outputs).abs().amax((0, 2))[family.order] > 1e-6
        assert not moved[: place + 1].any()
        seen |= bool(moved.any())
    assert seen


@cases
def test_known_numbers_come_back_untouched(case: Case) -> None:
    family = family_of(case)
    x, _ = examples(case.event, 5)
    known = torch.rand(5, *case.event.shape, generator=seeded(1)) < 0.5
    completed = family.complete(x, known, generator=seeded(0))
    assert completed.dtype == x.dtype and torch.equal(completed[known], x[known])
    assert torch.equal(family.complete(x, torch.ones(case.event.shape, dtype=torch.bool), generator=seeded(0)), x)
    assert not torch.equal(completed, family.complete(x, known, generator=seeded(1)))


@cases
def test_what_stands_for_the_missing_does_not_matter(case: Case) -> None:
    family = family_of(case)
    x, _ = examples(case.event, 5)
    known = torch.rand(5, *case.event.shape, generator=seeded(1)) < 0.5
    filler = torch.full_like(x, math.nan if case.event.levels is None else 255)
    completed = family.complete(torch.where(known, x, filler), known, generator=seeded(0))
    assert torch.equal(completed, family.complete(x, known, generator=seeded(0)))


@cases
def test_to_complete_nothing_is_to_sample(case: Case) -> None:
    family = family_of(case)
    x, _ = examples(case.event, 5)
    nothing = torch.zeros(case.event.shape, dtype=torch.bool)
    assert torch.equal(family.complete(x, nothing, generator=seeded(0)), family.sample(5, generator=seeded(0)))


@cases
def test_a_completion_is_exact_if_what_is_known_comes_first(case: Case) -> None:
    family = family_of(case)
    first = torch.zeros(case.event.dimensions, dtype=torch.bool)
    first[family.order[: len(first) // 2]] = True
    single = family.scoring_passes == 1  # an ensemble has other orders too
    assert family.completes_exactly(first.view(case.event.shape)) == single
    assert not family.completes_exactly(~first.view(case.event.shape))
    assert family.completes_exactly(torch.zeros(case.event.shape, dtype=torch.bool))


# By enumeration: small events have so few examples that all can be listed

MODELS = sorted({case.model for case in AUTOREGRESSIVE})
TINY = [
    *members(MODELS, [Event((5,), 3, 2), Event((1, 3, 3), 2, 2), Event((1, 5), 3, 2)]),
    Case("made", Event((5,), 3, 2), {"hidden": [7], "orders": 3, "connectivities": 2, "conditional": True}),
    Case("made", Event((4,), 4, 2), {"hidden": [7], "output": "logistic_mixture", "components": 2}),
    Case("pixelcnn", Event((2, 2, 2), 2, 2), {"stack": "plain"}),
    Case("pixelcnn", Event((3, 1, 2), 3, 2), {"output": "logistic_mixture", "components": 1}),
]


def every_example(event: Event) -> Tensor:
    """All examples (K^D, *event) of an event of integers."""
    assert event.levels is not None
    numbers = torch.tensor(list(itertools.product(range(event.levels), repeat=event.dimensions)), dtype=torch.uint8)
    return numbers.view(-1, *event.shape)


@pytest.mark.parametrize("case", TINY, ids=str)
def test_the_probabilities_of_all_examples_sum_to_one(case: Case) -> None:
    family = family_of(case)
    with torch.no_grad():
        total = family.log_prob(every_example(case.event)).double().exp().sum()
    assert total.item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("case", TINY, ids=str)
def test_samples_have_the_frequencies_that_log_prob_says(case: Case) -> None:
    family, n = family_of(case), 20_000
    every = every_example(case.event)
    samples = family.sample(n, generator=seeded(0))
    with torch.no_grad():
        p = family.log_prob(every).double().exp()
    assert case.event.levels is not None
    code = samples.flatten(1).double() @ case.event.levels ** torch.arange(case.event.dimensions - 1, -1, -1).double()
    seen = torch.bincount(code.long(), minlength=len(every)).double() / n
    # The expected total variation of an empirical distribution is at most ½ Σ sqrt(p (1 - p) / n).
    assert 0.5 * (seen - p).abs().sum() < 0.5 * (p * (1 - p) / n).sqrt().sum() * 1.2


@pytest.mark.parametrize("conditional", [False, True])
def test_the_missing_is_drawn_given_the_known(conditional: bool) -> None:
    """Completions of a prefix have the frequencies of p(missing | known) = p(x) / p(known), the labels unknown."""
    event = Event((1, 3, 2), 2, 3)
    family = family_of(Case("pixelcnn", event, {"conditional": conditional}))
    every, n = every_example(event), 20_000
    known = torch.zeros(event.shape, dtype=torch.bool)
    known.flatten()[:3] = True
    given = torch.tensor([1, 0, 1], dtype=torch.uint8)
    agree = (every.flatten(1)[:, :3] == given).all(1)
    with torch.no_grad():
        p = torch.where(agree, family.log_prob(every).double().exp(), 0.0)
    p = p / p.sum()
    x = torch.zeros(n, *event.shape, dtype=torch.uint8)
    x.flatten(1)[:, :3] = given
    completed = family.complete(x, known, generator=seeded(0))
    code = completed.flatten(1).double() @ 2.0 ** torch.arange(5, -1, -1).double()
    seen = torch.bincount(code.long(), minlength=64).double() / n
    assert 0.5 * (seen - p).abs().sum() < 0.02


def test_scoring_without_gradients_in_parts_is_scoring_at_once() -> None:
    family = family_of(Case("pixelcnn", Event((1, 4, 4), 5, 2), {}))
    x, _ = examples(family.event, 9)
    whole = family.log_prob(x)
    with torch.no_grad(), patch("models.layers.autoregressive.chain.AT_ONCE", 2 * 16 * 5):
        torch.testing.assert_close(family.log_prob(x), whole)


@pytest.mark.parametrize("model", MODELS)
def test_compiled_steps_give_the_same_samples(model: str) -> None:
    """As they are traced, where there is anything to trace; what a backend makes of the trace is torch's."""
    torch.compiler.reset()
    case = next(case for case in AUTOREGRESSIVE if case.model == model and case.options.get("conditional"))
    family = family_of(case)
    plain = family.sample(4, generator=seeded(0))
    family.compile_sampling()
    with patch("torch.compile", partial(torch.compile, backend="eager")):
        assert torch.equal(family.sample(4, generator=seeded(0)), plain)
        assert torch.equal(family.sample(4, generator=seeded(0)), plain)


def test_labels_can_be_chosen_for_a_completion() -> None:
    event = Event((1, 4, 4), 5, 3)
    torch.manual_seed(0)
    family = cast("Autoregressive", build("pixelcnn", family_class("pixelcnn").Config(conditional=True), event)).eval()
    x, _ = examples(event, 6)
    known = torch.zeros(event.shape, dtype=torch.bool)
    one, two = (family.complete(x, known, torch.full((6,), label), 1.0, seeded(0)) for label in (0, 1))
    assert not torch.equal(one, two)
