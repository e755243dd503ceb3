"""Columns are compared one by one; gaps are left out, and compared on their own."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables.column_shapes import column_shapes

from .customers import KINDS, customers


def test_scores_are_those_that_one_can_count() -> None:
    real = pd.DataFrame(
        {"n": [1.0, 2, 3, 4, np.nan], "c": ["a", "a", "b", "b", None], "d": pd.to_datetime(["2024"] * 5)}
    )
    fake = pd.DataFrame({"n": [3.0, 4, 5, 6], "c": ["a", "c", "c", "c"], "d": pd.to_datetime(["2025"] * 4)})
    shapes = column_shapes(real, fake, {"n": "number", "c": "category", "d": "date"})
    assert shapes.score == pytest.approx({"n": 0.5, "c": 0.25, "d": 0})
    assert shapes.gaps == pytest.approx({"n": 0.8, "c": 0.8, "d": 1})
    assert shapes.mean == pytest.approx(0.25)
    assert (shapes.real_rows, shapes.synthetic_rows) == (5, 4)


def test_a_table_is_like_itself() -> None:
    table = customers(200, 0)
    shapes = column_shapes(table, table.sample(frac=1, random_state=0), KINDS)
    assert shapes.mean == 1
    assert set(shapes.gaps.values()) == {1}


def test_a_column_without_values_is_blank_and_says_so() -> None:
    real = pd.DataFrame({"n": [1.0, 2], "c": ["a", "b"], "m": [1.0, 2]})
    fake = pd.DataFrame({"n": [np.nan, np.nan], "c": [None, None], "m": [1.0, 2]})
    shapes = column_shapes(real, fake, {"n": "number", "c": "category", "m": "number"})
    assert shapes.score == {"n": None, "c": None, "m": 1}
    assert shapes.mean == 1
    assert set(shapes.reasons) == {"n", "c"}
