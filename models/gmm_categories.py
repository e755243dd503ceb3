"""The part of a mixture of products that is discrete: of each column a probability of each outcome, by component.

Names and integers of few levels have an outcome for each level and one for the gap; of a number only its gap is one, if
it has gaps. With shares s_l of the column, and responsibilities r that are averages over examples, the M step is

    π_kl = (Σ_n r_nk [x_n = l] + ε s_l) / (Σ_n r_nk + ε)

the maximum a posteriori by a Dirichlet distribution worth ε examples for each training example: so what a component has
never seen is rare, and not impossible.

Lazarsfeld & Henry, "Latent Structure Analysis", 1968.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .columns import Column
from .layers.draws import categorical
from .layers.lookup import sum_into_rows, sum_of_rows


class Categories(nn.Module):
    """Logits (K, P) of the P outcomes of all columns, one column after the other; those of a column give a softmax."""

    of: Tensor
    first: Tensor
    count: Tensor
    listed: Tensor
    gap: Tensor
    shares: Tensor
    column: Tensor

    def __init__(self, K: int, columns: Sequence[Column]) -> None:
        super().__init__()
        of = [d for d, column in enumerate(columns) if column.by_level or column.gaps]
        shares = [_shares(columns[d]) for d in of]
        counts = [len(each) for each in shares]
        buffers = {
            "of": torch.tensor(of, dtype=torch.long),  # which of the D columns
            "first": torch.tensor([sum(counts[:c]) for c in range(len(counts))], dtype=torch.long),
            "count": torch.tensor(counts, dtype=torch.long),
            "listed": torch.tensor([columns[d].by_level for d in of], dtype=torch.bool),
            "gap": torch.tensor([n - (columns[d].gaps > 0) for d, n in zip(of, counts, strict=True)], dtype=torch.long),
            "shares": torch.tensor([share for each in shares for share in each]),
            "column": torch.tensor([c for c, count in enumerate(counts) for _ in range(count)], dtype=torch.long),
        }
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)
        self.logits = nn.Parameter(self.shares.log().repeat(K, 1))

    def log_density(self, x: Tensor, known: Tensor) -> Tensor:
        """Σ_c log π_kc(x_c) (N, K) over columns c that are known (N, D) of rows x (N, D), in float64.

        Minus infinity where an outcome is none of the column's.
        """
        known = known[:, self.of]
        offset = self._offset(x)
        allowed = (offset >= 0) & (offset < self.count)
        places = self.first + torch.where(allowed, offset, 0)
        log_p = sum_of_rows(self._log_probabilities().T, places, known)
        return log_p.masked_fill((known & ~allowed).any(1, keepdim=True), -torch.inf)

    def sums(self, x: Tensor, r: Tensor) -> Tensor:
        """Σ_n r_nk [x_n = l] (K, P) of rows x (N, D) by responsibilities r (N, K)."""
        places = self.first + self._offset(x)
        return sum_into_rows(len(self.shares), places, r, torch.ones_like(places)).T

    def maximise(self, counted: Tensor, pseudo: float) -> None:
        """The M step; `pseudo` is ε."""
        joined = counted + pseudo * self.shares.to(counted)
        total = torch.zeros(len(joined), len(self.of)).to(joined).index_add_(1, self.column, joined)
        self.logits.copy_((joined / total[:, self.column]).log())

    def log_prior(self) -> Tensor:
        """Σ_kl s_l log π_kl: the logarithm of the prior density of all probabilities, but for a constant, over ε."""
        return (self.shares * self._log_probabilities()).sum()

    def draw(self, component: Tensor, u: Tensor, temperature: float) -> Tensor:
        """Outcomes (N, C) of components (N,) by uniform numbers u (N, C), with probabilities P^(1/T)."""
        log_p, drawn = self._log_probabilities(), []
        for first, count, each in zip(self.first.tolist(), self.count.tolist(), u.T, strict=True):
            mine = log_p[component, first : first + count]
            if temperature == 0:
                drawn.append(mine.argmax(1))
            else:
                drawn.append(categorical((mine / temperature).softmax(1), each.double()))
        return torch.stack(drawn, 1) if drawn else u.long()

    def write(self, outcomes: Tensor, x: Tensor) -> None:
        """Put outcomes (N, C) into rows x (N, D): levels, and NaN for gaps."""
        for c, d in enumerate(self.of.tolist()):
            if self.listed[c]:
                x[:, d] = outcomes[:, c].to(x)
            x[:, d] = torch.where(outcomes[:, c] == self.gap[c], torch.nan, x[:, d])

    def _offset(self, x: Tensor) -> Tensor:
        """The number (N, C) of each outcome among those of its column; `count` of what is none of them."""
        mine = x[:, self.of]
        level = torch.where(self.listed, mine.nan_to_num(), 0.0).long()
        return torch.where(mine.isnan(), self.gap, torch.where(level < self.gap, level, self.count))

    def _log_probabilities(self) -> Tensor:
        """log π (K, P), in float64: the softmax of each column's logits."""
        logits = self.logits.double()
        where = self.column.expand(len(logits), -1)
        top = logits.new_full((len(logits), len(self.of)), -torch.inf).scatter_reduce(1, where, logits.detach(), "amax")
        above = logits - top[:, self.column]
        total = torch.zeros_like(top).index_add(1, self.column, above.exp())
        return above - total.log()[:, self.column]


def _shares(column: Column) -> list[float]:
    """Those of a column's outcomes among the training examples: of all levels, or of values and of the gap."""
    return column.shares if column.by_level else [1 - column.gaps, column.gaps]
