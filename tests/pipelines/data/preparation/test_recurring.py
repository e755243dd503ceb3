"""Which integers of a column recur so often that they are outcomes of their own."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.data.preparation.recurring import MOST, recurring


def found(counts: dict[int, float], levels: int) -> dict[float, float]:
    """The atoms of a column with these counts, and their shares."""
    values = np.array(sorted(counts))
    return dict(recurring(values, np.array([float(counts[v]) for v in values.tolist()]), levels))


def test_an_integer_that_stands_out_is_an_atom_with_its_share() -> None:
    counts = {**dict.fromkeys(range(60), 10.0), 40: 400.0}
    assert found(counts, 60) == {40.0: pytest.approx(400 / 990)}


def test_two_atoms_side_by_side_do_not_hide_each_other() -> None:
    counts = {**dict.fromkeys(range(60), 10.0), 39: 300.0, 40: 400.0}
    assert set(found(counts, 60)) == {39.0, 40.0}


def test_counts_that_rise_and_fall_smoothly_have_none_however_few_the_levels_are() -> None:
    levels = np.arange(30)
    smooth = np.random.default_rng(0).poisson(3000 * np.exp(-0.5 * ((levels - 12) / 6) ** 2)).astype(float)
    assert found(dict(zip(levels.tolist(), smooth.tolist(), strict=True)), 30) == {}


def test_both_ends_are_compared_with_what_is_inside() -> None:
    """Counts of zero and of what is cut off at the end stand alone on one side."""
    assert set(found({0: 500.0, 99_999: 50.0, 7: 1.0, 20: 1.0}, 100_000)) == {0.0, 99_999.0}
    assert found(dict.fromkeys(range(50), 100.0), 50) == {}


def test_what_a_few_rows_repeat_is_none() -> None:
    assert found({5: 12.0, 500: 12.0, 900: 12.0}, 1000) == {}, "not surely more than their neighbours"
    many = {**dict.fromkeys(range(0, 400_000, 10), 1.0), 5: 30.0}
    assert found(many, 400_000) == {}, "less than one row in a thousand"


def test_of_many_the_most_frequent_are_kept_in_rising_order() -> None:
    atoms = found({10 * k: 100.0 + k for k in range(100)}, 1000)
    assert list(atoms) == [10.0 * k for k in range(100 - MOST, 100)]


def test_a_column_without_values_that_recur_has_none() -> None:
    assert recurring(np.zeros(0, dtype=np.int64), np.zeros(0), 100) == []
