"""What is missing of an example, drawn by a mixture given what is known: Gaussians against their closed form."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from models.contract import Event
from models.gmm import GMM, GMMConfig
from models.gmm_covariances import Diagonal, Full, LowRank

from .cases import IMAGE, examples
from .test_table_rows import EVENT, rows

COVARIANCES = ["diagonal", "full", "low_rank"]
VECTOR = Event((4,), None, 3, shares=(0.5, 0.3, 0.2))
TABLE = replace(EVENT, classes=3)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def mixture(covariance: str, event: Event = VECTOR, **options: Any) -> GMM:
    """A mixture with weights of chance."""
    torch.manual_seed(0)
    model = GMM(GMMConfig(**{"components": 3, "covariance": covariance, "rank": 2, **options}), event).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.5 * torch.randn(weight.shape, generator=seeded(weight.numel())))
    return model


def sigmas(model: GMM) -> Tensor:
    """Σ_k (K, D, D) written out."""
    of = model.covariances
    if isinstance(of, LowRank):
        noise = (2 * of.log_scale).exp()[:, None, None] * torch.eye(of.factor.shape[1])
        return (of.factor @ of.factor.mT + noise).double()
    if isinstance(of, Full):
        tril = of.factor.tril(-1) + torch.diag_embed(of.log_scale.exp())
        return (tril @ tril.mT).double()
    assert isinstance(of, Diagonal)
    return torch.diag_embed((2 * of.log_scale).exp()).double()


def given(model: GMM, x: Tensor, places: list[int]) -> tuple[Tensor, Tensor, Tensor]:
    """p(k | x_c) (K,), and of each component the mean (K, M) and covariance (K, M, M) of the rest, by the textbook."""
    rest = [d for d in range(len(x)) if d not in places]
    mu, sigma, x = model.means.double(), sigmas(model), x.double()
    S_cc, S_mc, S_mm = sigma[:, places][:, :, places], sigma[:, rest][:, :, places], sigma[:, rest][:, :, rest]
    log_p = model.logits.double().log_softmax(1)[0] + MultivariateNormal(mu[:, places], S_cc).log_prob(x[places])
    gain = S_mc @ torch.linalg.inv(S_cc)
    mean = mu[:, rest] + (gain @ (x[places] - mu[:, places])[:, :, None])[:, :, 0]
    return log_p.softmax(0), mean, S_mm - gain @ S_mc.mT


@torch.no_grad()
@pytest.mark.parametrize("covariance", COVARIANCES)
@pytest.mark.parametrize("places", [[0], [1, 3], [0, 2, 3]])
def test_conditionals_of_gaussians_are_those_of_the_textbook(covariance: str, places: list[int]) -> None:
    model, n = mixture(covariance), 60_000
    x = torch.tensor([0.4, -0.3, 0.8, 0.1])
    known = torch.zeros(4, dtype=torch.bool)
    known[places] = True
    assert model.completes_exactly(known)
    drawn = model.complete(x.expand(n, -1), known, generator=seeded())
    assert torch.equal(drawn[:, places], x[places].expand(n, -1))
    p, mean, sigma = given(model, x, places)
    rest = drawn[:, ~known].double()
    expected = p @ mean
    spread = torch.einsum("k,kij->ij", p, sigma + mean[:, :, None] * mean[:, None]) - expected[:, None] * expected
    torch.testing.assert_close(rest.mean(0), expected, atol=4 * math.sqrt(spread.diagonal().max() / n), rtol=0)
    torch.testing.assert_close(rest.T.cov().view_as(spread), spread, atol=0.04 * spread.abs().max().item(), rtol=0)


@torch.no_grad()
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_the_marginals_are_those_of_the_covariances_written_out(covariance: str) -> None:
    model, places = mixture(covariance), [2, 0]
    y = torch.randn(50, 4, generator=seeded(), dtype=torch.float64)
    known = torch.tensor([True, False, True, False]).expand(50, -1)
    normal = MultivariateNormal(model.means.double()[:, places], sigmas(model)[:, places][:, :, places])
    expected = normal.log_prob(y[:, None, places])
    torch.testing.assert_close(model.components.log_density_of_known(y, known), expected)


@torch.no_grad()
@pytest.mark.parametrize("covariance", COVARIANCES)
def test_unknown_labels_are_drawn_from_what_is_known(covariance: str) -> None:
    """The components are drawn by Σ_label p(label | x_c) p(k | label, x_c), which a known label changes."""
    model, n = mixture(covariance, conditional=True), 60_000
    model.logits.copy_(torch.tensor([[2.0, 0.0, 0.0], [0.0, 3.0, 0.0], [0.0, 0.0, 4.0]]))
    x, known = torch.tensor([0.4, 0.0, 0.0, 0.0]), torch.tensor([True, False, False, False])
    mu, sigma = model.means.double()[:, 0], sigmas(model)[:, 0, 0]
    log_p = torch.distributions.Normal(mu, sigma.sqrt()).log_prob(x[0].double())
    joint = torch.tensor(VECTOR.shares).double()[:, None] * model.logits.double().softmax(1) * log_p.exp()
    for labels, weights in ((None, joint.sum(0)), (torch.full((n,), 2), joint[2])):
        gain = (sigmas(model)[:, :, 0] / sigma[:, None])[:, 1:]
        mean = model.means.double()[:, 1:] + gain * (x[0] - mu)[:, None]
        drawn = model.complete(x.expand(n, -1), known, labels, generator=seeded())[:, 1:].double()
        torch.testing.assert_close(drawn.mean(0), (weights / weights.sum()) @ mean, atol=0.04, rtol=0)


CASES = [(covariance, event) for covariance in COVARIANCES for event in (VECTOR, IMAGE, TABLE)]


@torch.no_grad()
@pytest.mark.parametrize("conditional", [False, True])
@pytest.mark.parametrize(("covariance", "event"), CASES, ids=[f"{c}-{e.kind}" for c, e in CASES])
def test_completions_keep_what_is_known(covariance: str, event: Event, conditional: bool) -> None:
    model = mixture(covariance, event, conditional=conditional)
    x = rows(5) if event is TABLE else examples(event, 5)[0]
    known = torch.rand(5, *event.shape, generator=seeded(1)) < 0.5
    completed = model.complete(x, known, generator=seeded())
    assert completed.dtype == x.dtype and same(completed[known], x[known])
    assert not same(completed, x) and not same(completed, model.complete(x, known, generator=seeded(1)))
    parts = [model.complete(x[i : i + 1], known[i : i + 1], generator=g) for g in [seeded()] for i in range(5)]
    torch.testing.assert_close(torch.cat(parts), completed, equal_nan=True)
    filler = torch.full_like(x, math.nan if event.levels is None else 255)
    assert same(model.complete(torch.where(known, x, filler), known, generator=seeded()), completed)
    nothing = torch.zeros(event.shape, dtype=torch.bool)
    assert same(model.complete(x, nothing, generator=seeded()), model.sample(5, generator=seeded()))
    assert same(model.complete(x, ~nothing, generator=seeded()), x)
    exact = model.bound is None
    assert model.completes_exactly(nothing) and model.completes_exactly(~nothing)
    assert model.completes_exactly(known) == exact


def same(x: Tensor, other: Tensor) -> bool:
    return torch.equal(x.float().nan_to_num(-1), other.float().nan_to_num(-1))


@torch.no_grad()
@pytest.mark.parametrize("covariance", ["full", "low_rank"])
def test_what_is_known_of_an_image_decides_what_is_drawn(covariance: str) -> None:
    """Two numbers that are always equal: the middle of a bin is near enough."""
    event = Event((1, 1, 2), 256)
    x = (torch.randn(2000, 1, generator=seeded()) * 40 + 128).clamp(0, 255).round().byte().expand(-1, 2)
    model = GMM(GMMConfig(components=2, covariance=covariance, rank=1, variance_floor=1e-6), event)
    model.initialise(x.reshape(-1, 1, 1, 2), None, seeded())
    known = torch.tensor([[[True, False]]])
    drawn = model.complete(x[:300].reshape(-1, 1, 1, 2), known, generator=seeded())
    assert (drawn[..., 1].int() - x[:300, 0, None, None].int()).abs().double().mean() < 2
