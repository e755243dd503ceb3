"""Tables as people have them, in one attempt: types are found and said, and rows come back as they were."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.data import sources
from pipelines.data.prepared import SPLITS, Prepared
from pipelines.data.sources import frames
from pipelines.data.tables.typed_rows import decode_rows, encode_rows

from .reading import examples, labels, prepared, refusal, settings, shared

CSV = {"source": "csv", "path": "x.csv", "val_count": 0.2, "test_count": 0.2}
N = 300


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def table(root: Path, columns: dict[str, Any], name: str = "x.csv", **how: Any) -> Path:
    pd.DataFrame(columns).to_csv(root / name, **{"index": False, **how})
    return root


def kinds(data: Prepared) -> dict[str, str]:
    return {column["name"]: column["type"]["kind"] for column in data.meta["columns"]}


def types(data: Prepared) -> list[dict[str, Any]]:
    return [column["type"] for column in data.meta["columns"]]


def said(data: Prepared, text: str) -> str:
    """The only sentence that has this text."""
    (found,) = [each for each in data.meta["decisions"] if text in each]
    return str(found)


def rows_back(data: Prepared) -> pd.DataFrame:
    """All rows of all splits in the values that they had."""
    names = [column["name"] for column in data.meta["columns"]]
    return pd.concat([decode_rows(examples(data, split), names, types(data)) for split in SPLITS], ignore_index=True)


def same_rows(found: pd.DataFrame, expected: pd.DataFrame) -> None:
    """Are there the same rows, in whatever order?"""
    first, second = (
        sorted(map(str, each.astype(object).where(each.notna(), None).itertuples(index=False)))
        for each in (found, expected)
    )
    assert first == second


@pytest.fixture(params=[1 << 16, 7], ids=["one chunk", "many chunks"])
def chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(frames, "CHUNK_ROWS", request.param)
    return int(request.param)


BANK = {
    "customer_id": np.arange(10_000, 10_000 + N),
    "iban": [f"DE{number:020d}" for number in range(N)],
    "age": rng().integers(18, 90, N),
    "amount": np.round(rng().lognormal(5, 1, N), 2),
    "rate": np.round(rng().integers(0, 40, N) * 0.125, 3),
    "job": rng().choice(["baker", "smith", "nurse"], N),
    "joined": pd.date_range("2020-01-01", periods=N, freq="3D").strftime("%Y-%m-%d"),
    "active": rng().choice([True, False], N),
    "branch": np.where(rng().random(N) < 0.1, None, rng().choice(["north", "south"], N)),
    "country": ["Malta"] * N,
    "postcode": rng().choice(["00123", "01234", "99999"], N),
}


def test_a_banks_table_is_read_in_one_attempt(tmp_path: Path, chunks: int) -> None:
    data = prepared(table(tmp_path, BANK), **CSV)
    assert data.meta["kind"] == data.event.kind == "table"
    assert kinds(data) == {
        "age": "integer",
        "amount": "real",
        "rate": "integer",
        "job": "category",
        "joined": "date",
        "active": "boolean",
        "branch": "category",
        "postcode": "category",
    }
    assert "numbers the rows" in said(data, "customer_id is left out")
    assert "identifiers" in said(data, "iban is left out")
    assert "constant" in said(data, "country is left out")
    assert "branch" in said(data, "Missing values are modelled")


def test_rows_come_back_as_they_were(tmp_path: Path, chunks: int) -> None:
    data = prepared(table(tmp_path, BANK), **CSV)
    found = rows_back(data)
    assert (str(found["age"].dtype), str(found["amount"].dtype), str(found["active"].dtype)) == (
        "int64",
        "float64",
        "bool",
    )
    same_rows(found, pd.DataFrame(BANK)[list(kinds(data))])


def test_what_comes_back_goes_in_again(tmp_path: Path) -> None:
    data = prepared(table(tmp_path, BANK), **CSV)
    x = examples(data, "train")
    names = [column["name"] for column in data.meta["columns"]]
    again = encode_rows(decode_rows(x, names, types(data))[names[::-1]], names, types(data))
    np.testing.assert_allclose(again, x, atol=1e-5)


def test_values_that_a_type_forbids_are_named_all_at_once(tmp_path: Path) -> None:
    data = prepared(table(tmp_path, BANK), **CSV)
    names = [column["name"] for column in data.meta["columns"]]
    frame = decode_rows(examples(data, "train"), names, types(data))
    frame["job"] = frame["job"].replace({"baker": "pilot"})
    frame["age"] = frame["age"] + 0.5
    frame.loc[0, "rate"] = np.nan
    with pytest.raises(ValueError, match=r"age: .*whole number.*rate: nan.*job: pilot is not allowed: must be one of"):
        encode_rows(frame, names, types(data))
    with pytest.raises(ValueError, match="no column 'job', 'active'"):
        encode_rows(frame.drop(columns=["job", "active"]), names, types(data))


def test_no_value_comes_back_that_a_type_forbids(tmp_path: Path) -> None:
    """Whatever numbers a model makes: far out, between levels, infinite."""
    data = prepared(table(tmp_path, BANK), **CSV)
    wild = rng().normal(size=(200, 8)) * 100
    wild[:, [2 + 1, 5, 6, 7]] = np.abs(np.rint(wild[:, [3, 5, 6, 7]])) % 2
    names = [column["name"] for column in data.meta["columns"]]
    found = decode_rows(wild, names, types(data))
    assert found["age"].between(18, 89).all()
    assert set(found["job"]) <= {"baker", "smith", "nurse"}
    assert pd.to_datetime(found["joined"]).between("2020-01-01", "2022-06-17").all()
    assert (found["amount"] == found["amount"].round(2)).all()


def test_integers_are_known_from_the_data(tmp_path: Path) -> None:
    columns = {"tenths": rng().integers(43, 80, N) / 10, "hundreds": rng().integers(1, 60, N) * 100}
    data = prepared(table(tmp_path, columns), **CSV)
    assert [(each["step"], each["decimals"]) for each in types(data)] == [(pytest.approx(0.1), 1), (100, 0)]
    same_rows(rows_back(data), pd.DataFrame(columns))


def test_a_table_of_plain_real_numbers_is_a_vector(tmp_path: Path) -> None:
    columns = {"a": rng().normal(size=N), "b": 3 + rng().normal(size=N)}
    data = prepared(table(tmp_path, columns), **CSV)
    assert data.meta["kind"] == data.event.kind == "vector"
    x = np.concatenate([examples(data, split) for split in SPLITS])
    assert sorted(x[:, 0]) == sorted(pd.DataFrame(columns)["a"].astype(np.float32))


def test_a_flag_that_is_rare_is_what_it_is(tmp_path: Path) -> None:
    flag = np.zeros(30_000, int)
    flag[[11_000, 22_000, 25_000]] = 1
    data = prepared(table(tmp_path, {"x": rng().normal(size=30_000), "flag": flag}), **CSV)
    assert kinds(data) == {"x": "real", "flag": "integer"}
    assert data.event.columns is not None and data.event.columns[1].levels == 2


def test_units_do_not_matter(tmp_path: Path) -> None:
    x = rng().normal(size=N)
    small = prepared(table(tmp_path, {"a": x * 1e-10, "k": np.arange(N) % 3}), **CSV)
    large = prepared(table(tmp_path, {"a": x * 1e10, "k": np.arange(N) % 3}), **CSV)
    np.testing.assert_allclose(examples(small, "train"), examples(large, "train"), atol=1e-5)


@pytest.mark.parametrize(
    "column",
    [
        1_700_000_000 + rng().integers(0, 10**9, 2000),
        202_001_010_000 + rng().integers(0, 60, 2000),
        500_000 + np.round(rng().normal(size=2000) * 30, 3),
        1e9 + rng().normal(size=2000),
    ],
    ids=["epoch seconds", "YYYYMMDDHHMM", "easting", "a series at 1e9"],
)
def test_large_offsets_cost_no_digits(tmp_path: Path, column: np.ndarray) -> None:
    data = prepared(table(tmp_path, {"t": column, "k": np.arange(2000) % 2}), **CSV)
    found = np.sort(rows_back(data)["t"].to_numpy())
    spread = float(np.std(column))
    np.testing.assert_allclose(found, np.sort(column), atol=1e-6 * spread, rtol=0)


@pytest.mark.parametrize(
    ("dates", "like"),
    [
        (pd.date_range("2020-02-28", periods=N).strftime("%d.%m.%Y"), "%d.%m.%Y"),
        (pd.date_range("2020-02-28", periods=N, freq="7h").strftime("%Y-%m-%d %H:%M"), "%Y-%m-%d %H:%M"),
        (pd.date_range("2020-02-28", periods=N, freq="7s").strftime("%Y-%m-%dT%H:%M:%S"), "%Y-%m-%dT%H:%M:%S"),
        (pd.date_range("2020-02-28", periods=N).strftime("%m/%d/%Y"), "%m/%d/%Y"),
    ],
)
def test_dates_come_back_as_they_were_written(tmp_path: Path, dates: pd.Index, like: str, chunks: int) -> None:
    data = prepared(table(tmp_path, {"when": dates, "k": np.arange(N) % 5}), **CSV)
    assert kinds(data)["when"] == "date" and types(data)[0]["format"] == like
    same_rows(rows_back(data), pd.DataFrame({"when": dates, "k": np.arange(N) % 5}))


def test_a_date_that_can_be_read_two_ways_is_said(tmp_path: Path) -> None:
    data = prepared(table(tmp_path, {"when": ["01/02/2020", "03/04/2020", "05/06/2021"] * 20, "k": range(60)}), **CSV)
    assert "would fit too" in said(data, "%m/%d/%Y")
    told = {"when": {"type": "date", "format": "%m/%d/%Y"}}
    again = prepared(tmp_path, **CSV, columns=told)
    assert types(again)[0]["format"] == "%m/%d/%Y"


def test_dates_of_parquet_are_dates(tmp_path: Path) -> None:
    frame = pd.DataFrame({"when": pd.date_range("2021-01-01", periods=N, freq="h"), "k": np.arange(N) % 7})
    frame.to_parquet(tmp_path / "x.parquet", index=False)
    data = prepared(tmp_path, **{**CSV, "source": "parquet", "path": "x.parquet"})
    assert kinds(data) == {"when": "date", "k": "integer"}
    same_rows(rows_back(data), frame)


def test_booleans_with_gaps(tmp_path: Path) -> None:
    flags = np.where(rng().random(N) < 0.2, None, rng().choice([True, False], N))
    data = prepared(table(tmp_path, {"flag": flags, "k": np.arange(N) % 4}), **CSV)
    assert kinds(data)["flag"] == "boolean"
    assert 0.1 < data.meta["columns"][0]["gaps"] < 0.3
    found = rows_back(data)["flag"]
    assert found.isna().sum() == pd.isna(flags).sum() and set(map(str, found.dropna())) == {"True", "False"}


def test_marks_of_gaps_among_numbers_are_found_and_said(tmp_path: Path) -> None:
    power = [str(number) for number in rng().integers(40, 200, N)]
    power[5], power[17] = "?", "?"
    data = prepared(table(tmp_path, {"power": power, "k": np.arange(N) % 4}), **CSV)
    assert kinds(data)["power"] == "integer"
    assert "(power 2)" in said(data, "'?' is read as a gap")


def test_numbers_beside_texts_are_refused_all_at_once(tmp_path: Path) -> None:
    numbers = [str(number) for number in rng().integers(40, 200, N)]
    columns = {"a": [*numbers[:-1], "many"], "b": [*numbers[:-2], "few", "few"], "c": numbers}
    line = refusal(table(tmp_path, columns), **CSV)
    assert "a: 299 numbers beside the texts 'many' (1)" in line and "b: 298 numbers" in line


def test_a_suspected_gap_among_names_is_said(tmp_path: Path) -> None:
    data = prepared(table(tmp_path, {"job": ["a", "b", "?"] * 50, "k": range(150)}), **CSV)
    assert "missing_values: ['?']" in said(data, "'?' is a category like others of job")


def test_many_names_are_pooled_and_come_back(tmp_path: Path) -> None:
    codes = rng().choice([f"P{number}" for number in range(1200)], 5000)
    data = prepared(table(tmp_path, {"postcode": codes, "k": np.arange(5000) % 3}), **CSV)
    assert data.meta["columns"][0]["levels"] == 100
    assert "rarest categories" in said(data, "Of column postcode")
    assert set(rows_back(data)["postcode"]) <= set(codes)


def test_a_name_that_only_the_test_file_has(tmp_path: Path) -> None:
    table(tmp_path, {"job": ["a", "b"] * 50, "k": range(100)})
    table(tmp_path, {"job": ["a", "b.", "b."], "k": [1, 2, 3]}, "test.csv")
    given = {**CSV, "test_path": "test.csv", "test_count": None}
    data = prepared(tmp_path, **given)
    assert "'b.'" in said(data, "the test file alone has")
    again = prepared(tmp_path, **given, replace={"b.": "b"})
    assert again.meta["columns"][0]["levels"] == 2 and "2" in said(again, "'b.' were read as 'b'")


def test_heavy_tails_are_modelled_on_the_scale_of_quantiles(tmp_path: Path) -> None:
    data = prepared(table(tmp_path, {"c": rng().standard_cauchy(4000), "n": rng().normal(size=4000)}), **CSV)
    assert data.meta["kind"] == "table"
    assert "heavy tails" in said(data, "Column c")
    assert (
        data.event.columns is not None and data.event.columns[0].distribution and not data.event.columns[1].distribution
    )


def test_values_that_stand_out_are_noted_by_the_training_rows_and_told_to_the_model(tmp_path: Path) -> None:
    u, spread = rng().random(4000), rng().integers(0, 99, 4000)
    hours, gain = np.where(u < 0.4, 40, spread + 1), np.where(u < 0.9, 0, spread * 1001)  # one is counted, one sampled
    data = prepared(table(tmp_path, {"hours": hours, "age": spread, "gain": gain, "few": spread % 5}), **CSV)
    assert data.event.columns is not None
    found = [dict(column.atoms) for column in data.event.columns]
    assert found == [{39.0: pytest.approx(0.406, abs=0.02)}, {}, {0.0: pytest.approx(0.9, abs=0.02)}, {}]
    assert said(data, "stand out").endswith("(hours 1, gain 1).")
    train = examples(data, "train")
    assert found[0][39.0] == pytest.approx(float((train[:, 0] == 39).mean()))


def test_types_can_be_told(tmp_path: Path) -> None:
    columns = {"size": ["S", "M", "L"] * 40, "code": [1, 2, 3] * 40, "id": range(120), "x": rng().normal(size=120)}
    told = {
        "size": {"type": "ordered", "order": ["S", "M", "L"]},
        "code": "category",
        "id": "integer",
        "x": "leave_out",
    }
    data = prepared(table(tmp_path, columns), **CSV, columns=told)
    assert kinds(data) == {"size": "ordered", "code": "category", "id": "integer"}
    assert types(data)[0]["values"] == ["S", "M", "L"] and types(data)[1]["values"] == [1, 2, 3]
    plain = prepared(tmp_path, **CSV, columns={"*": "real"}, exclude=["size"])
    assert plain.meta["kind"] == "vector"


@pytest.mark.parametrize(
    ("told", "why"),
    [
        ({"job": "integer"}, "job: cannot be integer"),
        ({"job": "date"}, "job: cannot be date"),
        ({"job": "ordered"}, "job: ordered needs the order"),
        ({"job": {"type": "ordered", "order": ["a", "c"]}}, "job: the order lacks b"),
        ({"k": "boolean"}, "k: cannot be boolean: it has 4 different values"),
        ({"jop": "category"}, "'jop' \\(did you mean 'job'\\?\\)"),
    ],
)
def test_types_that_cannot_be_are_one_line(tmp_path: Path, told: dict[str, Any], why: str) -> None:
    line = refusal(table(tmp_path, {"job": ["a", "b"] * 60, "k": np.arange(120) % 4}), **CSV, columns=told)
    assert re.search(why, line)


def test_gaps_are_refused_dropped_or_filled_if_asked_for(tmp_path: Path) -> None:
    k = np.where(np.arange(N) % 10 == 0, np.nan, np.arange(N) % 7)
    table(tmp_path, {"k": k, "x": np.where(np.arange(N) % 15 == 0, np.nan, rng().normal(size=N))})
    assert "(k 30, x 20)" in refusal(tmp_path, **CSV, missing="refuse")
    dropped = prepared(tmp_path, **CSV, missing="drop")
    assert sum(dropped.meta["counts"].values()) == N - 40 and "40 rows" in said(dropped, "dropped")
    filled = prepared(tmp_path, **CSV, missing="mean")
    assert all(np.isfinite(examples(filled, split)).all() for split in SPLITS)
    assert filled.meta["columns"][0]["gaps"] == 0


def test_labels_are_kept_apart(tmp_path: Path) -> None:
    data = prepared(table(tmp_path, {"job": ["a", "b", "c"] * 40, "k": np.arange(120) % 4}), **CSV, label="job")
    assert kinds(data) == {"k": "integer"} and data.meta["label"] == "job"
    assert data.meta["class_names"] == ["a", "b", "c"] and set(labels(data, "train")) == {0, 1, 2}


def test_constant_columns_of_pixels_are_left_out_all_at_once(tmp_path: Path) -> None:
    columns = {f"pixel{number}": rng().integers(0, 17, N) if number % 3 else np.zeros(N, int) for number in range(12)}
    data = prepared(table(tmp_path, columns), **CSV)
    assert len(kinds(data)) == 8
    (said,) = [each for each in data.meta["decisions"] if "left out" in each]
    assert said == (
        f"4 columns are left out (pixel0, pixel3, pixel6, pixel9), for each of them: it is constant, 0 in all {N} rows."
    )


def test_infinite_numbers_of_all_columns_are_one_line(tmp_path: Path) -> None:
    columns = {"a": [1.5, np.inf, 2.5] * 30, "b": [np.inf, 1.25, 2.5] * 30}
    line = refusal(table(tmp_path, columns), **CSV)
    assert "a: 30 of 90 numbers are infinite" in line and "b: 30 of 90" in line


def test_adult_as_it_is_published(tmp_path: Path) -> None:
    root = shared("tables")
    given = {
        "source": "csv",
        "path": "adult.data.gz",
        "test_path": "adult.test.gz",
        "header": [
            "age", "workclass", "fnlwgt", "education", "education-num", "marital-status", "occupation",
            "relationship", "race", "sex", "capital-gain", "capital-loss", "hours-per-week", "native-country", "income",
        ],
        "separator": ", ",
        "comment": "|",
        "missing_values": ["?"],
        "replace": {"<=50K.": "<=50K", ">50K.": ">50K"},
    }  # fmt: skip
    source = sources.read(settings(**given), root, tmp_path)
    assert len(source.columns) == 15 and [len(part.x) for part in source.parts.values()] == [32561, 16281]
    found = {name: kind["kind"] for name, kind in zip(source.columns, source.meta["types"], strict=True)}
    assert [name for name, kind in found.items() if kind == "integer"] == [
        "age", "fnlwgt", "education-num", "capital-gain", "capital-loss", "hours-per-week",
    ]  # fmt: skip
    assert source.meta["types"][-1]["values"] == ["<=50K", ">50K"]
