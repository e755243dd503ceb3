"""Tables as people have them: the names of the columns of a file, and its rows some at a time, in little memory.

What is done to a file beyond reading it is counted and said (`sentences`); what is wrong with it is one line that says
what, where, and what to write into params.yaml.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol
from urllib.parse import unquote

import pandas as pd
from pandas.api.types import is_numeric_dtype

from ...errors import UserError
from ...params.table_sections import Table
from .csv_file import CsvFile
from .excel_file import ExcelFile
from .finding import existing, find, some
from .foreign import COMPRESSED
from .number_style import typed
from .parquet_file import ParquetFile

CHUNK_ROWS, CHUNK_CELLS = 1 << 16, 1 << 22  # read at once: fewer rows if there are many columns
SUFFIXES = {
    "csv": tuple(text + packed for text in (".csv", ".txt", ".tsv", ".data") for packed in ("", *COMPRESSED)),
    "parquet": (".parquet", ".pq"),
    "xlsx": (".xlsx", ".xlsm"),
}
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"  # how Spark calls the folder of the rows without a value
FROM_FOLDERS = "Column {name} was read from the names of the folders {name}=…."
FROM_FILES = "Column {name} was read from the files that have it, not from the names of their folders {name}=…."
UNFINISHED = "Files that were passed over, as their names or their folders' begin with an underscore: {count}."
REPLACED = "Cells that are {text} were read as {other}: {count}."
NO_ROWS = "Files without rows: {count}."

Texts = Sequence[str] | Literal["all"]
"""The columns that are wanted as they are written: their names, or all of them."""


class Reader(Protocol):
    """A file in one of the formats."""

    said: Counter[str]
    written: bool

    @property
    def header(self) -> list[str]:
        """The names of the columns that the file holds."""
        ...

    def frames(self, wanted: list[str], texts: Sequence[str], rows: int) -> Iterator[tuple[pd.DataFrame, float]]:
        """Some rows at a time, with the share of the file that is read."""
        ...


@dataclass
class TableFile:
    """A file of a table."""

    path: Path
    data: Table
    encoding_key: str = "encoding"  # what the parameter is called in params.yaml
    keys: dict[str, str] = field(default_factory=dict)  # what the names of its folders say: year=2020
    texts: frozenset[str] = frozenset()  # the keys that are no numbers, in some folder at least
    passed_over: int = 0  # how many files of its folder are no part of the table
    said: Counter[str] = field(default_factory=Counter)  # what was done, and to how many cells or lines

    @cached_property
    def reader(self) -> Reader:
        """What reads its format."""
        if self.data.source == "parquet":
            return ParquetFile(self.path, self.data)
        if self.data.source == "xlsx" or self.path.suffix.lower() in SUFFIXES["xlsx"]:
            return ExcelFile(self.path, self.data)
        return CsvFile(self.path, self.data, self.encoding_key)

    @property
    def written(self) -> bool:
        """Are the cells texts, whose types must be guessed?"""
        return self.reader.written

    @cached_property
    def header(self) -> list[str]:
        """The names of all columns, none of them twice; last those that the names of folders give."""
        names = self.reader.header
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            which = f"column {twice[0]!r} stands" if len(twice) == 1 else f"columns {some(map(repr, twice))} stand"
            raise UserError(f"{self.path}: {which} there twice; rename one")
        return [*names, *(key for key in self.keys if key not in names)]

    def frames(self, wanted: Sequence[str], texts: Texts = ()) -> Iterator[tuple[pd.DataFrame, float]]:
        """Rows with the wanted columns in the order in which they are wanted, and the share of the file that is read.

        Missing cells are NaN (or NA). The columns `texts` of a CSV file come as they are written, so that they mean the
        same in every chunk: `00123`, `True`, `1,5`. Parquet has types of its own, and its columns come in those.
        """
        there, inside = set(self.header), set(self.reader.header)
        missing = [name for name in wanted if name not in there]
        if missing:
            raise UserError(f"{self.path}: has no column {some(missing)}; there are: {', '.join(self.header)}")
        held = [name for name in wanted if name in inside]
        named = [name for name in wanted if name not in inside]
        as_texts = self.header if texts == "all" else [name for name in texts if name in there]
        rows = 0
        self.said.clear()
        self.said.update(FROM_FOLDERS.replace("{name}", name) for name in named)
        self.said.update(FROM_FILES.replace("{name}", name) for name in held if name in self.keys)
        for frame, share in self.reader.frames(held or self.reader.header[:1], as_texts, chunk_rows(len(inside))):
            if len(frame):
                rows += len(frame)
                keyed = {name: self._key(name, name in as_texts, len(frame)) for name in named}
                yield self._replaced(frame.assign(**keyed)[list(wanted)] if named else frame), share
        if not rows:
            self.said[NO_ROWS] += 1

    def _replaced(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The frame with other texts in place of some, as the parameters say."""
        for text, other in getattr(self.data, "replace", {}).items():
            hits = int((frame == text).to_numpy().sum())
            if hits:
                self.said[REPLACED.replace("{text}", repr(text)).replace("{other}", repr(other))] += hits
                frame = frame.replace({text: other})
        return frame

    def _key(self, name: str, as_text: bool, rows: int) -> pd.Series:
        """What the name of a folder says, as a column."""
        text = float("nan") if self.keys[name] == NO_VALUE else self.keys[name]
        column = pd.Series([text] * rows, dtype="str")
        return column if as_text or name in self.texts else typed(column, self.data)


def open_table(path: Path, data: Table) -> TableFile:
    """The file at a path."""
    return TableFile(path, data)


def table_files(path: Path, data: Table) -> list[TableFile]:
    """The file at the path, or those of the folder; folders within may say more (year=2020), as Spark writes them."""
    if not existing(path).is_dir():
        return [TableFile(path, data)]
    found = find(path, SUFFIXES[data.source])
    done = [each for each in found if not any(part.startswith("_") for part in each.relative_to(path).parts)]
    files = [TableFile(each, data, keys=_keys(each.relative_to(path))) for each in done]
    if not files:
        raise UserError(
            f"params.yaml: data.path: {path}: all its files begin with an underscore, as unfinished ones do"
        )
    texts = _texts([file.keys for file in files], data)
    for file in files:
        file.texts = texts
    files[0].passed_over = len(found) - len(done)
    return files


def _texts(keys: Sequence[dict[str, str]], data: Table) -> frozenset[str]:
    """The keys that hold something else than numbers in one of the folders."""
    values = {name: pd.Series([each[name] for each in keys if name in each], dtype="str") for each in keys
              for name in each}  # fmt: skip
    there = {name: column[column != NO_VALUE] for name, column in values.items()}
    return frozenset(name for name, column in there.items() if not is_numeric_dtype(typed(column, data)))


def _keys(path: Path) -> dict[str, str]:
    """What the names of folders say."""
    pairs = [part.split("=", 1) for part in path.parts[:-1] if "=" in part.strip("=")]
    return {unquote(key): unquote(value) for key, value in pairs}


def sentences(files: Sequence[TableFile]) -> list[str]:
    """What was done to the files when they were read last, summed up: `{count}` stands for how many there were."""
    total: Counter[str] = Counter()
    for file in files:
        total += file.said + file.reader.said + Counter({UNFINISHED: file.passed_over})
    return [text.replace("{count}", f"{count:,}") for text, count in total.items()]


def chunk_rows(columns: int) -> int:
    """How many rows are read at once."""
    return max(1, min(CHUNK_ROWS, CHUNK_CELLS // max(1, columns)))
