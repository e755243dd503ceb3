"""The prepared data set: arrays in the data's own units, and a meta.json that says what they are.

A folder holds train.npy, val.npy and test.npy (N, *event), uint8 or float32, memory-mapped by whoever reads them; where
there are labels, <split>_labels.npy (N,), int64; and meta.json:

    name, source, kind    the folder, the source, and what an example is: image, sequence, vector or table
    shape, levels, dtype  of one example; levels is null for real numbers
    ordered               false where levels are names: indices of `palette`
    channels              what the numbers are: grey, rgb, palette, audio, series or columns
    each_step             null, or the grey levels K of train.npy that each training step makes 0 or 1 anew
    class_names           names of the labels 0, 1, …; empty without labels
    columns               for vectors, one object per number: name, mean, std, min, max of the training split; for
                          tables also what models/columns.py says of it, and its `type` (see tables/typed_rows.py)
    why, label            for tables, what decided each type, and the column of the labels
    palette               the colours (N, 3) that indices stand for, or null
    sample_rate, encoding, range    of audio and series: samples per second, how levels are spaced, and the
                          amplitudes that the outermost levels stand for; null for others
    counts, class_counts  examples of each split, and of each class in each split
    duplicates            how many examples of one split also stand in another, "test in train" for instance
    decisions             what was dropped, clipped, resampled or skipped, a sentence each
    checksums             SHA-256 of the source's files; of a folder, of all files together
    files, digest         SHA-256 of each array, and of all that a training can see of the data together
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from models.columns import Column
from models.contract import Event

from ..errors import UserError
from ..files import file_digest, read_json, text_digest

AGAIN = "run `dvc repro --force --single-item prepare` to make it again"
SPLITS = ("train", "val", "test")
MEANING = ("name", "channels", "class_names", "palette", "sample_rate", "encoding", "range")
KNOWN = ("mean", "std", "levels", "names", "gaps", "distribution", "atoms")  # of a column, what a model is told
SEEN = ("shape", "levels", "ordered", "each_step", "class_names")  # of the meta, what a training can see


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
        if not isinstance(meta, dict) or not {"files", "digest", "class_counts", "columns", *SEEN} <= meta.keys():
            raise UserError(f"{folder / 'meta.json'}: is damaged, or of another version; {AGAIN}")
        for name, digest in meta["files"].items():
            path = folder / name
            if not path.exists() or _digest(path, path.stat().st_size, path.stat().st_mtime_ns) != digest:
                raise UserError(f"{path}: is missing or damaged: its digest is not the one in meta.json; {AGAIN}")
        return cls(folder, meta)

    @property
    def event(self) -> Event:
        meta, counts = self.meta, self.meta["class_counts"].get("train")
        shares = None if not counts else tuple(count / sum(counts) for count in counts)
        columns = (
            tuple(Column.of({key: each[key] for key in KNOWN if key in each}) for each in meta["columns"] or ()) or None
        )
        return Event(tuple(meta["shape"]), meta["levels"], len(meta["class_names"]), meta["ordered"], shares, columns)

    @property
    def digest(self) -> str:
        """The digest of all splits together, by which results name their data."""
        return str(self.meta["digest"])

    @property
    def meaning(self) -> dict[str, Any]:
        """What the numbers of an example stand for: all that a consumer of a model needs to show a sample."""
        columns = self.meta["columns"] or []
        named = {
            **{key: self.meta[key] for key in MEANING},
            "columns": [column["name"] for column in columns],
            "types": [column["type"] for column in columns if "type" in column],
            "label": self.meta.get("label"),
        }
        return {key: value for key, value in named.items() if value}

    def split(self, name: str) -> Split:
        """One of `train`, `val` and `test`."""
        labels = f"{name}_labels.npy"
        return Split(
            np.load(self.folder / f"{name}.npy", mmap_mode="r"),
            np.load(self.folder / labels, mmap_mode="r") if labels in self.meta["files"] else None,
        )


def data_digest(meta: dict[str, Any]) -> str:
    """The digest of all that a training can see: the arrays, and what their numbers mean."""
    files = (f"{name} {digest}" for name, digest in sorted(meta["files"].items()))
    seen = {key: meta[key] for key in SEEN}
    if meta["kind"] == "table":
        seen["columns"] = [{key: column[key] for key in KNOWN if key in column} for column in meta["columns"]]
    return text_digest(*files, json.dumps(seen))


@cache
def _digest(path: Path, size: int, mtime_ns: int) -> str:
    """The digest of a file, computed once per process unless the file changes."""
    return file_digest(path)
