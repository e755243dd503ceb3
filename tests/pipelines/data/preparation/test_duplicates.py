"""Examples that stand in two splits are counted exactly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pipelines.data.preparation import duplicates as module
from pipelines.data.preparation.duplicates import duplicates, row_hashes
from pipelines.data.rows import Rows
from pipelines.data.sources.finding import put


def splits(spool: Path, **arrays: np.ndarray) -> dict[str, Rows]:
    return {name: put(spool, name, array) for name, array in arrays.items()}


def counted(one: np.ndarray, other: np.ndarray) -> int:
    known = {row.tobytes() for row in other}
    return sum(row.tobytes() in known for row in one)


@pytest.mark.parametrize("held", [1 << 24, 16, 1])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_planted_ones_are_counted_however_often_they_occur(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, held: int
) -> None:
    monkeypatch.setattr(module, "HELD", held)
    monkeypatch.setattr("pipelines.data.rows.CHUNK_BYTES", 1000)
    rng = np.random.default_rng(0)
    x = rng.permutation(np.arange(700 * 5) % 251 + np.arange(700 * 5) // 251).reshape(700, 5).astype(dtype)
    x = np.unique(x, axis=0)
    train, val, test = x[:400], x[400:440], x[440:500]
    val = np.concatenate([val, train[[3, 3, 77, 399]]])  # 4 of train, one of them twice
    test = np.concatenate([test, train[[3, 8, 8, 8]], val[[0, 0]]])  # 4 of train, 1 of which is in val
    train = np.concatenate([train, train[[77, 5, 5]]])  # repeats within a split are no matter
    found = duplicates(splits(tmp_path, train=train, val=val, test=test))
    assert found == {"val in train": 4, "test in train": 4, "val in test": 3}
    assert found["val in test"] == counted(val, test)


def test_the_smaller_split_is_looked_up_in_the_larger(tmp_path: Path) -> None:
    small, large = np.arange(10, dtype=np.uint8)[:, None], np.arange(5, 40, dtype=np.uint8)[:, None]
    assert duplicates(splits(tmp_path, train=small, test=large)) == {"train in test": 5}


@pytest.mark.parametrize("width", [1, 7, 8, 64, 784])
def test_none_are_seen_where_there_are_none(width: int) -> None:
    """Rows that differ in little, as images of few inked pixels do."""
    rng = np.random.default_rng(width)
    if width == 1:
        x = np.arange(256, dtype=np.uint8)[:, None]
    else:
        x = np.zeros((20_000, width), np.uint8)
        x[:, : min(width, 64)] = np.unpackbits(rng.permutation(1 << 17)[:20_000, None].view(np.uint8), axis=1)[
            :, : min(width, 64)
        ]
        x = np.unique(x, axis=0)
    assert len(np.unique(row_hashes(x))) == len(x)
    y = rng.permuted(np.repeat(x[:2000], 3, 0), axis=1) if width > 8 else x
    assert len(np.unique(row_hashes(y))) == len(np.unique(y, axis=0)), "the place of a number matters"


def test_hashes_do_not_depend_on_the_chunk() -> None:
    x = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    assert np.array_equal(row_hashes(x), np.concatenate([row_hashes(x[:13]), row_hashes(x[13:])]))
