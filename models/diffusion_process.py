"""What is noised and brought back, step by step: numbers by Gaussian noise, and the promises of every such process.

A state x_t (N, *shape) is a tensor of floats, x_0 and the guess x̂_0 alike. The equations of a Gaussian process are in
`diffusion.py`, those of names in `diffusion_names.py`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from .diffusion_bound import cost, prior
from .diffusion_schedule import Schedule


class Process(ABC):
    """The noise q(x_t | x_0), the loss, the terms of the bound, and the steps of the sampler.

    Timesteps t and s are (N,) or (). All randomness is made of standard normal numbers, as many as a state has.
    """

    shape: tuple[int, ...]  # of a state
    always_draws: bool  # is a step a draw whatever η is, the last one too?

    def noise(self, z: Tensor, temperature: float = 1.0) -> Tensor:
        """The noise (N, *shape) of this process at a temperature, made of standard normal numbers z (N, *shape)."""
        return temperature * z

    def settle(self, x: Tensor) -> Tensor:
        """The state that a sum of what its law says and `noise` stands for; at T, of the noise alone."""
        return x

    def onward(self, guess: Tensor, before: Tensor, slope: Tensor) -> Tensor:
        """x̂_0 as it goes on from the step before, for solvers of the second order."""
        return guess + slope * (guess - before)

    def mask(self, known: Tensor) -> Tensor:
        """Which numbers of a state (N, *shape) are known, where those of the example (N, *event) are."""
        return known

    @abstractmethod
    def noised(self, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        """x_t ~ q(x_t | x_0), by `noise`."""

    @abstractmethod
    def origin(self, output: Tensor, x_t: Tensor, t: Tensor, clip: bool) -> Tensor:
        """x̂_0 by the network's output; `clip` brings it into the range of integers."""

    @abstractmethod
    def errors(self, output: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor, noise: Tensor, weighted: bool) -> Tensor:
        """The simple loss (N,) of the network's output, per number; `weighted` by min-SNR."""

    @abstractmethod
    def prior(self, x_0: Tensor) -> Tensor:
        """L_T (N,)."""

    @abstractmethod
    def cost(self, x_0: Tensor, guess: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        """What a step from x_t to s costs (N, *shape) if it takes the guess x̂_0 for x_0: a KL, or L_0 at s = 0."""

    @abstractmethod
    def step(self, guess: Tensor, x_t: Tensor, t: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        """The law of x_s: `settle` draws it from the first plus the second times `noise`."""


class Gaussian(Process):
    """Numbers of `levels` on the scale -1 … 1, or real ones without, and the `prediction` ε or v of a network."""

    always_draws = False

    def __init__(self, schedule: Schedule, shape: tuple[int, ...], levels: int | None, prediction: str) -> None:
        self.schedule, self.shape, self.levels, self.prediction = schedule, shape, levels, prediction

    def noised(self, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return self.schedule.noised(x_0, t, noise)

    def origin(self, output: Tensor, x_t: Tensor, t: Tensor, clip: bool) -> Tensor:
        x_0 = self.schedule.origin(self.prediction, output, x_t, t)
        if not clip or self.levels is None:
            return x_0
        end = 1 - 1 / self.levels
        return x_0.clamp(-end, end)

    def errors(self, output: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor, noise: Tensor, weighted: bool) -> Tensor:
        difference = output - self.schedule.target(self.prediction, x_0, t, noise)
        errors = difference.square().flatten(1).mean(1)
        return errors * self.schedule.min_snr(self.prediction, t).to(errors) if weighted else errors

    def prior(self, x_0: Tensor) -> Tensor:
        return prior(self.schedule, x_0)

    def cost(self, x_0: Tensor, guess: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return cost(self.schedule, self.levels, x_0, guess, t, s)

    def step(self, guess: Tensor, x_t: Tensor, t: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        return self.schedule.step(guess, x_t, t, s, eta)
