"""A number stands beside what the best and the simplest of tables reach."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from importlib.util import find_spec

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables.column_kinds import guessed
from pipelines.evaluation.tables.row_privacy import row_privacy
from pipelines.evaluation.tables.scorecard import independent, references, scorecard

from .customers import KINDS, customers

TRAIN, HOLDOUT = customers(1000, 0), customers(400, 1)
ATTACKS = ("singling_out", "linkability", "inference_member")
INSTALLED = pytest.mark.skipif(
    find_spec("anonymeter") is None, reason="anonymeter is not installed: `uv sync --group privacy`"
)


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
    blank = [line for line in card.lines if line.reason]
    assert all(line.name.startswith(("singling_out", "linkability", "inference_")) for line in blank), blank
    assert not blank or find_spec("anonymeter") is None
    assert json.loads(json.dumps(asdict(card), allow_nan=False))["rows"] == 500


def test_a_copycat_stands_out_beside_real_rows() -> None:
    lines = {line.name: line for line in scorecard(TRAIN, HOLDOUT, TRAIN, KINDS).lines}
    assert (lines["exact_copies"].synthetic, lines["exact_copies"].real) == (1, 0)
    expected = row_privacy(TRAIN, HOLDOUT, TRAIN, KINDS).closest.near_expected.value
    assert lines["near_copies"].real == expected, "of the holdout rows, beside all training rows"
    assert lines["closer_to_train"].synthetic > 0.65 > lines["closer_to_train"].real
    assert lines["membership_auc"].synthetic > 0.6
    assert "learnt_r2" not in lines


@INSTALLED
def test_attacks_on_a_copycat_succeed_more_often_on_training_rows() -> None:
    card = scorecard(TRAIN, HOLDOUT, TRAIN, KINDS, target="member")
    lines = {line.name: line for line in card.lines}
    assert card.synthetic.attacks.attacks == 400 and card.synthetic.attacks.real_rows == 400
    for name in ATTACKS:
        assert lines[name].better == "lower" and set(lines[name].intervals) == {"synthetic", "real", "independent"}
        low, high = lines[name].intervals["synthetic"]
        assert low <= lines[name].synthetic <= high
    low, _ = lines["singling_out"].intervals["synthetic"]
    _, most = lines["singling_out"].intervals["real"]
    assert low > most, "real rows of other people give less away"
    assert not any(line.intervals for line in card.lines if line.name not in ATTACKS)


def test_without_the_library_attacks_are_blank_and_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "anonymeter", None)
    card = scorecard(TRAIN[:200], HOLDOUT, customers(100, 2), KINDS, target="member")
    lines = {line.name: line for line in card.lines}
    for name in ATTACKS:
        assert lines[name].synthetic is None and "`uv sync --group privacy`" in lines[name].reason
    assert card.synthetic.attacks.attacks == 0 and lines["membership_auc"].synthetic is not None


def test_what_samples_stand_beside_has_as_many_rows() -> None:
    beside = references(TRAIN, 700)
    assert [len(table) for _, table in beside.values()] == [500, 500]
    half, other = beside["real"]
    assert len(half) == 500 and not set(half.index) & set(other.index)


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
    one = scorecard(*[TRAIN[["age"]][:80]] * 3, {"age": "number"}, target="age")
    assert {line.name: line.reason for line in one.lines}["learnt_r2"] == "there is nothing to predict it from"


def test_odd_columns_are_judged_or_blank() -> None:
    """A constant, nothing but gaps, infinite and huge numbers, texts, several types in one column, zones."""

    def odd(rows: int, seed: int) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        frame = pd.DataFrame(
            {"constant": np.ones(rows), "nothing": np.full(rows, np.nan), "huge": rng.normal(size=rows) * 1e30}
        )
        frame["infinite"] = np.where(rng.random(rows) < 0.1, np.inf, 1.0)
        frame["text"] = [f"text {each}" for each in rng.integers(0, 1000, rows)]
        frame["mixed"] = rng.choice(np.array([1, "a", True, None], dtype=object), rows)
        frame["zone"] = pd.to_datetime(rng.integers(0, 10**9, rows), unit="s", utc=True)
        frame["maybe"] = pd.array(rng.random(rows) < 0.5, dtype="boolean")
        frame.loc[rng.random(rows) < 0.1, "maybe"] = pd.NA
        return frame

    train = odd(400, 0)
    card = scorecard(train, odd(200, 1), odd(300, 2), guessed(train), target="maybe")
    json.dumps(asdict(card), allow_nan=False)
    assert {name for name, score in card.synthetic.shapes.score.items() if score is None} == {"nothing"}
    assert {line.name: line.synthetic for line in card.lines}["two_sample_auc"] == pytest.approx(0.5, abs=0.15)


def test_independent_columns_are_the_same_columns() -> None:
    apart = independent(TRAIN, 0)
    assert (apart.dtypes == TRAIN.dtypes).all()
    for name in KINDS:
        pd.testing.assert_series_equal(
            apart[name].value_counts(dropna=False).sort_index(), TRAIN[name].value_counts(dropna=False).sort_index()
        )
    assert not apart.equals(TRAIN)
