"""What a synthetic table gives away about the rows it was made from: closeness, copies, membership."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..metrics.metric_catalogue import METRICS
from .closest_records import Closest, Copies, closest, copies
from .column_kinds import ROWS, Columns
from .membership import Membership, membership
from .record_distances import neighbours

FEWEST = METRICS["closer_to_train"].least  # rows of each table, of which fewer have no 5th percentile


@dataclass(frozen=True)
class RowPrivacy:
    """What was found, and of how many rows distances were taken; None where they are too few."""

    closest: Closest | None
    copies: Copies | None
    membership: Membership | None
    train_rows: int
    holdout_rows: int
    synthetic_rows: int
    reason: str = ""


def row_privacy(
    train: pd.DataFrame,
    holdout: pd.DataFrame,
    synthetic: pd.DataFrame,
    columns: Columns,
    rows: int = ROWS,
    seed: int = 0,
) -> RowPrivacy:
    """The privacy of training rows, beside holdout rows that no synthetic row was made from."""
    looked_at = min(len(train), rows)
    sizes = looked_at, min(len(holdout), looked_at), min(len(synthetic), rows)
    if min(sizes) < FEWEST:
        return RowPrivacy(None, None, None, *sizes, f"{min(sizes)} rows are too few: {FEWEST} are needed of each table")
    distances = neighbours(train, holdout, synthetic, columns, rows, seed)
    copied = copies(train, holdout, synthetic, columns)
    return RowPrivacy(closest(distances), copied, membership(distances, seed), *sizes)
