"""Metrics are the same to the last bit, with however many threads NumPy was started."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

from pipelines.evaluation.metrics.threads import one_thread

PRINTED = """
import numpy as np
from pipelines.evaluation.metrics.distances import fid, kid, prdc
from pipelines.evaluation.metrics.intervals import kid_interval
from pipelines.evaluation.metrics.tables import correlation_distance

rng = np.random.default_rng(0)
for columns in (64, 200):
    real, fake = (rng.normal(size=(rows, columns)).clip(0) for rows in (300, 700))
    print(fid(real, fake), kid(real, fake), kid_interval(real, fake), prdc(real, fake[:300], 5))
    print(correlation_distance(real, fake))
"""


def threads() -> set[int]:
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_linear_algebra_has_one_thread_within_and_as_many_as_before_after() -> None:
    with threadpool_limits(2, user_api="blas"):
        before = threads()
        with one_thread():
            assert threads() == {1}
        assert threads() == before


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="there is one processor")
def test_metrics_are_the_same_with_any_number_of_threads() -> None:
    def printed(count: str) -> str:
        environment = {**os.environ, "OMP_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
        command = [sys.executable, "-c", PRINTED]
        return subprocess.run(command, env=environment, check=True, capture_output=True, text=True).stdout

    assert printed("1") == printed("2")
