"""Losses of the two players of an adversarial game, by scores d(x), and penalties on the slope of d.

The discriminator gives each example a score d. Where it is a logit, D = σ(d) is the probability that x is real; the
score of a critic has no such meaning. With d on real examples and d' on generated ones, the losses of the rows are

    loss                 discriminator                         generator
    minimax              softplus(-d) + softplus(d')           -softplus(d') = log(1 - D')
    non_saturating       softplus(-d) + softplus(d')           softplus(-d') = -log D'
    maximum_likelihood   softplus(-d) + softplus(d')           -½ exp(d')
    least_squares        ½ (d - 1)² + ½ d'²                    ½ (d' - 1)²
    wasserstein          d' - d                                -d'
    hinge                max(0, 1 - d) + max(0, 1 + d')        -d'

The maximum-likelihood loss is unbounded, and so is its gradient -½ exp(d'): rare examples that fool the discriminator
outweigh all others, and a discriminator that is fooled for long makes the training diverge.

One-sided label smoothing s sets the discriminator's target for real examples to 1 - s: (1 - s) softplus(-d) + s
softplus(d) of a cross-entropy, ½ (d - 1 + s)² of the least squares. The other two have no labels to smooth.

Everything here is a value per row, so that N workers, whose losses are averaged, compute what one does.

Goodfellow et al., "Generative Adversarial Nets", 2014 (arXiv:1406.2661); the maximum-likelihood loss: Goodfellow, "NIPS
2016 Tutorial", 2016 (arXiv:1701.00160), §3.2.4; Mao et al., "Least Squares GAN", 2016 (arXiv:1611.04076); Arjovsky,
Chintala & Bottou, "Wasserstein GAN", 2017 (arXiv:1701.07875); the penalty on its critic: Gulrajani et al., 2017
(arXiv:1704.00028); hinge: Lim & Ye, "Geometric GAN", 2017 (arXiv:1705.02894), and Miyato et al., 2018
(arXiv:1802.05957); R1: Mescheder, Geiger & Nowozin, 2018 (arXiv:1801.04406); label smoothing: Salimans et al., 2016
(arXiv:1606.03498).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Scorer = Callable[[Tensor], Tensor]  # examples (N, …) → their scores d (N,)
LossName = Literal["minimax", "non_saturating", "maximum_likelihood", "least_squares", "wasserstein", "hinge"]


@dataclass(frozen=True)
class AdversarialLoss:
    """The losses (N,) of both players, as functions of scores (N,).

    `on_real` also takes by how much the label of real examples is smoothed. The discriminator calls real what it
    gives more than `boundary`; None says that its scores only compare examples with each other, and that a constant
    added to them changes nothing. Where the mean scores of real and of generated examples lie `margin` apart, the
    discriminator has little left to learn. `logit` says whether σ(d) is a probability.
    """

    on_real: Callable[[Tensor, float], Tensor]
    on_fake: Callable[[Tensor], Tensor]
    generator: Callable[[Tensor], Tensor]
    boundary: float | None
    margin: float | None
    logit: bool = False
    smoothable: bool = False

    def discriminator(self, real: Tensor, fake: Tensor, smoothing: float = 0.0) -> Tensor:
        """The discriminator's loss (N,) of its scores (N,) of real and of generated examples."""
        return self.on_real(real, smoothing) + self.on_fake(fake)


def _cross_entropy(generator: Callable[[Tensor], Tensor]) -> AdversarialLoss:
    """A discriminator that classifies, in terms of logits, against some generator."""
    return AdversarialLoss(
        on_real=lambda d, smoothing: F.softplus(-d) + smoothing * d,  # softplus(d) = softplus(-d) + d
        on_fake=F.softplus,
        generator=generator,
        boundary=0.0,
        margin=8.0,  # D = 0.98 and D' = 0.02
        logit=True,
        smoothable=True,
    )


LOSSES: dict[LossName, AdversarialLoss] = {
    "minimax": _cross_entropy(lambda d: -F.softplus(d)),
    "non_saturating": _cross_entropy(lambda d: F.softplus(-d)),
    "maximum_likelihood": _cross_entropy(lambda d: -0.5 * d.exp()),
    "least_squares": AdversarialLoss(
        on_real=lambda d, smoothing: 0.5 * (d - (1 - smoothing)).square(),
        on_fake=lambda d: 0.5 * d.square(),
        generator=lambda d: 0.5 * (d - 1).square(),
        boundary=0.5,
        margin=0.95,
        smoothable=True,
    ),
    "wasserstein": AdversarialLoss(
        on_real=lambda d, smoothing: -d,
        on_fake=lambda d: d,
        generator=lambda d: -d,
        boundary=None,
        margin=None,
    ),
    "hinge": AdversarialLoss(
        on_real=lambda d, smoothing: F.relu(1 - d),
        on_fake=lambda d: F.relu(1 + d),
        generator=lambda d: -d,
        boundary=0.0,
        margin=2.0,
    ),
}


def squared_slope(scores: Tensor, x: Tensor) -> Tensor:
    """‖∇_x d(x)‖² (N,) of scores (N,) that were computed from x (N, …), differentiable in the discriminator's weights.

    It is the slope at each row only where no row's score depends on another row: there must be no batch normalisation.
    (Progressive GANs have a statistic of the minibatch there, and leave it at that, as their paper does.)
    """
    (gradient,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return gradient.flatten(1).square().sum(1)


def gradient_penalty(critic: Scorer, real: Tensor, fake: Tensor, u: Tensor) -> Tensor:
    """(‖∇d(x̂)‖ - 1)² (N,) at x̂ = u x + (1 - u) G(z), on the lines between examples; u (N,) uniform on [0, 1)."""
    real, fake, u = real.detach(), fake.detach().to(real), u.view(-1, *[1] * (real.dim() - 1)).to(real)
    mixed = torch.lerp(fake, real, u).requires_grad_()
    # The root has no derivative at 0, where a critic may well be flat.
    return ((squared_slope(critic(mixed), mixed) + 1e-12).sqrt() - 1).square()


def r1_penalty(critic: Scorer, real: Tensor) -> Tensor:
    """½ ‖∇d(x)‖² (N,) at real examples; its weight is called γ."""
    x = real.detach().requires_grad_()
    return 0.5 * squared_slope(critic(x), x)
