"""How many examples of one split also stand in another, counted by 64-bit hashes of their bytes, with little memory."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

from ..rows import Rows

HELD = 1 << 24  # hashes that are held at once: 128 MiB
PRIME = np.uint64(0x9E3779B97F4A7C15)


def duplicates(splits: dict[str, Rows]) -> dict[str, int]:
    """For each pair of splits, the smaller one's examples that also stand in the other: {"test in train": 3, …}."""
    found = {}
    for one, other in combinations(splits, 2):
        small, large = sorted((one, other), key=lambda name: (len(splits[name]), name != other))
        found[f"{small} in {large}"] = sum(_also_in(held, splits[large]) for held in _held(splits[small]))
    return found


def _held(rows: Rows) -> Iterator[np.ndarray]:
    """The hashes of all rows, at most `HELD` at a time."""
    waiting: list[np.ndarray] = []
    for chunk in rows.chunks():
        waiting.append(row_hashes(chunk))
        if sum(map(len, waiting)) >= HELD:
            yield np.concatenate(waiting)
            waiting = []
    if waiting:
        yield np.concatenate(waiting)


def _also_in(held: np.ndarray, rows: Rows) -> int:
    """How many of the held hashes occur among the rows."""
    order = np.sort(held)
    seen = np.zeros(len(order), bool)
    for chunk in rows.chunks():
        hashes = row_hashes(chunk)
        place = np.searchsorted(order, hashes)
        there = (place < len(order)) & (order[np.minimum(place, len(order) - 1)] == hashes)
        seen[place[there]] = True
    # Only the first of equal hashes was marked: count all of them.
    first = np.maximum.accumulate(np.where(np.r_[True, order[1:] != order[:-1]], np.arange(len(order)), 0))
    return int(seen[first].sum())


def row_hashes(x: np.ndarray) -> np.ndarray:
    """A 64-bit hash (n,) of each row of x (n, …): a multiply-and-mix of its words, each with a factor of its own."""
    content = np.ascontiguousarray(x).reshape(len(x), -1).view(np.uint8)
    padded = np.pad(content, ((0, 0), (0, -content.shape[1] % 8))).view(np.uint64)
    factors = np.random.default_rng(0).integers(0, 2**63, padded.shape[1], np.uint64) * np.uint64(2) + np.uint64(1)
    mixed = (padded ^ (padded >> np.uint64(29))) * factors
    mixed ^= mixed >> np.uint64(32)
    h = mixed.sum(1, dtype=np.uint64) * PRIME
    return h ^ (h >> np.uint64(31))
