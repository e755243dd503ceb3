"""The prepared data set: memory-mapped arrays in the data's own units, and a meta.json that says what they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from models.contract import Event

from .errors import UserError
from .files import file_digest, read_json, replacing, text_digest, write_json

AGAIN = "run `dvc repro --force --single-item prepare` to make it again"


@dataclass(frozen=True)
class Split:
    """Examples x (N, *event) and labels (N,), or None where the data has none; both memory-mapped."""

    x: np.ndarray
    labels: np.ndarray | None


@dataclass(frozen=True)
class Prepared:
    """A prepared folder whose files have the content that its meta.json promises."""

    folder: Path
    meta: dict[str, Any]

    @classmethod
    def open(cls, folder: Path) -> Prepared:
        """Check every file against its digest. Raises `UserError` for a missing or damaged one."""
        meta = read_json(folder / "meta.json")
        if not isinstance(meta, dict) or "files" not in meta:
            raise UserError(f"{folder / 'meta.json'}: is damaged; {AGAIN}")
        for name, digest in meta["files"].items():
            path = folder / name
            if not path.exists() or file_digest(path) != digest:
                raise UserError(f"{path}: is missing or damaged: its digest is not the one in meta.json; {AGAIN}")
        return cls(folder, meta)

    @property
    def event(self) -> Event:
        return Event(tuple(self.meta["shape"]), self.meta["levels"], len(self.meta["class_names"]))

    @property
    def digest(self) -> str:
        """The digest of all splits together, by which results name their data."""
        return str(self.meta["digest"])

    def split(self, name: str) -> Split:
        """One of `train`, `val` and `test`."""
        labels = f"{name}_labels.npy"
        return Split(
            np.load(self.folder / f"{name}.npy", mmap_mode="r"),
            np.load(self.folder / labels, mmap_mode="r") if labels in self.meta["files"] else None,
        )


def write(folder: Path, splits: dict[str, Split], levels: int | None, class_names: list[str]) -> Prepared:
    """Write splits and meta.json; the meta.json, written last, makes the folder valid."""
    files: dict[str, str] = {}
    for name, split in splits.items():
        for suffix, array in (("", split.x), ("_labels", split.labels)):
            if array is not None:
                path = folder / f"{name}{suffix}.npy"
                with replacing(path) as temporary, temporary.open("wb") as file:
                    np.save(file, array)
                files[path.name] = file_digest(path)
    meta = {
        "name": folder.name,
        "shape": list(splits["train"].x.shape[1:]),
        "levels": levels,
        "dtype": str(splits["train"].x.dtype),
        "class_names": class_names,
        "counts": {name: len(split.x) for name, split in splits.items()},
        "files": files,
        "digest": text_digest(*(f"{name} {digest}" for name, digest in sorted(files.items()))),
    }
    write_json(folder / "meta.json", meta)
    return Prepared(folder, meta)
