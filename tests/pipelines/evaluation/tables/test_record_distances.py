"""Distances of rows of mixed columns."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables import record_distances
from pipelines.evaluation.tables.column_kinds import encoded
from pipelines.evaluation.tables.record_distances import nearest, neighbours, scales_of

from .customers import KINDS, customers

TRAIN = pd.DataFrame({"n": [0.0, 2.0], "c": ["a", "b"]})  # n has mean 1 and deviation 1
MIXED = {"n": "number", "c": "category"}


def distances(first: pd.DataFrame, second: pd.DataFrame) -> tuple[list[float], list[float]]:
    one, other = encoded(MIXED, first, second)
    found = nearest(one, other, scales_of(encoded(MIXED, TRAIN)[0]), other.rows)
    assert found.among.tolist() == found.distances.tolist()
    return found.distances.tolist(), found.back.tolist()


def test_distances_are_those_that_one_can_count() -> None:
    rows = pd.DataFrame({"n": [0.5, 2.0, 0.0], "c": ["a", "a", "new"]})
    forward, back = distances(rows, TRAIN)
    assert forward == pytest.approx([0.25, 0.5, 0.5])
    assert back == pytest.approx([0.25, 0.5])


def test_a_gap_is_like_a_gap_and_one_from_any_value() -> None:
    gaps = pd.DataFrame({"n": [np.nan, 0.0], "c": ["a", None]})
    assert distances(gaps, TRAIN)[0] == pytest.approx([0.5, 0.5])
    assert distances(gaps, gaps)[0] == [0, 0]


def test_tables_in_parts_are_as_tables_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    tables = customers(80, 0), customers(70, 1), customers(90, 2)
    whole = neighbours(*tables, KINDS)
    monkeypatch.setattr(record_distances, "CELLS", 300)
    parts = neighbours(*tables, KINDS)
    for one, other in zip(vars(whole).values(), vars(parts).values(), strict=True):
        for name, values in vars(one).items():
            np.testing.assert_array_equal(values, vars(other)[name])


def test_as_many_training_rows_as_holdout_rows_are_looked_at() -> None:
    found = neighbours(customers(80, 0), customers(30, 1), customers(90, 2), KINDS, rows=50)
    sizes = {name: (len(each.distances), len(each.back), int(each.which.max())) for name, each in vars(found).items()}
    assert sizes["to_train"][:2] == (50, 50) and sizes["to_train"][2] < 30
    assert sizes["to_holdout"][:2] == (50, 30)
    assert sizes["holdout_to_train"][:2] == (30, 50)
    assert (found.to_train.among >= found.to_train.distances).all()
    assert (found.to_train.among > found.to_train.distances).any()


def test_a_column_that_never_varies_has_a_scale() -> None:
    constant = pd.DataFrame({"n": [7.0, 7.0]})
    assert scales_of(encoded({"n": "number"}, constant)[0]) == {"n": (0, 1)}
