"""One table that says how good synthetic rows are, beside what can be expected: no number means much alone.

    synthetic     the rows that are judged, against the training rows
    real          one half of the training rows against the other: what the best rows reach, that are new and real
    independent   training rows whose columns were shuffled, each on its own: right columns, and nothing else

All three are judged by as many rows, which are at most half of the training rows, and all with the same holdout rows,
by which predictors are judged, and beside which closeness, membership and attacks are. Copies are expected where new
real rows repeat old ones, the more of them the more old ones there are: `real` has the copies among the holdout rows of
the same training rows.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import pandas as pd

from ..few import too_few_reason
from .binomial_share import Share
from .column_kinds import ROWS, Columns, sampled
from .column_shapes import Shapes, column_shapes
from .kept_pairs import KeptPairs, kept_pairs
from .learnt_target import LearntTarget, learnt_target
from .pair_trends import Trends, pair_trends
from .privacy_attacks import Risk, Risks, attacks_if_installed
from .row_privacy import RowPrivacy, row_privacy
from .told_apart import ToldApart, told_apart
from .value_coverage import Coverage, value_coverage

Better = Literal["higher", "lower", "half", "expected"]
TABLES = ("synthetic", "real", "independent")


@dataclass(frozen=True)
class Number:
    """What is better, the value, why it is blank if it is, and its 95 % interval if it has one.

    `of_holdout` is what the holdout rows have in the place of the synthetic ones, where that is `expected`.
    """

    better: Better
    value: float | None
    reason: str
    interval: tuple[float, float] | None = None
    of_holdout: float | None = None


@dataclass(frozen=True)
class Judgement:
    """All that is found of one table; `target` is None where no column is to be predicted."""

    shapes: Shapes
    trends: Trends
    told_apart: ToldApart
    coverage: Coverage
    kept_pairs: KeptPairs
    privacy: RowPrivacy
    attacks: Risks
    target: LearntTarget | None


@dataclass(frozen=True)
class Line:
    """One number of three tables, and what is better: `expected` is no more than `real` rows of the holdout have.

    `reason` says why the first of them that is blank is so. `intervals` has those of the tables whose number has one.
    """

    name: str
    better: Better
    synthetic: float | None
    real: float | None
    independent: float | None
    reason: str = ""
    intervals: dict[str, tuple[float, float]] = field(default_factory=dict)


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
    tables = references(train, len(synthetic), rows, seed)
    count = len(tables["real"][1])
    pairs = (train, sampled(synthetic, count, seed)), tables["real"], tables["independent"]
    found = [judgement(of, holdout, table, columns, target, rows, seed) for of, table in pairs]
    return Scorecard(lines(*found), count, *found)


def references(
    train: pd.DataFrame, count: int, rows: int = ROWS, seed: int = 0
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """`real` and `independent`: training rows, and a table that is judged beside them, of at most `count` rows."""
    order = np.random.default_rng(seed).permutation(len(train))
    half, other = (train.iloc[np.sort(part)] for part in np.array_split(order, 2))
    count = min(count, len(other), rows)
    beside = {"real": (half, other), "independent": (train, independent(train, seed))}
    return {name: (of, sampled(table, count, seed)) for name, (of, table) in beside.items()}


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
        attacks_if_installed(train, holdout, synthetic, columns, (target,) if target else (), rows, seed=seed),
        learnt,
    )


def independent(frame: pd.DataFrame, seed: int) -> pd.DataFrame:
    """A table of the same columns, each in an order of its own."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: frame[name].array[rng.permutation(len(frame))] for name in frame.columns})


def lines(synthetic: Judgement, real: Judgement, independent: Judgement) -> tuple[Line, ...]:
    """The lines of synthetic, real and independent tables."""
    of_synthetic, of_real, of_independent = (numbers(each) for each in (synthetic, real, independent))
    of_real |= {
        name: replace(each, value=each.of_holdout) for name, each in of_synthetic.items() if each.better == "expected"
    }
    return tuple(_line(name, each, of_real[name], of_independent[name]) for name, each in of_synthetic.items())


def _copies(found: Share | None, expected: Share | None, reason: str) -> Number:
    value, of_holdout = (None if share is None else share.value for share in (found, expected))
    return Number("expected", value, reason, of_holdout=of_holdout)


def _line(name: str, synthetic: Number, real: Number, independent: Number) -> Line:
    found = synthetic, real, independent
    reasons = [each.reason for each in found if each.value is None]
    intervals = {table: each.interval for table, each in zip(TABLES, found, strict=True) if each.interval}
    reason = reasons[0] if reasons else ""
    return Line(name, synthetic.better, synthetic.value, real.value, independent.value, reason, intervals)


def numbers(of: Judgement) -> dict[str, Number]:
    """Each number of a table."""
    few = "no pair of columns has both values and a trend"
    near, copied, member = of.privacy.closest, of.privacy.copies, of.privacy.membership
    found = {
        "column_shapes": _of_enough("column_shapes", of, of.shapes.mean, "no column has values"),
        "pair_trends": _of_enough("pair_trends", of, of.trends.mean, few),
        "associated_pair_trends": _of_enough("pair_trends", of, of.trends.associated_mean, few),
        "two_sample_auc": Number("half", of.told_apart.auc, of.told_apart.reason),
        "category_coverage": _of_enough("category_coverage", of, of.coverage.categories, "no column is a category"),
        "range_coverage": _of_enough("range_coverage", of, of.coverage.ranges, "no column is a number that varies"),
        "pairs_kept": Number("higher", of.kept_pairs.mean, of.kept_pairs.reason),
        "closer_to_train": Number("half", near.closer.value if near else None, of.privacy.reason),
        "near_copies": _copies(near.near if near else None, near.near_expected if near else None, of.privacy.reason),
        "exact_copies": _copies(
            copied.exact if copied else None, copied.expected if copied else None, of.privacy.reason
        ),
        "membership_auc": Number("half", member.auc if member else None, of.privacy.reason),
        "singling_out": _risk(of.attacks.singling_out, of.attacks.reason),
        "linkability": _risk(of.attacks.linkability, of.attacks.reason),
    }
    found |= {f"inference_{name}": _risk(risk, of.attacks.reason) for name, risk in of.attacks.inference.items()}
    if of.target:
        reason = of.target.reason or "it is not defined for this target"
        learnt = of.target.on_synthetic.items()
        found |= {f"learnt_{name}": Number("higher", value, reason) for name, value in learnt}
    return found


def _of_enough(metric: str, of: Judgement, value: float | None, reason: str) -> Number:
    """The number, if there are rows enough for its metric; else blank."""
    few = too_few_reason(metric, min(of.shapes.real_rows, of.shapes.synthetic_rows))
    return Number("higher", None if few else value, few or reason)


def _risk(risk: Risk | None, reason: str) -> Number:
    return Number("lower", None, reason) if risk is None else Number("lower", risk.value, "", (risk.low, risk.high))
