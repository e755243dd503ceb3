"""Rules that all real rows keep are found, and synthetic rows that break them are counted."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables.kept_pairs import kept_pairs

from .customers import KINDS, customers, shuffled

REAL = customers(2000, 0)


def test_rules_are_found_in_both_directions_and_nothing_else_is() -> None:
    found = kept_pairs(REAL, customers(500, 1), KINDS)
    assert {(pair.first, pair.relation, pair.second) for pair in found.pairs} == {
        ("school", "determines", "years"),
        ("years", "determines", "school"),
        ("ordered", "at most", "sent"),
    }
    assert found.mean == found.none_broken == 1
    assert (found.real_rows, found.synthetic_rows) == (2000, 500)


def test_broken_rows_are_counted_among_those_that_can_be_judged() -> None:
    fake = customers(400, 1)
    fake["sent"] = fake["ordered"] + pd.Timedelta(days=1)
    fake.loc[:99, "sent"] = fake["ordered"] - pd.Timedelta(days=1)
    fake.loc[300:, "sent"] = pd.NaT
    fake.loc[0, "school"] = "a school nobody went to"
    of = {pair.first: pair for pair in kept_pairs(REAL, fake, KINDS).pairs}
    assert (of["ordered"].kept, of["ordered"].judged_rows) == (pytest.approx(2 / 3), 300)
    assert (of["school"].kept, of["school"].judged_rows) == (1, 399)
    assert of["years"].kept == pytest.approx(399 / 400)
    assert kept_pairs(REAL, fake, KINDS).none_broken == pytest.approx(0.75)


def test_independent_columns_keep_what_chance_keeps() -> None:
    for pair in kept_pairs(REAL, shuffled(REAL, 1), KINDS).pairs:
        assert pair.kept == pytest.approx(pair.by_chance, abs=0.04)


def test_what_holds_by_itself_is_no_rule() -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"low": rng.random(500), "high": 2 + rng.random(500), "same": "x", "id": np.arange(500)})
    frame["any"] = rng.integers(2, size=500)
    kinds = {"low": "number", "high": "number", "same": "category", "id": "category", "any": "category"}
    found = kept_pairs(frame, frame, kinds)
    assert (found.pairs, found.mean) == ((), None)
    assert "no pair" in found.reason


def test_a_rule_that_one_late_row_breaks_is_none() -> None:
    broken = REAL.copy()
    broken.loc[1999, "years"] = 3
    broken.loc[1998, ["ordered", "sent"]] = [pd.Timestamp("2024-05-02"), pd.Timestamp("2024-05-01")]
    assert {pair.first for pair in kept_pairs(broken, REAL, KINDS).pairs} == {"years"}, (
        "3 is seen once, and `none` twice"
    )


def test_few_rows_have_no_rules() -> None:
    assert "99 real rows" in kept_pairs(REAL[:99], REAL, KINDS).reason
    assert "0 synthetic rows" in kept_pairs(REAL, REAL[:0], KINDS).reason
    unseen = REAL.assign(school="new", years=-1, sent=pd.NaT)
    assert kept_pairs(REAL, unseen, KINDS).mean is None
    assert "no row" in kept_pairs(REAL, unseen, KINDS).reason
