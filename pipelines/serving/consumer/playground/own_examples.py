"""Examples that are scored, completed and encoded: samples, or one's own, with the Python that makes them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..array_files import image_levels, open_image, read_array
from ..mistake import Mistake
from .opened import ROWS, Opened, as_frame
from .python_lines import array, frame, plain, written

FILE = "example.npy"  # what an own example is called that is too long to be written out
NUMBERS = ("real", "integer")  # kinds of columns whose values are written as numbers


@dataclass(frozen=True, eq=False)  # Gradio hashes what a page holds: another object is another example
class Example:
    """Examples as a model is given them, `python` that makes them as `x`, and the name of their class if it is known.

    `file` is what the Python reads, `note` a sentence on what was done to them.
    """

    data: Any
    python: str
    label: str | None = None
    file: str | None = None
    note: str = ""


def drawn(opened: Opened, seed: int, label: str | None = None, n: int = 1) -> Example:
    """Samples of the model, all of one class if there are classes and one is named."""
    labels = [label] if label is not None else []
    params = plain({"task": "sample", "n": n, "seed": seed, "labels": labels})
    x = opened.ask(None, params)
    column = opened.label_column
    found = x.attrs.get("labels") or (list(x[column]) if column is not None else [None])
    return Example(x, f"x = {opened.loading.call('None', params)}", found[0])


def from_image(opened: Opened, path: str) -> Example:
    """An image file, brought to the size and the colours of the model's images."""
    event, palette = opened.model.event, opened.model.data.get("palette")
    _, height, width = event.shape
    image = open_image(Path(path))
    note = ""
    if image.size != (width, height):
        note = f"Your image of {image.width}×{image.height} pixels was brought to {width}×{height}."
        image = image.convert("RGBA" if event.shape[0] == 4 else "RGB").resize((width, height))
    levels, moved = image_levels(image, event, palette)
    if moved:
        note += f" {moved} pixels took the nearest colour of the model's palette."
    return _own(levels[None].astype(np.uint8), note.strip())


def from_array(opened: Opened, path: str) -> Example:
    """One example in a .npy file, in the units of the data."""
    event = opened.model.event
    x = np.asarray(read_array(Path(path)))
    if x.size != event.dimensions:
        raise Mistake(f"{Path(path).name}: holds {x.size:,} numbers; an example of the model has {event.dimensions:,}")
    return _own(x.reshape(1, *event.shape), "")


def _own(x: np.ndarray, note: str) -> Example:
    expression = array(x, FILE)
    file = None
    if FILE in expression:
        file = str(Path(tempfile.mkdtemp(prefix="genera-play-")) / FILE)
        np.save(file, x)
    return Example(x, f"x = {expression}", None, file, note)


def cells(opened: Opened, example: Example) -> list[list[str]]:
    """A row as the table that is edited on the page: a line of a name and a text for each column."""
    row = as_frame(opened, example.data).iloc[0]
    return [[str(name), "" if pd.isna(value) else _text(value)] for name, value in row.items()]


def _text(value: Any) -> str:
    return f"{value:.7g}" if isinstance(value, float | np.floating) else str(value)


def from_cells(opened: Opened, lines: Sequence[Sequence[Any]]) -> Example:
    """The row that such a table is: blank cells are gaps."""
    wrong: list[str] = []
    known = {*opened.columns, opened.label_column}
    others = [str(name) for name, text in lines if str(name) not in known and not _blank(text)]
    if others:
        raise Mistake(f"{', '.join(others)}: is no column of the model: its columns are {', '.join(opened.columns)}")
    row = {str(name): _value(opened, str(name), text, wrong) for name, text in lines if str(name) in known}
    if wrong:
        raise Mistake(f"{'; '.join(wrong)}: must be numbers, or blank")
    label = row.get(opened.label_column or "")
    if opened.label_column in row and label is None:
        del row[opened.label_column]
    if opened.model.columns:
        table = pd.DataFrame([row])
        return Example(table, f"x = {frame(table)}", None if label is None else str(label))
    numbers = np.array([[np.nan if value is None else value for value in row.values()]], np.float64)
    return Example(numbers, f"x = np.array({written(numbers.tolist())})")


def _value(opened: Opened, name: str, text: Any, wrong: list[str]) -> Any:
    """A cell's value: a number where the column has numbers; the model says which texts it knows."""
    if _blank(text):
        return None
    text = str(text).strip()
    if name == opened.label_column:
        return text
    if opened.kind == "table" and opened.model.table.types[name]["kind"] not in NUMBERS:
        return text
    try:
        return int(text) if text.lstrip("+-").isdigit() else float(text)
    except ValueError:
        if opened.kind == "table":
            return text
        wrong.append(f"{name}: {text!r}")
        return None


def _blank(text: Any) -> bool:
    return bool(pd.isna(text)) or not str(text).strip()


def is_row(opened: Opened) -> bool:
    """Is an example of this model a row, which is edited on the page?"""
    return opened.kind in ROWS
