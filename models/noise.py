"""Randomness that does not depend on how a batch is split: over workers in training, over calls in sampling."""

from __future__ import annotations

import torch
from torch import Tensor


class Noise:
    """Random numbers for the rows `start … start+rows-1` of a global batch of `total` rows.

    Every worker draws the noise of the whole global batch from an equal generator and keeps its own rows, so N workers
    compute with the very numbers that one worker would use. To draw the rows of others as well takes little time.
    """

    def __init__(
        self,
        generator: torch.Generator,
        rows: int,
        start: int = 0,
        total: int | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        self.generator, self.rows, self.start = generator, rows, start
        self.total = rows if total is None else total
        self.device = torch.device(device) if device is not None else generator.device

    def normal(self, *shape: int) -> Tensor:
        """Standard normal numbers (rows, *shape)."""
        return self._mine(torch.randn(self.total, *shape, generator=self.generator, device=self.generator.device))

    def uniform(self, *shape: int) -> Tensor:
        """Numbers uniform on [0, 1), of shape (rows, *shape)."""
        return self._mine(torch.rand(self.total, *shape, generator=self.generator, device=self.generator.device))

    def integers(self, high: int) -> Tensor:
        """Integers uniform on 0 … high-1, of shape (rows,)."""
        return self._mine(torch.randint(high, (self.total,), generator=self.generator, device=self.generator.device))

    def _mine(self, drawn: Tensor) -> Tensor:
        return drawn[self.start : self.start + self.rows].to(self.device)


def uniform_rows(n: int, width: int, generator: torch.Generator | None) -> Tensor:
    """Uniform numbers (n, width) in the open interval (0, 1), float64, one row per example.

    They come from a CPU generator in one draw, row after row: n rows at once are the rows of n single calls.
    """
    u = torch.rand(n, width, generator=generator, dtype=torch.float64)
    return u.clamp_min_(torch.finfo(torch.float64).tiny)


def normal_rows(n: int, width: int, generator: torch.Generator | None) -> Tensor:
    """Standard normal numbers (n, width), float64, by the inverse distribution function of `uniform_rows`.

    `torch.randn` will not do: it fills in blocks of sixteen, so its numbers depend on how a draw is split.
    """
    return torch.special.ndtri(uniform_rows(n, width, generator))
