"""Each column of a table on a scale of its own, on which it is about standard normal, whatever its type.

    y = Φ⁻¹(F(t))       by the distribution function F of the column, linear between the points at which it is known
    y = (t - μ) / σ     where mean and standard deviation say enough

t is a real number, or an integer plus a number in [0, 1). Beyond the points of a real column's F, y goes on along
straight lines: what training examples have not reached is far out, and not impossible. The first is known as the
probability integral transform; it takes a heavy tail, a unit and an offset away from a column, and its derivative is
known, so likelihoods stay those of the data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...columns import Column
from ..normal import log_normal_density

EDGE = 1e-12  # shares nearer than that to 0 or 1 are taken for it: Φ⁻¹ is infinite there


class Marginals(nn.Module):
    """The bijections of all columns, computed in float64: shares near 1 need its digits."""

    at: Tensor
    share: Tensor
    last: Tensor
    mean: Tensor
    std: Tensor
    straight: Tensor
    real: Tensor

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        points = [column.distribution or ((0.0, 0.0), (1.0, 1.0)) for column in columns]
        longest = max(len(each) for each in points)
        padded = [[*each, *[(math.inf, 2.0)] * (longest - len(each))] for each in points]
        table = torch.tensor(padded, dtype=torch.float64)
        last = torch.tensor([len(each) - 2 for each in points])
        buffers = {
            "at": table[..., 0].contiguous(),
            "share": table[..., 1].contiguous(),
            "last": last,  # the number of the last segment
            "mean": torch.tensor([column.mean for column in columns], dtype=torch.float64),
            "std": torch.tensor([column.std for column in columns], dtype=torch.float64),
            "straight": torch.tensor([not column.distribution for column in columns]),
            "real": torch.tensor([column.levels is None for column in columns]),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """y (N, D) of t (N, D), and log dy/dt (N, D), both in float64."""
        t = t.double()
        segment = torch.searchsorted(self.at, t.T.contiguous(), right=True).T - 1
        at, share, slope = self._segment(segment)
        inside = (share + (t - at) * slope).clamp(EDGE, 1 - EDGE)
        y = torch.special.ndtri(inside)
        log_slope = slope.log() - log_normal_density(y)
        beyond, edge_t, edge_y, edge_slope = self._edges((segment < 0), (segment > self.last))
        y = torch.where(beyond, edge_y + (t - edge_t) * edge_slope, y)
        log_slope = torch.where(beyond, edge_slope.log(), log_slope)
        straight = (t - self.mean) / self.std
        return torch.where(self.straight, straight, y), torch.where(self.straight, -self.std.log(), log_slope)

    def inverse(self, y: Tensor) -> Tensor:
        """t (N, D), in float64, of y (N, D)."""
        y = y.double()
        v = torch.special.ndtr(y)
        segment = torch.searchsorted(self.share, v.T.contiguous(), right=True).T - 1
        at, share, slope = self._segment(segment)
        t = at + (v - share) / slope
        beyond, edge_t, edge_y, edge_slope = self._edges((segment < 0), (segment > self.last))
        t = torch.where(beyond, edge_t + (y - edge_y) / edge_slope, t)
        return torch.where(self.straight, y * self.std + self.mean, t)

    def _segment(self, segment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Of segments (N, D): where they begin, the share that lies before, and the slope of F."""
        index = segment.minimum(self.last).clamp_min(0).T
        at, share = self.at.gather(1, index).T, self.share.gather(1, index).T
        next_at, next_share = self.at.gather(1, index + 1).T, self.share.gather(1, index + 1).T
        return at, share, (next_share - share) / (next_at - at)

    def _edges(self, below: Tensor, above: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Where real numbers lie beyond F (N, D); the nearest point of it, its y, and dy/dt there."""
        end = torch.where(above, self.last + 1, 0).T
        start = torch.where(above, self.last, 0)
        _, _, slope = self._segment(start)
        y = torch.special.ndtri(self.share.gather(1, end).T.clamp(EDGE, 1 - EDGE))
        return (below | above) & self.real, self.at.gather(1, end).T, y, slope * torch.exp(-log_normal_density(y))


def level_shares(column: Column) -> Tensor:
    """The shares (K,) of a column's levels, in float64, by its distribution function; all alike if it is not known."""
    points = column.distribution or ((0.0, 0.0), (float(column.levels or 1), 1.0))
    at, share = torch.tensor(points, dtype=torch.float64).T.contiguous()
    edges = torch.arange((column.levels or 1) + 1, dtype=torch.float64)
    segment = (torch.searchsorted(at, edges, right=True) - 1).clamp(0, len(points) - 2)
    slope = share.diff() / at.diff()
    return (share[segment] + (edges - at[segment]) * slope[segment]).diff()
