"""The page about the data shows every kind of data, counts right, and needs nothing but itself."""

from __future__ import annotations

import base64
import html
import io
import re
import shutil
import wave
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines.data.prepared import Prepared
from pipelines.data.rows import Rows
from pipelines.evaluation.completions import Completions
from pipelines.evaluation.finished import weights_digest, write_cost
from pipelines.evaluation.latents import Latents
from pipelines.evaluation.measurements.neighbours import Neighbours
from pipelines.evaluation.metrics.paired import Paired
from pipelines.evaluation.shown import column_labels, temperature_labels
from pipelines.files import write_json, write_text
from pipelines.params.project import Project
from pipelines.params.schema import Params
from pipelines.report import exhibits, provenance, statistics
from pipelines.report.data_page import DataPage, data_page, describe, render_data
from pipelines.report.exhibits import amplitude, exhibit, spectrogram, wav_uri
from pipelines.report.statistics import ColumnCounts, LevelCounts, ValueCounts
from pipelines.stages import compare

from ..data.prepared_folders import KINDS, prepared_folder, write_prepared


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Prepared]:
    root = tmp_path_factory.mktemp("prepared")
    return {kind: prepared_folder(root, kind) for kind in KINDS}


@pytest.fixture(scope="module")
def made(folders: dict[str, Prepared]) -> dict[str, DataPage]:
    return {kind: data_page(prepared) for kind, prepared in folders.items()}


@pytest.fixture(scope="module")
def pages(folders: dict[str, Prepared], made: dict[str, DataPage]) -> dict[str, str]:
    with patch("pipelines.report.data_page.data_page", lambda prepared: made[prepared.folder.name]):
        return {kind: render_data(prepared) for kind, prepared in folders.items()}


def words(page: str) -> str:
    """What a person reads."""
    return html.unescape(re.sub(r"<[^>]*>", " ", page[page.index("<body>") :]))


def grid_of(page: str) -> np.ndarray:
    """The pixels of the page's grid of images."""
    content = re.search(r'<img class="grid" src="data:image/webp;base64,([^"]+)"', page)
    assert content
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(content[1]))))


@pytest.mark.parametrize("kind", KINDS)
def test_page_is_self_contained(pages: dict[str, str], kind: str) -> None:
    page = pages[kind]
    addresses = re.findall(r"""(?:src|href)\s*=\s*["']([^"']*)|url\(([^)]*)""", page)
    assert addresses and all(address.startswith(("data:", "#")) for pair in addresses for address in pair if address)
    assert "@import" not in page and "<script" not in page
    for form, content in re.findall(r'src="data:image/(webp|svg\+xml);base64,([^"]+)"', page):
        picture = base64.b64decode(content)
        if form == "webp":
            Image.open(io.BytesIO(picture)).verify()
        else:
            assert picture.rstrip().endswith(b"</svg>")
            assert not re.search(r"""href\s*=\s*["'](?!#|data:)|url\((?!#)""", picture.decode())
            for raster in re.findall(r'"data:image/webp;base64,([^"]+)"', picture.decode()):
                Image.open(io.BytesIO(base64.b64decode(raster))).verify()
    images = re.findall(r"<img [^>]*>", page)
    assert len(images) >= 2 and all(re.search(r'alt="[^"]+"', image) for image in images)
    assert page.count("<figcaption>") >= 2
    targets = set(re.findall(r'href="#([^"]+)"', page))
    assert targets and targets <= set(re.findall(r'id="([^"]+)"', page))


@pytest.mark.parametrize("kind", KINDS)
def test_page_says_counts_decisions_and_checksums(
    pages: dict[str, str], folders: dict[str, Prepared], kind: str
) -> None:
    text, meta = words(pages[kind]), folders[kind].meta
    for count in meta["counts"].values():
        assert f"{count:,}" in text
    for decision in meta["decisions"] or ["Nothing was dropped, clipped, resampled or skipped."]:
        assert decision in text
    for digest in (*meta["checksums"].values(), *meta["files"].values()):
        assert digest[:12] in text and f'title="{digest}"' in pages[kind]
    assert meta["digest"] in text
    for name in meta["class_names"]:
        assert name in text


def test_names_are_escaped(pages: dict[str, str]) -> None:
    for kind, name in (("table", "<b>mass</b>"), ("palette", "<i>3</i>"), ("rgb", "<b>.png")):
        assert name not in pages[kind] and html.escape(name) in pages[kind]


def test_duplicates_are_told(pages: dict[str, str], folders: dict[str, Prepared]) -> None:
    assert "3 test in train" in words(pages["rgb"])
    assert describe(folders["rgb"].meta).endswith("Duplicates across splits: 3 test in train.")
    assert describe(folders["digits"].meta) == (
        "digits: images of shape 1×8×8, 17 levels, 10 classes; 1,437 train, 180 val, 180 test examples."
    )
    assert "No example of one split also stands, number for number, in another" in words(pages["digits"])
    assert "(compared: test in val)" in words(pages["each_step"]), "grey levels are not compared with 0 and 1"


def test_grids_show_what_the_data_means(pages: dict[str, str], folders: dict[str, Prepared]) -> None:
    palette = {tuple(colour) for colour in folders["palette"].meta["palette"]}
    pixels = grid_of(pages["palette"])
    assert {tuple(pixel[:3].tolist()) for pixel in pixels.reshape(-1, 4) if pixel[3]} == palette
    for colour in palette:
        assert f"background:#{bytes(colour).hex()}" in pages["palette"]
    assert len(np.unique(grid_of(pages["each_step"])[..., 0])) == 17, "grey levels, not 0 and 1"
    assert "grey levels are the probabilities" in words(pages["each_step"])
    assert len(np.unique(grid_of(pages["rgb"])[..., :3])) > 100


def test_sounds_can_be_heard(pages: dict[str, str], folders: dict[str, Prepared]) -> None:
    sounds = re.findall(r'<audio [^>]*src="data:audio/wav;base64,([^"]+)"[^>]*aria-label="Play (\w+)"', pages["tones"])
    assert [name for _, name in sounds] == ["low", "mid", "high"]
    assert "media-src data:" in pages["tones"]
    with wave.open(io.BytesIO(base64.b64decode(sounds[0][0]))) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (8000, 2, 1)
        heard = np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767
    meta, x = folders["tones"].meta, folders["tones"].split("train").x
    waves, unit, _ = amplitude(meta, x[:, 0])
    assert unit == "amplitude" and np.abs(waves - heard).max(1).min() < 1e-4
    assert all("<audio" not in page for kind, page in pages.items() if kind != "tones")


def test_slow_sounds_are_resampled_for_browsers() -> None:
    slow = np.sin(2 * np.pi * 50 * np.arange(500) / 1000).astype(np.float32)
    with wave.open(io.BytesIO(base64.b64decode(wav_uri(slow, 1000).split(",")[1]))) as file:
        assert file.getframerate() == 3000
        heard = np.frombuffer(file.readframes(1500), "<i2") / 32767
    np.testing.assert_allclose(heard, np.sin(2 * np.pi * 50 * np.arange(1500) / 3000), atol=1e-3)


def test_spectrogram_shows_a_sine_at_its_frequency() -> None:
    sine = np.sin(2 * np.pi * 1000 * np.arange(4000) / 8000).astype(np.float32)
    decibels = spectrogram(sine)
    assert decibels.argmax(0).tolist() == [32] * decibels.shape[1], "1000 Hz in bins of 8000 / 256 Hz"
    assert abs(decibels.max()) < 0.1 and decibels.min() == -80


@pytest.mark.parametrize("rows_at_most", [10**6, 100])
def test_levels_are_counted(folders: dict[str, Prepared], monkeypatch: pytest.MonkeyPatch, rows_at_most: int) -> None:
    monkeypatch.setattr(statistics, "MOST_ROWS", rows_at_most)
    monkeypatch.setattr(statistics, "CHUNK_BYTES", 1000)
    rows = Rows(folders["digits"].folder / "train.npy")
    counted = LevelCounts.of(rows, 17)
    x = rows.spread(rows_at_most)
    assert counted.rows == len(x) == min(rows_at_most, 1437)
    np.testing.assert_array_equal(counted.counts[0], np.bincount(x.ravel(), minlength=17))
    np.testing.assert_allclose([counted.mean[0], counted.std[0]], [x.mean(), x.std()])


@pytest.mark.parametrize("rows_at_most", [10**6, 100])
def test_columns_are_counted(folders: dict[str, Prepared], monkeypatch: pytest.MonkeyPatch, rows_at_most: int) -> None:
    monkeypatch.setattr(statistics, "MOST_ROWS", rows_at_most)
    monkeypatch.setattr(statistics, "CHUNK_BYTES", 1000)
    rows = Rows(folders["table"].folder / "train.npy")
    counted = ColumnCounts.of(rows, folders["table"].meta["columns"])
    x = rows.spread(rows_at_most)
    expected = [np.histogram(column, edges)[0] for column, edges in zip(x.T, counted.edges, strict=True)]
    assert np.abs(counted.counts - expected).sum() <= 4, "but for numbers on an edge"
    assert (counted.counts.sum(1) == len(x)).all()
    np.testing.assert_allclose(counted.correlation[:7, :7], np.corrcoef(x[:, :7].T), atol=1e-6)
    assert np.isnan(counted.correlation[7]).all(), "a constant has no correlation"


def test_series_are_counted(folders: dict[str, Prepared]) -> None:
    rows = Rows(folders["windows"].folder / "train.npy")
    x = rows.whole()
    counted = ValueCounts.of(rows, float(x.min()), float(x.max()))
    assert counted.counts.sum() == x.size
    np.testing.assert_allclose([counted.mean, counted.std], [x.mean(), x.std()], atol=1e-6)


def test_large_data_is_sampled_and_the_caption_says_so(
    folders: dict[str, Prepared], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "MOST_ROWS", 100)
    assert "100 examples, evenly spread over 1,437, of the training split" in words(render_data(folders["digits"]))


def test_samples_outside_the_axes_and_broken_ones_are_told(folders: dict[str, Prepared]) -> None:
    meta = folders["table"].meta
    x = np.zeros((4, 8), np.float32)
    x[:, 0], x[1, 1] = [1e9, 0, 0, 0], np.nan
    (item,), caption = (shown := exhibit(meta, x, None, "Samples")).items, shown.caption
    assert "up to 25.0% of a column's values lie outside" in caption and "not finite: 1" in caption
    assert item.alt.startswith("Pair plot of price in $")


@pytest.mark.parametrize(
    "x",
    [
        np.zeros((10, 1), np.float32),
        np.ones((20, 2), np.float32),
        np.arange(120, dtype=np.float32).reshape(2, 60).repeat(10, 0),
    ],
)
def test_odd_tables_have_a_page(tmp_path: Path, x: np.ndarray) -> None:
    assert render_data(write_prepared(tmp_path / "odd", x, channels="columns"))


def test_odd_data_has_a_page(tmp_path: Path) -> None:
    ones = np.zeros((10, 1, 1, 1), np.uint8)
    many = np.arange(600) % 60
    short = np.zeros((10, 1, 2), np.uint8)
    audio: dict[str, Any] = {"channels": "audio", "sample_rate": 8000, "encoding": "linear", "range": [-1, 1]}
    assert render_data(write_prepared(tmp_path / "ones", ones, np.zeros(10, int), levels=2))
    assert render_data(write_prepared(tmp_path / "many", ones.repeat(60, 0), many))
    assert "<audio" in render_data(write_prepared(tmp_path / "short", short, **audio))
    long = np.zeros((4, 1, 5000), np.uint8)
    assert "a band from the lowest to the highest" in render_data(write_prepared(tmp_path / "long", long, **audio))


def test_sections_fit_the_kind(made: dict[str, DataPage]) -> None:
    names = {kind: [section.name for section in page.sections] for kind, page in made.items()}
    always = {"splits", "decisions", "examples", "values", "files"}
    more = {"digits": {"classes"}, "each_step": {"classes"}, "tones": {"classes"}, "palette": {"classes", "palette"}}
    more["table"] = {"classes", "correlation"}
    for kind in KINDS:
        assert set(names[kind]) == always | more.get(kind, set())


@pytest.mark.parametrize("kind", ["digits", "rgb", "table", "tones", "windows"])
def test_report_of_every_kind(
    folders: dict[str, Prepared], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The stage `compare` on what other stages might have written: two entries, the second one's samples by class."""
    data = folders[kind]
    unit = "nll_nats" if data.event.levels is None else "nll_bits_per_dim"
    metrics = {f"{role}_{unit}": -0.5 for role in ("teacher", "student")} | {"objective_name": f"val_{unit}"}
    evaluated = {"nll_nats": 7.0, unit: 1.5, "nll_examples": 100, "seed": 0}
    quality = {"fid": 1.0, "fid_samples": 2000, "fid_references": 50, "fid_features": "principal:abc"}
    history = pd.DataFrame({"step": [1, 2], "loss": [2.0, 1.0], "objective": [2.0, 1.0]})
    blocks = {
        "maf": {"model": "maf"},
        "iaf": {"model": "iaf", "distill": {"teacher": "maf", "batch_size": 2}},
    }
    evaluate = {"temperatures": [0.5, 1.0], "samples": 40, "references": 40}
    project = Project(tmp_path, Params(entries=blocks, evaluate=evaluate))
    shutil.copytree(data.folder, project.prepared)
    for entry in project.entries.values():
        made, seen = project.made(entry), project.artifacts("evaluate", entry)
        write_text(made / "model.safetensors", entry.name)
        write_text(made / "history.csv", history.to_csv())
        write_json(made / "metrics.json", metrics)
        named = {"entry": entry.name, "model": entry.model, "invertible": True, "conditional": entry.name == "iaf"}
        write_json(seen / "metrics.json", {**named, **evaluated, **(quality if entry.name == "iaf" else {})})
        write_cost(seen, weights_digest(made), {"speed_device": "cpu", "speed_threads": 1, "speed_batch": 9})
        x = data.split("train").x
        Completions.none(data.event).save(seen / "completions.npz")
        Latents.none(data.event).save(seen / "latents.npz")
        Neighbours.none(data.event).save(seen / "neighbours.npz")
        Paired.of({}).save(seen / "paired.npz")
        cold = temperature_labels(data.event)
        np.save(seen / "temperatures.npy", x[np.resize(np.arange(len(x)), (2, len(cold)))])
        np.save(seen / "samples.npy", x[np.resize(np.arange(len(x)), len(column_labels(data.event)))])
    monkeypatch.setattr(exhibits, "PAIRED", 3)  # of more columns there are many more panels of the same kind
    run = SimpleNamespace(log_artifact=lambda path: None)
    monkeypatch.setattr(compare, "tracked", lambda *rest: nullcontext(run))
    features = SimpleNamespace(features=lambda x: x.flatten(1).double()[:, :3])
    monkeypatch.setattr(provenance, "quality_features", lambda *rest: (features, "principal:abc"))
    compare.run(project)
    page = (tmp_path / "report" / "index.html").read_text()
    text = words(page)
    assert describe(data.meta) in text and 'href="data.html"' in page
    assert "2,000 samples against 50 of" in text and "100 of" in text
    assert ("nats" if unit == "nll_nats" else "bits/dim") in text
    assert text.count("Real examples of the test split") == 1, "however many entries stand beside them"
    samples, real, tempered = 6, 3, 2 * 2 * 2  # the last are two entries' two samples at two temperatures
    assert page.count("<audio ") == (samples + real + tempered if kind == "tones" else 0)
