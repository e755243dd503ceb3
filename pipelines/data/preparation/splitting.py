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
from ...params.data_section import Count, Source
from ..prepared import SPLITS
from ..sources import Part

ROWS = 1 << 16
TRAIN, VAL, TEST = range(3)


@dataclass(frozen=True)
class Dealt:
    """A part of the source, and which split each of its rows goes to."""

    part: Part
    seed: int
    needs: np.ndarray | None = None  # (classes, 3): rows of each class that each split gets; None: all stay
    stays: int = TRAIN
    recordings: np.ndarray | None = None  # (recordings,): the split of each recording, where rows have recordings

    def splits(self) -> Iterator[np.ndarray]:
        """The split of each row, `ROWS` at a time, in the order of the part."""
        if self.recordings is not None:
            assert self.part.recordings is not None
            yield from (self.recordings[chunk] for chunk in self.part.recordings.chunks(ROWS))
        elif self.needs is None:
            yield from (np.full(count, self.stays) for count in _chunk_sizes(len(self.part.x)))
        else:
            rng, left = np.random.default_rng(self.seed), self.needs.copy()
            for labels in _labels(self.part):
                yield _deal(labels, left, rng)


def deal(parts: dict[str, Part], data: Source, class_names: Sequence[str] = ()) -> list[Dealt]:
    """Deal the rows of `train` out to the splits that the source lacks; parts that are there stay as they are.

    Raises `UserError` for counts that cannot be: nothing left to train on, a class too small for its splits.
    """
    kept = [Dealt(parts[name], data.seed, stays=SPLITS.index(name)) for name in ("val", "test") if name in parts]
    wanted = _wanted(parts, data)
    train = parts["train"]
    if not any(wanted.values()):
        return [Dealt(train, data.seed), *kept]
    if train.recordings is not None:
        return [_deal_recordings(train, wanted, data, class_names), *kept]
    counts = _class_counts(train)
    return [Dealt(train, data.seed, _needs(counts, wanted, data, "examples", class_names)), *kept]


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
    counts: np.ndarray, wanted: dict[str, Count | None], data: Source, unit: str, class_names: Sequence[str]
) -> np.ndarray:
    """How many of each class (classes, 3) go to each split, in proportion to the class counts."""
    total = int(counts.sum())
    numbers = {
        name: 0 if count is None else max(1, round(count * total)) if isinstance(count, float) else count
        for name, count in wanted.items()
    }
    held_out, drawn = sum(numbers.values()), sum(count > 0 for count in numbers.values())
    if total - held_out < 1:
        raise UserError(
            f"params.yaml: data.val_count + data.test_count: {held_out} is not allowed: "
            f"{data.folder} has {total} {unit}, and some must be left to train on"
        )
    present = counts > 0
    if present.sum() > 1:
        few = np.flatnonzero(present & (counts <= drawn))
        if len(few):
            raise UserError(
                f"{data.folder}: class {class_names[few[0]]!r} has {counts[few[0]]} {unit}: it needs {drawn + 1} or"
                " more, one for each split; add some, or leave the class out"
            )
        for name, number in numbers.items():
            if 0 < number < present.sum() or number > total - present.sum():
                raise UserError(
                    f"params.yaml: data.{name}_count: the splits cannot be drawn: {number} is not allowed: each split"
                    f" must hold every class, and the number of classes is {present.sum()}"
                )
    needs = np.zeros((len(counts), 3), np.int64)
    left = counts.copy()
    for name in ("test", "val"):
        share = _shares(numbers[name], left, present.sum() > 1)
        needs[:, SPLITS.index(name)] = share
        left -= share
    if (left[present] < 1).any():
        raise UserError(
            "params.yaml: data: the splits cannot be drawn: too few are left to train on for the number of classes"
        )
    needs[:, TRAIN] = left
    return needs


def _shares(number: int, counts: np.ndarray, each: bool) -> np.ndarray:
    """Divide `number` among classes in proportion to their counts, by largest remainders; at least one `each`."""
    if number == 0:
        return np.zeros_like(counts)
    quota = number * counts / counts.sum()
    least = (counts > 0).astype(np.int64) if each else np.zeros_like(counts)
    share = np.maximum(np.floor(quota).astype(np.int64), least)
    while (difference := number - int(share.sum())) != 0:
        step = 1 if difference > 0 else -1
        allowed = (share + step >= least) & (share + step <= counts)
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


def _deal_recordings(part: Part, wanted: dict[str, Count | None], data: Source, class_names: Sequence[str]) -> Dealt:
    """Deal out recordings, stratified by the label of their windows."""
    assert part.recordings is not None
    label_of = np.full(int(max(chunk.max() for chunk in part.recordings.chunks())) + 1, -1)
    for recordings, labels in zip(part.recordings.chunks(ROWS), _labels(part), strict=True):
        label_of[recordings] = labels
    there = np.flatnonzero(label_of >= 0)  # those that gave a window
    needs = _needs(np.bincount(label_of[there]), wanted, data, "recordings", class_names)
    split = np.full(len(label_of), TRAIN)
    split[there] = _deal(label_of[there], needs.copy(), np.random.default_rng(data.seed))
    return Dealt(part, data.seed, recordings=split)


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
