"""Tables that are read and written some rows at a time, so that millions of them need little memory."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pandas as pd

from .mistake import Mistake

ROWS = 16_384  # read at once
TABLES = (".csv", ".csv.gz", ".tsv", ".parquet")


def is_table(path: Path) -> bool:
    """Is it a file of a table, by its ending?"""
    return path.name.lower().endswith(TABLES)


def read_tables(path: Path, separator: str | None, missing: Sequence[str]) -> Iterator[pd.DataFrame]:
    """Its rows, some at a time, as texts where they are texts; `missing` are marks of gaps beside the usual ones."""
    if not path.is_file():
        raise Mistake(f"{path}: there is no such file")
    if path.name.lower().endswith(".parquet"):
        import pyarrow.parquet

        for batch in pyarrow.parquet.ParquetFile(path).iter_batches(ROWS):
            yield batch.to_pandas()
        return
    separator = separator or ("\t" if path.name.lower().endswith(".tsv") else ",")
    options: dict[str, Any] = {"dtype": str, "na_values": list(missing), "chunksize": ROWS, "skipinitialspace": True}
    try:
        with pd.read_csv(path, sep=separator, **options) as chunks:
            yield from chunks
    except (ValueError, UnicodeDecodeError, pd.errors.ParserError) as error:
        raise Mistake(f"{path}: cannot be read as CSV: {' '.join(str(error).split())}") from None


class TableWriter(ExitStack):
    """Writes tables one after the other to a CSV or Parquet file, or to the terminal; to be used in `with`."""

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self.rows = 0
        self._path, self._name = path, "" if path is None else path.name.lower()
        self._file: Any = sys.stdout
        if path is not None and not self._name.endswith(".parquet"):
            opened = gzip.open if self._name.endswith(".gz") else open
            self._file = self.enter_context(opened(path, "wt", encoding="utf-8", newline=""))
        self._parquet: Any = None

    def write(self, frame: pd.DataFrame) -> None:
        """Append rows."""
        if self._name.endswith(".parquet"):
            self._write_parquet(frame)
        else:
            separator = "\t" if self._name.endswith(".tsv") else ","
            frame.to_csv(self._file, index=False, header=not self.rows, sep=separator)
        self.rows += len(frame)

    def _write_parquet(self, frame: pd.DataFrame) -> None:
        import pyarrow as pa
        import pyarrow.parquet

        schema = None if self._parquet is None else self._parquet.schema
        table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
        if self._parquet is None:
            self._parquet = self.enter_context(pyarrow.parquet.ParquetWriter(self._path, table.schema))
        self._parquet.write_table(table)
