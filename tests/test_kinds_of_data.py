"""Every kind of data goes the whole way, from its files to the report, with the families of its profile at toy size."""

from __future__ import annotations

import csv
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from matplotlib.figure import Figure
from ruamel.yaml import YAML

from pipelines.evaluation.completions import Completions
from pipelines.files import read_json
from pipelines.params.profiles import expanded
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.report import exhibits, pictures
from pipelines.stages import compare, distill, evaluate, features, prepare, train
from pipelines.stages.step import add_speeds

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_store")]
ROOT = Path(__file__).parents[1]
SMALL = {
    "gmm": {"components": 2},
    "vae": {"hidden": [8], "latent": 2, "importance_samples": 2},
    "autoencoder": {"latent": 2},
    "denoising_autoencoder": {"latent": 2},
    "gan": {"width": 4, "latent": 4},
    "progressive_gan": {"width": 4, "latent": 4, "phase_steps": 1},
    "diffusion": {"timesteps": 20, "sampler_steps": 2, "bound_steps": 2, "hidden": [8], "width": 8, "levels": 2},
    "nice": {"hidden": [8], "couplings": 2},
    "realnvp": {"hidden": [8], "couplings": 2, "width": 4, "residual_blocks": 0},
    "glow": {"hidden": [8], "depth": 1, "width": 4},
    "maf": {"hidden": [8], "blocks": 2},
    "iaf": {"hidden": [8], "blocks": 2},
    "made": {"hidden": [8]},
    "pixelcnn": {"layers": 1, "width": 4, "head": 4},
    "pixelrnn": {"layers": 1, "width": 4, "head": 4},
    "wavenet": {"layers": 2, "channels": 4, "gate_channels": 4, "skip_channels": 4},
    "gaussian_wavenet": {"layers": 2, "channels": 4, "gate_channels": 4, "skip_channels": 4, "first_kernel": 2},
    "parallel_wavenet": {"layers": 2, "channels": 4, "blocks": 2, "first_kernel": 2},
}
UNSCORED = ("autoencoder", "denoising_autoencoder", "gan")  # of tables and sounds: no likelihood
PROFILES = {path.stem: path for path in (ROOT / "profiles").glob("*.yaml")}


@pytest.fixture(autouse=True)
def few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of pictures that differ in nothing but numbers one is drawn: hundreds of them take most of a test's time."""
    draw, drawn = pictures._svg, dict[str, str]()
    wave, waves = exhibits.wave_picture, dict[str, Figure]()

    def once(figure: Figure) -> str:
        looks: list[Any] = [figure.get_size_inches().tolist()]
        for axes in figure.axes:
            looks += [axes.get_title(), axes.get_xlabel(), axes.get_ylabel(), axes.get_xscale(), axes.get_yscale()]
            looks += [type(part) for part in axes.get_children()]
        key = repr(looks)
        if key not in drawn:
            drawn[key] = draw(figure)
        return drawn[key]

    def one(signal: np.ndarray, *about: Any) -> Figure:
        key = repr((len(signal), about))
        if key not in waves:
            waves[key] = wave(signal, *about)
        return waves[key]

    monkeypatch.setattr(pictures, "_svg", once)
    monkeypatch.setattr(exhibits, "wave_picture", one)
    monkeypatch.setattr(exhibits, "PAIRED", 3)


def toy(profile: str, data: dict[str, Any], keep: tuple[str, ...] = (), drop: tuple[str, ...] = ()) -> dict[str, Any]:
    """A profile with other data and little work; all its entries, or those to `keep`."""
    raw: dict[str, Any] = YAML(typ="safe", pure=True).load(expanded(PROFILES, profile))
    raw["data"].update(data)
    raw["entries"] = {
        name: block for name, block in raw["entries"].items() if (not keep or name in keep) and name not in drop
    }
    work = {"steps": 4, "validate_every": 2, "batch_size": 16, "warmup_steps": 0}
    for name, block in raw["entries"].items():
        block["config"].update(SMALL[name])
        block["distill" if "distill" in block else "train"].update(work)
        block.pop("search", None)
    raw["defaults"]["distill"] = {"val_samples": 8}
    sizes = {"samples": 50, "references": 50, "scored": 10, "neighbours": 3, "speed_batch": 4, "speed_runs": 1}
    raw["evaluate"].update({**sizes, "classifier": {**work, "width": 4}})
    return raw


def rebuild(root: Path, raw: dict[str, Any]) -> tuple[Project, dict[str, dict[str, str]]]:
    """Run the stages, the searches left out; the rows of the comparison by entry."""
    project = Project(root, parse(raw))
    prepare.run(project)
    features.run(project)
    for entry in sorted(project.entries.values(), key=lambda entry: entry.stage == "distill"):
        (distill if entry.teacher else train).run(project, entry)
        if entry.teacher:
            add_speeds(project, "distill", entry.name)
    for entry in project.entries.values():
        evaluate.run(project, entry)
        add_speeds(project, "evaluate", entry.name)
    compare.run(project)
    rows = csv.DictReader((root / "report" / "comparison.csv").read_text().splitlines())
    return project, {row["entry"]: row for row in rows}


def test_a_table_without_labels(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "power").mkdir()
    for split, rows in (("train", 200), ("val", 40), ("test", 60)):
        np.save(tmp_path / "power" / f"{split}.npy", (rng.normal(size=(rows, 6)) * 3 + 1).astype(np.float32))
    project, rows = rebuild(tmp_path, toy("power", {"path": "power"}))
    assert set(rows) == {*UNSCORED, "gmm", "vae", "diffusion", "nice", "realnvp", "glow", "maf", "iaf", "made"}
    for entry, row in rows.items():
        assert row["nll_bits_per_dim"] == "" and (
            row["nll_nats"] == "" if entry in UNSCORED else float(row["nll_nats"])
        )
        assert row["fid_features"].startswith("pca:") and float(row["fid"]) >= 0
    # A flow starts as a standard normal of the standardised data, 1.419 nats per dimension. In the data's own units it
    # would have ln 3 more for each.
    assert float(rows["maf"]["nll_nats"]) == pytest.approx(6 * 1.419, abs=2)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "nats" in page and 'href="data.html"' in page
    assert (
        read_json(project.artifacts("distill", project.entries["iaf"]) / "metrics.json")["student_nll_nats"] is not None
    )


def test_a_table_with_types(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    species = rng.choice(["Adelie", "Gentoo"], 200)
    columns = {
        "species": species,
        "mass": 3000 + 25 * rng.integers(0, 60, 200) + 500 * (species == "Gentoo"),
        "bill": np.where(rng.random(200) < 0.1, np.nan, rng.normal(40, 5, 200).round(3)),
        "sex": np.where(rng.random(200) < 0.2, None, rng.choice(["female", "male"], 200)),
    }
    pd.DataFrame(columns).to_csv(tmp_path / "x.csv", index=False)
    project, rows = rebuild(tmp_path, toy("penguins", {"path": "x.csv"}))
    assert {entry: row["nll_kind"] for entry, row in rows.items()} == {
        "gmm": "exact", "vae": "bound", "gan": "", "diffusion": "bound", "maf": "bound", "iaf": "bound", "made": "exact"
    }  # fmt: skip
    for row in rows.values():
        assert row["nll_kind"] == "" or float(row["nll_nats"]) > 0
        assert float(row["column_shapes"]) > 0.3 and float(row["pair_trends"]) > 0.3
    card = read_json(project.artifacts("evaluate", project.entries["made"]) / "scorecard.json")
    lines = {line["name"]: line for line in card["lines"]}
    assert lines["column_shapes"]["real"] > 0.8 and lines["learnt_f1"]["reason"], "too few rows are blank, and said"
    assert lines["singling_out"]["synthetic"] is None and lines["inference_species"]["reason"], (
        "60 test rows are too few"
    )
    data_page = (tmp_path / "report" / "data.html").read_text()
    assert "columns:" in data_page and "&#34;mass&#34;: integer" in data_page
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<h4>Scorecard</h4>") == len(rows) and "Independent columns" in page
    assert page.count("Singling out, Linkability, Inference of species: not measured, since ") == len(rows)


def test_spoken_words(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "recordings"
    folder.mkdir()
    for digit in range(3):
        for index in range(20):
            tone = np.sin(2 * np.pi * (300 + 200 * digit) * np.arange(400) / 8000) * rng.uniform(0.3, 0.8)
            soundfile.write(folder / f"{digit}_someone_{index}.wav", tone, 8000)
    data = {"path": "recordings", "window": 64, "short": "drop"}
    project, rows = rebuild(tmp_path, toy("speech", data))
    wavenets = ("wavenet", "gaussian_wavenet", "parallel_wavenet")
    assert set(rows) == {*UNSCORED, "gmm", "vae", "diffusion", "nice", "realnvp", "maf", "iaf", "made", *wavenets}
    taught = read_json(project.artifacts("distill", project.entries["parallel_wavenet"]) / "metrics.json")
    timed = read_json(project.artifacts("distill", project.entries["parallel_wavenet"]) / "cost.json")
    assert 0 <= taught["student_recognised"] <= 1 and timed["student_real_time_factor"] > 0
    for entry, row in rows.items():
        assert entry in UNSCORED or 0 < float(row["nll_bits_per_dim"]) < 40
        assert row["fid_features"].startswith("classifier:")
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<audio") >= 3


def test_images_without_labels_and_a_gan_judged_in_principal_components(tmp_path: Path) -> None:
    x = np.random.default_rng(0).integers(0, 256, (150, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "x.npy", x)
    raw = toy("binarized_mnist", {}, keep=("vae", "gan"))
    raw["data"] = {"source": "npy", "path": "x.npy", "test_count": 40, "val_count": 30, "binarise": "each_step"}
    project, rows = rebuild(tmp_path, raw)
    assert rows["gan"]["fid_features"].startswith("pca:") and rows["gan"]["objective_name"] == "val_fid"
    assert np.load(project.artifacts("evaluate", project.entries["gan"]) / "samples.npy").max() == 1


def test_images_of_clustered_colours(tmp_path: Path) -> None:
    raw = toy("digits", {"palette": 5}, keep=("vae",))
    raw["entries"]["vae"]["config"]["decoder"] = "categorical"
    project, rows = rebuild(tmp_path, raw)
    assert 0 < float(rows["vae"]["nll_bits_per_dim"]) < 2 * math.log2(5)
    samples = np.load(project.artifacts("evaluate", project.entries["vae"]) / "samples.npy")
    assert samples.shape[1:] == (1, 8, 8) and samples.max() < 5
    assert re.search(r"palette", (tmp_path / "report" / "data.html").read_text())
    meaning = read_json(project.artifacts("train", project.entries["vae"]) / "config.json")["data"]
    assert meaning["channels"] == "palette" and len(meaning["palette"]) == 5, "a consumer of the model can show samples"


def test_entries_that_can_complete_are_shown_doing_so(tmp_path: Path) -> None:
    raw = toy("digits", {}, keep=("gmm", "made", "diffusion"))
    project, _ = rebuild(tmp_path, raw)
    of_gmm, made = (
        Completions.load(project.artifacts("evaluate", project.entries[entry]) / "completions.npz")
        for entry in ("gmm", "made")
    )
    assert len(of_gmm.masks) == 4 and not of_gmm.exact.any(), "integers have bins, which a Gaussian does not see"
    exact = dict(zip(made.masks.tolist(), made.exact.tolist(), strict=True))
    assert [name for name in exact if exact[name]] == ["top half known"] and len(exact) == 4
    test = np.load(project.prepared / "test.npy")
    assert all((x == test).all((1, 2, 3)).any() for x in made.x) and len(set(made.labels.tolist())) == 4
    kept = np.broadcast_to(made.known[:, None, None], made.drawn.shape)
    assert (made.drawn == made.x[:, None])[kept].all() and made.drawn.max() <= 16
    page = (tmp_path / "report" / "index.html").read_text()
    of_made = page.index('<article id="entry-made"')
    assert page.count("<h4>Completions</h4>") == 3 and page.rindex("<h4>Completions</h4>") > of_made
    assert page.count("Exact: drawn from p(missing | known)") == 1 and page.count("blind to known ones") == 3
    assert page.count("in each step the known numbers are put in place") == 4


def test_every_entry_of_the_digits(tmp_path: Path) -> None:
    """The default entries but those of the test above: the workflow's own test has a few, as stages of DVC."""
    raw = toy("digits", {}, drop=("gmm", "made", "diffusion"))
    _, rows = rebuild(tmp_path, raw)
    assert list(rows) == list(raw["entries"])
    for entry, row in rows.items():
        assert float(row["fid"]) > 0 and float(row["samples_per_s"]) > 0, entry
        assert 0 <= float(row["classes_covered"]) <= 10 and float(row["diversity"]) >= 0
    assert rows["autoencoder"]["objective_name"] == "val_reconstruction_error"
    assert {entry for entry, row in rows.items() if row["reconstruction_rmse"]} == {
        *("autoencoder", "denoising_autoencoder", "vae", "nice", "realnvp", "glow", "maf", "iaf"),
    }
    assert {entry for entry, row in rows.items() if row["probe_accuracy"]} == {
        *("autoencoder", "denoising_autoencoder", "vae", "gan", "progressive_gan"),
    }
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.count("<h4>Latent space</h4>") == 8 and "Watch out" in page
