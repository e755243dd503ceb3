"""The part of a mixture of products that is continuous: each number normal on its column's scale, by component.

With y the scale (see layers/tables/marginals.py) and [a, b) the bin of an integer on it,

    real numbers   p(x | k) = N(y; μ_k, σ_k²) dy/dx
    integers       p(x | k) = Φ((b - μ_k) / σ_k) - Φ((a - μ_k) / σ_k)

What lies within a bin is hidden as the component is, so the E step takes E[y] and E[y²] of the Gaussian truncated to
the bin. The M step, with ε pseudo-examples from N(0, 1) for each training example, as the scale's numbers are:

    μ_k = Σ_n r_nk E[y_n] / (Σ_n r_nk + ε),     σ_k² = (Σ_n r_nk E[y_n²] + ε) / (Σ_n r_nk + ε) - μ_k²

Many rows share a bin: whatever it takes of each bin is computed once.

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
from .layers.lookup import sum_into_rows, sum_of_rows
from .layers.normal import log_normal_density
from .layers.tables.marginals import Marginals
from .layers.truncated import truncated_moments

AT_ONCE = 2**20  # numbers that are in memory at once, of rows or bins, components and columns


@dataclass(frozen=True)
class Bins:
    """The B bins that rows have integers in: of which of the C columns (B,), and from where to where on its scale.

    The `first` and the `last` bin of a column are open. `which` (N, I) has the bin of each row and integer column.
    """

    column: Tensor
    low: Tensor
    high: Tensor
    first: Tensor
    last: Tensor
    which: Tensor

    def ends(self, rows: slice, mean: Tensor, std: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The ends (B, K) of some bins in standard deviations from the means, and (B, 1) whether they are open."""
        at = self.column[rows]
        mean, std = mean[:, at].T, std[:, at].T
        a, b = ((each[rows, None] - mean) / std for each in (self.low, self.high))
        return a, b, self.first[rows, None], self.last[rows, None]


class ColumnNormals(nn.Module):
    """Means (K, C) and the logarithms of σ (K, C) of the C columns that are numbers."""

    of: Tensor
    levels: Tensor
    real: Tensor
    whole: Tensor
    reals: Tensor
    integers: Tensor

    def __init__(self, K: int, columns: Sequence[Column]) -> None:
        super().__init__()
        of = [d for d, column in enumerate(columns) if not column.by_level]
        mine = [columns[d] for d in of]
        self.marginals = Marginals(mine) if mine else None
        buffers = {
            "of": torch.tensor(of, dtype=torch.long),  # which of the D columns
            "levels": torch.tensor([column.levels or 0 for column in mine], dtype=torch.float64),
            "real": torch.tensor([column.levels is None for column in mine], dtype=torch.bool),
            "whole": torch.tensor([column.gaps == 0 for column in mine], dtype=torch.bool),  # have no gaps
            "reals": torch.tensor([c for c, column in enumerate(mine) if column.levels is None], dtype=torch.long),
            "integers": torch.tensor([c for c, column in enumerate(mine) if column.levels], dtype=torch.long),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)
        self.means = nn.Parameter(torch.randn(K, len(of)))
        self.log_scale = nn.Parameter(torch.zeros(K, len(of)))

    def log_slope(self, x: Tensor) -> Tensor:
        """Σ log dy/dx (N,) over the real numbers that are there in rows x (N, D), in float64."""
        mine = x[:, self.of]
        _, log_slope = self._scaled(mine.nan_to_num())
        return torch.where(self.real & ~mine.isnan(), log_slope, 0.0).sum(1)

    def log_density(self, x: Tensor, known: Tensor) -> Tensor:
        """Σ_c log p(x_c | k) (N, K), in float64, over the numbers that are there and known (N, D) of rows x (N, D).

        Of real numbers it is the density on the scale of the column. A gap is impossible in a column without any.
        """
        mine, known = x[:, self.of].double(), known[:, self.of]
        there = known & ~mine.isnan()
        log_p = self._log_masses(mine, there) + self._log_densities(mine, there)
        return log_p.masked_fill((known & mine.isnan() & self.whole).any(1, keepdim=True), -torch.inf)

    def start(self) -> None:
        """As the scales have it, for the first E step."""
        self.means.zero_()
        self.log_scale.zero_()

    def sums(self, x: Tensor, r: Tensor) -> Sums:
        """Σ_n r, Σ_n r E[y] and Σ_n r E[y²] (K, C) over the rows x (N, D) that have a number, by r (N, K)."""
        mine = x[:, self.of].double()
        there = (~mine.isnan()).to(r)
        y = self._scaled(mine.nan_to_num())[0] * there  # of integers it is another, see below
        first, second = r.T @ y, r.T @ y.square()
        bins, mean, std = self._bins(mine), self.means.double(), self.log_scale.double().exp()
        weight = sum_into_rows(len(bins.column), bins.which, r, there[:, self.integers])  # of bins, by component
        moments = torch.zeros(2, len(self.of), len(mean)).to(mean)
        for rows in self._parts(len(bins.column), len(mean)):
            at, r_of = bins.column[rows], weight[rows]
            z, square = truncated_moments(*bins.ends(rows, mean, std))
            m, s = mean[:, at].T, std[:, at].T
            moments[0].index_add_(0, at, r_of * (m + s * z))
            moments[1].index_add_(0, at, r_of * (m.square() + s * (2 * m * z + s * square)))
        first, second = (torch.where(self.real, a, b.T) for a, b in zip((first, second), moments, strict=True))
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

    def _scaled(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """y (N, C) of t (N, C), and log dy/dt."""
        return (t.double(), t.double()) if self.marginals is None else self.marginals(t)

    def _log_densities(self, x: Tensor, there: Tensor) -> Tensor:
        """Σ log N(y; μ_k, σ_k²) (N, K) of the real numbers of x (N, C) that are there (N, C)."""
        y, there = self._scaled(x.nan_to_num())[0][:, self.reals], there[:, self.reals]
        mean, log_scale = self.means[:, self.reals].double(), self.log_scale[:, self.reals].double()
        logs = [y.new_zeros(0, len(mean))]
        for rows in self._parts(len(y), mean.numel()):
            white = (y[rows, None] - mean) * torch.exp(-log_scale)
            logs.append(torch.where(there[rows, None], log_normal_density(white) - log_scale, 0.0).sum(2))
        return torch.cat(logs)

    def _log_masses(self, x: Tensor, there: Tensor) -> Tensor:
        """Σ log p (N, K) of the bins of the integers of x (N, C) that are there (N, C)."""
        bins, mean, std = self._bins(x), self.means.double(), self.log_scale.double().exp()
        parts = self._parts(len(bins.column), len(mean))
        table = [mean.new_zeros(0, len(mean)), *(log_gaussian_interval(*bins.ends(rows, mean, std)) for rows in parts)]
        return sum_of_rows(torch.cat(table), bins.which, there[:, self.integers])

    def _bins(self, x: Tensor) -> Bins:
        """Those that the integers of x (N, C) lie in; a gap is taken for the first."""
        x = x.nan_to_num()
        low, high = self._scaled(x)[0], self._scaled(x + 1)[0]
        values, which, columns = [x.new_zeros(0)], [], [self.integers[:0]]
        for c in self.integers.tolist():
            different, place = torch.unique(x[:, c], return_inverse=True)
            which.append(place + sum(map(len, values)))
            values.append(different)
            columns.append(self.integers.new_full((len(different),), c))
        value, column = torch.cat(values), torch.cat(columns)
        at = torch.stack(which, 1) if which else self.integers.new_zeros(len(x), 0)
        start, end = torch.empty_like(value), torch.empty_like(value)
        start[at], end[at] = low[:, self.integers], high[:, self.integers]
        return Bins(column, start, end, value <= 0, value >= self.levels[column] - 1, at)

    def _parts(self, n: int, numbers: int) -> Iterator[slice]:
        """n rows of so many numbers, some at a time."""
        rows = max(1, AT_ONCE // max(1, numbers))
        return (slice(start, start + rows) for start in range(0, n, rows))
