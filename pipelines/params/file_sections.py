"""Data that lies in folders of files: images and recordings."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .file_options import Background, LabelTable, RareClasses, Rescale
from .source_section import Count, ImageOptions, Kind, Side, Source


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


Pattern = Annotated[str, AfterValidator(_pattern)]
Labelling = Annotated[str, AfterValidator(_labelling)]


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

    def unread(self) -> Iterator[tuple[str, Iterable[str]]]:
        if self.labels is None:
            yield "there are no labels (data.labels)", ("rare",)

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

    def unread(self) -> Iterator[tuple[str, Iterable[str]]]:
        yield from super().unread()
        if self.resize is None:
            yield "images keep their size (data.resize)", ("crop",)

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
