"""Tables as people have them: the names of the columns of a file, and its rows some at a time, in little memory.

What is done to a file beyond reading it is counted and said (`sentences`); what is wrong with it is one line that says
what, where, and what to write into params.yaml.
"""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ...errors import UserError
from ...params.data_section import Table
from .finding import existing, find, some

CHUNK_ROWS, CHUNK_CELLS = 1 << 16, 1 << 22  # read at once: fewer rows if there are many columns
MISSING = ("", "nan", "NaN", "NAN", "-nan", "-NaN")

Texts = Sequence[str] | Literal["all"]
"""The columns that are wanted as they are written: their names, or all of them."""


@dataclass
class TableFile:
    """A file of a table."""

    path: Path
    data: Table
    said: Counter[str] = field(default_factory=Counter)  # what was done, and to how many cells or lines

    @cached_property
    def header(self) -> list[str]:
        """The names of all columns, none of them twice."""
        parquet = self.data.source == "parquet"
        names = list(_parquet(self.path).schema_arrow.names) if parquet else _first_line(self.path, self.data)
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(f"{self.path}: column {twice[0]!r} stands there twice; rename one")
        return names

    def frames(self, wanted: Sequence[str], texts: Texts = ()) -> Iterator[tuple[pd.DataFrame, float]]:
        """Rows with the wanted columns in the order in which they are wanted, and the share of the file that is read.

        Missing cells are NaN (or NA). The columns `texts` of a CSV file come as they are written, so that they mean the
        same in every chunk: `00123`, `True`, `1,5`. Parquet has types of its own, and its columns come in those.
        """
        missing = [name for name in wanted if name not in self.header]
        if missing:
            raise UserError(f"{self.path}: has no column {some(missing)}; there are: {', '.join(self.header)}")
        read = _parquet_frames if self.data.source == "parquet" else _csv_frames
        yield from read(self, list(wanted), texts)


def table_files(path: Path, data: Table) -> list[TableFile]:
    """The file at the path, or those of the folder."""
    suffixes = (".csv", ".csv.gz", ".txt", ".tsv") if data.source == "csv" else (".parquet",)
    paths = find(path, suffixes) if existing(path).is_dir() else [path]
    return [TableFile(each, data) for each in paths]


def sentences(files: Sequence[TableFile]) -> list[str]:
    """What was done to the files when they were read last, summed up: `{count}` stands for how many there were."""
    total: Counter[str] = sum((file.said for file in files), Counter())
    return [text.replace("{count}", f"{count:,}") for text, count in total.items()]


def _first_line(path: Path, data: Table) -> list[str]:
    """The names in the first line of a CSV file. A UserError if the second has more cells than that."""
    with _refusing(path):
        lines = pd.read_csv(path, sep=data.separator, header=None, nrows=2, dtype=str, keep_default_na=False)
    if len(lines) < 2:
        raise UserError(f"{path}: has no rows")
    return [str(name) or f"Unnamed: {number}" for number, name in enumerate(lines.iloc[0])]  # as Pandas calls it


def _csv_frames(file: TableFile, wanted: list[str], texts: Texts) -> Iterator[tuple[pd.DataFrame, float]]:
    """All columns are read, and then some of them taken: else Pandas would not see that a line has too many cells."""
    path, header = file.path, file.header
    compressed = path.name.lower().endswith(".gz")
    with (
        _refusing(path),
        path.open("rb") as position,
        pd.read_csv(
            position,
            sep=file.data.separator,
            compression="gzip" if compressed else None,
            dtype=dict.fromkeys(header if texts == "all" else [name for name in texts if name in header], str),
            na_values=[*MISSING, *file.data.missing_values],
            keep_default_na=False,
            index_col=False,
            low_memory=False,
            chunksize=chunk_rows(len(header)),
        ) as frames,
    ):
        for frame in frames:
            yield frame[wanted], position.tell() / max(1, path.stat().st_size)


def _parquet_frames(file: TableFile, wanted: list[str], texts: Texts) -> Iterator[tuple[pd.DataFrame, float]]:
    parquet, done = _parquet(file.path), 0
    with _refusing(file.path):
        for batch in parquet.iter_batches(chunk_rows(len(wanted)), columns=wanted):
            frame = batch.to_pandas()
            done += len(frame)
            yield frame.mask(_said_missing(frame, file.data)), done / parquet.metadata.num_rows


def chunk_rows(columns: int) -> int:
    return max(1, min(CHUNK_ROWS, CHUNK_CELLS // max(1, columns)))


def _said_missing(frame: pd.DataFrame, data: Table) -> pd.DataFrame:
    """Which cells hold a text, or the number that it is, that means a missing value."""
    said: list[Any] = list(data.missing_values)
    for text in data.missing_values:
        with suppress(ValueError):
            said.append(float(text))
    return frame.isin(said)


@contextmanager
def _refusing(path: Path) -> Iterator[None]:
    """Make what is wrong with a file one line."""
    try:
        yield
    except pd.errors.EmptyDataError:
        raise UserError(f"{path}: is empty") from None
    except (ValueError, EOFError, OSError, zlib.error, pa.ArrowException) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise UserError(f"{path}: is no table, or a damaged one: {' '.join(str(error).split())}") from None


def _parquet(path: Path) -> pq.ParquetFile:
    with _refusing(path):
        return pq.ParquetFile(path)
