"""The part of a mixture of products that is continuous: each number normal on its column's scale, by component.

With y the scale (see layers/tables/marginals.py) and [a, b) the bin of an integer on it,

    real numbers   p(x | k) = N(y; μ_k, σ_k²) dy/dx
    integers       p(x | k) = Φ((b - μ_k) / σ_k) - Φ((a - μ_k) / σ_k)

What lies within a bin is hidden as the component is, so the E step takes E[y] and E[y²] of the Gaussian truncated to
the bin. The M step, with ε pseudo-examples from N(0, 1) for each training example, as the scale's numbers are:

    μ_k = Σ_n r_nk E[y_n] / (Σ_n r_nk + ε),     σ_k² = (Σ_n r_nk E[y_n²] + ε) / (Σ_n r_nk + ε) - μ_k²

Dempster, Laird & Rubin, 1977, section 4.2 (grouped and truncated data).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from .columns import Column
from .gmm_components import Sums
from .layers.bins import log_gaussian_interval
from .layers.normal import log_normal_density
from .layers.tables.column_outputs import by_level
from .layers.tables.marginals import Marginals
from .layers.truncated import truncated_moments

AT_ONCE = 2**20  # numbers of rows, components and columns that are in memory at once


@dataclass(frozen=True)
class Ends:
    """Where numbers (N, C) lie on their columns' scales: from `low` to `high`, which are one for a real number."""

    low: Tensor
    high: Tensor
    first: Tensor
    last: Tensor

    def part(self, rows: slice) -> Ends:
        """Some of the rows, with an axis (n, 1, C) for components."""
        return Ends(*(each[rows, None] for each in (self.low, self.high, self.first, self.last)))


class ColumnNormals(nn.Module):
    """Means (K, C) and the logarithms of σ (K, C) of the C columns that are numbers."""

    of: Tensor
    levels: Tensor
    real: Tensor
    whole: Tensor

    def __init__(self, K: int, columns: Sequence[Column]) -> None:
        super().__init__()
        of = [d for d, column in enumerate(columns) if not by_level(column)]
        mine = [columns[d] for d in of]
        self.marginals = Marginals(mine) if mine else None
        levels = torch.tensor([column.levels or 0 for column in mine], dtype=torch.float64)
        buffers = {
            "of": torch.tensor(of, dtype=torch.long),  # which of the D columns
            "levels": levels,
            "real": levels == 0,
            "whole": torch.tensor([column.gaps == 0 for column in mine], dtype=torch.bool),  # have no gaps
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)
        self.means = nn.Parameter(torch.randn(K, len(of)))
        self.log_scale = nn.Parameter(torch.zeros(K, len(of)))

    def log_slope(self, x: Tensor) -> Tensor:
        """Σ log dy/dx (N,) over the real numbers that are there in rows x (N, D), in float64."""
        if self.marginals is None:
            return x.new_zeros(len(x), dtype=torch.float64)
        mine = x[:, self.of]
        _, log_slope = self.marginals(mine.nan_to_num())
        return torch.where(self.real & ~mine.isnan(), log_slope, 0.0).sum(1)

    def log_density(self, x: Tensor, known: Tensor) -> Tensor:
        """Σ_c log p(x_c | k) (N, K), in float64, over the numbers that are there and known (N, D) of rows x (N, D).

        Of real numbers it is the density on the scale of the column. A gap is impossible in a column without any.
        """
        known, gap = known[:, self.of], x[:, self.of].isnan()
        there = known & ~gap
        ends, mean, std = self._ends(x), self.means.double(), self.log_scale.double().exp()
        logs = [torch.zeros(0, len(mean)).to(mean)]
        for rows in self._parts(len(x)):
            each = ends.part(rows)
            a, b = (each.low - mean) / std, (each.high - mean) / std
            density = log_normal_density(a) - self.log_scale.double()
            a, b = torch.where(self.real, -1.0, a), torch.where(self.real, 1.0, b)
            log_p = torch.where(self.real, density, log_gaussian_interval(a, b, each.first, each.last))
            logs.append(torch.where(there[rows, None], log_p, 0.0).sum(2))
        return torch.cat(logs).masked_fill((known & gap & self.whole).any(1, keepdim=True), -torch.inf)

    def start(self) -> None:
        """As the scales have it, for the first E step."""
        self.means.zero_()
        self.log_scale.zero_()

    def sums(self, x: Tensor, r: Tensor) -> Sums:
        """Σ_n r, Σ_n r E[y] and Σ_n r E[y²] (K, C) over the rows x (N, D) that have a number, by r (N, K)."""
        there = (~x.isnan())[:, self.of].to(r)
        ends, mean, std = self._ends(x), self.means.double(), self.log_scale.double().exp()
        first, second = torch.zeros_like(mean), torch.zeros_like(mean)
        for rows in self._parts(len(x)):
            each = ends.part(rows)
            z, square = truncated_moments((each.low - mean) / std, (each.high - mean) / std, each.first, each.last)
            y = torch.where(self.real, each.low, mean + std * z)
            y_square = torch.where(self.real, each.low.square(), mean.square() + std * (2 * mean * z + std * square))
            weight = r[rows, :, None] * there[rows, None]
            first += (weight * y).sum(0)
            second += (weight * y_square).sum(0)
        return {"there": r.T @ there, "first": first, "second": second}

    def maximise(self, sums: Mapping[str, Tensor], pseudo: float, floor: float) -> None:
        """The M step; `pseudo` is ε, and `floor` the least variance."""
        weight = sums["there"] + pseudo
        mean = sums["first"] / weight
        self.means.copy_(mean)
        self.log_scale.copy_(0.5 * ((sums["second"] + pseudo) / weight - mean.square()).clamp_min(floor).log())

    def log_prior(self) -> Tensor:
        """Σ_kc E[log N(y; μ_kc, σ_kc²)] of y ~ N(0, 1): the log density of the prior, but for a constant, over ε."""
        log_scale = self.log_scale.double()
        return -(log_scale + 0.5 * (1 + self.means.double().square()) * torch.exp(-2 * log_scale)).sum()

    def draw(self, component: Tensor, z: Tensor, x: Tensor) -> None:
        """Put numbers of components (N,), made of normal ones z (N, C), into rows x (N, D)."""
        if self.marginals is None:
            return
        y = self.means[component].double() + self.log_scale[component].double().exp() * z.double()
        t = self.marginals.inverse(y)
        x[:, self.of] = torch.where(self.real, t, t.floor().clamp_min(0).minimum(self.levels - 1)).to(x)

    def _ends(self, x: Tensor) -> Ends:
        """Of the numbers (N, C) of rows x (N, D); whatever stands for a gap is on the scale, too."""
        mine = x[:, self.of].double().nan_to_num()
        if self.marginals is None:
            return Ends(mine, mine, mine > 0, mine > 0)
        low, high = self.marginals(mine)[0], self.marginals(mine + 1)[0]
        first, last = (mine <= 0) & ~self.real, (mine >= self.levels - 1) & ~self.real
        return Ends(low, high, first, last)

    def _parts(self, n: int) -> Iterator[slice]:
        """The rows, some at a time."""
        rows = max(1, AT_ONCE // max(1, self.means.numel()))
        return (slice(start, start + rows) for start in range(0, n, rows))
