"""Samples of tables are judged by columns, by pairs of columns, and by what they teach."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.evaluation.metrics.tables import correlation_distance, marginal_distance, score_on_real

RNG = np.random.default_rng


def rows(n: int, seed: int, correlation: float = 0.8) -> np.ndarray:
    return RNG(seed).multivariate_normal([0, 5], [[1, correlation], [correlation, 1]], n) * [1, 100]


def test_the_marginal_distance_says_how_far_values_must_move() -> None:
    x = rows(2000, 0)
    shifted = x + np.array([0.5 * x[:, 0].std(), 0])
    assert marginal_distance(shifted, x) == pytest.approx(0.25)
    assert marginal_distance(rows(2000, 1), x) < 0.06
    constant = np.column_stack([x, np.ones(len(x))])
    assert marginal_distance(constant, constant) == 0
    assert marginal_distance(constant[:, 2:], constant[:, 2:]) is None


def test_the_correlation_distance_sees_what_columns_do_not_show() -> None:
    x = rows(4000, 0)
    apart = RNG(1).permuted(x, axis=0)
    assert correlation_distance(apart, x) == pytest.approx(0.8, abs=0.05)
    assert correlation_distance(rows(4000, 2), x) < 0.03
    constant = np.column_stack([x, np.ones(len(x))])
    assert correlation_distance(constant, constant) == pytest.approx(0)
    assert correlation_distance(x[:, :1], x[:, :1]) is None


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_column_that_never_varies_is_no_column_of_rounding_errors(dtype: type) -> None:
    """The mean of 3001 times 0.1 is not 0.1."""
    noise = RNG(0).normal(size=(3001, 3))
    test = np.column_stack([noise[:, 0], np.full(3001, 0.1), np.full(3001, 0.7)]).astype(dtype)
    samples = test + np.array([0, 1e-4, 1e-4], dtype) * noise.astype(dtype)
    assert marginal_distance(samples, test) == 0
    assert correlation_distance(samples, test) < 0.05
    assert correlation_distance(test, test) == 0


def test_labels_are_learnt_from_samples_that_have_them_right() -> None:
    rng = RNG(0)
    labels, test_labels = rng.integers(2, size=400), rng.integers(2, size=300)
    x, test = (rng.normal(size=(len(of_x), 3)) + 2 * of_x[:, None] for of_x in (labels, test_labels))
    assert score_on_real(x, labels, test, test_labels) > 0.9
    assert score_on_real(x, rng.permutation(labels), test, test_labels) < 0.65
    assert score_on_real(x, np.zeros(400, int), test, test_labels) is None


def test_without_labels_columns_are_predicted_by_each_other() -> None:
    x, test = rows(1500, 0), rows(1000, 1)
    assert score_on_real(x, None, test, None) == pytest.approx(0.64, abs=0.1), "the square of the correlation"
    assert score_on_real(RNG(2).permuted(x, axis=0), None, test, None) < 0.05
    constant = [np.column_stack([np.zeros(len(each)), each]) for each in (x, test)]
    assert score_on_real(constant[0], None, constant[1], None) == pytest.approx(score_on_real(x, None, test, None))
    assert score_on_real(x[:, :1], None, test[:, :1], None) is None
    assert score_on_real(np.full_like(x, np.inf), None, test, None) is None
