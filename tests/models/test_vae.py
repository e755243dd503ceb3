"""The VAE's KL is that of torch.distributions, its bounds tighten to the truth, its posteriors are what they say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.distributions import MultivariateNormal, Normal, kl_divergence

import models.vae
from models.contract import Batch, Event, UnsuitableEvent
from models.layers.coders import MLP, Coder, ConvolutionalDecoder
from models.noise import Noise
from models.vae import VAE, Posterior, VAEConfig
from models.vae_decoders import CategoricalDecoder

from .cases import COLOUR, IMAGE, PALETTE, SEQUENCE, VECTOR, Case, batch, examples, refused

SMALL: dict[str, Any] = {"latent": 3, "hidden": [8], "width": 4, "importance_samples": 4, "decoder": "gaussian"}
VARIANTS = [
    Case("vae", IMAGE, {"decoder": "bernoulli"}),
    Case("vae", IMAGE, {"decoder": "categorical"}),
    Case("vae", IMAGE, {"variance": 0.1}),
    Case("vae", IMAGE, {"decoder": "discretised_logistic", "posterior": "iaf", "iaf_hidden": [6]}),
    Case("vae", VECTOR, {"posterior": "iaf", "iaf_hidden": [6], "conditional": True}),
    Case("vae", COLOUR, {"architecture": "convolutional", "conditional": True}),
    Case("vae", PALETTE, {"architecture": "convolutional", "decoder": "categorical"}),
    Case("vae", IMAGE, {"decoder": "bernoulli", "training_samples": 3}),
    Case("vae", IMAGE, {"free_bits": 0.5}),
]


def needed(event: Event) -> dict[str, Any]:
    return {} if event.ordered else {"decoder": "categorical"}


MNIST, CIFAR = Event((1, 28, 28), 2, 10), Event((3, 32, 32), 256, 10)


def small(event: Event = IMAGE, **options: Any) -> VAE:
    """A small VAE, always the same."""
    torch.manual_seed(0)
    return VAE(VAEConfig(**{"latent": 3, "hidden": [8], "importance_samples": 4, **options}), event)


def linear(network: Coder, layer: int) -> torch.nn.Linear:
    """A linear layer of an MLP."""
    assert isinstance(network, MLP)
    found = network.layers[layer]
    assert isinstance(found, torch.nn.Linear)
    return found


def loss(model: VAE, drawn: Batch) -> float:
    """The training loss in nats per example."""
    (player,) = model.players()
    return player.loss(drawn).item() * model.event.dimensions


class Linear(Coder):
    """A network that is a fixed linear map."""

    def __init__(self, matrix: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.matrix, self.bias = matrix, bias

    def forward(self, rows: Tensor, context: Tensor | None) -> Tensor:
        return rows.flatten(1).to(self.matrix) @ self.matrix.T + self.bias


def test_names_are_decoded_to_the_most_probable_and_encoded_one_by_one() -> None:
    decoder = CategoricalDecoder(Event((1, 1, 1), 3, ordered=False))
    assert decoder.mean(torch.tensor([[2.0, 0.0, 1.9]])).tolist() == [[0.0]]  # whose expectation is near 1
    model = small(PALETTE, decoder="categorical")
    assert linear(model.encoder, 0).in_features == 16 * 6
    x, _ = examples(PALETTE, 5)
    hot = torch.nn.functional.one_hot(x[:, 0].long(), 6).permute(0, 3, 1, 2).flatten(1).float()
    torch.testing.assert_close(model.encode(x), model.encoder(hot, None)[:, :3])


def test_renaming_the_levels_of_a_palette_changes_nothing() -> None:
    """A model of names may know no order: permuted levels with permuted weights have the same likelihood."""
    model = small(PALETTE, decoder="categorical")
    x, _ = examples(PALETTE, 7)
    before, order = model.log_prob(x), torch.tensor([3, 1, 5, 0, 2, 4])
    with torch.no_grad():
        last, first = linear(model.decoder, -1), linear(model.encoder, 0)
        for part in (last.weight, last.bias):
            part.copy_(part.unflatten(0, (16, 6))[:, order.argsort()].flatten(0, 1))
        first.weight.copy_(first.weight.unflatten(1, (6, 16))[:, order.argsort()].flatten(1))
    torch.testing.assert_close(model.log_prob(order[x.long()]), before)


def test_the_rate_is_the_kl_to_the_prior() -> None:
    model, drawn = small(), batch(IMAGE)
    posterior = model.posterior(drawn.x, None)
    expected = kl_divergence(Normal(posterior.mean, posterior.log_std.exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(model.distortion_and_rate(drawn)[1], expected.sum(1))
    torch.testing.assert_close(model._distortion_and_rates(batch(IMAGE))[1], expected)


def test_the_kl_weight_weighs_the_rate() -> None:
    without, with_it, thrice = (loss(small(kl_weight=weight), batch(IMAGE)) for weight in (0.0, 1.0, 3.0))
    rate = small().distortion_and_rate(batch(IMAGE))[1].mean().item()
    assert with_it - without == pytest.approx(rate, rel=1e-3)
    assert thrice - without == pytest.approx(3 * rate, rel=1e-3)


def known_rates(**options: Any) -> VAE:
    """A VAE whose KL per dimension is ½, 0 and 0.005 whatever the example."""
    model = small(**options)
    model.encoder = Linear(torch.zeros(6, 64), torch.tensor([1.0, 0.0, 0.1, 0.0, 0.0, 0.0]))
    return model


@pytest.mark.parametrize(("nats", "rate"), [(0.0, 0.505), (0.2, 0.9), (0.003, 0.508), (1.0, 3.0)])
def test_free_bits_cost_what_is_above_them(nats: float, rate: float) -> None:
    paid = loss(known_rates(free_bits=nats), batch(IMAGE)) - loss(known_rates(kl_weight=0.0), batch(IMAGE))
    assert paid == pytest.approx(rate, abs=1e-3)


def test_free_bits_are_counted_on_average_over_the_batch() -> None:
    """Two kinds of examples, of 0 and ½ nats: ¼ on average, so that 0.3 nats are not used up by either."""
    model = small(Event((1,), None), latent=1, free_bits=0.3, decoder="gaussian")
    model.encoder = Linear(torch.tensor([[1.0], [0.0]]), torch.zeros(2))
    x = torch.tensor([[0.0], [1.0]])
    drawn = Batch(x, None, Noise(torch.Generator().manual_seed(0), 2))
    distortion, rate = model.distortion_and_rate(replace(drawn, noise=Noise(torch.Generator().manual_seed(0), 2)))
    assert rate.tolist() == [0.0, 0.5]
    assert loss(model, drawn) == pytest.approx(distortion.mean().item() + 0.3, rel=1e-5)


@pytest.mark.parametrize(("step", "share"), [(0, 0.0), (3, 0.3), (10, 1.0), (25, 1.0)])
def test_the_kl_weight_warms_up(step: int, share: float) -> None:
    model, drawn = known_rates(kl_weight=2.0, kl_warmup_steps=10), replace(batch(IMAGE), step=torch.tensor(step))
    paid = loss(model, drawn) - loss(known_rates(kl_weight=0.0), batch(IMAGE))
    assert paid == pytest.approx(share * 2 * 0.505, abs=1e-3)


@pytest.mark.parametrize("posterior", ["diagonal", "iaf"])
def test_the_bound_rises_with_k_to_the_likelihood_of_a_linear_gaussian_model(posterior: str) -> None:
    """With x = W z + ε, everything is Gaussian: x ~ N(0, W Wᵀ + σ² I). The encoder is left far from the posterior."""
    W, variance = torch.tensor([[1.0, 0.4], [0.2, -0.8]], dtype=torch.float64), 0.3
    truth = MultivariateNormal(torch.zeros(2, dtype=torch.float64), W @ W.T + variance * torch.eye(2))
    torch.manual_seed(0)
    x, bounds = truth.sample((200,)), []
    for samples in (1, 10, 2000):
        options = {"decoder": "gaussian", "variance": variance, "posterior": posterior, "iaf_hidden": [4]}
        model = small(VECTOR, latent=2, importance_samples=samples, **options).double()
        model.decoder = Linear(W, torch.zeros(2))
        outputs = 4 if posterior == "diagonal" else 8
        model.encoder = Linear(torch.cat([0.5 * W.T, W.new_zeros(outputs - 2, 2)]), torch.zeros(outputs))
        with torch.no_grad():
            bounds.append(model.log_prob(x).mean().item())
    exact = truth.log_prob(x).mean().item()
    assert bounds[0] < bounds[1] < bounds[2] < exact + 0.02
    assert bounds[2] == pytest.approx(exact, abs=0.02)


def test_the_bound_is_that_of_torch_distributions_however_it_is_streamed(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small(importance_samples=37, decoder="bernoulli").eval()
    drawn, noise = batch(IMAGE, 6), Noise(torch.Generator().manual_seed(0), 6)
    posterior = model.posterior(drawn.x, None)
    q = Normal(posterior.mean, posterior.log_std.exp())
    terms = []
    for _ in range(37):
        z = q.mean + q.stddev * noise.normal(3)
        log_x = model.likelihood.log_prob(model.decoder(z, None), drawn.x.flatten(1).float())
        terms.append(log_x + (Normal(0.0, 1.0).log_prob(z) - q.log_prob(z)).sum(1))
    expected = torch.stack(terms).logsumexp(0) - math.log(37)
    for rows in (1, 13, 60, 10_000):
        monkeypatch.setattr(models.vae, "ROWS", rows)
        torch.testing.assert_close(model.log_likelihood(batch(IMAGE, 6)), expected)


def test_the_decoder_never_sees_more_rows_at_once_than_memory_is_meant_for(monkeypatch: pytest.MonkeyPatch) -> None:
    model, seen = small(importance_samples=100).eval(), []
    model.decoder.register_forward_hook(lambda _module, _inputs, outputs: seen.append(len(outputs)))
    monkeypatch.setattr(models.vae, "ROWS", 64)
    model.log_prob(examples(IMAGE, 10)[0])
    assert max(seen) == 60 and sum(seen) == 1000


def test_more_codes_go_on_where_fewer_stopped() -> None:
    x, generator = examples(IMAGE, 5)[0], torch.Generator().manual_seed(1)
    first, then = (small().log_prob(x, generator=generator) for _ in range(2))
    together = small(importance_samples=8).log_prob(x, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(together, torch.logaddexp(first, then) - math.log(2))


def test_training_with_more_codes_raises_the_importance_weighted_bound() -> None:
    model = small(training_samples=4)
    expected = small(importance_samples=4).log_likelihood(batch(IMAGE)).mean().item()
    assert loss(model, batch(IMAGE)) == pytest.approx(-expected, rel=1e-5)
    assert loss(model, batch(IMAGE)) != pytest.approx(loss(small(), batch(IMAGE)), rel=1e-5)


@pytest.mark.parametrize("options", [{"kl_weight": 0.5}, {"kl_warmup_steps": 5}, {"free_bits": 0.1}])
def test_the_importance_weighted_bound_has_no_rate_to_weigh(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=rf"training_samples[\s\S]*leave out {next(iter(options))}"):
        VAEConfig(training_samples=2, **options)
    VAEConfig(training_samples=1, **options)


def iaf(latent: int, jitter: float) -> VAE:
    """A VAE of an IAF posterior in float64, its weights far from their careful start."""
    model = small(VECTOR, latent=latent, posterior="iaf", iaf_blocks=3, iaf_hidden=[7], decoder="gaussian").double()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(jitter * torch.randn(parameter.shape, generator=generator, dtype=torch.float64))
    return model


def test_the_density_of_an_iaf_posterior_is_that_of_its_jacobian() -> None:
    model, noise = iaf(4, 0.5), torch.tensor([[0.3, -1.2, 0.8, 2.0]], dtype=torch.float64)
    posterior = model.posterior(examples(VECTOR, 1)[0].double(), None)
    z, gap = model._codes(posterior, noise)
    slope = jacobian(lambda u: model._codes(posterior, u[None])[0][0], noise[0])
    assert not torch.equal(slope, slope.tril()) and not torch.equal(slope, slope.triu())
    expected = Normal(0.0, 1.0).log_prob(noise).sum() - slope.slogdet().logabsdet
    torch.testing.assert_close(gap.sum() + Normal(0.0, 1.0).log_prob(z).sum(), expected)


def inverse(model: VAE, posterior: Posterior, z: Tensor) -> Tensor:
    """The noise ε (M, 2) that becomes z (M, 2), dimension by dimension of each step."""
    assert model.iaf is not None and posterior.h is not None
    for block in reversed(range(len(model.iaf.mades))):
        before = torch.zeros_like(z)
        for i in (0, 1) if block % 2 == 0 else (1, 0):
            m, logit = model.iaf.mades[block](before, posterior.h.expand(len(z), -1)).unbind(-1)
            sigma = torch.sigmoid(logit + model.iaf.START)
            before[:, i] = ((z - m) / sigma + m)[:, i]
        z = before
    return (z - posterior.mean) / posterior.log_std.exp()


def test_an_iaf_posterior_integrates_to_one() -> None:
    model = iaf(2, 0.25)
    side = torch.linspace(-6, 6, 301, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        posterior = model.posterior(examples(VECTOR, 1)[0].double(), None)
        z, gap = model._codes(posterior, inverse(model, posterior, grid)[:, None])
        torch.testing.assert_close(z[:, 0], grid)
        density = (gap.sum(-1)[:, 0] + Normal(0.0, 1.0).log_prob(grid).sum(1)).exp()
    assert density.sum().item() * (side[1] - side[0]).item() ** 2 == pytest.approx(1, abs=1e-3)


def test_the_rate_of_an_iaf_posterior_is_right_on_average() -> None:
    """The steps at rest (m = 0, σ = const) leave a Gaussian, whose KL is known."""
    model = small(posterior="iaf", iaf_blocks=2, iaf_hidden=[5])
    with torch.no_grad():
        for parameter in model.iaf.parameters():  # type: ignore[union-attr]
            parameter.zero_()
    x = examples(IMAGE, 1)[0].expand(20_000, 1, 8, 8)
    drawn = Batch(x, None, Noise(torch.Generator().manual_seed(0), 20_000))
    with torch.no_grad():
        posterior, shrink = model.posterior(x[:1], None), torch.sigmoid(torch.tensor(1.5)).item() ** 2
        gaussian = Normal(shrink * posterior.mean, shrink * posterior.log_std.exp())
        expected = kl_divergence(gaussian, Normal(0.0, 1.0)).sum().item()
        assert model.distortion_and_rate(drawn)[1].mean().item() == pytest.approx(expected, rel=0.03)


def test_diagnostics_add_up_to_the_bound() -> None:
    model = small().eval()
    with torch.no_grad():
        numbers = model.diagnostics(batch(IMAGE))
        assert numbers["distortion"] + numbers["rate"] == pytest.approx(loss(model, batch(IMAGE)), rel=1e-4)
    assert 0 <= numbers["active_units"] <= 3


@pytest.mark.parametrize("posterior", ["diagonal", "iaf"])
def test_a_collapsed_posterior_is_noticed(posterior: str) -> None:
    """So dear a rate is never worth paying; a cheap one is."""
    found = {}
    for weight in (100.0, 0.01):
        model = small(VECTOR, latent=2, decoder="gaussian", kl_weight=weight, posterior=posterior, iaf_hidden=[8])
        optimiser, noise = torch.optim.Adam(model.parameters(), 1e-2), torch.Generator().manual_seed(0)
        x = torch.randn(64, 1, generator=noise) * torch.tensor([1.0, -1.0])
        for _ in range(60):
            optimiser.zero_grad()
            model.players()[0].loss(Batch(x, None, Noise(noise, 64))).backward()
            optimiser.step()
        with torch.no_grad():
            found[weight] = model.diagnostics(Batch(x, None, Noise(noise, 64)))
        concerns = model.concerns(found[weight])
        assert len(concerns) == (weight > 1)
    assert found[100.0]["active_units"] == 0 and found[0.01]["active_units"] >= 1
    assert found[100.0]["rate"] < 0.05 < found[0.01]["rate"]


def test_a_concern_says_how_many_units_are_inactive() -> None:
    model = small(latent=16)
    assert model.concerns({"active_units": 8.0}) == [] and model.concerns({}) == []
    (sentence,) = model.concerns({"active_units": 7.0})
    assert sentence.startswith("posterior collapse: 9 of 16 latent units are inactive")
    for remedy in ("kl_weight", "kl_warmup_steps", "free_bits"):
        assert remedy in sentence


def test_features_without_labels_average_the_codes_of_all_labels() -> None:
    model = small(VECTOR, decoder="gaussian", conditional=True).eval()
    x = examples(VECTOR, 5)[0]
    codes = torch.stack([model.encode(x, torch.full((5,), label)) for label in range(3)])
    assert not torch.allclose(codes[0], codes[1])
    torch.testing.assert_close(model.features(x), codes.mean(0))
    torch.testing.assert_close(small().features(batch(IMAGE).x), small().encode(batch(IMAGE).x))


@pytest.mark.parametrize("event", [IMAGE, MNIST, CIFAR, COLOUR], ids=str)
def test_convolutions_know_images_of_every_size(event: Event) -> None:
    model = small(event, architecture="convolutional", width=4, conditional=True, decoder="categorical").eval()
    x, labels = examples(event, 2)
    with torch.no_grad():
        z = model.encode(x, labels)
        assert z.shape == (2, 3) and model.decode(z, labels).shape == x.shape
        assert not torch.equal(z, model.encode(x, (labels + 1) % 10))
        assert not torch.equal(model.decode(z, labels), model.decode(z, (labels + 1) % 10))
        assert model.log_prob(x, labels).isfinite().all()
        assert model.sample(2, labels).shape == x.shape


def test_the_outputs_of_convolutions_are_in_the_order_of_the_numbers_of_an_example() -> None:
    network = ConvolutionalDecoder(COLOUR, latent=2, classes=0, width=4, outputs=5)
    last = network.layers[-1]
    assert isinstance(last, torch.nn.ConvTranspose2d) and last.bias is not None
    with torch.no_grad():
        last.weight.zero_()
        last.bias.copy_(torch.arange(15))  # channel after channel, of each its five outputs
        h = network(torch.zeros(1, 2), None).view(3, 4, 4, 5)
    torch.testing.assert_close(h, torch.arange(15.0).view(3, 1, 1, 5).expand(3, 4, 4, 5))


@pytest.mark.parametrize("event", [VECTOR, SEQUENCE, Event((1, 7, 8), 2), Event((1, 2, 2), 2)], ids=str)
def test_convolutions_need_images_that_can_be_halved(event: Event) -> None:
    with pytest.raises(UnsuitableEvent, match=r"^architecture: convolutional needs images .* mlp takes every event$"):
        small(event, architecture="convolutional", decoder="gaussian")


@pytest.mark.parametrize("decoder", ["bernoulli", "gaussian", "discretised_logistic", "categorical"])
def test_decoded_means_are_in_the_units_of_the_data(decoder: str) -> None:
    model = small(decoder=decoder)
    mean = model.decode(10 * model.encode(examples(IMAGE, 4)[0]))
    assert (mean >= 0).all() and (mean <= 16).all()


def test_decoders_are_refused_where_they_make_no_sense() -> None:
    for decoder in ("bernoulli", "categorical", "discretised_logistic"):
        refused("vae", VECTOR, "gaussian", decoder=decoder)
    for decoder in ("bernoulli", "discretised_logistic", "gaussian"):
        refused("vae", PALETTE, r"names.*categorical", decoder=decoder)


def test_the_bound_on_the_plane_has_at_most_unit_mass() -> None:
    family = Case("vae", VECTOR, {"importance_samples": 64}).build().double().eval()
    side = torch.linspace(-20, 22, 141, dtype=torch.float64)
    grid = torch.cartesian_prod(side, side)
    assert isinstance(family, VAE)
    with torch.no_grad():
        mass = family.log_prob(grid).exp().sum() * (side[1] - side[0]) ** 2
    assert 0.7 < mass.item() < 1.02


@pytest.mark.parametrize("posterior", ["diagonal", "iaf"])
def test_drawn_codes_have_the_posterior(posterior: str) -> None:
    config = VAEConfig(latent=2, hidden=(8,), decoder="gaussian", posterior=posterior)  # type: ignore[arg-type]
    model, x = VAE(config, Event((3,), None)), torch.randn(1, 3).expand(20_000, 3)
    drawn = model.draw_codes(x, None, Noise(torch.Generator().manual_seed(0), len(x))).detach()
    q = model.posterior(x[:1], None)
    if posterior == "diagonal":
        torch.testing.assert_close(drawn.mean(0), q.mean[0].detach(), atol=0.03, rtol=0.03)
        torch.testing.assert_close(drawn.std(0), q.log_std[0].exp().detach(), atol=0.03, rtol=0.03)
    assert (drawn.std(0) > 0.01).all()
