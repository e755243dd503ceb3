"""What the sources have in common: finding files, their checksums, labels from paths, and arrays put on disk."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import UserError
from ...files import file_digest
from ..rows import Rows, RowsWriter

NAMED = 5  # how many files or values a message names
CLASSES = 1000  # more different labels than this are no labels


def existing(path: Path, key: str = "data.path") -> Path:
    """The path, if there is something; a UserError names the parameter that gave it."""
    if not path.exists():
        raise UserError(f"params.yaml: {key}: {path}: does not exist; put the data there, or correct the path")
    return path


def find(folder: Path, suffixes: Sequence[str]) -> list[Path]:
    """All files below a folder with one of these suffixes, in order of their paths; a UserError if there are none."""
    existing(folder)
    if not folder.is_dir():
        raise UserError(
            f"params.yaml: data.path: {folder}: is a file: must be a folder with {', '.join(suffixes)} files"
        )
    found = sorted(
        path
        for path in folder.rglob("*")
        if path.name.lower().endswith(tuple(suffixes)) and not _hidden(path.relative_to(folder)) and path.is_file()
    )
    if not found:
        raise UserError(
            f"params.yaml: data.path: {folder}: holds no {', '.join(suffixes)} files, nor do its subfolders"
        )
    return found


def _hidden(path: Path) -> bool:
    """Does a part of the path begin with a dot, or is it what macOS leaves in archives?"""
    return any(part.startswith(".") or part == "__MACOSX" for part in path.parts)


def some(names: Iterable[Any]) -> str:
    """The first few of several names, and how many more there are."""
    listed = [str(name) for name in names]
    more = f" and {len(listed) - NAMED} more" if len(listed) > NAMED else ""
    return ", ".join(listed[:NAMED]) + more


def put(spool: Path, name: str, array: np.ndarray) -> Rows:
    """An array in memory as rows on disk."""
    with RowsWriter(spool / f"{name}.npy", array.shape[1:], array.dtype) as writer:
        writer.append(array)
    return Rows(writer.path)


def checksum(paths: Sequence[Path], folder: Path) -> dict[str, str]:
    """The SHA-256 of each file; of more than ten that of all together, names included."""
    if len(paths) <= 10:
        return {_below(path, folder): file_digest(path) for path in paths}
    digest = hashlib.sha256()
    for path in paths:
        digest.update(f"{_below(path, folder)}\n{file_digest(path)}\n".encode())
    return {f"{len(paths):,} files": digest.hexdigest()}


def _below(path: Path, folder: Path) -> str:
    """The path from a folder on; of a file that lies elsewhere the whole path."""
    return (path.relative_to(folder) if path.is_relative_to(folder) else path).as_posix()


def labels_of(paths: Sequence[Path], folder: Path, rule: str | None) -> tuple[np.ndarray | None, list[str]]:
    """The label of each file and the names of the labels: from its folder, or from a group of a regular expression.

    Without a rule, or where all files lie in one folder, there are none. A UserError names files that do not match.
    """
    if rule is None:
        return None, []
    below = [path.relative_to(folder) for path in paths]
    if rule == "folders":
        texts = [path.parent.name for path in below]
        if len(set(texts)) == 1:
            return None, []
        if "" in texts:
            loose = some(path for path, text in zip(below, texts, strict=True) if not text)
            raise UserError(f"{folder}: {loose}: in no folder, so without a label: move, or set data.labels to null")
    else:
        found = [re.search(rule, path.as_posix()) for path in below]
        without = [path for path, match in zip(below, found, strict=True) if match is None or match[1] is None]
        if without:
            raise UserError(f"params.yaml: data.labels: {rule!r} does not match {some(without)}")
        texts = [match[1] for match in found if match is not None]
    return coded(texts)


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
        return sorted(listed, key=float)
    except ValueError:
        return sorted(listed)


def official_test(paths: Sequence[Path], folder: Path, pattern: str | None) -> np.ndarray:
    """Which files belong to the official test split; a UserError for a pattern that none or all match."""
    if pattern is None:
        return np.zeros(len(paths), bool)
    chosen = np.array([bool(re.search(pattern, path.relative_to(folder).as_posix())) for path in paths])
    if not chosen.any() or chosen.all():
        how_many = "every file" if chosen.all() else "no file"
        raise UserError(f"params.yaml: data.test_files: {pattern!r} matches {how_many} below {folder}")
    return chosen
