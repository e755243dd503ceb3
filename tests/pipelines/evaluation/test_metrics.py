"""Metrics against their definitions: closed forms, other people's square roots, and loops that a child could check."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.linalg import sqrtm

from models.contract import Event
from pipelines.evaluation.metrics.distances import fid, kid, prdc
from pipelines.evaluation.metrics.likelihood import Likelihood, bayes_accuracy, objective_name
from pipelines.evaluation.metrics.throughput import examples_per_second

RNG = np.random.default_rng


def correlated(n: int, f: int, seed: int) -> np.ndarray:
    rng = RNG(seed)
    return rng.normal(size=(n, f)) @ rng.normal(size=(f, f)) + rng.normal(size=f)


@pytest.mark.parametrize(("n", "f"), [(50, 2), (200, 16), (500, 32)])
def test_fid_is_the_formula_with_scipys_matrix_root(n: int, f: int) -> None:
    real, fake = correlated(n, f, 0), correlated(n + 7, f, 1)
    first, second = np.cov(real.T), np.cov(fake.T)
    expected = ((real.mean(0) - fake.mean(0)) ** 2).sum() + np.trace(first + second - 2 * sqrtm(first @ second).real)
    assert fid(real, fake) == pytest.approx(expected, rel=1e-6)


def test_fid_of_two_known_gaussians() -> None:
    mean, std = np.array([1.0, -2.0, 0.0]), np.array([1.0, 0.5, 3.0])
    real = RNG(0).normal(size=(200_000, 3))
    fake = mean + std * RNG(1).normal(size=(200_000, 3))
    assert fid(real, fake) == pytest.approx((mean**2).sum() + ((std - 1) ** 2).sum(), rel=0.01)


def test_fid_of_a_set_and_itself_is_zero() -> None:
    x = correlated(300, 12, 0)
    assert fid(x, x) == pytest.approx(0, abs=1e-6)
    assert fid(x, x[::-1]) == pytest.approx(0, abs=1e-6)


def test_fid_is_symmetric_and_survives_features_that_never_vary() -> None:
    real, fake = correlated(100, 8, 0), correlated(100, 8, 1)
    real[:, 0] = fake[:, 0] = fake[:, 1] = 0.0
    assert fid(real, fake) == pytest.approx(fid(fake, real), rel=1e-6)


def test_fid_and_kid_compute_in_double_precision() -> None:
    real, fake = correlated(200, 8, 0).astype(np.float32), correlated(200, 8, 1).astype(np.float32)
    for metric in (fid, kid):
        assert metric(real, fake) == metric(real.astype(np.float64), fake.astype(np.float64))


def naive_kid(real: np.ndarray, fake: np.ndarray) -> float:
    def kernel(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    def within(x: np.ndarray) -> float:
        terms = [kernel(x[i], x[j]) for i in range(len(x)) for j in range(len(x)) if i != j]
        return sum(terms) / len(terms)

    between = [kernel(a, b) for a in real for b in fake]
    return within(real) + within(fake) - 2 * sum(between) / len(between)


def test_kid_is_its_definition() -> None:
    real, fake = correlated(9, 4, 0), correlated(13, 4, 1)
    assert kid(real, fake) == pytest.approx(naive_kid(real, fake), rel=1e-9)


def test_kid_is_unbiased() -> None:
    rng = RNG(0)
    estimates = np.array([kid(*rng.normal(size=(2, 20, 3))) for _ in range(400)])
    error = estimates.std(ddof=1) / len(estimates) ** 0.5
    assert abs(estimates.mean()) < 3 * error
    assert (estimates < 0).mean() > 0.2


def test_kid_tells_distributions_apart() -> None:
    x = RNG(0).normal(size=(1000, 8))
    assert abs(kid(x[:500], x[500:])) < 0.01
    assert kid(x[:500], x[500:] + 1) > 1


def naive_prdc(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    def radius(x: np.ndarray, i: int) -> float:
        return float(sorted(np.linalg.norm(x[i] - x[j]) for j in range(len(x)) if j != i)[k - 1])

    real_radius = [radius(real, i) for i in range(len(real))]
    fake_radius = [radius(fake, j) for j in range(len(fake))]
    d = [[float(np.linalg.norm(a - b)) for b in fake] for a in real]
    inside = [[d[i][j] < real_radius[i] for i in range(len(real))] for j in range(len(fake))]
    return {
        "precision": sum(any(row) for row in inside) / len(fake),
        "recall": sum(any(d[i][j] < fake_radius[j] for j in range(len(fake))) for i in range(len(real))) / len(real),
        "density": sum(sum(row) for row in inside) / (k * len(fake)),
        "coverage": sum(min(d[i]) < real_radius[i] for i in range(len(real))) / len(real),
    }


@pytest.mark.parametrize("neighbours", [1, 3, 5])
@pytest.mark.parametrize("shift", [0.0, 0.7, 2.0])
def test_prdc_is_its_definition(neighbours: int, shift: float) -> None:
    real, fake = RNG(0).normal(size=(40, 3)), 0.8 * RNG(1).normal(size=(31, 3)) + shift
    assert prdc(real, fake, neighbours) == pytest.approx(naive_prdc(real, fake, neighbours))


def test_identical_sets_are_precise_recalled_and_covered() -> None:
    x = RNG(0).normal(size=(300, 8))
    measured = prdc(x, x.copy(), 5)
    assert (measured["precision"], measured["recall"], measured["coverage"]) == (1, 1, 1)
    assert measured["density"] == pytest.approx(1, abs=0.1)


def test_sets_far_apart_share_nothing() -> None:
    x = RNG(0).normal(size=(100, 8))
    assert prdc(x, x + 100, 5) == {"precision": 0, "recall": 0, "density": 0, "coverage": 0}


def test_a_collapsed_model_is_precise_but_recalls_and_covers_little() -> None:
    real = RNG(0).normal(size=(500, 4))
    measured = prdc(real, 0.01 * RNG(1).normal(size=(500, 4)), 5)
    assert measured["precision"] == 1
    assert measured["recall"] < 0.05
    assert measured["coverage"] < 0.1


def test_likelihood_is_the_mean_with_its_standard_error() -> None:
    measured = Likelihood.of(torch.tensor([-1.0, -2.0, -6.0]))
    assert measured.nats == pytest.approx(3)
    assert measured.standard_error == pytest.approx(math.sqrt((4 + 1 + 9) / 2 / 3))
    assert measured.count == 3


def test_likelihood_adds_in_double_precision() -> None:
    log_probs = torch.full((100_001,), -1.0)
    log_probs[0] = -1e8
    assert Likelihood.of(log_probs).nats == (1e8 + 100_000) / 100_001


def test_standard_error_of_one_example_is_unknown() -> None:
    assert math.isnan(Likelihood.of(torch.tensor([-1.0])).standard_error)


def test_bits_per_dim_of_uniform_pixels_is_the_logarithm_of_their_levels() -> None:
    event = Event((1, 8, 8), levels=16)
    uniform = Likelihood.of(torch.full((5,), -64 * math.log(16)))
    assert uniform.bits_per_dim(event) == pytest.approx(4)
    assert uniform.in_unit_of(event) == pytest.approx(4)
    assert objective_name(event) == "val_nll_bits_per_dim"


def test_vectors_are_scored_in_nats() -> None:
    event = Event((2,), levels=None)
    assert Likelihood.of(torch.tensor([-3.0, -5.0])).in_unit_of(event) == 4
    assert objective_name(event) == "val_nll_nats"


def test_bayes_accuracy_counts_the_likeliest_class() -> None:
    scores = torch.tensor([[-1.0, -2.0, -3.0], [-3.0, -1.0, -2.0], [-2.0, -1.0, -3.0], [-9.0, -8.0, -7.0]])
    assert bayes_accuracy(scores, torch.tensor([0, 1, 2, 2])) == 0.75


class Clock:
    """A clock that moves when a call takes its time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[str] = []

    def call(self, name: str, seconds: list[float]) -> Callable[[], None]:
        remaining = iter(seconds)

        def work() -> None:
            self.order.append(name)
            self.now += next(remaining)

        return work


def test_speed_is_the_median_without_the_first_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    calls = [clock.call("a", [100.0, 1.0, 2.0, 50.0]), clock.call("b", [0.001, 4.0, 8.0, 5.0])]
    assert examples_per_second(calls, batch=10, runs=3) == [5.0, 2.0]


def test_calls_that_take_long_have_fewer_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    assert examples_per_second([clock.call("a", [9.0, 4.0, 5.0, 4.0])], batch=8, runs=20) == [2.0]


def test_timed_calls_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(time, "perf_counter", lambda: clock.now)
    examples_per_second([clock.call("a", [1.0] * 3), clock.call("b", [1.0] * 3)], batch=1, runs=2)
    assert clock.order == ["a", "b"] * 3
