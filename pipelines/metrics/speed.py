"""Throughput: examples per second of one call, the median of several."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch


def examples_per_second(calls: Sequence[Callable[[], object]], batch: int, runs: int) -> list[float]:
    """The throughput of each call, which handles `batch` examples; calls take turns, so that a ratio is fair.

    One turn is not counted.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for _ in range(runs + 1):
        for taken, call in zip(seconds, calls, strict=True):
            began = time.perf_counter()
            call()
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            taken.append(time.perf_counter() - began)
    return [batch / statistics.median(taken[1:]) for taken in seconds]
