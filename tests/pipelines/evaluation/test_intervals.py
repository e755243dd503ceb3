"""Intervals are those of the jackknife, and hold what they promise about as often as they say."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.stats import t

from models.contract import Event
from pipelines.evaluation.metrics.distances import fid, kid
from pipelines.evaluation.metrics.intervals import BLOCKS, fid_interval, kid_interval
from pipelines.evaluation.metrics.likelihood import NORMAL, Likelihood

Metric = Callable[[np.ndarray, np.ndarray], float]
INTERVALS = {fid: fid_interval, kid: kid_interval}


def sets(seed: int, real: int = 103, fake: int = 157, shift: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(size=(real, 4)), rng.normal(size=(fake, 4)) + shift


def jackknife(metric: Metric, real: np.ndarray, fake: np.ndarray) -> tuple[float, float]:
    """The definition, block by block of the shuffled sets."""
    real, fake = (np.random.default_rng(0).permutation(x) for x in (real, fake))
    variance = 0.0
    for which, x in enumerate((real, fake)):
        block = np.arange(len(x)) * BLOCKS // len(x)
        without = []
        for b in range(BLOCKS):
            rest = x[block != b]
            without.append(metric(rest, fake) if which == 0 else metric(real, rest))
        variance += (BLOCKS - 1) / BLOCKS * ((np.array(without) - np.mean(without)) ** 2).sum()
    reach = t.ppf(0.975, BLOCKS - 1) * variance**0.5
    return metric(real, fake) - reach, metric(real, fake) + reach


@pytest.mark.parametrize("metric", [fid, kid], ids=["fid", "kid"])
def test_the_interval_is_that_of_the_block_jackknife(metric: Metric) -> None:
    real, fake = sets(0)
    assert INTERVALS[metric](real, fake) == pytest.approx(jackknife(metric, real, fake), rel=1e-9)


def test_a_fid_near_zero_has_no_negative_interval() -> None:
    real, fake = sets(0, 30, 30, shift=0.0)
    low, high = fid_interval(real, fake)
    assert 0 <= low < fid(real, fake) < high


def test_few_examples_are_a_block_each() -> None:
    real, fake = sets(0, 6, 7)
    for metric, interval in INTERVALS.items():
        low, high = interval(real, fake)
        assert low < metric(real, fake) < high


@pytest.mark.parametrize("metric", [fid, kid], ids=["fid", "kid"])
def test_rows_that_come_sorted_by_class_have_no_wider_interval(metric: Metric) -> None:
    """With a class in each block, the interval would be several times as wide."""
    real, fake = sets(0, 400, 400)
    sorted_, mixed = np.sort(np.arange(400) % 10), np.arange(400) % 10
    widths = []
    for order in (sorted_, mixed):
        low, high = INTERVALS[metric](real + 2 * order[:, None], fake + 2 * mixed[:, None])
        widths.append(high - low)
    assert widths[0] == pytest.approx(widths[1], rel=0.5)


@pytest.mark.parametrize("metric", [fid, kid], ids=["fid", "kid"])
def test_about_95_per_cent_of_intervals_hold_the_number_that_such_sets_have_on_average(metric: Metric) -> None:
    """Of 150 intervals 95 % ± 3.6 % (two standard errors); benchmarks/intervals.py has more."""
    pairs = [sets(seed, 80, 120, 0.5) for seed in range(150)]
    average = np.mean([metric(*pair) for pair in pairs])
    held = np.mean([low <= average <= high for low, high in (INTERVALS[metric](*pair) for pair in pairs)])
    assert 0.91 <= held <= 1.0


def test_likelihoods_have_normal_intervals_in_their_unit() -> None:
    event, values = Event((1, 2, 2), 4), torch.tensor([-4.0, -5.0, -6.0, -9.0], dtype=torch.float64)
    likelihood = Likelihood.of(values)
    low, high = likelihood.interval_in_unit_of(event)
    reach = NORMAL * values.std().item() / 2 / (4 * np.log(2))
    assert (low + high) / 2 == pytest.approx(likelihood.bits_per_dim(event))
    assert high - low == pytest.approx(2 * reach)
