"""The steps of a diffusion from noise to data, or to a completion of what is known of an example.

Samplers take the steps t → s of any subset of 1 … T. With x̂_0 and the noise ε̂ that goes with it,

    x_s = √ᾱ_s x̂_0 + √(1 - ᾱ_s - σ²) ε̂ + σ z,   σ² = η² (1 - ᾱ_s)/(1 - ᾱ_t) (1 - ᾱ_t/ᾱ_s)

which for η = 1 is a draw from p(x_s | x_t) (ancestral sampling), and for η = 0 (DDIM) has no randomness but x_T. Few
ancestral steps make samples too narrow: x̂_0 is the mean of all x_0 that may be meant. DDIM solves an equation to the
first order; DPM-Solver++(2M) to the second, by a step of DDIM with an x̂_0 that goes on as in the step before,

    x̂_0 + h/(2 h') (x̂_0 - x̂_0'),   h = λ_s - λ_t,   λ = ½ log ᾱ/(1 - ᾱ)      (the last step, where h = ∞: x̂_0)

with x̂_0' and h' of the step before. Names of tables are drawn in every step from q(x_s | x_t, x̂_0), whatever η is, and
numbers beside them go on as they would alone: a deterministic step of numbers and a draw of names keep q(x_t) together.
Of a number and a name of known distribution 50 steps of the second order had half the error of DDIM's.

Song, Meng & Ermon, "Denoising Diffusion Implicit Models", 2021 (arXiv:2010.02502); Lu et al., "DPM-Solver++", 2022
(arXiv:2211.01095).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

from .diffusion_process import Process
from .diffusion_schedule import Schedule
from .diffusion_streams import normal_stream

# x̂_0 (n, *shape) of x_t, t () and the context (n, C): with guidance, and that of the model itself.
Guess = Callable[[Tensor, Tensor, Tensor | None], tuple[Tensor, Tensor]]


class Sampler:
    """`steps` steps, evenly spaced over a schedule, with the η of the equations above, or of the second order."""

    def __init__(
        self,
        schedule: Schedule,
        process: Process,
        steps: int,
        eta: float,
        guess: Guess,
        dtype: torch.dtype,
        compiled: bool,
        second_order: bool = False,
    ) -> None:
        self.second_order = second_order
        self.schedule, self.process, self.steps, self.eta, self.guess = schedule, process, steps, eta, guess
        self.dtype = dtype  # of the examples under way
        self.step = torch.compile(self._step) if compiled else self._step

    def walk(
        self,
        seeds: Tensor,
        context: Tensor | None,
        temperature: float,
        x_0: Tensor | None = None,
        known: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """From noise to x̂_0 (n, *shape), passing through what is known of x_0; and the cost of that (n,), in nats.

        `seeds` (n,) are those of the noise of each example.
        """

        def noise(block: int) -> Tensor:
            z = normal_stream(seeds, block, math.prod(self.process.shape)).view(-1, *self.process.shape)
            return self.process.noise(z, temperature).to(self.dtype)

        grid = torch.tensor(self.schedule.grid(self.steps), device=seeds.device)
        latest = noise(0)
        x = self.process.settle(latest)
        if x_0 is not None and known is not None:
            x = torch.where(known, self.process.noised(x_0, grid[0], latest), x)
        total = torch.zeros(len(x), dtype=torch.float64, device=x.device)
        slopes, before = self._slopes(grid).to(x), None
        for block, (t, s) in enumerate(pairwise(grid), 1):
            law, step_cost, std, guess = self.step(x, t, s, context, x_0, known, before, slopes[block - 1])
            before = guess if self.second_order else None
            total += step_cost
            if self.process.always_draws or (block < len(grid) - 1 and self.eta):
                law = law + std * noise(block)
            x = self.process.settle(law)
        return x, total

    def _slopes(self, grid: Tensor) -> Tensor:
        """h / 2h' of each step, 0 of the first and the last."""
        slopes = torch.zeros(len(grid) - 1, dtype=torch.float64, device=grid.device)
        h = (0.5 * self.schedule.snr[grid].log()).diff()
        slopes[1:-1] = h[1:-1] / (2 * h[:-2])
        return slopes

    def _step(
        self,
        x_t: Tensor,
        t: Tensor,
        s: Tensor,
        context: Tensor | None,
        x_0: Tensor | None,
        known: Tensor | None,
        before: Tensor | None,
        slope: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Mean (n, *shape) and scale of x_s, the cost of what is known (n,), and x̂_0 (n, *shape)."""
        guess, plain = self.guess(x_t, t, context)
        total = torch.zeros(len(x_t), dtype=torch.float64, device=x_t.device)
        if x_0 is not None and known is not None:
            costs = self.process.cost(x_0, plain, x_t, t, s)
            total = torch.where(known, costs, 0.0).double().flatten(1).sum(1)
            guess = torch.where(known, x_0, guess)
        believed = guess if before is None else self.process.onward(guess, before, slope)
        mean, std = self.process.step(believed, x_t, t, s, self.eta)
        return mean, total, std, guess
