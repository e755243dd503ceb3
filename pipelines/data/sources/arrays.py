"""Arrays in .npz and .npy files: images or sequences of integers, or vectors of real numbers."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...files import file_digest
from ...params.data_section import Arrays, SplitNames
from ..rows import CHUNK_BYTES, Rows, RowsWriter
from . import Part, Source
from .array_alpha import ALPHA, WAY_OUT, on_background
from .array_scaling import WAYS, Rescaling, rescaling, span
from .finding import coded, existing, find, in_order, put, some


def read(data: Arrays, root: Path, spool: Path) -> Source:
    """The arrays of each split, brought to the shape of an event."""
    path = existing(root / data.path)
    names = data.arrays or SplitNames(train=_only(path, data))
    arrays = {split: _open(path, name, data, spool) for split, name in names if name is not None}
    labels = {split: _open(path, name, data, spool) for split, name in data.labels or () if name is not None}
    if labels and labels.keys() != arrays.keys():
        raise UserError(f"params.yaml: data.labels: must name the same splits as data.arrays: {', '.join(arrays)}")
    arrays, data, said = on_background(arrays, data, spool)
    arranged = as_examples(path, arrays, data, spool)
    _complain_of_unread(arranged.rows["train"], arrays["train"], data)
    parts = {split: Part(rows) for split, rows in arranged.rows.items()}
    class_names: list[str] = []
    if labels:
        parts, class_names = _labelled(parts, labels, data, spool)
    used = sorted({rows.path for rows in (*arrays.values(), *labels.values())}) if path.is_dir() else [path]
    checksums = {file.name: file_digest(file) for file in used}
    columns, channels = _meaning(parts["train"].x.shape[1:], data)
    return Source(parts, arranged.levels, channels, class_names, columns, [*said, *arranged.decisions], checksums)


@dataclass(frozen=True)
class Arranged:
    """The examples of each split, how many levels they have, and what was done to them."""

    rows: dict[str, Rows]
    levels: int | None
    decisions: list[str]


def as_examples(path: Path, arrays: dict[str, Rows], data: Arrays, spool: Path) -> Arranged:
    """The arrays of a file in the shape and with the levels that the parameters say."""
    kinds = {split: _shape(rows, data) for split, rows in arrays.items()}
    if len(set(kinds.values())) > 1:
        raise UserError(f"{path}: the splits have different shapes: {', '.join(map(str, kinds.values()))}")
    shape, levels = kinds["train"], _levels(arrays, data)
    scaled = None if levels is None else rescaling(data, levels, arrays["train"])
    rows = {
        split: _arranged(rows, shape, levels, data, spool / f"{split}_x.npy", scaled) for split, rows in arrays.items()
    }
    return Arranged(rows, levels, [scaled.sentence()] if scaled else [])


def _only(path: Path, data: Arrays) -> str:
    """The one array of a file, where the parameters name none."""
    if data.source == "npy":
        names = [file.name for file in find(path, (".npy",))] if path.is_dir() else [path.name]
    else:
        names = [member.removesuffix(".npy") for member in _members(path)]
    if len(names) != 1:
        raise UserError(f"params.yaml: data.arrays: is missing: {path} holds several arrays: {some(names)}")
    return names[0]


def _open(path: Path, name: str, data: Arrays, spool: Path) -> Rows:
    """An array by its name: a member of an .npz, or a file."""
    if data.source == "npz":
        return unpack(path, name, spool)
    if path.is_file() and name != path.name:
        raise UserError(
            f"params.yaml: data.arrays: {name!r} is not in {path}, which is one file: set data.path to the folder"
        )
    file = existing(path if path.is_file() else path / name, "data.arrays")
    return _in_c_order(file, spool / "in_c_order" / file.name, str(file))


def _members(path: Path) -> list[str]:
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.namelist()
    except (zipfile.BadZipFile, IsADirectoryError) as error:
        raise UserError(f"{path}: is no .npz file, or a truncated one ({error})") from None


def unpack(path: Path, name: str, spool: Path) -> Rows:
    """A member of an .npz as rows on disk, copied a piece at a time. A UserError if it is missing or damaged."""
    members = _members(path)
    if f"{name}.npy" not in members:
        known = some(member.removesuffix(".npy") for member in members)
        raise UserError(f"{path}: holds no array {name!r}; there are: {known}")
    target = spool / "unpacked" / f"{name}.npy"
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with zipfile.ZipFile(path) as archive, archive.open(f"{name}.npy") as source, target.open("wb") as file:
            shutil.copyfileobj(source, file, 1 << 20)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{path}: the array {name!r} is damaged or truncated ({error})") from None
    return _in_c_order(target, target.with_suffix(".c.npy"), f"{path}[{name}]")


def _in_c_order(path: Path, target: Path, name: str) -> Rows:
    """The array of a file; one that is stored column by column (Fortran order) is first turned round, in `target`."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError):
        return Rows(path, name)  # which says what is wrong with the file
    if not array.ndim > 1 or array.flags.c_contiguous:
        return Rows(path, name)
    columns, rows = array[0].size, max(1, CHUNK_BYTES // array[:1].nbytes)
    with path.open("rb") as file, RowsWriter(target, array.shape[1:], array.dtype) as writer:
        for start in range(0, len(array), rows):
            part = np.empty((columns, min(rows, len(array) - start)), array.dtype)
            for number, column in enumerate(part):
                file.seek(array.offset + (number * len(array) + start) * array.itemsize)
                column[:] = np.fromfile(file, array.dtype, len(column))
            writer.append(part.reshape(*array.shape[:0:-1], -1).T)
    return Rows(target, name)


def _shape(rows: Rows, data: Arrays) -> tuple[int, ...]:
    """The shape of an event. A UserError for arrays that are none, with what to set."""
    shape = rows.shape[1:]
    if rows.dtype.kind not in "buif" or not len(rows):
        what = f"{len(rows)} rows of {rows.dtype}"
        raise UserError(f"{rows.name}: {what} are not allowed: must be integers or real numbers, in one row or more")
    if data.shape is not None:
        if len(data.shape) == 3 and data.shape[0] not in (1, 3):
            way_out = f"; {WAY_OUT}" if data.shape[0] in ALPHA else ""
            raise UserError(
                f"params.yaml: data.shape: {list(data.shape)} is not allowed: images have 1 or 3 channels{way_out}"
            )
        if np.prod(shape, dtype=int) != np.prod(data.shape):
            raise UserError(f"params.yaml: data.shape: {list(data.shape)} does not fit rows of shape {list(shape)}")
        return data.shape
    if len(shape) == 3 and data.layout == "channels_last":
        shape = (shape[2], *shape[:2])
    elif len(shape) == 2:
        shape = (1, *shape)
    if not shape or len(shape) > 3 or (len(shape) == 3 and shape[0] not in (1, 3)):
        raise UserError(
            f"{rows.name}: an array of shape {rows.shape} is not allowed: must be (N, D), (N, H, W), or"
            " (N, C, H, W) with 1 or 3 channels; set data.shape, or data.layout to channels_last"
            + (f"; {WAY_OUT}" if len(shape) == 3 and shape[0] in ALPHA else "")
        )
    return shape


def _complain_of_unread(x: Rows, rows: Rows, data: Arrays) -> None:
    """A UserError for options that do not concern what the arrays turned out to be."""
    wrong = []
    if data.layout != "channels_first" and len(rows.shape) != 4:
        wrong.append(f"data.layout: is not read: {rows.name} has the shape {rows.shape}, without channels; remove it")
    if data.columns is not None and len(x.shape) != 2:
        wrong.append(f"data.columns: is not read: {rows.name} holds no vectors; remove it")
    if wrong:
        raise UserError(f"params.yaml: {'; '.join(wrong)}")


def _levels(arrays: dict[str, Rows], data: Arrays) -> int | None:
    """The number of levels: 256 for 8-bit integers that are no vectors, unless the parameters say otherwise."""
    flat = data.shape is None and len(arrays["train"].shape) == 2
    vectors = flat or (data.shape is not None and len(data.shape) == 1)
    whole = arrays["train"].dtype.kind in "bui"
    if data.rescale is not None and vectors:
        raise UserError(
            "params.yaml: data.rescale: is not allowed: these are vectors, whose numbers are kept; set data.shape"
            " if they are images or sequences"
        )
    if data.levels is not None or data.rescale is not None or (whole and not flat):
        return data.levels or 256
    if (data.shape is not None and len(data.shape) > 1) or not flat:
        raise UserError(
            f"{arrays['train'].name}: images and sequences must be integers, not {arrays['train'].dtype};"
            f" set data.levels if these are whole numbers, or {WAYS} (they are from {span(arrays['train'])})"
        )
    return None


def _arranged(
    rows: Rows, shape: tuple[int, ...], levels: int | None, data: Arrays, target: Path, scaled: Rescaling | None
) -> Rows:
    """The array in its final shape and type; the file itself where it is that already."""
    dtype = np.dtype(np.float32 if levels is None else np.uint8)
    if scaled is None and rows.dtype == dtype and rows.shape[1:] == shape and levels in (None, 256):
        return rows
    with RowsWriter(target, shape, dtype) as writer:
        for chunk in rows.chunks():
            if chunk.ndim == 4 and data.layout == "channels_last" and data.shape is None:
                chunk = chunk.transpose(0, 3, 1, 2)  # noqa: PLW2901
            if scaled is not None:
                chunk = scaled(chunk, rows.name)  # noqa: PLW2901
            elif levels is not None:
                _check_levels(chunk, levels, rows)
            with np.errstate(over="ignore"):  # infinite numbers are refused when the splits are written
                writer.append(np.ascontiguousarray(chunk).reshape(len(chunk), *shape).astype(dtype))
    return Rows(target, rows.name)


def _check_levels(chunk: np.ndarray, levels: int, rows: Rows) -> None:
    low, high = chunk.min(), chunk.max()
    if not (low >= 0 and high < levels) or (chunk.dtype.kind == "f" and (chunk != np.floor(chunk)).any()):
        raise UserError(
            f"{rows.name}: values from {low} to {high} are not allowed: must be integers 0 … {levels - 1}; to bring"
            f" others to levels set {WAYS}"
        )


def _labelled(
    parts: dict[str, Part], labels: dict[str, Rows], data: Arrays, spool: Path
) -> tuple[dict[str, Part], list[str]]:
    """The parts with their labels as numbers 0, 1, …, and the names of those."""
    read = {split: np.concatenate(list(rows.chunks())).reshape(-1) for split, rows in labels.items()}
    for split, values in read.items():
        if len(values) != len(parts[split].x):
            counts = f"{len(values):,} labels for {len(parts[split].x):,} examples"
            raise UserError(f"params.yaml: data.labels.{split}: {labels[split].name} holds {counts}")
        if values.dtype.kind not in "buiUS":
            raise UserError(f"params.yaml: data.labels.{split}: must be integers or texts, not {values.dtype}")
    texts = {split: values.astype(str).tolist() for split, values in read.items()}
    names = in_order({text for split in texts.values() for text in split})
    if data.class_names is not None:
        if not set(names) <= {str(number) for number in range(len(data.class_names))}:
            raise UserError(
                f"params.yaml: data.class_names: {len(data.class_names)} names need labels 0 … "
                f"{len(data.class_names) - 1}, and these are {some(names)}"
            )
        names = [str(number) for number in range(len(data.class_names))]
    found = {}
    for split, part in parts.items():
        numbers = coded([*texts[split], *names])[0][: len(texts[split])]
        found[split] = Part(part.x, put(spool, f"{split}_labels", numbers))
    return found, data.class_names or names


def _meaning(shape: tuple[int, ...], data: Arrays) -> tuple[list[str], str]:
    """The names of the columns of vectors, and what the numbers are."""
    if len(shape) == 1:
        names = data.columns or [f"x{index}" for index in range(shape[0])]
        if len(names) != shape[0]:
            raise UserError(f"params.yaml: data.columns: {len(names)} names for {shape[0]} columns")
        return names, "columns"
    return [], "series" if len(shape) == 2 else "grey" if shape[0] == 1 else "rgb"
