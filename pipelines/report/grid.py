"""Which examples a grid shows: one class per column where there are few classes, so that an eye can judge them."""

from __future__ import annotations

import numpy as np

from models.contract import Event

ROWS = 8
WIDEST = 16  # columns


def columns(event: Event) -> int:
    """The columns of a grid of examples."""
    return event.classes if 1 < event.classes <= WIDEST else ROWS


def column_labels(event: Event) -> np.ndarray:
    """The labels of a grid's examples, row after row, where the columns are classes."""
    return np.arange(ROWS * columns(event)) % max(1, event.classes)


def first_of_each_class(labels: np.ndarray, event: Event) -> np.ndarray:
    """The rows of a data set that fill such a grid: the first of each class, in order; repeated if there are few."""
    by_class = {label: np.flatnonzero(labels == label) for label in range(event.classes)}
    return np.array(
        [by_class[label][i // event.classes % len(by_class[label])] for i, label in enumerate(column_labels(event))]
    )
