"""Data sets that `torchvision.datasets` downloads: MNIST and its relatives, CIFAR-10, SVHN.

Files that are there are verified by their published checksums, and then no network is asked for.
"""

from __future__ import annotations

import gzip
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets
from torchvision.datasets.utils import calculate_md5

from ..data_params import Published
from ..errors import UserError
from ..files import file_digest
from . import Part, Source
from .files import put

CLASSES = {
    "mnist": "MNIST",
    "fashion_mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "cifar10": "CIFAR10",
    "svhn": "SVHN",
}


def read(data: Published, root: Path, spool: Path) -> Source:
    """Images (N, C, H, W) of 256 levels with their labels, in the splits train and test of the data set."""
    folder, kind = root / data.path, getattr(datasets, CLASSES[data.source])
    expected = downloads(kind)
    decisions = verify(folder, expected)
    parts: dict[str, Part] = {}
    names: list[str] = [str(digit) for digit in range(10)]
    for split in ("train", "test"):
        choice = {"split": split} if kind is datasets.SVHN else {"train": split == "train"}
        with one_line(folder, data.source, expected):
            dataset = kind(folder, download=True, **choice)
        labels = dataset.labels if kind is datasets.SVHN else dataset.targets
        x = put(spool, split, _channels_first(np.asarray(dataset.data), kind))
        parts[split] = Part(x, put(spool, f"{split}_labels", np.asarray(labels, np.int64)))
        names = [str(name).partition(" - ")[0] for name in getattr(dataset, "classes", names)]
    checksums = {name: file_digest(folder / name) for name in expected if (folder / name).exists()}
    channels = "grey" if parts["train"].x.shape[1] == 1 else "rgb"
    return Source(parts, 256, channels, names, decisions=decisions, checksums=checksums)


def downloads(kind: Any) -> dict[str, str]:
    """The files that a data set downloads, below its folder, and their published MD5."""
    if hasattr(kind, "resources"):
        return {f"{kind.__name__}/raw/{name}": md5 for name, md5 in kind.resources}
    if hasattr(kind, "split_list"):
        return {name: md5 for split, (_, name, md5) in kind.split_list.items() if split != "extra"}
    if hasattr(kind, "file_list"):
        return {f"{kind.base_folder}/{name}": md5 for _, md5, name in kind.file_list}
    return {kind.filename: kind.tgz_md5}


def verify(folder: Path, expected: dict[str, str]) -> list[str]:
    """Check the files that are there; a UserError names one with a wrong checksum. Nothing is downloaded over it.

    What torchvision has unpacked from a verified .gz is removed, so that it is unpacked again. Gives a sentence for
    each unpacked file that lacks its .gz and so cannot be verified.
    """
    unverified = []
    for name, md5 in expected.items():
        path, unpacked = folder / name, (folder / name).with_suffix("")
        if path.exists():
            found = calculate_md5(path)
            if found != md5:
                raise UserError(
                    f"{path}: has the wrong checksum (MD5 {found}, published {md5}): it is damaged or another file;"
                    " delete it to have it downloaded, or put the right one there"
                )
            if path.suffix == ".gz":
                unpacked.unlink(missing_ok=True)
        elif path.suffix == ".gz" and unpacked.exists():
            unverified.append(f"{unpacked.name} could not be verified: its {path.name} is not there.")
    return unverified


@contextmanager
def one_line(folder: Path, source: str, expected: dict[str, str]) -> Iterator[None]:
    """Make the many ways in which a download fails one line that says what to put where."""
    try:
        with redirect_stderr(StringIO()):  # torchvision's progress bars, one per file
            yield
    except (OSError, RuntimeError, EOFError, gzip.BadGzipFile, tarfile.TarError) as error:
        if isinstance(error, OSError) and error.errno is not None and not getattr(error, "reason", None):
            raise
        missing = [name for name in expected if not (folder / name).exists()]
        if not missing:
            raise UserError(f"{folder}: {source} is damaged: {' '.join(str(error).split())}") from error
        raise UserError(
            f"{source}: cannot be downloaded (no network?); put these files into {folder}: {', '.join(missing)}"
        ) from None


def _channels_first(x: np.ndarray, kind: Any) -> np.ndarray:
    """Images (N, C, H, W) from (N, H, W), or from CIFAR-10's (N, H, W, C)."""
    if x.ndim == 3:
        return x[:, None]
    return x if kind is datasets.SVHN else x.transpose(0, 3, 1, 2)
