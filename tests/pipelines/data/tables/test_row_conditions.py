"""Conditions on rows, as people write them."""

from __future__ import annotations

from typing import Any

import pandas as pd
import pytest

from pipelines.data.tables.row_conditions import parse

TYPES: dict[str, dict[str, Any]] = {
    "age": {"kind": "integer"},
    "sex": {"kind": "category", "values": ["Female", "Male"]},
    "active": {"kind": "boolean", "values": [False, True]},
    "joined": {"kind": "date", "format": "%Y-%m-%d"},
    "a=b": {"kind": "real"},
}
ROWS = pd.DataFrame(
    {
        "age": pd.array([20, 70, None, 65], dtype="Int64"),
        "sex": ["Female", "Male", "Female", None],
        "active": [True, False, True, True],
        "joined": ["2020-01-01", "2021-01-01", "2022-01-01", "2023-01-01"],
    }
)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("age>=65", [1, 3]),
        ("age<65", [0]),
        ("age = 20", [0]),
        ("age==20", [0]),
        ("sex=Female", [0, 2]),
        ("sex=female", [0, 2]),
        ("sex!=Female", [1, 3]),
        ("active=true", [0, 2, 3]),
        ("joined>2021-06-01", [2, 3]),
    ],
)
def test_conditions_choose_rows(text: str, rows: list[int]) -> None:
    (condition,) = parse([text], TYPES)
    assert condition.holds(ROWS).nonzero()[0].tolist() == rows


def test_all_that_cannot_be_is_said_at_once() -> None:
    with pytest.raises(
        ValueError, match=r"no column 'size'.*Other' is not allowed.*no order.*'old' is no number.*must be"
    ):
        parse(["size>3", "sex=Other", "sex>Male", "age>old", "nothing"], TYPES)
