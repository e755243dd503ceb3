"""Arrays in .npz and .npy files: byte by byte what was saved, whatever its order, type and layout."""

from __future__ import annotations

import io
import lzma
import zipfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .reading import everything, examples, labels, prepared, refusal, shared, sorted_rows

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (60, 5, 7), dtype=np.uint8)
RGB = RNG.integers(0, 256, (60, 3, 5, 7), dtype=np.uint8)
REAL = RNG.normal(size=(60, 4)).astype(np.float32)
NPY = {"source": "npy", "path": "x.npy", "val_count": 10, "test_count": 12}
NPZ = {**NPY, "source": "npz", "path": "x.npz"}


def saved(root: Path, x: np.ndarray, name: str = "x.npy") -> Path:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    np.save(root / name, x)
    return root


@pytest.mark.parametrize(
    ("x", "shape", "channels"),
    [(GREY, (1, 5, 7), "grey"), (GREY[:, None], (1, 5, 7), "grey"), (RGB, (3, 5, 7), "rgb"), (REAL, (4,), "columns")],
)
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("pack", ["npy", "npz", "compressed"])
def test_arrays_come_back_byte_by_byte(
    tmp_path: Path, x: np.ndarray, shape: tuple[int, ...], channels: str, order: Any, pack: str
) -> None:
    array = np.asarray(x, order=order)
    if pack == "npy":
        saved(tmp_path, array)
    else:
        (np.savez if pack == "npz" else np.savez_compressed)(tmp_path / "x.npz", anything=array)
    data = prepared(tmp_path, **(NPY if pack == "npy" else NPZ))
    assert data.event.shape == shape and data.meta["channels"] == channels
    assert data.event.levels == (None if x is REAL else 256)
    assert data.meta["counts"] == {"train": 38, "val": 10, "test": 12}
    expected = x.reshape(60, *shape)
    assert sorted_rows(everything(data)) == sorted_rows(expected)
    places = [[row.tobytes() for row in expected].index(row.tobytes()) for row in examples(data, "test")]
    assert places == sorted(places)


def test_channels_may_stand_last(tmp_path: Path) -> None:
    data = prepared(saved(tmp_path, RGB.transpose(0, 2, 3, 1)), **NPY, layout="channels_last")
    assert sorted_rows(everything(data)) == sorted_rows(RGB)
    line = refusal(tmp_path, **NPY)
    assert line.startswith(f"{tmp_path / 'x.npy'}: an array of shape (60, 5, 7, 3) is not allowed")
    assert line.endswith("or data.layout to channels_last")


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint16", ">i4", "int64", "float64"])
def test_integers_of_any_type(tmp_path: Path, dtype: str) -> None:
    x = (GREY % 2).astype(dtype)
    data = prepared(saved(tmp_path, x), **NPY, levels=2)
    assert data.event.levels == 2 and sorted_rows(everything(data)) == sorted_rows((GREY % 2)[:, None])


@pytest.mark.parametrize("dtype", [">f4", "float64", "float16", "int64", "uint8"])
def test_real_numbers_of_any_type(tmp_path: Path, dtype: str) -> None:
    x = (REAL * 30 + 100).astype(dtype)
    data = prepared(saved(tmp_path, x), **NPY)
    assert data.event.levels is None
    assert sorted_rows(everything(data)) == sorted_rows(x.astype(np.float32))


def test_flat_rows_are_brought_to_a_shape(tmp_path: Path) -> None:
    saved(tmp_path, GREY.reshape(60, 35))
    for shape in ([1, 5, 7], [1, 35]):
        data = prepared(tmp_path, **NPY, shape=shape)
        assert data.event.shape == tuple(shape) and data.event.levels == 256
        assert sorted_rows(everything(data)) == sorted_rows(GREY.reshape(60, *shape))
    line = refusal(tmp_path, **NPY, shape=[1, 6, 7])
    assert line == "params.yaml: data.shape: [1, 6, 7] does not fit rows of shape [35]"


def test_official_splits_and_labels(tmp_path: Path) -> None:
    numbers = RNG.integers(0, 3, 60)
    numbers[:30] = np.arange(30) % 3
    members = {"a": GREY[:30], "b": GREY[30:40], "c": GREY[40:], "la": numbers[:30], "lb": numbers[30:40]}
    np.savez(tmp_path / "x.npz", **members, lc=numbers[40:])
    arrays, names = {"train": "a", "val": "b", "test": "c"}, {"train": "la", "val": "lb", "test": "lc"}
    given = {**NPZ, "test_count": None, "arrays": arrays, "labels": names}
    data = prepared(tmp_path, **given)
    for split, part in (("train", slice(30)), ("val", slice(30, 40)), ("test", slice(40, 60))):
        assert examples(data, split).tobytes() == GREY[part].tobytes()
        assert np.array_equal(labels(data, split), numbers[part])
    assert data.meta["class_names"] == ["0", "1", "2"]
    named = prepared(tmp_path, **given, class_names=["x", "y", "z", "never"], name="named")
    assert named.meta["class_names"] == ["x", "y", "z", "never"] and named.meta["class_counts"]["train"][3] == 0
    line = refusal(tmp_path, **given, class_names=["x", "y"])
    assert line == "params.yaml: data.class_names: 2 names need labels 0 … 1, and these are 0, 1, 2"
    line = refusal(tmp_path, **{**given, "labels": {"train": "la"}})
    assert line == "params.yaml: data.labels: must name the same splits as data.arrays: train, val, test"
    line = refusal(tmp_path, **{**given, "labels": {**names, "val": "la"}})
    assert line == f"params.yaml: data.labels.val: {tmp_path / 'x.npz'}[la] holds 30 labels for 10 examples"
    line = refusal(tmp_path, **{**given, "arrays": {**arrays, "test": "d"}})
    assert line == f"{tmp_path / 'x.npz'}: holds no array 'd'; there are: a, b, c, la, lb and 1 more"
    line = refusal(tmp_path, **{**given, "test_count": 3})
    assert line.startswith("params.yaml: data.test_count: 3 is not allowed: npz has a test split of its own")
    assert refusal(tmp_path, **NPZ).startswith(
        f"params.yaml: data.arrays: is missing: {tmp_path / 'x.npz'} holds several"
    )


@pytest.mark.parametrize(
    ("values", "names"),
    [
        (np.arange(60) % 11, [str(number) for number in range(11)]),
        (np.arange(60)[:, None] % 2 == 0, ["False", "True"]),
        (np.array(["b", "ä", "c"] * 20), ["b", "c", "ä"]),
        (np.array([b"b", b"a", b"c"] * 20), ["a", "b", "c"]),
        (np.arange(60, dtype=np.uint8) % 3 * 100 + 5, ["5", "105", "205"]),
    ],
)
def test_labels_of_any_type(tmp_path: Path, values: np.ndarray, names: list[str]) -> None:
    saved(saved(tmp_path, GREY), values, "y.npy")
    given = {**NPY, "path": ".", "val_count": 15, "test_count": 15}
    data = prepared(tmp_path, **given, arrays={"train": "x.npy"}, labels={"train": "y.npy"})
    assert data.meta["class_names"] == names
    of = {row.tobytes(): value for row, value in zip(GREY, values.reshape(-1), strict=True)}
    for split in ("train", "val", "test"):
        expected = [of[row.tobytes()] for row in examples(data, split)]
        found = [names[label] for label in labels(data, split)]
        assert found == [value.decode() if isinstance(value, bytes) else str(value) for value in expected]


def test_labels_of_real_numbers_are_none(tmp_path: Path) -> None:
    saved(saved(tmp_path, GREY), np.arange(60) / 2, "y.npy")
    line = refusal(tmp_path, **{**NPY, "path": "."}, arrays={"train": "x.npy"}, labels={"train": "y.npy"})
    assert line == "params.yaml: data.labels.train: must be integers or texts, not float64"


def test_columns_have_names(tmp_path: Path) -> None:
    saved(tmp_path, REAL)
    assert [column["name"] for column in prepared(tmp_path, **NPY).meta["columns"]] == ["x0", "x1", "x2", "x3"]
    data = prepared(tmp_path, **NPY, columns=["a", "b", "c", "d"])
    train = examples(data, "train").astype(float)
    for number, column in enumerate(data.meta["columns"]):
        assert column["name"] == "abcd"[number]
        np.testing.assert_allclose([column["mean"], column["std"]], [train[:, number].mean(), train[:, number].std()])
    assert refusal(tmp_path, **NPY, columns=["a"]) == "params.yaml: data.columns: 1 names for 4 columns"
    assert refusal(tmp_path, **NPY, columns=list("abca")) == "column 'a' stands there twice; rename one"


# What is refused


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e300])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_that_are_not_finite(tmp_path: Path, value: float, dtype: str) -> None:
    x = REAL.astype(dtype)
    with np.errstate(over="ignore"):
        x[57, 2] = value
    line = refusal(saved(tmp_path, x), **NPY)
    assert line == f"{tmp_path / 'x.npy'}: holds NaN or infinite numbers: remove those rows from the source"
    np.savez(tmp_path / "x.npz", numbers=x)
    assert refusal(tmp_path, **NPZ).startswith(f"{tmp_path / 'x.npz'}[numbers]: holds NaN or infinite numbers")


def test_a_constant_column(tmp_path: Path) -> None:
    x = REAL.copy()
    x[:, 1] = 3.3
    line = refusal(saved(tmp_path, x), **NPY, columns=["a", "b", "c", "d"])
    assert line == "column 'b' is constant in the training split: it has no density; leave it out"


@pytest.mark.parametrize(
    ("x", "given", "said"),
    [
        (GREY.astype(int) + 1, {}, "values from 1 to 256 are not allowed: must be integers 0 … 255"),
        (GREY.astype(int) - 1, {}, "values from -1 to 254 are not allowed: must be integers 0 … 255"),
        (GREY, {"levels": 16}, "values from 0 to 255 are not allowed: must be integers 0 … 15"),
        (GREY / 255, {"levels": 256}, "values from 0.0 to 1.0 are not allowed: must be integers 0 … 255"),
        (GREY / 255, {}, "images and sequences must be integers, not float64; set data.levels"),
        (np.full((60, 5, 7), np.nan), {"levels": 2}, "values from nan to nan are not allowed"),
        (np.zeros((60, 2, 5, 7), np.uint8), {}, "an array of shape (60, 2, 5, 7) is not allowed"),
        (np.zeros((60, 3, 1, 5, 7), np.uint8), {}, "an array of shape (60, 3, 1, 5, 7) is not allowed"),
        (np.zeros(60, np.uint8), {}, "an array of shape (60,) is not allowed"),
        (np.zeros((0, 5, 7), np.uint8), {}, "0 rows of uint8 are not allowed"),
        (np.zeros((60, 4), complex), {}, "60 rows of complex128 are not allowed"),
        (np.full((60, 4), "a"), {}, "60 rows of <U1 are not allowed"),
        (np.array(["2020-01-01"] * 60, "datetime64[D]"), {}, "60 rows of datetime64[D] are not allowed"),
        (np.array([{}] * 60), {}, "must hold a plain array of numbers in C order, not object (60,)"),
        (np.array(5.0), {}, "must hold a plain array of numbers in C order, not float64 ()"),
    ],
)
def test_arrays_that_are_no_examples(tmp_path: Path, x: np.ndarray, given: dict[str, Any], said: str) -> None:
    line = refusal(saved(tmp_path, x), **NPY, **given)
    assert line.startswith(f"{tmp_path / 'x.npy'}: {said}")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path(tmp_path / "sprung").touch, ())

    np.savez(tmp_path / "x.npz", x=np.array([Trap()] * 5, object))
    saved(tmp_path, np.array([Trap()] * 5, object))
    for given in (NPY, NPZ):
        assert "must hold a plain array of numbers" in refusal(tmp_path, **given)
    assert not (tmp_path / "sprung").exists()


def test_splits_of_other_shapes(tmp_path: Path) -> None:
    saved(saved(tmp_path, GREY, "x/a.npy"), GREY[:, 1:], "x/b.npy")
    line = refusal(tmp_path, **{**NPY, "path": "x", "test_count": None}, arrays={"train": "a.npy", "test": "b.npy"})
    assert line == f"{tmp_path / 'x'}: the splits have different shapes: (1, 5, 7), (1, 4, 7)"


def test_one_file_is_not_taken_for_another_split(tmp_path: Path) -> None:
    saved(saved(tmp_path, GREY), GREY[:10], "y.npy")
    line = refusal(tmp_path, **{**NPY, "test_count": None}, arrays={"train": "x.npy", "test": "y.npy"})
    assert line.startswith(f"params.yaml: data.arrays: 'y.npy' is not in {tmp_path / 'x.npy'}, which is one file")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("cut", [1, 50, 1000, 2050])
def test_truncated_files(tmp_path: Path, cut: int, order: Any) -> None:
    saved(tmp_path, np.asarray(GREY, order=order))
    (tmp_path / "x.npy").write_bytes((tmp_path / "x.npy").read_bytes()[:-cut] if cut < 2000 else b"\x93NUMPY\x01\x00")
    line = refusal(tmp_path, **NPY)
    assert line.startswith(f"{tmp_path / 'x.npy'}: is ") and ("truncated" in line or "damaged" in line)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("damage", ["truncated", "flipped", "text", "empty"])
def test_damaged_archives(tmp_path: Path, damage: str, compressed: bool) -> None:
    (np.savez_compressed if compressed else np.savez)(tmp_path / "x.npz", x=GREY)
    content = bytearray((tmp_path / "x.npz").read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 0xFF
    changed = {"truncated": content[: len(content) // 2], "flipped": content, "text": b"text", "empty": b""}
    (tmp_path / "x.npz").write_bytes(changed[damage])
    line = refusal(tmp_path, **NPZ)
    assert line.startswith(f"{tmp_path / 'x.npz'}: ") and ("truncated" in line or "damaged" in line)


def test_an_archive_that_cannot_be_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as archive:
        archive.writestr("x.npy", b"text")
    line = refusal(tmp_path, **NPZ)
    assert line.startswith(f"{tmp_path / 'x.npz'}[x]: is no .npy file, or a damaged one")
    content = bytearray((tmp_path / "x.npz").read_bytes())
    content[6] |= 1  # said to be encrypted, here and in the directory
    content[content.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "x.npz").write_bytes(content)
    line = refusal(tmp_path, **NPZ)
    assert line.startswith(f"{tmp_path / 'x.npz'}: the array 'x' is damaged or truncated") and "encrypted" in line


def test_paths_without_data(tmp_path: Path) -> None:
    assert refusal(tmp_path, **NPY).startswith(f"params.yaml: data.path: {tmp_path / 'x.npy'}: does not exist")
    (tmp_path / "x").mkdir()
    line = refusal(tmp_path, **{**NPY, "path": "x"})
    assert line.startswith(f"params.yaml: data.path: {tmp_path / 'x'}: holds no .npy files")
    line = refusal(tmp_path, **{**NPY, "path": "x"}, arrays={"train": "a.npy"})
    assert line.startswith(f"params.yaml: data.arrays: {tmp_path / 'x' / 'a.npy'}: does not exist")
    assert refusal(tmp_path, **{**NPZ, "path": "x"}).startswith(f"{tmp_path / 'x'}: is no .npz file")


# Real data


def test_cifar10(tmp_path: Path) -> None:
    """A tenth of the real images, as an .npz of (N, H, W, C)."""
    folder = shared("cifar10")

    def images(name: str, count: int) -> np.ndarray:
        tiles = np.array(Image.open(folder / name).convert("RGB"))
        return tiles.reshape(100, 32, 100, 32, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 32, 32, 3)[:count]

    real = np.load(folder / "labels.npz")
    x = {"train_x": images("data_batch_1.webp", 5000), "test_x": images("test_batch.webp", 1000)}
    y = {"train_y": real["train"][:5000].astype(np.int64), "test_y": real["test"][:1000].astype(np.int64)}
    np.savez(tmp_path / "cifar10.npz", **x, **y)
    arrays, names = ({"train": f"train_{key}", "test": f"test_{key}"} for key in "xy")
    classes = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
    given = {"arrays": arrays, "labels": names, "layout": "channels_last", "class_names": classes}
    data = prepared(tmp_path, source="npz", path="cifar10.npz", **given, val_count=500)
    assert data.meta["counts"] == {"train": 4500, "val": 500, "test": 1000} and data.event.shape == (3, 32, 32)
    assert examples(data, "test").tobytes() == x["test_x"].transpose(0, 3, 1, 2).tobytes()
    assert np.array_equal(labels(data, "test"), y["test_y"])
    both = np.concatenate([examples(data, "train"), examples(data, "val")])
    assert sorted_rows(both) == sorted_rows(x["train_x"].transpose(0, 3, 1, 2))
    counts = np.bincount(y["train_y"])
    assert abs(np.array(data.meta["class_counts"]["val"]) - counts / 10).max() < 1


def test_power(tmp_path: Path) -> None:
    """The real readings, every twentieth, in the six columns of the literature."""
    packed = shared("power") / "household_power_int16.npy.xz"
    raw = np.load(io.BytesIO(lzma.decompress(packed.read_bytes())))[:, ::20]
    rows = np.stack([raw[0] / 1000, raw[2] / 100, *raw[4:7], np.arange(raw.shape[1]) * 20 % 1440], 1)
    rows = rows[rows[:, 0] >= 0].astype(np.float32)
    ends = [0, *(len(rows) * np.array([81, 90, 100]) // 100)]
    parts = [rows[start:end] for start, end in pairwise(ends)]
    for split, part in zip(("train", "val", "test"), parts, strict=True):
        saved(tmp_path, part, f"power/{split}.npy")
    arrays = {split: f"{split}.npy" for split in ("train", "val", "test")}
    names = ["active", "voltage", "kitchen", "laundry", "heating", "minute"]
    data = prepared(tmp_path, source="npy", path="power", arrays=arrays, columns=names)
    for split, part in zip(("train", "val", "test"), parts, strict=True):
        assert examples(data, split).tobytes() == part.tobytes()
    for number, column in enumerate(data.meta["columns"]):
        train = parts[0][:, number].astype(float)
        np.testing.assert_allclose([column["mean"], column["std"]], [train.mean(), train.std()], rtol=1e-6)
    known = {row.tobytes() for row in parts[0]}
    assert data.meta["duplicates"]["test in train"] == sum(row.tobytes() in known for row in parts[2])
