"""CSV: text with something between the cells, in all the ways in which people write it."""

from __future__ import annotations

import csv
import io
import re
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_object_dtype, is_string_dtype

from ...errors import UserError
from ...params.table_sections import Table
from . import layout
from .characters import UNIT, Characters, Reading
from .finding import some
from .foreign import kind_of_text, refuse
from .number_style import check_style, typed, without_objects
from .refusing import refusing

MISSING = ("", "nan", "NaN", "NAN", "-nan", "-NaN")
HEAD, LONGEST = 1 << 16, 1 << 24  # characters that are looked at first, and at most while no two lines are complete
TRAILING = "Cells with blanks at their end, which were left out: {count}."
UNNAMED = "The file has no line with names: its columns are called column_1 to column_{width}."
SEPARATED = "The first line says what separates cells, and was followed: {line}."
SHORT = "Lines with fewer cells than the {width} columns, whose other cells were taken for gaps: {count}."
WIDE = re.compile(r"Expected (\d+) fields in line (\d+), saw (\d+)")
UNCLOSED = re.compile(r"EOF inside string starting at row (\d+)")
SKIPPED = re.compile(r"line (\d+): expected (\d+) fields, saw (\d+)")


@dataclass
class CsvFile:
    """A CSV file, compressed or not."""

    path: Path
    data: Table
    encoding_key: str
    said: Counter[str] = field(default_factory=Counter)
    written = True

    @cached_property
    def header(self) -> list[str]:
        """The names of all columns, as they stand there."""
        return self._layout[0]

    @cached_property
    def _layout(self) -> tuple[list[str], str, Reading]:
        """The names of the columns, what separates cells, and how the text is read."""
        if not self.path.stat().st_size:
            raise UserError(f"{self.path}: is empty")
        refuse(self.path, "csv")
        reading = Reading(self.path, self.data.encoding, self.encoding_key, self.data.comment)
        text = self._head(reading)
        said = layout.SEP_LINE.match(text)
        separator = self._separator(said)
        reading.blank_first = said is not None
        if said is not None:
            text = text[said.end() :]
        if len(separator) > 1 and separator != r"\s+":
            reading.wide, separator = separator, UNIT
            text = self._head(reading)
        rows = layout.records(text, separator)
        if not rows:
            raise UserError(f"{self.path}: is empty")
        if separator != UNIT and said is None:
            layout.check_separator(self.path, text, separator, self.data)
        names = layout.named(self.path, rows, self.data)
        if self.data.header is True:
            rows = rows[1:]
        else:
            reading.before = _line(names, separator)
        if rows:
            layout.check_widths(self.path, names, rows, 1 + (self.data.header is True) + reading.blank_first)
        reading.one_column = len(names) == 1
        reading.separator = separator
        return names, separator, reading

    def _head(self, reading: Reading) -> str:
        """The first lines, whole ones."""
        with refusing(self.path), reading.opened() as characters:
            text = characters.read(HEAD)
            while text.count("\n") < 2 and len(text) < LONGEST and (more := characters.read(HEAD)):
                text += more
            whole = not characters.read(1)
        text = text if whole else text[: text.rfind("\n") + 1] or text
        self._check_text(text)
        return text

    def _check_text(self, text: str) -> None:
        if "\x00" in text:
            wide = {0: "utf-16-be", 1: "utf-16-le"}.get(text.index("\x00"))
            cure = f": {layout.WRITE}: {self.encoding_key}: {wide}" if wide else ", so it is no text, or a damaged one"
            raise UserError(f"{self.path}: holds zero bytes{cure}")
        found = kind_of_text(text[:1000].encode())  # of compressed files, too
        if found != "text":
            raise UserError(f"{self.path}: is {found}")
        self._check_encoding(text)

    def _check_encoding(self, text: str) -> None:
        """Refuse UTF-8 that is read in an encoding that takes any byte: `größe` would become `grÃ¶ÃŸe`."""
        if text.isascii() or self.data.encoding.lower().replace("_", "-").startswith(("utf", "u8")):
            return
        try:
            right = text.encode(self.data.encoding).decode("utf-8")
        except UnicodeError:
            return
        word = next(word for word in re.split(r"[\s,;|\"]+", right) if not word.isascii()).lstrip("\ufeff")
        raise UserError(f"{self.path}: is UTF-8, not {self.data.encoding} ({word!r}): remove data.{self.encoding_key}")

    def _separator(self, said: re.Match[str] | None) -> str:
        """What separates cells: the parameter, or the line `sep=;` of the file."""
        given = layout.single(self.data.separator)
        if said is None:
            return given
        found = layout.single(said[1])
        if "separator" in self.data.model_fields_set and found != given:
            raise UserError(
                f"{self.path}: its first line says {said[0].strip()!r}, and data.separator {given!r}: remove one"
            )
        return found

    def frames(self, wanted: list[str], texts: Sequence[str], rows: int) -> Iterator[tuple[pd.DataFrame, float]]:
        """All columns are read, and some of them taken: else Pandas would not see that a line has too many cells."""
        names, separator, reading = self._layout
        self.said.clear()
        reading.said = self.said
        if reading.blank_first:
            self.said[SEPARATED.replace("{line}", f"sep={separator}")] += 1
        if self.data.header is False:
            self.said[UNNAMED.replace("{width}", str(len(names)))] += 1
        as_texts = names if self.data.thousands else texts
        with refusing(self.path), reading.opened() as characters, self._parser(characters, as_texts, rows) as chunks:
            row, ends_with_gaps = 0, False
            for chunk in self._whole(chunks):
                ends_with_gaps |= bool(chunk.iloc[:, -1].isna().any())
                frame = self._cells(chunk[wanted].reset_index(drop=True), set(texts), characters.blanks_behind)
                if not row:
                    check_style(self.path, frame, self.data)
                layout.check_repeated(self.path, frame, row)
                row += len(frame)
                yield frame, characters.position / max(1, self.path.stat().st_size)
        if ends_with_gaps and self._short_lines:
            self.said[SHORT.replace("{width}", str(len(names)))] += self._short_lines

    @cached_property
    def _short_lines(self) -> int:
        """How many lines have fewer cells than there are columns. Pandas does not say."""
        names, separator, reading = self._layout
        quiet, count = replace(reading, said=Counter()), 0
        with refusing(self.path), quiet.opened() as characters, suppress(csv.Error):  # a cell of many characters
            if separator == r"\s+":
                return sum(0 < len(line.split()) < len(names) for line in _lines(characters))
            for row in csv.reader(_lines(characters), delimiter=separator, skipinitialspace=separator != " "):
                count += 0 < len(row) < len(names)
        return count

    def _parser(self, characters: Characters, as_texts: Sequence[str], rows: int, bad: Any = "error") -> Any:
        names, separator, _ = self._layout
        return pd.read_csv(
            characters,
            sep=separator,
            skipinitialspace=separator not in (" ", r"\s+"),
            header=0,
            names=names,
            dtype=dict.fromkeys(as_texts, str),
            na_values=[*MISSING, *self.data.missing_values],
            keep_default_na=False,
            decimal=self.data.decimal,
            index_col=False,
            low_memory=False,
            chunksize=rows,
            on_bad_lines=bad,
        )

    def _whole(self, chunks: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """The chunks. A UserError names all lines that have too many cells."""
        try:
            yield from chunks
        except pd.errors.ParserError as error:
            found, unclosed = WIDE.search(str(error)), UNCLOSED.search(str(error))
            if unclosed is not None:
                line = int(unclosed[1]) + 1 - self._layout[2].before.count("\n")
                raise UserError(
                    f"{self.path}: a quotation mark in line {line} is never closed: close or remove it"
                ) from None
            if found is None:
                raise
            lines = self._too_wide()
            raise UserError(
                f"{self.path}: {'line' if len(lines) == 1 else 'lines'} {some(lines)} "
                f"{'has' if len(lines) == 1 else 'have'} more cells than the {found[1]} columns (the first has"
                f" {found[3]}): put cells that hold a separator into quotation marks, or mend the lines"
            ) from None

    def _too_wide(self) -> list[int]:
        """The numbers of the lines that have too many cells."""
        reading, lines = self._layout[2], list[int]()
        before = reading.before.count("\n")
        with reading.opened() as characters, warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with self._parser(characters, (), 1 << 16, "warn") as chunks:
                for _ in chunks:
                    pass
        for warning in caught:
            lines += [int(line) - before for line, _, _ in SKIPPED.findall(str(warning.message))]
        return lines

    def _cells(self, frame: pd.DataFrame, texts: set[str], blanks_behind: bool) -> pd.DataFrame:
        """The columns that hold no plain numbers as they are meant."""
        strings = blanks_behind or self.data.thousands is not None
        kinds = zip(map(str, frame.columns), frame.dtypes, strict=True)
        odd = [name for name, kind in kinds if is_object_dtype(kind) or (strings and is_string_dtype(kind))]
        changed = {name: self._cell_texts(frame[name], name in texts, blanks_behind) for name in odd}
        return frame.assign(**changed) if changed else frame

    def _cell_texts(self, column: pd.Series[Any], as_text: bool, blanks_behind: bool) -> pd.Series[Any]:
        """A column without the blanks behind its cells; texts that are all numbers as numbers, unless unwanted."""
        if not is_string_dtype(column):
            return without_objects(column)
        behind = blanks_behind and self._layout[1] != " " and column.str.endswith((" ", "\t"), na=False)
        if np.any(behind):
            self.said[TRAILING] += int(np.sum(behind))
            column = column.str.rstrip(" \t")
            column = column.mask(column.isin([*MISSING, *self.data.missing_values]))
        elif not self.data.thousands:
            return column
        return column if as_text else typed(column, self.data)


def _lines(characters: Characters) -> Iterator[str]:
    """The lines, each with its end, whatever ends them."""
    rest = ""
    while more := characters.read(HEAD):
        *lines, rest = (rest + more.replace("\r\n", "\n").replace("\r", "\n")).split("\n")
        yield from (f"{line}\n" for line in lines)
    if rest:
        yield rest


def _line(names: Sequence[str], separator: str) -> str:
    """The names as the first line of a file."""
    line = io.StringIO()
    csv.writer(line, delimiter=" " if separator == r"\s+" else separator, lineterminator="\n").writerow(names)
    return line.getvalue()
