"""What of an example is to be drawn anew, by name, at random, or as painted, and the Python that hides the same."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IMAGE_MASKS = ("Bottom half", "Top half", "Left half", "Right half", "Centre", "Random pixels")
SEQUENCE_MASKS = ("Second half", "First half", "Middle", "Random steps")
PAINTED = "As painted"


@dataclass(frozen=True)
class Hidden:
    """Which numbers (*event) are hidden, the same for all channels, and the index that says so of an array `x`."""

    mask: np.ndarray
    index: str


def of_image(name: str, shape: Sequence[int], seed: int) -> Hidden:
    """A named part of an image (C, H, W)."""
    _, height, width = shape
    if name == "Random pixels":
        return _random(shape, (height, width), seed)
    top, left = height // 4, width // 4
    rows, columns = {
        "Bottom half": (slice(height // 2, None), slice(None)),
        "Top half": (slice(None, height // 2), slice(None)),
        "Left half": (slice(None), slice(None, width // 2)),
        "Right half": (slice(None), slice(width // 2, None)),
        "Centre": (slice(top, height - top), slice(left, width - left)),
    }[name]
    return _sliced(shape, rows, columns)


def of_sequence(name: str, shape: Sequence[int], seed: int) -> Hidden:
    """A named part of a sequence (1, T)."""
    length = shape[-1]
    if name == "Random steps":
        return _random(shape, (length,), seed)
    steps = {
        "Second half": slice(length // 2, None),
        "First half": slice(None, length // 2),
        "Middle": slice(length // 4, length - length // 4),
    }[name]
    return _sliced(shape, steps)


def of_pixels(pixels: Sequence[int], shape: Sequence[int]) -> Hidden:
    """Pixels of an image, counted row by row."""
    _, height, width = shape
    mask = np.zeros(height * width, dtype=bool)
    mask[list(pixels)] = True
    rows, columns = np.nonzero(mask.reshape(height, width))
    index = f"[:, :, {rows.tolist()}, {columns.tolist()}]"
    return Hidden(np.broadcast_to(mask.reshape(height, width), tuple(shape)), index)


def _random(shape: Sequence[int], places: tuple[int, ...], seed: int) -> Hidden:
    """Each place with probability 1/2."""
    mask = np.random.default_rng(seed).random(places) < 0.5
    return Hidden(np.broadcast_to(mask, tuple(shape)), f"[..., np.random.default_rng({seed}).random({places}) < 0.5]")


def _sliced(shape: Sequence[int], *parts: slice) -> Hidden:
    mask = np.zeros(tuple(shape), dtype=bool)
    mask[(slice(None), *parts)] = True
    written = ", ".join(f"{_end(part.start)}:{_end(part.stop)}" for part in parts)
    return Hidden(mask, f"[:, :, {written}]")


def _end(place: int | None) -> str:
    return "" if place is None else str(place)
