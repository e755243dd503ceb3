"""The two-sample test finds differences that are there, in dependence as well as in margins, and no others."""

from __future__ import annotations

import numpy as np

from pipelines.evaluation.metrics.two_sample import two_sample_auc


def normal(correlation: float, seed: int, mean: float = 0.0) -> np.ndarray:
    covariance = [[1.0, correlation], [correlation, 1.0]]
    return np.random.default_rng(seed).multivariate_normal([mean, 0.0], covariance, size=2000)


def test_equal_distributions_cannot_be_told_apart() -> None:
    auc = two_sample_auc(normal(0.5, 0), normal(0.5, 1), 0)
    assert auc is not None and abs(auc - 0.5) < 0.04


def test_different_means_and_dependences_can() -> None:
    shifted, turned = (
        two_sample_auc(normal(0.5, 0), normal(0.5, 1, mean=3.0), 0),
        two_sample_auc(normal(0.95, 0), normal(-0.95, 1), 0),
    )
    assert shifted is not None and shifted > 0.95
    assert turned is not None and turned > 0.85


def test_a_seed_decides_and_what_overflowed_is_not_tested() -> None:
    first, second = normal(0.5, 0), normal(0.3, 1)
    assert two_sample_auc(first, second, 3) == two_sample_auc(first, second, 3)
    second[7, 1] = np.inf
    assert two_sample_auc(first, second, 3) is None
