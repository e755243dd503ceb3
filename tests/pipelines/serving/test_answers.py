"""Answers about images, sounds and plain vectors; and the commands that write them to files."""

from __future__ import annotations

import io
import json
import wave
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import typer
from PIL import Image
from typer.testing import CliRunner

from models.catalogue import build, family_class
from models.columns import Column
from models.contract import Event
from pipelines.evaluation.finished import write_model
from pipelines.serving.answers.answering import Answering, as_json
from pipelines.serving.consumer.commands import add_commands
from pipelines.serving.consumer.mistake import Mistake
from pipelines.serving.local import load_finished

IMAGES = Event((1, 4, 6), 5, classes=3, shares=(0.5, 0.25, 0.25))
SOUNDS = Event((1, 40), 256)
VECTORS = Event((3,), None, columns=(Column(mean=10, std=2), Column(std=1e-3), Column(mean=-4, std=50)))
VECTOR_DATA = {"columns": ["a", "b", "c"]}


def finished(
    folder: Path, event: Event, model: str = "made", data: dict[str, Any] | None = None, **config: Any
) -> Answering:
    """A model with the weights that it begins with."""
    torch.manual_seed(0)
    made = build(model, family_class(model).Config(**config), event)
    labels = torch.arange(64) % event.classes if event.classes else None
    rows = torch.randint(0, event.levels, (64, *event.shape), dtype=torch.uint8) if event.levels else spread(64)
    made.initialise(rows, labels, torch.Generator().manual_seed(0))
    write_model(
        folder, made.state_dict(), {"model": model, "config": config, "event": asdict(event), "data": data or {}}
    )
    return load_finished(folder, {"nll": [1.0, 2.0, 3.0], "draws": 1})


def spread(n: int) -> torch.Tensor:
    """Vectors of that kind."""
    x = torch.randn(n, 3, generator=torch.Generator().manual_seed(0))
    return x * torch.tensor([2.0, 1e-3, 50.0]) + torch.tensor([10.0, 0.0, -4.0])


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    names = {"class_names": ["1", "2", "cat"]}
    return finished(tmp_path_factory.mktemp("images"), IMAGES, data=names, conditional=True, hidden=[16])


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    data = {"sample_rate": 8000, "encoding": "mu_law", "range": [-1.0, 1.0]}
    return finished(tmp_path_factory.mktemp("sounds"), SOUNDS, data=data, hidden=[16])


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    return finished(tmp_path_factory.mktemp("vectors"), VECTORS, "maf", VECTOR_DATA, blocks=1, hidden=[8])


def test_images_are_arrays_that_say_their_classes_and_their_seed(images: Answering) -> None:
    x = images.answer(None, {"task": "sample", "n": 6, "labels": ["cat"]})
    assert x.shape == (6, 1, 4, 6) and x.dtype == np.uint8
    assert x.attrs["labels"] == ["cat"] * 6 and isinstance(x.attrs["seed"], int)
    np.testing.assert_array_equal(x, images.answer(None, {"n": 6, "positions": [2], "seed": x.attrs["seed"]}))
    said = json.loads(json.dumps(as_json(x), allow_nan=False))
    assert said["sample"] == x.tolist() and said["labels"] == x.attrs["labels"] and said["seed"] == x.attrs["seed"]
    free = images.answer(None, {"n": 2000, "seed": 1})
    assert abs(free.attrs["labels"].count("1") / 2000 - 0.5) < 0.05, "classes by their shares"


def test_a_number_that_names_a_class_is_its_name(images: Answering) -> None:
    """Classes that are called 1, 2 and cat: '1' is the first, '0' is none's name and so a position."""
    assert images.answer(None, {"n": 1, "labels": ["1"]}).attrs["labels"] == ["1"]
    assert images.answer(None, {"n": 1, "labels": ["0"]}).attrs["labels"] == ["1"]
    assert images.answer(None, {"n": 1, "positions": [1]}).attrs["labels"] == ["2"]
    for params, line in (
        ({"labels": ["dog", "3"]}, "labels: dog, 3 is not allowed: must be of the classes 1, 2, cat"),
        ({"positions": [3]}, r"positions: \[3\] is not allowed: must be integers 0 … 2"),
        ({"labels": ["1"], "positions": [0]}, "labels: positions are given, too"),
        ({"labels": "cat"}, r"labels: 'cat' is not allowed: must be a list, such as \['cat'\]"),
        ({"labels": ["1", "2"], "n": 3}, "2 labels for 3 rows"),
        ({"where": ["a=1"]}, "where: this model knows no columns with types"),
        ({"format": "wav"}, "format: wav is not for an image of shape"),
        ({"format": "gif"}, "format: 'gif' is not allowed: must be one of array, png, wav"),
    ):
        with pytest.raises(ValueError, match=line):
            images.answer(None, {"task": "sample", **params})


def test_images_and_sounds_as_files(images: Answering, sounds: Answering) -> None:
    asked = {"n": 3, "seed": 1}
    frame, x = images.answer(None, {**asked, "format": "png"}), images.answer(None, asked)
    assert list(frame) == ["image", "label"] and list(frame["label"]) == x.attrs["labels"]
    for file, levels in zip(frame["image"], x, strict=True):
        np.testing.assert_array_equal(np.rint(np.asarray(Image.open(io.BytesIO(file))) / 255 * 4), levels[0])
    (file, *_) = sounds.answer(None, {**asked, "format": "wav"})["sound"]
    with wave.open(io.BytesIO(file)) as reader:
        assert (reader.getframerate(), reader.getnframes(), reader.getnchannels()) == (8000, 40, 1)


def test_vectors_are_matched_by_name_and_scored_as_the_report_has_them(vectors: Answering) -> None:
    frame = pd.DataFrame(spread(20).double().numpy(), columns=["a", "b", "c"])
    once = vectors.answer(frame, {"task": "log_prob"})
    assert once.attrs["unit"] == "nats"
    for other in (
        frame[["c", "a", "b"]],
        frame.to_numpy(),
        frame.to_numpy().tolist(),
        frame.convert_dtypes(dtype_backend="pyarrow"),
        frame.set_axis(["0", "1", "2"], axis=1),
        frame.set_axis([0, 1, 2], axis=1),
        frame.astype(str),
    ):
        np.testing.assert_array_equal(once, vectors.answer(other, {"task": "log_prob"}))
    scores = vectors.answer(frame, {})
    np.testing.assert_allclose(scores["nll_nats"], -(once + np.log([2, 1e-3, 50]).sum()), rtol=1e-5)
    with pytest.raises(
        ValueError, match=r"data: c: is missing; d: is not known to this model; the columns must be a, b, c"
    ):
        vectors.answer(frame.rename(columns={"c": "d"}), {})
    with pytest.raises(ValueError, match=r"data: a, b \(with gaps\): must be numbers"):
        vectors.answer(frame.assign(a="x", b=[None] + [0.0] * 19), {})
    made = vectors.answer(None, {"n": 5, "seed": 1})
    assert isinstance(made, pd.DataFrame) and list(made) == ["a", "b", "c"] and made.attrs["seed"] == 1


def test_what_is_far_out_has_a_number_that_json_knows(vectors: Answering) -> None:
    far = np.array([[1e30, 0.0, 0.0], [3e38, -3e38, 3e38]])
    log_prob = vectors.answer(far, {"task": "log_prob"})
    assert np.isfinite(log_prob).all() and (log_prob < -1e20).all()
    json.dumps(as_json(vectors.answer(far, {})), allow_nan=False)
    assert (vectors.answer(far, {})["percentile"] == 20.0).all(), "the least of 1 … 4 in 5"


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not [path.name for path in tmp_path.rglob(".*")], "no file is left half-written"


def run(model: Answering, *arguments: str) -> str:
    """What a command prints on stderr, or the mistake that it finds."""
    app = typer.Typer(pretty_exceptions_enable=False, rich_markup_mode=None)
    add_commands(app, lambda name: model)
    done = CliRunner().invoke(app, list(arguments))
    if isinstance(done.exception, Mistake):
        return f"error: {done.exception}"
    assert done.exit_code == 0, done.exception
    return done.stderr.strip()


def test_commands_on_vectors(vectors: Answering, here: Path) -> None:
    assert run(vectors, "sample", "m", "-n", "2500", "--seed", "3", "--out", "x.csv") == "2,500 rows in x.csv: seed 3"
    rows = pd.read_csv("x.csv")
    np.testing.assert_allclose(rows, vectors.answer(None, {"n": 2500, "seed": 3}), rtol=1e-6)
    rows[["c", "b", "a"]].assign(id=range(2500)).to_csv("again.csv", index=False)
    line = run(vectors, "score", "m", "again.csv", "--out", "scored.parquet")
    assert line == "1 column is not known to the model, and passed over: id\n2,500 rows in scored.parquet"
    scored = pd.read_parquet("scored.parquet")
    assert list(scored) == ["c", "b", "a", "id", "log_prob", "nll_nats", "percentile", "typicality"]
    assert run(vectors, "encode", "m", "x.csv", "--out", "z.npy") == "2,500 rows in z.npy"
    assert run(vectors, "decode", "m", "z.npy", "--out", "back.csv") == "2,500 rows in back.csv"
    np.testing.assert_allclose(pd.read_csv("back.csv"), rows, rtol=1e-3, atol=1e-4)


def test_commands_on_images(images: Answering, here: Path) -> None:
    ask = ("sample", "m", "-n", "9", "--label", "cat", "--label", "1", "--seed", "1")
    assert run(images, *ask, "--out", "x.npz") == "9 examples in x.npz: seed 1"
    with np.load("x.npz") as arrays:
        x = arrays["samples"]
        assert list(arrays["labels"]) == ["cat", "1"] * 4 + ["cat"] and arrays["seed"] == 1
    assert x.shape == (9, 1, 4, 6)
    assert run(images, *ask, "--out", "grid.png") == "9 images in grid.png: seed 1"
    with Image.open("grid.png") as grid:
        assert grid.size == (3 * 60 + 4, 3 * 40 + 4)
    Image.fromarray((x[0, 0] * (255 // 4) + 1).astype(np.uint8)).save("one.png")
    Image.fromarray(np.repeat(np.uint8([[0, 0, 0, 255, 255, 255]]), 4, 0)).save("mask.png")
    asked = ("complete", "m", "one.png", "--mask", "mask.png", "-n", "4", "--label", "cat", "--seed", "2")
    assert run(images, *asked, "--out", "whole.npy").startswith("4 examples in whole.npy: seed 2, ")
    whole = np.load("whole.npy")
    np.testing.assert_array_equal(whole[..., :3], np.repeat(x[:1, ..., :3], 4, 0))
    assert len(np.unique(whole[..., 3:].reshape(4, -1), axis=0)) == 4
    np.save("data.npy", x)
    assert run(images, "score", "m", "data.npy", "--out", "s.csv") == "9 rows in s.csv"
    assert "nll_bits_per_dim" in pd.read_csv("s.csv")


def test_codes_of_a_class(tmp_path: Path, here: Path) -> None:
    coded = finished(tmp_path / "vae", IMAGES, "vae", {"class_names": ["1", "2", "cat"]}, conditional=True, latent=3)
    x = np.asarray(coded.answer(None, {"n": 4, "seed": 1, "labels": ["cat"]}))
    np.save("x.npy", x)
    assert run(coded, "encode", "m", "x.npy", "--label", "cat", "--out", "z.npy") == "4 rows in z.npy"
    z = coded.answer(x, {"task": "encode", "labels": ["cat"]})
    np.testing.assert_array_equal(np.load("z.npy"), z)
    assert not np.array_equal(z, coded.answer(x, {"task": "encode", "labels": ["1"]}))
    line = "labels: are missing: {} needs the class of each example, or one for all, of 1, 2, cat"
    assert run(coded, "encode", "m", "x.npy") == f"error: {line.format('encode')}"
    assert run(coded, "decode", "m", "z.npy", "--out", "back.npy") == f"error: {line.format('decode')}"
    assert run(coded, "decode", "m", "z.npy", "--label", "cat", "--out", "back.npy") == "4 examples in back.npy"
    np.testing.assert_array_equal(np.load("back.npy"), coded.answer(z, {"task": "decode", "labels": ["cat"]}))


def test_commands_on_sounds(sounds: Answering, here: Path) -> None:
    assert run(sounds, "sample", "m", "-n", "1", "--seed", "1", "--out", "a.wav") == "1 sounds in a.wav: seed 1"
    assert run(sounds, "sample", "m", "-n", "3", "--out", "b.wav").startswith(
        "3 sounds in b-0000.wav … b-0002.wav: seed"
    )
    assert sorted(path.name for path in here.iterdir()) == ["a.wav", "b-0000.wav", "b-0001.wav", "b-0002.wav"]
    assert run(sounds, "sample", "m", "-n", "1", "--seed", "1", "--out", "a.npy") == "1 examples in a.npy: seed 1"
    np.testing.assert_array_equal(sounds.sound(Path("a.wav").read_bytes()), np.load("a.npy"))
    for file in ("a.wav", "a.npy"):
        assert run(sounds, "score", "m", file, "--out", f"{file}.csv") == f"1 rows in {file}.csv"
    assert Path("a.wav.csv").read_text() == Path("a.npy.csv").read_text()
    Path("text.wav").write_text("text")
    assert (
        run(sounds, "score", "m", "text.wav") == "error: text.wav: cannot be read as a WAV file of plain numbers (PCM)"
    )


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("sample", "m", "--out", "x.jpg"), "--out: x.jpg: must end with one of .csv,"),
        (("sample", "m"), "--out: is missing: write to a .npy or .npz file"),
        (
            ("sample", "m", "--out", "x.csv"),
            "--out: x.csv: arrays are written to a file that ends with one of .npy, .npz",
        ),
        (
            ("sample", "m", "--label", "dog", "--out", "x.npy"),
            "labels: dog is not allowed: must be of the classes 1, 2, cat",
        ),
        (("sample", "m", "--out", "x.wav"), "format: wav is not for an image"),
        (("sample", "m", "-n", "2000", "--out", "x.png"), "--n: 2,000 are too many for files of a png: 1024 at most"),
        (("score", "m", "none.npy"), "none.npy: there is no such file"),
        (("score", "m", "text.npy"), "text.npy: cannot be read as an array"),
        (("complete", "m", "small.png", "--out", "x.png"), "small.png: is 2×2 pixels; the model's images are 6×4"),
        (("encode", "m", "text.npy"), "this model has no codes; it offers: sample, log_prob, score, complete"),
        (("decode", "m", "text.npy", "--out", "x.npy"), "this model has no codes"),
    ],
)
def test_mistakes_are_one_line(images: Answering, here: Path, arguments: tuple[str, ...], line: str) -> None:
    (here / "text.npy").write_text("text")
    Image.new("L", (2, 2)).save("small.png")
    said = run(images, *arguments)
    assert said.startswith("error: ") and line in said and "\n" not in said
    assert sorted(path.name for path in here.iterdir()) == ["small.png", "text.npy"]
