"""Features and measurements of data of every kind: without labels, of real numbers, of sequences, of names."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pandas as pd
import pytest
import torch

from models.classifier import Classifier
from models.contract import Density, Event
from models.principal import PrincipalComponents
from pipelines.data.examples import examples
from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.evaluation.finished import features_name, load_family, load_features
from pipelines.evaluation.measurements import subject
from pipelines.evaluation.metrics.likelihood import Likelihood, score
from pipelines.evaluation.metrics.metric_catalogue import metric_of
from pipelines.evaluation.results import result
from pipelines.evaluation.validation import log_volume, spread_rows
from pipelines.files import file_digest, read_json, write_json
from pipelines.params.project import Project
from pipelines.params.schema import Params
from pipelines.report.comparison import comparison, shown_columns
from pipelines.stages import distill, evaluate, features
from pipelines.stages.running import outcome
from pipelines.stages.step import add_speeds, lacks_speeds
from pipelines.training.jobs import Job, family_job
from pipelines.training.students import student_job
from pipelines.training.task import Task

from ..small_projects import configured, finish, project_with, reblocked

pytestmark = pytest.mark.usefixtures("recorded")

EVENTS = {
    "vectors": Event((5,), None),
    "one column": Event((1,), None),
    "labelled vectors": Event((5,), None, 3),
    "sequences": Event((1, 12), 16),
    "labelled sequences": Event((1, 12), 16, 3),
    "palette": Event((1, 4, 4), 6, ordered=False),
    "labelled palette": Event((1, 4, 4), 6, 3, ordered=False),
}


def job(project: Project, name: str) -> Job:
    """The training or distillation of an entry."""
    entry, data = project.entries[name], Prepared.open(project.prepared)
    return (student_job if entry.teacher else family_job)(project, entry, data)


def task(job: Job) -> Task:
    """What a job does."""
    assert isinstance(job.project, Project)
    return job.make(job.project)


@pytest.mark.parametrize("event", EVENTS.values(), ids=list(EVENTS))
def test_every_kind_of_data_is_measured(tmp_path: Path, event: Event, recorded: MagicMock) -> None:
    project = project_with(tmp_path, event)
    features.run(project)
    folder = project.artifacts("features")
    assert {path.name for path in folder.iterdir()} == {
        "config.json",
        "model.safetensors",
        "history.csv",
        "metrics.json",
        "cost.json",
    }
    metrics = read_json(folder / "metrics.json")
    kind = "classifier" if event.classes else "pca"
    assert features_name(folder) == f"{kind}:{file_digest(folder / 'model.safetensors')[:12]}"
    assert isinstance(load_features(folder), Classifier if event.classes else PrincipalComponents)
    share = "accuracy" if event.classes else "explained_variance"
    assert 0 <= metrics[f"val_{share}"] <= 1 and 0 <= metrics[f"test_{share}"] <= 1
    history = pd.read_csv(folder / "history.csv")
    assert {"step", "objective"} <= set(history) and (event.classes or len(history) == 1)
    recorded.log_artifact.assert_called_with(folder)

    rows = []
    for name in project.entries:
        entry = finish(project, name)
        evaluate.run(project, entry)
        add_speeds(project, "evaluate", name)
        row = result(project, entry)
        rows.append(row)
        assert row["fid_features"] == features_name(folder) and row["fid_references"] == 60
        assert math.isfinite(row["nll_nats"]) and row["nll_examples"] == 60
        assert (row["nll_bits_per_dim"] is None) == (event.levels is None)
        assert all(math.isfinite(row[name]) for name in ("fid", "kid", "precision", "coverage", "samples_per_s"))
        assert row["objective_name"] == ("val_nll_nats" if event.levels is None else "val_nll_bits_per_dim")
        samples = np.load(project.artifacts("evaluate", entry) / "samples.npy")
        assert samples.shape[1:] == event.shape and samples.dtype == (np.float32 if event.levels is None else np.uint8)
    names = [column.name for column in shown_columns(rows)]
    shown = "nll_nats" if event.levels is None else "nll_bits_per_dim"
    assert {"nll_nats", "nll_bits_per_dim"} & set(names) == {shown}
    header = comparison(rows).splitlines()[0].split(",")
    assert {"entry", "model", "nll_bits_per_dim", "nll_kind", "fid", "samples_per_s", "train_seconds"} <= set(header)


def test_principal_components_are_the_same_every_time(tmp_path: Path) -> None:
    digests = []
    for name in ("first", "second"):
        project = project_with(tmp_path / name, Event((5,), None))
        features.run(project)
        digests.append(file_digest(project.artifacts("features") / "model.safetensors"))
    assert digests[0] == digests[1]


def test_the_likelihood_of_vectors_is_that_of_the_data_standardised_beforehand(tmp_path: Path) -> None:
    event = Event((5,), None)
    project = project_with(tmp_path / "raw", event)
    data = Prepared.open(project.prepared)
    mean, std = (np.array([column[key] for column in data.meta["columns"]]) for key in ("mean", "std"))
    assert log_volume(data) == pytest.approx(np.log(std).sum())
    standardised = project_with(tmp_path / "standardised", event)
    for name in ("train", "val", "test"):
        path = standardised.prepared / f"{name}.npy"
        np.save(path, ((data.split(name).x - mean) / std).astype(np.float32))
    meta = read_json(standardised.prepared / "meta.json")
    meta["files"] = {name: file_digest(standardised.prepared / name) for name in meta["files"]}
    meta["columns"] = [{**column, "mean": 0.0, "std": 1.0} for column in meta["columns"]]
    write_json(standardised.prepared / "meta.json", meta)
    measured = []
    for each in (project, standardised):
        features.run(each)
        torch.manual_seed(0)  # of the weights
        finish(each, "maf")
        evaluate.run(each, each.entries["maf"])
        row = read_json(each.artifacts("evaluate", each.entries["maf"]) / "metrics.json")
        torch.manual_seed(0)
        validated = task(job(each, "maf")).validate()["objective"]
        measured.append([row["nll_nats"], row["objective"], row["nll_standard_error"], validated])
    assert measured[0] == pytest.approx(measured[1], abs=1e-3)


def test_few_examples_are_scored_and_compared_where_many_would_take_too_long(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((1, 12), 16, 3), references=25, scored=10)
    features.run(project)
    for entry in ("gmm", "maf"):
        finish(project, entry)
    evaluate.run(project, project.entries["gmm"])
    row = read_json(project.artifacts("evaluate", project.entries["gmm"]) / "metrics.json")
    assert (row["nll_examples"], row["fid_references"], row["fid_samples"]) == (10, 25, 50)
    test = examples(project, Prepared.open(project.prepared), "test")
    assert spread_rows(test, 10).tolist() == list(range(0, 60, 6)) and len(spread_rows(test, None)) == 60
    family = load_family(project.artifacts("train", project.entries["gmm"]))
    assert isinstance(family, Density)
    x = torch.from_numpy(np.load(project.prepared / "test.npy")[::6])
    draws = project.params.evaluate.draws
    assert row["nll_nats"] == pytest.approx(Likelihood.of(score(family, [(x, None)], 0, draws)).nats, rel=1e-5)
    distill.run(project, project.entries["iaf"])
    assert read_json(project.artifacts("distill", project.entries["iaf"]) / "metrics.json")["nll_examples"] == 10


def test_a_conditional_model_is_scored_on_the_same_few_examples(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((5,), None, 3), scored=20)
    project = configured(project, "gmm", conditional=True)
    features.run(project)
    finish(project, "gmm")
    evaluate.run(project, project.entries["gmm"])
    row = read_json(project.artifacts("evaluate", project.entries["gmm"]) / "metrics.json")
    assert row["nll_examples"] == 20 and math.isfinite(row["conditional_nll_nats"])
    assert "conditional_nll_bits_per_dim" not in row and 0 <= row["bayes_accuracy"] <= 1


def test_a_student_of_vectors_is_compared_in_nats_of_standardised_data(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((5,), None))
    features.run(project)
    finish(project, "maf")
    distill.run(project, project.entries["iaf"])
    evaluate.run(project, project.entries["maf"])
    metrics = read_json(project.artifacts("distill", project.entries["iaf"]) / "metrics.json")
    row = read_json(project.artifacts("evaluate", project.entries["maf"]) / "metrics.json")
    assert metrics["teacher_nll_nats"] == pytest.approx(row["nll_nats"], rel=1e-6)
    assert "student_nll_bits_per_dim" not in metrics and metrics["student_nll_nats"] != metrics["teacher_nll_nats"]
    assert metrics["teacher_fid"] == pytest.approx(row["fid"], rel=1e-4) and metrics["student_fid"] > 0
    assert 0 <= metrics["two_sample_auc"] <= 1 and metrics["rescues"] == 0


def test_a_student_that_differs_is_told_apart_though_it_has_the_noise_of_its_teacher(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((5,), None), samples=1000)
    features.run(project)
    finish(project, "maf")
    pair = [load_family(project.artifacts("train", project.entries["maf"])) for _ in range(2)]
    quality = distill._quality(project, Prepared.open(project.prepared), pair[0], pair[1])
    assert quality["two_sample_auc"] == pytest.approx(0.5, abs=0.06), "the samples of equals are no twins"


def test_samples_that_overflow_leave_the_quality_blank(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project = project_with(tmp_path, Event((5,), None))
    features.run(project)
    finish(project, "maf")

    def overflow(family: Any, n: int, seed: int) -> torch.Tensor:
        return torch.cat([torch.full((3, 5), math.inf), torch.zeros(n - 3, 5)])

    monkeypatch.setattr(subject, "draw", overflow)
    evaluate.run(project, project.entries["maf"])
    row = read_json(project.artifacts("evaluate", project.entries["maf"]) / "metrics.json")
    assert row["fid"] is None and row["coverage"] is None and row["broken_samples"] == 3
    assert math.isfinite(row["objective"])
    assert "warning: 3 of 50 samples are not finite" in capsys.readouterr().out


def test_too_few_examples_for_the_neighbours_are_a_clear_error(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((5,), None), (50, 10, 5))
    features.run(project)
    finish(project, "gmm")
    with pytest.raises(UserError, match=r"evaluate\.neighbours: 5 is not allowed: must be less than .*, 5$"):
        evaluate.run(project, project.entries["gmm"])


def test_a_family_that_cannot_model_the_data_is_refused_in_a_line(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((1, 4, 4), 6, ordered=False))
    wrong = configured(project, "vae", decoder="gaussian")
    with pytest.raises(UserError, match=r"^params\.yaml: entries\.vae\.config: decoder: gaussian .*categorical"):
        job(wrong, "vae")
    raw = {**project.params.model_dump(by_alias=True), "entries": {"gmm": {"model": "gmm"}}}
    with pytest.raises(UserError, match=r"^params\.yaml: entries\.gmm\.config: gmm models numbers"):
        job(Project(project.root, Params(**raw)), "gmm")


def test_a_student_that_needs_labels_is_refused_in_a_line(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((5,), None))
    features.run(project)
    finish(project, "maf")
    with pytest.raises(UserError, match=r"^params\.yaml: entries\.iaf\.config: conditional: true needs labels"):
        task(job(configured(project, "iaf", conditional=True), "iaf"))


def test_a_gan_is_not_trained_before_there_are_features_to_judge_it_in(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((1, 8, 8), 17, 3))
    raw = {**project.params.model_dump(by_alias=True), "entries": {"gan": {"model": "gan"}}}
    with pytest.raises(UserError, match=r"features.model\.safetensors: there is no such file; run `genera features`"):
        job(Project(project.root, Params(**raw)), "gan")
    assert task(job(project, "vae")).validate()["objective"] > 0, "a likelihood needs no features"


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        ({"power": 1.0}, "power compares the spectra of sequences"),
        ({"contrastive": 0.1}, "contrastive needs conditional: true"),
        ({"scale": 1.0}, "scale needs Gaussian conditionals"),
        ({"draws": 2}, "draws needs a teacher that says its conditionals"),
    ],
)
def test_a_loss_that_a_pair_cannot_have_is_refused_in_a_line(
    tmp_path: Path, loss: dict[str, float], message: str
) -> None:
    project = project_with(tmp_path, Event((5,), None))
    features.run(project)
    finish(project, "maf")
    with pytest.raises(UserError, match=rf"^params\.yaml: entries\.iaf\.distill: {message}"):
        task(job(reblocked(project, "iaf", distill={"loss": loss}), "iaf"))


def test_a_student_of_sounds_learns_from_spectra_too_and_is_another_job(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((1, 12), 16))
    features.run(project)
    finish(project, "maf")
    plain = job(project, "iaf")
    assert task(plain).examples is None
    settings = {"loss": {"power": 0.5, "entropy": 0.9}, "warm_start_steps": 1}
    other = job(reblocked(project, "iaf", distill=settings), "iaf")
    assert other.digest != plain.digest and task(other).examples is not None
    other(lambda _: None)
    assert all(math.isfinite(row["loss"]) and math.isfinite(row["objective"]) for row in outcome(other).state.history)


def test_speeds_are_apart_from_what_is_the_same_on_every_machine(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((5,), None))
    features.run(project)
    finish(project, "maf")
    entry = project.entries["iaf"]
    distill.run(project, entry)
    evaluate.run(project, entry)
    for stage in ("distill", "evaluate"):
        assert lacks_speeds(project, stage, "iaf")
        add_speeds(project, stage, "iaf")
        assert not lacks_speeds(project, stage, "iaf")
    for folder in (project.artifacts("features"), project.made(entry), project.artifacts("evaluate", entry)):
        metrics, cost = (read_json(folder / name) for name in ("metrics.json", "cost.json"))
        assert not set(metrics) & set(cost) and cost["weights"] in {
            file_digest(path / "model.safetensors") for path in (project.artifacts("features"), project.made(entry))
        }
        assert not [name for name in metrics if (metric := metric_of(name)) is not None and metric.timed]
    measured = result(project, entry)
    assert measured["samples_per_s"] > 0 and measured["train_seconds"] > 0
    (project.made(entry) / "model.safetensors").write_bytes(b"other weights")
    assert result(project, entry)["train_seconds"] is None, "what other weights cost says nothing of these"


def test_the_event_in_a_config_keeps_its_order(tmp_path: Path) -> None:
    project = project_with(tmp_path, Event((1, 4, 4), 6, ordered=False))
    folder = project.made(finish(project, "vae"))
    assert json.loads((folder / "config.json").read_text())["event"]["ordered"] is False
    assert load_family(folder).event == Event((1, 4, 4), 6, 0, ordered=False)
