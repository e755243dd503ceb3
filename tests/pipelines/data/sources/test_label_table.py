"""Labels from a table, for pictures and sound: every file has a row and every row a file, or it is said."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image
from pydantic import ValidationError

from .reading import examples, labels, prepared, refusal, settings

TABLE = {"file": "labels.csv", "path": "path", "label": "label"}
IMAGES: dict[str, Any] = {
    "source": "images", "path": "img", "val_count": 4, "test_count": 4, "mode": "grey", "labels": TABLE,
}  # fmt: skip


def pictures(root: Path, count: int = 20, folder: str = "img") -> list[str]:
    """Pictures of one grey level each, their number, and how they are called."""
    (root / folder).mkdir(parents=True, exist_ok=True)
    names = [f"{number:03d}.png" for number in range(count)]
    for number, name in enumerate(names):
        Image.fromarray(np.full((2, 2), number, np.uint8)).save(root / folder / name)
    return names


def table(root: Path, rows: list[list[str]], name: str = "labels.csv", separator: str = ",", **how: Any) -> None:
    text = "\n".join(separator.join(row) for row in [["path", "label"], *rows]) + "\n"
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text, **{"encoding": "utf-8", **how})


def rows_of(names: list[str], pattern: str = "{}") -> list[list[str]]:
    return [[pattern.format(name), "odd" if number % 2 else "even"] for number, name in enumerate(names)]


def check(root: Path, **data: Any) -> list[str]:
    """The labels are those of the table; what is said."""
    found = prepared(root, **data)
    assert found.meta["class_names"] == ["even", "odd"]
    for split in ("train", "val", "test"):
        assert (examples(found, split)[:, 0, 0, 0] % 2 == labels(found, split)).all()
    said: list[str] = found.meta["decisions"]
    return said


@pytest.mark.parametrize(
    ("pattern", "how"),
    [
        ("{}", "their paths"),
        ("./{}", "their paths"),
        ("img/{}", "their paths from the table's folder on"),
        ("img\\{}", "their paths from the table's folder on"),
    ],
)
def test_rows_name_files_by_their_paths(tmp_path: Path, pattern: str, how: str) -> None:
    table(tmp_path, rows_of(pictures(tmp_path), pattern))
    said = check(tmp_path, **IMAGES)
    assert f"Labels were taken from the column 'label' of labels.csv, whose rows name files by {how}." in said
    assert "The files are of 2 classes: even (10), odd (10)." in said


@pytest.mark.parametrize(("strip", "how"), [("", "their names"), (".png", "their names without endings")])
def test_rows_name_files_by_their_names(tmp_path: Path, strip: str, how: str) -> None:
    names = pictures(tmp_path, folder="img/deep/er")
    table(tmp_path, rows_of([name.removesuffix(strip) for name in names]))
    assert any(f"name files by {how}." in sentence for sentence in check(tmp_path, **IMAGES))


def test_a_name_of_several_files_names_none(tmp_path: Path) -> None:
    pictures(tmp_path, folder="img/a")
    table(tmp_path, rows_of(pictures(tmp_path, folder="img/b")))
    assert "no row names one of the 40 files" in refusal(
        tmp_path, **{**IMAGES, "labels": {**TABLE, "unmatched": "drop"}}
    )


def test_the_table_may_lie_among_the_files_and_is_not_passed_over(tmp_path: Path) -> None:
    table(tmp_path, rows_of(pictures(tmp_path)), "img/labels.csv")
    said = check(tmp_path, **{**IMAGES, "labels": {**TABLE, "file": "img/labels.csv"}})
    assert not any("other endings" in sentence for sentence in said)
    line = refusal(tmp_path, **IMAGES)
    assert line == (
        "params.yaml: data.labels.file: labels.csv: is no file; paths count from the project's folder on; did you mean"
        " img/labels.csv?"
    )


def test_what_does_not_match_is_refused_in_one_line_or_dropped_and_counted(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    rows = rows_of([*names[:-3], "lost.png", "gone.png"])
    rows[0][1] = " "
    table(tmp_path, rows)
    line = refusal(tmp_path, **IMAGES)
    assert line.startswith(
        f"{tmp_path / 'labels.csv'}: 3 files have no row (017.png, 018.png, 019.png), and 2 rows name no file"
        " (lost.png, gone.png), and 1 files have a row without a label (000.png): "
    )
    said = check(tmp_path, **{**IMAGES, "labels": {**TABLE, "unmatched": "drop"}})
    assert "Left out, since 3 files have no row (017.png, 018.png, 019.png)." in said
    assert "Left out, since 2 rows name no file (lost.png, gone.png)." in said
    assert "Left out, since 1 files have a row without a label (000.png)." in said
    assert "The files are of 2 classes: even (8), odd (8)." in said


def test_files_that_are_excluded_need_no_row(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    table(tmp_path, rows_of(names[:-1]))
    check(tmp_path, **IMAGES, exclude_files="019.png")


def test_rows_that_contradict_each_other(tmp_path: Path) -> None:
    names = pictures(tmp_path)
    rows = rows_of(names)
    table(tmp_path, [*rows, rows[3]])
    check(tmp_path, **IMAGES)
    table(tmp_path, [*rows, [names[3], "even"], [names[5], "even"]])
    assert refusal(tmp_path, **IMAGES) == (
        f"{tmp_path / 'labels.csv'}: says different things of 2 files: 003.png, 005.png"
    )


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_separators_and_marks_at_the_beginning(tmp_path: Path, separator: str, encoding: str) -> None:
    table(tmp_path, rows_of(pictures(tmp_path)), separator=separator, encoding=encoding)
    check(tmp_path, **IMAGES)


def test_other_encodings(tmp_path: Path) -> None:
    rows = [[name, "Köln" if number % 2 else "Bonn"] for number, name in enumerate(pictures(tmp_path))]
    table(tmp_path, rows, encoding="cp1252")
    assert refusal(tmp_path, **IMAGES).endswith("set data.labels.encoding, to cp1252 for instance")
    data = prepared(tmp_path, **{**IMAGES, "labels": {**TABLE, "encoding": "cp1252"}})
    assert data.meta["class_names"] == ["Bonn", "Köln"]
    with pytest.raises(ValidationError, match="must be a text encoding"):
        settings(**{**IMAGES, "labels": {**TABLE, "encoding": "latin" + "-nine"}})


def test_tables_that_cannot_be_read(tmp_path: Path) -> None:
    pictures(tmp_path)
    (tmp_path / "labels.csv").write_text("")
    assert refusal(tmp_path, **IMAGES).endswith("is empty: must have a first line with the names of its columns")
    (tmp_path / "labels.csv").write_text("file,class\n000.png,a\n")
    assert refusal(tmp_path, **IMAGES).endswith("has no column 'path', 'label'; there are: file, class")
    (tmp_path / "labels.csv").write_text("path,label\n000.png,a\n001.png\n")
    assert refusal(tmp_path, **IMAGES).endswith("1 lines have too few cells: 3")
    (tmp_path / "labels.csv").write_text("path,label\n" + "x" * 200_000 + ",a\n")
    assert "cannot be read as a table: field larger than" in refusal(tmp_path, **IMAGES)


def test_splits_may_stand_in_the_table(tmp_path: Path) -> None:
    rows = rows_of(pictures(tmp_path))
    kinds = ["train"] * 12 + ["valid"] * 4 + ["Test"] * 4
    for row, kind in zip(rows, kinds, strict=True):
        row.append(kind)
    (tmp_path / "labels.csv").write_text("\n".join(",".join(row) for row in [["path", "label", "split"], *rows]))
    given = {**IMAGES, "labels": {**TABLE, "split": "split"}, "test_count": None}
    data = prepared(tmp_path, **given)
    assert data.meta["counts"] == {"train": 12, "val": 4, "test": 4}
    assert sorted(examples(data, "val")[:, 0, 0, 0].tolist()) == [12, 13, 14, 15]
    assert "The official splits of files were kept: 12 of train, 4 of val, 4 of test." in data.meta["decisions"]
    (tmp_path / "labels.csv").write_text("path,label,split\n" + "\n".join(f"{row[0]},a,some" for row in rows))
    assert refusal(tmp_path, **given).endswith("column 'split' holds 'some': must be train, val or test in each row")


def test_recordings_have_labels_from_a_table_too(tmp_path: Path) -> None:
    (tmp_path / "wav").mkdir()
    for number in range(12):
        soundfile.write(tmp_path / "wav" / f"{number}.wav", np.full(100, number / 16), 8000)
    table(tmp_path, [[f"{number}.wav", "odd" if number % 2 else "even"] for number in range(12)])
    data = prepared(tmp_path, source="audio", path="wav", labels=TABLE, window=100, encoding="linear", levels=32,
                    val_count=2, test_count=2)  # fmt: skip
    for split in ("train", "val", "test"):
        assert ((examples(data, split)[:, 0, 0] - 16) % 2 == labels(data, split)).all()


def test_the_table_is_watched_where_the_files_do_not_cover_it() -> None:
    assert settings(**IMAGES).read_paths == ["img", "labels.csv"]
    assert settings(**{**IMAGES, "labels": {**TABLE, "file": "img/labels.csv"}}).read_paths == ["img"]


def test_another_table_is_other_data(tmp_path: Path) -> None:
    rows = rows_of(pictures(tmp_path))
    table(tmp_path, rows)
    first = prepared(tmp_path, **IMAGES)
    table(tmp_path, [[name, {"odd": "even", "even": "odd"}[label]] for name, label in rows])
    second = prepared(tmp_path, **IMAGES)
    assert first.digest != second.digest and first.meta["checksums"] != second.meta["checksums"]
