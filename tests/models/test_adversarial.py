"""Adversarial losses and penalties against values computed by hand, and against what their definitions promise."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from models.layers.adversarial import LOSSES, LossName, gradient_penalty, r1_penalty, squared_slope

LOG_2 = math.log(2)
REAL, FAKE = torch.tensor([0.0, 2.0], dtype=torch.float64), torch.tensor([0.0, -1.0], dtype=torch.float64)
CROSS_ENTROPY = [2 * LOG_2, math.log1p(math.exp(-2)) + math.log1p(math.exp(-1))]


def doubles(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def slope(loss: LossName, d: float) -> float:
    """dL_G/dd at a score."""
    score = doubles(d).requires_grad_()
    LOSSES[loss].generator(score).sum().backward()
    assert score.grad is not None
    return score.grad.item()


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("minimax", CROSS_ENTROPY),
        ("non_saturating", CROSS_ENTROPY),
        ("maximum_likelihood", CROSS_ENTROPY),
        ("least_squares", [0.5, 0.5 + 0.5]),
        ("wasserstein", [0.0, -3.0]),
        ("hinge", [2.0, 0.0]),
    ],
)
def test_losses_of_the_discriminator_by_hand(loss: LossName, expected: list[float]) -> None:
    torch.testing.assert_close(LOSSES[loss].discriminator(REAL, FAKE), doubles(*expected))


@pytest.mark.parametrize(
    ("loss", "expected"),
    [
        ("minimax", [-LOG_2, -math.log1p(math.exp(-1))]),
        ("non_saturating", [LOG_2, math.log1p(math.exp(1))]),
        ("maximum_likelihood", [-0.5, -0.5 * math.exp(-1)]),
        ("least_squares", [0.5, 2.0]),
        ("wasserstein", [0.0, 1.0]),
        ("hinge", [0.0, 1.0]),
    ],
)
def test_losses_of_the_generator_by_hand(loss: LossName, expected: list[float]) -> None:
    torch.testing.assert_close(LOSSES[loss].generator(FAKE), doubles(*expected))


def test_the_generators_loss_is_defined_for_all_that_the_discriminators_is() -> None:
    assert set(LOSSES) == {"minimax", "non_saturating", "maximum_likelihood", "least_squares", "wasserstein", "hinge"}


def test_the_minimax_game_is_played_for_one_value() -> None:
    """What the discriminator lowers on generated examples is what the generator raises; nowhere else is it so."""
    d = torch.linspace(-5, 5, 11, dtype=torch.float64)
    zero_sum = {name for name, loss in LOSSES.items() if torch.allclose(loss.on_fake(d), -loss.generator(d))}
    assert zero_sum == {"minimax", "wasserstein"}


def test_a_sure_discriminator_teaches_a_minimax_generator_nothing_and_a_non_saturating_one_most() -> None:
    assert abs(slope("minimax", -12.0)) == pytest.approx(1 / (1 + math.exp(12)))  # D(G(z)), below 1e-5
    assert slope("non_saturating", -12.0) == pytest.approx(-1, abs=1e-5)
    assert slope("minimax", 0.0) == slope("non_saturating", 0.0) == -0.5


@pytest.mark.parametrize("d", [-3.0, 0.0, 2.5])
def test_slopes_of_the_other_generators_are_those_of_their_definitions(d: float) -> None:
    assert slope("hinge", d) == slope("wasserstein", d) == -1
    assert slope("least_squares", d) == pytest.approx(d - 1)


@pytest.mark.parametrize("D", [0.01, 0.5, 0.9])
def test_maximum_likelihood_weighs_examples_by_the_odds_that_they_are_real(D: float) -> None:
    """With the best discriminator D / (1 - D) is p_data / p_model: the importance weight of maximum likelihood."""
    assert slope("maximum_likelihood", math.log(D / (1 - D))) == pytest.approx(-0.5 * D / (1 - D))


@pytest.mark.parametrize("loss", ["minimax", "non_saturating", "maximum_likelihood"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.3])
def test_a_smoothed_label_is_the_probability_at_which_the_discriminator_rests(loss: LossName, smoothing: float) -> None:
    d = doubles(0.7, -1.2)
    target = torch.full((2,), 1 - smoothing, dtype=torch.float64)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(d, target, reduction="none")
    torch.testing.assert_close(LOSSES[loss].on_real(d, smoothing), expected)


def test_a_smoothed_label_of_least_squares_is_what_the_score_aims_at() -> None:
    loss = LOSSES["least_squares"]
    torch.testing.assert_close(loss.on_real(doubles(0.9, 0.0), 0.1), doubles(0.0, 0.405))
    torch.testing.assert_close(loss.discriminator(REAL, FAKE, 0.1) - loss.on_real(REAL, 0.1), loss.on_fake(FAKE))


def test_only_labels_are_smoothed() -> None:
    d = doubles(0.3)
    changed = {name for name, loss in LOSSES.items() if not torch.equal(loss.on_real(d, 0.2), loss.on_real(d, 0.0))}
    assert changed == {name for name, loss in LOSSES.items() if loss.smoothable}


@pytest.mark.parametrize("loss", [name for name, loss in LOSSES.items() if loss.boundary is not None])
def test_the_boundary_is_where_real_and_generated_cost_the_same(loss: LossName) -> None:
    boundary = doubles(LOSSES[loss].boundary or 0.0)
    torch.testing.assert_close(LOSSES[loss].on_real(boundary, 0.0), LOSSES[loss].on_fake(boundary))


# Penalties

X, G = torch.randn(6, 2, 3, dtype=torch.float64), torch.randn(6, 2, 3, dtype=torch.float64)
U = torch.rand(6, dtype=torch.float64)


def test_the_gradient_penalty_is_zero_for_a_critic_of_slope_one() -> None:
    direction = torch.nn.functional.normalize(torch.randn(6, dtype=torch.float64), dim=0)
    penalty = gradient_penalty(lambda x: x.flatten(1) @ direction + 3, X, G, U)
    torch.testing.assert_close(penalty, torch.zeros(6, dtype=torch.float64))


def test_the_gradient_penalty_of_other_critics_by_hand() -> None:
    steep = gradient_penalty(lambda x: 3 * x[:, 0, 0], X, G, U)
    torch.testing.assert_close(steep, torch.full((6,), 4.0, dtype=torch.float64))
    between = U.view(-1, 1, 1) * X + (1 - U.view(-1, 1, 1)) * G
    curved = gradient_penalty(lambda x: 0.5 * x.flatten(1).square().sum(1), X, G, U)  # of slope ‖x̂‖
    torch.testing.assert_close(curved, (between.flatten(1).norm(dim=1) - 1).square())


def test_the_gradient_penalty_of_a_flat_critic_has_a_gradient_that_is_a_number() -> None:
    weight = torch.zeros(6, dtype=torch.float64, requires_grad=True)
    penalty = gradient_penalty(lambda x: x.flatten(1) @ weight, X, G, U)
    torch.testing.assert_close(penalty, torch.ones(6, dtype=torch.float64), atol=1e-5, rtol=0)
    penalty.sum().backward()
    assert weight.grad is not None and weight.grad.isfinite().all()


def test_the_r1_penalty_by_hand() -> None:
    torch.testing.assert_close(r1_penalty(lambda x: 3 * x[:, 1, 2], X), torch.full((6,), 4.5, dtype=torch.float64))
    curved = r1_penalty(lambda x: 0.5 * x.flatten(1).square().sum(1), X)
    torch.testing.assert_close(curved, 0.5 * X.flatten(1).square().sum(1))


def test_a_penalty_moves_the_weights_of_the_critic() -> None:
    """d(x) = w x has the slope w: ½ w² falls by w, (w - 1)² by 2 (w - 1)."""
    w, x = doubles(3.0).requires_grad_(), torch.randn(4, 1, dtype=torch.float64)
    r1_penalty(lambda x: w * x[:, 0], x).mean().backward()
    assert w.grad is not None and w.grad.item() == pytest.approx(3)
    w.grad = None
    gradient_penalty(lambda x: w * x[:, 0], x, -x, torch.rand(4)).mean().backward()
    assert w.grad is not None and w.grad.item() == pytest.approx(4)


def test_penalties_of_rows_do_not_depend_on_other_rows() -> None:
    critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1))

    def score(x: Tensor) -> Tensor:
        return critic.double()(x)[:, 0]

    whole, head = gradient_penalty(score, X, G, U), gradient_penalty(score, X[:2], G[:2], U[:2])
    torch.testing.assert_close(whole[:2], head)
    x = X.clone().requires_grad_()
    torch.testing.assert_close(squared_slope(score(x), x)[:2], 2 * r1_penalty(score, X[:2]))
