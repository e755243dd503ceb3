"""Rows of a table as a network likes to see them: about standard normal numbers, and a 1 for each name and each gap."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ...columns import Column
from ...contract import Event
from .marginals import Marginals

FARTHEST = 8.0  # standard deviations


def block_widths(columns: Sequence[Column], atoms: bool = False) -> list[int]:
    """How many numbers each column takes, with one for each of its atoms or without."""
    return [
        ((column.levels or 1) if column.names else 1) + atoms * len(column.atoms) + (column.gaps > 0)
        for column in columns
    ]


def padded_atoms(columns: Sequence[Column]) -> Tensor:
    """The atoms of columns (C, A), and NaN, which no value equals, where a column has fewer than others."""
    most = max((len(column.atoms) for column in columns), default=0)
    rows = [[at for at, _ in column.atoms] + [torch.nan] * (most - len(column.atoms)) for column in columns]
    return torch.tensor(rows, dtype=torch.float64).view(len(columns), most)


class TableNumbers(nn.Module):
    """Columns as blocks of numbers: a number takes one place, names take one each, and a gap one more.

    With `atoms` each of them has a place, too, between these, and is a 1 there beside the number that it is. With
    `even` blocks all are as wide as the widest, with zeros that fill them up. All of them have `total` numbers.
    """

    levels: Tensor
    start: Tensor
    names: Tensor
    whole: Tensor
    holed: Tensor
    gap_at: Tensor

    def __init__(self, event: Event, even: bool = False, atoms: bool = False) -> None:
        super().__init__()
        columns = event.columns or ()
        self.marginals = Marginals(columns)
        own = block_widths(columns, atoms)
        widths = [max(own)] * len(own) if even else own
        starts = [sum(widths[:number]) for number in range(len(widths))]
        self.total = sum(widths)
        holed = [number for number, column in enumerate(columns) if column.gaps]
        after = [starts[d] + own[d] - 1 for d in holed]
        self.named = [(d, starts[d], column.levels or 1) for d, column in enumerate(columns) if column.names]
        self.atoms = [
            (d, slice(starts[d] + 1, starts[d] + 1 + len(column.atoms)), torch.tensor([at for at, _ in column.atoms]))
            for d, column in enumerate(columns)
            if atoms and column.atoms
        ]
        buffers = {
            "levels": torch.tensor([column.levels or 1 for column in columns], dtype=torch.float64),
            "start": torch.tensor(starts),
            "names": torch.tensor([column.names for column in columns]),
            "whole": torch.tensor([column.levels is not None for column in columns]),
            "holed": torch.tensor(holed, dtype=torch.long),
            "gap_at": torch.tensor(after, dtype=torch.long),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def initialise(self, x: Tensor) -> None:
        """The event says all that has to be known."""

    def numbers(self, x: Tensor, u: float | Tensor = 0.5) -> Tensor:
        """(N, total) of rows x (N, D), integers at u (N, D) of their bins, by default at the middles, as atoms are."""
        gap = x.isnan()
        there = torch.where(gap, 0.0, x)
        t = there.double() + u * self.whole
        found = [(d, own, x[:, d, None] == atoms.to(x)) for d, own, atoms in self.atoms]
        for d, _, which in found:
            t[:, d] = torch.where(which.any(1), there[:, d] + 0.5, t[:, d])
        y, _ = self.marginals(t)
        values = torch.where(self.names, 1.0, y.clamp(-FARTHEST, FARTHEST)).masked_fill(gap, 0.0)
        places = self.start + torch.where(self.names, there, 0.0).long()
        dtype = torch.get_default_dtype()
        made = torch.zeros(len(x), self.total, dtype=dtype, device=x.device)
        made.scatter_(1, places, values.to(dtype))
        for _, own, which in found:
            made[:, own] = which.to(dtype)
        made[:, self.gap_at] = gap[:, self.holed].to(dtype)
        return made

    def quantise(self, y: Tensor) -> Tensor:
        """Rows (N, D), as float32, of such numbers y (N, total): what the types allow, and the inverse of `numbers`."""
        t = self.marginals.inverse(y[:, self.start])
        x = torch.where(self.whole, t.floor().clamp_min(0).minimum(self.levels - 1), t)
        for d, start, levels in self.named:
            x[:, d] = y[:, start : start + levels].argmax(1).to(x)
        for d, own, atoms in self.atoms:
            likely = y[:, own].max(1)
            x[:, d] = torch.where(likely.values > 0.5, atoms.to(x)[likely.indices], x[:, d])
        x[:, self.holed] = x[:, self.holed].masked_fill(y[:, self.gap_at] > 0.5, torch.nan)
        return x.float()

    def block(self, x: Tensor, column: int) -> Tensor:
        """The numbers (N, width) of a column's values x (N,), where all blocks are even."""
        rows = x.new_zeros(len(x), len(self.start))
        rows[:, column] = x
        return self.numbers(rows).unflatten(1, (len(self.start), -1))[:, column]
