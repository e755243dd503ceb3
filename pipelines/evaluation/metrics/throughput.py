"""Throughput: examples per second of one call, the median of several."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch

ENOUGH = 3.0  # seconds of counted runs, after which FEWEST are enough
FEWEST = 3


def examples_per_second(calls: Sequence[Callable[[], object]], batch: int, runs: int) -> list[float]:
    """The throughput of each call, which handles `batch` examples; calls take turns, so that a ratio is fair.

    One turn is not counted. Calls that take long are less at the mercy of chance: fewer turns are enough.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for turn in range(runs + 1):
        if turn > FEWEST and sum(sum(taken[1:]) for taken in seconds) > ENOUGH:
            break
        for taken, call in zip(seconds, calls, strict=True):
            began = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - began)
    return [batch / statistics.median(taken[1:]) for taken in seconds]
