"""What is chosen in the rows of a table, a name, or whether a number is there: the outcomes of all columns together.

    names, K of them     K outcomes, and the gap as one more
    numbers              any number, or one of the column's atoms (see columns.py), or the gap

Numbers with neither atoms nor gaps are no choices. An outcome has the place of `TableNumbers` with atoms at which it is
a 1; any number has no place, and is the outcome with the logit 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...columns import Column
from .marginals import Marginals
from .table_numbers import FARTHEST, block_widths, padded_atoms


class Choices(nn.Module):
    """C choices with S outcomes altogether, those of a choice one after the other; `counts` says how many each has."""

    column: Tensor
    first: Tensor
    gap: Tensor
    names: Tensor
    atoms: Tensor
    number: Tensor
    there: Tensor
    place: Tensor
    middle: Tensor
    shares: Tensor

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        starts = [0, *accumulate(block_widths(columns, atoms=True))]
        self.unplaced = 0
        self.counts, places = list[int](), list[int]()
        number, there = list[int](), list[int]()
        chosen = [d for d, column in enumerate(columns) if column.names or column.atoms or column.gaps]
        for d in chosen:
            own = list(range(starts[d], starts[d + 1]))
            if not columns[d].names:
                number.append(own[0])
                there.append(len(places))
                own = [starts[-1] + self.unplaced, *own[1:]]
                self.unplaced += 1
            places += own
            self.counts.append(len(own))
        own_columns = [columns[d] for d in chosen]
        buffers = {
            "column": torch.tensor(chosen, dtype=torch.long),
            "first": torch.tensor([0, *accumulate(self.counts)][:-1], dtype=torch.long),
            "gap": torch.tensor(self.counts, dtype=torch.long) - 1,  # which outcome of a choice it is, if there are any
            "names": torch.tensor([each.names for each in own_columns], dtype=torch.bool),
            "atoms": padded_atoms(own_columns),
            "number": torch.tensor(number, dtype=torch.long),
            "there": torch.tensor(there, dtype=torch.long),
            "place": torch.tensor(places, dtype=torch.long),
            "middle": _middles([each for each in own_columns if not each.names], there, len(places)),
            "shares": torch.tensor([share for each in own_columns for share in _shares(each)], dtype=torch.float64),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)

    def __len__(self) -> int:
        return len(self.counts)

    @property
    def total(self) -> int:
        """S, the count of all outcomes."""
        return sum(self.counts)

    def outcomes(self, x: Tensor) -> Tensor:
        """Which of all S outcomes rows x (N, D) have, (N, C)."""
        chosen = x[:, self.column]
        atom = F.pad(chosen[..., None] == self.atoms.to(x), (1, 0)).int().argmax(-1)  # 0 for none of them
        value = torch.where(self.names, chosen.nan_to_num(), atom)
        return self.first + torch.where(chosen.isnan(), self.gap, value).long()

    def logits(self, h: Tensor) -> Tensor:
        """The logits (N, S) of all outcomes among numbers h (N, total) of a network, laid out as `TableNumbers` is."""
        return F.pad(h, (0, self.unplaced))[:, self.place]

    def placed(self, h: Tensor, y: Tensor) -> Tensor:
        """Numbers h (N, total) with y (N, S) at the places of the outcomes.

        Where there is an atom its number is the middle of its bin, and where there is a gap it is 0.
        """
        y = y.to(h)
        numbers = h[:, self.number] * y[:, self.there] + y @ self.middle.to(h)
        present = h.index_copy(1, self.number, numbers)
        return F.pad(present, (0, self.unplaced)).index_copy(1, self.place, y)[:, : h.shape[1]]

    def softmax(self, logits: Tensor) -> Tensor:
        """Probabilities (N, S) of outcomes, by choices."""
        return self._of_each(lambda own: own.softmax(1), logits)

    def log_softmax(self, logits: Tensor) -> Tensor:
        """log probabilities (N, S) of outcomes, by choices."""
        return self._of_each(lambda own: own.log_softmax(1), logits)

    def most(self, logits: Tensor) -> Tensor:
        """Ones (N, S) at the likeliest outcome of each choice, zeros elsewhere."""
        return self._of_each(lambda own: F.one_hot(own.argmax(1), own.shape[1]).to(own), logits)

    def _of_each(self, function: Callable[[Tensor], Tensor], logits: Tensor) -> Tensor:
        """What a function makes of the logits (N, S) of each choice."""
        parts = logits.split(self.counts, 1) if self.counts else ()
        return torch.cat([logits[:, :0], *(function(own) for own in parts)], 1)


def _shares(column: Column) -> list[float]:
    """Those of a choice's outcomes among the training examples."""
    if column.names:
        return column.shares
    atoms = [share for _, share in column.atoms]
    each = [(1 - column.gaps) * share for share in (1 - sum(atoms), *atoms)]
    return [*each, column.gaps] if column.gaps else each


def _middles(columns: Sequence[Column], there: Sequence[int], outcomes: int) -> Tensor:
    """Of each outcome that is an atom the middle of its bin, on the scale of its column, (outcomes, columns)."""
    middles = torch.zeros(outcomes, len(columns), dtype=torch.float64)
    for c, (column, place) in enumerate(zip(columns, there, strict=True)):
        t = torch.tensor([[at + 0.5] for at, _ in column.atoms], dtype=torch.float64).view(-1, 1)
        y, _ = Marginals([column])(t)
        middles[place + 1 : place + 1 + len(t), c] = y[:, 0].clamp(-FARTHEST, FARTHEST)
    return middles
