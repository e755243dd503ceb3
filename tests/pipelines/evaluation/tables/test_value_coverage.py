"""What occurs in the real rows should occur in synthetic rows, and nothing that cannot."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables.value_coverage import value_coverage

KINDS = {"n": "number", "c": "category", "d": "date"}


def test_coverage_is_what_one_can_count() -> None:
    dates, others = ["2024-01-01", "2024-01-11", None, None], ["2024-01-01", "2024-01-06", None, None]
    real = pd.DataFrame({"n": [0.0, 10, 5, np.nan], "c": ["a", "b", "c", None], "d": pd.to_datetime(dates)})
    fake = pd.DataFrame({"n": [2.0, 9, 12, 3], "c": ["a", "b", "new", "b"], "d": pd.to_datetime(others)})
    coverage = value_coverage(real, fake, KINDS)
    assert coverage.covered == pytest.approx({"n": 0.8, "c": 2 / 3, "d": 0.5})
    assert coverage.new == pytest.approx({"n": 0.25, "c": 0.25, "d": 0})
    assert (coverage.categories, coverage.ranges) == pytest.approx((2 / 3, 0.65))


def test_ranges_apart_cover_nothing() -> None:
    coverage = value_coverage(pd.DataFrame({"n": [0.0, 1]}), pd.DataFrame({"n": [5.0, 6]}), {"n": "number"})
    assert (coverage.ranges, coverage.new["n"], coverage.categories) == (0, 1, None)


def test_what_cannot_be_covered_is_blank_and_says_why() -> None:
    real = pd.DataFrame({"n": [3.0, 3], "c": [None, None]})
    coverage = value_coverage(real, pd.DataFrame({"n": [3.0, 4], "c": ["a", "b"]}), {"n": "number", "c": "category"})
    assert coverage.covered == {"n": None, "c": None}
    assert "never varies" in coverage.reasons["n"] and "no values" in coverage.reasons["c"]
