"""Every number of the report carries what it was measured on, and repetitions become a mean and its error."""

from __future__ import annotations

import csv
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pipelines.errors import UserError
from pipelines.files import write_json, write_text
from pipelines.params.project import Project
from pipelines.params.reading import load, parse
from pipelines.report.assembly import _experiment
from pipelines.report.numbers import numbers
from pipelines.report.repetitions import repetitions, table
from pipelines.report.side_by_side import show
from pipelines.report.terminal import terminal_table

ROW: dict[str, Any] = {
    "entry": "maf",
    "model": "maf",
    "objective": 1.9,
    "nll_bits_per_dim": 2.0,
    "nll_bits_per_dim_low": 1.9,
    "nll_bits_per_dim_high": 2.1,
    "nll_kind": "bound",
    "nll_bound": "dequantisation",
    "nll_examples": 360,
    "nll_by_class": {"0": 1.8, "1": 2.2},
    "nll_by_class_examples": {"0": 200, "1": 160},
    "outliers": {"noise": {"nll": 9.0, "likelihood_auroc": 1.0, "examples": 100}},
    "fid": 0.4,
    "fid_low": 0.3,
    "fid_high": 0.5,
    "fid_features": "classifier:abc",
    "fid_samples": 2000,
    "fid_references": 361,
    "precision": 0.9,
    "prdc_examples": 361,
    "samples_per_s": 1000.0,
    "sampling_speed": {"1": 10.0, "256": 1000.0},
    "speed_batch": 256,
    "invertible": True,
    "train_seconds": 10.0,
    "data_digest": "d" * 64,
    "seed": 0,
    "train_seed": 1,
}


def test_every_number_says_on_what_it_was_measured() -> None:
    rows = {row["number"]: row for row in csv.DictReader(numbers([ROW]).splitlines())}
    assert list(rows) == [
        *("objective", "nll_bits_per_dim", "nll_by_class.0", "nll_by_class.1"),
        *("outliers.noise.nll", "outliers.noise.likelihood_auroc", "fid", "precision"),
    ], "timings are of a machine"
    for row in rows.values():
        assert (row["entry"], row["seed"], row["train_seed"], row["data_digest"]) == ("maf", "0", "1", "d" * 64)
    bits = rows["nll_bits_per_dim"]
    assert [bits[name] for name in ("value", "low", "high", "split", "examples", "features")] == [
        *("2.0", "1.9", "2.1", "test", "360", ""),
    ]
    fid = rows["fid"]
    assert [fid[name] for name in ("split", "examples", "samples", "features")] == [
        *("test", "361", "2000", "classifier:abc"),
    ]
    counted = {name: (row["split"], row["examples"], row["samples"]) for name, row in rows.items()}
    assert counted["nll_by_class.1"] == ("test", "160", "") and counted["precision"] == ("test", "361", "361")
    assert counted["outliers.noise.nll"] == ("foreign", "100", "")
    assert rows["objective"]["split"] == "val"


def test_repetitions_have_a_mean_and_its_standard_error() -> None:
    values = [2.0, 2.1, 2.3]
    rows = [
        {**ROW, "entry": f"maf{seed}", "train_seed": seed, "nll_bits_per_dim": value}
        for seed, value in enumerate(values)
    ]
    alone = {**ROW, "entry": "gmm"}
    (found,) = repetitions({**{row["entry"]: "same" for row in rows}, "gmm": "other"}, [*rows, alone])
    assert found.entries == ["maf0", "maf1", "maf2"]
    mean = found.means["nll_bits_per_dim"]
    assert mean.value == pytest.approx(np.mean(values))
    assert mean.standard_error == pytest.approx(np.std(values, ddof=1) / math.sqrt(3))
    assert found.means["outliers.noise.nll"].standard_error == 0
    assert not {"seed", "train_seed", "invertible"} & set(found.means)
    lines = list(csv.DictReader(table([found]).splitlines()))
    assert {line["entries"] for line in lines} == {"maf0 maf1 maf2"} and {line["repetitions"] for line in lines} == {
        "3"
    }
    (line,) = [line for line in lines if line["number"] == "nll_bits_per_dim"]
    assert float(line["mean"]) == mean.value and float(line["standard_error"]) == mean.standard_error


def test_entries_that_differ_in_their_seed_alone_repeat_one_experiment(root: Path) -> None:
    raw = load(root / "params.yaml").model_dump(by_alias=True, exclude_unset=True)
    maf = raw["entries"]["maf"]
    raw["entries"] |= {
        "again": {**maf, "train": {**maf["train"], "seed": 1}},
        "wider": {**maf, "config": {**maf["config"], "hidden": [128]}, "train": {**maf["train"], "seed": 1}},
        "longer": {**maf, "train": {**maf["train"], "steps": 7}},
    }
    entries = (project := Project(root, parse(raw))).entries
    names = ("maf", "again", "wider", "longer", "made")
    experiment = {name: _experiment(project, entries[name]) for name in names}
    assert experiment["maf"] == experiment["again"]
    assert len(set(experiment.values())) == 4
    assert (entries["maf"].seed, entries["again"].seed) == (0, 1)
    assert _experiment(project, entries["vae"]) == "vae", "each search finds parameters of its own"


def test_two_entries_are_told_apart_by_their_difference() -> None:
    faster = {**ROW, "entry": "iaf", "nll_bits_per_dim": 2.2, "samples_per_s": 6000.0, "fid": None}
    console = Console(width=120)
    with console.capture() as captured:
        console.print(terminal_table([ROW, faster], console.width, difference=True))
    text = captured.get()
    assert "against the first" in text
    assert "+0.200" in text and "+10.0%" in text, "bits per dimension"
    assert "+5,000" in text and "+500.0%" in text, "samples per second"
    (line,) = [line for line in text.splitlines() if line.startswith("│ FID ")]
    assert [part.strip() for part in line.split("│")[2:5]] == ["0.400", "", ""], "nothing to compare with"


@pytest.fixture
def measured(root: Path, tmp_path: Path) -> Project:
    """A project in which two entries were measured."""
    project = Project(tmp_path, load(root / "params.yaml"))
    for name in ("maf", "iaf"):
        entry = project.entries[name]
        write_text(project.made(entry) / "model.safetensors", "weights")
        write_json(project.artifacts("evaluate", entry) / "metrics.json", {**ROW, "entry": name})
    return project


def test_the_terminal_shows_just_the_entries_that_were_asked_for(
    measured: Project, capsys: pytest.CaptureFixture[str]
) -> None:
    show(measured, ["maf", "iaf", "maf"])
    printed = capsys.readouterr().out
    assert "maf" in printed and "iaf" in printed and "against the" in printed and "gmm" not in printed
    show(measured, ["maf"])
    assert "against the" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ("dream", r"^compare: 'dream' is not allowed: must be one of the entries: gmm, autoencoder"),
        ("vae", r"evaluate.vae.metrics\.json"),
    ],
)
def test_entries_that_were_not_measured_are_refused_in_a_line(measured: Project, entry: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        show(measured, ["maf", entry])
    assert "\n" not in str(caught.value)
