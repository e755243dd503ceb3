"""What the sources have in common: finding files, their checksums, numbers of labels, and arrays put on disk."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import file_digest
from ..rows import Rows, RowsWriter

NAMED = 5  # how many files or values a message names
CLASSES_NAMED = 20  # how many classes, or endings, with their counts
CLASSES = 1000  # more different labels than this are no labels


def existing(path: Path, key: str = "data.path") -> Path:
    """The path, if there is something; a UserError names the parameter that gave it."""
    if not path.exists():
        raise UserError(f"params.yaml: {key}: {path}: does not exist; put the data there, or correct the path")
    return path


@dataclass(frozen=True)
class Found:
    """What a folder holds, in order of the paths: the files that are wanted, and what is passed over."""

    paths: list[Path]
    others: list[Path]
    hidden: int
    empty: list[Path]  # folders without any file, in themselves or below


def find(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """All files below a folder with one of these suffixes, in order of their paths; a UserError if there are none."""
    return look(folder, suffixes).paths


def look(folder: Path, suffixes: Sequence[str]) -> Found:
    """All files below a folder, links followed, by whether they have one of these suffixes; a UserError if none has."""
    existing(folder)
    if not folder.is_dir():
        raise UserError(
            f"params.yaml: data.path: {folder}: is a file: must be a folder with {', '.join(suffixes)} files"
        )
    there = sorted(_files(folder))
    seen = [path for path in there if not _hidden(path.relative_to(folder))]
    wanted = [path for path in seen if path.name.lower().endswith(tuple(suffixes))]
    others = [path for path in seen if not path.name.lower().endswith(tuple(suffixes))]
    if not wanted:
        instead = f"; there are {by_ending(others)}" if others else ""
        raise UserError(
            f"params.yaml: data.path: {folder}: holds no {', '.join(suffixes)} files, nor do its subfolders{instead}"
        )
    holding = {place for path in there for place in path.parents}
    places = [Path(place) for place, _, _ in os.walk(folder)]
    empty = [path for path in places if path not in holding and not _hidden(path.relative_to(folder))]
    outermost = [path for path in sorted(empty) if path.parent in holding or path.parent == folder]
    return Found(wanted, others, len(there) - len(seen), outermost)


def _files(folder: Path) -> Iterator[Path]:
    """All files below a folder; a link to a folder is followed unless it leads to where the walk has been."""
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        seen.add(os.path.realpath(place))
        folders[:] = [name for name in folders if os.path.realpath(os.path.join(place, name)) not in seen]
        yield from (Path(place, name) for name in files)


def by_ending(paths: Iterable[Path]) -> str:
    """How many files there are of each ending, the most frequent first."""
    counts = Counter(path.suffix.lower() or "no ending" for path in paths)
    return counted(sorted(counts.items(), key=lambda item: (-item[1], item[0])), before=True)


def counted(counts: Iterable[tuple[str, int]], most: int = CLASSES_NAMED, before: bool = False) -> str:
    """Names with their counts, `cat (12), dog (7)`, or `12 .txt, 7 .db` with the counts before; at most so many."""
    listed = list(counts)
    named = [f"{count:,} {name}" if before else f"{name} ({count:,})" for name, count in listed[:most]]
    more = f" and {len(listed) - most:,} more" if len(listed) > most else ""
    return ", ".join(named) + more


def _hidden(path: Path) -> bool:
    """Does a part of the path begin with a dot, or is it what macOS leaves in archives?"""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def some(names: Iterable[Any]) -> str:
    """The first few of several names, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more


def quoted(name: str) -> str:
    """A name as it can stand in a list of YAML."""
    return name if name.replace("_", "a").replace(" ", "a").isalnum() and not name[0].isdigit() else repr(name)


def differing_in_capitals(names: Iterable[str]) -> list[list[str]]:
    """The groups of names that are the same but for capitals."""
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(name.casefold(), []).append(name)
    return [sorted(group) for group in groups.values() if len(group) > 1]


def put(spool: Path, name: str, array: np.ndarray) -> Rows:
    """An array in memory as rows on disk."""
    with RowsWriter(spool / f"{name}.npy", array.shape[1:], array.dtype) as writer:
        writer.append(array)
    return Rows(writer.path)


def checksum(paths: Sequence[Path], folder: Path) -> dict[str, str]:
    """The SHA-256 of each file; of more than ten that of all together, names included."""
    if len(paths) <= 10:
        return {_below(path, folder): _digest(path) for path in paths}
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{_below(path, folder)}\n{_digest(path)}\n".encode())
    return {f"{len(paths):,} files": digest.hexdigest()}


def _digest(path: Path) -> str:
    """The digest of a file; of one that cannot be opened, which was skipped then, a word instead."""
    try:
        return file_digest(path)
    except OSError:
        return "unreadable"


def _below(path: Path, folder: Path) -> str:
    """The path from a folder on; of a file that lies elsewhere the whole path."""
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def coded(texts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Labels as numbers 0, 1, … of their sorted names (numbers in numerical order)."""
    names = in_order(set(texts))
    number = {name: index for index, name in enumerate(names)}
    return np.array([number[text] for text in texts], np.int64), names


def in_order(names: Iterable[str]) -> list[str]:
    """Names sorted, those that are all numbers by their value. A UserError if there are too many to be labels."""
    listed = list(names)
    if len(listed) > CLASSES:
        raise UserError(f"params.yaml: data: {len(listed):,} different labels: at most {CLASSES:,} are allowed")
    try:
        return sorted(listed, key=lambda name: (float(name), name))
    except ValueError:
        return sorted(listed)
