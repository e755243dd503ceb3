"""A series in a CSV file: cut in time, no row in two splits, recordings kept whole."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data.sources import frames

from .reading import everything, examples, prepared, refusal, settings

SERIES = {"source": "series", "path": "x.csv", "column": "y", "window": 10}


def series(root: Path, y: Any, *more: Any, header: str = "y") -> Path:
    rows = zip(y, *more, strict=True)
    (root / "x.csv").write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n")
    return root


def rows_of(x: np.ndarray) -> set[int]:
    return {int(value) for value in x.reshape(-1)}


@pytest.mark.parametrize("hop", [None, 3, 10, 17])
@pytest.mark.parametrize(("val", "test"), [(5, 7), (0.1, 0.2), (1, 1)])
@pytest.mark.parametrize("length", [400, 403])
def test_one_series_is_cut_in_time(tmp_path: Path, hop: int | None, val: float, test: float, length: int) -> None:
    series(tmp_path, range(length))
    data = prepared(tmp_path, **SERIES, hop=hop, val_count=val, test_count=test)
    windows = len(range(0, length - 9, hop or 10))
    for split, count in (("val", val), ("test", test)):
        assert len(examples(data, split)) == (max(1, round(count * windows)) if isinstance(count, float) else count)
    for split in ("train", "val", "test"):
        x = examples(data, split)
        assert (np.diff(x, axis=1) == 1).all(), "a window is of neighbours"
        assert (np.diff(x[:, 0]) == (hop or 10)).all()
    train, val_rows, test_rows = (rows_of(examples(data, split)) for split in ("train", "val", "test"))
    assert max(train) < min(val_rows) and max(val_rows) < min(test_rows) and max(test_rows) == length - 1
    assert min(val_rows) - max(train) <= max(hop or 10, 10)
    assert data.event.shape == (10,) and data.meta["channels"] == "series" and data.meta["range"] is None
    assert [column["name"] for column in data.meta["columns"]] == [f"t{step}" for step in range(10)]


@pytest.mark.parametrize("levels", [None, 16])
@pytest.mark.parametrize("chunk", [1 << 16, 7])
def test_recordings_are_kept_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, levels: int | None, chunk: int
) -> None:
    monkeypatch.setattr(frames, "CHUNK_ROWS", chunk)
    names = ["01", "1", "x", "1.0", "y", *map(str, range(20, 35))]
    y, of = [], []
    for number, name in enumerate(names):
        length = 30 + 7 * number
        y += [number * 10.0 + step % 3 for step in range(length)]
        of += [name] * length
    series(tmp_path, y, of, header="y,name")
    given = {**SERIES, "recording": "name", "val_count": 4, "test_count": 5, "levels": levels}
    data = prepared(tmp_path, **given)
    if levels is None:
        found = {split: set((examples(data, split)[:, 0] // 10).astype(int).tolist()) for split in data.meta["counts"]}
        assert [len(numbers) for numbers in found.values()] == [11, 4, 5]
        assert sorted(number for numbers in found.values() for number in numbers) == list(range(20))
        for split, numbers in found.items():
            assert len(examples(data, split)) == sum((30 + 7 * number) // 10 for number in numbers)
    else:
        assert data.event.shape == (1, 10) and data.event.levels == 16 and data.meta["kind"] == "sequence"


def test_rows_of_a_recording_stand_together(tmp_path: Path) -> None:
    series(tmp_path, np.arange(60), np.repeat(["a", "b", "a"], 20), header="y,name")
    line = refusal(tmp_path, **SERIES, recording="name")
    assert line == "params.yaml: data.recording: the rows of 'a' do not stand together: sort them"


def test_short_recordings(tmp_path: Path) -> None:
    series(tmp_path, np.arange(60), np.repeat(range(12), 5), header="y,name")
    line = refusal(tmp_path, **SERIES, recording="name")
    assert line == f"{tmp_path / 'x.csv'}: no recording is as long as a window of 10: lower data.window"
    series(tmp_path, np.arange(100), np.repeat([0, 1, 2, 3, 4], [30, 5, 30, 30, 5]), header="y,name")
    data = prepared(tmp_path, **SERIES, recording="name", val_count=1, test_count=1)
    assert data.meta["counts"] == {"train": 3, "val": 3, "test": 3}


def test_recordings_without_a_name(tmp_path: Path) -> None:
    series(tmp_path, np.arange(60), [*["a"] * 30, "", *["b"] * 29], header="y,name")
    line = refusal(tmp_path, **SERIES, recording="name")
    assert line == f"{tmp_path / 'x.csv'}: column 'name', row 31: a name is missing; mend the file"


@pytest.mark.parametrize("value", ["", "nan", "inf", "-inf", "oops", "NA", "1e39"])
def test_what_is_no_finite_number_is_named(tmp_path: Path, value: str) -> None:
    series(tmp_path, [*range(50), value, *range(50)], range(101), header="y,row")
    line = refusal(tmp_path, **SERIES)
    assert line.startswith(f"{tmp_path / 'x.csv'}: column 'y', row 51: ")
    assert line.endswith("is no finite number, or too large for a float32; mend the file")


def test_constant_series(tmp_path: Path) -> None:
    line = refusal(series(tmp_path, [5] * 200), **SERIES)
    assert line == f"{tmp_path / 'x.csv'}: column 'y' is constant, 5 in all rows: it has no density"
    series(tmp_path, [*[5] * 160, *range(40)])
    line = refusal(tmp_path, **SERIES, levels=8)
    assert line == "params.yaml: data.column: is constant, 5, in all training rows: no density"
    assert "is constant in the training split" in refusal(tmp_path, **SERIES)


@pytest.mark.parametrize(("val", "test"), [(20, 20), (39, 1), (100, 100), (0.5, 0.5)])
def test_counts_that_leave_nothing_to_train_on(tmp_path: Path, val: float, test: float) -> None:
    line = refusal(series(tmp_path, range(400)), **SERIES, val_count=val, test_count=test)
    assert line.startswith("params.yaml: data.val_count + data.test_count: ") and "x.csv has 40 windows" in line


def test_a_series_shorter_than_a_window(tmp_path: Path) -> None:
    assert "x.csv has 0 windows" in refusal(series(tmp_path, range(9)), **SERIES)


def test_columns_that_there_are_not(tmp_path: Path) -> None:
    series(tmp_path, range(100), range(100), header="a,b")
    assert refusal(tmp_path, **SERIES) == "params.yaml: data.column: 'y' is no column; there are: a, b"
    line = refusal(tmp_path, **{**SERIES, "column": "a"}, recording="z")
    assert line == "params.yaml: data.recording: 'z' is no column; there are: a, b"
    assert refusal(tmp_path, **{**SERIES, "path": "z.csv"}).startswith("params.yaml: data.path: ")
    for text, said in (("", "is empty"), ("y\n", "has no rows")):
        (tmp_path / "x.csv").write_text(text)
        assert refusal(tmp_path, **SERIES) == f"{tmp_path / 'x.csv'}: {said}"


def test_what_is_prepared_twice_is_the_same(tmp_path: Path) -> None:
    series(tmp_path, np.random.default_rng(0).normal(size=500).cumsum())
    one, two = (prepared(tmp_path, **SERIES, levels=32, name=name) for name in ("one", "two"))
    assert one.digest == two.digest and everything(one).max() == 31 and everything(one).min() == 0


def test_separators(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("t;y\n" + "".join(f"{row};{row}.5\n" for row in range(200)))
    data = prepared(tmp_path, **SERIES, separator=";")
    assert [b - a for a, b in pairwise(examples(data, "test")[0].tolist())] == [1] * 9
    assert settings(**SERIES, separator=";").drawn_test is None


def test_series_as_people_have_them(tmp_path: Path) -> None:
    rows = "".join(f"{row};{row // 1000}{'.' if row >= 1000 else ''}{row % 1000:03},5\n" for row in range(900, 1200))
    (tmp_path / "x.csv").write_text("# hourly\nt;y °C\n" + rows, encoding="cp1252")
    given = {**SERIES, "column": "y °C", "separator": ";", "decimal": ",", "thousands": ".", "comment": "#"}
    line = refusal(tmp_path, **given)
    assert line.endswith("write under data in params.yaml: text_encoding: cp1252"), "`encoding` is the amplitudes'"
    data = prepared(tmp_path, **given, text_encoding="cp1252")
    x = examples(data, "train")
    assert x[0, 0] == 900.5 and (np.diff(x, axis=1) == 1).all()
    assert "Lines that begin with #, and were passed over as comments: 1." in data.meta["decisions"]


def test_series_in_parquet_and_without_names(tmp_path: Path) -> None:
    pd.DataFrame({"y": np.arange(200.0), "name": ["u"] * 100 + ["v"] * 100}).iloc[::-1].set_index(
        np.r_[1:200, 0]
    ).to_parquet(tmp_path / "x.parquet")
    data = prepared(tmp_path, **{**SERIES, "path": "x.parquet"})
    assert (np.diff(examples(data, "train"), axis=1) == -1).all()
    assert any("__index_level_0__" in line for line in data.meta["decisions"])
    (tmp_path / "x.csv").write_text("\n".join(f"{row},1.5" for row in range(200)))
    assert (np.diff(examples(prepared(tmp_path, **{**SERIES, "header": ["y", "z"]}), "train"), axis=1) == 1).all()


def test_a_series_of_which_a_number_is_missing_in_parquet(tmp_path: Path) -> None:
    pd.DataFrame({"y": pd.array([1, 2, None] * 50, dtype="Int64")}).to_parquet(tmp_path / "x.parquet")
    assert "column 'y', row 3: " in refusal(tmp_path, **{**SERIES, "path": "x.parquet"})


def test_a_folder_is_no_series(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert refusal(tmp_path, **{**SERIES, "path": "x"}).startswith("params.yaml: data.path: ")
