"""Folders of images: upright, of one size, byte by byte what was drawn; damaged ones listed, and refused or skipped."""

from __future__ import annotations

import contextlib
import io
import struct
import warnings
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines.data.sources import parallel
from pipelines.data.sources.decoding import SUFFIXES, UNREADABLE, Decoding

from .reading import everything, examples, labels, prepared, refusal, sorted_rows

IMAGES = {"source": "images", "path": "images", "val_count": 0.2, "test_count": 0.2}
RNG = np.random.default_rng(0)


def pixels(number: int, height: int = 6, width: int = 8, channels: int = 3) -> np.ndarray:
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(number).integers(0, 256, shape, dtype=np.uint8)


def save(path: Path, x: Any, **options: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    image = x if isinstance(x, Image.Image) else Image.fromarray(x)
    image.save(path, **options)
    return path


def folder(root: Path, count: int = 20, suffix: str = ".png", name: str = "{0:04d}", **kind: Any) -> list[np.ndarray]:
    """Images below images/, and what they show (C, H, W)."""
    shown = []
    for number in range(count):
        x = pixels(number, **kind)
        save(root / "images" / (name.format(number) + suffix), x)
        shown.append(x[None] if x.ndim == 2 else x.transpose(2, 0, 1))
    return shown


# Round trips


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".tiff", ".ppm"])
@pytest.mark.parametrize("mode", ["rgb", "grey"])
def test_images_come_back_byte_by_byte(tmp_path: Path, suffix: str, mode: str) -> None:
    shown = folder(tmp_path, suffix=suffix, channels=3 if mode == "rgb" else 1)
    data = prepared(tmp_path, **IMAGES, mode=mode)
    assert sorted_rows(everything(data)) == sorted_rows(np.stack(shown))
    places = [[x.tobytes() for x in shown].index(x.tobytes()) for x in examples(data, "train")]
    assert places == sorted(places), "in the order of their paths"
    assert data.event.shape == shown[0].shape and data.event.levels == 256 and data.meta["channels"] == mode
    assert data.meta["class_names"] == [] and data.meta["counts"] == {"train": 12, "val": 4, "test": 4}


def test_webp_without_loss(tmp_path: Path) -> None:
    x = [pixels(number) for number in range(5)]
    for number, each in enumerate(x):
        save(tmp_path / "images" / f"{number}.webp", each, lossless=True)
    expected = np.stack(x).transpose(0, 3, 1, 2)
    assert sorted_rows(everything(prepared(tmp_path, **IMAGES))) == sorted_rows(expected)


def test_jpegs_are_what_pillow_decodes(tmp_path: Path) -> None:
    folder(tmp_path, suffix=".JPEG")
    paths = sorted((tmp_path / "images").iterdir())
    expected = np.stack([np.asarray(Image.open(path)).transpose(2, 0, 1) for path in paths])
    assert sorted_rows(everything(prepared(tmp_path, **IMAGES))) == sorted_rows(expected)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L", "CMYK", "I;16", "I", "F"])
def test_other_modes(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("x.tif" if mode in ("CMYK", "I;16", "I", "F") else "x.png")
    rgb = pixels(0)
    opaque = np.full((6, 8), 255, np.uint8)
    if mode == "RGBA":
        save(path, np.concatenate([rgb, opaque[..., None]], 2))
        expected = rgb
    elif mode == "LA":
        grey = pixels(2, channels=1)
        save(path, Image.merge("LA", [Image.fromarray(grey), Image.fromarray(opaque)]))
        expected = np.repeat(grey[..., None], 3, 2)
    elif mode == "P":
        few = rgb // 64 * 64
        save(path, Image.fromarray(few).quantize(256))
        expected = few if len(np.unique(few.reshape(-1, 3), axis=0)) <= 256 else None
    elif mode in ("I;16", "I", "F"):
        kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
        save(path, Image.fromarray(pixels(0, channels=1).astype(kind)))
        with pytest.raises(ValueError, match="its pixels have more than 8 bits"):
            Decoding("rgb")(path)
        return
    else:
        save(path, Image.fromarray(rgb).convert(mode))
        expected = np.asarray(Image.open(path).convert("RGB"))
    assert np.array_equal(Decoding("rgb")(path), expected.transpose(2, 0, 1))
    assert Decoding("grey")(path).shape == (1, 6, 8)


def png16(x: np.ndarray) -> bytes:
    """A PNG of 16-bit RGB, which Pillow would read as 8-bit without a word."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    height, width, _ = x.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in x)
    head = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def test_more_than_eight_bits_are_refused(tmp_path: Path) -> None:
    folder(tmp_path, 5)
    (tmp_path / "images" / "0002.png").write_bytes(png16(pixels(2).astype(np.uint16) * 257))
    line = refusal(tmp_path, **IMAGES)
    assert line.startswith(f"1 image files cannot be read: {tmp_path / 'images' / '0002.png'} (its pixels have more")


def test_transparent_palettes_are_read_without_a_warning(tmp_path: Path) -> None:
    image = Image.fromarray(pixels(0) // 128 * 128).quantize(8)
    save(tmp_path / "x.png", image, transparency=bytes([0, 128, 255]))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        x = Decoding("rgb")(tmp_path / "x.png")
    shown = np.asarray(image.convert("RGB")).astype(int)
    alpha = np.array([0, 128, *[255] * 6])[np.asarray(image)][..., None]
    expected = (shown * alpha + 255 * (255 - alpha)) / 255
    assert np.abs(x.transpose(1, 2, 0) - expected).max() <= 1


# Orientation, size, crop


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright(tmp_path: Path, orientation: int) -> None:
    upright = pixels(0, 4, 6)
    stored = {  # by what the EXIF standard says of row 0 and column 0
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright[::-1, ::-1].transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "x.png", np.ascontiguousarray(stored), exif=exif)
    assert np.array_equal(Decoding("rgb")(path), upright.transpose(2, 0, 1))


def test_images_of_several_sizes_need_one(tmp_path: Path) -> None:
    folder(tmp_path, 5)
    save(tmp_path / "images" / "z.png", pixels(9, 8, 6))
    line = refusal(tmp_path, **IMAGES)
    assert line == (
        f"{tmp_path / 'images' / 'z.png'}: has 8×6 pixels, the first image 6×8: set data.resize to bring all images"
        " to one size"
    )
    data = prepared(tmp_path, **IMAGES, resize=[4, 4])
    assert data.event.shape == (3, 4, 4) and sum(data.meta["counts"].values()) == 6


@pytest.mark.parametrize(("height", "width"), [(40, 20), (20, 40), (20, 20), (41, 40)])
def test_a_crop_keeps_proportions_and_squeezing_does_not(tmp_path: Path, height: int, width: int) -> None:
    """Red above, green below; the outermost tenth of the longer side blue."""
    x = np.zeros((height, width, 3), np.uint8)
    x[: height // 2, :, 0], x[height // 2 :, :, 1] = 255, 255
    edge = max(height, width) // 10
    if height > width:
        x[:edge], x[-edge:] = (0, 0, 255), (0, 0, 255)
    elif width > height:
        x[:, :edge], x[:, -edge:] = (0, 0, 255), (0, 0, 255)
    path = save(tmp_path / "x.png", x)
    centre, squeezed = (Decoding("rgb", (10, 10), crop)(path) for crop in ("centre", "none"))
    assert centre.shape == squeezed.shape == (3, 10, 10)
    blue = squeezed[2].max() > 200
    assert blue == (height != width)
    assert (centre[2].max() < 60) == (max(height, width) / min(height, width) == 2 or height == width)
    assert centre[0, 2, 5] > 200 and centre[1, 7, 5] > 200


def test_a_size_need_not_be_square(tmp_path: Path) -> None:
    folder(tmp_path, 5, height=30, width=20)
    assert prepared(tmp_path, **IMAGES, resize=[6, 4]).event.shape == (3, 6, 4)


# Labels and splits


def test_labels_are_the_folders(tmp_path: Path) -> None:
    for number in range(30):
        place = tmp_path / "images" / ("any" if number % 2 else "more") / f"{number % 3}"
        save(place / f"{number}.png", pixels(number))
    data = prepared(tmp_path, **IMAGES)
    assert data.meta["class_names"] == ["0", "1", "2"]
    of = {pixels(number).transpose(2, 0, 1).tobytes(): number % 3 for number in range(30)}
    for split in ("train", "val", "test"):
        assert [of[x.tobytes()] for x in examples(data, split)] == labels(data, split).tolist()
    assert data.meta["class_counts"] == {"train": [6] * 3, "val": [2] * 3, "test": [2] * 3}
    without = prepared(tmp_path, **IMAGES, labels=None, name="without")
    assert without.meta["class_names"] == [] and "train_labels.npy" not in without.meta["files"]
    assert list(data.meta["checksums"]) == ["30 files"]


def test_labels_are_a_part_of_the_path(tmp_path: Path) -> None:
    folder(tmp_path, 40, name="{0}")
    given = {**IMAGES, "val_count": 10, "test_count": 10}
    data = prepared(tmp_path, **given, labels=r"(\d)\.png$")
    assert data.meta["class_names"] == [str(digit) for digit in range(10)]
    assert data.meta["class_counts"] == {"train": [2] * 10, "val": [1] * 10, "test": [1] * 10}


def test_a_pattern_that_does_not_match_names_the_files(tmp_path: Path) -> None:
    folder(tmp_path, 8)
    save(tmp_path / "images" / "other.png", pixels(0))
    line = refusal(tmp_path, **IMAGES, labels=r"^(\d)")
    assert line == "params.yaml: data.labels: '^(\\\\d)' does not match other.png"


def test_files_in_no_folder_have_no_label(tmp_path: Path) -> None:
    folder(tmp_path, 8, name="class/{0}")
    save(tmp_path / "images" / "loose.png", pixels(9))
    line = refusal(tmp_path, **IMAGES)
    assert line.startswith(f"{tmp_path / 'images'}: loose.png: in no folder, so without a label")


def test_a_folder_of_one_file_is_named(tmp_path: Path) -> None:
    folder(tmp_path, 20, name="cats/{0}")
    save(tmp_path / "images" / "dogs" / "only.png", pixels(99))
    line = refusal(tmp_path, **IMAGES)
    assert line.startswith("images: class 'dogs' has 1 examples: it needs 3 or more, one for each split")


def test_an_official_test_split_is_kept_as_it_is(tmp_path: Path) -> None:
    shown = folder(tmp_path, 20)
    given = {**IMAGES, "test_count": None, "test_files": r"^00.[37]\.png$"}
    data = prepared(tmp_path, **given)
    assert examples(data, "test").tobytes() == np.stack([shown[number] for number in (3, 7, 13, 17)]).tobytes()
    assert data.meta["counts"] == {"train": 13, "val": 3, "test": 4}
    for pattern, what in (("png", "every file"), ("gif", "no file")):
        line = refusal(tmp_path, **{**given, "test_files": pattern})
        assert line == f"params.yaml: data.test_files: {pattern!r} matches {what} below {tmp_path / 'images'}"
    line = refusal(tmp_path, **{**given, "test_count": 4})
    assert line.startswith("params.yaml: data.test_count: 4 is not allowed: images has a test split of its own")


# What is no image


def test_hidden_files_and_other_files_are_left_alone(tmp_path: Path) -> None:
    shown = folder(tmp_path, 10, name="a/{0}")
    resources = (".DS_Store", "a/._0.png", "__MACOSX/a/._1.png", "__MACOSX/2.png", ".cache/3.png")
    for name in (*resources, "a/notes.txt", "Thumbs.db"):
        path = tmp_path / "images" / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_bytes(b"no image")
    (tmp_path / "images" / "a" / "folder.png").mkdir()
    data = prepared(tmp_path, **IMAGES)
    assert sorted_rows(everything(data)) == sorted_rows(np.stack(shown))


def test_no_images(tmp_path: Path) -> None:
    line = refusal(tmp_path, **IMAGES)
    assert line.startswith(f"params.yaml: data.path: {tmp_path / 'images'}: does not exist")
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "notes.txt").write_text("none")
    assert refusal(tmp_path, **IMAGES).startswith(f"params.yaml: data.path: {tmp_path / 'images'}: holds no .png")
    line = refusal(tmp_path, **{**IMAGES, "path": "images/notes.txt"})
    assert line.startswith(f"params.yaml: data.path: {tmp_path / 'images' / 'notes.txt'}: is a file: must be a folder")


def damaged(root: Path) -> list[str]:
    """Damage five of the files of a folder; their names."""
    images = root / "images"
    whole = (images / "0001.png").read_bytes()
    (images / "0000.png").write_bytes(b"")
    (images / "0003.png").write_bytes(whole[: len(whole) // 2])
    (images / "0004.png").write_text("no image\n\nat all")
    save(images / "0005.jpg", pixels(5, 60, 80))
    (images / "0005.jpg").write_bytes((images / "0005.jpg").read_bytes()[:2000])
    (images / "0006.png").write_bytes(whole[:60] + bytes([whole[60] ^ 0xFF]) + whole[61:])
    return ["0000.png", "0003.png", "0004.png", "0005.jpg", "0006.png"]


def test_damaged_files_are_listed(tmp_path: Path) -> None:
    shown = folder(tmp_path, 20)
    names = damaged(tmp_path)
    line = refusal(tmp_path, **IMAGES)
    assert line.startswith("5 image files cannot be read: ") and line.endswith("or set data.corrupt to skip")
    assert all(str(tmp_path / "images" / name) in line for name in names)
    assert f"{names[0]} (is empty)" in line and f"{names[2]} (is no image, or of a kind that is not known)" in line
    data = prepared(tmp_path, **IMAGES, corrupt="skip")
    kept = [x for number, x in enumerate(shown) if number not in (0, 3, 4, 6)]
    assert sorted_rows(everything(data)) == sorted_rows(np.stack(kept))
    (said,) = [sentence for sentence in data.meta["decisions"] if "cannot be read" in sentence]
    assert said.startswith("5 files that cannot be read were skipped: ") and all(name in said for name in names)


def test_labels_stay_with_their_images_when_others_are_skipped(tmp_path: Path) -> None:
    folder(tmp_path, 40)
    damaged(tmp_path)
    given = {**IMAGES, "val_count": 10, "test_count": 10}
    data = prepared(tmp_path, **given, corrupt="skip", labels=r"(\d)\.(?:png|jpg)$")
    of = {pixels(number).transpose(2, 0, 1).tobytes(): number % 10 for number in range(40)}
    for split in ("train", "val", "test"):
        assert [of[x.tobytes()] for x in examples(data, split)] == labels(data, split).tolist()


def test_nothing_that_can_be_read(tmp_path: Path) -> None:
    for number in range(300):
        path = tmp_path / "images" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\n")
    for corrupt in ("refuse", "skip"):
        line = refusal(tmp_path, **IMAGES, corrupt=corrupt)
        assert line.startswith("none of the 300 image files can be read: ") and " and 295 more" in line


def test_many_files_are_read_by_several_processes_alike(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    folder(tmp_path, 260)
    names = damaged(tmp_path)
    many = prepared(tmp_path, **IMAGES, corrupt="skip")
    refused = refusal(tmp_path, **IMAGES)
    assert refused.startswith("5 image files cannot be read: ") and all(name in refused for name in names)
    save(tmp_path / "images" / "0200.png", pixels(0, 9, 9))
    sizes = refusal(tmp_path, **IMAGES, corrupt="skip")
    assert sizes.startswith(f"{tmp_path / 'images' / '0200.png'}: has 9×9 pixels")
    save(tmp_path / "images" / "0200.png", pixels(200))
    monkeypatch.setattr(parallel, "FEW", 1000)
    one = prepared(tmp_path, **IMAGES, corrupt="skip", name="one")
    assert one.meta["files"] == many.meta["files"] and one.meta["decisions"] == many.meta["decisions"]


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if suffix not in (".jpeg", ".tif", ".pgm")])
def test_damage_of_any_kind_is_an_error_that_is_known(tmp_path: Path, suffix: str) -> None:
    """Random bytes changed, or the end cut off: the file is read, or one of `UNREADABLE` is raised."""
    buffer = io.BytesIO()
    kind = Image.registered_extensions()[suffix]
    Image.fromarray(pixels(0, 32, 32)).save(buffer, kind)
    rng = np.random.default_rng(0)
    path = tmp_path / f"x{suffix}"
    for _ in range(300):
        content = bytearray(buffer.getvalue())
        for place in rng.integers(0, len(content) if rng.random() < 0.5 else 100, rng.integers(1, 6)):
            content[place % len(content)] = rng.integers(256)
        path.write_bytes(content[: rng.integers(len(content))] if rng.random() < 0.3 else content)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(UNREADABLE):
                Decoding("rgb", (4, 4))(path)
