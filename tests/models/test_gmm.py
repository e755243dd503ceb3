"""The Gaussian mixture against scikit-learn, and EM against its own promise."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture

from models.contract import Batch, Event
from models.gmm import GMM, GMMConfig
from models.noise import Noise

from .cases import IMAGE, Case

# A lower floor would let the jitter of the weights make ill-conditioned covariances.
SMALL: dict[str, Any] = {"components": 3, "variance_floor": 0.1}
VARIANTS = [
    Case("gmm", IMAGE, {"covariance": shape, "fit": fit})
    for shape in ("diagonal", "low_rank", "full")
    for fit in ("em", "gradient")
]


def blobs(n: int = 600) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    centres = torch.tensor([[0.0, 0.0], [4.0, 4.0], [-4.0, 3.0]])
    stretch = torch.tensor([[1.0, 0.2], [0.5, 1.0], [0.8, 0.8]])
    k = torch.arange(n) % 3
    return centres[k] + stretch[k] * torch.randn(n, 2, generator=generator)


def fitted(x: torch.Tensor, steps: int = 60, **options: object) -> GMM:
    model = GMM(GMMConfig(**options), Event((x.shape[1],), None))
    model.initialise(x, None, torch.Generator().manual_seed(0))
    (player,) = model.players()
    batch = Batch(x, None, Noise(torch.Generator().manual_seed(0), len(x)))
    if player.closed_form is not None:
        for _ in range(steps):
            player.closed_form(batch)
        return model
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(15 * steps):
        optimiser.zero_grad()
        player.loss(batch).backward()
        optimiser.step()
    return model


def mean_log_prob(model: GMM, x: torch.Tensor) -> float:
    with torch.no_grad():
        return model.log_prob(x).mean().item()


@pytest.mark.parametrize("fit", ["em", "gradient"])
@pytest.mark.parametrize(("covariance", "theirs"), [("full", "full"), ("diagonal", "diag")])
def test_likelihood_within_a_hundredth_of_scikit_learn(fit: str, covariance: str, theirs: str) -> None:
    x = blobs()
    peer = GaussianMixture(3, covariance_type=theirs, random_state=0, n_init=3).fit(x.numpy())
    ours = mean_log_prob(fitted(x, components=3, covariance=covariance, fit=fit), x)
    assert ours == pytest.approx(peer.score(x.numpy()), rel=0.01)


def test_likelihood_of_real_digits_within_a_hundredth_of_scikit_learn() -> None:
    digits = load_digits().data + np.random.default_rng(0).random((1797, 64))
    x = torch.from_numpy(digits).float()
    std = x.std(0).clamp_min(1e-8)  # the model standardises; scikit-learn's floor must mean the same
    peer = GaussianMixture(10, covariance_type="full", reg_covar=1e-3, random_state=0).fit(
        ((x - x.mean(0)) / std).numpy()
    )
    theirs = peer.score(((x - x.mean(0)) / std).numpy()) - std.log().sum().item()
    ours = mean_log_prob(fitted(x, components=10, covariance="full", variance_floor=1e-3), x)
    assert ours == pytest.approx(theirs, rel=0.01)


@pytest.mark.parametrize("covariance", ["full", "diagonal", "low_rank"])
def test_em_never_lowers_the_likelihood(covariance: str) -> None:
    x = blobs()
    model = GMM(GMMConfig(components=4, covariance=covariance, rank=1), Event((2,), None))
    model.initialise(x, None, torch.Generator().manual_seed(0))
    with torch.no_grad():
        model.means.add_(torch.randn_like(model.means))  # away from the good start
    (player,) = model.players()
    batch = Batch(x, None, Noise(torch.Generator().manual_seed(0), len(x)))
    trace = [mean_log_prob(model, x)]
    for _ in range(20):
        assert player.closed_form is not None
        player.closed_form(batch)
        trace.append(mean_log_prob(model, x))
    assert all(after >= before - 1e-4 for before, after in pairwise(trace))
    assert trace[-1] > trace[0] + 0.1


def test_a_low_rank_covariance_of_full_rank_is_a_full_one() -> None:
    x = torch.randn(500, 4, generator=torch.Generator().manual_seed(0)) @ torch.tensor(
        [[1.0, 0.5, 0, 0], [0, 1, 0.3, 0], [0, 0, 1, 0.9], [0, 0, 0, 0.2]]
    )
    full = mean_log_prob(fitted(x, 3, components=1, covariance="full"), x)
    low = mean_log_prob(fitted(x, 3, components=1, covariance="low_rank", rank=3), x)
    assert low == pytest.approx(full, abs=1e-3)


def test_stepwise_em_on_batches_comes_close_to_em_on_all() -> None:
    x = blobs()
    whole = mean_log_prob(fitted(x, components=3), x)
    model = GMM(GMMConfig(components=3, step_decay=0.6), Event((2,), None))
    model.initialise(x, None, torch.Generator().manual_seed(0))
    (player,) = model.players()
    assert player.closed_form is not None
    for step in range(200):
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:100]
        player.closed_form(Batch(x[rows], None, Noise(torch.Generator().manual_seed(step), 100)))
    assert mean_log_prob(model, x) == pytest.approx(whole, rel=0.02)


def test_stepwise_em_keeps_what_k_means_has_found() -> None:
    """A first step of size 1 would fit the mixture to the first batch alone: here to 20 of 600 examples."""
    x = blobs()
    model = GMM(GMMConfig(components=12, step_decay=0.6, variance_floor=1e-3), Event((2,), None))
    model.initialise(x, None, torch.Generator().manual_seed(0))
    start = mean_log_prob(model, x)
    (player,) = model.players()
    assert player.closed_form is not None
    for step in range(60):
        rows = torch.randperm(len(x), generator=torch.Generator().manual_seed(step))[:20]
        player.closed_form(Batch(x[rows], None, Noise(torch.Generator().manual_seed(step), 20)))
        assert mean_log_prob(model, x) > start - 0.3, step
    assert mean_log_prob(model, x) > start - 0.15


def test_samples_have_the_moments_of_the_data() -> None:
    x = blobs(3000)
    samples = fitted(x, components=3).sample(20_000, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(samples.mean(0), x.mean(0), atol=0.1, rtol=0.05)
    torch.testing.assert_close(samples.T.cov(), x.T.cov(), atol=0.3, rtol=0.05)


def test_classes_share_components_with_weights_of_their_own() -> None:
    x = blobs()
    labels = torch.arange(len(x)) % 3
    model = GMM(GMMConfig(components=3, conditional=True), Event((2,), None, classes=3))
    model.initialise(x, labels, torch.Generator().manual_seed(0))
    (player,) = model.players()
    assert player.closed_form is not None
    for _ in range(40):
        player.closed_form(Batch(x, labels, Noise(torch.Generator().manual_seed(0), len(x))))
    scores = torch.stack([model.log_prob(x, torch.full((len(x),), label)) for label in range(3)], 1)
    assert (scores.argmax(1) == labels).double().mean() > 0.95
