"""Images, sounds and arrays as files: .npy, .npz, .png, .wav."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import ZIP_STORED, ZipFile

import numpy as np

from .mistake import Mistake, refused

if TYPE_CHECKING:
    from PIL.Image import Image

ARRAYS = (".npy", ".npz")
SPACE = 2  # pixels between the images of a grid
MOST = 1024  # images of a grid
ENLARGED = 64  # pixels up to which small images are magnified


def read_array(path: Path) -> np.ndarray:
    """The array of a .npy file, or the first of a .npz file."""
    try:
        loaded = np.load(path, allow_pickle=False, mmap_mode="r")
        return loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
    except (OSError, ValueError, IndexError):
        raise Mistake(f"{path}: cannot be read as an array of numbers, which `numpy.save` writes") from None


class ArrayWriter:
    """Writes examples to a .npy or .npz file, a part after the other; the latter has their labels and the seed, too."""

    def __init__(self, path: Path, total: int) -> None:
        self.path, self.total = path, total
        self._archive: ZipFile | None = None
        self._file: Any = None

    def write(self, x: np.ndarray) -> None:
        """Append examples (n, …), of `total` in all."""
        if self._file is None:
            self._begin(x)
        self._file.write(np.ascontiguousarray(x).tobytes())

    def _begin(self, x: np.ndarray) -> None:
        header = {
            "descr": np.lib.format.dtype_to_descr(x.dtype),
            "fortran_order": False,
            "shape": (self.total, *x.shape[1:]),
        }
        if self.path.suffix.lower() == ".npz":
            self._archive = ZipFile(self.path, "w", ZIP_STORED)
            self._file = self._archive.open("samples.npy", "w", force_zip64=True)
        else:
            self._file = self.path.open("wb")
        np.lib.format.write_array_header_2_0(self._file, header)

    def close(self, **more: Any) -> None:
        """Finish the file, with more arrays where it can hold them."""
        if self._file is not None:
            self._file.close()
        if self._archive is None:
            return
        for name, value in more.items():
            with self._archive.open(f"{name}.npy", "w") as file:
                np.lib.format.write_array(file, np.asarray(value), allow_pickle=False)
        self._archive.close()


def read_image(path: Path, event: Any, palette: Sequence[Sequence[int]] | None) -> np.ndarray:
    """An image file as levels (C, H, W) of a model's event. It must have the size of its images."""
    image = open_image(path)
    _, height, width = event.shape
    if image.size != (width, height):
        raise Mistake(f"{path}: is {image.width}×{image.height} pixels; the model's images are {width}×{height}")
    levels, odd = image_levels(image, event, palette)
    if odd:
        raise Mistake(f"{path}: {odd} pixels have colours that the model's palette does not have")
    return levels


def open_image(path: Path) -> Image:
    """The image in a file."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(path)
        image.load()
    except (OSError, UnidentifiedImageError):
        raise Mistake(f"{path}: cannot be read as an image") from None
    return image


def image_levels(image: Image, event: Any, palette: Sequence[Sequence[int]] | None) -> tuple[np.ndarray, int]:
    """An image of the right size as levels (C, H, W), and how many pixels have no colour of the palette.

    These take the one that is nearest.
    """
    channels, height, width = event.shape
    if palette is not None:
        pixels = np.asarray(image.convert("RGB"), np.int64)
        distance = ((pixels[:, :, None] - np.asarray(palette)) ** 2).sum(-1)
        return distance.argmin(-1)[None], int((distance.min(-1) > 0).sum())
    values = np.asarray(image.convert({1: "L", 3: "RGB", 4: "RGBA"}[channels]), np.float64)
    levels = np.rint(values * ((event.levels - 1) / 255))
    return np.moveaxis(levels.reshape(height, width, channels), -1, 0), 0


def read_sound(path: Path, model: Any) -> np.ndarray:
    """A WAV file as levels (1, 1, T) of a model's sounds, of any length."""
    with refused(f"{path.name}: "):
        x: np.ndarray = model.sound(path.read_bytes())
    return x


def read_mask(path: Path, event: Any) -> np.ndarray:
    """Where an image is to be drawn anew (H, W): where the mask is white."""
    from PIL import Image, UnidentifiedImageError

    try:
        mask = Image.open(path).convert("L")
    except (OSError, UnidentifiedImageError):
        raise Mistake(f"{path}: cannot be read as an image") from None
    _, height, width = event.shape
    if mask.size != (width, height):
        raise Mistake(f"{path}: is {mask.width}×{mask.height} pixels; the mask must be {width}×{height}")
    return np.asarray(mask) >= 128


def write_grid(path: Path, files: Sequence[bytes]) -> None:
    """Images as one: so many beside each other as below each other."""
    import io

    from PIL import Image

    tiles = [Image.open(io.BytesIO(file)).convert("RGB") for file in files]
    width, height = tiles[0].size
    scale = max(1, ENLARGED // max(width, height))
    width, height, across = width * scale, height * scale, math.ceil(math.sqrt(len(tiles)))
    down = math.ceil(len(tiles) / across)
    sheet = Image.new("RGB", (across * (width + SPACE) - SPACE, down * (height + SPACE) - SPACE), "white")
    for place, tile in enumerate(tiles):
        corner = place % across * (width + SPACE), place // across * (height + SPACE)
        sheet.paste(tile.resize((width, height), Image.Resampling.NEAREST), corner)
    sheet.save(path, "PNG")
