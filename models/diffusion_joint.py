"""Processes side by side: each noises its own part of a state, and one network sees all parts and guesses them all.

Given x_0 the parts of x_t are independent, so terms of the bound add up. Going back, each part takes its own kind of
step by what the network sees of the whole: numbers along a deterministic path and names by draws may go together, since
either kind of step keeps the marginals q(x_t) in the limit of small steps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from .diffusion_process import Process


class Joint(Process):
    """Parts of a flat state (N, Σ width); `places` are the positions in the example of all its numbers."""

    def __init__(self, parts: Sequence[Process], places: Sequence[int]) -> None:
        self.parts, self.places = parts, list(places)
        self.widths = [part.shape[0] for part in parts]
        self.shape = (sum(self.widths),)
        self.always_draws = any(part.always_draws for part in parts)

    def noise(self, z: Tensor, temperature: float = 1.0) -> Tensor:
        return self._each(lambda part, z: part.noise(z, temperature), z)

    def settle(self, x: Tensor) -> Tensor:
        return self._each(lambda part, x: part.settle(x), x)

    def onward(self, guess: Tensor, before: Tensor, slope: Tensor) -> Tensor:
        return self._each(lambda part, guess, before: part.onward(guess, before, slope), guess, before)

    def mask(self, known: Tensor) -> Tensor:
        return known[:, self.places]

    def noised(self, x_0: Tensor, t: Tensor, noise: Tensor) -> Tensor:
        return self._each(lambda part, x_0, noise: part.noised(x_0, t, noise), x_0, noise)

    def origin(self, output: Tensor, x_t: Tensor, t: Tensor, clip: bool) -> Tensor:
        return self._each(lambda part, output, x_t: part.origin(output, x_t, t, clip), output, x_t)

    def errors(self, output: Tensor, x_0: Tensor, x_t: Tensor, t: Tensor, noise: Tensor, weighted: bool) -> Tensor:
        """The sum over parts, each of which is a mean over its columns, as in TabDDPM."""
        pieces = self._pieces(output, x_0, x_t, noise)
        errors = [part.errors(h, x_0, x_t, t, noise, weighted) for part, h, x_0, x_t, noise in pieces]
        return torch.stack(errors).sum(0)

    def prior(self, x_0: Tensor) -> Tensor:
        return torch.stack([part.prior(x_0) for part, x_0 in self._pieces(x_0)]).sum(0)

    def cost(self, x_0: Tensor, guess: Tensor, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
        return self._each(lambda part, x_0, guess, x_t: part.cost(x_0, guess, x_t, t, s), x_0, guess, x_t)

    def step(self, guess: Tensor, x_t: Tensor, t: Tensor, s: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        laws = [part.step(guess, x_t, t, s, eta) for part, guess, x_t in self._pieces(guess, x_t)]
        spreads = [std.expand(width) for (_, std), width in zip(laws, self.widths, strict=True)]
        return torch.cat([centre for centre, _ in laws], -1), torch.cat(spreads)

    def _each(self, function: Callable[..., Tensor], *x: Tensor) -> Tensor:
        """A function of each part and its numbers of the states x (N, Σ width), put together again."""
        return torch.cat([function(*pieces) for pieces in self._pieces(*x)], -1)

    def _pieces(self, *x: Tensor) -> list[tuple[Any, ...]]:
        """Each part with its numbers of the states."""
        return list(zip(self.parts, *(each.split(self.widths, -1) for each in x), strict=True))
