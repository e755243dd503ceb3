"""The models of a page: what they are called there, and what they are asked."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..mistake import refused
from ..model_uri import Model, is_uri
from .python_lines import Loading

ROWS = ("vector", "table")  # kinds of events that are rows with columns


@dataclass(frozen=True)
class Opened:
    """A loaded model, its `title` on the page, and how it is loaded in Python.

    One request is answered at a time: a model is not asked by two threads at once.
    """

    title: str
    model: Model
    loading: Loading
    lock: threading.Lock = field(default_factory=threading.Lock, compare=False, repr=False)

    def ask(self, data: Any, params: dict[str, Any]) -> Any:
        """The answer to a request; what the model refuses is raised as a `Mistake`."""
        with self.lock, refused():
            return self.model.answer(data, params)

    def offers(self, task: str) -> bool:
        """Can it be asked for this?"""
        return task in self.model.tasks

    @property
    def kind(self) -> str:
        """What one example is: image, sequence, vector or table."""
        return str(self.model.event.kind)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes; none of an unconditional model."""
        return tuple(self.model.classes.names)

    @property
    def columns(self) -> list[str]:
        """The names of a row's columns, those of unnamed ones by their positions."""
        return list(self.model.columns) or [f"x{place}" for place in range(self.model.event.dimensions)]

    @property
    def label_column(self) -> str | None:
        """The column of a table that has the classes, if the model is conditional."""
        return None if self.model.table is None else self.model.table.label

    @property
    def in_words(self) -> str:
        """What it is a model of, in a few words."""
        event = self.model.event
        if self.kind == "image":
            channels, height, width = event.shape
            what = f"images of {width}×{height} pixels" + (f" in {channels} channels" if channels > 1 else "")
        elif self.kind == "sequence":
            what = f"{'sounds' if self.model.data.get('sample_rate') else 'series'} of {event.shape[-1]:,} steps"
        else:
            what = f"rows of {event.dimensions} column{'s' if event.dimensions > 1 else ''}"
        return f"{what}, {len(self.classes)} classes" if self.classes else what


def titles(names: Sequence[str]) -> list[str]:
    """Short names for models, where they differ: digits-vae@champion for models:/digits-vae@champion."""
    short = [name.partition(":/")[2] if is_uri(name) else Path(name).name or name for name in names]
    return [
        brief if short.count(brief) == 1 else f"{name} ({place})" if list(names).count(name) > 1 else name
        for place, (brief, name) in enumerate(zip(short, names, strict=True), 1)
    ]


def as_frame(opened: Opened, values: Any) -> pd.DataFrame:
    """Rows that a model answered, with the names of their columns."""
    return values if isinstance(values, pd.DataFrame) else pd.DataFrame(np.asarray(values), columns=opened.columns)
