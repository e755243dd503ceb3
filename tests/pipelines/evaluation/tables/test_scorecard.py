"""A number stands beside what the best and the simplest of tables reach."""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd
import pytest

from pipelines.evaluation.tables.scorecard import independent, scorecard

from .customers import KINDS, customers

TRAIN, HOLDOUT = customers(1000, 0), customers(400, 1)


def test_a_perfect_sampler_is_as_good_as_real_rows_and_better_than_independent_columns() -> None:
    card = scorecard(TRAIN, HOLDOUT, customers(700, 2), KINDS, target="balance")
    lines = {line.name: line for line in card.lines}
    assert card.rows == card.synthetic.told_apart.rows == card.real.told_apart.rows == 500
    for name in ("pair_trends", "pairs_kept", "learnt_r2"):
        assert lines[name].synthetic == pytest.approx(lines[name].real, abs=0.05)
        assert lines[name].independent < lines[name].real - 0.02
    for name in ("two_sample_auc", "closer_to_train", "membership_auc"):
        assert lines[name].better == "half"
        assert lines[name].synthetic == pytest.approx(0.5, abs=0.06)
        assert lines[name].real == pytest.approx(0.5, abs=0.06)
    assert lines["two_sample_auc"].independent > 0.8
    assert lines["column_shapes"].independent > 0.95
    assert not any(line.reason for line in card.lines)
    assert json.loads(json.dumps(asdict(card), allow_nan=False))["rows"] == 500


def test_a_copycat_stands_out_beside_real_rows() -> None:
    lines = {line.name: line for line in scorecard(TRAIN, HOLDOUT, TRAIN, KINDS).lines}
    assert (lines["exact_copies"].synthetic, lines["exact_copies"].real) == (1, 0)
    assert lines["closer_to_train"].synthetic > 0.65 > lines["closer_to_train"].real
    assert lines["membership_auc"].synthetic > 0.6
    assert "learnt_r2" not in lines


def test_blank_numbers_say_why() -> None:
    few = scorecard(TRAIN[:40], HOLDOUT[:10], TRAIN[:0], KINDS, target="member")
    assert few.rows == 0
    assert all(line.reason for line in few.lines if line.synthetic is None)
    assert {line.name for line in few.lines if line.synthetic is None} >= {
        "column_shapes",
        "two_sample_auc",
        "learnt_auc",
    }
    json.dumps(asdict(few), allow_nan=False)


def test_independent_columns_are_the_same_columns() -> None:
    apart = independent(TRAIN, 0)
    assert (apart.dtypes == TRAIN.dtypes).all()
    for name in KINDS:
        pd.testing.assert_series_equal(
            apart[name].value_counts(dropna=False).sort_index(), TRAIN[name].value_counts(dropna=False).sort_index()
        )
    assert not apart.equals(TRAIN)
