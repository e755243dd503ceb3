"""Labels, and splits, from a table that names files: every file has a row, and every row a file, or it is said."""

from __future__ import annotations

import csv
import os
import posixpath
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...params.file_options import LabelTable
from .finding import some
from .folders import split_of

SEPARATORS = (",", ";", "\t")
Row = tuple[str, str, str]  # file, label, split


@dataclass(frozen=True)
class Labels:
    """Which files (n,) have a row with a label, and what it says."""

    found: np.ndarray
    texts: np.ndarray
    splits: np.ndarray | None
    decisions: list[str] = field(default_factory=list)


def read_labels(table: LabelTable, root: Path, folder: Path, below: Sequence[str], wanted: np.ndarray) -> Labels:
    """The labels of the files `below` a folder, of which the `wanted` need one.

    A UserError, one line, for a table that cannot be read or contradicts itself, and unless they are to be dropped for
    files without a row, rows without a file, and rows without a label.
    """
    path = _existing(table, root, folder)
    rows = _rows(path, table)
    how, of_row = _matched(rows, below, os.path.relpath(folder, path.parent))
    texts, splits = np.full(len(below), "", object), np.full(len(below), "", object)
    contradicting: list[str] = []
    for (name, text, split), number in zip(rows, of_row, strict=True):
        if number is not None:
            if texts[number] not in ("", text) or splits[number] not in ("", split):
                contradicting.append(name)
            texts[number], splits[number] = text, split
    if contradicting:
        raise UserError(f"{path}: says different things of {len(contradicting):,} files: {some(contradicting)}")
    found = texts != ""
    named = np.zeros(len(below), bool)
    named[[number for number in of_row if number is not None]] = True
    faults = {
        "files have no row": [name for name, yes in zip(below, wanted & ~named, strict=True) if yes],
        "rows name no file": [row[0] for row, number in zip(rows, of_row, strict=True) if number is None],
        "files have a row without a label": [
            name for name, yes in zip(below, wanted & named & ~found, strict=True) if yes
        ],
    }
    wrong = [f"{len(names):,} {what} ({some(names)})" for what, names in faults.items() if names]
    if wrong and table.unmatched == "refuse":
        raise UserError(
            f"{path}: {', and '.join(wrong)}: correct the table, name files as they lie below {folder}, or set"
            " data.labels.unmatched to drop"
        )
    if not (found & wanted).any():
        raise UserError(f"{path}: no row names one of the {len(below):,} files below {folder} and its label")
    said = [f"Labels were taken from the column {table.label!r} of {path.name}, whose rows name files by {how}."]
    said += [f"Left out, since {each}." for each in wrong]
    return Labels(found, texts, None if table.split is None else _splits(path, table, splits, found), said)


def _existing(table: LabelTable, root: Path, folder: Path) -> Path:
    path = root / table.file
    if path.is_file():
        return path
    near = folder / table.file
    instead = (
        f"; did you mean {near.relative_to(root) if near.is_relative_to(root) else near}?" if near.is_file() else ""
    )
    raise UserError(
        f"params.yaml: data.labels.file: {table.file}: is no file; paths count from the project's folder on{instead}"
    )


def _rows(path: Path, table: LabelTable) -> list[Row]:
    """The cells of the columns, in the order of the rows; empty rows are none."""
    wanted = [table.path, table.label, *([table.split] if table.split is not None else [])]
    encoding = "utf-8-sig" if table.encoding.lower().replace("_", "-") in ("utf-8", "utf8") else table.encoding
    try:
        with path.open(encoding=encoding, newline="") as file:
            lines = file.read().splitlines(keepends=True)
    except UnicodeError as error:
        raise UserError(
            f"{path}: is not stored as {table.encoding} ({error.__class__.__name__}): set data.labels.encoding, to"
            " cp1252 for instance"
        ) from None
    try:
        return _cells(path, lines, wanted)
    except csv.Error as error:
        raise UserError(f"{path}: cannot be read as a table: {error}") from None


def _cells(path: Path, lines: Sequence[str], wanted: Sequence[str]) -> list[Row]:
    """The cells of the wanted columns, by the separator with which the first line has them."""
    if not lines:
        raise UserError(f"{path}: is empty: must have a first line with the names of its columns")
    heads = {each: [name.strip() for name in next(csv.reader(lines, delimiter=each))] for each in SEPARATORS}
    separator = next((each for each, head in heads.items() if set(wanted) <= set(head)), None)
    if separator is None:
        head = max(heads.values(), key=len)
        missing = [name for name in wanted if name not in head]
        raise UserError(f"{path}: has no column {some(map(repr, missing))}; there are: {', '.join(head)}")
    places = [heads[separator].index(name) for name in wanted]
    cells = [row for row in csv.reader(lines, delimiter=separator) if any(cell.strip() for cell in row)][1:]
    short = [number for number, row in enumerate(cells, 2) if len(row) <= max(places)]
    if short:
        raise UserError(f"{path}: {len(short):,} lines have too few cells: {some(short)}")
    chosen = [[row[place].strip() for place in places] for row in cells]
    return [(row[0], row[1], row[2] if len(row) > 2 else "") for row in chosen]


def _matched(rows: Sequence[Row], below: Sequence[str], place: str) -> tuple[str, list[int | None]]:
    """How the rows name files, and which file each names: in the way in which most of them name one.

    `place` is the folder of the files, from that of the table on. Of several files of one name none is meant.
    """
    ways: dict[str, Callable[[str], str]] = {
        "their paths": lambda name: name,
        "their paths from the table's folder on": lambda name: posixpath.normpath(f"{place}/{name}"),
        "their names": posixpath.basename,
        "their paths without endings": lambda name: posixpath.splitext(name)[0],
        "their names without endings": lambda name: posixpath.splitext(posixpath.basename(name))[0],
    }
    best: tuple[str, list[int | None]] = ("their paths", [None] * len(rows))
    cleaned = [posixpath.normpath(row[0].replace("\\", "/")) for row in rows]
    for how, key in ways.items():
        known: dict[str, int | None] = {}
        for number, name in enumerate(map(key, below)):
            known[name] = None if name in known else number
        found = [known.get(name) for name in cleaned]
        if _hits(found) > _hits(best[1]):
            best = how, found
    return best


def _hits(found: Sequence[int | None]) -> int:
    return sum(number is not None for number in found)


def _splits(path: Path, table: LabelTable, texts: np.ndarray, found: np.ndarray) -> np.ndarray:
    """The splits that rows name; a UserError for other names."""
    splits = np.array([split_of(text) or "" for text in texts], object)
    unknown = sorted(set(texts[found & (splits == "")].tolist()))
    if unknown:
        raise UserError(
            f"{path}: column {table.split!r} holds {some(map(repr, unknown))}: must be train, val or test in each row"
        )
    return splits
