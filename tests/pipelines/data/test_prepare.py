"""Prepared data: the promised splits of the real digits, the same every time, and refused when damaged."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits

from models.catalogue import suitable
from models.contract import Event
from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.files import file_digest, read_json
from pipelines.params.data_section import Digits
from pipelines.params.project import Project
from pipelines.params.schema import Params
from pipelines.stages import prepare

COUNTS = {"train": 1197, "val": 200, "test": 400}
SPLITS = ("train", "val", "test")
FILES = [f"{name}{suffix}.npy" for name in SPLITS for suffix in ("", "_labels")]


def made(root: Path, **data: Any) -> Prepared:
    project = Project(root, Params(entries={}, data=Digits(**data)))
    prepare.run(project)
    return Prepared.open(project.prepared)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Prepared:
    return made(tmp_path_factory.mktemp("project"))


@pytest.fixture
def own(data: Prepared, tmp_path: Path) -> Prepared:
    """Prepared data that a test may damage: a copy, since to make it takes a second."""
    project = data.folder.parents[2]
    shutil.copytree(project, tmp_path, dirs_exist_ok=True)
    return Prepared.open(tmp_path / data.folder.relative_to(project))


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
    meta = read_json(data.folder / "meta.json")
    assert meta == {
        "name": "digits",
        "source": "digits",
        "kind": "image",
        "shape": [1, 8, 8],
        "levels": 17,
        "dtype": "uint8",
        "channels": "grey",
        "ordered": True,
        "palette": None,
        "each_step": None,
        "class_names": [str(digit) for digit in range(10)],
        "columns": [],
        "sample_rate": None,
        "encoding": None,
        "range": None,
        "counts": COUNTS,
        "class_counts": {name: np.bincount(np.asarray(data.split(name).labels)).tolist() for name in SPLITS},
        "duplicates": {"val in train": 0, "test in train": 0, "val in test": 0},
        "decisions": [],
        "checksums": {},
        "files": {name: file_digest(data.folder / name) for name in FILES},
        "digest": digest,
    }
    assert len(digest) == 64
    shares = tuple(count / 1197 for count in data.meta["class_counts"]["train"])
    assert data.event == Event((1, 8, 8), 17, 10, shares=shares) and sum(shares) == pytest.approx(1)


def test_nothing_but_the_arrays_and_their_meta_is_left(data: Prepared) -> None:
    assert sorted(path.name for path in data.folder.iterdir()) == sorted([*FILES, "meta.json"])


def test_the_summary_holds_what_later_stages_depend_on(data: Prepared) -> None:
    summary = read_json(data.folder.parents[2] / "artifacts" / "prepare" / "summary.json")
    known = {key: data.meta[key] for key in prepare.SUMMARIED}
    assert summary == {**known, "classes": 10}
    assert {"counts", "digest", "duplicates"} <= summary.keys()


def test_a_page_shows_the_data(data: Prepared) -> None:
    page = (data.folder.parents[2] / "report" / "data.html").read_text()
    assert data.digest[:12] in page and "<img" in page


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
def test_counts_that_leave_nothing_to_train_on_are_refused(tmp_path: Path, val: int, test: int) -> None:
    with pytest.raises(UserError) as caught:
        made(tmp_path, val_count=val, test_count=test)
    assert str(caught.value) == (
        f"params.yaml: data.val_count + data.test_count: {val + test} is not allowed: "
        "digits has 1797 examples, and some must be left to train on"
    )
    assert not any(tmp_path.rglob("*.npy"))


@pytest.mark.parametrize(("val", "test"), [(200, 3), (3, 200), (1000, 795)])
def test_splits_that_cannot_hold_every_class_are_refused(tmp_path: Path, val: int, test: int) -> None:
    with pytest.raises(UserError, match=r"params\.yaml: data.*: the splits cannot be drawn: .* number of classes"):
        made(tmp_path, val_count=val, test_count=test)


def test_data_that_no_family_of_the_parameters_can_model_is_refused_once_its_files_are_read(tmp_path: Path) -> None:
    """Only the file tells that these are vectors: the parameters alone pass."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(100, 3)).astype(np.float32))
    raw = {
        "data": {"source": "npy", "path": "x.npy", "test_count": 0.2},
        "entries": {
            "progressive_gan": {"model": "progressive_gan"},
            "maf": {"model": "maf", "config": {"conditional": True}},
            "made": {"model": "made", "config": {"output": "softmax"}},
            "gan": {"model": "gan", "config": {"architecture": "dcgan"}},
            "gmm": {"model": "gmm"},
        },
    }
    with pytest.raises(UserError) as caught:
        prepare.run(Project(tmp_path, Params.model_validate(raw)))
    lines = str(caught.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == [
        *("entries.progressive_gan.model", "entries.maf.config", "entries.made.config", "entries.gan.config"),
    ]
    assert lines[0].endswith(f"families that would fit: {', '.join(suitable(Event((3,), None)))}")
    assert "conditional: true needs labels" in lines[1]
    assert lines[2].endswith("(examples have the shape (3,))") and "dcgan" in lines[3]


def test_data_is_published_where_the_parameters_say(tmp_path: Path) -> None:
    data = made(tmp_path, publish="shared/data")
    copy = tmp_path / "shared" / "data" / f"digits-{data.digest[:16]}"
    assert Prepared.open(copy).meta == data.meta
