"""How the lines of a CSV file are laid out: told from its first ones, and held against what the parameters say."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from pandas.api.types import is_string_dtype

from ...errors import UserError
from ...params.table_sections import Table
from .finding import some
from .number_style import PLAIN

SEP_LINE = re.compile(r"sep=(.|\\t)[ \t]*\r?(\n|$)", re.IGNORECASE)
CANDIDATES = (",", ";", "\t", "|", r"\s+")
LOOKED_AT = 20  # records that tell what separates cells
WRITE = "write under data in params.yaml"


def single(separator: str) -> str:
    """The separator without the blanks around it, which are left out of cells anyway."""
    plain = separator.replace(r"\t", "\t")
    return plain.strip(" ") or " "


def records(text: str, separator: str) -> list[list[str]]:
    """The first records, without blank lines."""
    if separator == r"\s+":
        return [re.split(r"[ \t]+", line.strip()) for line in text.splitlines()[: LOOKED_AT + 1] if line.strip()]
    rows: list[list[str]] = []
    try:
        for row in csv.reader(io.StringIO(text, newline=""), delimiter=separator, skipinitialspace=separator != " "):
            if row:
                rows.append([cell.rstrip(" \t") if separator != " " else cell for cell in row])
            if len(rows) > LOOKED_AT:
                break
    except csv.Error:  # a quotation mark that is never closed, or a cell of many thousand characters
        return rows
    return rows


def check_separator(path: Path, text: str, separator: str, data: Table) -> None:
    """A UserError if another separator gives cells of the same number in all lines, and this one does not."""
    rows = records(text, separator)
    if len(rows[0]) > 1 and ("separator" in data.model_fields_set or _even(rows)):
        return  # lines of other lengths are the lines' fault
    for other in CANDIDATES:
        found = records(text, other)
        if other == separator or len(found) < 2 or not _even(found) or len(found[0]) < 2:
            continue
        if other != r"\s+" or _mostly_numbers(found[1:]):
            raise UserError(
                f"{path}: {other!r} separates its cells, not {separator!r}: {WRITE}: separator: {quoted(other)}"
            )


def _even(rows: Sequence[Sequence[str]]) -> bool:
    return len({len(row) for row in rows}) == 1


def _mostly_numbers(rows: Sequence[Sequence[str]]) -> bool:
    """Do white spaces separate cells, rather than words?"""
    cells = [cell for row in rows for cell in row]
    return sum(bool(PLAIN.fullmatch(cell)) for cell in cells) > len(cells) / 2


def quoted(separator: str) -> str:
    r"""A separator as YAML wants it."""
    return r'"\t"' if separator == "\t" else f"'{separator}'"


def named(path: Path, rows: Sequence[Sequence[str]], data: Table) -> list[str]:
    """The names of the columns. A UserError if they are missing in the file, or wrong in the parameters."""
    first = rows[0]
    if data.header is not True and _has_names(rows, data.missing_values):
        raise UserError(
            f"{path}: its first line seems to hold the names of columns ({_short(first)}), not values: remove"
            " data.header, or that line"
        )
    if isinstance(data.header, list):
        if len(data.header) != len(first):
            raise UserError(
                f"params.yaml: data.header: {len(data.header)} names, but the first line of {path} has"
                f" {len(first)} cells: {_short(first)}"
            )
        return list(data.header)
    if not data.header:
        return [f"column_{number}" for number in range(1, len(first) + 1)]
    if "header" not in data.model_fields_set and _are_values(rows):
        raise UserError(
            f"{path}: its first line seems to hold values, not the names of columns ({_short(first)}): {WRITE}:"
            " header: false, or header: [the names]; or header: true if they are names"
        )
    if "header" not in data.model_fields_set and _is_title(rows):
        raise UserError(
            f"{path}: its first line seems to be a title ({_short([cell for cell in first if cell])}), and the names of"
            " columns to stand below: remove the lines above the names"
        )
    return [name or f"Unnamed: {number}" for number, name in enumerate(first)]  # as Pandas calls it


def _has_names(rows: Sequence[Sequence[str]], gaps: Sequence[str]) -> bool:
    """Is the first line of words only, some of them above numbers only?"""
    first, below = rows[0], rows[1:]
    if not below or any(PLAIN.fullmatch(cell) or not cell or cell in gaps for cell in first):
        return False
    columns = ([row[number] for row in below if number < len(row)] for number in range(len(first)))
    return any(column and all(map(PLAIN.fullmatch, column)) for column in columns)


def _is_title(rows: Sequence[Sequence[str]]) -> bool:
    """Are most cells of the first line empty, and those of the second words above numbers?"""
    if len(rows) < 3 or sum(map(bool, rows[0])) > len(rows[0]) / 2:
        return False
    return all(rows[1]) and len(rows[1]) == len(rows[0]) and _has_names(rows[1:], ())


def _are_values(rows: Sequence[Sequence[str]]) -> bool:
    """Is the first line one of numbers and texts such as the lines below it have?"""
    first, below = rows[0], rows[1:]
    numbers = [
        cell
        for number, cell in enumerate(first)
        if PLAIN.fullmatch(cell) and all(PLAIN.fullmatch(row[number]) for row in below if number < len(row))
    ]
    again = any(cell and any(cell == row[number] for row in below if number < len(row)) for number, cell in
                enumerate(first) if not PLAIN.fullmatch(cell))  # fmt: skip
    twice = any(count > 1 for count in Counter(numbers).values())
    return bool(numbers) and (twice or again or any("." in cell or "e" in cell.lower() for cell in numbers))


def check_repeated(path: Path, frame: pd.DataFrame, row: int) -> None:
    """A UserError if rows hold the names of the columns again, as those of files do that were put together."""
    again = pd.Series(len(frame.columns) > 1, frame.index)  # a single word may well be called by its own name
    for name in frame.columns:
        again &= frame[name] == name if is_string_dtype(frame[name]) else False
        if not again.any():
            return
    rows = [str(row + 1 + number) for number in np.flatnonzero(again)]
    which = f"row {rows[0]} repeats" if len(rows) == 1 else f"rows {some(rows)} repeat"
    raise UserError(f"{path}: {which} the names of the columns, as when files were put together: remove those lines")


def _short(cells: Sequence[str]) -> str:
    return ", ".join(cells[:8]) + (", …" if len(cells) > 8 else "")


def check_widths(path: Path, names: Sequence[str], rows: Sequence[Sequence[str]], first_line: int) -> None:
    """A UserError if the first row has more cells than there are names."""
    wide = [first_line + number for number, row in enumerate(rows) if len(row) > len(names)]
    if not wide:
        return
    if len(rows[0]) <= len(names):
        return  # all such lines are named when the file is read
    if 2 * len(wide) < len(rows):
        which = f"line {wide[0]} has" if len(wide) == 1 else f"lines {some(wide)} have"
        raise UserError(
            f"{path}: {which} more cells than the {len(names)} columns: put cells that hold a separator into quotation"
            " marks, or mend the lines; only the first lines were looked at"
        )
    if len(names) == 1 and len(wide) == len(rows):
        why = f"the only cell of the first ({names[0]}) may be a title: remove it"
    elif len(rows[0]) == len(names) + 1 and all(row[-1] == "" for row in rows if len(row) > len(names)):
        why = "a separator stands at the end of each line: remove it, or put one at the end of the names, too"
    elif len(rows[0]) == len(names) + 1:
        why = "the first cell may be the name of a row, as R writes it: give that column a name in the first line"
    else:
        why = "mend that line, or the names in the first"
    raise UserError(f"{path}: line {first_line} has {len(rows[0])} cells, but there are {len(names)} columns: {why}")
