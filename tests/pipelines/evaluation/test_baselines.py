"""The unigram and the linear predictor: their bits on data of known entropy."""

from __future__ import annotations

import math

import numpy as np
import pytest

from pipelines.evaluation.metrics.baselines import linear_predictor, unigram

RANDOM = np.random.default_rng(0)


def test_a_unigram_of_independent_numbers_reaches_their_entropy() -> None:
    p = np.array([0.5, 0.25, 0.125, 0.125])
    train, test = (RANDOM.choice(4, size=(2000, 20), p=p).astype(np.uint8) for _ in range(2))
    assert unigram(iter([train[:500], train[500:]]), test, 4) == pytest.approx(1.75, abs=0.02)


def test_a_level_that_was_never_seen_is_not_impossible() -> None:
    train = np.zeros((10, 10), np.uint8)
    assert math.isfinite(unigram([train], np.full((1, 10), 3, np.uint8), 4))
    assert math.isfinite(linear_predictor(np.tile(train, 4), np.full((1, 40), 3, np.uint8), 4))


def test_a_linear_predictor_codes_its_noise() -> None:
    """A random walk with three equally likely steps has log2(3) bits per number, however many levels it visits."""
    steps = RANDOM.integers(-1, 2, size=(200, 400))
    walk = np.clip(128 + steps.cumsum(1), 0, 255).astype(np.uint8)
    bits = linear_predictor(walk[:150], walk[150:], 256)
    assert bits == pytest.approx(math.log2(3), abs=0.1)
    assert unigram([walk[:150]], walk[150:], 256) > bits + 2


def test_the_probabilities_of_all_levels_sum_to_one() -> None:
    """Of sequences that differ in their last number only, 2^(-bits) of that number summed over the levels is one."""
    levels, length = 5, 30
    train = RANDOM.integers(levels, size=(50, length)).astype(np.uint8)
    start = RANDOM.integers(levels, size=length - 1).astype(np.uint8)
    before = linear_predictor(train, start[None], levels) * (length - 1)
    total = 0.0
    for last in range(levels):
        whole = linear_predictor(train, np.append(start, last).astype(np.uint8)[None], levels) * length
        total += 2 ** (before - whole)
    assert total == pytest.approx(1)
