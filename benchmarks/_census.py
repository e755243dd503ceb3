"""The census of profiles/adult.yaml, prepared in a folder of its own, and our families trained on it.

Nothing of the project in the current folder is touched: `.genera/benchmarks/tables` is a project itself, whose
params.yaml is the profile, and whose searches are left out: entries have the parameters that the profile says.
"""

from __future__ import annotations

import shutil
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from ruamel.yaml import YAML

from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.evaluation.finished import WEIGHTS, family_config, load_family, write_model
from pipelines.evaluation.measurements.subject import Subject
from pipelines.evaluation.measurements.table_quality import frame_of
from pipelines.evaluation.validation import draw
from pipelines.files import read_json, replacing, write_json
from pipelines.identity import code_digest
from pipelines.params.checks import section_digest
from pipelines.params.entry import Entry
from pipelines.params.plan import SECTION
from pipelines.params.profiles import expanded
from pipelines.params.project import Project
from pipelines.params.reading import parse
from pipelines.stages import features, prepare
from pipelines.stages.running import outcome
from pipelines.training.jobs import Job, family_job
from pipelines.training.students import student_job

FOLDER = Path(".genera") / "benchmarks" / "tables"
PREPARED_BY = "prepared_by.json"
ROWS = 10_000
DRAWS = 5  # of as many rows, of which the time is the median, and the first are kept


@dataclass
class Clock:
    """Seconds on the wall, and of the processor: the second are the same beside other work, or nearly so."""

    wall: float = field(default_factory=time.perf_counter)
    cpu: float = field(default_factory=time.process_time)


@contextmanager
def timed() -> Iterator[Clock]:
    clock = Clock()
    yield clock
    clock.wall, clock.cpu = time.perf_counter() - clock.wall, time.process_time() - clock.cpu


def census(root: Path) -> Project:
    """The project of the profile in a folder below `root`, with its data prepared. Raises `UserError` without data."""
    raw = YAML(typ="safe").load(expanded({each.stem: each for each in (root / "profiles").glob("*.yaml")}, "adult"))
    for name in ("path", "test_path"):
        raw["data"][name] = str(root / raw["data"][name])
    for block in raw["entries"].values():
        block.pop("search", None)
    project = Project((root / FOLDER).resolve(), parse(raw))
    missing = [raw["data"][name] for name in ("path", "test_path") if not Path(raw["data"][name]).is_file()]
    if missing:
        raise UserError(f"no file {' and '.join(missing)}: docs/data.md says where it comes from")
    if not _is_prepared(project):
        prepare.run(project)
        write_json(project.root / PREPARED_BY, {"code": code_digest(prepare.__name__)})
    return project


def _is_prepared(project: Project) -> bool:
    """Is the data there, as the profile and the code of today have it?"""
    written, by = project.root / SECTION, project.root / PREPARED_BY
    if not (written.is_file() and read_json(written)["section"] == section_digest(project.params.data)):
        return False
    if not (by.is_file() and read_json(by)["code"] == code_digest(prepare.__name__)):
        return False
    return Prepared.open(project.prepared).digest == read_json(written)["data"]


def place(project: Project, entry: Entry) -> Path:
    """Where the rows of an entry are, or go: another training has another place.

    Raises `UserError` where what it depends on is not there, so that it cannot have been trained.
    """
    return project.root / "rows" / f"{entry.name}-{_job(project, entry).digest[:16]}"


def _job(project: Project, entry: Entry) -> Job:
    data = Prepared.open(project.prepared)
    return family_job(project, entry, data) if entry.teacher is None else student_job(project, entry, data)


def make(project: Project, entry: Entry) -> Path:
    """The folder with rows.parquet and cost.json of an entry, which is trained if it was not.

    A training that was interrupted begins again, so that its seconds are those of one go.
    """
    if entry.teacher is not None:
        make(project, entry.teacher)
    if entry.judged_by_samples and not (project.artifacts("features") / WEIGHTS).is_file():
        features.run(project)
    job, folder, data = _job(project, entry), place(project, entry), Prepared.open(project.prepared)
    if (folder / "cost.json").is_file():
        return folder
    shutil.rmtree(Path(job.folder.where), ignore_errors=True)
    with timed() as training:
        job()
    done = outcome(job)
    write_model(project.made(entry), done.weights, family_config(entry, data))
    rows, seconds = _drawn(Subject(project, entry))
    cost = {
        "train_cpu_s": training.cpu,
        "train_wall_s": training.wall,
        "sample_cpu_s": seconds,
        "steps": done.state.step,
        "best_step": done.state.best_step,
        "val_objective": done.state.best_objective,
        "versions": {name: version(name) for name in ("torch", "pandas")},
    }
    save(folder, rows, cost)
    return folder


def save(folder: Path, rows: pd.DataFrame, cost: dict[str, Any]) -> None:
    """Write rows.parquet, and cost.json when it is there."""
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "rows.parquet") as temporary:
        rows.to_parquet(temporary)
    write_json(folder / "cost.json", cost)


@torch.no_grad()
def _drawn(subject: Subject) -> tuple[pd.DataFrame, float]:
    """Rows in the values of the data, and the seconds of processor time that as many take."""
    family, tables, seconds = load_family(subject.origin), [], []
    for seed in range(DRAWS):
        with timed() as drawing:
            tables.append(frame_of(subject.data, draw(family, ROWS, seed), None, seed))
        seconds.append(drawing.cpu)
    return tables[0], statistics.median(seconds)
