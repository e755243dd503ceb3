"""Every p(x|z) sums to one, is the distribution that it says, stays finite in its tails, and draws what it says."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import (
    AffineTransform,
    Binomial,
    Categorical,
    Normal,
    SigmoidTransform,
    TransformedDistribution,
    Uniform,
)

from models.contract import Event
from models.vae_decoders import (
    BernoulliDecoder,
    CategoricalDecoder,
    DecoderName,
    GaussianDecoder,
    LogisticDecoder,
    likelihood,
)

PIXEL = Event((1, 1, 1), 17)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "discretised_logistic"])
def test_the_mass_of_all_levels_is_one(levels: int, kind: DecoderName) -> None:
    decoder = likelihood(kind, Event((1, 1, 1), levels), variance=0.01)
    x = torch.arange(levels, dtype=torch.float32)[:, None]
    for h in (-9.0, -1.0, 0.0, 0.3, 1.0, 9.0):
        log_mass = decoder.log_prob(torch.full((levels, 1), h), x)
        assert log_mass.exp().sum().item() == pytest.approx(1, abs=1e-4), h


@pytest.mark.parametrize("temperature", [0.5, 0.7, 1.0, 1.5])
@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "discretised_logistic", "categorical"])
def test_temperature_sharpens_the_distribution_of_levels(kind: DecoderName, temperature: float) -> None:
    decoder, n = likelihood(kind, PIXEL, variance=0.05), 200_000
    h = torch.linspace(-1, 1, 17)[None] if kind == "categorical" else torch.tensor([[0.4]])
    mass = decoder.log_masses(h)[0, 0].double()
    torch.testing.assert_close(mass.exp().sum(), torch.tensor(1.0, dtype=torch.float64), atol=1e-5, rtol=0)
    one_each = decoder.log_prob(h.expand(17, -1), torch.arange(17.0)[:, None])
    torch.testing.assert_close(one_each.double(), mass, atol=1e-4, rtol=1e-4)
    u = (torch.arange(n, dtype=torch.float64) + 0.5)[:, None] / n
    drawn = decoder.draw(h.expand(n, -1), u, temperature).long()[:, 0].bincount(minlength=17) / n
    torch.testing.assert_close(drawn.double(), (mass / temperature).softmax(0), atol=2e-4, rtol=0)


def test_temperature_scales_the_deviation_of_vectors() -> None:
    decoder, u = GaussianDecoder(Event((1,), None), variance=0.25), torch.rand(50_000, 1, dtype=torch.float64)
    x = decoder.draw(torch.full((50_000, 1), 3.0), u, temperature=0.5)
    assert x.mean().item() == pytest.approx(3, abs=0.01) and x.std().item() == pytest.approx(0.25, rel=0.02)


@pytest.mark.parametrize("far", [10.0, 300.0, 9_000.0])
def test_gradients_hold_where_a_bin_is_far_from_the_mean(far: float) -> None:
    """The log of the mass between a and b standard deviations, a far out, falls by a for each further one."""
    decoder = GaussianDecoder(Event((1, 1, 1), 256), variance=1e-9)  # a tenth of a bin is the least of its σ
    h = torch.tensor([[0.0]], requires_grad=True)
    with torch.no_grad():
        h.fill_((100 - far * 0.1 - 127.5) / 128)
    decoder.log_prob(h, torch.tensor([[100.0]])).sum().backward()
    assert h.grad is not None
    nearest = far - 0.5 / 0.1
    hazard = nearest + 1 / nearest if nearest > 10 else 5.1865  # φ(5) / Φ(-5)
    assert h.grad.item() == pytest.approx(hazard / 0.1 * 128, rel=2e-3)


def test_a_bernoulli_decoder_of_more_levels_is_a_binomial() -> None:
    decoder, h = BernoulliDecoder(PIXEL), torch.tensor([[0.7]])
    expected = Binomial(16, logits=h[0, 0]).log_prob(torch.arange(17.0))
    torch.testing.assert_close(decoder.log_prob(h.expand(17, 1), torch.arange(17.0)[:, None]), expected)


def test_a_gaussian_decoder_of_integers_has_the_mass_of_their_bins() -> None:
    decoder, h = GaussianDecoder(PIXEL, variance=0.05), torch.tensor([[0.2]])
    normal = Normal(torch.tensor(0.2 * 8.5 + 8, dtype=torch.float64), 0.05**0.5 * 8.5)
    edges = torch.cat([torch.tensor([-math.inf]), torch.arange(16) + 0.5, torch.tensor([math.inf])])
    expected = normal.cdf(edges.double()).diff().log().float()
    ours = decoder.log_prob(h.expand(17, 1), torch.arange(17.0)[:, None])
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("variance", [0.05, 1e-4, None])
def test_a_logistic_decoder_has_the_mass_of_bins_under_a_logistic(variance: float | None) -> None:
    decoder = LogisticDecoder(PIXEL, variance)
    mean, scale = (each.double().detach() for each in decoder._location_scale(torch.tensor([[0.2]])))
    spread = 8.5 * math.sqrt(3 * (variance or 0.1)) / math.pi
    assert scale.item() == pytest.approx(spread + 0.05, rel=1e-5) and mean.item() == pytest.approx(9.7)
    zero, one = torch.zeros(1, dtype=torch.float64), torch.ones(1, dtype=torch.float64)
    logistic = TransformedDistribution(
        Uniform(zero, one), [SigmoidTransform().inv, AffineTransform(mean[0], scale)], validate_args=False
    )
    inner = logistic.cdf(torch.arange(16, dtype=torch.float64)[:, None] + 0.5)[:, 0]
    mass = torch.cat([zero, inner, one]).diff()
    ours = decoder.log_prob(torch.tensor([[0.2]]).expand(17, 1), torch.arange(17.0)[:, None]).double()
    torch.testing.assert_close(ours.exp(), mass, atol=1e-6, rtol=0)
    representable = mass > 1e-12
    torch.testing.assert_close(ours[representable], mass[representable].log(), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("kind", ["gaussian", "discretised_logistic"])
def test_the_tails_of_a_decoder_have_finite_mass_and_gradient(kind: DecoderName) -> None:
    decoder = likelihood(kind, Event((1, 1, 1), 256), variance=1e-6)
    h = torch.tensor([[5.0], [-5.0]], requires_grad=True)
    log_mass = decoder.log_prob(h, torch.tensor([[3.0], [252.0]]))
    log_mass.sum().backward()
    assert log_mass.isfinite().all() and (log_mass < -1000).all()
    assert h.grad is not None and h.grad.isfinite().all() and (h.grad != 0).all()


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "discretised_logistic"])
def test_draws_follow_the_mass(kind: DecoderName) -> None:
    decoder, n, h = likelihood(kind, PIXEL, 0.2), 40_000, 0.4
    u = torch.rand(n, 1, generator=torch.Generator().manual_seed(0))
    drawn = decoder.draw(torch.full((n, 1), h), u)[:, 0]
    frequency = torch.bincount(drawn.long(), minlength=17) / n
    with torch.no_grad():
        mass = decoder.log_prob(torch.full((17, 1), h), torch.arange(17.0)[:, None]).exp()
    torch.testing.assert_close(frequency, mass, atol=0.01, rtol=0)


@pytest.mark.parametrize("levels", [2, 6, 256])
def test_a_categorical_decoder_is_a_categorical_distribution(levels: int) -> None:
    decoder, generator = CategoricalDecoder(Event((1, 1, 2), levels)), torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(1, 2, levels, generator=generator)
    h, x = logits.flatten(1).expand(levels, -1), torch.arange(levels)[:, None]
    one = [Categorical(logits=logits[0, d]).log_prob(torch.arange(levels)) for d in range(2)]
    ours = decoder.log_prob(h, torch.cat([x, x.flip(0)], 1).float())
    torch.testing.assert_close(ours, one[0] + one[1].flip(0))
    everything = torch.cartesian_prod(torch.arange(levels), torch.arange(levels)) if levels < 100 else x.expand(-1, 2)
    mass = decoder.log_prob(logits.flatten(1).expand(len(everything), -1), everything.float()).exp().sum()
    assert mass.item() == pytest.approx(1, abs=1e-5) if levels < 100 else mass.item() < 1
    expected = [(logits[0, d].softmax(0) * torch.arange(levels)).sum() for d in range(2)]
    torch.testing.assert_close(decoder.mean(h)[0], torch.stack(expected))


def test_draws_of_a_categorical_decoder_follow_its_probabilities() -> None:
    decoder, n = CategoricalDecoder(Event((1, 1, 2), 6, ordered=False)), 40_000
    logits = torch.tensor([[2.0, -1.0, 0.0, 0.5, -50.0, 1.0], [-1.0, 3.0, 0.0, 0.0, 1.0, -50.0]])
    u = torch.rand(n, 2, generator=torch.Generator().manual_seed(0))
    drawn = decoder.draw(logits.flatten().expand(n, -1), u).long()
    for d in range(2):
        frequency = torch.bincount(drawn[:, d], minlength=6) / n
        torch.testing.assert_close(frequency, logits[d].softmax(0), atol=0.01, rtol=0)
        assert frequency[4 + d] == 0


@pytest.mark.parametrize("kind", ["bernoulli", "gaussian", "discretised_logistic", "categorical"])
def test_several_codes_of_an_example_are_scored_at_once(kind: DecoderName) -> None:
    decoder, generator = likelihood(kind, Event((1, 1, 2), 17), None), torch.Generator().manual_seed(0)
    h = torch.randn(3, 5, 2 * decoder.outputs, generator=generator)
    x = torch.randint(17, (5, 2), generator=generator).float()
    together = decoder.log_prob(h, x)
    torch.testing.assert_close(together, torch.stack([decoder.log_prob(each, x) for each in h]))


def test_a_learnt_scale_finds_its_way_back_from_far_below_a_bin() -> None:
    decoder = LogisticDecoder(PIXEL, None)
    with torch.no_grad():
        decoder.log_std.fill_(-12.0)
    (-decoder.log_prob(torch.zeros(1, 1), torch.tensor([[12.0]])).sum()).backward()
    assert decoder.log_std.grad is not None and decoder.log_std.grad.item() < 0
