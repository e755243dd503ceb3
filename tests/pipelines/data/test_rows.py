"""Arrays on disk: written by chunks, read by chunks, whole or refused."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.rows import CHUNK_BYTES, Rows, RowsWriter
from pipelines.data.spread import spread
from pipelines.errors import UserError

RNG = np.random.default_rng(0)
ARRAY = RNG.integers(0, 256, (50, 3, 4), dtype=np.uint8)


def written(path: Path, *chunks: np.ndarray, shape: tuple[int, ...] = (3, 4), dtype: Any = np.uint8) -> Rows:
    with RowsWriter(path, shape, dtype) as writer:
        for chunk in chunks:
            writer.append(chunk)
    return Rows(path)


@pytest.mark.parametrize("dtype", ["uint8", "bool", "int64", "float32", ">f8", "<U3"])
@pytest.mark.parametrize("shape", [(), (1,), (3, 4), (2, 1, 2)])
def test_what_is_written_by_chunks_is_the_array_of_numpy(tmp_path: Path, shape: tuple[int, ...], dtype: str) -> None:
    array = RNG.integers(0, 2, (30, *shape)).astype(dtype)
    path = tmp_path / "new" / "folder" / "x.npy"
    rows = written(path, array[:7], array[7:7], array[7:], shape=shape, dtype=dtype)
    buffer = io.BytesIO()
    np.save(buffer, array)
    assert path.read_bytes() == buffer.getvalue()
    assert (len(rows), rows.shape, rows.dtype, rows.nbytes) == (30, array.shape, array.dtype, array.nbytes)
    assert np.array_equal(rows.whole(), array)
    assert np.array_equal(np.concatenate(list(rows.chunks(4))), array)
    assert [len(chunk) for chunk in rows.chunks(4)] == [4] * 7 + [2]
    assert len(list(rows.chunks())) == 1


def test_rows_that_do_not_stand_together_in_memory(tmp_path: Path) -> None:
    rows = written(tmp_path / "x.npy", ARRAY[::2], ARRAY[1::2].transpose(0, 2, 1).transpose(0, 2, 1))
    assert np.array_equal(rows.whole(), np.concatenate([ARRAY[::2], ARRAY[1::2]]))


def test_nothing_is_an_array_too(tmp_path: Path) -> None:
    rows = written(tmp_path / "x.npy")
    assert len(rows) == 0 and list(rows.chunks()) == [] and rows.whole().shape == (0, 3, 4)


def test_chunks_are_of_a_few_megabytes(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.zeros((40, 1 << 20), np.uint8))
    assert {chunk.nbytes for chunk in Rows(tmp_path / "x.npy").chunks()} == {CHUNK_BYTES}
    np.save(tmp_path / "x.npy", np.zeros((2, CHUNK_BYTES + 1), np.uint8))
    assert [len(chunk) for chunk in Rows(tmp_path / "x.npy").chunks()] == [1, 1]


@pytest.mark.parametrize(("group", "step"), [(10, 3), (10, 10), (7, 100), (100, 7), (1, 1)])
def test_pieces_never_hold_rows_of_two_groups(tmp_path: Path, group: int, step: int) -> None:
    array = np.arange(25)
    np.save(tmp_path / "x.npy", array)
    pieces = list(Rows(tmp_path / "x.npy").pieces(group, step))
    assert np.array_equal(np.concatenate(pieces), array)
    assert all(len(piece) <= step and len(set(piece // group)) == 1 for piece in pieces)


def test_chunks_may_be_changed(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", ARRAY)
    rows = Rows(tmp_path / "x.npy")
    next(rows.chunks())[:] = 0
    assert np.array_equal(rows.whole(), ARRAY)


@pytest.mark.parametrize("count", [1, 2, 7, 50, 1000])
def test_few_rows_are_spread_over_all(tmp_path: Path, count: int) -> None:
    np.save(tmp_path / "x.npy", ARRAY)
    few = Rows(tmp_path / "x.npy").spread(count)
    assert np.array_equal(few, ARRAY[spread(50, count)])
    numbers = spread(50, count)
    assert len(numbers) == min(count, 50) and (np.diff(numbers) >= 1).all() and numbers[0] == 0
    assert len(numbers) == 1 or np.ptp(np.diff(numbers)) <= 1


def test_a_file_whose_writer_failed_has_no_rows(tmp_path: Path) -> None:
    def fail() -> None:
        with RowsWriter(tmp_path / "x.npy", (3, 4), np.uint8) as writer:
            writer.append(ARRAY)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert len(Rows(tmp_path / "x.npy")) == 0


def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.npy").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"), RowsWriter(tmp_path / "x.npy", (1 << 20,), np.uint8) as writer:
        writer.append(np.zeros((3, 1 << 20)))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is no .npy file, or a damaged one"),
        (b"text\n\nof\nlines" * 20, "is no .npy file, or a damaged one"),
        (b"\x93NUMPY\x01\x00\x20\x00{'descr': broken", "is no .npy file, or a damaged one"),
    ],
)
def test_what_is_no_array_is_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.npy"
    path.write_bytes(content)
    for name, expected in ((None, str(path)), ("x.npz[x]", "x.npz[x]")):
        with pytest.raises(UserError) as caught:
            Rows(path, name)
        (line,) = str(caught.value).splitlines()
        assert line.startswith(f"{expected}: {said}")


@pytest.mark.parametrize("array", [np.array(3), np.array([{}]), np.asfortranarray(ARRAY)])
def test_arrays_that_have_no_rows(tmp_path: Path, array: np.ndarray) -> None:
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(UserError, match="must hold a plain array of numbers in C order"):
        Rows(tmp_path / "x.npy")


@pytest.mark.parametrize("missing", [1, 599])
def test_a_truncated_file_is_refused(tmp_path: Path, missing: int) -> None:
    path = tmp_path / "x.npy"
    np.save(path, ARRAY)
    path.write_bytes(path.read_bytes()[:-missing])
    with pytest.raises(UserError) as caught:
        Rows(path)
    assert str(caught.value) == f"{path}: is truncated: its header promises an array of shape (50, 3, 4)"
