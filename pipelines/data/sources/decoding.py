"""One image file as an array: upright, on a background where it is see-through, grey or RGB, resized and cropped."""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from .faults import Fault
from .rescaling import Scale

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm",
    ".pbm", ".pnm", ".jfif", ".jpe", ".apng", ".tga",
    *((".avif",) if features.check("avif") else ()),
    *((".jp2",) if features.check("jpg_2000") else ()),
)  # fmt: skip
UNREADABLE = (
    OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError, EOFError, RuntimeError,
)  # fmt: skip
RESCALE = (
    "set data.rescale to type, file, data or percentile, or to the least and the greatest value, such as [0, 4095]"
)
ONLY_TYPE = "set data.rescale to type, which keeps the upper 8 of the 16 bits of colours"
WORDS = {
    "1": "two-valued",
    "L": "grey",
    "LA": "grey",
    "P": "palette",
    "PA": "palette",
    "RGB": "colour",
    "RGBA": "colour",
}


class Unusable(ValueError):
    """An image that is whole, and that the parameters do not allow."""

    def __init__(self, reason: str, way_out: str) -> None:
        super().__init__(reason)
        self.way_out = way_out


@dataclass(frozen=True)
class Decoding:
    """How a file becomes an array (C, H, W)."""

    mode: str
    size: tuple[int, int] | None = None
    crop: str = "centre"
    box: tuple[int, int, int, int] | None = None
    background: str = "white"
    scale: Scale | None = None

    def __call__(self, path: Path) -> np.ndarray:
        """The pixels of a file. Raises one of `UNREADABLE`."""
        return self.read(path)[0]

    def read(self, path: Path) -> tuple[np.ndarray, Counter[str]]:
        """The pixels of a file, and what is to be counted about it. Raises one of `UNREADABLE`."""
        notes: Counter[str] = Counter()
        values = self.values(path, notes)
        if self.scale is not None and not notes["deep colour"]:
            notes["constant"] += self.scale.how == "file" and bool(values.min() == values.max())
            values, notes["clipped"] = self.scale(values)
        image = Image.fromarray(values).convert(self._pillow_mode)
        if self.box is not None:
            image = image.crop(self.box)
        if self.size is not None:
            height, width = self.size
            notes["other proportions"] += image.width * height != image.height * width
            notes["enlarged"] += image.width < width or image.height < height
            bring = ImageOps.fit if self.crop == "centre" else Image.Image.resize
            image = bring(image, (width, height), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1), notes

    def values(self, path: Path, notes: Counter[str]) -> np.ndarray:
        """The upright image (H, W) or (H, W, 3) in the wanted mode; if it has more than 8 bits, its own values."""
        with Image.open(path) as file:
            deep = file.mode[0] in "IF"
            colour = not deep and any(";16" in str(part) for part in file.tile)
            self._complain_of_depth(file.mode, deep, colour)
            image = ImageOps.exif_transpose(file)
            notes["frames"] += _several(file)
            of_16_bits = file.format == "PPM"  # which Pillow gives as integers of 32 bits
        notes["deep" if deep else "deep colour" if colour else "eight bits"] += 1
        if deep:
            values = np.asarray(image)
            return values.astype(np.uint16) if of_16_bits and values.dtype.kind == "i" else values
        return np.asarray(self._opaque(image, notes).convert(self._pillow_mode))

    def _opaque(self, image: Image.Image, notes: Counter[str]) -> Image.Image:
        """The image on the background, if some of it can be seen through."""
        kind = WORDS.get(image.mode)
        if kind is None or (kind != "palette" and (kind == "colour") != (self.mode == "rgb")):
            notes[f"from {kind or image.mode}"] += 1
        if not image.has_transparency_data:
            return image
        image = image.convert("RGBA")
        if image.getchannel("A").getextrema()[0] == 255:
            return image
        notes["see-through"] += 1
        return Image.alpha_composite(Image.new("RGBA", image.size, self.background), image)

    def _complain_of_depth(self, mode: str, deep: bool, colour: bool) -> None:
        reason = f"its pixels have more than 8 bits ({mode})"
        if (deep or colour) and self.scale is None:
            raise Unusable(reason, ONLY_TYPE if colour else RESCALE)
        if colour and self.scale is not None and self.scale.how != "type":
            raise Unusable(f"{reason}, of which its decoder gives the upper 8", ONLY_TYPE)

    @property
    def _pillow_mode(self) -> str:
        return "L" if self.mode == "grey" else "RGB"


def _several(file: Image.Image) -> bool:
    """Does a file hold several frames? Damage behind the first one, at which Pillow fails variously, is no matter."""
    try:
        return getattr(file, "n_frames", 1) > 1
    except (*UNREADABLE, LookupError, TypeError, struct.error):
        return True


def fault_of(error: BaseException, path: Path) -> Fault:
    """Why a file was not decoded. Its name, which messages give already, is left out."""
    reason = " ".join(str(error).split()).replace(f"{str(path)!r}", "it")
    if isinstance(error, UnidentifiedImageError):
        reason = "is no image, or of a kind that is not known" if path.stat().st_size else "is empty"
    return Fault(reason, getattr(error, "way_out", None))
