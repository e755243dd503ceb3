"""How often 95 % intervals hold the number that sets of their size have on average.

    uv run python -m benchmarks.intervals

Sets of features are drawn from known distributions, some hundred times; the average over all of them is the number that
each interval should hold. `ours` is the share that does, `other` what is promised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from pipelines.metrics.intervals import LEVEL, fid_interval, kid_interval
from pipelines.metrics.likelihood import NORMAL, Likelihood
from pipelines.metrics.quality import fid, kid

from ._rows import Row, publish

RUNS = 300
SIZES = ((200, 400), (400, 1000))  # real examples and samples
FEATURES = 8

Metric = Callable[[np.ndarray, np.ndarray], float]
Interval = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


@dataclass(frozen=True)
class Truth:
    """Two distributions: real features, and samples that are `shift` apart from them; `skewed` ones have long tails."""

    shift: float
    skewed: bool

    def draw(self, rng: np.random.Generator, real: int, fake: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = (rng.normal(size=(count, FEATURES)) for count in (real, fake))
        if self.skewed:
            x, y = np.exp(x / 2), np.exp(y / 2)
        y[:, :2] += self.shift
        return x, y

    def __str__(self) -> str:
        return f"{'skewed' if self.skewed else 'normal'}, shifted by {self.shift}"


def of_features(name: str, metric: Metric, interval: Interval) -> list[Row]:
    rows = []
    for real, fake in SIZES:
        for truth in (Truth(shift, skewed) for shift in (0.0, 0.3, 1.0) for skewed in (False, True)):
            rng = np.random.default_rng(0)
            sets = [truth.draw(rng, real, fake) for _ in range(RUNS)]
            average = np.mean([metric(*pair) for pair in sets])
            held = np.mean([low <= average <= high for low, high in (interval(*pair) for pair in sets)])
            rows.append(row(f"{name}, {real} and {fake}, {truth}", float(held)))
    return rows


def of_likelihoods() -> list[Row]:
    """Means over examples whose log-probabilities are normal, or have a tail as those of real data do."""
    rows = []
    for count in (100, 400):
        normal = torch.randn(4 * RUNS, count, generator=torch.Generator().manual_seed(0))
        for kind, values in (("normal", normal), ("long-tailed", -normal.exp())):
            average = -values.mean().item()
            scored = [Likelihood.of(each) for each in values]
            held = np.mean([abs(each.nats - average) <= NORMAL * each.standard_error for each in scored])
            rows.append(row(f"nll, {count} {kind}", float(held)))
    return rows


def row(case: str, held: float) -> Row:
    return Row(case, held, LEVEL, "promised", "share that holds", True, "cpu", 1, RUNS)


if __name__ == "__main__":
    torch.set_num_threads(1)
    publish(
        "intervals", of_likelihoods() + of_features("fid", fid, fid_interval) + of_features("kid", kid, kid_interval)
    )
