"""Larochelle's binarisation: the real archive, the text files, and what is neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.data.sources import binarized_mnist

from .reading import examples, prepared, refusal, shared

GIVEN = {"source": "binarized_mnist", "path": "raw"}


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Small splits, instead of the published 50,000, 10,000 and 10,000."""
    counts = {"train": 30, "valid": 10, "test": 20}
    monkeypatch.setattr(binarized_mnist, "COUNTS", counts)
    rng = np.random.default_rng(0)
    return {name: rng.integers(0, 2, (count, 784), dtype=np.uint8) for name, count in counts.items()}


def texts(root: Path, splits: dict[str, np.ndarray]) -> None:
    (root / "raw").mkdir(exist_ok=True)
    for name, x in splits.items():
        np.savetxt(root / "raw" / f"binarized_mnist_{name}.amat", x, "%d")


def archive(root: Path, splits: dict[str, np.ndarray]) -> None:
    (root / "raw").mkdir(exist_ok=True)
    np.savez_compressed(root / "raw" / "binarized_mnist.npz", **splits)


@pytest.mark.parametrize("write", [texts, archive])
def test_splits_are_kept_as_they_are(tmp_path: Path, small: dict[str, np.ndarray], write: type) -> None:
    write(tmp_path, small)
    data = prepared(tmp_path, **GIVEN)
    for split, x in zip(("train", "val", "test"), small.values(), strict=True):
        assert examples(data, split).tobytes() == x.tobytes()
    assert data.event.shape == (1, 28, 28) and data.event.levels == 2 and data.event.classes == 0
    assert len(data.meta["checksums"]) == (3 if write is texts else 1)
    if write is archive:
        file = prepared(tmp_path, **{**GIVEN, "path": "raw/binarized_mnist.npz"}, name="file")
        assert file.meta["files"] == data.meta["files"]


def test_what_is_damaged(tmp_path: Path, small: dict[str, np.ndarray]) -> None:
    texts(tmp_path, small)
    path = tmp_path / "raw" / "binarized_mnist_valid.amat"
    content = path.read_text()
    path.write_text(content[: len(content) // 2 + 100])
    assert refusal(tmp_path, **GIVEN).startswith(f"{path}: is damaged: ")
    path.write_text("\n".join(content.splitlines()[:-1]))
    assert "valid must hold 10×784 numbers 0 or 1, not uint8 (9, 784)" in refusal(tmp_path, **GIVEN)
    path.write_text("oops " * 784)
    assert refusal(tmp_path, **GIVEN).startswith(f"{path}: is damaged: ")
    path.write_text(content.replace("1", "2", 1))
    assert "valid must hold 10×784 numbers 0 or 1" in refusal(tmp_path, **GIVEN)
    path.write_text("")
    assert "valid" in refusal(tmp_path, **GIVEN)
    path.unlink()
    line = refusal(tmp_path, **GIVEN)
    assert line == f"{tmp_path / 'raw'}: must hold binarized_mnist.npz, or binarized_mnist_valid.amat"
    archive(tmp_path, {"train": small["train"], "test": small["test"]})
    assert "holds no array 'valid'; there are: train, test" in refusal(tmp_path, **GIVEN)
    assert "does not exist" in refusal(tmp_path, **{**GIVEN, "path": "other"})
    (tmp_path / "other").mkdir()
    line = refusal(tmp_path, **{**GIVEN, "path": "other"})
    assert line.startswith(f"{tmp_path / 'other'}: must hold binarized_mnist.npz, or binarized_mnist_train.amat, ")


def test_the_real_archive(tmp_path: Path) -> None:
    path = shared("binarized-mnist") / "binarized_mnist.npz"
    data = prepared(tmp_path, **{**GIVEN, "path": str(path)})
    assert data.meta["counts"] == {"train": 50_000, "val": 10_000, "test": 10_000}
    with np.load(path) as real:
        for split, name in (("train", "train"), ("val", "valid"), ("test", "test")):
            assert np.array_equal(examples(data, split).reshape(-1, 784), real[name])
    assert data.meta["duplicates"]["test in train"] < 10
