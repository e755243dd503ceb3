"""The section `data` of params.yaml: which data is prepared, and how. Each source has a class of its own.

What a class says about its examples before any file is read (`kind`, `example_shape`, `level_count`, `ordered`,
`labelled`, …; None where only the files can tell) lets a family that does not fit be refused before anything starts.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from .file_options import Background, RareClasses, Rescale
from .file_sections import Audio, Images
from .section import Section
from .source_section import Count, ImageOptions, Kind, Side, Source
from .table_sections import Series, Table


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

    background: Background | None = None
    """Images whose last channel, the second or the fourth, says how opaque pixels are, are put on white, grey, black,
    or a colour such as "#ffcc00"; null refuses such images. The range of opacity is that of the numbers' type: 0 … 255
    for uint8, 0 … 65,535 for uint16, 0 … 1 for real numbers, and that of the levels for other integers."""

    class_names: list[str] | None = None
    """Names of the labels 0, 1, …; null takes the labels themselves."""

    columns: list[str] | None = None
    """Names of the numbers of a vector; null numbers them."""

    def unread(self) -> Iterator[tuple[str, Iterable[str]]]:
        if self.labels is None:
            yield "there are no labels (data.labels)", ("rare", "class_names")
        if self.shape is not None:
            yield "data.shape says what rows are", ("layout",)
            if len(self.shape) > 1:
                yield "data.shape says that these are no vectors", ("columns",)
            if len(self.shape) < 3:
                yield "data.shape says that these are no images", ("background", "bits", "binarise", "palette")

    @property
    def reader(self) -> str:
        return "arrays"

    @property
    def own_test(self) -> bool:
        return self.arrays is not None and self.arrays.test is not None

    @property
    def labelled(self) -> bool | None:
        return self.labels is not None


Data = Annotated[
    Digits | Published | CelebA | BinarizedMNIST | Arrays | Images | Table | Audio | Series,
    Field(discriminator="source"),
]

SOURCES = (
    "digits", "mnist", "fashion_mnist", "kmnist", "cifar10", "svhn", "celeba", "binarized_mnist",
    "npz", "npy", "images", "csv", "parquet", "xlsx", "audio", "series",
)  # fmt: skip
