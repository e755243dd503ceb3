"""The distribution of each column of a table, given the outputs of a network: exact for every type.

    names, few levels   a probability for each, and for the gap
    numbers             Σ_m π_m N(y; μ_m, σ_m²) of the number on its column's scale y (see marginals.py): of a real one
                        the density, of an integer the mass of its bin; and the probability of a gap

So missing values are modelled as what they are, an outcome, and never imputed.
"""

from __future__ import annotations

from abc import abstractmethod

import torch
from torch import Tensor
from torch.nn import functional as F

from ...columns import Column
from ...contract import Event
from ..autoregressive.outputs import GaussianMixture, Levels, Output
from ..bins import log_gaussian_interval
from ..precision import at_least_float32
from .marginals import Marginals

FEW = 20  # integers of so many levels have a probability for each


class ColumnOutput(Output):
    """The distribution of one column, which may read fewer than all network outputs that there are: the first."""

    uniforms = 2

    @abstractmethod
    def middle(self, h: Tensor) -> Tensor:
        """The most likely name, or the mean number on the column's scale, (…) by network outputs h (…, P)."""


class NamedLevels(Levels, ColumnOutput):
    """A logit for each level, and one for the gap, which comes last."""

    def __init__(self, column: Column) -> None:
        assert column.levels is not None
        self.gap = int(column.gaps > 0)
        super().__init__(column.levels + self.gap)
        self.size, self.column = self.levels, column

    def start(self) -> Tensor:
        """The shares of the training examples."""
        below = torch.tensor([share for _, share in self.column.distribution])
        shares = below.diff() * (1 - self.column.gaps)
        gap = [self.column.gaps] if self.column.gaps else []
        return torch.cat([shares, torch.tensor(gap)]).log()

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        level = x.nan_to_num(nan=float(self.levels - 1)).long()
        return self.log_masses(at_least_float32(h)).gather(-1, level[..., None])[..., 0]

    def log_masses(self, h: Tensor) -> Tensor:
        return F.log_softmax(h[..., : self.size], -1)

    def middle(self, h: Tensor) -> Tensor:
        return self._or_gap(self.log_masses(h).argmax(-1))

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        return self._or_gap(super().draw(h, u, temperature))

    def _or_gap(self, level: Tensor) -> Tensor:
        level = level.double()
        return torch.where(level == float(self.levels - self.gap), torch.nan, level) if self.gap else level


class Numbers(ColumnOutput):
    """A mixture of Gaussians on the column's scale, and a logit of the gap, which comes last."""

    def __init__(self, column: Column, components: int) -> None:
        self.mixture, self.column = GaussianMixture(components), column
        self.marginal = Marginals([column])
        self.size = self.mixture.size + (column.gaps > 0)

    def start(self) -> Tensor:
        gap = torch.tensor([self.column.gaps] if self.column.gaps else []).logit()
        return torch.cat([self.mixture.start(), gap])

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        h, gap = at_least_float32(h), x.isnan()
        log_p = self._log_prob_of_value(h[..., : self.mixture.size], torch.where(gap, 0.0, x)[..., None])
        if not self.column.gaps:
            return log_p
        logit = h[..., self.size - 1]
        return torch.where(gap, F.logsigmoid(logit), F.logsigmoid(-logit) + log_p)

    def _log_prob_of_value(self, h: Tensor, x: Tensor) -> Tensor:
        """log p (…) of values x (…, 1)."""
        marginal, flat = self.marginal.to(x.device), x.reshape(-1, 1)
        if self.column.levels is None:
            y, log_slope = (each.view_as(x)[..., 0].to(h) for each in marginal(flat))
            return self.mixture.log_prob(h, y) + log_slope
        low, high = (marginal(flat + up)[0].view_as(x).to(h) for up in (0, 1))
        logits, mean, log_std = self.mixture.parameters(h)
        std = log_std.exp()
        first, last = x <= 0, x >= self.column.levels - 1
        log_mass = log_gaussian_interval((low - mean) / std, (high - mean) / std, first, last)
        return (F.log_softmax(logits, -1) + log_mass).logsumexp(-1)

    def middle(self, h: Tensor) -> Tensor:
        h = h.double()
        logits, mean, _ = self.mixture.parameters(h[..., : self.mixture.size])
        x = self._value((logits.softmax(-1) * mean).sum(-1))
        return torch.where(h[..., self.size - 1] > 0, torch.nan, x) if self.column.gaps else x

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        h, first = h.double(), u[..., 0].double()
        gap = h[..., self.size - 1].sigmoid() if self.column.gaps else torch.zeros_like(first)
        within = torch.stack([(first - gap) / (1 - gap), u[..., 1].double()], -1)
        y = self.mixture.draw(h[..., : self.mixture.size], within, temperature)
        return torch.where(first < gap, torch.nan, self._value(y))

    def _value(self, y: Tensor) -> Tensor:
        """The values (…) of numbers y (…) on the column's scale."""
        x = self.marginal.to(y.device).inverse(y.reshape(-1, 1)).view_as(y)
        return x if self.column.levels is None else x.floor().clamp(0, self.column.levels - 1)


class TableOutput(Output):
    """An output for each column; all take as many network outputs as the largest, of which the others use the first."""

    uniforms = 2

    def __init__(self, event: Event, components: int) -> None:
        few = [column.names or (column.levels or FEW + 1) <= FEW for column in event.columns or ()]
        self.columns: list[ColumnOutput] = [
            NamedLevels(column) if by_name else Numbers(column, components)
            for column, by_name in zip(event.columns or (), few, strict=True)
        ]
        self.size = max(output.size for output in self.columns)

    def starts(self, numbers: int) -> Tensor:
        return torch.cat([F.pad(output.start(), (0, self.size - output.size)) for output in self.columns])

    def at(self, position: int) -> ColumnOutput:
        return self.columns[position]

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p (…, D) of rows x (…, D) by outputs h (…, D, P)."""
        return torch.stack([output.log_prob(h[..., d, :], x[..., d]) for d, output in enumerate(self.columns)], -1)

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        """Rows (…, D) by outputs h (…, D, P) and uniform numbers u (…, D, 2)."""
        return torch.stack(
            [output.draw(h[..., d, :], u[..., d, :], temperature) for d, output in enumerate(self.columns)], -1
        )

    def middle(self, h: Tensor) -> Tensor:
        """The middle (…, D) of each column's distribution, by outputs h (…, D, P)."""
        return torch.stack([output.middle(h[..., d, :]) for d, output in enumerate(self.columns)], -1)
