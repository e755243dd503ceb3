"""Tables become numbers and codes that can be compared, whatever their types."""

from __future__ import annotations

import datetime

import numpy as np
import pandas as pd

from pipelines.evaluation.tables.column_kinds import GAP, encoded, guessed, numeric, sampled, with_gaps_coded

from .customers import KINDS, customers


def test_kinds_are_guessed_by_types() -> None:
    assert guessed(customers(10, 0)) == KINDS


def test_numbers_have_nan_for_gaps_and_for_what_is_not_finite() -> None:
    expected = [1, np.nan, np.nan]
    for column in (
        pd.Series([1, np.nan, np.inf]),
        pd.Series([1, None, None], dtype="Int64"),
        pd.Series([1, None, -np.inf], dtype=object),
    ):
        np.testing.assert_array_equal(numeric(column, "number"), expected)


def test_dates_are_days_whatever_their_unit_and_zone() -> None:
    for column in (
        pd.Series(pd.to_datetime(["1970-01-02 12:00", None])),
        pd.Series(pd.to_datetime(["1970-01-02 12:00", None])).astype("datetime64[s]"),
        pd.Series(pd.to_datetime(["1970-01-02 13:00+01:00", None])),
        pd.Series([datetime.datetime(1970, 1, 2, 12), None], dtype=object),
    ):
        np.testing.assert_array_equal(numeric(column, "date"), [1.5, np.nan])


def test_equal_categories_have_equal_codes_in_all_tables() -> None:
    first = pd.DataFrame({"a": pd.Categorical(["x", "y", None], ["x", "y"])})
    second = pd.DataFrame({"a": ["z", "y", "x", np.nan]})
    ours, theirs = (table.codes["a"] for table in encoded({"a": "category"}, first, second))
    assert ours[0] == theirs[2] and ours[1] == theirs[1] and ours[2] == theirs[3] == GAP
    assert len({*ours, *theirs}) == 4


def test_codes_of_numbers_keep_their_order_and_gaps_are_one_value() -> None:
    assert with_gaps_coded(np.array([3.0, np.nan, 1.0, np.nan])).tolist() == [1, 2, 0, 2]


def test_rows_are_drawn_only_where_there_are_more() -> None:
    frame = customers(50, 0)
    assert sampled(frame, 50, 0) is frame
    some = sampled(frame, 20, 3)
    assert len(some) == some.index.nunique() == 20
    pd.testing.assert_frame_equal(some, sampled(frame, 20, 3))
