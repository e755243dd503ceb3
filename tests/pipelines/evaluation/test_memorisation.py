"""Copies of training examples are told from new examples, and from bad ones."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.evaluation.metrics.memorisation import copied, memorisation, nearest

RNG = np.random.default_rng
TRAIN, TEST = RNG(0).normal(size=(400, 3)), RNG(1).normal(size=(300, 3))


def test_new_examples_are_no_copies() -> None:
    new = RNG(2).normal(size=(500, 3))
    assert memorisation(new, TEST, TRAIN) == pytest.approx(0.5, abs=0.06)
    assert copied(new, TEST, TRAIN) <= 0.03


def test_copies_are_found_even_if_they_are_not_exact() -> None:
    copies = TRAIN[:200] + 1e-3 * RNG(3).normal(size=(200, 3))
    assert memorisation(copies, TEST, TRAIN) > 0.99
    assert copied(copies, TEST, TRAIN) > 0.95
    some = np.concatenate([copies[:50], RNG(4).normal(size=(150, 3))])
    assert copied(some, TEST, TRAIN) == pytest.approx(0.25, abs=0.05)


def test_a_small_test_split_cannot_say_what_is_a_near_copy() -> None:
    assert copied(TRAIN[:50], TEST[:99], TRAIN) is None
    assert copied(TRAIN[:50], TEST[:100], TRAIN) == 1


def test_what_is_far_from_all_data_is_no_copy() -> None:
    assert memorisation(TEST + 10, TEST, TRAIN) < 0.01
    assert copied(TEST + 10, TEST, TRAIN) == 0


def test_memorisation_is_the_probability_over_all_pairs_with_ties_as_halves() -> None:
    train, test, samples = np.array([[0.0]]), np.array([[1.0], [2.0]]), np.array([[1.0], [0.5], [3.0]])
    pairs = [0.5, 1, 1, 1, 0, 0]  # of distances 1, ½, 3 and 1, 2
    assert memorisation(samples, test, train) == pytest.approx(np.mean(pairs))


def test_where_data_repeats_itself_new_examples_are_no_copies_and_copies_are_more_than_new_examples() -> None:
    """A twentieth of the test examples are in the training data to the bit."""
    rng = RNG(5)
    repeating = np.where(np.arange(4000) % 20 == 0, TRAIN[rng.integers(400, size=4000)].T, rng.normal(size=(3, 4000))).T
    test, new = repeating[:2000], repeating[2000:]
    assert copied(new, test, TRAIN) == pytest.approx(0.01)
    assert copied(TRAIN, test, TRAIN) == pytest.approx(0.2)


def test_the_nearest_come_first() -> None:
    rows, distances = nearest(np.array([[0.9], [2.2]]), np.array([[0.0], [1.0], [2.0]]), 2)
    assert rows.tolist() == [[1, 0], [2, 1]]
    np.testing.assert_allclose(distances, [[0.1, 0.9], [0.2, 1.2]])
