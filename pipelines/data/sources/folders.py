"""What the folders of files mean: which level names official splits, and which one the labels.

Folders are those between `data.path` and a file, outermost first: `cat`, `raw` of cat/raw/1.png.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from itertools import zip_longest

Folders = tuple[str, ...]

SPLIT = re.compile(
    r"(?:(?P<train>train|training|trn)|(?P<val>val|valid|validation|dev)|(?P<test>test|testing|tst))"
    r"(?:[ _.-]?(?:set|split|data|files|images|imgs|audio|wavs?|\d{4}))?",
    re.IGNORECASE,
)
# Names of parts of a collection, which say when or how it was made and not what is seen: dates, batch_2, raw.
ORGANISING = re.compile(
    r"(?:19|20)\d\d(?:[-_.]?\d\d){0,2}"
    r"|(?:batch|part|fold|session|shard|chunk|set|week|month|day)[ _-]?\d+"
    r"|raw|processed|images?|imgs|pictures|photos|audio|wavs?|recordings",
    re.IGNORECASE,
)


def split_of(folder: str) -> str | None:
    """The split that a folder is called after: train, val or test."""
    found = SPLIT.fullmatch(folder)
    return None if found is None else found.lastgroup


def split_level(places: Collection[Folders]) -> int | None:
    """The outermost level at which every folder is called after a split, the training split among them."""
    for level in range(min(map(len, places))):
        names = {split_of(folders[level]) for folders in places}
        if None not in names and "train" in names and len(names) > 1:
            return level
    return None


def first_difference(places: Collection[Folders]) -> int | None:
    """The outermost level at which folders differ, or where some end; None if there is just one place."""
    for level, names in enumerate(zip_longest(*set(places))):
        if len(set(names)) > 1:
            return level
    return None


def label_level(places: Collection[Folders]) -> int | None:
    """The level whose folders are the labels, None if all files lie in one place.

    It is the outermost one at which they differ: cat and dog for cat/2023, cat/2024 and dog/2023. A level is passed by
    if it only organises the files, as in 2023/cat and 2024/dog, or if the same numbered classes lie in each of its
    folders, as in left/0, left/1, right/0 and right/1.
    """
    first = first_difference(places)
    if first is None:
        return None
    deepest = min(map(len, places))
    for level in range(first, deepest):
        names = {folders[level] for folders in places}
        if len(names) > 1 and not all(map(ORGANISING.fullmatch, names)):
            return _numbered_within(level, places, deepest)
    return first


def _numbered_within(outer: int, places: Collection[Folders], deepest: int) -> int:
    """The level below `outer` that has the same folders 0, 1, … (or 1, 2, …) in each of the outer ones; else that."""
    for level in range(deepest - 1, outer, -1):
        within: dict[str, set[str]] = {}
        for folders in places:
            within.setdefault(folders[outer], set()).add(folders[level])
        names = sorted(next(iter(within.values())))
        numbers = [sorted(map(str, range(start, start + len(names)))) for start in (0, 1)]
        if len(names) > 1 and names in numbers and len(set(map(frozenset, within.values()))) == 1:
            return level
    return outer


def without(level: int | None, folders: Folders) -> Folders:
    """The folders but that of a level."""
    return folders if level is None else (*folders[:level], *folders[level + 1 :])


def deeper(level: int, places: Sequence[Folders]) -> list[str]:
    """The names of the innermost folders, if they are others than at a level: a user may mean those."""
    names = {folders[-1] for folders in places}
    return sorted(names) if len(names) > 1 and names != {folders[level] for folders in places} else []
