"""What `genera run` finds to do, what it needs and expects, and how finished work is kept and collected."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import UserError
from pipelines.files import read_json, write_json, write_text
from pipelines.params.plan import planned, write_plan
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.stages import at_once, step
from pipelines.stages.at_once import needs, producers, run, tasks_of
from pipelines.stages.estimates import FEATURES_SECONDS, LEAST_SECONDS, Estimates
from pipelines.stages.kept import Results
from pipelines.stages.recorder import Recorder

ENTRIES: dict[str, Any] = {
    "vae": {
        "model": "vae",
        "config": {},
        "train": {"batch_size": 64},
        "search": {"kl_weight": {"low": 0.5, "high": 2.0}},
    },
    "maf": {"model": "maf", "config": {}, "train": {"steps": 10, "batch_size": 50}},
    "iaf": {"model": "iaf", "config": {}, "distill": {"teacher": "maf", "batch_size": 50}},
}


def project_of(root: Path, **sections: Any) -> Project:
    """A project with a plan and prepared data, as far as stages look at it before they run."""
    project = Project(root, parse({"entries": ENTRIES, **sections}))
    write_plan(root, project.params)
    write_json(project.prepared / "meta.json", {"digest": "data"})
    write_json(root / "artifacts/prepare/summary.json", {"digest": "data", "counts": {"train": 400}})
    write_text(root / "artifacts/features/model.safetensors", "features")
    return project


def test_stages_wait_for_what_the_plan_says(tmp_path: Path) -> None:
    found = producers(planned(project_of(tmp_path).root))
    assert found["features"] == found["train@maf"] == frozenset() and found["tune@vae"] == frozenset()
    assert found["train@vae"] == {"tune@vae"} and found["distill@iaf"] == {"train@maf", "features"}
    assert found["evaluate@iaf"] == {"distill@iaf", "features"}


def test_what_is_out_of_date_brings_along_what_depends_on_it(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    tasks = {
        task.name: task for task in tasks_of(project, {"train@maf", "compare"}, Estimates(project), Recorder(project))
    }
    assert list(tasks) == ["train@maf", "distill@iaf", "evaluate@maf", "evaluate@iaf", "speeds"]
    assert tasks["train@maf"].after == frozenset() and tasks["distill@iaf"].after == {"train@maf"}
    assert tasks["speeds"].alone and not tasks["evaluate@maf"].alone
    assert list(tasks_of(project, {"compare", "register"}, Estimates(project), Recorder(project))) == []


@pytest.mark.parametrize(
    ("cluster", "stage", "gpus", "expected"),
    [
        ({}, "train", 0, (1, 0, 1, 0)),
        ({"cpus_per_worker": 3}, "evaluate", 2, (3, 1, 3, 1)),
        ({"cpus_per_worker": 3}, "train", 4, (0, 0, 12, 4)),  # a worker for each GPU
        ({"workers": 2, "gpus_per_worker": 2}, "distill", 4, (0, 0, 2, 4)),
        ({"workers": 2}, "evaluate", 0, (1, 0, 1, 0)),
        ({"workers": 0}, "features", 4, (1, 1, 1, 1)),
        ({"gpus_per_worker": 0}, "train", 4, (1, 0, 1, 0)),
        ({}, "tune", 1, (0, 0, 4, 1.0)),
    ],
)
def test_needs(tmp_path: Path, cluster: dict[str, Any], stage: str, gpus: float, expected: tuple[float, ...]) -> None:
    search = {"max_concurrent": 2, "cpus_per_trial": 2, "gpus_per_trial": 0.5}
    project = Project(tmp_path, parse({"entries": ENTRIES, "cluster": cluster, "defaults": {"search": search}}))
    assert needs(project, stage, gpus) == expected


def test_estimates(tmp_path: Path) -> None:
    project = project_of(tmp_path, defaults={"search": {"trials": 3, "steps": 20}})
    estimates = Estimates(project)
    assert estimates.seconds("features", None) == FEATURES_SECONDS
    assert estimates.seconds("train", "maf") is None and estimates.seconds("evaluate", "maf") is None
    write_json(tmp_path / "artifacts/train/maf/metrics.json", {"train_flops": 1e8})
    write_json(tmp_path / "artifacts/train/vae/metrics.json", {"train_flops": 2e8})
    write_json(tmp_path / "artifacts/evaluate/maf/metrics.json", {"sampling_flops": 1e6})
    size = project.params.loop_of("vae").batch_size
    assert isinstance(size, int)
    assert estimates.seconds("train", "maf") == LEAST_SECONDS + 10 * 50 * 1e8 / 2.5e10
    assert estimates.seconds("tune", "vae") == LEAST_SECONDS + 3 * 20 * size * 2e8 / 2.5e10
    assert estimates.seconds("evaluate", "maf") == LEAST_SECONDS + 4000 * 1e6 / 2.5e10
    estimates.learn("train@maf", 7.04)
    assert Estimates(project).seconds("train", "maf") == 7.0
    entries = {**ENTRIES, "maf": {"model": "maf", "train": {"steps": 10, "batch_size": "all"}}}
    (project.kept / "took.json").unlink()
    assert Estimates(project_of(tmp_path, entries=entries)).seconds("train", "maf") == 2 + 10 * 400 * 1e8 / 2.5e10


def made(project: Project) -> Path:
    """What a training of the maf leaves."""
    folder = project.root / "artifacts/train/maf"
    write_text(folder / "model.safetensors", "weights")
    write_json(folder / "cost.json", {"weights": "w"})
    return folder


def test_kept_results_are_collected_until_something_changes(tmp_path: Path) -> None:
    project = project_of(tmp_path)
    folder = made(project)
    results = partial(Results.of, project, "train", "maf")
    assert not results().finished
    results().keep()
    shutil.rmtree(folder)
    assert results().finished
    results().collect()
    assert (folder / "model.safetensors").read_text() == "weights"
    assert not list((project.kept / "results").glob(".*")), "nothing half-written is left"
    results().keep()  # twice is once
    write_json(project.prepared / "meta.json", {"digest": "other data"})
    assert not results().finished
    write_json(project.prepared / "meta.json", {"digest": "data"})
    longer = {**ENTRIES, "maf": {"model": "maf", "train": {"steps": 11, "batch_size": 50}}}
    assert not Results.of(project_of(tmp_path, entries=longer), "train", "maf").finished
    evaluated = partial(Results.of, project_of(tmp_path), "evaluate", "maf")
    before = evaluated().kept
    write_json(folder / "cost.json", {"weights": "w", "train_seconds": 3})
    assert evaluated().kept == before, "nothing depends on what something cost"
    write_text(folder / "model.safetensors", "other weights")
    assert evaluated().kept not in (before, None)
    shutil.rmtree(tmp_path / "artifacts/features")
    assert evaluated().kept is None and not evaluated().finished


def test_a_step_collects_or_works_and_measures_speeds_that_lack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    project, did = project_of(tmp_path), list[str]()
    made(project)

    def evaluate(_: Project, entry: Any) -> None:
        did.append(f"evaluated {entry.name}")
        write_json(tmp_path / "artifacts/evaluate/maf/cost.json", {"weights": "w", "run": None})

    monkeypatch.setattr("pipelines.stages.evaluate.run", evaluate)
    monkeypatch.setattr("pipelines.stages.evaluate.speeds", lambda *_: did.append("timed") or {"samples_per_s": 5.0})
    step.work(project, "evaluate", "maf")
    assert did == ["evaluated maf"] and step.lacks_speeds(project, "evaluate", "maf")
    shutil.rmtree(tmp_path / "artifacts/evaluate")
    for _ in range(2):
        step.step(project, "evaluate", "maf")
    assert did == ["evaluated maf", "timed"], "speeds are kept, too"
    assert read_json(tmp_path / "artifacts/evaluate/maf/cost.json")["samples_per_s"] == 5
    said = f"evaluate@maf: was finished; see {tmp_path / 'artifacts/evaluate/maf'}"
    assert capsys.readouterr().out.splitlines() == [said, said]


def test_a_folder_without_dvc_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="DVC says: you are not inside of a DVC repository"):
        run(project_of(tmp_path))


def test_what_dvc_does_first_may_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(at_once, "_outdated", lambda _: {"prepare"})
    with pytest.raises(UserError, match="prepare: did not end well; what is wrong is said above"):
        run(project_of(tmp_path))
