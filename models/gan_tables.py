"""Rows of a table in an adversarial game: how they are generated and shown, and the conditions that rare values need.

The critic sees a row as `TableNumbers` has it: a number on the scale of its column's quantiles, a 1 for the name, for
the atom (see columns.py) and for the gap. Integers of few levels are names here. What is a choice between outcomes
(see `choices.py`) the generator makes by relaxed draws of its logits h,

    y = softmax((h + g) / τ),   g = -log(-log u),  u ~ U(0, 1),

and where the number of a gap would be it shows 0, and of an atom the middle of its bin, as real rows do. Samples have
the outcome argmax(h + g), whose probability is softmax(h).

Training by sampling: each row of the game is about one outcome v of one choice c, of which both players are told.
Every choice is as likely; v has a probability in proportion to log(1 + n_v), where n_v rows of the batch have it, so
rare outcomes are learnt from more often than they are there. The real row is any of those n_v, and the generator pays
the cross-entropy -log softmax(h)_v, so that its row has v too. Samples are told outcomes with the shares p(v) that the
training data have, which makes their distribution that of the data:

    p(x) = 1/C Σ_c Σ_v p(v) p(x | v)

Shapes: x (N, D), the generator's outputs and what the critic is shown (N, total), outcomes of C choices (N, S). With
several workers the n_v and the real rows are those of the global batch.

Xu, Skoularidou, Cuesta-Infante & Veeramachaneni, "Modeling Tabular Data using Conditional GAN", 2019 (arXiv:1907.00503;
numbers have modes there in place of quantiles and atoms); relaxed draws: Jang, Gu & Poole, 2016 (arXiv:1611.01144).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .contract import Batch, Event
from .layers.draws import categorical
from .layers.labels import known
from .layers.precision import at_least_float32
from .layers.tables.choices import Choices
from .layers.tables.table_numbers import TableNumbers
from .layers.workers import rows_of_all_workers

RELAXED = 0.2  # τ, as the paper has it


class TableRows(nn.Module):
    """What the game knows of the rows of a table, which networks see as the vectors `seen`.

    Of a conditional model with so many `classes` it knows which outcomes go with each label.
    """

    shares: Tensor

    def __init__(self, event: Event, classes: int) -> None:
        super().__init__()
        columns = tuple(replace(each, names=each.by_level) for each in event.columns or ())
        self.numbers = TableNumbers(replace(event, columns=columns), atoms=True)
        self.choices = Choices(columns)
        self.seen = Event((self.numbers.total,), None)
        self.classes = classes
        # Of each label: how its rows are spread over the outcomes.
        self.register_buffer("shares", self.choices.shares.float().repeat(max(1, classes), 1), persistent=classes > 0)

    def initialise(self, x: Tensor, labels: Tensor | None) -> None:
        """Find p(v | label) by rows x (N, D); the shares of all rows count as one more row of each label."""
        if not self.classes:
            return
        has = torch.zeros(len(x), self.choices.total, device=x.device).scatter_(1, self.choices.outcomes(x), 1.0)
        of_label = F.one_hot(known(labels).long(), self.classes).to(has)
        self.shares.copy_((of_label.T @ has + self.choices.shares) / (of_label.sum(0)[:, None] + 1))

    # Training

    def conditioned(self, batch: Batch) -> tuple[Batch, Tensor]:
        """A batch of rows that are told what they have: the outcome, as one-hot floats (N, S)."""
        if not len(self.choices):
            return batch, batch.x.new_zeros(len(batch.x), 0)
        x, labels = (
            None if each is None else rows_of_all_workers(each, batch.noise.start, batch.noise.total)
            for each in (batch.x, batch.labels)
        )
        assert x is not None
        outcomes = self.choices.outcomes(x)
        row, choice = drawn_rows(outcomes, self.choices.total, batch.noise.uniform().to(x.device))
        condition = F.one_hot(outcomes[row, choice], self.choices.total).to(torch.get_default_dtype())
        return replace(batch, x=x[row], labels=None if labels is None else labels[row]), condition

    def real(self, batch: Batch) -> Tensor:
        """Examples as the critic sees them, (N, total), integers anywhere in their bins."""
        return self.numbers.numbers(batch.x, batch.noise.uniform(batch.x.shape[1]).to(batch.x.device))

    def generated(self, h: Tensor, u: Tensor) -> Tensor:
        """What the critic sees, (N, total), of outputs h (N, total) of the generator, by uniform numbers u (N, S)."""
        logits = at_least_float32(self.choices.logits(h))
        return self.choices.placed(h, self.choices.softmax((logits + gumbel(u.to(logits))) / RELAXED))

    def cross_entropy(self, h: Tensor, condition: Tensor) -> Tensor:
        """What it costs the generator (N,) where its rows have not what they were told to have."""
        log_p = self.choices.log_softmax(at_least_float32(self.choices.logits(h)))
        return -(log_p * condition).sum(1)

    # Samples

    @property
    def uniforms(self) -> int:
        """Uniform numbers that a sample takes beside normal ones: one for its condition, and one for each outcome."""
        return 1 + self.choices.total

    def condition(self, u: Tensor, labels: Tensor | None) -> Tensor:
        """Outcomes of any choice by the shares that they have, as one-hot floats (N, S); u (N,) uniform."""
        if not len(self.choices):
            return u.new_zeros(len(u), 0)
        shares = self.shares[
            torch.zeros(len(u), dtype=torch.long, device=u.device) if labels is None else labels.long()
        ]
        outcome = categorical(shares.double() / len(self.choices), u)
        return F.one_hot(outcome, self.choices.total).to(torch.get_default_dtype())

    def rows(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        """Rows (N, D) by outputs h (N, total) of the generator and uniform numbers u (N, S)."""
        y = self.choices.most(self.choices.logits(h).to(u) + temperature * gumbel(u))
        return self.numbers.quantise(self.choices.placed(h, y))


def drawn_rows(outcomes: Tensor, total: int, u: Tensor) -> tuple[Tensor, Tensor]:
    """Rows (N,) of a batch with these of all `total` outcomes (B, C), and a choice (N,) of each, by uniform u (N,).

    A choice is as likely as another, and one of its outcomes as log(1 + n), where n rows have it, each as likely.
    """
    rows, choices = outcomes.shape
    n = torch.bincount(outcomes.flatten(), minlength=total).double()
    weight = (n.log1p() / n)[outcomes]
    below = (weight / weight.sum(0)).T.flatten().cumsum(0) / choices
    cell = torch.searchsorted(below, u.double(), right=True).clamp_max(len(below) - 1)
    return cell % rows, cell // rows


def gumbel(u: Tensor) -> Tensor:
    """Standard Gumbel noise of uniform numbers u."""
    return -(-u.clamp_min(torch.finfo(u.dtype).tiny).log()).log()
