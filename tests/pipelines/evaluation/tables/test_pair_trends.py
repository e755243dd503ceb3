"""Pairs of columns are compared by correlations and by cells."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables import pair_trends as trends_module
from pipelines.evaluation.tables.pair_trends import correlation, cramers_v, pair_trends

from .customers import KINDS, customers, shuffled


def test_opposite_correlations_score_nothing_and_equal_ones_one() -> None:
    x = np.arange(10.0)
    real, fake = pd.DataFrame({"a": x, "b": 2 * x, "c": -x}), pd.DataFrame({"a": x, "b": 5 - x, "c": -x})
    scores = {
        (pair.first, pair.second): pair.score for pair in pair_trends(real, fake, dict.fromkeys("abc", "number")).pairs
    }
    assert scores == pytest.approx({("a", "b"): 0, ("a", "c"): 1, ("b", "c"): 0})


def test_gaps_are_a_category_and_are_left_out_of_correlations() -> None:
    real = pd.DataFrame({"a": ["x", "x", None, None], "b": ["u", "u", "v", "v"]})
    fake = pd.DataFrame({"a": ["x", "x", "x", None], "b": ["u", "u", "v", "v"]})
    (pair,) = pair_trends(real, fake, {"a": "category", "b": "category"}).pairs
    assert pair.score == pytest.approx(0.75)
    assert pair.real == pytest.approx(1)
    assert correlation(np.array([1, 2, np.nan, 4]), np.array([1, 2, 9, 4])) == pytest.approx(1)


def test_numbers_are_cut_into_ten_bins_beside_categories() -> None:
    real = pd.DataFrame({"n": [0.0, 1, 9, 10], "c": list("aabb")})
    fake = pd.DataFrame({"n": [0.0, 0.5, 9, 10], "c": list("aabb")})
    (pair,) = pair_trends(real, fake, {"n": "number", "c": "category"}).pairs
    assert pair.score == pytest.approx(0.75), "1 lies in the second bin, 0.5 in the first"


def test_cramers_v_of_a_known_table() -> None:
    first, second = np.repeat([0, 0, 1, 1], [30, 20, 10, 40]), np.repeat([0, 1, 0, 1], [30, 20, 10, 40])
    assert cramers_v(first, second) == pytest.approx(
        (100 * (30 * 40 - 20 * 10) ** 2 / (50 * 50 * 40 * 60) / 100) ** 0.5
    )
    assert cramers_v(first, np.zeros_like(first)) is None


def test_many_values_are_counted_as_few_are(monkeypatch: pytest.MonkeyPatch) -> None:
    real, fake = customers(300, 0), customers(200, 1)
    few = pair_trends(real, fake, KINDS)
    monkeypatch.setattr(trends_module, "CELLS", 3)
    for one, other in zip(few.pairs, pair_trends(real, fake, KINDS).pairs, strict=True):
        assert (one.score, one.real) == pytest.approx((other.score, other.real))
    names = pd.DataFrame({"a": np.arange(50_000).astype(str), "b": np.arange(50_000).astype(str)})
    assert pair_trends(names, names, {"a": "category", "b": "category"}).pairs[0].real == pytest.approx(1)


def test_independent_columns_lose_what_goes_together() -> None:
    real, fresh = customers(3000, 0), customers(3000, 1)
    kept, lost = pair_trends(real, fresh, KINDS), pair_trends(real, shuffled(real, 2), KINDS)
    assert kept.mean > 0.96 > lost.mean
    assert lost.associated_mean < 0.7
    assert kept.associated_mean > 0.95
    associated = {(pair.first, pair.second) for pair in kept.pairs if pair.associated}
    with_age = {("age", "balance"), ("age", "member"), ("balance", "member")}
    assert associated == {*with_age, ("school", "years"), ("ordered", "sent")}


def test_a_column_that_never_varies_is_blank_and_says_where() -> None:
    varied, constant = (
        pd.DataFrame({"a": [1.0, 2, 3], "b": [1.0, 2, 3]}),
        pd.DataFrame({"a": [1.0] * 3, "b": [1.0, 2, 3]}),
    )
    trends = pair_trends(varied, constant, {"a": "number", "b": "number"})
    assert (trends.mean, trends.associated_mean) == (None, None)
    assert "synthetic" in trends.pairs[0].reason
