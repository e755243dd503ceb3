"""Pictures as they come: see-through ones on a background, several frames, other colours, and endings."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, features
from pydantic import ValidationError

from .reading import everything, prepared, refusal, settings, sorted_rows
from .test_images import IMAGES, folder, pixels, save

HIDDEN = np.zeros((6, 8, 3), np.uint8) + np.array([255, 0, 0], np.uint8)  # what stands where nothing is to be seen
CLEAR = np.repeat(np.array([[0] * 4 + [255] * 4], np.uint8), 6, 0)  # the left half is see-through


def see_through(kind: str) -> tuple[Image.Image, dict[str, Any]]:
    """A picture whose left half is see-through and red, and whose right half is black; and how it is saved."""
    colours = HIDDEN * (CLEAR == 0)[..., None]
    rgba = Image.fromarray(np.concatenate([colours, CLEAR[..., None]], 2))
    if kind in ("RGBA", "webp", "tif"):
        return rgba, {"lossless": True} if kind == "webp" else {}
    if kind == "LA":
        return rgba.convert("LA"), {}
    picture = Image.fromarray(colours)
    if kind == "colour key":
        return picture, {"transparency": (255, 0, 0)}
    if kind == "grey key":
        return Image.fromarray(np.where(CLEAR == 0, 200, 0).astype(np.uint8)), {"transparency": 200}
    indices = Image.fromarray((CLEAR == 0).astype(np.uint8), "L")
    indices.putpalette([0, 0, 0, 255, 0, 0])
    return indices, {"transparency": 1 if kind == "palette index" else bytes([255, 0])}


@pytest.mark.parametrize("mode", ["rgb", "grey"])
@pytest.mark.parametrize(("background", "colour"), [(None, (255, 255, 255)), ("black", (0, 0, 0)), ("grey", (128,) * 3),
                                                    ("#0000ff", (0, 0, 255))])  # fmt: skip
@pytest.mark.parametrize("kind", ["RGBA", "LA", "webp", "tif", "colour key", "grey key", "palette index", "palette"])
def test_see_through_pictures_are_put_on_a_background(
    tmp_path: Path, kind: str, background: str | None, colour: tuple[int, ...], mode: str
) -> None:
    folder(tmp_path, 5)
    image, how = see_through(kind)
    save(tmp_path / "images" / f"z.{kind if kind in ('webp', 'tif') else 'png'}", image, **how)
    given = {**IMAGES, "mode": mode, **({} if background is None else {"background": background})}
    data = prepared(tmp_path, **given)
    expected = np.zeros((6, 8, 3), np.uint8)
    expected[:, :4] = colour
    if mode == "grey":
        expected = np.asarray(Image.fromarray(expected).convert("L"))[..., None]
    assert expected.transpose(2, 0, 1).tobytes() in sorted_rows(everything(data))
    said = (
        f"1 images are see-through in places: they were put on a {background or 'white'} background (data.background)."
    )
    assert said in data.meta["decisions"]


@pytest.mark.parametrize("kind", ["RGBA", "LA", "palette"])
def test_pictures_that_only_could_be_see_through_are_not_counted(tmp_path: Path, kind: str) -> None:
    opaque = Image.fromarray(pixels(0)).convert("L" if kind == "LA" else "RGB")
    image = opaque.quantize(4) if kind == "palette" else opaque.convert(kind)
    for number in range(5):
        save(
            tmp_path / "images" / f"{number}.png", image, **({"transparency": b"\xff\xff"} if kind == "palette" else {})
        )
    assert not any("see-through" in said for said in prepared(tmp_path, **IMAGES).meta["decisions"])


def test_half_transparent_colours_are_mixed(tmp_path: Path) -> None:
    for number in range(5):
        save(tmp_path / "images" / f"{number}.png", np.full((2, 2, 4), [0, 0, 0, 51], np.uint8))
    assert set(np.unique(everything(prepared(tmp_path, **IMAGES)))) == {204}


@pytest.mark.parametrize("background", ["#fff", "whitish", "#12345g"])
def test_colours_of_backgrounds(background: str) -> None:
    with pytest.raises(ValidationError, match="must be white, grey, black, or a colour such as"):
        settings(**IMAGES, background=background)


@pytest.mark.parametrize("suffix", [".gif", ".tif", ".webp", ".apng"])
def test_of_several_frames_the_first_is_taken_and_that_is_said(tmp_path: Path, suffix: str) -> None:
    frames = [Image.fromarray(np.full((6, 8, 3), level, np.uint8)) for level in (0, 255)]
    path = tmp_path / "images" / f"0{suffix}"
    how = {"lossless": True} if suffix == ".webp" else {}
    save(path, frames[0], save_all=True, append_images=frames[1:], **how)
    folder(tmp_path, 5, name="1{0}")
    data = prepared(tmp_path, **IMAGES)
    assert bytes(6 * 8 * 3) in sorted_rows(everything(data))
    assert "1 files hold several frames, of which the first was taken." in data.meta["decisions"]


def test_pictures_that_become_grey_or_coloured_are_counted(tmp_path: Path) -> None:
    folder(tmp_path, 6)
    for number in range(3):
        save(tmp_path / "images" / f"grey{number}.png", pixels(number, channels=1))
    save(tmp_path / "images" / "print.jpg", Image.fromarray(pixels(0)).convert("CMYK"))
    assert {"3 grey images were turned into rgb ones.", "1 CMYK images were turned into rgb ones."} <= set(
        prepared(tmp_path, **IMAGES).meta["decisions"]
    )
    assert "6 colour images were turned into grey ones." in prepared(tmp_path, **IMAGES, mode="grey").meta["decisions"]


AVIF = pytest.param(
    ".avif", marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow was built without AVIF")
)


@pytest.mark.parametrize("suffix", [".jfif", ".jpe", ".tga", ".TGA", ".pnm", ".apng", AVIF])
def test_other_endings_are_read(tmp_path: Path, suffix: str) -> None:
    folder(tmp_path, 10, suffix=suffix)
    paths = sorted((tmp_path / "images").iterdir())
    shown = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in paths])
    data = prepared(tmp_path, **IMAGES)
    assert sorted_rows(everything(data)) == sorted_rows(shown)
    assert not any("other endings" in said for said in data.meta["decisions"])


def test_pictures_of_other_sizes_are_counted_in_one_line(tmp_path: Path) -> None:
    folder(tmp_path, 5)
    for number in range(8):
        save(tmp_path / "images" / f"z{number}.png", pixels(number, 4 + number % 2, 6))
    line = refusal(tmp_path, **IMAGES)
    first, second = (tmp_path / "images" / f"z{number}.png" for number in (0, 1))
    assert line.startswith(f"{first}: has 4×6 pixels, the first image 6×8; 7 more are of other sizes, {second} (5×6), ")
    assert line.endswith(" and 2 more: set data.resize to bring all images to one size")


@pytest.mark.parametrize(("crop", "fate"), [("centre", "lost edges"), ("none", "were squeezed")])
def test_pictures_that_lose_something_by_another_size_are_counted(tmp_path: Path, crop: str, fate: str) -> None:
    folder(tmp_path, 5, height=8)
    for number in range(3):
        save(tmp_path / "images" / f"z{number}.png", pixels(number, 9, 3))
    said = prepared(tmp_path, **IMAGES, resize=[4, 4], crop=crop).meta["decisions"]
    assert any(each.endswith(f"to 4×4 pixels; 3 of other proportions {fate}; 3 were smaller, and were enlarged.")
               for each in said)  # fmt: skip


def test_official_splits_must_have_one_size_together(tmp_path: Path) -> None:
    folder(tmp_path, 6, name="train/{0}")
    folder(tmp_path, 3, name="test/{0}", height=4)
    line = refusal(tmp_path, **{**IMAGES, "test_count": None})
    assert "has 6×8 pixels, the first image 4×8" in line or "has 4×8 pixels, the first image 6×8" in line
