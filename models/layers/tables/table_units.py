"""Rows of a table as real vectors of one number per column, which any density of real numbers can model.

An integer is made continuous by noise within its bin, and brought to the scale of its column (see marginals.py). Of a
column with gaps, a share g of the examples, a gap takes the upper end of the scale:

    v = (1 - g) Φ(y₀)  of a value,      v = 1 - g + g u,  u ~ U[0, 1)  of a gap,      y = Φ⁻¹(v)

So all columns are about standard normal, and a gap is an outcome like others: nothing is imputed. The density of y
averages, over the noise, to a lower bound of the probability of a row. Rüschendorf, "On the distributional transform",
2009, doi:10.1016/j.jspi.2009.05.030; Theis et al., 2016 (arXiv:1511.01844).
"""

from __future__ import annotations

import torch
from torch import Tensor

from ...contract import Event
from ...noise import Noise
from ..normal import log_normal_density
from ..units import Units
from .marginals import EDGE, Marginals


class TableUnits(Units):
    """Dequantised and standardised columns; without noise the middle of a bin, and of a gap's share."""

    gaps: Tensor
    whole: Tensor
    levels: Tensor

    def __init__(self, event: Event) -> None:
        super().__init__()
        columns = event.columns or ()
        self.marginals = Marginals(columns)
        self.bound = "dequantised" if any(column.levels or column.gaps for column in columns) else None
        buffers = {
            "gaps": torch.tensor([column.gaps for column in columns], dtype=torch.float64),
            "whole": torch.tensor([column.levels is not None for column in columns]),
            "levels": torch.tensor([column.levels or 1 for column in columns], dtype=torch.float64),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def forward(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        """y (N, D), and log |det dy/dx| (N,), that of noise for a gap."""
        u = x.new_full(x.shape, 0.5) if noise is None else noise.uniform(x.shape[1]).to(x)
        gap, u = x.isnan(), u.double()
        y, log_slope = self.marginals(torch.where(gap, 0.5, x.double() + self.whole * u))
        v = torch.where(gap, 1 - self.gaps * (1 - u), (1 - self.gaps) * torch.special.ndtr(y))
        moved = torch.special.ndtri(v.clamp(EDGE, 1 - EDGE))
        stretch = torch.where(gap, self.gaps.log(), (1 - self.gaps).log() + log_normal_density(y) + log_slope)
        holed = self.gaps > 0
        log_det = torch.where(holed, stretch - log_normal_density(moved), log_slope)
        dtype = torch.get_default_dtype()
        return torch.where(holed, moved, y).to(dtype), log_det.sum(1).to(dtype)

    def inverse(self, y: Tensor) -> Tensor:
        """Rows (N, D) as floats: an integer is where its bin has its middle, a gap NaN."""
        return self._continuous(y).sub(0.5 * self.whole).to(y.dtype)

    def quantise(self, y: Tensor) -> Tensor:
        t = self._continuous(y)
        levels = t.floor().clamp_min(0).minimum(self.levels - 1)
        return torch.where(self.whole & ~t.isnan(), levels, t).float()

    def _continuous(self, y: Tensor) -> Tensor:
        """t (N, D), NaN for gaps."""
        v = torch.special.ndtr(y.double())
        holed = self.gaps > 0
        inner = torch.special.ndtri((v / (1 - self.gaps)).clamp(EDGE, 1 - EDGE))
        t = self.marginals.inverse(torch.where(holed, inner, y.double()))
        return torch.where(holed & (v >= 1 - self.gaps), torch.nan, t)
