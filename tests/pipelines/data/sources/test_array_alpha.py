"""Arrays of see-through images: on a background, in every layout and type; refused with the way out without one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from .reading import everything, prepared, refusal, sorted_rows

N = 40
RNG = np.random.default_rng(0)
COLOURS = RNG.integers(0, 256, (N, 5, 6, 3), dtype=np.uint8)
OPACITY = RNG.choice(np.array([0, 100, 255], np.uint8), (N, 5, 6, 1))
SPLIT = {"source": "npy", "path": "x.npy", "val_count": 5, "test_count": 5}


def rgba() -> np.ndarray:
    return np.concatenate([COLOURS, OPACITY], -1)


def by_hand(background: tuple[int, int, int]) -> np.ndarray:
    """(N, C, H, W) as Pillow composes images."""
    made = []
    for pixels in rgba():
        image = Image.fromarray(pixels, "RGBA")
        base = Image.new("RGBA", image.size, (*background, 255))
        made.append(np.asarray(Image.alpha_composite(base, image).convert("RGB")))
    return np.stack(made).transpose(0, 3, 1, 2)


def mixed(x: np.ndarray, how: dict[str, Any], root: Path) -> tuple[np.ndarray, list[str], dict[str, Any]]:
    np.save(root / "x.npy", x)
    data = prepared(root, **SPLIT, **how)
    return everything(data), data.meta["decisions"], data.meta


@pytest.mark.parametrize(
    ("background", "colour"), [("white", (255, 255, 255)), ("black", (0, 0, 0)), ("#102030", (16, 32, 48))]
)
def test_colours_are_composed_as_pillow_does(tmp_path: Path, background: str, colour: tuple[int, int, int]) -> None:
    found, said, meta = mixed(rgba(), {"background": background, "layout": "channels_last"}, tmp_path)
    close = np.array([np.abs(found.astype(int) - row).max((1, 2, 3)).min() for row in by_hand(colour).astype(int)])
    assert close.max() <= 1  # Pillow rounds in another order
    assert (meta["channels"], meta["shape"]) == ("rgb", [3, 5, 6])
    assert f"40 of 40 images are see-through in places: they were put on a {background} background." in said


def test_what_is_opaque_stays_and_what_is_not_is_hidden(tmp_path: Path) -> None:
    x = rgba().transpose(0, 3, 1, 2)
    x[:, 3] = np.where(x[:, 3] == 100, 255, x[:, 3])
    found, _, _ = mixed(x, {"background": "white"}, tmp_path)
    expected = np.where(x[:, 3:] == 255, x[:, :3], 255)
    assert sorted_rows(found) == sorted_rows(expected)


@pytest.mark.parametrize("layout", ["channels_first", "channels_last"])
def test_grey_with_opacity(tmp_path: Path, layout: str) -> None:
    x = np.stack([COLOURS[..., 0], np.where(OPACITY[..., 0] > 0, 255, 0)], 1).astype(np.uint8)
    expected = np.where(x[:, 1:] == 255, x[:, :1], 128)
    given = x if layout == "channels_first" else x.transpose(0, 2, 3, 1)
    found, _, meta = mixed(given, {"background": "grey", "layout": layout}, tmp_path)
    assert sorted_rows(found) == sorted_rows(expected.astype(np.uint8))
    assert meta["channels"] == "grey"


@pytest.mark.parametrize("dtype", [np.uint16, np.float32, np.int64])
def test_the_range_of_opacity_is_that_of_the_type(tmp_path: Path, dtype: type) -> None:
    top = {np.uint16: 65535, np.float32: 1, np.int64: 255}[dtype]
    unit = rgba().transpose(0, 3, 1, 2) / 255
    unit[:, 3] = np.round(unit[:, 3])
    x = np.round(unit * top).astype(dtype) if dtype is not np.float32 else unit.astype(dtype)
    how = {"background": "black", **({} if dtype is np.int64 else {"rescale": "type"})}
    found, _, _ = mixed(x, how, tmp_path)
    assert np.abs(np.sort(found.ravel()).astype(int) - np.sort((unit[:, :3] * unit[:, 3:] * 255).ravel())).max() <= 1


def test_flat_rows_and_splits(tmp_path: Path) -> None:
    x = rgba().transpose(0, 3, 1, 2).reshape(N, -1)
    np.savez(tmp_path / "x.npz", a=x[:30], b=x[30:])
    given = {"source": "npz", "path": "x.npz", "arrays": {"train": "a", "test": "b"}, "shape": [4, 5, 6]}
    data = prepared(tmp_path, **given, val_count=5, background="white")
    assert data.meta["shape"] == [3, 5, 6] and data.meta["counts"]["test"] == 10


def test_images_that_are_opaque_all_over_are_said(tmp_path: Path) -> None:
    x = rgba()
    x[..., 3] = 255
    found, said, _ = mixed(x, {"background": "white", "layout": "channels_last"}, tmp_path)
    assert sorted_rows(found) == sorted_rows(COLOURS.transpose(0, 3, 1, 2))
    assert "No image is see-through in any place: the last channel, which says so, was left out." in said


def test_without_a_background_the_line_names_it(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", rgba())
    way_out = "if the last channel says how opaque pixels are, set data.background to white, grey, black or a colour"
    assert way_out in refusal(tmp_path, **SPLIT, layout="channels_last")
    assert way_out in refusal(tmp_path, **SPLIT, shape=[4, 5, 6])


def test_a_background_for_nothing_and_opacities_that_are_none(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", COLOURS)
    line = refusal(tmp_path, **SPLIT, layout="channels_last", background="white")
    assert "data.background: is not read" in line and "none with 2 or 4 channels" in line
    np.save(tmp_path / "x.npy", rgba().astype(np.float32))
    line = refusal(tmp_path, **SPLIT, layout="channels_last", background="white", rescale=[0, 255])
    assert "opacities from 0 to 255 are not allowed: must be from 0 to 1" in line
