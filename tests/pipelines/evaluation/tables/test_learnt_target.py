"""What rows teach is judged by real rows that nobody has seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables.learnt_target import learnt_target

from .customers import KINDS, customers, shuffled

TRAIN, TEST = customers(1500, 0), customers(1000, 1)


def test_new_rows_teach_as_much_as_real_ones_and_shuffled_ones_nothing() -> None:
    good = learnt_target(TRAIN, customers(1500, 2), TEST, KINDS, "balance")
    bad = learnt_target(TRAIN, shuffled(TRAIN, 3), TEST, KINDS, "balance")
    assert good.on_real["r2"] > 0.7
    assert good.on_synthetic["r2"] == pytest.approx(good.on_real["r2"], abs=0.05)
    assert bad.on_synthetic["r2"] < 0.1
    assert good.train_rows < 1500 and good.test_rows < 1000, "rows whose target is a gap are left out"


def test_classes_are_judged_by_four_numbers() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    frame = pd.DataFrame({"x": x, "y": np.where(x > 0.8, "rare", "common")})
    columns = {"x": "number", "y": "category"}
    result = learnt_target(frame[:300], frame[:300], frame[300:], columns, "y")
    assert result.on_synthetic == result.on_real
    assert min(result.on_real.values()) > 0.9
    wrong = frame[:300].assign(y=np.where(frame["x"][:300] > 0.8, "common", "rare"))
    misled = learnt_target(frame[:300], wrong, frame[300:], columns, "y")
    for name in ("accuracy", "auc"):
        assert misled.on_synthetic[name] == pytest.approx(1 - result.on_real[name])
    assert misled.on_synthetic["f1_minority"] < 0.1


def test_a_class_that_is_never_seen_is_found_by_chance() -> None:
    result = learnt_target(TRAIN, TRAIN[TRAIN["school"] != "none"], TEST, KINDS, "school")
    assert result.on_real["auc"] == pytest.approx(1)
    assert result.on_synthetic["auc"] == pytest.approx((3 + 0.5) / 4, abs=0.02)
    assert result.on_synthetic["f1_minority"] is None, "there are four classes"


@pytest.mark.parametrize(
    ("synthetic", "target", "why"),
    [
        (TRAIN[:50], "member", "50 rows to learn from"),
        (TRAIN.assign(member=True), "member", "never varies"),
        (TRAIN.assign(school=np.arange(1500).astype(str)), "school", "more than 30 classes"),
    ],
)
def test_what_cannot_be_learnt_is_blank_and_says_why(synthetic: pd.DataFrame, target: str, why: str) -> None:
    result = learnt_target(TRAIN, synthetic, TEST, KINDS, target)
    assert set(result.on_synthetic.values()) == set(result.on_real.values()) == {None}
    assert why in result.reason
