"""Prepared data: the promised splits of the real digits, the same every time, and refused when damaged."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from models.contract import Event
from pipelines import prepare, prepared
from pipelines.errors import UserError
from pipelines.files import file_digest, read_json
from pipelines.params import Data, Params
from pipelines.prepared import Prepared, Split
from pipelines.project import Project
from pipelines.sources import Source, digits

COUNTS = {"train": 1197, "val": 200, "test": 400}
SPLITS = ("train", "val", "test")
FILES = [f"{name}{suffix}.npy" for name in SPLITS for suffix in ("", "_labels")]


def made(root: Path, **data: Any) -> Prepared:
    project = Project(root, Params(families={}, data=Data(**data)))
    prepare.run(project)
    return Prepared.open(project.prepared)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return made(tmp_path_factory.mktemp("project"))


@pytest.fixture
def own(tmp_path: Path) -> Prepared:
    """Prepared data that a test may damage."""
    return made(tmp_path)


def contents(x: np.ndarray, labels: np.ndarray) -> Counter[bytes]:
    """How often each example occurs."""
    return Counter(row.astype(np.uint8).tobytes() + bytes([label]) for row, label in zip(x, labels, strict=True))


@pytest.mark.parametrize("name", SPLITS)
def test_splits_are_arrays_of_small_integers(data: Prepared, name: str) -> None:
    split = data.split(name)
    assert (split.x.shape, split.x.dtype) == ((COUNTS[name], 1, 8, 8), np.uint8)
    assert split.labels is not None
    assert (split.labels.shape, split.labels.dtype) == ((COUNTS[name],), np.int64)
    assert (split.x.min(), split.x.max()) == (0, 16)
    assert set(split.labels) == set(range(10))


@pytest.mark.parametrize("name", SPLITS)
def test_splits_are_mapped_into_memory_and_read_only(data: Prepared, name: str) -> None:
    split = data.split(name)
    assert isinstance(split.x, np.memmap)
    assert isinstance(split.labels, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        split.x[0] = 0


@pytest.mark.parametrize("name", SPLITS)
def test_splits_have_the_class_shares_of_the_whole(data: Prepared, name: str) -> None:
    labels = data.split(name).labels
    assert labels is not None
    whole = np.bincount(load_digits().target) / 1797
    np.testing.assert_allclose(np.bincount(labels) / len(labels), whole, atol=0.02)


def test_every_example_is_in_just_one_split(data: Prepared) -> None:
    original = load_digits()
    splits = [data.split(name) for name in SPLITS]
    together: Counter[bytes] = Counter()
    for split in splits:
        assert split.labels is not None
        together += contents(split.x, split.labels)
    assert together == contents(original.images, original.target)


def test_what_is_prepared_twice_is_the_same(data: Prepared, tmp_path: Path) -> None:
    again = made(tmp_path)
    assert again.meta == data.meta
    for name in [*FILES, "meta.json"]:
        assert (again.folder / name).read_bytes() == (data.folder / name).read_bytes()


def test_another_seed_is_another_split(data: Prepared, tmp_path: Path) -> None:
    other = made(tmp_path, seed=1)
    assert other.digest != data.digest
    assert other.meta["counts"] == data.meta["counts"]
    assert not np.array_equal(other.split("test").x, data.split("test").x)


def test_the_counts_are_those_of_the_parameters(tmp_path: Path) -> None:
    assert made(tmp_path, val_count=50, test_count=100).meta["counts"] == {"train": 1647, "val": 50, "test": 100}


def test_meta_says_what_the_arrays_are(data: Prepared) -> None:
    digest = data.meta["digest"]
    assert read_json(data.folder / "meta.json") == {
        "name": "digits",
        "shape": [1, 8, 8],
        "levels": 17,
        "dtype": "uint8",
        "class_names": [str(digit) for digit in range(10)],
        "counts": COUNTS,
        "files": {name: file_digest(data.folder / name) for name in FILES},
        "digest": digest,
    }
    assert len(digest) == 64
    assert data.event == Event((1, 8, 8), 17, 10)


def test_nothing_but_the_arrays_and_their_meta_is_left(data: Prepared) -> None:
    assert sorted(path.name for path in data.folder.iterdir()) == sorted([*FILES, "meta.json"])


def test_the_summary_holds_what_later_stages_depend_on(data: Prepared) -> None:
    summary = read_json(data.folder.parents[2] / "artifacts" / "prepare" / "summary.json")
    assert summary == {key: data.meta[key] for key in ("name", "shape", "levels", "counts", "digest")}


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as caught:
        Prepared.open(folder)
    (line,) = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", ["flipped", "truncated", "missing"])
def test_damage_is_named_with_what_to_do(own: Prepared, name: str, damage: str) -> None:
    path = own.folder / name
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[-1] ^= 1
    path.write_bytes(content[:-100] if damage == "truncated" else content)
    if damage == "missing":
        path.unlink()
    line = refusal(own.folder)
    assert line.startswith(f"{path}: is missing or damaged")
    assert line.endswith("run `dvc repro --force --single-item prepare` to make it again")


def test_missing_data_says_what_to_do(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path / 'meta.json'}: there is no such file; run `dvc repro` to make it"


def test_damaged_meta_says_what_to_do(own: Prepared) -> None:
    path = own.folder / "meta.json"
    path.write_text(path.read_text()[:50])
    assert refusal(own.folder).startswith(f"{path}: is no JSON")


def test_preparing_again_mends_damage(own: Prepared) -> None:
    (own.folder / "train.npy").write_bytes(b"")
    assert made(own.folder.parents[2]).meta == own.meta


@pytest.mark.parametrize(("val", "test"), [(1397, 400), (1797, 1), (1, 1797), (5000, 5000)])
def test_counts_that_leave_nothing_to_train_on_are_refused(val: int, test: int) -> None:
    with pytest.raises(UserError) as caught:
        prepare.split(digits.read(), Data(val_count=val, test_count=test))
    assert str(caught.value) == (
        f"params.yaml: data.val_count + data.test_count: {val + test} is not allowed: "
        "digits has 1797 examples, and some must be left to train on"
    )


@pytest.mark.parametrize(("val", "test"), [(200, 3), (3, 200), (1000, 795)])
def test_splits_that_cannot_hold_every_class_are_refused(val: int, test: int) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: data: the splits cannot be drawn: .* number of classes"):
        prepare.split(digits.read(), Data(val_count=val, test_count=test))


def test_data_without_labels_is_split_too(tmp_path: Path) -> None:
    source = Source(np.arange(50.0).reshape(25, 2), None, levels=None, class_names=[])
    splits = prepare.split(source, Data(val_count=5, test_count=7))
    folder = tmp_path / "plane"
    prepared.write(folder, splits, source.levels, source.class_names)
    opened = Prepared.open(folder)
    assert opened.event == Event((2,), None, 0)
    assert [len(opened.split(name).x) for name in SPLITS] == [13, 5, 7]
    assert all(opened.split(name).labels is None for name in SPLITS)
    assert sorted(np.concatenate([opened.split(name).x for name in SPLITS])[:, 0]) == list(range(0, 50, 2))


def test_meta_is_written_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A crash before the end leaves no folder that could be taken for a whole one."""

    def crash(path: Path) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(prepared, "file_digest", crash)
    x = np.zeros((3, 2))
    with pytest.raises(KeyboardInterrupt):
        prepared.write(tmp_path, {"train": Split(x, None)}, None, [])
    assert [path.name for path in tmp_path.iterdir()] == ["train.npy"]


def test_the_source_counts_ink_in_grey_levels() -> None:
    source = digits.read()
    assert (source.x.shape, source.x.dtype, source.levels) == ((1797, 1, 8, 8), np.uint8, 17)
    np.testing.assert_array_equal(source.x[:, 0], load_digits().images)
    assert json.dumps(source.class_names) == json.dumps([str(digit) for digit in range(10)])
