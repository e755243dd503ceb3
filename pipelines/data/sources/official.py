"""The official splits of files: by their folders, by a table, or by patterns, which come first."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...params.file_sections import Files
from ..prepared import SPLITS
from .finding import counted, some
from .folders import Folders, first_difference, split_level, split_of

KEYS = {"val": "val_files", "test": "test_files"}


def official_splits(
    data: Files, folder: Path, below: Sequence[str], of_table: np.ndarray | None
) -> tuple[np.ndarray, int | None, list[str]]:
    """The split (n,) of each file, the level of folders that are called after splits, and what is said of it.

    A UserError for splits that are not clear, that leave nothing to train on, or that the parameters contradict.
    """
    places = [tuple(name.split("/")[:-1]) for name in below]
    level = split_level(set(places)) if data.splits == "folders" else None
    if of_table is not None:
        splits = of_table.copy()
    else:
        splits = np.array(["train" if level is None else split_of(place[level]) for place in places], object)
    _apply_patterns(data, folder, below, splits)
    if data.splits == "folders" and level is None and of_table is None:
        _complain_of_mixture(places, splits, folder)
    counts = Counter(splits.tolist())
    _complain_of_counts(counts, data)
    if len(counts) == 1:
        return splits, level, []
    sizes = ", ".join(f"{counts[split]:,} of {split}" for split in SPLITS if counts[split])
    names = "" if level is None else f", by the folders {', '.join(sorted({place[level] for place in places}))}"
    return splits, level, [f"The official splits of files were kept{names}: {sizes}."]


def matching(below: Sequence[str], pattern: str | None, key: str, folder: Path) -> np.ndarray:
    """Which files a pattern names: as a file or a folder, if it is the path of one, else as a regular expression.

    A UserError for a pattern that no file matches, or every one.
    """
    if pattern is None:
        return np.zeros(len(below), bool)
    name = pattern.removesuffix("/")
    chosen = np.array([path == name or path.startswith(f"{name}/") for path in below])
    if not chosen.any():
        chosen = np.array([bool(re.search(pattern, path)) for path in below])
    if not chosen.any() or chosen.all():
        how_many = "every file" if chosen.all() else "no file"
        raise UserError(f"params.yaml: data.{key}: {pattern!r} matches {how_many} below {folder}")
    return chosen


def of_those(names: Sequence[str], mark: np.ndarray) -> str:
    """Some of the names that are marked."""
    return some(name for name, yes in zip(names, mark, strict=True) if yes)


def _apply_patterns(data: Files, folder: Path, below: Sequence[str], splits: np.ndarray) -> None:
    """Give the files that patterns name to their splits, in place."""
    patterns = {split: getattr(data, key) for split, key in KEYS.items() if getattr(data, key) is not None}
    marks = {split: matching(below, pattern, KEYS[split], folder) for split, pattern in patterns.items()}
    times = np.sum([np.zeros(len(below), int), *marks.values()], 0)
    if (times > 1).any():
        names = of_those(below, times > 1)
        raise UserError(
            f"params.yaml: data.val_files and data.test_files: both match {int((times > 1).sum()):,} files: {names}"
        )
    for split in marks:
        missed = (splits == split) & (times == 0)
        if missed.any():
            raise UserError(
                f"params.yaml: data.{KEYS[split]}: {patterns[split]!r} does not match {int(missed.sum()):,} files that"
                f" belong to an official {split} split: {of_those(below, missed)}; correct it, leave it out, or set"
                " data.splits to null"
            )
    for split, mark in marks.items():
        splits[mark] = split


def _complain_of_mixture(places: Sequence[Folders], splits: np.ndarray, folder: Path) -> None:
    """A UserError for folders called val or test beside others: of files that no pattern gives to a split."""
    mine = [place for place, split in zip(places, splits, strict=True) if split == "train"]
    level = first_difference(set(mine)) if mine else None
    if level is None:
        return
    names = Counter(place[level] if len(place) > level else "no folder" for place in mine)
    official = [(name, count) for name, count in names.items() if split_of(name) in KEYS]
    if official:
        others = counted((name, count) for name, count in names.items() if split_of(name) not in KEYS)
        raise UserError(
            f"{folder}: folders called after a split stand beside others: {counted(official)} beside"
            f" {others or 'no training split'}; name the files of the splits with data.val_files and data.test_files,"
            " leave some out with data.exclude_files, or set data.splits to null if these are names like any others"
        )


def _complain_of_counts(counts: Counter[str], data: Files) -> None:
    """A UserError for a test split that is both there and to be drawn, or neither: before any file is decoded."""
    if not counts["train"]:
        raise UserError("params.yaml: data: the official splits leave no file to train on")
    if counts["test"] and data.test_count is not None:
        raise UserError(
            f"params.yaml: data.test_count: {data.test_count} is not allowed: {data.source} has a test split of its"
            f" own ({counts['test']:,} files), which is kept as it is; set test_count to null, or data.splits to null"
            " to draw splits anew where folders are called train and test"
        )
    if not counts["test"] and data.test_count is None:
        raise UserError(
            f"params.yaml: data.test_count: is missing: {data.source} has no test split of its own here; give a count"
            " or a share such as 0.1"
        )
