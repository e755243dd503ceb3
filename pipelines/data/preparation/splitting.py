"""Which split each example goes to: drawn by a seed, the same every time, with little memory whatever their number.

Rows are dealt out chunk by chunk. How many of a chunk's rows of a class go to each split follows the multivariate
hypergeometric distribution of what the splits still need, so all ways to draw the exact counts are equally likely.
Rows that are cut from one recording stay together: then recordings are dealt out, not rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ...errors import UserError
from ...params.source_section import Count, Source
from ..prepared import SPLITS
from ..sources import Part
from .proportions import complain_of_classes
from .rare import Rare, rare_classes

ROWS = 1 << 16
TRAIN, VAL, TEST = range(3)
LEFT_OUT = -1


@dataclass(frozen=True)
class Dealt:
    """A part of the source, and which split each of its rows goes to."""

    part: Part
    seed: int
    needs: np.ndarray | None = None  # (classes, 3): rows of each class that each split gets; None: all stay
    stays: int = TRAIN
    recordings: np.ndarray | None = None  # (recordings,): the split of each recording, where rows have recordings
    dropped: np.ndarray | None = None  # (classes,): those whose rows are left out

    def __len__(self) -> int:
        """How many rows go to some split."""
        if self.dropped is None:
            return len(self.part.x)
        return sum(int((splits != LEFT_OUT).sum()) for splits in self.splits())

    def splits(self) -> Iterator[np.ndarray]:
        """The split of each row, `ROWS` at a time, in the order of the part; `LEFT_OUT` if it goes to none."""
        if self.dropped is None:
            yield from self._all()
            return
        for splits, labels in zip(self._all(), _labels(self.part), strict=True):
            yield np.where(self.dropped[labels], LEFT_OUT, splits)

    def _all(self) -> Iterator[np.ndarray]:
        if self.recordings is not None:
            assert self.part.recordings is not None
            yield from (self.recordings[chunk] for chunk in self.part.recordings.chunks(ROWS))
        elif self.needs is None:
            yield from (np.full(count, self.stays) for count in _chunk_sizes(len(self.part.x)))
        else:
            rng, left = np.random.default_rng(self.seed), self.needs.copy()
            for labels in _labels(self.part):
                yield _deal(labels, left, rng)


def deal(
    parts: dict[str, Part], data: Source, class_names: Sequence[str] = (), rare: Rare | None = None
) -> list[Dealt]:
    """Deal the rows of `train` out to the splits that the source lacks; parts that are there stay as they are.

    Raises `UserError` for counts that cannot be: nothing left to train on, a class too small for its splits.
    """
    gone = rare.dropped if rare is not None and rare.dropped.any() else None
    kept = [
        Dealt(parts[name], data.seed, stays=SPLITS.index(name), dropped=gone)
        for name in ("val", "test")
        if name in parts
    ]
    wanted, train = _wanted(parts, data), parts["train"]
    if not any(wanted.values()):
        return [Dealt(train, data.seed, dropped=gone), *kept]
    counts, unit = part_counts(train)
    needs = _needs(counts, wanted, data, unit, class_names, rare)
    if train.recordings is None:
        return [Dealt(train, data.seed, needs, dropped=gone), *kept]
    return [Dealt(train, data.seed, recordings=_deal_recordings(train, needs, data.seed), dropped=gone), *kept]


def find_rare(parts: dict[str, Part], data: Source, class_names: Sequence[str]) -> tuple[Rare, list[str]] | None:
    """The classes that are too small for the splits, if the parameters say what becomes of them, and what is said."""
    how = getattr(data, "rare", "refuse")
    if not class_names or how == "refuse":
        return None
    counts, unit = part_counts(parts["train"], len(class_names))
    others = [part_counts(part, len(class_names))[0] for name, part in parts.items() if name != "train"]
    official = np.sum([np.zeros_like(counts), *others], 0)
    drawn = sum(count is not None for count in _wanted(parts, data).values())
    rare = rare_classes(counts, official > 0, drawn, how)
    if not (rare.drawn & (counts > 0)).any():
        raise UserError(f"params.yaml: data.rare: {how}: no class is left: all have too few {unit} for the splits")
    return rare, rare.sentences(counts, official, class_names, unit)


def _wanted(parts: dict[str, Part], data: Source) -> dict[str, Count | None]:
    """How much is drawn for val and for test; None for a split that the source has."""
    if "test" in parts and data.drawn_test is not None:
        raise UserError(
            f"params.yaml: data.test_count: {data.drawn_test} is not allowed: {data.source} has a test split of"
            " its own, which is kept as it is; set test_count to null"
        )
    if "test" not in parts and data.drawn_test is None:
        raise UserError(
            f"params.yaml: data.test_count: is missing: {data.source} has no test split of its own here; give"
            " a count or a share such as 0.1"
        )
    return {"val": None if "val" in parts else data.val_count, "test": data.drawn_test}


def _needs(
    counts: np.ndarray,
    wanted: dict[str, Count | None],
    data: Source,
    unit: str,
    class_names: Sequence[str],
    rare: Rare | None,
) -> np.ndarray:
    """How many of each class (classes, 3) go to each split, in proportion to the class counts."""
    usable = np.ones(len(counts), bool) if rare is None else rare.drawn[: len(counts)]
    total = int(counts.sum() if rare is None else counts[~rare.dropped[: len(counts)]].sum())
    numbers = {
        name: 0 if count is None else max(1, round(count * total)) if isinstance(count, float) else count
        for name, count in wanted.items()
    }
    held_out = sum(numbers.values())
    if total - held_out < 1:
        raise UserError(
            f"params.yaml: data.val_count + data.test_count: {held_out} is not allowed: "
            f"{data.folder} has {total} {unit}, and some must be left to train on"
        )
    complain_of_classes(np.where(usable, counts, 0), numbers, data, unit, class_names)
    needs = np.zeros((len(counts), 3), np.int64)
    left = np.where(usable, counts, 0)
    several = int((left > 0).sum()) > 1
    for name in ("test", "val"):
        reserved = int(several) * (1 + (name == "test" and numbers["val"] > 0))  # of each class, for later splits
        share = _shares(numbers[name], left, several, reserved)
        needs[:, SPLITS.index(name)] = share
        left = left - share
    needs[:, TRAIN] = counts - needs.sum(1)
    return needs


def _shares(number: int, counts: np.ndarray, each: bool, reserved: int) -> np.ndarray:
    """Divide `number` among classes in proportion to their counts, by largest remainders.

    At least one is taken of `each`, and so many as are `reserved` are left.
    """
    if number == 0:
        return np.zeros_like(counts)
    quota = number * counts / counts.sum()
    least = (counts > 0).astype(np.int64) if each else np.zeros_like(counts)
    most = np.maximum(counts - reserved, least)
    share = np.clip(np.floor(quota).astype(np.int64), least, most)
    while (difference := number - int(share.sum())) != 0:
        step = 1 if difference > 0 else -1
        allowed = (share + step >= least) & (share + step <= most)
        share[np.where(allowed, (quota - share) * step, -np.inf).argmax()] += step
    return share


def _deal(labels: np.ndarray, left: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The split of each row of a chunk; what the splits still need, `left`, goes down."""
    split = np.empty(len(labels), np.int64)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        counts = _drawn(left[label], len(rows), rng)
        left[label] -= counts
        split[rng.permutation(rows)] = np.repeat(np.arange(3), counts)
    return split


def _drawn(left: np.ndarray, rows: int, rng: np.random.Generator) -> np.ndarray:
    """How many of some rows go to each split: what is left of the class needs `left` (3,)."""
    return rng.multivariate_hypergeometric(left, rows, method="marginals")


def _labels_of_recordings(part: Part) -> np.ndarray:
    """The label of each recording; -1 for one that gave no window."""
    assert part.recordings is not None
    label_of = np.full(int(max(chunk.max() for chunk in part.recordings.chunks())) + 1, -1)
    for recordings, labels in zip(part.recordings.chunks(ROWS), _labels(part), strict=True):
        label_of[recordings] = labels
    return label_of


def _deal_recordings(part: Part, needs: np.ndarray, seed: int) -> np.ndarray:
    """The split of each recording, stratified by the label of its windows."""
    label_of = _labels_of_recordings(part)
    there = np.flatnonzero(label_of >= 0)
    split = np.full(len(label_of), TRAIN)
    split[there] = _deal(label_of[there], needs.copy(), np.random.default_rng(seed))
    return split


def part_counts(part: Part, classes: int = 1) -> tuple[np.ndarray, str]:
    """How much of each of `classes`, or more, a part holds, and what is counted: recordings where there are any."""
    if part.recordings is None:
        counts, unit = _class_counts(part), "examples"
    else:
        label_of = _labels_of_recordings(part)
        counts, unit = np.bincount(label_of[label_of >= 0]), "recordings"
    return np.pad(counts, (0, max(0, classes - len(counts)))), unit


def _class_counts(part: Part) -> np.ndarray:
    counts = np.zeros(1, np.int64)
    for labels in _labels(part):
        counts = np.bincount(labels, minlength=len(counts)) + np.pad(
            counts, (0, max(0, labels.max() + 1 - len(counts)))
        )
    return counts


def _labels(part: Part) -> Iterator[np.ndarray]:
    """The labels, `ROWS` at a time; without labels all rows are of one class, 0."""
    if part.labels is not None:
        yield from part.labels.chunks(ROWS)
    else:
        yield from (np.zeros(count, np.int64) for count in _chunk_sizes(len(part.x)))


def _chunk_sizes(rows: int) -> Iterator[int]:
    yield from (min(ROWS, rows - start) for start in range(0, rows, ROWS))
