"""One table that says how good synthetic rows are, beside what can be expected: no number means much alone.

    synthetic     the rows that are judged, against the training rows
    real          one half of the training rows against the other: what the best rows reach, that are new and real
    independent   training rows whose columns were shuffled, each on its own: right columns, and nothing else

All three are judged by as many rows, which are at most half of the training rows, and all with the same holdout rows,
by which predictors are judged, and beside which closeness and membership are. Copies are expected where new real rows
repeat old ones: the details say how many of the holdout rows do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from ..few import too_few_reason
from .column_kinds import ROWS, Columns, sampled
from .column_shapes import Shapes, column_shapes
from .kept_pairs import KeptPairs, kept_pairs
from .learnt_target import LearntTarget, learnt_target
from .pair_trends import Trends, pair_trends
from .row_privacy import RowPrivacy, row_privacy
from .told_apart import ToldApart, told_apart
from .value_coverage import Coverage, value_coverage

Better = Literal["higher", "half", "expected"]
Number = tuple[Better, float | None, str]  # what is better, the value, and why it is blank if it is


@dataclass(frozen=True)
class Judgement:
    """All that is found of one table; `target` is None where no column is to be predicted."""

    shapes: Shapes
    trends: Trends
    told_apart: ToldApart
    coverage: Coverage
    kept_pairs: KeptPairs
    privacy: RowPrivacy
    target: LearntTarget | None


@dataclass(frozen=True)
class Line:
    """One number of three tables, and what is better: `expected` is no more than `real` rows have.

    `reason` says why the first of them that is blank is so.
    """

    name: str
    better: Better
    synthetic: float | None
    real: float | None
    independent: float | None
    reason: str = ""


@dataclass(frozen=True)
class Scorecard:
    """The table, how many rows of each table were judged, and the details of each."""

    lines: tuple[Line, ...]
    rows: int
    synthetic: Judgement
    real: Judgement
    independent: Judgement


def scorecard(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Columns,
    target: str | None = None,
    rows: int = ROWS,
    seed: int = 0,
) -> Scorecard:
    """The scorecard of synthetic rows that were made from training rows."""
    order = np.random.default_rng(seed).permutation(len(train))
    half, other = (train.iloc[np.sort(part)] for part in np.array_split(order, 2))
    count = min(len(synthetic), len(other), rows)
    pairs = (train, synthetic), (half, other), (train, independent(train, seed))
    judgements = [
        judgement(real, holdout, sampled(table, count, seed), columns, target, rows, seed) for real, table in pairs
    ]
    return Scorecard(tuple(_lines(*judgements)), count, *judgements)


def judgement(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Columns,
    target: str | None = None,
    rows: int = ROWS,
    seed: int = 0,
) -> Judgement:
    """All numbers of one synthetic table."""
    learnt = learnt_target(train, synthetic, holdout, columns, target, rows, seed) if target else None
    return Judgement(
        column_shapes(train, synthetic, columns, seed),
        pair_trends(train, synthetic, columns, seed),
        told_apart(train, synthetic, columns, rows, seed),
        value_coverage(train, synthetic, columns),
        kept_pairs(train, synthetic, columns),
        row_privacy(train, holdout, synthetic, columns, rows, seed),
        learnt,
    )


def independent(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A table of the same columns, each in an order of its own."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: frame[name].array[rng.permutation(len(frame))] for name in frame.columns})


def _lines(*judgements: Judgement) -> list[Line]:
    """The lines of synthetic, real and independent tables."""
    numbers = [_numbers(each) for each in judgements]
    return [_line(name, *(of_table[name] for of_table in numbers)) for name in numbers[0]]


def _line(name: str, synthetic: Number, real: Number, independent: Number) -> Line:
    reasons = [reason for _, value, reason in (synthetic, real, independent) if value is None]
    return Line(name, synthetic[0], synthetic[1], real[1], independent[1], reasons[0] if reasons else "")


def _numbers(of: Judgement) -> dict[str, Number]:
    """Each number of a table."""
    few = "no pair of columns has both values and a trend"
    near, copied, member = of.privacy.closest, of.privacy.copies, of.privacy.membership
    numbers: dict[str, Number] = {
        "column_shapes": _of_enough("column_shapes", of, of.shapes.mean, "no column has values"),
        "pair_trends": _of_enough("pair_trends", of, of.trends.mean, few),
        "associated_pair_trends": _of_enough("pair_trends", of, of.trends.associated_mean, few),
        "two_sample_auc": ("half", of.told_apart.auc, of.told_apart.reason),
        "category_coverage": _of_enough("category_coverage", of, of.coverage.categories, "no column is a category"),
        "range_coverage": _of_enough("range_coverage", of, of.coverage.ranges, "no column is a number that varies"),
        "pairs_kept": ("higher", of.kept_pairs.mean, of.kept_pairs.reason),
        "closer_to_train": ("half", near.closer.value if near else None, of.privacy.reason),
        "near_copies": ("expected", near.near.value if near else None, of.privacy.reason),
        "exact_copies": ("expected", copied.exact.value if copied else None, of.privacy.reason),
        "membership_auc": ("half", member.auc if member else None, of.privacy.reason),
    }
    if of.target:
        reason = of.target.reason or "it is not defined for this target"
        numbers |= {f"learnt_{name}": ("higher", value, reason) for name, value in of.target.on_synthetic.items()}
    return numbers


def _of_enough(metric: str, of: Judgement, value: float | None, reason: str) -> Number:
    """The number, if there are rows enough for its metric; else blank."""
    few = too_few_reason(metric, min(of.shapes.real_rows, of.shapes.synthetic_rows))
    return "higher", None if few else value, few or reason
