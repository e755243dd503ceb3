"""How often 95 % intervals hold the number that sets of their size have on average, and how wide they are.

    uv run python -m benchmarks.intervals

Sets of features are drawn from known distributions, some hundred times; the average over all of them is the number that
each interval should hold. Two rows for each case: the share that does hold it, beside what is promised, and the mean
width, beside the distance from the 2.5th to the 97.5th percentile of the number itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Literal

import numpy as np
import torch

from pipelines.evaluation.metrics.distances import fid, kid
from pipelines.evaluation.metrics.intervals import LEVEL, fid_interval, kid_interval
from pipelines.evaluation.metrics.likelihood import NORMAL, Likelihood

from ._rows import Row, publish

RUNS = 300
SIZES = ((200, 400), (400, 1000))  # real examples and samples
CLASSES = 10

Metric = Callable[[np.ndarray, np.ndarray], float]
Interval = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


@dataclass(frozen=True)
class Truth:
    """Two distributions of features: of real examples, and of samples that are apart from them by a shift.

    `long-tailed` ones are log-normal; those `of a network` are of ten classes, and none of them is negative.
    """

    kind: Literal["normal", "long-tailed", "of a network"]
    features: int
    shift: float

    def draw(self, rng: np.random.Generator, count: int, shift: float) -> np.ndarray:
        """Features (N, F)."""
        x = rng.normal(size=(count, self.features))
        if self.kind == "long-tailed":
            x = np.exp(x / 2)
        if self.kind == "of a network":
            centres = 2 * np.random.default_rng(1).normal(size=(CLASSES, self.features))
            x = np.maximum(x + centres[rng.integers(CLASSES, size=count)], 0)
        x[:, :2] += shift
        return x

    def pairs(self, real: int, fake: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Sets of real examples and of samples, `RUNS` times."""
        rng = np.random.default_rng(0)
        for _ in range(RUNS):
            yield self.draw(rng, real, 0), self.draw(rng, fake, self.shift)

    def __str__(self) -> str:
        return f"{self.features} {self.kind}, shifted by {self.shift}"


def of_features(name: str, metric: Metric, interval: Interval) -> Iterator[Row]:
    for shift in (0.0, 0.5):
        small = [(Truth(kind, 8, shift), size) for kind in ("normal", "long-tailed") for size in SIZES]
        for truth, (real, fake) in [*small, (Truth("of a network", 64, shift), SIZES[1])]:
            values = [metric(*pair) for pair in truth.pairs(real, fake)]
            intervals = [interval(*pair) for pair in truth.pairs(real, fake)]
            yield from rows(f"{name}, {real} and {fake}, {truth}", values, intervals)


def of_likelihoods() -> Iterator[Row]:
    """Means over examples whose log-probabilities are normal, or have a tail as those of real data do."""
    for count in (100, 400):
        normal = torch.randn(RUNS, count, generator=torch.Generator().manual_seed(0))
        for kind, log_probs in (("normal", normal), ("long-tailed", -normal.exp())):
            scored = [Likelihood.of(each) for each in log_probs]
            reach = [NORMAL * each.standard_error for each in scored]
            intervals = [(each.nats - r, each.nats + r) for each, r in zip(scored, reach, strict=True)]
            yield from rows(f"nll, {count} {kind}", [each.nats for each in scored], intervals)


def rows(case: str, values: Sequence[float], intervals: Sequence[tuple[float, float]]) -> Iterator[Row]:
    average, (low, high) = np.mean(values), np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    held = np.mean([first <= average <= last for first, last in intervals])
    width = np.mean([last - first for first, last in intervals])
    row = partial(Row, case, device="cpu", threads=1, runs=RUNS)
    yield row(float(held), LEVEL, "promised", "share that holds", True)
    yield row(float(width), float(high - low), "95 % of the values", "width", False)


if __name__ == "__main__":
    torch.set_num_threads(1)
    publish(
        "intervals",
        [*of_likelihoods(), *of_features("fid", fid, fid_interval), *of_features("kid", kid, kid_interval)],
    )
