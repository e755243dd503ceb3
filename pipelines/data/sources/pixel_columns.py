"""Columns of a table that are the pixels of an image, or the levels of a sequence: the option `shape` of tables."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ...errors import UserError
from ...params.data_section import Arrays
from ...params.table_sections import Table
from ..rows import Rows
from . import Part
from .arrays import as_examples
from .choosing import Choice
from .finding import some

NUMBERED = re.compile(r"(.*?)(\d+)")
PIXEL = re.compile(r"(pix(el)?s?|px)[ _.-]?\d+|\d+x\d+", re.IGNORECASE)
FEWEST = 16  # columns that may be pixels
MANY = 128  # the greatest number, from which there are 256 levels without a word


def pixels(choice: Choice, data: Table) -> tuple[Choice, list[str]]:
    """The columns in the order of the pixels, and what is said of it. A UserError if they are not as many."""
    assert data.shape is not None
    wanted, names = math.prod(data.shape), choice.columns
    if len(names) != wanted:
        others = [name for name in names if not PIXEL.fullmatch(name)]
        odd = f", of which {some(others)} may be none" if others and len(names) > wanted else ""
        raise UserError(
            f"params.yaml: data.shape: {list(data.shape)} is of {wanted:,} columns, and {len(names):,} are chosen{odd}:"
            " set data.label to the column of labels, leave columns out with data.exclude, or correct the shape"
        )
    places = _numbers(names)
    ordered = names if places is None else [names[at] for at in sorted(range(wanted), key=places.__getitem__)]
    said = [f"The columns are the numbers of {'×'.join(map(str, data.shape))} in this order: {some(ordered)}."]
    if ordered != names:
        said.append("They stand in another order in the table, and were ordered by the numbers in their names.")
    return replace(choice, columns=ordered), said


def _numbers(names: Sequence[str]) -> list[int] | None:
    """The numbers at the ends of names that are otherwise the same; None of other names."""
    found = [NUMBERED.fullmatch(name) for name in names]
    known = [match for match in found if match is not None]
    numbers = [int(match[2]) for match in known]
    alike = len(known) == len(names) and len({match[1] for match in known}) == 1
    return numbers if alike and len(set(numbers)) == len(numbers) else None


def as_pixels(
    path: Path, parts: dict[str, Part], data: Table, spool: Path
) -> tuple[dict[str, Part], int | None, list[str]]:
    """The rows of each part as images or sequences of levels, as those of arrays are brought to them."""
    asked = Arrays(source="npy", shape=data.shape, levels=data.levels or 256, rescale=data.rescale)
    arranged = as_examples(path, {split: Rows(part.x.path, str(path)) for split, part in parts.items()}, asked, spool)
    pictures = {split: Part(arranged.rows[split], part.labels) for split, part in parts.items()}
    few = [] if data.levels is not None or data.rescale is not None else _few_levels(arranged.rows["train"])
    return pictures, arranged.levels, [*arranged.decisions, *few]


def _few_levels(rows: Rows) -> list[str]:
    """The line to paste if 256 levels are many more than there are."""
    most = max(int(chunk.max()) for chunk in rows.chunks())
    if most >= MANY:
        return []
    return [f"No number is greater than {most}, of 256 levels: if none can be, write levels: {most + 1}."]


def channels_of(shape: Sequence[int]) -> str:
    """What the numbers are."""
    return "series" if len(shape) == 2 else "grey" if shape[0] == 1 else "rgb"


def pixel_hint(names: Sequence[str], whole: bool) -> list[str]:
    """The line to paste if columns are called as pixels are, and hold what pixels do."""
    named = [name for name in names if PIXEL.fullmatch(name)]
    if not whole or len(named) < FEWEST or len(named) < len(names) - 1:
        return []
    sides = {channels: math.isqrt(len(named) // channels) for channels in (1, 3)}
    square = [(c, side) for c, side in sides.items() if c * side * side == len(named)]
    shape = f"[{square[0][0]}, {square[0][1]}, {square[0][1]}]" if square else "[1, height, width]"
    return [f"The columns {named[0]} to {named[-1]} may be pixels: if they are, write shape: {shape}."]
