"""Pictures and arrays of many bits, or of real numbers: refused with the way out, or brought to levels and counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.sources.rescaling import Scale

from .reading import everything, prepared, refusal, sorted_rows
from .test_images import png16, save

IMAGES: dict[str, Any] = {"source": "images", "path": "images", "val_count": 2, "test_count": 2, "mode": "grey"}
NPY: dict[str, Any] = {"source": "npy", "path": "x.npy", "val_count": 2, "test_count": 2}
WIDE = np.random.default_rng(0).integers(100, 4000, (12, 4, 5)).astype(np.uint16)


def wide(root: Path, x: np.ndarray = WIDE, suffix: str = ".png") -> None:
    for number, each in enumerate(x):
        save(root / "images" / f"{number:02d}{suffix}", Image.fromarray(each))


def stretched(x: np.ndarray, low: Any, high: Any, levels: int = 256) -> np.ndarray:
    unit = (np.asarray(x, float) - low) / (np.asarray(high, float) - low)
    return np.rint(np.clip(unit, 0, 1) * (levels - 1)).astype(np.uint8)


def least(x: np.ndarray) -> np.ndarray:
    return x.min((1, 2), keepdims=True)


def most(x: np.ndarray) -> np.ndarray:
    return x.max((1, 2), keepdims=True)


WAYS: list[tuple[Any, Any, str]] = [
    ("type", lambda x: stretched(x, 0, 65535), "The range of the values' type became the levels 0 … 255."),
    ("file", lambda x: stretched(x, least(x), most(x)), "own values became the levels 0 … 255."),
    ("data", lambda x: stretched(x, x.min(), x.max()), f"{WIDE.min()} … {WIDE.max()}, became the levels 0 … 255."),
    ([0, 2000], lambda x: stretched(x, 0, 2000), f"{(WIDE > 2000).sum()} values outside were clipped."),
]  # fmt: skip


@pytest.mark.parametrize(("how", "expected", "sentence"), WAYS, ids=["type", "file", "data", "range"])
@pytest.mark.parametrize("source", ["png", "tif", "pgm", "npy"])
def test_values_become_levels(tmp_path: Path, source: str, how: Any, expected: Any, sentence: str) -> None:
    if source == "npy":
        np.save(tmp_path / "x.npy", WIDE)
    else:
        wide(tmp_path, suffix=f".{source}")
    data = prepared(tmp_path, **(NPY if source == "npy" else IMAGES), rescale=how)
    assert sorted_rows(everything(data)) == sorted_rows(expected(WIDE)[:, None])
    assert data.event.levels == 256 and any(said.endswith(sentence) for said in data.meta["decisions"])


@pytest.mark.parametrize("source", ["images", "npy"])
def test_percentiles_leave_outliers_out(tmp_path: Path, source: str) -> None:
    x = WIDE.copy()
    x[3, 0, 0], x[4, 1, 1] = 65535, 0
    if source == "npy":
        np.save(tmp_path / "x.npy", x)
    else:
        wide(tmp_path, x)
    data = prepared(tmp_path, **(NPY if source == "npy" else IMAGES), rescale="percentile")
    low, high = np.percentile(x.astype(np.float32), (1, 99))
    assert sorted_rows(everything(data)) == sorted_rows(stretched(x, low, high)[:, None])
    clipped = int(((x < low) | (x > high)).sum())
    (said,) = [sentence for sentence in data.meta["decisions"] if "percentile" in sentence]
    assert said.endswith(f"became the levels 0 … 255; {clipped} values outside were clipped.")


def test_the_range_of_the_data_is_that_of_the_files_outside_of_official_splits(tmp_path: Path) -> None:
    wide(tmp_path)
    save(tmp_path / "images" / "test.png", Image.fromarray(np.full((4, 5), 60000, np.uint16)))
    data = prepared(tmp_path, **{**IMAGES, "test_count": None}, test_files="test.png", rescale="data")
    assert any(said.endswith("20 values outside were clipped.") for said in data.meta["decisions"])


@pytest.mark.parametrize("kind", ["png", "tif", "tiff float"])
def test_the_refusal_says_the_way_out(tmp_path: Path, kind: str) -> None:
    x = WIDE.astype(np.float32) if kind == "tiff float" else WIDE
    wide(tmp_path, x, ".tif" if "tif" in kind else ".png")
    for corrupt in ("refuse", "skip"):
        line = refusal(tmp_path, **IMAGES, corrupt=corrupt)
        assert line.startswith("12 image files cannot be read: ") and "more than 8 bits" in line
        assert "set data.rescale to type, file, data or percentile" in line and line.endswith("such as [0, 4095]")


@pytest.mark.parametrize("top", [1, 255])
@pytest.mark.parametrize("source", ["npy", "tif"])
def test_real_numbers(tmp_path: Path, source: str, top: int) -> None:
    """Levels that were divided by 255, or made real, come back."""
    x = np.random.default_rng(0).integers(0, 256, (12, 4, 5)).astype(np.uint8)
    real = x.astype(np.float32) * (top / 255)
    if source == "npy":
        np.save(tmp_path / "x.npy", real)
        given = NPY
        assert "set data.rescale" in refusal(tmp_path, **given).replace("or data", "set data") and "0 to" in refusal(
            tmp_path, **given
        )
    else:
        wide(tmp_path, real, ".tif")
        given = IMAGES
    if top == 1:
        assert sorted_rows(everything(prepared(tmp_path, **given, rescale="type"))) == sorted_rows(x[:, None])
    else:
        line = refusal(tmp_path, **given, rescale="type")
        assert "real numbers are from" in line and "and not from 0 to 1" in line
    data = prepared(tmp_path, **given, rescale=[0, top], name="range")
    assert sorted_rows(everything(data)) == sorted_rows(x[:, None])


def test_real_numbers_that_are_none(tmp_path: Path) -> None:
    x = np.random.default_rng(0).random((12, 4, 5)).astype(np.float32)
    x[3, 0, 0] = np.nan
    np.save(tmp_path / "x.npy", x)
    wide(tmp_path, x, ".tif")
    for how in ("type", "data"):
        assert "it holds NaN or infinite numbers" in refusal(tmp_path, **NPY, rescale=how)
        assert refusal(tmp_path, **IMAGES, rescale=how).startswith("1 image files cannot be read: ")
        assert sum(prepared(tmp_path, **IMAGES, rescale=how, corrupt="skip").meta["counts"].values()) == 11


def test_a_constant_picture_becomes_black_and_is_counted(tmp_path: Path) -> None:
    x = WIDE.copy()
    x[2] = 7
    wide(tmp_path, x)
    np.save(tmp_path / "x.npy", x)
    for given in (IMAGES, NPY):
        said = prepared(tmp_path, **given, rescale="file").meta["decisions"]
        assert any(sentence.endswith("; 1 of one value alone became 0.") for sentence in said)
    np.save(tmp_path / "x.npy", np.full((12, 4, 5), 7, np.uint16))
    assert "nothing can be learnt" in refusal(tmp_path, **NPY, rescale="data")


def test_pictures_of_two_depths_have_no_common_range(tmp_path: Path) -> None:
    wide(tmp_path)
    save(tmp_path / "images" / "z.png", np.zeros((4, 5), np.uint8))
    for how in ("data", "percentile", [0, 4095]):
        line = refusal(tmp_path, **IMAGES, rescale=how)
        assert line.startswith("params.yaml: data.rescale: 1 images have 8 bits, and 12 have more")
    assert sum(prepared(tmp_path, **IMAGES, rescale="type").meta["counts"].values()) == 13


def test_colours_of_16_bits_keep_their_upper_8(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 65536, (12, 4, 5, 3)).astype(np.uint16)
    for number, each in enumerate(x):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "images" / f"{number:02d}.png").write_bytes(png16(each))
    given = {**IMAGES, "mode": "rgb"}
    data = prepared(tmp_path, **given, rescale="type")
    assert sorted_rows(everything(data)) == sorted_rows((x >> 8).astype(np.uint8).transpose(0, 3, 1, 2))
    assert "Of 12 colour images of 16 bits the upper 8 bits were taken." in data.meta["decisions"]
    assert refusal(tmp_path, **given, rescale="file").endswith("which keeps the upper 8 of the 16 bits of colours")


def test_pictures_of_8_bits_are_stretched_alike(tmp_path: Path) -> None:
    x = (WIDE // 40).astype(np.uint8)
    wide(tmp_path, x)
    data = prepared(tmp_path, **IMAGES, rescale="data")
    assert sorted_rows(everything(data)) == sorted_rows(stretched(x, x.min(), x.max())[:, None])
    assert sorted_rows(everything(prepared(tmp_path, **IMAGES, rescale="type"))) == sorted_rows(x[:, None])


def test_rescaled_pictures_are_resized_and_coloured_like_others(tmp_path: Path) -> None:
    wide(tmp_path, np.full((12, 8, 6), 65535, np.uint16))
    data = prepared(tmp_path, **{**IMAGES, "mode": "rgb"}, rescale="type", resize=[4, 4])
    assert everything(data).shape == (12, 3, 4, 4) and set(np.unique(everything(data))) == {255}


def test_other_options_of_images_come_after(tmp_path: Path) -> None:
    wide(tmp_path)
    np.save(tmp_path / "x.npy", WIDE)
    for given in (IMAGES, NPY):
        data = prepared(tmp_path, **given, rescale="data", bits=3)
        assert sorted_rows(everything(data)) == sorted_rows(stretched(WIDE, WIDE.min(), WIDE.max())[:, None] >> 5)


@pytest.mark.parametrize("levels", [2, 16, 256])
def test_sequences_have_as_many_levels_as_asked_for(tmp_path: Path, levels: int) -> None:
    x = np.random.default_rng(0).normal(size=(12, 30))
    np.save(tmp_path / "x.npy", x)
    data = prepared(tmp_path, **NPY, shape=[1, 30], rescale=[-1, 1], levels=levels)
    assert data.event.levels == levels
    assert sorted_rows(everything(data)) == sorted_rows(stretched(x, -1, 1, levels)[:, None])


def test_vectors_are_not_rescaled(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.random.default_rng(0).normal(size=(12, 30)))
    assert refusal(tmp_path, **NPY, rescale="data").startswith(
        "params.yaml: data.rescale: is not allowed: these are vec"
    )


@pytest.mark.parametrize("dtype", ["uint16", "int32", "float32", "float64", ">u2"])
def test_integers_beyond_the_levels_say_the_way_out(tmp_path: Path, dtype: str) -> None:
    np.save(tmp_path / "x.npy", WIDE.astype(dtype))
    assert "data.rescale to type, file, data or percentile" in refusal(tmp_path, **NPY)
    data = prepared(tmp_path, **NPY, rescale="data")
    assert sorted_rows(everything(data)) == sorted_rows(stretched(WIDE, WIDE.min(), WIDE.max())[:, None])


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32"])
def test_the_range_of_a_type_is_that_of_its_numbers(dtype: str) -> None:
    info = np.iinfo(dtype)
    levels, clipped = Scale("type")(np.array([info.min, info.max], dtype))
    assert levels.tolist() == [0, 255] and clipped == 0
