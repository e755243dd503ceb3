"""Prepared folders of every kind, written by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.datasets import load_digits

from pipelines.data.prepared import SPLITS, Prepared, data_digest
from pipelines.data.quantisation import encode
from pipelines.files import file_digest, write_json

KINDS = ("digits", "each_step", "rgb", "palette", "table", "windows", "tones", "levels")


def write_prepared(folder: Path, x: NDArray[Any], labels: NDArray[Any] | None = None, **about: Any) -> Prepared:
    """A folder of these examples, the last two tenths of them val and test; `about` replaces what meta.json says."""
    folder.mkdir(parents=True)
    ends = [0, len(x) * 8 // 10, len(x) * 9 // 10, len(x)]
    names = about.get("class_names", [] if labels is None else [str(label) for label in range(labels.max() + 1)])
    files, counts, class_counts = {}, {}, {}
    for split, start, end in zip(SPLITS, ends[:-1], ends[1:], strict=True):
        arrays = {f"{split}.npy": x[start:end]}
        counts[split] = end - start
        if labels is not None:
            arrays[f"{split}_labels.npy"] = labels[start:end].astype(np.int64)
            class_counts[split] = np.bincount(labels[start:end], minlength=len(names)).tolist()
        for name, array in arrays.items():
            np.save(folder / name, array)
            files[name] = file_digest(folder / name)
    train = x[: ends[1]]
    columns = []
    if x.ndim == 2:
        titles = about.pop("names", [f"x{number}" for number in range(x.shape[1])])
        columns = [
            {"name": name, **{key: float(getattr(column, key)()) for key in ("mean", "std", "min", "max")}}
            for name, column in zip(titles, train.T.astype(float), strict=True)
        ]
    meta: dict[str, Any] = {
        "name": folder.name,
        "source": folder.name,
        "kind": {4: "image", 3: "sequence", 2: "vector"}[x.ndim],
        "shape": list(x.shape[1:]),
        "levels": None if x.dtype == np.float32 else 256,
        "dtype": str(x.dtype),
        "ordered": True,
        "channels": "grey",
        "each_step": None,
        "class_names": names,
        "columns": columns,
        "palette": None,
        "sample_rate": None,
        "encoding": None,
        "range": None,
        "counts": counts,
        "class_counts": class_counts,
        "duplicates": {"val in train": 0, "test in train": 0, "test in val": 0},
        "decisions": [],
        "checksums": {},
        "files": files,
        **about,
    }
    write_json(folder / "meta.json", {**meta, "digest": data_digest(meta)})
    return Prepared.open(folder)


def prepared_folder(folder: Path, kind: str) -> Prepared:
    """A small prepared folder of one of the `KINDS`."""
    random = np.random.default_rng(0)
    folder = folder / kind
    if kind in ("digits", "each_step"):
        digits = load_digits()
        about: dict[str, Any] = {"levels": 17}
        if kind == "each_step":
            about = {"levels": 2, "each_step": 17, "duplicates": {"test in val": 0}}
        return write_prepared(folder, digits.images[:, None].astype(np.uint8), digits.target, **about)
    if kind == "rgb":
        x = random.integers(0, 256, (100, 3, 4, 4)).repeat(4, 2).repeat(4, 3).astype(np.uint8)
        decisions = ["2 of 102 files could not be read and were skipped: a.png, <b>.png."]
        return write_prepared(
            folder, x, channels="rgb", decisions=decisions, duplicates={"test in train": 3}, checksums={"all": "0" * 64}
        )
    if kind == "palette":
        palette = random.integers(0, 256, (7, 3)).tolist()
        x, labels = random.integers(0, 7, (200, 1, 8, 8)).astype(np.uint8), random.integers(0, 20, 200)
        names = [f"<i>{label}</i>" for label in range(20)]
        return write_prepared(
            folder, x, labels, levels=7, channels="palette", ordered=False, palette=palette, class_names=names
        )
    if kind == "table":
        labels = random.integers(0, 3, 3000)
        x = random.normal(size=(3000, 8)) @ random.normal(size=(8, 8)) + 2 * labels[:, None] * random.normal(size=8)
        x[:, 7] = 4.0
        names = ["price in $", "<b>mass</b>", "$x^2", "日本", "a long name of a column", "f", "g", "constant"]
        decisions = ["12 rows had missing values and were dropped."]
        return write_prepared(
            folder, x.astype(np.float32), labels, channels="columns", names=names, decisions=decisions
        )
    steps = np.arange(600)
    starts = random.uniform(0, 6, (60, 1))
    if kind == "windows":
        x = np.sin(steps[:64] / 5 + starts).astype(np.float32)
        return write_prepared(folder, x, channels="series", sample_rate=None)
    waves = np.sin(2 * np.pi * steps * (200 + 300 * starts) / 8000 + starts) * np.exp(-steps / 200)
    about = {"encoding": "mu_law", "range": [-1.0, 1.0]}
    if kind == "levels":
        return write_prepared(folder, encode(waves, 16, "mu_law")[:, None], levels=16, channels="series", encoding=None)
    x = encode(waves, 256, "mu_law")[:, None]
    labels = (starts[:, 0] // 2).astype(int)
    return write_prepared(
        folder, x, labels, channels="audio", sample_rate=8000, class_names=["low", "mid", "high"], **about
    )
