"""The VAE's likelihoods sum to one, its KL is that of torch.distributions, its bound tightens to the truth."""

from __future__ import annotations

import math

import pytest
import torch
from torch.distributions import Binomial, Categorical, Normal, kl_divergence

from models.contract import Event
from models.vae import VAE, BernoulliDecoder, CategoricalDecoder, GaussianDecoder, VAEConfig

from .families import IMAGE, PALETTE, VECTOR, batch, examples

PIXEL = Event((1, 1, 1), 17)


@pytest.mark.parametrize("levels", [2, 17, 256])
@pytest.mark.parametrize("kind", ["bernoulli", "gaussian"])
def test_the_mass_of_all_levels_is_one(levels: int, kind: str) -> None:
    event = Event((1, 1, 1), levels)
    decoder = BernoulliDecoder(event) if kind == "bernoulli" else GaussianDecoder(event, variance=0.01)
    x = torch.arange(levels, dtype=torch.float32)[:, None]
    for h in (-9.0, -1.0, 0.0, 0.3, 1.0, 9.0):
        log_mass = decoder.log_prob(torch.full((levels, 1), h), x)
        assert log_mass.exp().sum().item() == pytest.approx(1, abs=1e-4), h


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


def test_the_tails_of_a_gaussian_decoder_have_finite_mass_and_gradient() -> None:
    decoder = GaussianDecoder(Event((1, 1, 1), 256), variance=1e-6)
    h = torch.tensor([[5.0], [-5.0]], requires_grad=True)
    log_mass = decoder.log_prob(h, torch.tensor([[3.0], [252.0]]))
    log_mass.sum().backward()
    assert log_mass.isfinite().all() and (log_mass < -1000).all()
    assert h.grad is not None and h.grad.isfinite().all() and (h.grad != 0).all()


@pytest.mark.parametrize("decoder", [BernoulliDecoder(PIXEL), GaussianDecoder(PIXEL, 0.2)])
def test_draws_follow_the_mass(decoder: BernoulliDecoder | GaussianDecoder) -> None:
    n, h = 40_000, 0.4
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


def test_names_are_decoded_to_the_most_probable_and_encoded_one_by_one() -> None:
    decoder = CategoricalDecoder(Event((1, 1, 1), 3, ordered=False))
    assert decoder.mean(torch.tensor([[2.0, 0.0, 1.9]])).tolist() == [[0.0]]  # whose expectation is near 1
    torch.manual_seed(0)
    model = VAE(VAEConfig(latent=3, hidden=[8], decoder="categorical"), PALETTE)
    first = model.encoder[0]
    assert first.in_features == 16 * 6
    x, _ = examples(PALETTE, 5)
    hot = torch.nn.functional.one_hot(x[:, 0].long(), 6).permute(0, 3, 1, 2).flatten(1).float()
    torch.testing.assert_close(model.encode(x), model.encoder(hot)[:, :3])


def test_renaming_the_levels_of_a_palette_changes_nothing() -> None:
    """A model of names may know no order: permuted levels with permuted weights have the same likelihood."""
    torch.manual_seed(0)
    model = VAE(VAEConfig(latent=3, hidden=[8], decoder="categorical", importance_samples=4), PALETTE)
    x, _ = examples(PALETTE, 7)
    before, order = model.log_prob(x), torch.tensor([3, 1, 5, 0, 2, 4])
    with torch.no_grad():
        last, first = model.decoder[-1], model.encoder[0]
        for part in (last.weight, last.bias):
            part.copy_(part.unflatten(0, (16, 6))[:, order.argsort()].flatten(0, 1))
        first.weight.copy_(first.weight.unflatten(1, (6, 16))[:, order.argsort()].flatten(1))
    torch.testing.assert_close(model.log_prob(order[x.long()]), before)


def test_the_rate_is_the_kl_to_the_prior() -> None:
    model = VAE(VAEConfig(latent=3, hidden=[8]), IMAGE)
    drawn = batch(IMAGE)
    mean, log_std = model.posterior(drawn.x, None)
    expected = kl_divergence(Normal(mean, log_std.exp()), Normal(0.0, 1.0)).sum(1)
    torch.testing.assert_close(model.distortion_and_rate(drawn)[1], expected)


def test_the_kl_weight_weighs_the_rate() -> None:
    losses = []
    for weight in (0.0, 1.0, 3.0):
        torch.manual_seed(0)
        model = VAE(VAEConfig(latent=3, hidden=[8], kl_weight=weight), IMAGE)
        (player,) = model.players()
        losses.append(player.loss(batch(IMAGE)).item())
    torch.manual_seed(0)
    _, rate = VAE(VAEConfig(latent=3, hidden=[8]), IMAGE).distortion_and_rate(batch(IMAGE))
    assert losses[1] - losses[0] == pytest.approx(rate.mean().item() / 64, rel=1e-3)
    assert losses[2] - losses[0] == pytest.approx(3 * rate.mean().item() / 64, rel=1e-3)


class _Linear(torch.nn.Module):
    """A network that is a fixed linear map."""

    def __init__(self, matrix: torch.Tensor, bias: torch.Tensor) -> None:
        super().__init__()
        self.matrix, self.bias = matrix, bias

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.matrix.T + self.bias


def test_the_bound_rises_with_k_to_the_likelihood_of_a_linear_gaussian_model() -> None:
    """With x = W z + ε, everything is Gaussian: x ~ N(0, W Wᵀ + σ² I). The encoder is left far from the posterior."""
    W, variance = torch.tensor([[1.0, 0.4], [0.2, -0.8]]), 0.3
    truth = torch.distributions.MultivariateNormal(torch.zeros(2), W @ W.T + variance * torch.eye(2))
    x = truth.sample((200,))
    bounds = []
    for samples in (1, 10, 2000):
        config = VAEConfig(latent=2, hidden=[4], decoder="gaussian", variance=variance, importance_samples=samples)
        model = VAE(config, VECTOR)
        model.decoder = _Linear(W, torch.zeros(2))  # type: ignore[assignment]
        model.encoder = _Linear(torch.cat([0.5 * W.T, torch.zeros(2, 2)]), torch.zeros(4))  # type: ignore[assignment]
        bounds.append(model.log_prob(x).mean().item())
    exact = truth.log_prob(x).mean().item()
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.02
    assert bounds[2] == pytest.approx(exact, abs=0.02)


def test_diagnostics_add_up_to_the_bound() -> None:
    model = VAE(VAEConfig(latent=3, hidden=[8]), IMAGE).eval()
    with torch.no_grad():
        numbers = model.diagnostics(batch(IMAGE))
        (player,) = model.players()
        loss = player.loss(batch(IMAGE)).item() * 64
    assert numbers["distortion"] + numbers["rate"] == pytest.approx(loss, rel=1e-4)
    assert 0 <= numbers["active_units"] <= 3


def test_decoded_means_are_in_the_units_of_the_data() -> None:
    for decoder in ("bernoulli", "gaussian", "categorical"):
        model = VAE(VAEConfig(latent=3, hidden=[8], decoder=decoder), IMAGE)
        mean = model.decode(model.encode(examples(IMAGE, 4)[0]))
        assert (mean >= 0).all() and (mean <= 16).all()
