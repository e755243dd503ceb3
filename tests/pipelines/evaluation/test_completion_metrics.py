"""Completions are judged by how far they are from the truth and from each other."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.evaluation.metrics.completion_error import completion_diversity, completion_error, completion_scores

RNG = np.random.default_rng
KNOWN = np.stack([np.indices((4, 4))[0] < 2, np.indices((4, 4))[1] < 2])[:, None]  # (2, 1, 4, 4)


def completed(x: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Completions (2, E, S, 1, 4, 4) that are x where masks know it, and `missing` (E, S, 1, 4, 4) elsewhere."""
    return np.where(KNOWN[:, None, None], x[None, :, None], missing[None])


def test_the_truth_has_no_error_and_the_mean_has_error_one() -> None:
    x, train = RNG(0).integers(9, size=(5, 1, 4, 4)), RNG(1).integers(9, size=(50, 1, 4, 4))
    truth = np.repeat(x[:, None], 2, 1)
    assert completion_error(KNOWN, x, completed(x, truth), train) == 0
    assert completion_diversity(KNOWN, x, completed(x, truth), train) == 0
    mean = np.broadcast_to(train.mean(0), truth.shape)
    assert completion_error(KNOWN, x, completed(x, mean), train) == pytest.approx(1)


def test_guesses_that_know_nothing_are_as_far_from_each_other_as_examples_are() -> None:
    rng = RNG(0)
    x, train, guesses = (rng.normal(size=shape) for shape in ((300, 1, 4, 4), (500, 1, 4, 4), (300, 2, 1, 4, 4)))
    drawn = completed(x, guesses)
    assert completion_error(KNOWN, x, drawn, train) == pytest.approx(2**0.5, abs=0.05)
    assert completion_diversity(KNOWN, x, drawn, train) == pytest.approx(2**0.5, abs=0.05)


@pytest.mark.parametrize("ordered", [True, False])
def test_the_diversity_of_perfect_completions_is_their_error(ordered: bool) -> None:
    """Pixels follow a hidden number: what is known tells it, and leaves noise; examples are sorted by it."""
    rng = RNG(0)
    hidden = np.sort(rng.normal(size=600))[:, None, None, None]

    def noisy(*copies: int) -> np.ndarray:
        made = hidden.reshape(-1, *[1] * len(copies), 1, 1, 1) + 0.5 * rng.normal(size=(600, *copies, 1, 4, 4))
        return made if ordered else made.round().clip(0, 2).astype(int)

    x, train, drawn = noisy(), noisy(), noisy(2)
    error = completion_error(KNOWN, x, completed(x, drawn), train, ordered)
    diversity = completion_diversity(KNOWN, x, completed(x, drawn), train, ordered)
    assert error is not None and diversity is not None
    assert error / diversity == pytest.approx(1, abs=0.03) and error < 1


def test_what_is_known_does_not_count() -> None:
    rng = RNG(0)
    x, train, guesses = (rng.normal(size=shape) for shape in ((3, 1, 4, 4), (9, 1, 4, 4), (3, 2, 1, 4, 4)))
    drawn, other = completed(x, guesses), completed(x, guesses)
    other[np.broadcast_to(KNOWN[:, None, None], other.shape)] = 99
    assert completion_error(KNOWN, x, drawn, train) == completion_error(KNOWN, x, other, train)
    assert completion_diversity(KNOWN, x, drawn, train) == completion_diversity(KNOWN, x, other, train)


def test_names_are_right_or_wrong() -> None:
    rng = RNG(0)
    x, train = rng.integers(3, size=(4, 1, 4, 4)), np.zeros((7, 1, 4, 4), int)
    zeros = np.zeros((4, 2, 1, 4, 4), int)
    assert completion_error(KNOWN, x, completed(x, zeros), train, ordered=False) == pytest.approx(1)
    assert completion_diversity(KNOWN, x, completed(x, zeros), train, ordered=False) == 0


def test_there_may_be_nothing_to_judge() -> None:
    x = np.ones((3, 1, 4, 4))
    drawn = completed(x, np.ones((3, 1, 1, 4, 4)))
    assert completion_error(KNOWN, x, drawn, x) is None, "all examples are alike"
    assert completion_diversity(KNOWN, x, drawn, 0 * x) is None, "one completion each"
    assert completion_diversity(KNOWN, x, drawn.repeat(2, 2), x) is None, "all examples are alike"


@pytest.mark.parametrize("temperature", [0.0, 0.7, 1.3])
def test_nothing_has_a_better_score_than_draws_from_what_is_possible(temperature: float) -> None:
    """By the error alone a temperature of 0.7, and the mean itself, would be better than the exact conditional."""
    rng = RNG(0)
    x, train = rng.normal(size=(3000, 1, 4, 4)), rng.normal(size=(500, 1, 4, 4))
    noise = rng.normal(size=(3000, 2, 1, 4, 4))
    exact, other = completed(x, noise), completed(x, temperature * noise)
    scores = completion_scores(KNOWN, x, exact, train), completion_scores(KNOWN, x, other, train)
    assert scores[0].shape == (3000,)
    assert (scores[1] - scores[0]).mean() > 2 * (scores[1] - scores[0]).std() / 3000**0.5
    if temperature < 1:
        of_exact, of_other = (completion_error(KNOWN, x, each, train) for each in (exact, other))
        assert of_exact is not None and of_other is not None and of_other < of_exact


def test_scores_of_the_truth_of_the_mean_and_of_names() -> None:
    x, train = RNG(0).integers(9, size=(5, 1, 4, 4)), RNG(1).integers(9, size=(50, 1, 4, 4))
    truth = np.repeat(x[:, None], 2, 1)
    assert completion_scores(KNOWN, x, completed(x, truth), train).tolist() == [0.0] * 5
    mean = np.broadcast_to(train.mean(0), truth.shape)
    assert completion_scores(KNOWN, x, completed(x, mean), train).mean() == pytest.approx(1)
    assert len(completion_scores(KNOWN, x, completed(x, truth[:, :1]), train)) == 0, "one completion of each"
    # y is a or b, as likely: of guesses (a, b) the score is 1/2 - 1/2 · 1, and of (a, a) 0 or 1.
    known, y = np.array([[[[True, False]]]]), np.array([0, 1])[:, None, None, None].repeat(2, 3)
    both = np.array([0, 1])[None, None, :, None, None, None].repeat(2, 1).repeat(2, 5)
    zeros = np.zeros((10, 1, 1, 2), int)
    assert completion_scores(known, y, both, zeros, ordered=False).mean() == 0.0
    assert completion_scores(known, y, 0 * both, zeros, ordered=False).mean() == pytest.approx(1.0)
