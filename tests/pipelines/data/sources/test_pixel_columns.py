"""Pixels in a table: images and sequences, with columns that never vary; and a hint where nobody said so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError
from sklearn.datasets import load_digits

from pipelines.data.prepared import Prepared

from .reading import everything, labels, prepared, refusal, settings, sorted_rows

DIGITS = load_digits()
N = 150
X, Y = DIGITS.data[:N].astype(np.int64), DIGITS.target[:N]
NAMES = [f"pixel{place}" for place in range(64)]
SPLIT = {"val_count": 0.2, "test_count": 0.2}
HINT = "may be pixels: if they are, write shape: [1, 8, 8]"


def table(root: Path, x: np.ndarray = X, names: list[str] = NAMES, source: str = "csv") -> dict[str, Any]:
    """A table as Kaggle has it: label, pixel0, …, pixel63."""
    frame = pd.DataFrame(x, columns=names)
    frame.insert(0, "label", Y[: len(x)])
    path = root / f"x.{source}"
    frame.to_csv(path, index=False) if source == "csv" else frame.to_parquet(path)
    return {"source": source, "path": path.name, **SPLIT}


def said(data: Prepared, text: str) -> list[str]:
    return [each for each in data.meta["decisions"] if text in each]


@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_columns_become_images(tmp_path: Path, source: str) -> None:
    data = prepared(tmp_path, **table(tmp_path, source=source), label="label", shape=[1, 8, 8], levels=17)
    assert (data.meta["kind"], data.meta["shape"], data.meta["levels"]) == ("image", [1, 8, 8], 17)
    assert sorted_rows(everything(data)) == sorted_rows(X.reshape(-1, 1, 8, 8).astype(np.uint8))
    assert data.meta["class_names"] == [str(digit) for digit in range(10)]
    test = np.asarray(data.split("test").x).reshape(-1, 64)
    for row, label in zip(test, labels(data, "test"), strict=True):
        assert label in Y[(row == X).all(1)]


def test_colours_and_sequences(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (60, 48))
    how = table(tmp_path, x, [f"p{place}" for place in range(48)])
    data = prepared(tmp_path, **how, label="label", shape=[3, 4, 4])
    assert (data.meta["channels"], data.meta["shape"], data.meta["levels"]) == ("rgb", [3, 4, 4], 256)
    assert sorted_rows(everything(data)) == sorted_rows(x.reshape(-1, 3, 4, 4).astype(np.uint8))
    data = prepared(tmp_path, **how, exclude=["label"], shape=[1, 48])
    assert (data.meta["kind"], data.meta["shape"], data.meta["class_names"]) == ("sequence", [1, 48], [])


def test_names_that_stand_in_another_order_are_ordered_by_their_numbers(tmp_path: Path) -> None:
    order = sorted(range(64), key=str)  # 0, 1, 10, 11, …
    how = table(tmp_path, X[:, order], [NAMES[place] for place in order])
    data = prepared(tmp_path, **how, label="label", shape=[1, 8, 8], levels=17)
    assert sorted_rows(everything(data)) == sorted_rows(X.reshape(-1, 1, 8, 8).astype(np.uint8))
    assert said(data, "were ordered by the numbers in their names")


def test_options_of_images_apply(tmp_path: Path) -> None:
    how = {**table(tmp_path), "label": "label", "shape": [1, 8, 8]}
    data = prepared(tmp_path, **how, levels=17, binarise="threshold")
    assert sorted_rows(everything(data)) == sorted_rows((X > 8).reshape(-1, 1, 8, 8).astype(np.uint8))
    data = prepared(tmp_path, **how, rescale=[0, 16])
    assert (everything(data).min(), everything(data).max(), data.meta["levels"]) == (0, 255, 256)


def test_an_official_test_file_has_the_same_pixels(tmp_path: Path) -> None:
    how = table(tmp_path)
    frame = pd.read_csv(tmp_path / "x.csv")
    frame.iloc[:100].to_csv(tmp_path / "x.csv", index=False)
    frame.iloc[100:].to_csv(tmp_path / "test.csv", index=False)
    given = {**how, "label": "label", "shape": [1, 8, 8], "levels": 17, "test_path": "test.csv"}
    data = prepared(tmp_path, **{**given, "test_count": None})
    assert (np.asarray(data.split("test").x).reshape(-1, 64) == X[100:]).all()


def test_few_of_256_levels_are_said(tmp_path: Path) -> None:
    data = prepared(tmp_path, **table(tmp_path), label="label", shape=[1, 8, 8])
    assert said(data, "")[-1:] and said(data, "write levels: 17")


def test_numbers_that_are_no_levels_are_refused_with_the_way_out(tmp_path: Path) -> None:
    how = {**table(tmp_path), "label": "label", "shape": [1, 8, 8]}
    assert "integers 0 … 15; to bring others to levels set data.rescale" in refusal(tmp_path, **how, levels=16)
    how = {**table(tmp_path, X / 16), "label": "label", "shape": [1, 8, 8]}
    assert "set data.rescale" in refusal(tmp_path, **how)
    assert prepared(tmp_path, **how, rescale="type").meta["levels"] == 256


def test_a_count_that_does_not_fit_names_the_columns(tmp_path: Path) -> None:
    assert refusal(tmp_path, **table(tmp_path), shape=[1, 8, 8]) == (
        "params.yaml: data.shape: [1, 8, 8] is of 64 columns, and 65 are chosen, of which label may be none: set"
        " data.label to the column of labels, leave columns out with data.exclude, or correct the shape"
    )


def test_gaps_among_pixels_are_refused_or_dropped(tmp_path: Path) -> None:
    x = X.astype(object)
    x[3, 5] = None
    how = {**table(tmp_path, x), "label": "label", "shape": [1, 8, 8], "levels": 17}
    assert "set data.missing to drop" in refusal(tmp_path, **how)
    data = prepared(tmp_path, **how, missing="drop")
    assert sum(data.meta["counts"].values()) == N - 1 and said(data, "1 rows with missing values were dropped")


@pytest.mark.parametrize("types", [True, False])
def test_columns_that_are_called_like_pixels_give_the_line_to_paste(tmp_path: Path, types: bool) -> None:
    how = {**table(tmp_path), "label": "label", "types": types}
    if not types:  # all that never vary at once
        line = refusal(tmp_path, **how)
        constant = [name for name, column in zip(NAMES, X.T, strict=True) if column.min() == column.max()]
        assert f"{len(constant)} columns are constant" in line and f"data.exclude: [{', '.join(constant)}]" in line
        assert HINT in line
    else:
        assert said(prepared(tmp_path, **how), HINT)


def test_other_columns_give_no_hint(tmp_path: Path) -> None:
    how = table(tmp_path, X + np.arange(64) % 7 * 1000, [f"x{place}" for place in range(64)])
    assert not said(prepared(tmp_path, **how, label="label"), "pixels")


@pytest.mark.parametrize("shape", [[2, 8, 8], [8, 8], [64], [1, 1, 8, 8], [1, 0, 8]])
def test_shapes_that_are_none(shape: list[int]) -> None:
    with pytest.raises(ValidationError):
        settings(source="csv", shape=shape, test_count=0.1)
