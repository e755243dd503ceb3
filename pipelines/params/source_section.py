"""What all sources of data have in common, and what can be done to images of any of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from .section import Input, Place, Section, Seed

Kind = Literal["image", "sequence", "vector"]
Side = Annotated[int, Field(ge=1)]


def _count(number: int | float) -> int | float:
    if not (number >= 1 if isinstance(number, int) else 0 < number < 1):
        raise ValueError("must be a count of at least 1, or a share between 0 and 1")
    return number


Count = Annotated[int | float, AfterValidator(_count)]


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

    def unread(self) -> Iterator[tuple[str, Iterable[str]]]:
        """Why options are not read with the others as they are, and which: what is given for nothing is refused."""
        yield from ()

    @model_validator(mode="after")
    def _all_is_read(self) -> Self:
        wrong = []
        for why, names in self.unread():
            given = [name for name in names if getattr(self, name, None) != _default(type(self), name)]
            if given:
                wrong.append(f"{' and '.join(given)} {'is' if len(given) == 1 else 'are'} not read: {why}")
        if wrong:
            raise ValueError(f"{'; '.join(wrong)}; remove what is not read")
        return self


def _default(section: type[Section], name: str) -> Any:
    """What an option is where nothing is said; None for one that the section does not have."""
    field = section.model_fields.get(name)
    return None if field is None else field.get_default(call_default_factory=True)


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
