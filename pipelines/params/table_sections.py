"""Data that lies in rows: tables whose columns have types, and series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .file_options import RareClasses, Rescale
from .section import Input, Section
from .source_section import Count, ImageOptions, Kind, Side, Source

EXCEL, PARQUET = (".xlsx", ".xlsm"), (".parquet", ".pq")  # how files are called
PIXELS = ("bits", "binarise", "palette")

ColumnType = Literal["real", "integer", "boolean", "category", "ordered", "date", "leave_out"]


def _separator(text: str) -> str:
    several = len(text) > 1 and text not in (r"\s+", r"\t")
    if not text or set(text) & set('\r\n"') or (several and any(map(str.isalnum, text))):
        raise ValueError(r"must be one character, or several that are no letters, or \s+ for any white space")
    return text


def _mark(text: str) -> str:
    if len(text) != 1 or text.isalnum() or text in '\r\n"+-':
        raise ValueError("must be one character: no letter, digit, sign or quotation mark")
    return text


def _encoding(text: str) -> str:
    try:
        "".encode(text)
    except (LookupError, ValueError):
        raise ValueError("must be an encoding that Python knows: utf-8, utf-16, cp1252, latin-1, …") from None
    return text


Separator = Annotated[str, AfterValidator(_separator)]
Mark = Annotated[str, AfterValidator(_mark)]
Encoding = Annotated[str, AfterValidator(_encoding)]


class WrittenOptions(Section):
    """How cells are written in a CSV file; `header`, `decimal`, `thousands` and `sheet` concern Excel's files too."""

    separator: Separator = ","
    """What stands between the cells: one or a few characters, \\t for tabs, or \\s+ for any white space. Blanks around
    cells are left out."""

    decimal: Literal[".", ","] = "."
    """What stands before the decimals of a number."""

    thousands: Mark | None = None
    """What stands between the thousands of a number: `1,234` has ",". Null: nothing."""

    header: bool | list[str] = True
    """The first line has the names of the columns; false: there is no such line, and the columns are called column_1,
    column_2, …; or the names, for files that have no such line."""

    comment: Mark | None = None
    """Lines that begin with this character are no rows; null: all lines are rows."""

    sheet: str | None = None
    """The sheet of an Excel file; null takes the first."""

    def unread_marks(self, written_as: str, encoding: str = "encoding") -> Iterator[tuple[str, Iterable[str]]]:
        """What does not concern files of a format; the option of the encoding has the name `encoding`."""
        if written_as == "parquet":
            marks = ("separator", "decimal", "thousands", "header", "comment", "sheet", encoding)
            yield "Parquet has names and types of its own", marks
        elif written_as == "xlsx":
            yield "a sheet of Excel has cells of its own", ("separator", "comment", encoding)
        else:
            yield "a text file has no sheets", ("sheet",)

    @model_validator(mode="after")
    def _marks(self) -> WrittenOptions:
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}: they must differ")
        if self.comment is not None and self.comment in (self.separator.strip(), self.decimal, self.thousands):
            raise ValueError(f"comment {self.comment!r} is a separator too: they must differ")
        return self


class ColumnOptions(Section):
    """What a column of a table is. Null leaves it to what is found in the data."""

    type: ColumnType | None = None
    """A real number; a multiple of a step; one of two values; one of several names, without or with an order; a date
    or time; or none that is modelled."""

    step: float | None = Field(default=None, gt=0)
    """Of integers: that of which all values are multiples, from the least on."""

    order: list[str] | None = Field(default=None, min_length=2)
    """Of ordered categories: all of them, from the least on."""

    format: str | None = None
    """Of dates that are written as texts: how, as strftime has it, %d.%m.%Y for instance."""

    pool: int | None = Field(default=None, ge=2)
    """Of categories: how many are told apart; the rarest ones are one more of them together. Null: 100."""


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    if shape[0] != 1 and (len(shape) == 2 or shape[0] != 3):
        raise ValueError("must be [1, T] for sequences, or [1, H, W] or [3, H, W] for images")
    return shape


Shape = Annotated[tuple[Side, ...], Field(min_length=2, max_length=3, strict=False), AfterValidator(_shape)]


class Table(ImageOptions, RareClasses, WrittenOptions, Source):
    """Rows of a table, whose columns have types. `path` is a file, or a folder of files with the same columns."""

    source: Literal["csv", "parquet", "xlsx"]
    """The format of the table: text with separators, which may be compressed (.csv.gz, .zip, .bz2, .xz, .zst); Parquet;
    or a sheet of Excel, for which `uv sync --extra xlsx` installs what reads it."""

    test_count: Count | None = None
    """Examples in the test split, below 1 a share of them; null keeps that of `test_path`."""

    test_path: Input | None = None
    """File with the official test split."""

    encoding: Encoding = "utf-8"
    """How characters are written as bytes: utf-8, with or without a byte order mark, utf-16, cp1252, latin-1, …"""

    columns: list[str] | dict[str, ColumnType | ColumnOptions] = Field(default_factory=lambda: ["*"], min_length=1)
    """The columns that are modelled: names, or patterns with * and ?, in the order of the table. Or their types, by
    names or patterns: real, integer, boolean, category, ordered, date, leave_out, or more about one (`step`, `order`,
    `format`, `pool`); the types of all others are found in the data."""

    exclude: list[str] = Field(default_factory=list)
    """Names or patterns of columns that are left out."""

    label: str | None = None
    """Column with the labels; null has none."""

    shape: Shape | None = None
    """The columns are the pixels of an image, [1, 28, 28] or [3, 32, 32], row by row and channel by channel, or the
    levels of a sequence, [1, T]; null: they are columns. Those that never vary are kept."""

    levels: int | None = Field(default=None, ge=2, le=256)
    """With `shape`: how many levels there are, 0 … levels-1; null is 256."""

    rescale: Rescale = None
    """With `shape`: numbers that are no levels are brought to them, as those of arrays are."""

    types: bool = True
    """Columns have types; false makes a row a vector of plain numbers, and refuses what is no number."""

    categorical: dict[str, Literal["one_hot", "codes"]] = Field(default_factory=dict)
    """For a vector of plain numbers in place of types: columns of text or categories, as 0/1 columns, one per category,
    or as the numbers 0, 1, … of the sorted categories. A density of real numbers on them is unbounded: see
    `dequantise`."""

    missing: Literal["model", "refuse", "drop", "mean"] = "model"
    """What happens to missing values: a gap is modelled as a value of its own, or stops, or its row is left out, or the
    mean of the training rows is filled in."""

    missing_values: list[str] = Field(default_factory=list)
    """Texts that mean a missing value, beside an empty cell and NaN: '?' for instance. Usual ones (?, NA, null and
    others) are found where they stand among numbers."""

    replace: dict[str, str] = Field(default_factory=dict)
    """Cells that are the text on the left are read as the one on the right: {'>50K.': '>50K'} for instance."""

    dequantise: dict[str, Annotated[float, Field(gt=0)]] = Field(default_factory=dict)
    """For a vector of plain numbers in place of types: columns (names or patterns) to which noise uniform on [0, width)
    is added: rounded numbers with their rounding as the width, so that a density of real numbers stays bounded."""

    def unread(self) -> Iterator[tuple[str, Iterable[str]]]:
        excel = self.source == "xlsx" or (self.source == "csv" and PurePath(self.path).suffix.lower() in EXCEL)
        yield from self.unread_marks("xlsx" if excel else self.source)
        if self.shape is None:
            yield "it is for images and sequences, which need data.shape", ("levels", "rescale", *PIXELS)
        else:
            yield "with data.shape columns are numbers of one kind", ("types", "categorical", "dequantise")
            if len(self.shape) == 2:
                yield "it is for images, and data.shape says that these are sequences", PIXELS
            if not isinstance(self.columns, list):
                yield "with data.shape columns have no types: give a list of names, or none", ("columns",)
            if self.missing == "mean":
                yield "pixels have levels, of which no mean is one: set it to drop", ("missing",)
        if self.by_hand and not isinstance(self.columns, list):
            which = "types: false" if not self.types else "categorical" if self.categorical else "dequantise"
            yield f"with data.{which} columns have no types: give a list of names, or none", ("columns",)
        if self.label is None:
            yield "there are no labels (data.label)", ("rare",)

    @property
    def reader(self) -> str:
        return "table" if self.by_hand or self.shape is not None else "typed_table"

    @property
    def by_hand(self) -> bool:
        """Does the user make numbers of the columns, so that none has a type?"""
        return not self.types or bool(self.categorical or self.dequantise)

    @property
    def named(self) -> list[str]:
        """The names or patterns of the columns that are modelled."""
        return list(self.columns) if isinstance(self.columns, list) else ["*"]

    @property
    def told(self) -> dict[str, ColumnOptions]:
        """What is said about columns, by names or patterns."""
        given = {} if isinstance(self.columns, list) else self.columns
        return {
            name: each if isinstance(each, ColumnOptions) else ColumnOptions(type=each) for name, each in given.items()
        }

    @property
    def read_paths(self) -> list[str]:
        return [self.path, *([self.test_path] if self.test_path else [])]

    @property
    def kind(self) -> Kind | None:
        return "vector" if self.shape is None else "sequence" if len(self.shape) == 2 else "image"

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        if self.shape is None or len(self.shape) == 2:
            return self.shape
        return self.shape_of(*self.shape)

    @property
    def level_count(self) -> int | None:
        return None if self.shape is None else self.levels_of(self.levels or 256)

    @property
    def own_test(self) -> bool:
        return self.test_path is not None

    @property
    def labelled(self) -> bool | None:
        return self.label is not None


class Series(WrittenOptions, Source):
    """A column of numbers in a file, in order of time, cut into windows of fixed length."""

    source: Literal["series"]
    """One column of a CSV file, or of one that is called .parquet or .xlsx."""

    val_count: Count = 0.1
    """Share or number of the windows (of the recordings, where there are any) in the validation split."""

    test_count: Count = 0.1
    """Share or number of the windows (of the recordings) in the test split. One series is cut in time: its end is
    the test split, what stands before that is the validation split."""

    column: str
    """The column of the series."""

    text_encoding: Encoding = "utf-8"
    """How characters are written as bytes: utf-8, with or without a byte order mark, utf-16, cp1252, latin-1, …"""

    recording: str | None = None
    """Column that says which recording a row belongs to; the rows of one stand together. Null is one series."""

    window: int = Field(default=128, ge=2)
    """Numbers in a window."""

    hop: int | None = Field(default=None, ge=1)
    """Rows from the start of a window to that of the next; null is the window, without overlap."""

    levels: int | None = Field(default=None, ge=2, le=256)
    """Number of levels to which the range of the training rows is quantised (others are clipped); null keeps real
    numbers, and a window is a vector."""

    encoding: Literal["mu_law", "linear"] = "linear"
    """How the range becomes levels: finer near its middle (µ-law), or evenly."""

    def unread(self) -> Iterator[tuple[str, Iterable[str]]]:
        ending = PurePath(self.path).suffix.lower()
        yield from self.unread_marks(
            "xlsx" if ending in EXCEL else "parquet" if ending in PARQUET else "csv", "text_encoding"
        )
        if self.levels is None:
            yield "real numbers have no levels (data.levels)", ("encoding",)

    @property
    def drawn_test(self) -> Count | None:
        return self.test_count if self.recording is not None else None  # the source cuts one series in time

    @property
    def counts_recordings(self) -> bool:
        return self.recording is not None

    @property
    def kind(self) -> Kind | None:
        return "vector" if self.levels is None else "sequence"

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        return (self.window,) if self.levels is None else (1, self.window)

    @property
    def level_count(self) -> int | None:
        return self.levels

    @property
    def labelled(self) -> bool | None:
        return False
