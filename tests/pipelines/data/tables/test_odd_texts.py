"""Numbers and dates that are written for people: recognised, and never lost without a word."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.prepared import SPLITS, Prepared
from pipelines.data.tables.typed_rows import decode_rows, encode_rows

from ..sources.reading import examples, prepared, refusal

N = 60
RNG = np.random.default_rng(0)
X = RNG.normal(size=N)


def how(root: Path, column: Any, source: str = "csv") -> dict[str, Any]:
    frame = pd.DataFrame({"x": X, "y": RNG.normal(size=N), "odd": column})
    frame.to_csv(root / "x.csv", index=False) if source == "csv" else frame.to_parquet(root / "x.parquet")
    return {"source": source, "path": f"x.{source}", "val_count": 0.1, "test_count": 0.1}


def of_odd(data: Prepared) -> dict[str, Any] | None:
    """The type of the column, None if it is left out."""
    return next((column["type"] for column in data.meta["columns"] if column["name"] == "odd"), None)


def said(data: Prepared, text: str) -> bool:
    return any(text in each for each in data.meta["decisions"])


MARKED = {
    "percent": [f"{value:.1f}%" for value in X],
    "dollars": [f"${abs(value) * 1e4:,.2f}" for value in X],
    "euros": [f"{value:.2f} €" for value in X],
    "units": [f"{value:.1f} kg" for value in X],
    "parentheses": [f"({-value:.2f})" if value < 0 else f"{value:.2f}" for value in X],
    "minus behind": [f"{-value:.2f}-" if value < 0 else f"{value:.2f}" for value in X],
    "minus sign": [f"{value:.2f}".replace("-", "−") for value in X],
}


@pytest.mark.parametrize("kind", MARKED)
def test_numbers_with_marks_are_asked_about(tmp_path: Path, kind: str) -> None:
    given = how(tmp_path, MARKED[kind])
    assert "60 of 60 texts are numbers with marks, like " in refusal(tmp_path, **given)
    assert of_odd(prepared(tmp_path, **given, columns={"odd": "leave_out"})) is None


OTHERS = {
    "telephones": [f"030 {number}" for number in RNG.integers(100_000, 999_999, N)],
    "addresses": [f"192.168.{number}.1" for number in range(N)],
    "streets": [f"Main Street {number}" for number in RNG.integers(1, 9, N)],
    "rooms": [f"{number} m" if number % 2 else "hall" for number in range(N)],
}


@pytest.mark.parametrize("kind", OTHERS)
def test_other_texts_with_digits_are_none(tmp_path: Path, kind: str) -> None:
    prepared(tmp_path, **how(tmp_path, OTHERS[kind]))


def test_all_such_columns_are_one_line(tmp_path: Path) -> None:
    frame = pd.DataFrame({"x": X, "p": MARKED["percent"], "q": MARKED["dollars"]})
    frame.to_csv(tmp_path / "x.csv", index=False)
    line = refusal(tmp_path, source="csv", path="x.csv", test_count=0.1)
    assert line.startswith("params.yaml: data.columns: p: 60 of 60") and "; q: 60 of 60" in line


DATES = {
    "%d.%m.%y": [f"{1 + day % 28:02d}.{1 + day % 12:02d}.{day:02d}" for day in range(N)],
    "%m/%d/%y": [f"{1 + day % 12:02d}/{1 + day % 28:02d}/{day:02d}" for day in range(N)],
    "%H:%M:%S": [f"{hour % 24:02d}:{hour % 60:02d}:05" for hour in range(N)],
    "%H:%M": [f"{hour % 24:02d}:{hour % 60:02d}" for hour in range(N)],
    "%Y-%m": [f"20{month % 60:02d}-{1 + month % 12:02d}" for month in range(N)],
    "%b %Y": [f"{('Jan', 'Feb', 'Mar')[month % 3]} 20{month % 60:02d}" for month in range(N)],
    "%Y-%m-%dT%H:%M:%S%z": [f"2020-01-{1 + day % 28:02d}T10:{day:02d}:01+0000" for day in range(N)],
}


@pytest.mark.parametrize("form", DATES)
def test_dates_in_more_formats_come_back_as_they_were(tmp_path: Path, form: str) -> None:
    data = prepared(tmp_path, **how(tmp_path, DATES[form]))
    kind = of_odd(data)
    assert kind is not None and (kind["kind"], kind["format"]) == ("date", form)
    names, types = zip(*((column["name"], column["type"]) for column in data.meta["columns"]), strict=True)
    frames = [decode_rows(examples(data, split), names, types) for split in SPLITS]
    rows = pd.concat(frames, ignore_index=True)
    assert sorted(rows["odd"]) == sorted(DATES[form])
    assert np.isfinite(encode_rows(rows, names, types)).all(), "what comes back goes in again"


def test_years_of_two_digits_and_zones_are_said(tmp_path: Path) -> None:
    column = [f"{1 + day % 28:02d}.{1 + day % 12:02d}.{40 + day:02d}" for day in range(N)]
    assert said(prepared(tmp_path, **how(tmp_path, column)), "years of two digits were read as 1969 to 2068")
    column = DATES["%Y-%m-%dT%H:%M:%S%z"]
    assert said(prepared(tmp_path, **how(tmp_path, column)), "come back with the zone +0000")


def test_dates_in_several_formats_are_asked_about(tmp_path: Path) -> None:
    column = [f"2020-01-{1 + day % 28:02d}" if day % 2 else f"{1 + day % 28:02d}/02/2020" for day in range(N)]
    line = refusal(tmp_path, **how(tmp_path, column))
    assert "its dates are written in several formats (30 like %Y-%m-%d, 30 like %d/%m/%Y)" in line


@pytest.mark.parametrize("source", ["csv", "parquet"])
def test_long_numbers_are_codes_and_none_is_rounded(tmp_path: Path, source: str) -> None:
    column = [2**60 + int(number) for number in RNG.integers(0, 9, N)]
    kind = of_odd(prepared(tmp_path, **how(tmp_path, column, source)))
    assert kind is not None and kind["kind"] == "category"
    assert kind["values"] == [str(number) for number in sorted(set(column))]


def test_telephone_numbers_keep_their_plus(tmp_path: Path) -> None:
    column = [f"+4930{number}" for number in RNG.integers(100_000, 100_009, N)]
    kind = of_odd(prepared(tmp_path, **how(tmp_path, column)))
    assert kind is not None and kind["values"] == sorted(set(column))


def test_codes_that_became_plain_numbers_are_said(tmp_path: Path) -> None:
    given = how(tmp_path, [f"{number:05d}" for number in RNG.integers(100, 110, N)])
    data = prepared(tmp_path, **given, types=False)
    assert said(data, "Values of odd begin with zeros, as codes do, and were read as numbers")


def test_one_text_among_numbers_that_all_differ_is_asked_about(tmp_path: Path) -> None:
    column = [f"{value:.6f}" for value in X[:-1]] + ["Total"]
    assert "odd: 59 numbers beside the texts 'Total' (1)" in refusal(tmp_path, **how(tmp_path, column))


def test_names_that_differ_in_capitals_alone_are_said(tmp_path: Path) -> None:
    data = prepared(tmp_path, **how(tmp_path, ["Yes", "no", "NO", "yes"] * 15))
    assert said(data, """('NO' and 'no', 'Yes' and 'yes'); if they mean the same, write replace: {"no": "NO"}""")


def test_a_last_row_that_may_be_a_total_is_said(tmp_path: Path) -> None:
    column = [*("a" if value < 0 else "b" for value in X[:-1]), "Total"]
    assert said(prepared(tmp_path, **how(tmp_path, column)), "The last row may be a total, since its odd is 'Total'")


def test_an_order_that_pandas_wrote_is_said(tmp_path: Path) -> None:
    column = pd.Categorical(["S", "M", "L"] * 20, ["S", "M", "L"], ordered=True)
    data = prepared(tmp_path, **how(tmp_path, column, "parquet"))
    assert said(data, "write columns: {odd: {type: ordered, order: [S, M, L]}}")
    ordered = {"odd": {"type": "ordered", "order": ["S", "M", "L"]}}
    kind = of_odd(prepared(tmp_path, **how(tmp_path, column, "parquet"), columns=ordered))
    assert kind is not None and kind["values"] == ["S", "M", "L"]
