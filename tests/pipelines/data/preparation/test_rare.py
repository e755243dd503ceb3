"""Long tails: rare classes are named all at once with the counts that work, go to training, or are left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile

from pipelines.data.preparation.proportions import complain_of_classes
from pipelines.data.preparation.splitting import _needs
from pipelines.errors import UserError

from ..sources.reading import examples, labels, prepared, refusal, settings

NPY: dict[str, Any] = {"source": "npy", "path": ".", "arrays": {"train": "x.npy"}, "labels": {"train": "y.npy"},
                       "shape": [1, 1, 2]}  # fmt: skip


def saved(root: Path, counts: list[int], name: str = "") -> np.ndarray:
    """Pictures that show their number and their class, so many of each, shuffled."""
    classes = np.repeat(np.arange(len(counts)), counts)
    classes = np.random.default_rng(0).permutation(classes)
    x = np.stack([np.arange(len(classes)) % 256, classes], 1).astype(np.uint8)
    np.save(root / f"{name}x.npy", x)
    np.save(root / f"{name}y.npy", np.array([f"c{number:03d}" for number in classes]))
    return classes


TAIL = [5] * 198 + [2, 2]


def works(line: str) -> dict[str, int]:
    """The counts that a refusal offers."""
    return {name: int(number) for name, number in re.findall(r"(val_count|test_count): (\d+)", line)}


def test_rare_classes_and_counts_that_do_not_work_are_one_line(tmp_path: Path) -> None:
    saved(tmp_path, TAIL)
    line = refusal(tmp_path, **NPY, val_count=0.1, test_count=0.1)
    assert line.startswith(
        "npy: 2 classes have too few examples, c198 (2), c199 (2): each needs 3 or more, one for each"
    )
    assert "set data.rare to train (they go to training only) or to drop" in line
    assert "data.val_count and data.test_count: the splits cannot be drawn: 99 and 99 are not allowed" in line
    counts = works(line)
    assert counts == {"val_count": 198, "test_count": 198}
    for how in ("train", "drop"):
        assert prepared(tmp_path, **NPY, **counts, rare=how).meta["counts"]["val"] == 198


@pytest.mark.parametrize("how", ["train", "drop"])
def test_rare_classes_go_to_training_or_are_left_out(tmp_path: Path, how: str) -> None:
    classes = saved(tmp_path, [2, 30, 1, 30, 2])
    data = prepared(tmp_path, **NPY, val_count=6, test_count=8, rare=how)
    names = [f"c{number:03d}" for number in range(5)]
    kept = names if how == "train" else ["c001", "c003"]
    assert data.meta["class_names"] == kept
    seen = []
    for split in ("train", "val", "test"):
        shown = examples(data, split)[:, 0, 0, 1]
        assert [names[number] for number in shown] == [kept[label] for label in labels(data, split)]
        seen += examples(data, split)[:, 0, 0, 0].tolist()
        if split != "train":
            assert set(shown.tolist()) == {1, 3}
    expected = np.flatnonzero(np.isin(classes, range(5) if how == "train" else (1, 3)))
    assert sorted(seen) == expected.tolist(), "each of the others is there once"
    assert data.meta["counts"] == {"train": len(expected) - 14, "val": 6, "test": 8}
    fate = "went to the training split as a whole" if how == "train" else "were left out"
    assert f"3 rare classes, 5 examples, {fate}: c000 (2), c002 (1), c004 (2)." in data.meta["decisions"]


def test_nothing_is_said_where_no_class_is_rare(tmp_path: Path) -> None:
    saved(tmp_path, [10, 10])
    one = prepared(tmp_path, **NPY, val_count=4, test_count=4, rare="drop")
    two = prepared(tmp_path, **NPY, val_count=4, test_count=4, name="two")
    assert one.meta["files"] == two.meta["files"] and one.meta["decisions"] == two.meta["decisions"]


def test_classes_that_only_the_official_test_split_has_are_named_together_and_can_be_dropped(tmp_path: Path) -> None:
    saved(tmp_path, [20, 20])
    saved(tmp_path, [5, 5, 3, 4], "t")
    given = {**NPY, "arrays": {"train": "x.npy", "test": "tx.npy"}, "labels": {"train": "y.npy", "test": "ty.npy"}}
    line = refusal(tmp_path, **given)
    assert line.startswith("params.yaml: data.labels: 2 classes stand only in test: 'c002', 'c003', and nothing can be")
    assert "set data.rare to drop" in line
    data = prepared(tmp_path, **given, rare="drop")
    assert data.meta["counts"] == {"train": 36, "val": 4, "test": 10} and data.meta["class_names"] == ["c000", "c001"]
    assert "2 rare classes, 7 examples, were left out: c002 (3), c003 (4)." in data.meta["decisions"]


@pytest.mark.parametrize("how", ["train", "drop"])
def test_classes_that_are_all_rare(tmp_path: Path, how: str) -> None:
    saved(tmp_path, [2, 2, 2])
    line = refusal(tmp_path, **NPY, val_count=1, test_count=1, rare=how)
    assert line.startswith(f"params.yaml: data.rare: {how}: no class is left")


@pytest.mark.parametrize("how", ["train", "drop"])
def test_speakers_with_few_recordings(tmp_path: Path, how: str) -> None:
    for speaker, count in (("anna", 8), ("ben", 1), ("cleo", 8), ("dan", 2)):
        (tmp_path / speaker).mkdir()
        for number in range(count):
            soundfile.write(tmp_path / speaker / f"{number}.wav", np.full(300, number / 10), 8000)
    given = {"source": "audio", "path": ".", "window": 100, "val_count": 2, "test_count": 2}
    line = refusal(tmp_path, **given)
    assert line.startswith("audio: 2 classes have too few recordings, ben (1), dan (2): each needs 3 or more")
    data = prepared(tmp_path, **given, rare=how)
    assert data.meta["class_names"] == (["anna", "ben", "cleo", "dan"] if how == "train" else ["anna", "cleo"])
    assert data.meta["counts"] == {"train": 45 if how == "train" else 36, "val": 6, "test": 6}
    assert any(said.startswith("2 rare classes, 3 recordings, ") for said in data.meta["decisions"])


@pytest.mark.parametrize("seed", range(40))
def test_the_counts_that_are_offered_work(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(3, 12, rng.integers(2, 30))
    data = settings(source="npy", path="x", test_count=1)
    names = [f"c{number}" for number in range(len(counts))]
    numbers = {"val": int(rng.integers(1, len(counts))), "test": int(rng.integers(1, counts.sum()))}
    with pytest.raises(UserError) as caught:
        complain_of_classes(counts, numbers, data, "examples", names)
    offered = works(str(caught.value))
    wanted = {"val": offered["val_count"], "test": offered["test_count"]}
    needs = _needs(counts, wanted, data, "examples", names, None)
    assert (needs > 0).all() and (needs.sum(1) == counts).all() and needs.sum(0)[1:].tolist() == list(wanted.values())


@pytest.mark.parametrize("seed", range(20))
def test_every_split_holds_every_class_whenever_that_can_be(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counts = rng.integers(3, 12, rng.integers(2, 30))
    classes = len(counts)
    val = int(rng.integers(classes, counts.sum() - 2 * classes + 1))
    test = int(rng.integers(classes, counts.sum() - classes - val + 1))
    data = settings(source="npy", path="x", test_count=1)
    names = [f"c{number}" for number in range(classes)]
    needs = _needs(counts, {"val": val, "test": test}, data, "examples", names, None)
    assert (needs > 0).all() and (needs.sum(1) == counts).all() and needs.sum(0)[1:].tolist() == [val, test]


@pytest.mark.parametrize("source", ["csv", "parquet"])
@pytest.mark.parametrize("types", [True, False])
def test_rare_labels_of_tables(tmp_path: Path, source: str, types: bool) -> None:
    rng = np.random.default_rng(0)
    names = np.array(["cat"] * 40 + ["dog"] * 40 + ["emu"] * 2 + ["fox"])
    frame = pd.DataFrame({"a": rng.normal(size=83), "b": rng.normal(size=83), "animal": names})
    path = tmp_path / f"x.{source}"
    frame.to_csv(path, index=False) if source == "csv" else frame.to_parquet(path)
    how = {"source": source, "path": path.name, "label": "animal", "types": types, "val_count": 8, "test_count": 8}
    line = refusal(tmp_path, **how)
    assert "emu (2), fox (1)" in line and "set data.rare to train" in line
    kept = prepared(tmp_path, **how, rare="train")
    assert [kept.meta["class_counts"][split][2:] for split in ("train", "val", "test")] == [[2, 1], [0, 0], [0, 0]]
    assert (
        "2 rare classes, 3 examples, went to the training split as a whole: emu (2), fox (1)." in kept.meta["decisions"]
    )
    left = prepared(tmp_path, **how, rare="drop")
    assert left.meta["class_names"] == ["cat", "dog"] and sum(left.meta["counts"].values()) == 80
    assert "2 rare classes, 3 examples, were left out: emu (2), fox (1)." in left.meta["decisions"]


def test_rare_labels_of_arrays(tmp_path: Path) -> None:
    labels = np.array(["cat"] * 40 + ["dog"] * 40 + ["emu"] * 2)
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(82, 3)), y=labels)
    how: dict[str, Any] = {"source": "npz", "path": "x.npz", "arrays": {"train": "x"}, "labels": {"train": "y"}}
    how |= {"val_count": 8, "test_count": 8}
    assert "class 'emu' has 2 examples" in refusal(tmp_path, **how)
    assert prepared(tmp_path, **how, rare="train").meta["class_counts"]["train"][2] == 2
    assert prepared(tmp_path, **how, rare="drop").meta["class_names"] == ["cat", "dog"]
