"""A classifier cannot tell new rows of the same kind from real ones, and can tell others."""

from __future__ import annotations

import pytest

from pipelines.evaluation.tables.told_apart import told_apart

from .customers import KINDS, customers, shuffled

REAL = customers(1000, 0)


def test_a_perfect_sampler_is_not_told_apart() -> None:
    result = told_apart(REAL, customers(1200, 1), KINDS)
    assert result.auc == pytest.approx(0.5, abs=0.04)
    assert result.rows == 1000
    assert result == told_apart(REAL, customers(1200, 1), KINDS), "the same each time"


def test_independent_columns_are_told_apart() -> None:
    assert told_apart(REAL, shuffled(REAL, 1), KINDS, rows=500).auc > 0.9


def test_a_copy_is_taken_for_what_its_original_is_not() -> None:
    assert told_apart(REAL, REAL, KINDS).auc < 0.2


def test_gaps_tell_tables_apart() -> None:
    assert told_apart(REAL, customers(1000, 1).dropna(), KINDS).auc > 0.6


def test_few_rows_are_not_judged() -> None:
    result = told_apart(REAL, customers(99, 1), KINDS)
    assert (result.auc, result.rows) == (None, 99)
    assert "99 rows" in result.reason
