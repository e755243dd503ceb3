"""Sheets of Excel (.xlsx): their cells as the texts that a CSV file would have."""

from __future__ import annotations

import datetime as dt
import re
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from ...errors import UserError
from ...params.table_sections import Table
from . import layout
from .csv_file import MISSING, UNNAMED
from .foreign import refuse
from .number_style import check_style, typed
from .refusing import refusing

SHEET = "The sheet {name} was read, the first of {sheets}."
FORMULA = re.compile(rb"<f[ >]")

Row = tuple[int, list[str]]  # its number in the sheet, its cells


@dataclass
class ExcelFile:
    """A sheet of an Excel file."""

    path: Path
    data: Table
    said: Counter[str] = field(default_factory=Counter)
    written = True

    @cached_property
    def header(self) -> list[str]:
        """The names of the columns: the cells of the first row that has any."""
        with self._rows() as (rows, _):
            first = list(islice(rows, layout.LOOKED_AT + 1))
        if not first:
            raise UserError(f"{self.path}: is empty")
        names = layout.named(self.path, [cells for _, cells in first], self.data)
        below = first[1:] if self.data.header is True else first
        if below:
            layout.check_widths(self.path, names, [cells for _, cells in below], below[0][0])
        return names

    @contextmanager
    def _rows(self) -> Iterator[tuple[Iterator[Row], int]]:
        """The rows that have cells, and how many rows there are with the others."""
        with self._opened() as sheet:
            yield self._with_cells(sheet), sheet.max_row or 1

    @contextmanager
    def _opened(self, formulas: bool = False) -> Iterator[Any]:
        """The sheet, with the values of its cells or with their formulas."""
        if not self.path.stat().st_size:
            raise UserError(f"{self.path}: is empty")
        refuse(self.path, "xlsx")
        try:
            from openpyxl import load_workbook
        except ImportError:
            raise UserError(
                f"{self.path}: openpyxl, which reads Excel's files, is not installed: uv sync --extra xlsx; or save the"
                " sheet as CSV"
            ) from None
        with self.path.open("rb") as file:
            try:
                with refusing(self.path):
                    book = load_workbook(file, read_only=True, data_only=not formulas)
            except (KeyError, SyntaxError) as error:  # a part of the archive is missing, or is no XML
                raise UserError(f"{self.path}: is no table, or a damaged one: {error.args[0]}") from None
            yield self._sheet(book)

    def _sheet(self, book: Any) -> Any:
        """The sheet that the parameters name. A UserError says which there are."""
        names = [sheet.title for sheet in book.worksheets]
        if self.data.sheet is not None and self.data.sheet not in names:
            raise UserError(
                f"params.yaml: data.sheet: {self.data.sheet!r} is no sheet of {self.path}; there are:"
                f" {', '.join(names)}"
            )
        if self.data.sheet is None and len(names) > 1:
            self.said[SHEET.replace("{name}", names[0]).replace("{sheets}", ", ".join(names))] = 1
        return book[self.data.sheet or names[0]]

    def _with_cells(self, sheet: Any) -> Iterator[Row]:
        with refusing(self.path):
            for number, row in enumerate(sheet.iter_rows(values_only=True), 1):
                cells = [_text(value) for value in row]
                while cells and not cells[-1]:
                    cells.pop()
                if cells:
                    yield number, cells

    def frames(self, wanted: list[str], texts: Sequence[str], rows: int) -> Iterator[tuple[pd.DataFrame, float]]:
        """The rows as texts, and those columns as numbers that hold nothing else."""
        header = self.header
        self.said.clear()
        if self.data.header is False:
            self.said[UNNAMED.replace("{width}", str(len(header)))] += 1
        self._check_formulas(wanted)
        missing = [*MISSING, *self.data.missing_values]
        first = True
        with self._rows() as (found, total):
            if self.data.header is True:
                next(found)
            while chunk := list(islice(found, rows)):
                self._check_widths(chunk, len(header))
                filled = [cells + [""] * (len(header) - len(cells)) for _, cells in chunk]
                frame = pd.DataFrame(filled, columns=header, dtype=str)[wanted]
                frame = frame.mask(frame.isin(missing))
                if first:
                    check_style(self.path, frame, self.data)
                    first = False
                numbers = {name: typed(frame[name], self.data) for name in wanted if name not in texts}
                yield frame.assign(**numbers), min(1.0, chunk[-1][0] / total)

    def _check_formulas(self, wanted: Sequence[str]) -> None:
        """A UserError counts the formulas whose values were never written, and whose cells would pass for empty."""
        with zipfile.ZipFile(self.path) as archive:
            sheets = [name for name in archive.namelist() if name.startswith("xl/worksheets/sheet")]
            if not any(FORMULA.search(archive.read(name)) for name in sheets):
                return
        count, odd = 0, set[str]()
        with self._opened() as values, self._opened(formulas=True) as formulas:
            pairs = zip(values.iter_rows(values_only=True), formulas.iter_rows(values_only=True), strict=True)
            for row, written in pairs:
                for name, value, formula in zip(self.header, row, written, strict=False):
                    if value is None and isinstance(formula, str) and formula.startswith("=") and name in wanted:
                        count += 1
                        odd.add(name)
        if count:
            raise UserError(
                f"{self.path}: {count:,} formulas have no value, in columns {', '.join(sorted(odd))}: open the file in"
                " Excel or LibreOffice and save it again"
            )

    def _check_widths(self, chunk: Sequence[Row], width: int) -> None:
        wide = [str(number) for number, cells in chunk if len(cells) > width]
        if wide:
            raise UserError(f"{self.path}: more cells than the {width} columns in row {', '.join(wide[:5])}: mend it")


def _text(value: Any) -> str:
    """A cell as a CSV file would have it."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, dt.datetime):
        return value.date().isoformat() if value.time() == dt.time() else value.isoformat(" ")
    return str(value).strip()
