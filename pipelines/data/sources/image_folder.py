"""A folder of image files: upright by their EXIF orientation, grey or RGB, resized and cropped as asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...params.file_sections import Images
from ..rows import Rows, RowsWriter
from . import Part, Source
from .decoding import SUFFIXES, UNREADABLE, Decoding, fault_of
from .faults import Fault, Faults
from .finding import checksum, put, some
from .listing import listed
from .parallel import in_chunks
from .rescaling import VALUES, Scale, Seen, learnt, look_at, said

CHUNK_BYTES = 4 << 20
FILES = 64  # whose values are looked at per piece of work
Chunk = tuple[np.ndarray, dict[int, Fault], dict[int, tuple[int, ...]], "Counter[str]"]


def read(data: Images, root: Path, spool: Path) -> Source:
    """Images (N, C, H, W) of 256 levels in the order of their paths, labelled as the parameters say."""
    listing = listed(data, root, SUFFIXES)
    paths, numbers = listing.paths, listing.numbers()
    decoding = Decoding(data.mode, data.resize, data.crop, background=data.background)
    decoding = replace(decoding, scale=_scale(data, decoding, [paths[number] for number in numbers["train"]]))
    images = Pictures(decoding)
    found = {
        split: images.decode(f"prepare: {split} images", [paths[number] for number in mine], spool / f"{split}.npy")
        for split, mine in numbers.items()
    }
    skipped = images.settle(data.corrupt)
    labels, names = listing.labels(np.concatenate([mine[found[split][1]] for split, mine in numbers.items()]))
    parts = {}
    for split, mine in numbers.items():
        x, kept = found[split]
        parts[split] = Part(x, None if labels is None else put(spool, f"{split}_labels", labels[mine[kept]]))
    decisions = [
        f"{len(paths):,} files were read as {data.mode} images, turned upright by their EXIF orientation.",
        *listing.decisions,
        *_resized(data, images.notes),
        *images.sentences(),
        *skipped,
    ]
    return Source(
        parts, 256, data.mode, names, decisions=decisions, checksums=checksum(listing.sources, root / data.path)
    )


def _resized(data: Images, notes: Counter[str]) -> list[str]:
    """What is said of another size, and of how many images it took something or had to invent something."""
    if data.resize is None:
        return []
    cropped = data.crop == "centre"
    how = "cropped around their centre and resized" if cropped else "resized without cropping"
    said = f"Images were {how} to {data.resize[0]}×{data.resize[1]} pixels"
    if notes["other proportions"]:
        said += f"; {notes['other proportions']:,} of other proportions {'lost edges' if cropped else 'were squeezed'}"
    if notes["enlarged"]:
        said += f"; {notes['enlarged']:,} were smaller, and were enlarged"
    return [f"{said}."]


@dataclass
class Pictures:
    """Image files that are decoded to one shape, and what is to be said about them all together."""

    decoding: Decoding

    def __post_init__(self) -> None:
        self.shape: tuple[int, ...] | None = None
        self.faults, self.notes = Faults("image"), Counter[str]()
        self.splits: dict[str, Sequence[Path]] = {}
        self.sizes: list[tuple[Path, tuple[int, ...]]] = []

    def decode(self, title: str, paths: Sequence[Path], target: Path) -> tuple[Rows, np.ndarray]:
        """Decode files into one array on disk, and say which (n,) are in it."""
        self.splits[target.stem] = paths
        kept = np.ones(len(paths), bool)
        self.shape = self.shape or self._first_shape(paths)
        shape = self.shape or (1, 1, 1)
        per_chunk = max(1, min(512, CHUNK_BYTES // int(np.prod(shape)), -(-len(paths) // 8)))
        start = 0
        with RowsWriter(target, shape, np.uint8) as writer:
            for chunk, result in in_chunks(title, partial(_decode, self.decoding, shape), paths, per_chunk):
                pixels, failures, sizes, notes = result
                writer.append(pixels)
                kept[[start + index for index in (*failures, *sizes)]] = False
                self.faults.found += [(chunk[index], fault) for index, fault in failures.items()]
                self.sizes += [(chunk[index], size) for index, size in sizes.items()]
                self.notes += notes
                start += len(chunk)
        return Rows(target), kept

    def settle(self, corrupt: str) -> list[str]:
        """A sentence about files that were skipped. A UserError, all files in a line, for those that cannot be."""
        skipped = self.faults.settle(sum(map(len, self.splits.values())), corrupt, self.splits)
        self._complain_of_sizes()
        self._complain_of_two_depths()
        return skipped

    def sentences(self) -> list[str]:
        """What was done to some of the images, with their number."""
        notes, mode = self.notes, self.decoding.mode
        found = [
            f"{count:,} {key.removeprefix('from ')} images were turned into {mode} ones."
            for key, count in sorted(notes.items())
            if key.startswith("from ")
        ]
        if notes["see-through"]:
            found.append(
                f"{notes['see-through']:,} images are see-through in places: they were put on a"
                f" {self.decoding.background} background (data.background)."
            )
        if notes["frames"]:
            found.append(f"{notes['frames']:,} files hold several frames, of which the first was taken.")
        if notes["deep colour"]:
            found.append(f"Of {notes['deep colour']:,} colour images of 16 bits the upper 8 bits were taken.")
        if self.decoding.scale is not None:
            found.append(said(self.decoding.scale, notes["clipped"], notes["constant"], "image"))
        return found

    def _first_shape(self, paths: Sequence[Path]) -> tuple[int, ...] | None:
        """The shape of the first image that can be read."""
        for path in paths:
            try:
                return self.decoding(path).shape
            except UNREADABLE:
                continue
        return None

    def _complain_of_sizes(self) -> None:
        """A UserError for images of another size than the first."""
        if not self.sizes:
            return
        assert self.shape is not None
        (path, size), others = self.sizes[0], self.sizes[1:]
        named = some(f"{other} ({shape[1]}×{shape[2]})" for other, shape in others)
        raise UserError(
            f"{path}: has {size[1]}×{size[2]} pixels, the first image {self.shape[1]}×{self.shape[2]}"
            + (f"; {len(others):,} more are of other sizes, {named}" if others else "")
            + ": set data.resize to bring all images to one size"
        )

    def _complain_of_two_depths(self) -> None:
        """A UserError for images of 8 bits among others, if one range is meant for all: they would be nearly black."""
        scale, few, many = self.decoding.scale, self.notes["eight bits"], self.notes["deep"]
        if scale is not None and scale.how not in ("type", "file") and few and many:
            raise UserError(
                f"params.yaml: data.rescale: {few:,} images have 8 bits, and {many:,} have more: one range does not fit"
                " both; set it to type or file"
            )


def _decode(decoding: Decoding, shape: tuple[int, ...], paths: Sequence[Path]) -> Chunk:
    """The pixels of the files that can be read, why others cannot, the sizes of those of another, and counts."""
    pixels: list[np.ndarray] = []
    failures: dict[int, Fault] = {}
    sizes: dict[int, tuple[int, ...]] = {}
    notes: Counter[str] = Counter()
    for index, path in enumerate(paths):
        try:
            image, mine = decoding.read(path)
        except UNREADABLE as error:
            failures[index] = fault_of(error, path)
            continue
        if image.shape != shape:
            sizes[index] = image.shape
            continue
        pixels.append(image)
        notes += mine
    return np.stack(pixels) if pixels else np.empty((0, *shape), np.uint8), failures, sizes, notes


def _scale(data: Images, decoding: Decoding, paths: Sequence[Path]) -> Scale | None:
    """The scale that the parameters ask for; one for all files is learnt from those outside of the official splits."""
    if data.rescale is None:
        return None
    if isinstance(data.rescale, tuple):
        return Scale("range", *data.rescale)
    if data.rescale in ("type", "file"):
        return Scale(data.rescale)
    own = replace(decoding, scale=Scale("range"))
    work = partial(_look, own, VALUES // len(paths))
    seen = [each for _, found in in_chunks("prepare: ranges of images", work, paths, FILES) for each in found]
    scale = learnt(data.rescale, seen) if seen else Scale(data.rescale, 0, 1)
    if not scale.low < scale.high:
        raise UserError(f"params.yaml: data.rescale: all training values are {scale.low:g}: there is nothing to learn")
    return scale


def _look(decoding: Decoding, keep: int, paths: Sequence[Path]) -> list[Seen]:
    """The ranges of the files that can be read."""
    found = []
    for path in paths:
        try:
            found.append(look_at(decoding.values(path, Counter()), keep))
        except UNREADABLE:
            continue
    return found
