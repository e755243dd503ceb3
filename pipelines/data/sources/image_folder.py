"""A folder of image files: upright by their EXIF orientation, grey or RGB, resized and cropped as asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from ...errors import UserError
from ...params.data_section import Images
from ..rows import Rows, RowsWriter
from . import Part, Source
from .finding import checksum, find, labels_of, official_test, put, some
from .parallel import in_chunks

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm")
UNREADABLE = (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError)
CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class Decoding:
    """How a file becomes an array (C, H, W)."""

    mode: str
    size: tuple[int, int] | None = None
    crop: str = "centre"
    box: tuple[int, int, int, int] | None = None

    def __call__(self, path: Path) -> np.ndarray:
        """The pixels of a file. Raises one of `UNREADABLE`."""
        with Image.open(path) as file:
            if file.mode[0] in "IF" or any(";16" in str(part) for part in file.tile):
                raise ValueError(f"its pixels have more than 8 bits ({file.mode})")
            image = ImageOps.exif_transpose(file)
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")  # of several transparent colours; Pillow warns otherwise
            image = image.convert("L" if self.mode == "grey" else "RGB")
        if self.box is not None:
            image = image.crop(self.box)
        if self.size is not None:
            height, width = self.size
            bring = ImageOps.fit if self.crop == "centre" else Image.Image.resize
            image = bring(image, (width, height), Image.Resampling.LANCZOS)
        pixels = np.asarray(image)
        return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def read(data: Images, root: Path, spool: Path) -> Source:
    """Images (N, C, H, W) of 256 levels in the order of their paths, labelled as the parameters say."""
    folder = root / data.path
    paths = find(folder, SUFFIXES)
    labels, names = labels_of(paths, folder, data.labels)
    test = official_test(paths, folder, data.test_files)
    decoding = Decoding(data.mode, data.resize, data.crop)
    decisions = [f"{len(paths):,} files were read as {data.mode} images, turned upright by their EXIF orientation."]
    if data.resize is not None:
        how = "cropped around their centre and resized" if data.crop == "centre" else "resized without cropping"
        decisions.append(f"Images were {how} to {data.resize[0]}×{data.resize[1]} pixels.")
    parts = {}
    for name, chosen in (("train", ~test), ("test", test)):
        if chosen.any():
            mine = [path for path, mark in zip(paths, chosen, strict=True) if mark]
            x, kept = decode(f"prepare: {name} images", mine, decoding, spool / f"{name}.npy", data.corrupt, decisions)
            numbers = None if labels is None else put(spool, f"{name}_labels", labels[chosen][kept])
            parts[name] = Part(x, numbers)
    return Source(parts, 256, data.mode, names, decisions=decisions, checksums=checksum(paths, folder))


def decode(
    title: str, paths: Sequence[Path], decoding: Decoding, target: Path, corrupt: str, decisions: list[str]
) -> tuple[Rows, np.ndarray]:
    """Decode all files into one array on disk, and say which were kept.

    Raises `UserError` for images of different sizes, and for files that cannot be read unless they are skipped.
    """
    shape = _first_shape(paths, decoding)
    per_chunk = max(1, min(512, CHUNK_BYTES // int(np.prod(shape)), -(-len(paths) // 8)))
    kept = np.ones(len(paths), bool)
    bad: list[str] = []
    start = 0
    with RowsWriter(target, shape, np.uint8) as writer:
        for chunk, (pixels, failures) in in_chunks(title, partial(_decode, decoding, shape), paths, per_chunk):
            writer.append(pixels)
            for index, reason in failures.items():
                kept[start + index] = False
                bad.append(f"{chunk[index]} ({reason})")
            start += len(chunk)
            if bad and corrupt == "refuse" and len(bad) > 100:
                break
    if bad and corrupt == "refuse":
        raise UserError(
            f"{len(bad):,} image files cannot be read: {some(bad)}; mend or remove them, or set data.corrupt to skip"
        )
    if not kept.any():
        raise UserError(f"none of the {len(paths):,} image files can be read: {some(bad)}")
    if bad:
        decisions.append(f"{len(bad):,} files that cannot be read were skipped: {some(bad)}.")
    return Rows(target), kept


def _decode(decoding: Decoding, shape: tuple[int, ...], paths: Sequence[Path]) -> tuple[np.ndarray, dict[int, str]]:
    """The pixels of the files that can be read, and why the others cannot."""
    pixels, failures = [], {}
    for index, path in enumerate(paths):
        try:
            image = decoding(path)
        except UNREADABLE as error:
            failures[index] = " ".join(str(error).split())
            continue
        if image.shape != shape:
            sizes = f"{image.shape[1]}×{image.shape[2]} pixels, the first image {shape[1]}×{shape[2]}"
            raise UserError(f"{path}: has {sizes}: set data.resize to bring all images to one size")
        pixels.append(image)
    return np.stack(pixels) if pixels else np.empty((0, *shape), np.uint8), failures


def _first_shape(paths: Sequence[Path], decoding: Decoding) -> tuple[int, ...]:
    """The shape of the first image that can be read."""
    failures: list[str] = []
    for path in paths:
        try:
            return decoding(path).shape
        except UNREADABLE as error:
            failures.append(f"{path} ({' '.join(str(error).split())})")
    raise UserError(f"none of the {len(paths):,} image files can be read: {some(failures)}")
