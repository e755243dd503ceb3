"""Data sets that `torchvision.datasets` downloads: MNIST and its relatives, CIFAR-10, SVHN.

Files that are there are verified by their published checksums, and then no network is asked for.
"""

from __future__ import annotations

import errno
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, suppress
from http.client import HTTPException
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from torchvision import datasets
from torchvision.datasets.utils import calculate_md5

from ...errors import UserError
from ...files import file_digest, write_text
from ...params.data_section import Published
from . import Part, Source
from .finding import put

FULL = (errno.ENOSPC, errno.EDQUOT)
# What is raised for files that cannot be had, and for those that are damaged.
FAILURES = (
    *(OSError, HTTPException, RuntimeError),
    *(EOFError, ValueError, AssertionError, tarfile.TarError, zipfile.BadZipFile, zlib.error),
)
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

    What torchvision has unpacked from a verified .gz is removed, so that it is unpacked again; so is what an
    interrupted download left. Gives a sentence for each unpacked file that lacks its .gz and so cannot be verified.
    """
    if _marker(folder, expected).exists():
        _remove_partial(folder, expected, _marker(folder, expected).read_text(encoding="utf-8").splitlines())
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
    """Make the many ways in which a download fails one line that says what to put where; half a file does not stay."""
    absent = [name for name in expected if not (folder / name).exists()]
    if absent:  # so that the next run knows what to remove, should this one be killed
        with suppress(OSError):  # unpacked files may lie where nothing can be written
            write_text(_marker(folder, expected), "\n".join(absent))
    try:
        with redirect_stderr(StringIO()):  # torchvision's progress bars, one per file
            yield
    except FAILURES as error:
        if isinstance(error, OSError) and error.errno in FULL:
            raise
        if not absent:
            raise UserError(f"{folder}: {source} is damaged: {' '.join(str(error).split())}") from error
        _remove_partial(folder, expected, absent)
        missing = ", ".join(name for name in absent if not (folder / name).exists())
        if not missing:
            raise UserError(f"{folder}: {source} is damaged: {' '.join(str(error).split())}") from error
        raise UserError(
            f"{source}: cannot be downloaded (no network?); put these files into {folder}: {missing}"
        ) from None
    finally:
        if absent:
            _remove_partial(folder, expected, absent)


def _marker(folder: Path, expected: dict[str, str]) -> Path:
    """Stands there while files are downloaded, and names them."""
    first = Path(next(iter(expected)))
    return folder / first.parent / f".{first.name}.downloading"


def _remove_partial(folder: Path, expected: dict[str, str], names: list[str]) -> None:
    """Remove those of the downloaded files that are not whole, and the mark that they were being downloaded."""
    for name in names:
        path = folder / name
        if path.exists() and calculate_md5(path) != expected.get(name):
            path.unlink()
    _marker(folder, expected).unlink(missing_ok=True)


def _channels_first(x: np.ndarray, kind: Any) -> np.ndarray:
    """Images (N, C, H, W) from (N, H, W), or from CIFAR-10's (N, H, W, C)."""
    if x.ndim == 3:
        return x[:, None]
    return x if kind is datasets.SVHN else x.transpose(0, 3, 1, 2)
