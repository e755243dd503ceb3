"""Multinomial diffusion of names: with time each one is replaced, more and more likely, by one that chance picks.

With x_t one-hot over K names and α = ᾱ_t/ᾱ_s, what is kept from s to t,

    q(x_t | x_s) = Cat(α x_s + (1 - α)/K),   q(x_t | x_0) = Cat(ᾱ_t x_0 + (1 - ᾱ_t)/K)
    q(x_s | x_t, x_0) = Cat(π / Σ π),   π(x_t, x_0) = [α x_t + (1 - α)/K] ⊙ [ᾱ_s x_0 + (1 - ᾱ_s)/K]
    p(x_s | x_t) = q(x_s | x_t, x̂_0),   x̂_0 = softmax of the network's logits

for all s < t; at s = 0 the posterior is x_0 itself, and p(x_0 | x_t) ∝ q(x_t | x_0) x̂_0. So the best x̂_0 is what all
other columns say of this one, before x_t is looked at: by it p(x_s | x_t) is the truth.

    L_T = KL(q(x_T | x_0) ‖ 1/K),   L_{t-1} = KL(q(x_{t-1} | x_t, x_0) ‖ p(x_{t-1} | x_t)),   L_0 = -log p(x_0 | x_1)

and L_0 is that very KL at s = 0. A name of log-probabilities h is drawn as argmax (h + g), with g of Gumbel's
distribution, -log(-log u) of uniform u. Noise T g draws from the probabilities to the power of 1/T.

Hoogeboom, Nielsen, Jaini, Forré & Welling, "Argmax Flows and Multinomial Diffusion", 2021 (arXiv:2102.05379); for
tables: Kotelnikov, Baranchuk, Rubachev & Babenko, "TabDDPM", 2023 (arXiv:2209.15421).
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from .diffusion_process import Process
from .diffusion_schedule import Schedule

LEAST = 1e-30  # for probabilities of which the logarithm is taken; and for T, that chance may decide among equals


class Multinomial(Process):
    """C columns of names, those of a column one-hot in K of the Σ K numbers of a state; `sizes` are the K."""

    always_draws = True

    def __init__(self, schedule: Schedule, sizes: tuple[int, ...]) -> None:
        self.schedule, self.sizes, self.shape = schedule, sizes, (sum(sizes),)
        shares = [1 / size for size in sizes for _ in range(size)]
        self.uniform = torch.tensor(shares, dtype=torch.float64, device="cpu")  # 1/K of each number

    def noise(self, z: Tensor, temperature: float = 1.0) -> Tensor:
        return max(temperature, LEAST) * -torch.log(-torch.special.log_ndtr(z))

    def settle(self, x: Tensor) -> Tensor:
        return self._each(lambda h: F.one_hot(h.argmax(-1), h.shape[-1]).to(h), x)

    def onward(self, guess: Tensor, before: Tensor, slope: Tensor) -> Tensor:
        """Steps of names are draws, to which no order of a solver applies."""
        return guess

    def noised(self, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return self.settle(self.kept(x_0, t, torch.zeros_like(t)).log() + noise)

    def origin(self, output: Tensor, x_t: Tensor, t: Tensor, clip: bool) -> Tensor:
        return self._each(lambda h: h.softmax(-1), output)

    def kept(self, x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """α x + (1 - α)/K (N, Σ K) with α = ᾱ_t/ᾱ_s."""
        alpha = (self.schedule.alpha_bar[t] / self.schedule.alpha_bar[s]).view(-1, 1)
        return (alpha.to(x) * x + (1 - alpha).to(x) * self.uniform.to(x)).clamp_min(LEAST)

    def errors(self, output: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor, noise: Tensor, weighted: bool) -> Tensor:
        """T L_{t-1}, the mean over columns: on average over t the bound, as in TabDDPM."""
        steps = self.cost(x_0, self.origin(output, x_t, t, clip=False), x_t, t, t - 1).sum(1)
        return self.schedule.timesteps * steps / len(self.sizes)

    def prior(self, x_0: Tensor) -> Tensor:
        last = torch.tensor(self.schedule.timesteps, device=x_0.device)
        q = self.kept(x_0, last, torch.zeros_like(last))
        return (q * (q.log() - self.uniform.to(q).log())).sum(1)

    def cost(self, x_0: Tensor, guess: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """The summands (N, Σ K) of the KL."""
        true, believed = (self._log_posterior(each, x_t, t, s) for each in (x_0, guess))
        return true.exp() * (true - believed)

    def step(self, guess: Tensor, x_t: Tensor, t: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        """log q(x_s | x_t, x̂_0), whatever η is."""
        return self._log_posterior(guess, x_t, t, s), x_t.new_ones(())

    def _log_posterior(self, x_0: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """log q(x_s | x_t, x_0) (N, Σ K) of x_0 (N, Σ K), one-hot or probabilities."""
        likelihood, before = self.kept(x_t, t, s), self.kept(x_0, s, torch.zeros_like(s))
        return self._each(lambda h: h.log_softmax(-1), likelihood.log() + before.log())

    def _each(self, function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
        """A function of each column's K numbers, on all of them (N, Σ K)."""
        return torch.cat([function(column) for column in x.split(self.sizes, -1)], -1)
