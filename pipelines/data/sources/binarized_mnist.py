"""Larochelle's fixed binarisation of MNIST, the data of the published nats: an .npz, or the three .amat text files.

Salakhutdinov & Murray, "On the Quantitative Analysis of Deep Belief Networks", 2008; the files are Larochelle's.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ...errors import UserError
from ...files import file_digest
from ...params.data_section import BinarizedMNIST
from . import Part, Source
from .arrays import unpack
from .finding import existing, put

COUNTS = {"train": 50_000, "valid": 10_000, "test": 10_000}


def read(data: BinarizedMNIST, root: Path, spool: Path) -> Source:
    """Images (N, 1, 28, 28) of 0 and 1 in the three splits of the files, without labels."""
    path = existing(root / data.path)
    file = path / "binarized_mnist.npz"
    if path.is_dir() and file.exists():
        path = file
    files = [path / f"binarized_mnist_{name}.amat" for name in COUNTS] if path.is_dir() else [path]
    missing = [part.name for part in files if not part.exists()]
    if missing:
        raise UserError(f"{path}: must hold binarized_mnist.npz, or {', '.join(missing)}")
    load: Callable[[str], np.ndarray] = _text(path) if path.is_dir() else _archive(path, spool)
    parts = {}
    for name, count in COUNTS.items():
        x = load(name)
        if x.shape != (count, 784) or not np.isin(x, (0, 1)).all():
            raise UserError(f"{path}: {name} must hold {count:,}×784 numbers 0 or 1, not {x.dtype} {x.shape}")
        parts["val" if name == "valid" else name] = Part(put(spool, name, x.astype(np.uint8).reshape(-1, 1, 28, 28)))
    return Source(parts, 2, "grey", checksums={part.name: file_digest(part) for part in files})


def _archive(path: Path, spool: Path) -> Callable[[str], np.ndarray]:
    def load(name: str) -> np.ndarray:
        return unpack(path, name, spool).whole()

    return load


def _text(path: Path) -> Callable[[str], np.ndarray]:
    def load(name: str) -> np.ndarray:
        file = path / f"binarized_mnist_{name}.amat"
        try:
            with warnings.catch_warnings(action="ignore"):  # of a file without numbers
                return np.loadtxt(file, np.uint8)
        except ValueError as error:
            raise UserError(f"{file}: is damaged: {' '.join(str(error).split())}") from None

    return load
