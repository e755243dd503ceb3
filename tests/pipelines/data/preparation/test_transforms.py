"""Bits, binarisation, palettes, filled means and levels: exact, reproducible, learnt on training rows only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.data.preparation import transforms
from pipelines.data.quantisation import encode

from ..sources.reading import everything, examples, labels, prepared, refusal, sorted_rows

GREY = np.random.default_rng(0).integers(0, 256, (300, 1, 6, 6), dtype=np.uint8)
DRAWN = {"source": "npy", "path": "x.npy", "val_count": 40, "test_count": 60}


def saved(root: Path, x: np.ndarray) -> Path:
    np.save(root / "x.npy", x)
    return root


def parallel(root: Path, plain: dict[str, Any], **option: Any) -> tuple[Any, Any]:
    """The same data without and with an option: the splits are the same."""
    return prepared(root, name="plain", **plain), prepared(root, name="option", **plain, **option)


@pytest.mark.parametrize("bits", range(1, 8))
def test_fewer_bits_are_the_upper_ones(tmp_path: Path, bits: int) -> None:
    plain, fewer = parallel(saved(tmp_path, GREY), DRAWN, bits=bits)
    for split in ("train", "val", "test"):
        assert np.array_equal(examples(fewer, split), examples(plain, split) // 2 ** (8 - bits))
    assert fewer.event.levels == 2**bits and fewer.meta["ordered"] is True
    assert f"from 8 to {bits} bits" in fewer.meta["decisions"][0]


def test_a_threshold_is_half_of_the_range(tmp_path: Path) -> None:
    x = np.arange(256, dtype=np.uint8).repeat(4).reshape(256, 1, 2, 2)
    binary = prepared(saved(tmp_path, x), binarise="threshold", source="npy", path="x.npy", test_count=20)
    assert everything(binary).sum() == 4 * 128
    digits = prepared(tmp_path, source="digits", binarise="threshold", name="binary")
    plain = prepared(tmp_path, source="digits")
    assert np.array_equal(examples(digits, "test"), examples(plain, "test") > 8)
    assert digits.event.levels == 2 and set(np.unique(everything(digits))) == {0, 1}


@pytest.mark.parametrize("how", ["fixed", "each_step"])
def test_pixels_are_drawn_with_their_grey_level_as_probability(tmp_path: Path, how: str) -> None:
    x = np.broadcast_to(np.array([0, 64, 128, 255], np.uint8).reshape(1, 1, 2, 2), (9000, 1, 2, 2))
    settings = {"source": "npy", "path": "x.npy", "val_count": 2000, "test_count": 5000, "binarise": how}
    data = prepared(saved(tmp_path, x), **settings)
    assert data.event.levels == 2
    for split in ("train", "val", "test"):
        drawn = examples(data, split)
        if how == "each_step" and split == "train":
            assert sorted_rows(drawn) == sorted_rows(x[: len(drawn)])
            continue
        mean = drawn.mean(0).reshape(-1)
        assert (mean[0], mean[3]) == (0, 1)
        for value, p in zip(mean[1:3], (64 / 255, 128 / 255), strict=True):
            assert abs(value - p) < 5 * np.sqrt(p * (1 - p) / len(drawn))
    assert data.meta["each_step"] == (256 if how == "each_step" else None)
    again, other = (prepared(tmp_path, **settings, name=f"seed{seed}", seed=seed) for seed in (0, 1))
    assert again.digest == data.digest
    assert not np.array_equal(examples(other, "test"), examples(data, "test"))
    if how == "each_step":
        assert list(data.meta["duplicates"]) == ["val in test"], "grey levels cannot be compared with 0 and 1"


def test_splits_are_not_drawn_with_the_same_numbers(tmp_path: Path) -> None:
    data = prepared(saved(tmp_path, np.full((200, 8, 8), 128, np.uint8)), **{**DRAWN, "binarise": "fixed"})
    train, val, test = (examples(data, split)[:40] for split in ("train", "val", "test"))
    assert not any(np.array_equal(one, other) for one, other in ((train, val), (val, test), (train, test)))


@pytest.mark.parametrize("channels", [1, 3])
def test_a_palette_of_just_the_colours_that_there_are_is_exact(tmp_path: Path, channels: int) -> None:
    rng = np.random.default_rng(1)
    colours = np.unique(rng.integers(0, 256, (7, channels)), axis=0)
    x = colours[rng.integers(0, len(colours), (200, 5, 5))].astype(np.uint8)
    settings = {**DRAWN, "layout": "channels_last"}
    plain, indexed = parallel(saved(tmp_path, x), settings, palette=len(colours))
    palette = np.array(indexed.meta["palette"])
    assert palette.shape == (len(colours), 3)
    assert (np.diff(palette.sum(1)) >= 0).all(), "from dark to bright"
    assert indexed.event.levels == len(colours) and indexed.event.shape == (1, 5, 5) and not indexed.event.ordered
    for split in ("train", "val", "test"):
        back = np.moveaxis(palette[examples(indexed, split)[:, 0]], -1, 1)[:, :channels]
        assert np.array_equal(back, examples(plain, split))
    assert "off by 0.0 of 255 levels" in indexed.meta["decisions"][0]


def test_pixels_get_the_nearest_colour(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (150, 3, 6, 6), dtype=np.uint8)
    plain, indexed = parallel(saved(tmp_path, x), {**DRAWN, "test_count": 30}, palette=9)
    palette = np.array(indexed.meta["palette"])
    pixels = np.moveaxis(examples(plain, "test"), 1, -1)[..., None, :].astype(int)
    distance = ((pixels - palette) ** 2).sum(-1)
    chosen = np.take_along_axis(distance, examples(indexed, "test")[:, 0, ..., None].astype(int), -1)[..., 0]
    assert np.array_equal(chosen, distance.min(-1))
    again = prepared(tmp_path, **{**DRAWN, "test_count": 30}, palette=9, name="again")
    assert again.digest == indexed.digest and again.meta["palette"] == indexed.meta["palette"]


def test_a_palette_is_learnt_on_training_rows_only(tmp_path: Path) -> None:
    train, test = np.zeros((100, 4, 4), np.uint8), np.full((50, 4, 4), 255, np.uint8)
    train[::2] = 100
    for name, x in (("train", train), ("test", test)):
        np.save(tmp_path / f"{name}.npy", x)
    arrays = {"train": "train.npy", "test": "test.npy"}
    data = prepared(tmp_path, source="npy", arrays=arrays, palette=2)
    assert data.meta["palette"] == [[0] * 3, [100] * 3]
    assert (examples(data, "test") == 1).all()


def test_a_palette_of_few_levels_is_shown_in_full_range(tmp_path: Path) -> None:
    data = prepared(tmp_path, source="digits", palette=17)
    assert data.meta["palette"] == [[round(level * 255 / 16)] * 3 for level in range(17)]
    plain = prepared(tmp_path, source="digits", name="plain")
    assert np.array_equal(examples(data, "val"), examples(plain, "val"))


def test_more_colours_than_there_are_are_refused(tmp_path: Path) -> None:
    line = refusal(saved(tmp_path, GREY // 64), **DRAWN, palette=5)
    assert line == "params.yaml: data.palette: 5 is not allowed: the images have 4 colours"


@pytest.mark.parametrize("option", [{"bits": 3}, {"binarise": "fixed"}, {"palette": 4}])
def test_options_of_images_are_for_images(tmp_path: Path, option: dict[str, Any]) -> None:
    line = refusal(
        saved(tmp_path, np.random.default_rng(0).normal(size=(50, 3))), **{**DRAWN, "test_count": 5}, **option
    )
    assert line == f"params.yaml: data.{next(iter(option))}: is not allowed: it is for images, and these are columns"


def test_bits_need_256_levels(tmp_path: Path) -> None:
    line = refusal(saved(tmp_path, GREY // 32), **DRAWN, levels=8, bits=2)
    assert line == "params.yaml: data.bits: is not allowed: the images have 8 levels, not 256"


def test_means_are_those_of_the_training_rows(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(500, 3)).round(3)
    rows[rng.random((500, 3)) < 0.2] = np.nan
    rows[:, 2] = np.arange(500)  # says which row it is
    lines = [",".join("" if np.isnan(value) else str(value) for value in row) for row in rows]
    (tmp_path / "x.csv").write_text("\n".join(["a,b,row", *lines]))
    data = prepared(tmp_path, source="csv", path="x.csv", types=False, missing="mean", val_count=100, test_count=100)
    train = rows[examples(data, "train")[:, 2].astype(int)]
    mean = np.nanmean(train, 0).astype(np.float32)
    for split in ("train", "val", "test"):
        x = examples(data, split)
        expected = rows[x[:, 2].astype(int)].astype(np.float32)
        expected = np.where(np.isnan(expected), mean, expected)
        np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("encoding", ["linear", "mu_law"])
def test_levels_are_those_of_the_range_of_the_training_rows(tmp_path: Path, encoding: Any, recorded: bool) -> None:
    """An outlier of the test split must not move them."""
    x = np.sin(np.arange(4000) / 7) * 1000 + 5000
    x[3990] = 1e6
    text = [f"{value!r},{row // 400}" for row, value in enumerate(x.tolist())]
    (tmp_path / "x.csv").write_text("\n".join(["y,part", *text]))
    settings = {"source": "series", "path": "x.csv", "column": "y", "window": 100}
    if recorded:
        settings |= {"recording": "part", "val_count": 2, "test_count": 3}
        settings["seed"] = next(seed for seed in range(99) if _last_is_held_out(tmp_path, {**settings, "seed": seed}))
    data = prepared(tmp_path, **settings, levels=64, encoding=encoding)
    low, high = data.meta["range"]
    assert 3999 < low < 4010 and 5990 < high < 6001
    plain = prepared(tmp_path, **settings, name="plain")
    for split in ("train", "val", "test"):
        real = examples(plain, split).astype(float)
        near = abs(encode(real, 64, encoding, low, high).astype(int) - examples(data, split)[:, 0])
        assert near.max() <= 1 and near.mean() < 0.01, "but for the rounding to float32"
    assert data.meta["decisions"][-1].endswith("1 values outside were clipped.") and plain.meta["range"] is None
    assert data.event.levels == 64 and data.meta["encoding"] == encoding


def _last_is_held_out(root: Path, settings: dict[str, Any]) -> bool:
    return bool(examples(prepared(root, **settings, name="try"), "train").max() < 1e5)


def test_transforms_keep_labels(tmp_path: Path) -> None:
    plain, fewer = parallel(tmp_path, {"source": "digits"}, palette=3)
    assert np.array_equal(labels(plain, "train"), labels(fewer, "train"))


def test_many_pixels_are_sampled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transforms, "PIXELS", 2000)
    data = prepared(saved(tmp_path, GREY), **DRAWN, palette=16)
    assert data.event.levels == 16 and len(np.unique(everything(data))) == 16
