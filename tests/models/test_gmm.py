"""The Gaussian mixture against scikit-learn, and EM against its own promise."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture
from torch.distributions import MultivariateNormal
from torch.utils._python_dispatch import TorchDispatchMode

from models.contract import Batch, Event
from models.gmm import GMM, GMMConfig
from models.gmm_covariances import Full, LowRank
from models.noise import Noise
from pipelines.data.examples import Examples
from pipelines.evaluation.metrics.likelihood import bayes_accuracy
from pipelines.evaluation.metrics.two_sample import two_sample_auc
from pipelines.params.schema import Loop
from pipelines.storage import Folder
from pipelines.training.loop import Part, Training
from pipelines.training.task import Task

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


@pytest.mark.parametrize("covariance", ["diagonal", "low_rank", "full"])
def test_densities_and_samples_are_those_of_the_covariances_written_out(covariance: str) -> None:
    torch.manual_seed(0)
    model = GMM(GMMConfig(components=2, covariance=covariance, rank=2), Event((4,), None)).double()
    for parameter in model.parameters():
        parameter.data = 0.5 * torch.randn_like(parameter)
    of = model.covariances
    if isinstance(of, LowRank):
        sigma = of.factor @ of.factor.mT + (2 * of.log_scale).exp()[:, None, None] * torch.eye(4)
    elif isinstance(of, Full):
        L = of.factor.tril(-1) + torch.diag_embed(of.log_scale.exp())
        sigma = L @ L.mT
    else:
        sigma = torch.diag_embed((2 * of.log_scale).exp())
    y = torch.randn(50, 4, dtype=torch.float64)
    theirs = [MultivariateNormal(mean, each).log_prob(y) for mean, each in zip(model.means, sigma, strict=True)]
    torch.testing.assert_close(of.log_normal(y, model.means), torch.stack(theirs, 1))
    z = torch.randn(200_000, of.noise, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    for k in range(2):
        torch.testing.assert_close(of.deviation(k, z).T.cov(), sigma[k], atol=0.03, rtol=0.02)


class Largest(TorchDispatchMode):
    """The count of numbers of the largest tensor that is made."""

    numel = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor):
            self.numel = max(self.numel, made.numel())
        return made


def test_a_low_rank_is_never_laid_out() -> None:
    """Neither when it is fitted, nor in scores, samples or files: 3,072 numbers squared are 9 million."""
    config = GMMConfig(components=4, covariance="low_rank", rank=3, step_decay=0.6)
    D, n = 3 * 32 * 32, 60
    x = torch.randint(0, 256, (n, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    with Largest() as largest:
        model = GMM(config, Event((3, 32, 32), 256))
        model.initialise(x, None, torch.Generator().manual_seed(0))
        (player,) = model.players()
        assert player.closed_form is not None
        player.closed_form(Batch(x, None, Noise(torch.Generator().manual_seed(0), n)))
        assert torch.isfinite(model.log_prob(x)).all()
        model.sample(n, generator=torch.Generator().manual_seed(0))
    assert largest.numel <= n * 4 * (D + 4)
    assert sum(each.numel() for each in model.state_dict().values()) < 4 * D * 5
    assert sum(each.numel() for each in model.working_state().values()) < 4 * D * 5


@pytest.mark.parametrize("covariance", ["diagonal", "low_rank", "full"])
def test_stepwise_em_that_was_killed_ends_with_the_same_bits(covariance: str, tmp_path: Path) -> None:
    def train(folder: Path, steps: int) -> GMM:
        x = blobs().numpy()
        model = GMM(GMMConfig(components=3, covariance=covariance, rank=1, step_decay=0.6), Event((2,), None))
        model.initialise(torch.from_numpy(x), None, torch.Generator().manual_seed(0))
        task = Task("gmm", model, model.players(), Examples(x, None), lambda: {"objective": 0.0})
        loop = Loop(steps=20, batch_size=50, checkpoint_every=5)
        Training(task, loop, 0, Folder(folder), part=Part(until=steps)).run()
        return model

    whole = train(tmp_path / "whole", 20)
    train(tmp_path / "killed", 10)
    again = train(tmp_path / "killed", 20)
    for name, weights in whole.state_dict().items():
        assert torch.equal(weights, again.state_dict()[name]), name


def test_a_component_without_examples_is_no_failure() -> None:
    x = torch.cat([torch.zeros(20, 3), torch.ones(20, 3)])
    for covariance in ("diagonal", "low_rank", "full"):
        model = fitted(x, 3, components=6, covariance=covariance, rank=2)
        assert torch.isfinite(model.log_prob(x)).all()


SHARES = (0.95, 0.05)


def of_uneven_classes() -> GMM:
    """A perfect model of two classes of 95 and 5 in a hundred: N(0, I) and N(4, I)."""
    model = GMM(GMMConfig(components=2, conditional=True, covariance="diagonal"), Event((2,), None, 2, shares=SHARES))
    with torch.no_grad():
        model.means.copy_(torch.tensor([[0.0, 0.0], [4.0, 4.0]]))
        model.logits.copy_(1e3 * torch.eye(2))
    return model


def real_of_uneven_classes(n: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(7)
    labels = (torch.rand(n, generator=generator) < SHARES[1]).long()
    return 4.0 * labels[:, None] + torch.randn(n, 2, generator=generator), labels


def test_classes_are_drawn_and_summed_by_their_shares() -> None:
    """A perfect model cannot be told from the data: the AUC was 0.73 with as many samples of each class."""
    model, (x, labels) = of_uneven_classes(), real_of_uneven_classes(4000)
    samples = model.sample(4000, generator=torch.Generator().manual_seed(0))
    assert abs(two_sample_auc(samples.detach().numpy(), x.numpy(), 0) - 0.5) < 0.03
    even = model.sample(4000, labels=torch.arange(4000) % 2, generator=torch.Generator().manual_seed(0))
    assert two_sample_auc(even.detach().numpy(), x.numpy(), 0) > 0.65
    normal = MultivariateNormal(torch.zeros(2), torch.eye(2))
    p = SHARES[0] * normal.log_prob(x).exp() + SHARES[1] * normal.log_prob(x - 4).exp()
    torch.testing.assert_close(model.log_prob(x), p.log())
    between = torch.full((1, 2), 2.0)  # as likely by both, were they even
    assert model.joint(model.log_prob_by_class(between)).softmax(1)[0].tolist() == pytest.approx(SHARES, abs=1e-5)
    assert bayes_accuracy(model.joint(model.log_prob_by_class(x)), labels) > 0.995


def test_probabilities_that_are_tiny_do_not_underflow() -> None:
    assert torch.isfinite(of_uneven_classes().log_prob(torch.full((1, 2), 100.0))).all()
