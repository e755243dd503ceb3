"""CSV and Parquet as plain numbers: the declared columns, nothing silently, the same whatever the size of a chunk."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipelines.data.sources import frames

from .reading import everything, examples, labels, prepared, refusal, settings, shared, sorted_rows

CSV = {"source": "csv", "path": "x.csv", "val_count": 0.2, "test_count": 0.2, "types": False}
PARQUET = {**CSV, "source": "parquet", "path": "x.parquet"}
RNG = np.random.default_rng(0)
FRAME = pd.DataFrame({"a": RNG.normal(size=60), "b": RNG.integers(0, 50, 60), "c": RNG.normal(size=60) * 1e6})


def csv(root: Path, text: str, name: str = "x.csv") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, encoding="utf-8")
    return root


def lines(*columns: Any, header: str) -> str:
    return "\n".join([header, *(",".join(map(str, row)) for row in zip(*columns, strict=True))]) + "\n"


def as_floats(frame: pd.DataFrame) -> np.ndarray:
    return frame.to_numpy(np.float64).astype(np.float32)


@pytest.fixture(params=[1 << 16, 7], ids=["one chunk", "many chunks"])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(frames, "CHUNK_ROWS", request.param)
    return int(request.param)


# What is read


def write_csv(root: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(root / "x.csv", index=False)


def write_gz(root: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(root / "x.csv.gz", index=False)


def write_tabs(root: Path, frame: pd.DataFrame) -> None:
    frame.to_csv(root / "x.csv", index=False, sep="\t")


def write_parquet(root: Path, frame: pd.DataFrame) -> None:
    frame.to_parquet(root / "x.parquet", row_group_size=13)


def write_folder(root: Path, frame: pd.DataFrame) -> None:
    for number, start in enumerate((0, 1, 40)):
        part = frame.iloc[start : (1, 40, 60)[number]]
        (root / "x").mkdir(exist_ok=True)
        part.to_csv(root / "x" / f"{number}.csv.gz", index=False)
    (root / "x" / ".hidden.csv").write_text("nothing")


def write_shuffled_columns(root: Path, frame: pd.DataFrame) -> None:
    (root / "x").mkdir()
    frame.iloc[:30].to_parquet(root / "x" / "0.parquet")
    frame.iloc[30:][["c", "a", "b"]].to_parquet(root / "x" / "1.parquet")


@pytest.mark.parametrize(
    ("write", "about"),
    [
        (write_csv, {}),
        (write_gz, {"path": "x.csv.gz"}),
        (write_tabs, {"separator": "\t"}),
        (write_folder, {"path": "x"}),
        (write_parquet, PARQUET),
        (write_shuffled_columns, {**PARQUET, "path": "x"}),
    ],
)
@pytest.mark.usefixtures("chunks")
def test_numbers_are_those_of_pandas_as_float32(tmp_path: Path, write: Any, about: dict[str, Any]) -> None:
    write(tmp_path, FRAME)
    data = prepared(tmp_path, **{**CSV, **about})
    assert data.meta["counts"] == {"train": 36, "val": 12, "test": 12}
    assert [column["name"] for column in data.meta["columns"]] == ["a", "b", "c"]
    assert sorted_rows(everything(data)) == sorted_rows(as_floats(FRAME))
    order = {row.tobytes(): number for number, row in enumerate(as_floats(FRAME))}
    places = [order[row.tobytes()] for row in examples(data, "train")]
    assert places == sorted(places), "the order of the source is kept"
    for name, column in zip("abc", data.meta["columns"], strict=True):
        train = examples(data, "train").astype(float)[:, "abc".index(name)]
        assert column["mean"] == pytest.approx(train.mean()) and column["std"] == pytest.approx(train.std())
        assert (column["min"], column["max"]) == (train.min(), train.max())


def test_a_mark_of_the_encoding_quotes_and_spaces_are_read(tmp_path: Path) -> None:
    rows = "".join(f'"{row}.5", {row * row}\r\n' for row in range(20))
    (tmp_path / "x.csv").write_bytes(b'\xef\xbb\xbf"a, b",c\r\n' + rows.encode())
    data = prepared(tmp_path, **CSV)
    assert [column["name"] for column in data.meta["columns"]] == ["a, b", "c"]
    assert sorted_rows(everything(data)) == sorted_rows(np.array([[r + 0.5, r * r] for r in range(20)], np.float32))


def test_white_space_may_stand_between_cells(tmp_path: Path) -> None:
    text = "a   b\n" + "".join(f" {row}   {row * row}\n" for row in range(20))
    data = prepared(csv(tmp_path, text), **CSV, separator=r"\s+")
    assert sorted_rows(everything(data)) == sorted_rows(np.array([[r, r * r] for r in range(20)], np.float32))


def test_columns_are_chosen_by_names_and_patterns(tmp_path: Path) -> None:
    write_csv(tmp_path, FRAME.assign(x1=FRAME.a + 1, x2=FRAME.a + 2, x10=FRAME.a + 3, text="t"))
    chosen = {"columns": ["x*", "b"], "exclude": ["x?0"]}
    data = prepared(tmp_path, **CSV, **chosen)
    assert [column["name"] for column in data.meta["columns"]] == ["b", "x1", "x2"], "in the order of the table"
    for key, wrong in (("columns", ["y*"]), ("exclude", ["y"]), ("categorical", {"y": "codes"})):
        line = refusal(tmp_path, **{**CSV, **chosen, key: wrong})
        assert line.startswith(f"params.yaml: data.{key}: ") and line.endswith("there are: a, b, c, x1, x2, x10, text")
    assert refusal(tmp_path, **CSV, columns=["x1"], exclude=["x1"]).endswith("no column is left to be modelled")
    line = refusal(tmp_path, **CSV, label="y", exclude=["text"])
    assert line == "params.yaml: data.label: 'y' is no column; there are: a, b, c, x1, x2, x10, text"


def test_an_official_test_split_is_kept_as_it_is(tmp_path: Path) -> None:
    write_csv(tmp_path, FRAME)
    FRAME.iloc[::-3].to_csv(tmp_path / "test.csv", index=False)
    data = prepared(tmp_path, **{**CSV, "test_count": None, "test_path": "test.csv"})
    assert examples(data, "test").tobytes() == as_floats(FRAME.iloc[::-3]).tobytes()
    assert data.meta["counts"] == {"train": 48, "val": 12, "test": 20}
    assert data.meta["duplicates"]["test in train"] + data.meta["duplicates"]["val in test"] == 20
    assert set(data.meta["checksums"]) == {"x.csv", "test.csv"}
    assert "data.test_count: 0.2 is not allowed" in refusal(tmp_path, **CSV, test_path="test.csv")
    line = refusal(tmp_path, **{**CSV, "test_count": None, "test_path": "no.csv"})
    assert line.startswith("params.yaml: data.test_path: ") and "no.csv: does not exist" in line
    csv(tmp_path, "a,b\n1,2\n3,4\n", "test.csv")
    line = refusal(tmp_path, **{**CSV, "test_count": None, "test_path": "test.csv"})
    assert line.startswith(f"{tmp_path / 'test.csv'}: has no column c; there are: a, b")


def test_files_may_lie_outside_of_the_project(tmp_path: Path) -> None:
    (tmp_path / "project").mkdir()
    write_csv(tmp_path, FRAME)
    data = prepared(tmp_path / "project", **{**CSV, "path": str(tmp_path / "x.csv")})
    assert sorted_rows(everything(data)) == sorted_rows(as_floats(FRAME))
    assert list(data.meta["checksums"]) == [(tmp_path / "x.csv").as_posix()]
    again = prepared(tmp_path / "project", **{**CSV, "path": "../x.csv"}, name="again")
    assert again.meta["files"] == data.meta["files"]


def test_dequantisation_is_seeded_noise_within_the_width(tmp_path: Path) -> None:
    frame = FRAME.assign(kind=["u", "v"] * 30)
    write_csv(tmp_path, frame)
    given = {**CSV, "dequantise": {"b": 1.0, "kind": 0.5, "a*": 0.25}, "categorical": {"kind": "one_hot"}}
    data, again = prepared(tmp_path, **given), prepared(tmp_path, **given, name="again")
    assert data.meta["files"] == again.meta["files"]
    exact = prepared(tmp_path, **{**given, "dequantise": {}}, name="exact")
    for split in ("train", "val", "test"):
        noise = examples(data, split).astype(float) - examples(exact, split)
        assert (noise >= -1e-7).all() and not noise[:, 2].any()
        for column, width in ((0, 0.25), (1, 1.0), (3, 0.5), (4, 0.5)):
            assert 0.5 * width < noise[:, column].max() <= width * (1 + 1e-6)
            assert len(np.unique(noise[:, column])) > len(noise) / 2
    assert "Noise uniform on [0, 0.5) was added to kind." in data.meta["decisions"]
    other = prepared(tmp_path, **given, seed=1, name="other")
    assert sorted_rows(everything(other)) != sorted_rows(everything(data))


# Labels and categories


@pytest.mark.parametrize("how", ["csv", "parquet"])
@pytest.mark.parametrize(
    ("texts", "names"),
    [
        (["3", "10", "2"], ["2", "3", "10"]),
        (["1.0", "2.5", "1"], ["1", "2.5"]),
        (["01", "1", "x"], ["01", "1", "x"]),
        (["True", "False"], ["False", "True"]),
        (["None", "NA", "null"], ["NA", "None", "null"]),
        (["größer", "a,b", 'say "hi"'], ["a,b", "größer", 'say "hi"']),
    ],
)
@pytest.mark.usefixtures("chunks")
def test_labels_are_the_texts_that_are_written(tmp_path: Path, how: str, texts: list[str], names: list[str]) -> None:
    """In runs longer than a chunk, so that one sees only some of them."""
    column = np.repeat(texts, 20)
    frame = FRAME.iloc[: len(column)].assign(label=column)
    write_csv(tmp_path, frame) if how == "csv" else write_parquet(tmp_path, frame)
    data = prepared(tmp_path, **(CSV if how == "csv" else PARQUET), label="label")
    assert data.meta["class_names"] == names
    of = {row.tobytes(): text for row, text in zip(as_floats(frame[["a", "b", "c"]]), column, strict=True)}
    for split in ("train", "val", "test"):
        found = [names[label] for label in labels(data, split)]
        expected = [of[row.tobytes()] for row in examples(data, split)]
        assert found == [{"1.0": "1"}.get(text, text) if "x" not in names else text for text in expected]
        assert data.meta["class_counts"][split] == np.bincount(labels(data, split), minlength=len(names)).tolist()


@pytest.mark.usefixtures("chunks")
def test_labels_of_floats_and_of_a_dictionary(tmp_path: Path) -> None:
    numbers = FRAME.assign(label=np.repeat([1.0, 2.0, 0.5], 20))
    write_parquet(tmp_path, numbers)
    assert prepared(tmp_path, **PARQUET, label="label").meta["class_names"] == ["0.5", "1", "2"]
    write_parquet(tmp_path, FRAME.assign(label=pd.Categorical(np.repeat(["u", "v"], 30), ["v", "u", "never"])))
    data = prepared(tmp_path, **PARQUET, label="label")
    assert data.meta["class_names"] == ["u", "v"]
    assert sum(map(sum, data.meta["class_counts"].values())) == 60


def test_a_label_of_the_test_file_only_is_refused(tmp_path: Path) -> None:
    text = lines(FRAME.a, ["u", "v"] * 30, header="a,label")
    csv(csv(tmp_path, text), text.replace("v\n", "w\n", 3), "test.csv")
    line = refusal(tmp_path, **{**CSV, "test_count": None, "test_path": "test.csv"}, label="label")
    assert "class 'w' stands only in test" in line


@pytest.mark.parametrize("how", ["csv", "parquet"])
@pytest.mark.usefixtures("chunks")
def test_categories_are_columns_or_codes(tmp_path: Path, how: str) -> None:
    frame = FRAME[["a"]].assign(size=np.tile(["10", "9", "9.0"], 20), colour=np.repeat(["red", "blue", "tea"], 20))
    write_csv(tmp_path, frame) if how == "csv" else write_parquet(tmp_path, frame)
    categorical = {"size": "codes", "colour": "one_hot"}
    data = prepared(tmp_path, **(CSV if how == "csv" else PARQUET), categorical=categorical)
    assert [column["name"] for column in data.meta["columns"]] == [
        "a",
        "size",
        "colour=blue",
        "colour=red",
        "colour=tea",
    ]
    expected = np.stack(
        [frame.a, frame["size"] == "10", *(frame.colour == colour for colour in ("blue", "red", "tea"))], 1
    ).astype(np.float32)
    assert sorted_rows(everything(data)) == sorted_rows(expected)
    assert "Column size has 2 categories, as codes: 9, 10." in data.meta["decisions"]


def test_too_many_labels_are_none(tmp_path: Path) -> None:
    csv(tmp_path, lines(range(1001), range(1001), header="a,label"))
    assert "1,001 different labels: at most 1,000" in refusal(tmp_path, **CSV, label="label")


# Missing values


MISSING = ["1", "", "3", "nan", "5", "?", "7", "-999", "9", "NaN"]


@pytest.mark.parametrize("how", ["csv", "parquet"])
@pytest.mark.usefixtures("chunks")
def test_missing_values_are_dropped_if_asked_for(tmp_path: Path, how: str) -> None:
    column = np.array(MISSING * 4)
    frame = pd.DataFrame({"row": np.arange(40), "x": column, "label": ["u", "u", "v", "v"] * 10})
    if how == "csv":
        write_csv(tmp_path, frame)
    else:
        numbers = pd.to_numeric(frame.x, errors="coerce")
        write_parquet(tmp_path, frame.assign(x=numbers))
    given = {**(CSV if how == "csv" else PARQUET), "label": "label", "missing_values": ["?", "-999"]}
    data = prepared(tmp_path, **given, missing="drop")
    expected = np.array([[row, value] for row, value in enumerate(column) if row % 2 == 0], np.float32)
    assert sorted_rows(everything(data)) == sorted_rows(expected)
    for split in ("train", "val", "test"):
        assert np.array_equal(labels(data, split), examples(data, split)[:, 0] // 2 % 2), "labels stay with their rows"
    assert "20 rows with missing values were dropped (x 20)." in data.meta["decisions"]
    line = refusal(tmp_path, **given)
    assert line.endswith("column 'x', row 2: a value is missing (NaN); set data.missing to drop or mean")
    filled = prepared(tmp_path, **given, missing="mean", name="filled")
    assert sum(filled.meta["counts"].values()) == 40
    assert "Missing values were filled with the mean of the training rows (x 20)." in filled.meta["decisions"]


def test_only_declared_texts_are_missing(tmp_path: Path) -> None:
    csv(tmp_path, lines(range(20), ["1", "NA", *range(18)], header="a,b"))
    line = refusal(tmp_path, **CSV, missing="drop")
    assert line.startswith(f"{tmp_path / 'x.csv'}: column 'b', row 2: holds text, 'NA': declare it")
    data = prepared(tmp_path, **CSV, missing="drop", missing_values=["NA"])
    assert sum(data.meta["counts"].values()) == 19


@pytest.mark.usefixtures("chunks")
def test_missing_categories_and_labels(tmp_path: Path) -> None:
    csv(tmp_path, lines(range(30), ["u", "v", ""] * 10, header="a,kind"))
    line = refusal(tmp_path, **CSV, categorical={"kind": "codes"})
    assert line.endswith("column 'kind', row 3: a value is missing (NaN); set data.missing to drop")
    assert refusal(tmp_path, **CSV, categorical={"kind": "codes"}, missing="mean").endswith("data.missing to drop")
    data = prepared(tmp_path, **CSV, categorical={"kind": "one_hot"}, missing="drop")
    assert sum(data.meta["counts"].values()) == 20 and len(data.meta["columns"]) == 3
    assert "column 'kind', row 3: a label is missing" in refusal(tmp_path, **CSV, label="kind", missing="drop")


def test_a_column_without_any_value_is_refused(tmp_path: Path) -> None:
    csv(tmp_path, lines(range(20), [""] * 20, header="a,b"))
    assert "column 'b', row 1: a value is missing" in refusal(tmp_path, **CSV)
    assert refusal(tmp_path, **CSV, missing="drop").endswith("every row misses a value, in b")
    assert "column 'b' is constant" in refusal(tmp_path, **CSV, missing="mean")


@pytest.mark.usefixtures("chunks")
def test_parquet_nulls_of_integers_and_booleans(tmp_path: Path) -> None:
    values = pa.array([None if row % 5 == 4 else row for row in range(40)], pa.int64())
    flags = pa.array([row % 3 == 0 for row in range(40)])
    pq.write_table(pa.table({"row": range(40), "x": values, "flag": flags}), tmp_path / "x.parquet")
    assert "column 'x', row 5: a value is missing" in refusal(tmp_path, **PARQUET)
    data = prepared(tmp_path, **PARQUET, missing="drop")
    expected = np.array([[row, row, row % 3 == 0] for row in range(40) if row % 5 != 4], np.float32)
    assert sorted_rows(everything(data)) == sorted_rows(expected)


# What is refused


@pytest.mark.usefixtures("chunks")
def test_text_is_named_wherever_it_stands(tmp_path: Path) -> None:
    column = [*map(str, range(49)), "oops", *map(str, range(10))]
    csv(tmp_path, lines(FRAME.a, column, header="a,b"))
    line = refusal(tmp_path, **CSV)
    assert line.startswith(
        f"{tmp_path / 'x.csv'}: column 'b', row 50: holds text, 'oops': declare it in data.categorical"
    )
    assert "data.exclude: [b]" in line
    write_parquet(tmp_path, FRAME.assign(day=pd.Timestamp("2020-01-02")))
    assert "column 'day', row 1: holds text, '2020-01-02" in refusal(tmp_path, **PARQUET)


@pytest.mark.parametrize("value", ["inf", "-inf", "Infinity", "1e39", "-1e300"])
@pytest.mark.usefixtures("chunks")
def test_infinite_numbers_are_named(tmp_path: Path, value: str) -> None:
    csv(tmp_path, lines(FRAME.a, [*range(20), value, *range(39)], header="a,b"))
    line = refusal(tmp_path, **CSV)
    assert line.startswith(f"{tmp_path / 'x.csv'}: column 'b', row 21: infinite, or too large for a float32")


def test_a_constant_column_is_named(tmp_path: Path) -> None:
    csv(tmp_path, lines(FRAME.a, [7] * 60, header="a,b"))
    line = refusal(tmp_path, **CSV)
    assert (
        line.startswith(f"{tmp_path / 'x.csv'}: column 'b' is constant, 7 in all rows") and "data.exclude: [b]" in line
    )
    csv(tmp_path, lines(FRAME.a, 1e8 + np.arange(60) % 3, header="a,b"))  # of one float32
    assert "column 'b' is constant in the training split" in refusal(tmp_path, **CSV)


def test_names_that_stand_there_twice_are_refused(tmp_path: Path) -> None:
    csv(tmp_path, lines(FRAME.a, FRAME.b, FRAME.c, header="a,b,a"))
    assert refusal(tmp_path, **CSV) == f"{tmp_path / 'x.csv'}: column 'a' stands there twice; rename one"
    pq.write_table(pa.Table.from_arrays([pa.array(FRAME.a)] * 2, ["a", "a"]), tmp_path / "x.parquet")
    assert refusal(tmp_path, **PARQUET) == f"{tmp_path / 'x.parquet'}: column 'a' stands there twice; rename one"
    csv(tmp_path, lines(FRAME.a, FRAME.b, FRAME.c, ["u=1", "u"] * 30, header="a,kind=u,c,kind"))
    line = refusal(tmp_path, **CSV, categorical={"kind": "one_hot"})
    assert line == "column 'kind=u' stands there twice; rename one"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"a,b\n", "has no rows"),
        (b"a,b\n1,2,3\n4,5,6\n", "line 2 has 3 cells, but there are 2 columns"),
        (b"a,b\n1,2\n4,5,6\n", "line 3 has more cells than the 2 columns (the first has 3)"),
        (b"a,b\n1,2\n3\n", "column 'b', row 2: a value is missing"),
        (b"a,b\n1,2\n3,\xff\xfe\n", "line 3, byte 0xff: is no utf-8"),
        (b"\x89PNG\r\n\x1a\n\x00\x00\xff", "is a PNG picture, no table"),
        (b'a,b\n1,2\n3,"4', "a quotation mark in line 3 is never closed: close or remove it"),
    ],
)
def test_damaged_csv_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x.csv").write_bytes(content)
    line = refusal(tmp_path, **CSV)
    assert line.startswith(str(tmp_path / "x.csv")) and said in line


def test_a_line_with_too_many_cells_is_seen_when_few_columns_are_chosen(tmp_path: Path) -> None:
    text = lines(FRAME.a, FRAME.b, FRAME.c, header="a,b,c") + "1,2,3,4\n"
    line = refusal(csv(tmp_path, text), **CSV, columns=["a", "c"])
    assert "line 62 has more cells than the 3 columns (the first has 4)" in line


@pytest.mark.parametrize("damage", ["truncated", "flipped", "text"])
def test_damaged_gz_and_parquet_are_one_line(tmp_path: Path, damage: str) -> None:
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(rng.normal(size=(3000, 3)), columns=["a", "b", "c"])
    frame.to_csv(tmp_path / "x.csv.gz", index=False)
    frame.to_parquet(tmp_path / "x.parquet", compression="gzip")
    for name, given in (("x.csv.gz", CSV), ("x.parquet", PARQUET)):
        content = bytearray((tmp_path / name).read_bytes())
        if damage == "truncated":
            content = content[: len(content) // 2]
        elif damage == "flipped":
            for place in range(len(content) // 3, len(content) // 2):
                content[place] ^= 0x55
        else:
            content = bytearray(b"a,b\n1,2\n")
        (tmp_path / name).write_bytes(content)
        line = refusal(tmp_path, **{**given, "path": name})
        assert line.startswith(str(tmp_path / name)) and "damaged" in line


def test_parquet_without_rows(tmp_path: Path) -> None:
    FRAME.iloc[:0].to_parquet(tmp_path / "x.parquet")
    assert refusal(tmp_path, **PARQUET) == f"{tmp_path / 'x.parquet'}: has no rows"


def test_files_of_a_folder_must_have_the_same_columns(tmp_path: Path) -> None:
    csv(csv(tmp_path, "a,b\n1,2\n3,4\n", "x/0.csv"), "a,z\n1,2\n", "x/1.csv")
    line = refusal(tmp_path, **{**CSV, "path": "x"})
    assert line == f"{tmp_path / 'x' / '1.csv'}: has no column b; there are: a, z"


def test_paths_without_data(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    line = refusal(tmp_path, **CSV)
    assert line.startswith(f"params.yaml: data.path: {tmp_path / 'x.csv'}: does not exist")
    line = refusal(tmp_path, **{**CSV, "path": "empty"})
    assert line.startswith(f"params.yaml: data.path: {tmp_path / 'empty'}: holds no .csv")


@pytest.mark.parametrize("separator", ["", "ab", ", a", "\n", ';"', '"'])
def test_a_separator_is_no_word(separator: str) -> None:
    with pytest.raises(ValueError, match="must be one character, or several"):
        settings(**CSV, separator=separator)


def test_wide_tables_are_read_fewer_rows_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert frames.chunk_rows(6) == 1 << 16
    assert frames.chunk_rows(1000) == (1 << 22) // 1000
    assert frames.chunk_rows(1 << 30) == 1


def test_what_is_compressed_may_have_any_case(tmp_path: Path) -> None:
    (tmp_path / "X.CSV.GZ").write_bytes(gzip.compress(lines(FRAME.a, FRAME.b, header="a,b").encode()))
    assert sum(prepared(tmp_path, **{**CSV, "path": "."}).meta["counts"].values()) == 60


# Tables as people have them, from the file to the vectors


def test_a_european_table(tmp_path: Path) -> None:
    frame = FRAME[["a", "b"]].assign(größe=np.tile(["S", "M"], 30))
    frame.to_csv(tmp_path / "x.csv", index=False, sep=";", decimal=",", encoding="cp1252")
    given = {**CSV, "categorical": {"größe": "codes"}}
    encoded = refusal(tmp_path, **given)
    assert encoded.endswith("write under data in params.yaml: encoding: cp1252")
    separated = refusal(tmp_path, **given, encoding="cp1252")
    assert separated.endswith("write under data in params.yaml: separator: ';'")
    decimal = refusal(tmp_path, **given, encoding="cp1252", separator=";")
    assert "write under data in params.yaml: decimal: ','" in decimal
    data = prepared(tmp_path, **given, encoding="cp1252", separator=";", decimal=",")
    expected = frame.assign(größe=(frame["größe"] == "S").astype(float))
    assert sorted_rows(everything(data)) == sorted_rows(as_floats(expected))


def test_booleans_with_gaps_are_read_as_without(tmp_path: Path) -> None:
    csv(tmp_path, lines(FRAME.a, ["True", "False", ""] * 20, header="a,flag"))
    assert "column 'flag', row 3: a value is missing (NaN)" in refusal(tmp_path, **CSV)
    data = prepared(tmp_path, **CSV, missing="drop")
    flags = FRAME.assign(flag=[1.0, 0.0, np.nan] * 20)[["a", "flag"]].dropna()
    assert sorted_rows(everything(data)) == sorted_rows(as_floats(flags))


@pytest.mark.parametrize("how", ["shuffled", "filtered", "dates", "named"])
def test_parquet_of_pandas(tmp_path: Path, how: str) -> None:
    frame = {
        "shuffled": FRAME.sample(frac=1, random_state=0),
        "filtered": FRAME[FRAME.b > 10],
        "dates": FRAME.set_index(pd.date_range("2020-01-01", periods=60)),
        "named": FRAME.set_index(pd.Index(np.random.default_rng(0).permutation(60), name="id")),
    }[how]
    write_parquet(tmp_path, frame)
    data = prepared(tmp_path, **PARQUET)
    expected = frame.assign(id=frame.index) if how == "named" else frame
    assert [column["name"] for column in data.meta["columns"]] == list(expected)
    assert sorted_rows(everything(data)) == sorted_rows(as_floats(expected))
    said = [line for line in data.meta["decisions"] if "__index_level_0__" in line]
    assert len(said) == (how != "named")


def test_names_with_brackets_are_columns(tmp_path: Path) -> None:
    frame = FRAME.rename(columns={"a": "a[1]", "b": "x*", "c": "x1"})
    write_csv(tmp_path, frame)
    data = prepared(tmp_path, **CSV, columns=["a[1]", "x*"], dequantise={"x*": 1.0})
    assert [column["name"] for column in data.meta["columns"]] == ["a[1]", "x*"]
    line = refusal(tmp_path, **CSV, label="x1", categorical={"x1": "codes"})
    assert line.startswith("params.yaml: data.categorical: 'x1' is the label, data.label, which is not modelled: rem")


def test_a_file_without_rows_in_a_folder_is_counted(tmp_path: Path) -> None:
    text = lines(FRAME.a, FRAME.b, header="a,b")
    csv(csv(tmp_path, text, "x/0.csv"), "a,b\n", "x/1.csv")
    data = prepared(tmp_path, **{**CSV, "path": "x"})
    assert sum(data.meta["counts"].values()) == 60 and "Files without rows: 1." in data.meta["decisions"]
    csv(tmp_path, "a,b\n", "x/0.csv")
    assert refusal(tmp_path, **{**CSV, "path": "x"}).endswith("1.csv: has no rows")


def test_adult(tmp_path: Path) -> None:
    """Blanks behind commas, no names, `?` for a gap, and full stops behind the labels of the test file."""
    for name in ("adult.data.gz", "adult.test.gz"):
        (tmp_path / name).write_bytes((shared("tables") / name).read_bytes())
    words = ["work", "education", "married", "job", "relation", "race", "sex", "country"]
    names = ["age", "work", "weight", "education", "years", *words[2:7], "gain", "loss", "hours", "country", "income"]
    given = {
        **CSV, "path": "adult.data.gz", "separator": ", ", "header": names, "label": "income", "missing": "drop",
        "missing_values": ["?"], "categorical": dict.fromkeys(words, "codes"),
    }  # fmt: skip
    data = prepared(tmp_path, **given)
    assert sum(data.meta["counts"].values()) == 30_162 and data.meta["class_names"] == ["<=50K", ">50K"]
    line = refusal(tmp_path, **{**given, "header": True})
    assert "its first line seems to hold values" in refusal(
        tmp_path, **{k: v for k, v in given.items() if k != "header"}
    )
    assert "is no column" in line
