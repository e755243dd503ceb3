"""The section `data` of params.yaml: which data is prepared, and how. Each source has a class of its own.

What a class says about its examples before any file is read (`kind`, `example_shape`, `level_count`, `ordered`,
`labelled`, …; None where only the files can tell) lets a family that does not fit be refused before anything starts.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, model_validator

from .file_options import Background, LabelTable, RareClasses, Rescale
from .section import Input, Place, Section, Seed

Kind = Literal["image", "sequence", "vector"]
Side = Annotated[int, Field(ge=1)]


def _count(number: int | float) -> int | float:
    if not (number >= 1 if isinstance(number, int) else 0 < number < 1):
        raise ValueError("must be a count of at least 1, or a share between 0 and 1")
    return number


def _pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        raise ValueError(f"must be a regular expression, and is none: {error}") from None
    return text


def _labelling(text: str) -> str:
    if re.compile(_pattern(text)).groups != 1:
        raise ValueError("must be a regular expression with one group, which is the label")
    return text


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


Count = Annotated[int | float, AfterValidator(_count)]
Pattern = Annotated[str, AfterValidator(_pattern)]
Separator = Annotated[str, AfterValidator(_separator)]
Mark = Annotated[str, AfterValidator(_mark)]
Encoding = Annotated[str, AfterValidator(_encoding)]
Labelling = Annotated[str, AfterValidator(_labelling)]


class Source(Section):
    """What every source has in common."""

    source: str
    """Where the data comes from."""

    path: Input = "data/raw"
    """The file or folder that is read, from the project's folder on. DVC watches it, so it must stay in params.yaml."""

    name: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$")
    """Name of the folder under data/prepared; null takes the name of the source."""

    val_count: Count = 0.1
    """Examples in the validation split, which alone decides about early stopping, search and champions; below 1 a
    share of the examples. Unused where the source has a validation split."""

    seed: Seed = 0
    """Seed of everything that is drawn: the splits, which are stratified by label, noise and clusters."""

    publish: Place | None = None
    """A folder or URL (s3://bucket/prefix) to which the prepared data is copied too. Workers that do not see the
    project's own folder read it from there, through a cache of their own; null copies nothing."""

    @property
    def kind(self) -> Kind | None:
        """What an example is; None if only the files can tell."""
        return None

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        """The shape of an example; None if only the files can tell."""
        return None

    @property
    def level_count(self) -> int | None:
        """How many levels the integers of an example have; None for real numbers. Asked only where `kind` is known."""
        return None if self.kind == "vector" else 256

    @property
    def class_count(self) -> int | None:
        """How many labels there are; None if only the files can tell."""
        return None

    @property
    def reader(self) -> str:
        """The module of data/sources that reads it."""
        return self.source

    @property
    def read_paths(self) -> list[str]:
        """The files and folders that are read."""
        return [self.path]

    @property
    def folder(self) -> str:
        """The name of the prepared folder."""
        return self.name or self.source

    @property
    def drawn_test(self) -> Count | None:
        """How large a test split is drawn; None keeps the one that the source has."""
        return getattr(self, "test_count", None)

    @property
    def own_test(self) -> bool:
        """Can the source have a test split of its own, as far as its parameters say?"""
        return True

    @property
    def counts_recordings(self) -> bool:
        """Are `val_count` and `test_count` counts of recordings, rather than of examples?"""
        return False

    @property
    def ordered(self) -> bool:
        """Are the levels of integers numbers, rather than names such as a palette's?"""
        return True

    @property
    def labelled(self) -> bool | None:
        """Do the examples have labels? None if only the files can tell."""
        return None


class ImageOptions(Section):
    """What can be done to the pixels of images. At most one of the three."""

    bits: int | None = Field(default=None, ge=1, le=7)
    """Bit depth to which 256 levels are reduced, by dropping the lower bits: 5 gives 32 levels."""

    binarise: Literal["threshold", "fixed", "each_step"] | None = None
    """Make pixels 0 or 1: at half of the range, or drawn with the grey level as the probability of 1, once by the
    seed (`fixed`) or for each training step anew (`each_step`; validation and test are drawn once)."""

    palette: int | None = Field(default=None, ge=2, le=256)
    """Number of colours to which the training pixels are clustered (k-means); images become indices of the palette."""

    @model_validator(mode="after")
    def _one_option(self) -> ImageOptions:
        given = [name for name in ("bits", "binarise", "palette") if getattr(self, name) is not None]
        if len(given) > 1:
            raise ValueError(f"give only one of {' and '.join(given)}")
        return self

    @property
    def ordered(self) -> bool:
        return self.palette is None

    def levels_of(self, before: int) -> int:
        """How many levels pixels have that had so many `before`."""
        if self.bits is not None:
            return 1 << self.bits
        return 2 if self.binarise is not None else self.palette or before

    def shape_of(self, channels: int, height: int, width: int) -> tuple[int, int, int]:
        """The shape of images: indices of a palette have one channel."""
        return 1 if self.palette is not None else channels, height, width


class Digits(ImageOptions, Source):
    """Scikit-learn's 1,797 handwritten digits, 8×8, 17 grey levels: embedded, no file is read."""

    source: Literal["digits"] = "digits"
    """The digits of scikit-learn."""

    val_count: Count = 200
    """Examples in the validation split, which alone decides about early stopping, search and champions; below 1 a
    share of the examples."""

    test_count: Count = 400
    """Examples in the test split, by which nothing is decided; below 1 a share of the examples."""

    @property
    def read_paths(self) -> list[str]:
        return []

    @property
    def kind(self) -> Kind | None:
        return "image"

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        return self.shape_of(1, 8, 8)

    @property
    def level_count(self) -> int | None:
        return self.levels_of(17)

    @property
    def class_count(self) -> int | None:
        return 10

    @property
    def labelled(self) -> bool | None:
        return True

    @model_validator(mode="after")
    def _levels(self) -> Digits:
        if self.bits is not None:
            raise ValueError("bits is not allowed: the digits have 17 levels, not 256")
        return self


class Published(ImageOptions, Source):
    """A data set of `torchvision.datasets`, in the folder `path`: downloaded when absent, else verified by checksum."""

    source: Literal["mnist", "fashion_mnist", "kmnist", "cifar10", "svhn"]
    """Which of the data sets."""

    @property
    def reader(self) -> str:
        return "published"

    @property
    def kind(self) -> Kind | None:
        return "image"

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        return self.shape_of(3, 32, 32) if self.source in ("cifar10", "svhn") else self.shape_of(1, 28, 28)

    @property
    def level_count(self) -> int | None:
        return self.levels_of(256)

    @property
    def class_count(self) -> int | None:
        return 10

    @property
    def labelled(self) -> bool | None:
        return True


class CelebA(ImageOptions, Source):
    """CelebA's aligned faces, with its own three splits."""

    source: Literal["celeba"]
    """The faces of CelebA."""

    size: int = Field(default=64, ge=4)
    """Side to which the central 148×148 pixels are resized."""

    attribute: str | None = None
    """The attribute that becomes the label, `Smiling` for instance; null has no labels."""

    @property
    def kind(self) -> Kind | None:
        return "image"

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        return self.shape_of(3, self.size, self.size)

    @property
    def level_count(self) -> int | None:
        return self.levels_of(256)

    @property
    def class_count(self) -> int | None:
        return 2

    @property
    def labelled(self) -> bool | None:
        return self.attribute is not None


class BinarizedMNIST(Source):
    """Larochelle's fixed binarisation of MNIST, with its own three splits: an .npz, or a folder of .amat files."""

    source: Literal["binarized_mnist"]
    """The digits of MNIST, 0 or 1."""

    @property
    def kind(self) -> Kind | None:
        return "image"

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        return 1, 28, 28

    @property
    def level_count(self) -> int | None:
        return 2

    @property
    def labelled(self) -> bool | None:
        return False


class SplitNames(Section):
    """The names of the arrays of each split: members of an .npz, files of a folder."""

    train: str
    """The training split; val and test are drawn from it where they have no array of their own."""

    val: str | None = None
    """The validation split."""

    test: str | None = None
    """The official test split, which is kept as it is."""


class Arrays(ImageOptions, RareClasses, Source):
    """Arrays (N, …): images of integers (N, H, W), (N, C, H, W) or (N, H, W, C), or vectors (N, D)."""

    source: Literal["npz", "npy"]
    """`npz` is a file with named arrays; `npy` a single file, or a folder with a file per array."""

    arrays: SplitNames | None = None
    """The examples of each split; null takes the only array of the file."""

    labels: SplitNames | None = None
    """The labels (N,) of each split, integers or texts; null has none."""

    test_count: Count | None = None
    """Examples in the test split, below 1 a share of them; null keeps the test split that `arrays` names."""

    layout: Literal["channels_first", "channels_last"] = "channels_first"
    """Where the channels of (N, …, …, …) arrays stand."""

    shape: tuple[Side, ...] | None = Field(default=None, min_length=1, max_length=3, strict=False)
    """Shape into which each flat row is brought: [1, 28, 28] for images, [1, T] for sequences; null leaves it."""

    levels: int | None = Field(default=None, ge=2, le=256)
    """Number of levels of integers, 0 … levels-1; null is 256 for images, and vectors are real numbers."""

    rescale: Rescale = None
    """Images and sequences of real numbers, or of integers beyond the levels, are brought to these levels: from the
    range of their `type` (0 … 65,535 for uint16, 0 … 1 for real numbers), from the least and greatest value of each
    example by itself (`file`) or of all training `data`, from the 1st to the 99th `percentile` of the training data,
    or from two numbers such as [0, 255]. What lies outside is clipped and counted; null refuses such values."""

    class_names: list[str] | None = None
    """Names of the labels 0, 1, …; null takes the labels themselves."""

    columns: list[str] | None = None
    """Names of the numbers of a vector; null numbers them."""

    @property
    def reader(self) -> str:
        return "arrays"

    @property
    def own_test(self) -> bool:
        return self.arrays is not None and self.arrays.test is not None

    @property
    def labelled(self) -> bool | None:
        return self.labels is not None


class Files(RareClasses, Source):
    """A folder of files, one example or recording in each; labels and official splits follow from their paths."""

    val_count: Count = 0.1
    """Files in the validation split, below 1 a share of them. Unused where there is an official validation split."""

    test_count: Count | None = None
    """Files in the test split, below 1 a share of them; null keeps the official one."""

    splits: Literal["folders"] | None = "folders"
    """Official splits are the `folders` called train, val and test, or training, validation, valid, dev, testing and
    the like, if every file lies in one; null takes no notice of such names."""

    val_files: Pattern | None = None
    """Files that are the official validation split: a file or folder below `path`, or a regular expression that is
    searched in each path below `path`."""

    test_files: Pattern | None = None
    """Files that are the official test split, named in the same way."""

    exclude_files: Pattern | None = None
    """Files that are left out, named in the same way."""

    labels: Literal["folders"] | Labelling | LabelTable | None = "folders"
    """Labels are the names of the `folders` at the outermost level at which files differ (none if they do not); or the
    group of a regular expression that is searched in each path below `path`, `^(\\d+)_` for instance; or they stand in
    a table, {file, path, label}; null has none."""

    corrupt: Literal["refuse", "skip"] = "refuse"
    """What happens when a file cannot be read: stop and list such files, or leave them out and say so."""

    @property
    def read_paths(self) -> list[str]:
        table = self.labels if isinstance(self.labels, LabelTable) else None
        return [self.path, *([table.file] if table and table.outside(self.path) else [])]

    @property
    def own_test(self) -> bool:
        return self.test_files is not None or self.splits is not None or self._table_splits

    @property
    def labelled(self) -> bool | None:
        return False if self.labels is None else None if self.labels == "folders" else True

    @property
    def _table_splits(self) -> bool:
        return isinstance(self.labels, LabelTable) and self.labels.split is not None


class Images(ImageOptions, Files):
    """A folder of image files, searched in all its subfolders."""

    source: Literal["images"]
    """Image files."""

    resize: tuple[Side, Side] | None = Field(default=None, strict=False)
    """Height and width to which images are brought; null leaves them, and all must have one size."""

    crop: Literal["none", "centre"] = "centre"
    """How an image of other proportions is resized: its centre is cut out, or it is squeezed."""

    mode: Literal["grey", "rgb"] = "rgb"
    """Channels: one grey, or red, green and blue."""

    background: Background = "white"
    """What see-through images are put on: white, grey, black, or a colour such as "#ffcc00"."""

    rescale: Rescale = None
    """Images of more than 8 bits, or of real numbers, are brought to 256 levels: from the range of their `type` (0 …
    65,535 for 16 bits, 0 … 1 for real numbers), from the least and greatest value of each `file` by itself or of all
    files outside of the official splits (`data`), from the 1st to the 99th `percentile` of those, or from two numbers
    such as [0, 4095]. What lies outside is clipped and counted; null refuses such images. Those of 8 bits are
    stretched alike."""

    @property
    def reader(self) -> str:
        return "image_folder"

    @property
    def kind(self) -> Kind | None:
        return "image"

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        return None if self.resize is None else self.shape_of(1 if self.mode == "grey" else 3, *self.resize)

    @property
    def level_count(self) -> int | None:
        return self.levels_of(256)


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

    @model_validator(mode="after")
    def _marks(self) -> WrittenOptions:
        if self.thousands == self.decimal:
            raise ValueError(f"decimal and thousands are both {self.decimal!r}: they must differ")
        if self.comment is not None and self.comment in (self.separator.strip(), self.decimal, self.thousands):
            raise ValueError(f"comment {self.comment!r} is a separator too: they must differ")
        return self


class ColumnOptions(Section):
    """What a column of a table is. Null leaves it to what is found in the data."""

    type: Literal["real", "integer", "boolean", "category", "ordered", "date", "leave_out"] | None = None
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


ColumnType = Literal["real", "integer", "boolean", "category", "ordered", "date", "leave_out"]


class Table(WrittenOptions, Source):
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

    @property
    def reader(self) -> str:
        return "table" if self.by_hand else "typed_table"

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
        return "vector"

    @property
    def own_test(self) -> bool:
        return self.test_path is not None

    @property
    def labelled(self) -> bool | None:
        return self.label is not None


class Audio(Files):
    """A folder of recordings (WAV, FLAC, OGG, MP3, …), cut into windows of fixed length."""

    source: Literal["audio"]
    """Recordings of sound."""

    sample_rate: int = Field(default=8000, ge=100)
    """Samples per second to which recordings are resampled."""

    window: int = Field(default=4000, ge=2)
    """Samples in a window."""

    hop: int | None = Field(default=None, ge=1)
    """Samples from the start of a window to that of the next; null is the window, without overlap."""

    short: Literal["pad", "drop"] = "pad"
    """What happens to the end of a recording that does not fill a window: filled with silence, or left out."""

    stereo: Literal["refuse", "mix"] = "refuse"
    """What happens to a recording with several channels: stop, or take their mean."""

    trim: float | None = Field(default=None, lt=0)
    """Decibels, relative to the loudest sample of a recording: what comes before the first sample that is louder than
    that, and after the last one, is left out, but for a few milliseconds. Null keeps all."""

    normalise: float | None = Field(default=None, gt=0, le=1)
    """Amplitude that the loudest sample of each recording gets; null leaves recordings as loud as they are."""

    dither: float = Field(default=0.0, ge=0, lt=1)
    """Root mean square of white noise that is added to windows, the silence that fills them up included: digital
    silence, in which nothing is uncertain, makes densities of real numbers explode."""

    encoding: Literal["mu_law", "linear"] = "mu_law"
    """How amplitudes -1 … 1 become levels: finer near silence (µ-law), or evenly."""

    levels: int = Field(default=256, ge=2, le=256)
    """Number of levels."""

    @property
    def whole(self) -> bool:
        """Must a recording be in memory as a whole, since something is done to it that depends on all of it?"""
        return self.trim is not None or self.normalise is not None or self.dither > 0

    @property
    def counts_recordings(self) -> bool:
        return True

    @property
    def kind(self) -> Kind | None:
        return "sequence"

    @property
    def example_shape(self) -> tuple[int, ...] | None:
        return 1, self.window

    @property
    def level_count(self) -> int | None:
        return self.levels


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


Data = Annotated[
    Digits | Published | CelebA | BinarizedMNIST | Arrays | Images | Table | Audio | Series,
    Field(discriminator="source"),
]

SOURCES = (
    "digits", "mnist", "fashion_mnist", "kmnist", "cifar10", "svhn", "celeba", "binarized_mnist",
    "npz", "npy", "images", "csv", "parquet", "xlsx", "audio", "series",
)  # fmt: skip
