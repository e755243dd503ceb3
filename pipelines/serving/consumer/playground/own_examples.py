"""Examples that are scored, completed and encoded: samples, or one's own, with the Python that makes them."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..array_files import image_levels, open_image, read_array, read_sound
from ..mistake import Mistake
from ..table_files import read_tables
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


def from_sound(opened: Opened, path: str) -> Example:
    """A recording in a WAV file, of which the beginning is taken if it is too long."""
    length = opened.model.event.shape[-1]
    x = read_sound(Path(path), opened.model)
    if x.shape[-1] < length:
        raise Mistake(f"{Path(path).name}: has {x.shape[-1]:,} samples; the model's sounds have {length:,}")
    cut = x.shape[-1] - length
    return _own(x[..., :length], f"The last {cut:,} samples of your recording were left out." if cut else "")


def from_file(opened: Opened, path: str) -> Example:
    """One's own example in a file of the kind that the model knows."""
    if opened.kind == "image":
        return from_image(opened, path)
    return from_sound(opened, path) if path.lower().endswith(".wav") else from_array(opened, path)


def own_endings(opened: Opened) -> tuple[str, list[str]]:
    """What one's own examples are called, and the files that they are taken from."""
    if is_row(opened):
        return "rows", [".csv", ".tsv", ".parquet"]
    if opened.kind == "image":
        return "image", ["image"]
    return ("sound", [".wav", ".npy"]) if opened.model.data.get("sample_rate") else (".npy", [".npy"])


def from_files(opened: Opened, paths: Sequence[str]) -> Example:
    """Two examples: two files, or a table with two rows."""
    if is_row(opened):
        table = pd.concat(list(read_tables(Path(paths[0]), None, ()))) if len(paths) == 1 else pd.DataFrame()
        if len(table) != 2:
            raise Mistake("Choose one file with two rows.")
        return _own_rows(opened, table)
    if len(paths) != 2:
        raise Mistake(f"Choose two files at once, not {len(paths)}.")
    both = [from_file(opened, path) for path in paths]
    notes = dict.fromkeys(each.note for each in both if each.note)
    return _own(np.concatenate([each.data for each in both]), " ".join(notes))


def _own_rows(opened: Opened, table: pd.DataFrame) -> Example:
    names = [name for name in opened.columns if name not in table.columns]
    if names:
        raise Mistake(f"{', '.join(names)}: is missing; the columns must be {', '.join(opened.columns)}")
    given = [*opened.columns, *([opened.label_column] if opened.label_column in table.columns else [])]
    others = ", ".join(str(name) for name in table.columns if name not in given)
    x, note = table[given].reset_index(drop=True), f"Not known to the model: {others}." if others else ""
    if opened.kind == "vector":
        values = x.apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        return Example(values, f"x = np.array({written(values.tolist())})", note=note)
    return Example(x, f"x = {frame(x)}", note=note)


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
