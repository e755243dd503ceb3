"""FID, KID, precision, recall, density and coverage are those of the libraries that people compare with."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import prdc as peer
import pytest
import torch
import torch_fidelity.metric_fid as fidelity_fid
import torch_fidelity.metric_kid as fidelity_kid
from torch import nn
from torchmetrics.image.fid import FrechetInceptionDistance
from torchmetrics.image.kid import KernelInceptionDistance

from pipelines.evaluation.metrics.distances import fid, kid, prdc

RELATIVE = 1e-4


class Identity(nn.Module):
    """Features that are the inputs."""

    num_features = 12

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def sets(seed: int = 0, count: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """Features of real examples and of samples, correlated, and apart by a little."""
    rng = np.random.default_rng(seed)
    mixed = rng.normal(size=(12, 12))
    return rng.normal(size=(count, 12)) @ mixed, 0.9 * rng.normal(size=(count, 12)) @ mixed + 0.3


def by_torchmetrics(metric: Any, real: np.ndarray, fake: np.ndarray) -> Any:
    metric.set_dtype(torch.float64)
    for x, is_real in ((real, True), (fake, False)):
        metric.update(torch.from_numpy(x), real=is_real)
    return metric.compute()


@pytest.mark.parametrize(("seed", "count"), [(0, 300), (1, 300), (2, 9)])
def test_fid_is_that_of_torchmetrics_and_torch_fidelity(seed: int, count: int) -> None:
    """With fewer examples than features too, as Inception often has them."""
    real, fake = sets(seed, count)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about its own plans
        theirs = float(by_torchmetrics(FrechetInceptionDistance(feature=Identity()), real, fake))
    assert fid(real, fake) == pytest.approx(theirs, rel=RELATIVE)
    statistics = [fidelity_fid.fid_features_to_statistics(torch.from_numpy(x)) for x in (real, fake)]
    theirs = fidelity_fid.fid_statistics_to_metric(*statistics, verbose=False)["frechet_inception_distance"]
    assert fid(real, fake) == pytest.approx(theirs, rel=RELATIVE)


@pytest.mark.parametrize("seed", [0, 1])
def test_kid_is_that_of_torchmetrics_and_torch_fidelity(seed: int) -> None:
    real, fake = sets(seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metric = KernelInceptionDistance(feature=Identity(), subsets=1, subset_size=len(real))
        theirs = float(by_torchmetrics(metric, real, fake)[0])
    assert kid(real, fake) == pytest.approx(theirs, rel=RELATIVE)
    options = {"kid_subsets": 1, "kid_subset_size": len(real), "verbose": False, "rng_seed": 0}
    found = fidelity_kid.kid_features_to_metric(*(torch.from_numpy(x) for x in (real, fake)), **options)
    assert kid(real, fake) == pytest.approx(found["kernel_inception_distance_mean"], rel=RELATIVE)


@pytest.mark.parametrize("neighbours", [1, 5])
def test_precision_recall_density_and_coverage_are_those_of_prdc(neighbours: int) -> None:
    real, fake = sets(2)
    theirs = peer.compute_prdc(real, fake, neighbours)
    assert prdc(real, fake, neighbours) == pytest.approx(theirs, rel=RELATIVE)
