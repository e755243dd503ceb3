"""The files of a folder with the split and the label of each, as their paths or a table say."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...params.file_options import LabelTable
from ...params.file_sections import Files
from ..prepared import SPLITS
from .finding import Found, by_ending, coded, counted, differing_in_capitals, in_order, look, some
from .folders import Folders, deeper, label_level, without
from .label_table import read_labels
from .official import matching, official_splits


@dataclass(frozen=True)
class Listing:
    """Files in order of their paths, the split (n,) and the label (n,) of each, and what was decided about them.

    Without official splits all are of `train`; `texts` is None without labels. `sources` are the files and the table.
    """

    paths: list[Path]
    splits: np.ndarray
    texts: np.ndarray | None
    decisions: list[str]
    sources: list[Path]

    def numbers(self) -> dict[str, np.ndarray]:
        """The places in `paths` of the files of each split that there is."""
        return {split: found for split in SPLITS if len(found := np.flatnonzero(self.splits == split))}

    def labels(self, kept: np.ndarray) -> tuple[np.ndarray | None, list[str]]:
        """The label (n,) of each file that is `kept`, others have -1; and the names of the labels.

        A class of which no file is kept is none, and so is a class of all files; that is said.
        """
        if self.texts is None:
            return None, []
        numbers = np.full(len(self.paths), -1)
        numbers[kept], names = coded(self.texts[kept].tolist())
        lost = in_order(set(self.texts.tolist()) - set(names))
        if lost:
            self.decisions.append(f"Nothing is left of {len(lost):,} classes, which are none now: {some(lost)}.")
        if len(names) == 1:
            self.decisions.append(f"All are of one class, {names[0]}: there are no labels.")
            return None, []
        return numbers, names


def listed(data: Files, root: Path, suffixes: Sequence[str]) -> Listing:
    """The files that are read. A UserError for splits or labels that are not clear, one line for all files."""
    folder = root / data.path
    found = look(folder, suffixes)
    table = root / data.labels.file if isinstance(data.labels, LabelTable) else None
    below = [path.relative_to(folder).as_posix() for path in found.paths]
    excluded = matching(below, data.exclude_files, "exclude_files", folder)
    decisions = _passed_over(found, table, folder)
    if excluded.any():
        decisions.append(f"{int(excluded.sum()):,} files were left out, which data.exclude_files matches.")
    rows = read_labels(data.labels, root, folder, below, ~excluded) if isinstance(data.labels, LabelTable) else None
    chosen = ~excluded if rows is None else ~excluded & rows.found
    names = [name for name, mark in zip(below, chosen, strict=True) if mark]
    of_table = None if rows is None or rows.splits is None else rows.splits[chosen]
    splits, level, said = official_splits(data, folder, names, of_table)
    decisions += [*(rows.decisions if rows else []), *said]
    texts = _texts(data, folder, names, level, decisions) if rows is None else rows.texts[chosen].tolist()
    if texts is not None:
        counts = Counter(texts)
        each = counted((name, counts[name]) for name in in_order(counts))
        decisions.append(f"The files are of {len(counts):,} classes: {each}.")
        alike = differing_in_capitals(counts)
        if alike:
            pairs = some(" and ".join(names) for names in alike)
            decisions.append(f"Classes whose names differ in capitals alone are different ones: {pairs}.")
    paths = [path for path, mark in zip(found.paths, chosen, strict=True) if mark]
    labels = None if texts is None else np.array(texts, object)
    return Listing(paths, splits, labels, decisions, [*paths, *([table] if table else [])])


def _passed_over(found: Found, table: Path | None, folder: Path) -> list[str]:
    """What is said of files that are not read."""
    said = []
    others = [path for path in found.others if table is None or path.resolve() != table.resolve()]
    if others:
        said.append(f"{len(others):,} files of other endings were passed over: {by_ending(others)}.")
    if found.hidden:
        said.append(f"{found.hidden:,} hidden files were passed over.")
    used = {place for path in found.paths for place in path.parents}
    empty = sorted({path.parent.relative_to(folder).as_posix() for path in others if path.parent not in used})
    if empty:
        said.append(f"Nothing is read from {len(empty):,} folders that hold only such files: {some(empty)}.")
    if found.empty:
        names = some(path.relative_to(folder).as_posix() for path in found.empty)
        said.append(f"Nothing is read from {len(found.empty):,} folders that hold no files: {names}.")
    return said


def _texts(
    data: Files, folder: Path, below: Sequence[str], split_level: int | None, decisions: list[str]
) -> list[str] | None:
    """The label of each file, from its folders or from a group of a regular expression; None if there are none."""
    if data.labels is None:
        return None
    if data.labels == "folders":
        places = [without(split_level, tuple(name.split("/")[:-1])) for name in below]
        return _texts_of_folders(folder, below, places, decisions)
    assert isinstance(data.labels, str)
    found = [re.search(data.labels, name) for name in below]
    missed = [name for name, match in zip(below, found, strict=True) if match is None or match[1] is None]
    if missed:
        raise UserError(f"params.yaml: data.labels: {data.labels!r} does not match {some(missed)}")
    return [match[1] for match in found if match is not None]


def _texts_of_folders(
    folder: Path, below: Sequence[str], places: Sequence[Folders], decisions: list[str]
) -> list[str] | None:
    """The folder of each file at the level at which they differ."""
    level = label_level(set(places))
    if level is None:
        return None
    loose = [name for name, place in zip(below, places, strict=True) if len(place) <= level]
    if loose:
        raise UserError(
            f"{folder}: {some(loose)}: in no folder, so without a label: move, leave out with data.exclude_files, or"
            " set data.labels to null"
        )
    others = deeper(level, places)
    if others:
        decisions.append(
            f"Labels are the names of folders, and not of the innermost ones ({some(others)}):"
            r" `labels: ([^/]+)/[^/]+$` takes those instead."
        )
    return [place[level] for place in places]
