"""Stage `compare`: everything that was measured about the entries, on one page and in one table."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from .files import read_json, write_text
from .prepared import Prepared
from .project import Project
from .record import tracked
from .report.grid import ROWS, columns, first_of_each_class
from .report.page import Distillation, EntrySection, Report, Search, render
from .report.pictures import (
    distillation_curve,
    image_grid,
    objective_against_parameters,
    rate_distortion,
    training_curves,
)
from .report.table import comparison, terminal_table
from .tracking.run import git_commit


def run(project: Project) -> None:
    """Write report/index.html and report/comparison.csv, and print the table."""
    entries = project.params.evaluate.entries
    rows = [read_json(project.artifacts("evaluate", entry) / "metrics.json") for entry in entries]
    data = Prepared.open(project.prepared)
    report = Report(
        title="Genera",
        data=_describe(data),
        rows=rows,
        real=_real(data),
        entries=[_section(project, data, entry, stage) for entry, stage in entries.items()],
        provenance=_provenance(project, data, rows[0]),
    )
    folder = project.root / "report"
    with tracked(project, "compare", None, {"entries": dict(entries)}) as run:
        write_text(folder / "comparison.csv", comparison(rows))
        write_text(folder / "index.html", render(report))
        run.log_artifact(folder)
    Console().print(terminal_table(rows))
    print(f"compare: the report is {folder / 'index.html'}")


def _describe(data: Prepared) -> str:
    """The data in a sentence."""
    meta, event = data.meta, data.event
    levels = "real numbers" if event.levels is None else f"{event.levels} levels"
    counts = ", ".join(f"{count:,} {split}" for split, count in meta["counts"].items())
    classes = len(meta["class_names"])
    return f"{meta['name']}: {event.kind}s of shape {event.shape}, {levels}, {classes} classes; {counts} examples."


def _section(project: Project, data: Prepared, entry: str, stage: str) -> EntrySection:
    """What the page shows of one entry."""
    history = pd.read_csv(project.artifacts(stage, entry) / "history.csv")
    metrics = read_json(project.artifacts(stage, entry) / "metrics.json")
    return EntrySection(
        entry=entry,
        model=project.params.model(entry),
        samples=_grid(data, np.load(project.artifacts("evaluate", entry) / "samples.npy")),
        by_class=bool(project.params.config(entry).conditional),
        training=training_curves(history, metrics["objective_name"]) if stage == "train" else None,
        search=_search(project, entry) if entry in project.params.tune.entries else None,
        distillation=_distillation(project, entry, history, metrics) if stage == "distill" else None,
    )


def _real(data: Prepared) -> bytes:
    """Examples of the test split, one class per column where there are labels."""
    test = data.split("test")
    count = ROWS * columns(data.event)
    rows = np.arange(count) if test.labels is None else first_of_each_class(np.asarray(test.labels), data.event)
    return _grid(data, test.x[rows])


def _grid(data: Prepared, images: np.ndarray) -> bytes:
    assert data.event.levels is not None
    return image_grid(images, data.event.levels, columns(data.event))


def _search(project: Project, entry: str) -> Search:
    folder = project.artifacts("tune", entry)
    trials, best = pd.read_csv(folder / "trials.csv"), read_json(folder / "best.json")
    searched = list(project.params.tune.entries[entry].space)
    curve = {"rate", "distortion"} <= set(trials.columns)
    return Search(
        trials=len(trials),
        stopped_early=int(trials["stopped_early"].sum()),
        best=best["parameters"],
        objective=objective_against_parameters(trials, searched, best["objective_name"]),
        rate_distortion=rate_distortion(trials, searched[0]) if curve else None,
    )


def _distillation(project: Project, entry: str, history: pd.DataFrame, metrics: dict[str, Any]) -> Distillation:
    names = (
        "kl_nats_per_dim",
        *(f"{role}_{what}" for role in ("teacher", "student") for what in ("nll_bits_per_dim", "samples_per_s")),
    )
    return Distillation(
        teacher=project.params.distill.entries[entry].teacher,
        curve=distillation_curve(history),
        **{name: metrics.get(name) for name in names},
    )


def _provenance(project: Project, data: Prepared, row: dict[str, Any]) -> dict[str, str]:
    """Where the numbers come from."""
    params = project.params
    return {
        "commit": git_commit(project.root) or "no git repository",
        "data digest": data.digest[:16],
        "seeds": f"training {params.train.seed}, distillation {params.distill.seed}, evaluation {row['seed']}",
        "likelihood": f"test split, {data.meta['counts']['test']} examples",
        "sample quality": f"{row['fid_samples']} samples against the test split, in features of {row['fid_features']}",
        "speed": f"{row['speed_device']}, {row['speed_threads']} thread(s), batches of {row['speed_batch']}",
    }
