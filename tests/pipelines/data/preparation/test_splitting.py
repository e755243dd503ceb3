"""Dealing out: exact counts, stratified, every row once, equally likely, and recordings kept whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.preparation import splitting
from pipelines.data.preparation.splitting import TEST, TRAIN, VAL, deal
from pipelines.data.sources import Part
from pipelines.data.sources.finding import put
from pipelines.errors import UserError
from pipelines.params.data_section import Digits
from pipelines.params.source_section import Source


def settings(val: float, test: float | None, seed: int = 0) -> Source:
    """Any source will do; without a drawn test split the source must have one."""
    given = Digits(val_count=val, test_count=1 if test is None else test, seed=seed)
    return given if test is not None else given.model_copy(update={"test_count": None})


def part(spool: Path, name: str, labels: Any = None, count: int = 0, recordings: Any = None) -> Part:
    rows = count if labels is None else len(labels)
    x = put(spool, f"{name}_x", np.arange(rows)[:, None])
    found = None if labels is None else put(spool, f"{name}_labels", np.asarray(labels))
    cut = None if recordings is None else put(spool, f"{name}_recordings", np.asarray(recordings))
    return Part(x, found, cut)


def dealt(parts: dict[str, Part], data: Source, classes: int = 10) -> np.ndarray:
    """The split of each row of the part `train`."""
    names = [f"class {number}" for number in range(classes)]
    (train,) = (each for each in deal(parts, data, names) if each.part is parts["train"])
    return np.concatenate(list(train.splits()))


def refusal(parts: dict[str, Part], data: Source) -> str:
    with pytest.raises(UserError) as caught:
        dealt(parts, data)
    (line,) = str(caught.value).splitlines()
    return line


def by_largest_remainders(number: int, counts: np.ndarray) -> np.ndarray:
    quota = number * counts / counts.sum()
    share = np.floor(quota).astype(int)
    share[np.argsort(share - quota, kind="stable")[: number - share.sum()]] += 1
    return share


CLASSES = np.repeat(np.arange(4), [13, 500, 77, 210])


@pytest.mark.parametrize("rows", [1 << 16, 7])
@pytest.mark.parametrize(("val", "test"), [(80, 160), (100, 97), (0.1, 0.2), (0.15, 33), (4, 4), (10, 500)])
def test_counts_are_exact_and_shared_out_by_largest_remainders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, val: float, test: float, rows: int
) -> None:
    monkeypatch.setattr(splitting, "ROWS", rows)
    labels = np.random.default_rng(0).permutation(CLASSES)
    split = dealt({"train": part(tmp_path, "train", labels)}, settings(val, test))
    numbers = [round(count * len(labels)) if isinstance(count, float) else count for count in (val, test)]
    assert split.shape == labels.shape
    assert [(split == VAL).sum(), (split == TEST).sum()] == numbers
    counts = np.bincount(labels)
    found = np.bincount(labels[split == TEST], minlength=4)
    expected = by_largest_remainders(numbers[1], counts)
    if (expected > 0).all():
        assert found.tolist() == expected.tolist()
    for name, number in ((VAL, numbers[0]), (TEST, numbers[1])):
        mine = np.bincount(labels[split == name], minlength=4)
        assert (mine >= 1).all()
        assert (abs(mine - number * counts / len(labels)) <= np.maximum(1, 1.5)).all()


def test_shares_of_few_rows_are_at_least_one(tmp_path: Path) -> None:
    split = dealt({"train": part(tmp_path, "train", count=4)}, settings(0.01, 0.01))
    assert sorted(split) == [TRAIN, TRAIN, VAL, TEST]


def test_the_seed_decides(tmp_path: Path) -> None:
    parts = {"train": part(tmp_path, "train", CLASSES)}
    first, again, other = (dealt(parts, settings(80, 160, seed)) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("rows", [1 << 16, 5])
@pytest.mark.parametrize("labelled", [True, False])
def test_every_row_is_equally_likely_in_every_split(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, labelled: bool
) -> None:
    """And so is every pair of rows: also of one chunk, or of two."""
    monkeypatch.setattr(splitting, "ROWS", rows)
    labels = np.arange(24) % 2
    parts = {"train": part(tmp_path, "train", labels if labelled else None, count=24)}
    draws = 1500
    tested = np.stack([dealt(parts, settings(6, 8, seed)) == TEST for seed in range(draws)])
    assert (tested.sum(1) == 8).all()
    expected = draws * 8 / 24
    chi = ((tested.sum(0) - expected) ** 2 / (expected * 16 / 24)).sum()
    assert 24 - 5 * np.sqrt(48) < chi < 24 + 5 * np.sqrt(48)
    together = (tested[:, :, None] & tested[:, None, :]).mean(0)
    same = labels[:, None] == labels[None] if labelled else np.ones((24, 24), bool)
    in_class = 4 / 12 * 3 / 11 if labelled else 8 / 24 * 7 / 23
    chance = np.where(same, in_class, (4 / 12) ** 2)
    off = ~np.eye(24, dtype=bool)
    assert abs(together - chance)[off].max() < 5 * np.sqrt(0.12 * 0.88 / draws)


def test_splits_that_the_source_has_stay_as_they_are(tmp_path: Path) -> None:
    parts = {name: part(tmp_path, name, CLASSES) for name in ("train", "test")}
    all_dealt = {id(each.part): each for each in deal(parts, settings(80, None), "abcd")}
    assert (np.concatenate(list(all_dealt[id(parts["test"])].splits())) == TEST).all()
    drawn = np.concatenate(list(all_dealt[id(parts["train"])].splits()))
    assert np.bincount(drawn).tolist() == [720, 80]
    three = {**parts, "val": part(tmp_path, "val", CLASSES)}
    for each in deal(three, settings(80, None), "abcd"):
        (split,) = {name for name, mine in three.items() if mine is each.part}
        assert set(np.concatenate(list(each.splits()))) == {{"train": TRAIN, "val": VAL, "test": TEST}[split]}


@pytest.mark.parametrize("rows", [1 << 16, 3])
def test_recordings_are_kept_whole_and_stratified(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(splitting, "ROWS", rows)
    rng = np.random.default_rng(0)
    windows = rng.integers(0, 6, 60)  # of each recording; some have none
    windows[0] = 3
    recordings = np.repeat(np.arange(60), windows)
    split = dealt({"train": part(tmp_path, "train", recordings % 3, recordings=recordings)}, settings(9, 12))
    of = {number: set(split[recordings == number].tolist()) for number in set(recordings.tolist())}
    assert all(len(found) == 1 for found in of.values())
    for name, number in ((VAL, 9), (TEST, 12)):
        mine = [recording for recording, found in of.items() if found == {name}]
        assert len(mine) == number
        assert set(np.bincount(np.array(mine) % 3)) <= {number // 3 - 1, number // 3, number // 3 + 1}


def test_recordings_without_labels(tmp_path: Path) -> None:
    recordings = np.repeat(np.arange(10), 5)
    split = dealt({"train": part(tmp_path, "train", count=50, recordings=recordings)}, settings(2, 3))
    assert [(split == name).sum() for name in (TRAIN, VAL, TEST)] == [25, 10, 15]
    assert all(len(set(split[recordings == number])) == 1 for number in range(10))


def test_a_class_that_does_not_go_round_is_named(tmp_path: Path) -> None:
    parts = {"train": part(tmp_path, "train", [0] * 50 + [1] * 50 + [2])}
    line = refusal(parts, settings(10, 10))
    assert line.startswith("digits: class 'class 2' has 1 examples: it needs 3 or more, one for each split")
    parts = {"train": part(tmp_path, "more", [0] * 50 + [2] * 3)}
    assert set(dealt(parts, settings(5, 5))[-3:].tolist()) == {TRAIN, VAL, TEST}


@pytest.mark.parametrize(
    ("val", "test", "said"),
    [
        (400, 400, "data.val_count + data.test_count: 800 is not allowed: digits has 800 examples"),
        (0.5, 0.5, "data.val_count + data.test_count: 800 is not allowed"),
        (3, 100, "data.val_count: the splits cannot be drawn: 3 is not allowed"),
        (100, 3, "data.test_count: the splits cannot be drawn: 3 is not allowed"),
        (5, 798, "data.val_count + data.test_count: 803 is not allowed"),
    ],
)
def test_counts_that_cannot_be_are_refused(tmp_path: Path, val: float, test: float, said: str) -> None:
    assert said in refusal({"train": part(tmp_path, "train", CLASSES)}, settings(val, test))


def test_a_test_split_is_either_drawn_or_there(tmp_path: Path) -> None:
    train, test = part(tmp_path, "train", CLASSES), part(tmp_path, "test", CLASSES)
    assert "data.test_count: is missing" in refusal({"train": train}, settings(10, None))
    line = refusal({"train": train, "test": test}, settings(10, 10))
    assert line.startswith("params.yaml: data.test_count: 10 is not allowed: digits has a test split of its own")
