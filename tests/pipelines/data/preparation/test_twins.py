"""Columns that follow from others are named, with the line that leaves them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.preparation import twins as module
from pipelines.data.preparation.twins import Twin, twins
from pipelines.data.rows import Rows

from ..sources.reading import prepared

N = 600
RNG = np.random.default_rng(0)
A, C = RNG.normal(size=(2, N))
NAMES = RNG.choice(["red", "green", "blue"], N)
AGE = RNG.integers(18, 90, N)
COLUMNS: dict[str, dict[str, Any]] = {
    "copies": {"a": A, "b": A, "c": C},
    "affine": {"a": A, "c": C, "b": 3 - 2 * A},
    "sums": {"a": A, "c": C, "t": A + 1000 * C},
    "rounded": {"a": A.round(4), "c": C, "b": (2 * A).round(4)},
}
FORMULAS = {"copies": "b = a", "affine": "b = 3 - 2·a", "sums": "t = a + 1000·c", "rounded": "b ≈ 2·a"}


def write(root: Path, source: str, columns: dict[str, Any]) -> dict[str, Any]:
    frame = pd.DataFrame(columns)
    if source == "csv":
        frame.to_csv(root / "x.csv", index=False)
    elif source == "parquet":
        frame.to_parquet(root / "x.parquet")
    else:
        np.save(root / "x.npy", frame.to_numpy(np.float32))
    named = {"columns": list(columns)} if source == "npy" else {}
    return {"source": source, "path": f"x.{source}", "val_count": 0.1, "test_count": 0.1, **named}


def said(root: Path, **data: Any) -> list[str]:
    return [each for each in prepared(root, **data).meta["decisions"] if "follow" in each]


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("source", ["csv", "parquet", "npy"])
def test_columns_of_real_numbers_that_follow_from_others(tmp_path: Path, source: str, kind: str) -> None:
    (sentence,) = said(tmp_path, **write(tmp_path, source, COLUMNS[kind]))
    name = FORMULAS[kind].split()[0]
    assert f"({FORMULAS[kind]}): such rows have no density of real numbers" in sentence
    assert sentence.endswith(f"leave {name} out of the array." if source == "npy" else f"write exclude: [{name}].")


@pytest.mark.parametrize("source", ["csv", "parquet", "npy"])
def test_the_line_that_is_offered_is_enough(tmp_path: Path, source: str) -> None:
    columns = {name: each for name, each in COLUMNS["copies"].items() if name != "b"}
    assert said(tmp_path, **write(tmp_path, source, columns)) == []
    if source != "npy":
        assert said(tmp_path, **write(tmp_path, source, COLUMNS["copies"]), exclude=["b"]) == []


def test_vectors_of_plain_numbers(tmp_path: Path) -> None:
    (sentence,) = said(tmp_path, **write(tmp_path, "csv", COLUMNS["affine"]), types=False)
    assert "b = 3 - 2·a" in sentence


def test_columns_of_names_that_were_made_numbers(tmp_path: Path) -> None:
    how = write(tmp_path, "csv", {"a": A, "colour": NAMES})
    (sentence,) = said(tmp_path, **how, categorical={"colour": "one_hot"})
    assert "colour=red = 1 - colour=blue - colour=green" in sentence
    assert sentence.endswith("remove colour from data.categorical, by which it becomes a column of names.")
    assert said(tmp_path, **how) == []


def test_one_hot_columns_of_arrays(tmp_path: Path) -> None:
    hot = {name: np.equal(NAMES, name).astype(float) for name in ("red", "green", "blue")}
    (sentence,) = said(tmp_path, **write(tmp_path, "npy", {"a": A, **hot}))
    assert "blue = 1 - red - green" in sentence


def test_integers_have_bounded_likelihoods_and_a_sentence(tmp_path: Path) -> None:
    (sentence,) = said(tmp_path, **write(tmp_path, "csv", {"age": AGE, "born": 2020 - AGE, "a": A}))
    assert "(born = 2020 - age): their probabilities are bounded" in sentence


def test_real_numbers_and_integers_are_said_apart(tmp_path: Path) -> None:
    columns = {"age": AGE, "born": 2020 - AGE, "km": 1000 * A, "miles": 1000 * A / 1.609}
    real, whole = said(tmp_path, **write(tmp_path, "csv", columns))
    assert "miles = 0.6215·km" in real
    assert "born" not in real
    assert "born = 2020 - age" in whole


def test_gaps_do_not_hide_what_follows(tmp_path: Path) -> None:
    holes = [np.where(RNG.random(N) < 0.2, np.nan, x) for x in (A, A + C)]
    (sentence,) = said(tmp_path, **write(tmp_path, "csv", {"a": holes[0], "c": C, "t": holes[1]}))
    assert "t = a + c" in sentence


def test_categories_that_determine_others(tmp_path: Path) -> None:
    degree = RNG.integers(1, 17, N)
    columns = {"degree": [f"level {each}" for each in degree], "years": degree, "school": degree // 4, "a": A}
    (sentence,) = said(tmp_path, **write(tmp_path, "csv", columns))
    assert "degree and years say the same" in sentence
    assert "school from degree" in sentence
    assert "degree from school" not in sentence


def test_what_holds_in_all_rows_but_one_is_no_rule(tmp_path: Path) -> None:
    years = RNG.integers(1, 9, N)
    degree = np.array([f"level {each}" for each in years])
    degree[5] = "level 1" if years[5] != 1 else "level 2"
    assert said(tmp_path, **write(tmp_path, "csv", {"degree": degree, "years": years, "a": A})) == []


@pytest.mark.parametrize("source", ["csv", "npy"])
def test_independent_and_merely_correlated_columns_are_no_twins(tmp_path: Path, source: str) -> None:
    columns = {"a": A, "b": A + 0.02 * C, "c": RNG.normal(size=N), "d": A * C, "e": A**2}
    assert said(tmp_path, **write(tmp_path, source, columns)) == []


def test_of_fewer_rows_than_columns_each_would_follow_from_the_others(tmp_path: Path) -> None:
    x = RNG.normal(size=(30, 60))
    assert said(tmp_path, **write(tmp_path, "npy", {f"x{d}": column for d, column in enumerate(x.T)})) == []
    (sentence,) = said(
        tmp_path, **write(tmp_path, "npy", {f"x{d}": column for d, column in enumerate(x.T)} | {"y": x[:, 3]})
    )
    assert "y = x3" in sentence


def test_what_the_sample_says_is_checked_in_all_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CELLS", 100)
    x = np.stack([A, A], 1)
    x[7, 1] += 0.1
    np.save(tmp_path / "x.npy", x)
    assert twins(Rows(tmp_path / "x.npy"), [0, 1]) == []


def test_factors_are_those_of_the_equation(tmp_path: Path) -> None:
    x = np.stack([A, C, 5e6 + 3 * A - 1e-3 * C], 1)
    np.save(tmp_path / "x.npy", x)
    (found,) = twins(Rows(tmp_path / "x.npy"), [0, 1, 2])
    assert (found.place, found.others) == (2, (0,)) or found.others == (0, 1)
    assert isinstance(found, Twin)
    assert found.constant == pytest.approx(5e6, abs=0.01)
    assert found.factors[0] == pytest.approx(3, abs=1e-3)


def test_very_many_columns_are_not_looked_at_and_that_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 2)
    (sentence,) = said(tmp_path, **write(tmp_path, "csv", COLUMNS["copies"]))
    assert "3 columns follows from others was not looked at" in sentence
