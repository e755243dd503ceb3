"""What folders mean: labels at the level at which they differ, official splits kept, and what is not read said."""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.prepared import SPLITS, Prepared
from pipelines.data.sources.folders import label_level, split_level, split_of

from .reading import examples, labels, prepared, refusal

IMAGES = {"source": "images", "path": "images", "val_count": 0.2, "test_count": 0.2, "mode": "grey"}
OFFICIAL = {**IMAGES, "test_count": None}


def files(root: Path, **counts: int) -> dict[bytes, str]:
    """Pictures below images/ in each folder (a slash is written `__`), and the folder of each by what it shows."""
    numbers, where = itertools.count(), {}
    for name, count in counts.items():
        folder = root / "images" / name.replace("__", "/")
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(count):
            number = next(numbers)
            pixels = np.full((2, 2), number, np.uint8)
            Image.fromarray(pixels).save(folder / f"{number:03d}.png")
            where[pixels.tobytes()] = name.replace("__", "/")
    return where


def said(data: Prepared) -> str:
    return " ".join(data.meta["decisions"])


def places(data: Prepared, where: dict[bytes, str], split: str) -> list[str]:
    return [where[x.tobytes()] for x in examples(data, split)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["cat/raw", "dog/raw"], ["cat", "dog"]),
        (["cat/2023", "cat/2024", "dog/2023"], ["cat", "dog"]),
        (["cat/2023", "cat/2024", "dog/2023", "dog/2024"], ["cat", "dog"]),
        (["2023/cat", "2024/cat", "2024/dog"], ["cat", "dog"]),
        (["batch_1/cat", "batch_2/cat", "batch_2/dog"], ["cat", "dog"]),
        (["all/cat/raw/a", "all/dog/raw/b"], ["cat", "dog"]),
        (["cat", "cat/more", "dog"], ["cat", "dog"]),
        (["animal/cat", "animal/dog", "plant/rose"], ["animal", "plant"]),
        (["left/0", "left/1", "right/0", "right/1"], ["0", "1"]),
        (["2023", "2024"], ["2023", "2024"]),
        (["cat/images", "dog/images", "dog/masks"], ["cat", "dog"]),
    ],
)
def test_classes_are_the_folders_that_differ(tmp_path: Path, names: list[str], expected: list[str]) -> None:
    where = files(tmp_path, **{name.replace("/", "__"): 10 for name in names})
    data = prepared(tmp_path, **IMAGES)
    assert data.meta["class_names"] == expected
    for split in SPLITS:
        for place, label in zip(places(data, where, split), labels(data, split), strict=True):
            assert expected[label] in place.split("/")
    counts = ", ".join(f"{name} ({sum(name in n.split('/') for n in names) * 10})" for name in expected)
    assert f"The files are of {len(expected)} classes: {counts}." in data.meta["decisions"]


def test_the_line_that_is_offered_takes_the_innermost_folders(tmp_path: Path) -> None:
    files(tmp_path, animal__cat=10, animal__dog=10, plant__rose=10)
    assert "(cat, dog, rose): `labels: ([^/]+)/[^/]+$` takes those instead." in said(prepared(tmp_path, **IMAGES))
    assert prepared(tmp_path, **IMAGES, labels="([^/]+)/[^/]+$").meta["class_names"] == ["cat", "dog", "rose"]


def test_one_folder_is_no_label(tmp_path: Path) -> None:
    files(tmp_path, all__cat=10)
    assert prepared(tmp_path, **IMAGES).meta["class_names"] == []


# Official splits


@pytest.mark.parametrize("names", [("train", "val", "test"), ("training", "validation", "testing"),
                                   ("Train", "valid", "Test"), ("train_set", "dev", "test_set"),
                                   ("train2017", "val2017", "test2017")])  # fmt: skip
@pytest.mark.parametrize("pattern", ["{split}/{label}", "{label}/{split}", "all/{split}/{label}/raw"])
def test_official_splits_with_classes(tmp_path: Path, names: tuple[str, ...], pattern: str) -> None:
    folders = {
        pattern.format(split=split, label=label).replace("/", "__"): count
        for split, count in zip(names, (8, 3, 5), strict=True)
        for label in ("cat", "dog")
    }
    where = files(tmp_path, **folders)
    data = prepared(tmp_path, **OFFICIAL)
    assert data.meta["counts"] == {"train": 16, "val": 6, "test": 10}
    assert data.meta["class_names"] == ["cat", "dog"]
    for split, name in zip(SPLITS, names, strict=True):
        assert all(name in place.split("/") for place in places(data, where, split))
        assert [["cat", "dog"][label] in place for label, place in zip(
            labels(data, split), places(data, where, split), strict=True)].count(False) == 0  # fmt: skip
    assert "The official splits of files were kept, by the folders " in said(data)
    assert "16 of train, 6 of val, 10 of test." in said(data)


def test_official_splits_without_classes(tmp_path: Path) -> None:
    files(tmp_path, train=12, val=4, test=5)
    data = prepared(tmp_path, **OFFICIAL)
    assert data.meta["counts"] == {"train": 12, "val": 4, "test": 5} and data.meta["class_names"] == []


def test_what_has_no_official_split_is_drawn(tmp_path: Path) -> None:
    where = files(tmp_path, train__a=10, train__b=10, test__a=5, test__b=5)
    data = prepared(tmp_path, **OFFICIAL)
    assert data.meta["counts"] == {"train": 16, "val": 4, "test": 10}
    assert all(place.startswith("train") for place in places(data, where, "val"))
    other = files(tmp_path / "x", train__a=10, train__b=10, val__a=5, val__b=5)
    data = prepared(tmp_path / "x", **IMAGES)
    assert data.meta["counts"] == {"train": 16, "val": 10, "test": 4}
    assert all(place.startswith("val") for place in places(data, other, "val"))


def test_an_official_split_and_a_count_contradict_each_other(tmp_path: Path) -> None:
    files(tmp_path, train=12, test=5)
    line = refusal(tmp_path, **IMAGES)
    assert line.startswith("params.yaml: data.test_count: 0.2 is not allowed: images has a test split of its own (5 fi")
    assert "data.splits to null" in line
    data = prepared(tmp_path, **IMAGES, splits=None, labels=None)
    assert data.meta["counts"] == {"train": 11, "val": 3, "test": 3}
    (tmp_path / "images" / "test").rename(tmp_path / "images" / "more")
    assert refusal(tmp_path, **OFFICIAL).startswith("params.yaml: data.test_count: is missing: images has no test spl")


def test_folders_called_after_splits_beside_others_are_asked_about(tmp_path: Path) -> None:
    files(tmp_path, cat=10, dog=10, test=5)
    line = refusal(tmp_path, **IMAGES)
    assert "folders called after a split stand beside others: test (5) beside cat (10), dog (10)" in line
    assert prepared(tmp_path, **IMAGES, exclude_files="test").meta["class_names"] == ["cat", "dog"]
    assert prepared(tmp_path, **IMAGES, splits=None).meta["class_names"] == ["cat", "dog", "test"]
    assert prepared(tmp_path, **OFFICIAL, test_files="test", labels=None).meta["counts"]["test"] == 5
    files(tmp_path / "x", val=5, test=5)
    assert "beside no training split" in refusal(tmp_path / "x", **IMAGES)
    files(tmp_path / "y", train=10, bus=10)  # a class that is called train
    assert prepared(tmp_path / "y", **IMAGES).meta["class_names"] == ["bus", "train"]


def test_files_beside_the_official_folders_are_not_poured_into_training(tmp_path: Path) -> None:
    files(tmp_path, train=12, test=5)
    Image.fromarray(np.full((2, 2), 99, np.uint8)).save(tmp_path / "images" / "sample.png")
    assert "test (5) beside no folder (1), train (12)" in refusal(tmp_path, **OFFICIAL)
    data = prepared(tmp_path, **OFFICIAL, exclude_files="sample.png")
    assert data.meta["counts"]["test"] == 5
    assert "1 files were left out, which data.exclude_files matches." in data.meta["decisions"]


def test_patterns_of_validation_and_test_files(tmp_path: Path) -> None:
    files(tmp_path, a=20)
    data = prepared(tmp_path, **OFFICIAL, test_files=r"00\d\.png", val_files=r"01[0-4]\.png")
    assert data.meta["counts"] == {"train": 5, "val": 5, "test": 10}
    line = refusal(tmp_path, **OFFICIAL, test_files=r"00\d\.png", val_files=r"00[0-4]\.png")
    assert line.startswith("params.yaml: data.val_files and data.test_files: both match 5 files: a/000.png")
    line = refusal(tmp_path, **OFFICIAL, test_files=r"00\d\.png", val_files="none")
    assert line.startswith("params.yaml: data.val_files: 'none' matches no file below")
    line = refusal(tmp_path, **OFFICIAL, test_files=r"00\d\.png", val_files=r"01\d")
    assert line == "params.yaml: data: the official splits leave no file to train on"


def test_names_are_matched_literally_before_they_are_patterns(tmp_path: Path) -> None:
    files(tmp_path, contest=10, test=5)
    data = prepared(tmp_path, **OFFICIAL, test_files="test", labels=None)
    assert data.meta["counts"]["test"] == 5, "not those of contest"
    folder = tmp_path / "x" / "images"
    files(tmp_path / "x", a=10)
    for name in ("b (1).png", "b (2).png", "b 1.png"):
        Image.fromarray(np.zeros((2, 2), np.uint8)).save(folder / name)
    data = prepared(tmp_path / "x", **OFFICIAL, test_files="b (1).png", labels=None)
    assert data.meta["counts"]["test"] == 1


def test_a_pattern_that_forgets_official_files_is_refused(tmp_path: Path) -> None:
    files(tmp_path, train=10, val=4, test=6)
    line = refusal(tmp_path, **OFFICIAL, test_files=r"01[4-6]")
    assert "does not match 3 files that belong to an official test split: test/017.png" in line
    assert prepared(tmp_path, **OFFICIAL, test_files="^test/").meta["counts"] == {"train": 10, "val": 4, "test": 6}


# What is passed over


def test_other_endings_are_counted_and_classes_of_only_them_are_named(tmp_path: Path) -> None:
    files(tmp_path, cat=10, dog=10)
    for name in ("heron/0.heic", "heron/1.HEIC", "cat/notes.txt", "README", ".hidden", "dog/._1.png"):
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    decisions = prepared(tmp_path, **IMAGES).meta["decisions"]
    assert "4 files of other endings were passed over: 2 .heic, 1 .txt, 1 no ending." in decisions
    assert "Nothing is read from 1 folders that hold only such files: heron." in decisions
    assert "2 hidden files were passed over." in decisions


def test_a_folder_of_only_other_endings_says_which(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "0.heic").write_bytes(b"x")
    assert refusal(tmp_path, **IMAGES).endswith("nor do its subfolders; there are 1 .heic")


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    files(tmp_path, cat=10)
    files(tmp_path / "elsewhere", dog=10)
    os.symlink(tmp_path / "elsewhere" / "images" / "dog", tmp_path / "images" / "dog")
    os.symlink(tmp_path / "images", tmp_path / "images" / "cat" / "round")
    data = prepared(tmp_path, **IMAGES)
    assert data.meta["class_names"] == ["cat", "dog"] and sum(data.meta["counts"].values()) == 20


def test_a_link_that_leads_nowhere_is_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    files(tmp_path, cat=10, dog=10)
    os.symlink(tmp_path / "nowhere.png", tmp_path / "images" / "cat" / "lost.png")
    assert refusal(tmp_path, **IMAGES).startswith("1 image files cannot be read: ")
    assert "1 files that cannot be read were skipped" in said(prepared(tmp_path, **IMAGES, corrupt="skip"))


def test_a_class_of_which_nothing_can_be_read_is_none(tmp_path: Path) -> None:
    files(tmp_path, cat=10, dog=10)
    (tmp_path / "images" / "bad").mkdir()
    (tmp_path / "images" / "bad" / "0.png").write_bytes(b"")
    data = prepared(tmp_path, **IMAGES, corrupt="skip")
    assert data.meta["class_names"] == ["cat", "dog"]
    assert "Nothing is left of 1 classes, which are none now: bad." in data.meta["decisions"]


def test_a_split_of_which_nothing_can_be_read_is_refused(tmp_path: Path) -> None:
    files(tmp_path, train=10)
    (tmp_path / "images" / "test").mkdir()
    (tmp_path / "images" / "test" / "0.png").write_bytes(b"")
    line = refusal(tmp_path, **OFFICIAL, corrupt="skip")
    assert line == "none of the 1 image files of the split test can be read"


def test_faults_of_all_splits_are_in_one_message(tmp_path: Path) -> None:
    files(tmp_path, train=10, val=3, test=3)
    for split in SPLITS:
        (tmp_path / "images" / split / "z.png").write_bytes(b"")
    assert refusal(tmp_path, **OFFICIAL).startswith("3 image files cannot be read: ")


# The rules themselves


@pytest.mark.parametrize(
    ("name", "split"),
    [("train", "train"), ("Training_Set", "train"), ("VALID", "val"), ("test-images", "test"), ("latest", None),
     ("trainer", None), ("testing2", None), ("evaluation", None), ("trains", None)],
)  # fmt: skip
def test_names_of_splits(name: str, split: str | None) -> None:
    assert split_of(name) == split


@pytest.mark.parametrize(
    ("places", "split", "label"),
    [
        ([()], None, None),
        ([("a",)], None, None),
        ([("a",), ()], None, 0),
        ([("train",), ("test",)], 0, 0),
        ([("val",), ("test",)], None, 0),
        ([("x", "train"), ("x", "test", "y")], 1, 1),
        ([("a", "b"), ("a", "c")], None, 1),
    ],
)
def test_levels(places: Any, split: int | None, label: int | None) -> None:
    assert split_level(places) == split and label_level(places) == label
