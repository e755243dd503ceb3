"""What is chosen in the rows of a table, a name, or whether a number is there: the outcomes of all columns together.

    names, K of them     K outcomes, and the gap as one more
    numbers with gaps    the number is there, or the gap

Columns without either are no choices. An outcome has the place of `TableNumbers` at which it is a 1; that a number is
there has no place, and is the outcome with the logit 0.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import accumulate

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ...columns import Column
from .table_numbers import block_widths


class Choices(nn.Module):
    """C choices with S outcomes altogether, those of a choice one after the other; `counts` says how many each has."""

    column: Tensor
    first: Tensor
    gap: Tensor
    names: Tensor
    number: Tensor
    there: Tensor
    place: Tensor
    shares: Tensor

    def __init__(self, columns: Sequence[Column]) -> None:
        super().__init__()
        widths = block_widths(columns)
        starts = [0, *accumulate(widths)]
        self.unplaced = 0
        self.counts, places, shares = list[int](), list[int](), list[Tensor]()
        number, there = list[int](), list[int]()
        chosen = [d for d, column in enumerate(columns) if column.names or column.gaps]
        for d in chosen:
            own = list(range(starts[d], starts[d + 1]))
            if not columns[d].names:
                number.append(own[0])
                there.append(len(places))
                own = [starts[-1] + self.unplaced, own[-1]]
                self.unplaced += 1
            places += own
            self.counts.append(len(own))
            shares.append(_outcome_shares(columns[d]))
        buffers = {
            "column": torch.tensor(chosen, dtype=torch.long),
            "first": torch.tensor([0, *accumulate(self.counts)][:-1], dtype=torch.long),
            "gap": torch.tensor(
                [(columns[d].levels or 0) if columns[d].names else 1 for d in chosen], dtype=torch.long
            ),
            "names": torch.tensor([columns[d].names for d in chosen], dtype=torch.bool),
            "number": torch.tensor(number, dtype=torch.long),
            "there": torch.tensor(there, dtype=torch.long),
            "place": torch.tensor(places, dtype=torch.long),
            "shares": torch.cat(shares) if shares else torch.zeros(0, dtype=torch.float64),
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
        return (
            self.first + torch.where(chosen.isnan(), self.gap, torch.where(self.names, chosen, 0).nan_to_num()).long()
        )

    def logits(self, h: Tensor) -> Tensor:
        """The logits (N, S) of all outcomes among numbers h (N, total) of a network, laid out as `TableNumbers` is."""
        return F.pad(h, (0, self.unplaced))[:, self.place]

    def placed(self, h: Tensor, y: Tensor) -> Tensor:
        """Numbers h (N, total) with y (N, S) at the places of the outcomes, and 0 where there is a gap."""
        y = y.to(h)
        present = h.index_copy(1, self.number, h[:, self.number] * y[:, self.there])
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


def _outcome_shares(column: Column) -> Tensor:
    """The shares of a choice's outcomes among the training examples, in float64."""
    shares = column.shares if column.names else [1 - column.gaps, *([column.gaps] if column.gaps else [])]
    return torch.tensor(shares, dtype=torch.float64)
