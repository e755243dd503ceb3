"""Copies are caught, and new rows of the same kind are not."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.evaluation.tables.binomial_share import share
from pipelines.evaluation.tables.closest_records import closest, copies
from pipelines.evaluation.tables.membership import membership
from pipelines.evaluation.tables.record_distances import Nearest, Neighbours, neighbours
from pipelines.evaluation.tables.row_privacy import row_privacy

from .customers import KINDS, customers

UNKNOWN, FOUR = [1.0], [1.0] * 4
TRAIN, HOLDOUT = customers(600, 0), customers(500, 1)


def found(
    among: list[float] = UNKNOWN,
    others: list[float] = UNKNOWN,
    back: list[float] = UNKNOWN,
    from_others: list[float] = FOUR,
) -> Neighbours:
    def of(distances: list[float], other_way: list[float]) -> Nearest:
        values = np.array(distances, np.float32)
        return Nearest(values, values, np.arange(len(values)) // 2, np.array(other_way, np.float32))

    return Neighbours(of(among, back), of(others, from_others), of(UNKNOWN, UNKNOWN))


def test_wilsons_interval_of_a_known_share() -> None:
    ten = share(1, 10)
    assert (ten.value, ten.low, ten.high) == pytest.approx((0.1, 0.01787621, 0.40415002), abs=1e-6)
    assert share(0, 10).low == 0 and share(10, 10).high == 1


def test_a_perfect_sampler_gives_nothing_away() -> None:
    new = row_privacy(TRAIN, HOLDOUT, customers(800, 2), KINDS)
    assert new.closest.closer.low < 0.5 < new.closest.closer.high
    assert new.membership.low < 0.5 < new.membership.high
    assert new.copies.exact.value == new.copies.expected.value == 0
    assert new.closest.to_train.median == pytest.approx(new.closest.to_holdout.median, rel=0.05)
    assert (new.train_rows, new.holdout_rows, new.synthetic_rows) == (600, 500, 800)


def test_a_copycat_is_caught_by_every_number() -> None:
    copied = row_privacy(TRAIN, HOLDOUT, TRAIN, KINDS)
    assert copied.copies.exact.value == 1
    assert copied.membership.auc == pytest.approx(1)
    assert copied.closest.closer.low > 0.8, "the training rows that were not drawn are no nearer"
    assert copied.closest.near.value == 1
    assert copied.closest.near_expected.value < 0.01


def test_copies_with_a_little_noise_are_near_copies() -> None:
    noisy = TRAIN.assign(age=TRAIN["age"] + 0.01, ordered=TRAIN["ordered"] + pd.Timedelta(minutes=1))
    privacy = row_privacy(TRAIN, HOLDOUT, noisy, KINDS)
    assert privacy.copies.exact.value == 0
    assert privacy.closest.near.value == 1
    assert privacy.membership.low > 0.99


def test_copies_are_counted_beside_those_of_new_rows() -> None:
    kinds = {"n": "number", "c": "category"}
    train = pd.DataFrame({"n": [0.0, 1, np.nan, 3], "c": ["a", "b", "c", None]})
    holdout = pd.DataFrame({"n": [1.0, 1, 3, 3], "c": ["b", "a", None, "b"]})
    synthetic = pd.DataFrame({"n": [-0.0, np.nan, np.nan, 3], "c": ["a", "c", "a", None]})
    counted = copies(train, holdout, synthetic, kinds)
    assert (counted.exact.value, counted.expected.value) == (0.75, 0.5)


def test_closeness_counts_ties_as_halves() -> None:
    near = closest(found(among=[0.0, 0.2, 0.3, 0.4], others=[0.1, 0.2, 0.2, 0.5]))
    assert near.closer.value == pytest.approx(2.5 / 4)
    assert near.near.value == 0.25
    assert near.to_train.median == pytest.approx(0.25)
    assert near.to_train.fifth_percentile == pytest.approx(0.03)
    assert near.independent_rows == pytest.approx(7), (
        "1 / n = (4 / 16 - 1 / 8) 8 / 7: four different nearest rows of eight"
    )
    assert closest(found(among=[0.0] * 4, others=UNKNOWN * 4)).independent_rows == pytest.approx(7 / 3), "only two"


def test_the_interval_of_closeness_holds_what_it_promises() -> None:
    """Many synthetic rows around few real ones: of the intervals of independent rows a quarter would miss ½."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(200):
        train, holdout, new = (pd.DataFrame(rng.normal(size=(rows, 2)), columns=["a", "b"]) for rows in (30, 30, 600))
        closer = closest(neighbours(train, holdout, new, {"a": "number", "b": "number"})).closer
        held += closer.low <= 0.5 <= closer.high
    assert 0.92 <= held / 200 <= 0.98


def test_the_attack_is_the_probability_over_all_pairs() -> None:
    attack = membership(found(back=[0.0, 1.0, 2.0], from_others=[1.0, 2.0, 3.0]))
    assert attack.auc == pytest.approx((3 + 2.5 + 1.5) / 9)
    assert attack.low < attack.auc < attack.high
    assert (attack.train_rows, attack.holdout_rows) == (3, 3)


def test_few_rows_are_not_judged() -> None:
    few = row_privacy(TRAIN, HOLDOUT[:19], TRAIN, KINDS)
    assert (few.closest, few.copies, few.membership) == (None, None, None)
    assert "19 rows are too few" in few.reason


def test_a_few_copies_among_new_rows_are_counted_where_the_average_hides_them() -> None:
    some = pd.concat([customers(950, 2), TRAIN[:50]])
    privacy = row_privacy(TRAIN, HOLDOUT[:60], some, KINDS)
    assert privacy.copies.exact.value == privacy.closest.near.value == 0.05
    assert privacy.copies.exact.low > 0.03 > privacy.copies.expected.value == 0
    assert privacy.closest.closer.low < 0.5 < privacy.closest.closer.high, "60 holdout rows are few"
