"""Rows of a table as numbers on the scales of their columns, and as names, which are one-hot, with a place for a gap.

Integers of few levels count as names, as they do in `column_outputs.py`: what is sharp stays sharp.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from ...contract import Event
from ...noise import Noise
from ..units import Units
from .table_units import TableUnits


class NamedUnits(Units):
    """Columns of numbers on their scales (see `table_units.py`), and then those of names, K numbers for each.

    `sizes` are these K; with gaps the last one stands for a gap. The log-determinant is that of the numbers.
    """

    def __init__(self, event: Event) -> None:
        super().__init__()
        columns = event.columns or ()
        self.numbers_at = [d for d, column in enumerate(columns) if not column.by_level]
        self.names_at = [d for d, column in enumerate(columns) if column.by_level]
        numbers = tuple(columns[d] for d in self.numbers_at)
        self.levels = [columns[d].levels or 0 for d in self.names_at]
        self.sizes = tuple(levels + (columns[d].gaps > 0) for levels, d in zip(self.levels, self.names_at, strict=True))
        self.numbers = TableUnits(replace(event, shape=(len(numbers),), columns=numbers)) if numbers else None
        self.bound = None if self.numbers is None else self.numbers.bound

    @property
    def places(self) -> list[int]:
        """Of each number of y the column that it belongs to."""
        named = [d for d, size in zip(self.names_at, self.sizes, strict=True) for _ in range(size)]
        return self.numbers_at + named

    def forward(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        dtype = torch.get_default_dtype()
        y, log_det = [], torch.zeros(len(x), dtype=dtype, device=x.device)
        if self.numbers is not None:
            numbers, log_det = self.numbers(x[:, self.numbers_at], noise)
            y.append(numbers)
        for d, levels, size in zip(self.names_at, self.levels, self.sizes, strict=True):
            place = torch.where(x[:, d].isnan(), levels, x[:, d].nan_to_num()).long()
            y.append(F.one_hot(place, size).to(dtype))
        return torch.cat(y, 1), log_det

    def inverse(self, y: Tensor) -> Tensor:
        """Rows (N, D) as floats, of numbers the middle of a bin; a name is the largest of its numbers, a gap NaN."""
        return self._rows(y, [] if self.numbers is None else [self.numbers.inverse(y[:, : len(self.numbers_at)])])

    def quantise(self, y: Tensor) -> Tensor:
        rows = self._rows(y, [] if self.numbers is None else [self.numbers.quantise(y[:, : len(self.numbers_at)])])
        return rows.float()

    def _rows(self, y: Tensor, columns: list[Tensor]) -> Tensor:
        """The rows (N, D) of their columns of numbers, if any, and of what y says of names."""
        for levels, named in zip(self.levels, y[:, len(self.numbers_at) :].split(self.sizes, 1), strict=True):
            place = named.argmax(1, keepdim=True)
            columns.append(torch.where(place == levels, torch.nan, place.to(y.dtype)))
        order = torch.tensor(self.numbers_at + self.names_at).argsort()
        return torch.cat(columns, 1)[:, order]
