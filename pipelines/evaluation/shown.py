"""Which examples are shown: where there are few classes some of each, side by side, so that an eye can judge them."""

from __future__ import annotations

import numpy as np

from models.contract import Event

from ..data.spread import spread

ROWS = 8  # of a grid of images
WIDEST = 16  # columns of a grid
CLIPS = 10  # sequences, one per class
UNLABELLED_CLIPS = 6
POINTS = 2000  # vectors, each a point of a scatter plot
TEMPERED = 500  # vectors at each temperature


def columns(classes: int) -> int:
    """The columns of a grid of examples."""
    return classes if 1 < classes <= WIDEST else ROWS


def shown(event: Event) -> int:
    """How many examples are shown."""
    if event.kind == "image":
        return ROWS * columns(event.classes)
    if event.kind == "sequence":
        return min(CLIPS, event.classes) if event.classes > 1 else UNLABELLED_CLIPS
    return POINTS


def column_labels(event: Event) -> np.ndarray:
    """The labels of the examples that are shown, row after row of a grid: where the columns are classes, theirs."""
    return np.arange(shown(event)) % max(1, event.classes)


def temperature_labels(event: Event) -> np.ndarray:
    """The labels of the samples that are shown at each temperature: those of the first row of a grid, or so."""
    count = {"image": columns(event.classes), "sequence": 2, "vector": TEMPERED, "table": TEMPERED}[event.kind]
    return np.arange(count) % max(1, event.classes)


def chosen(event: Event, count: int, labels: np.ndarray | None) -> np.ndarray:
    """The rows of a split of `count` examples that are shown, with these labels (count,), if there are any.

    They are evenly spread: over the split, or over each class in the order of `column_labels`. To fill a grid, a class
    that has too few is repeated; one that has none is left out.
    """
    if labels is None:
        return spread(count, shown(event))
    wanted = column_labels(event)
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(event.classes + 1))
    rows = np.full(len(wanted), -1)
    for label in np.unique(wanted):
        has, places = order[starts[label] : starts[label + 1]], np.flatnonzero(wanted == label)
        some = has[spread(len(has), len(places))]
        if event.kind == "vector":
            rows[places[: len(some)]] = some
        elif len(some):
            rows[places] = np.resize(some, len(places))
    return rows[rows >= 0]


def as_columns(labels: np.ndarray | None) -> list[int]:
    """The labels of a grid's columns, if each column of examples with these labels is one class; else none."""
    if labels is None:
        return []
    width = len(np.unique(labels))
    if not 1 < width <= WIDEST or len(labels) % width:
        return []
    rows = labels.reshape(-1, width)
    return [int(label) for label in rows[0]] if (rows == rows[0]).all() else []
