"""The page put together: what each stage has left of each entry, as exhibits, pictures and sentences."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ..data.prepared import Prepared
from ..data.rows import Rows
from ..evaluation.completions import Completions
from ..evaluation.concerns import warnings
from ..evaluation.few import sentences_about_blanks
from ..evaluation.finished import cost_of, weights_digest
from ..evaluation.latents import Latents
from ..evaluation.measurements.neighbours import Neighbours
from ..evaluation.metrics.collapse import collapse_concerns
from ..evaluation.metrics.likelihood import unit_name
from ..evaluation.shown import chosen, column_labels, temperature_labels
from ..files import read_json
from ..params.entry import Entry
from ..params.project import Project
from .completed import completed
from .data_page import describe
from .exhibits import Exhibit, exhibit
from .latent_space import latent_space
from .page import Distillation, EntrySection, Report, Search
from .pictures import distillation_curve, objective_against_parameters, rate_distortion, training_curves
from .provenance import provenance
from .repetitions import repetitions
from .sample_pictures import nearest_neighbours, temperature_row
from .table_scorecard import scorecard_lines, scorecard_notes
from .thumbnails import Tile, legend, thumbnails

Row = Mapping[str, Any]

BESIDE = 2000  # real rows of a table, with which samples are compared by eye
SIDE_BY_SIDE = (  # of a student and its teacher, as the files of a distillation have them
    "kl_nats_per_dim",
    "two_sample_auc",
    *(f"{role}_{what}" for role in ("teacher", "student") for what in ("samples_per_s", "fid")),
    *(f"{role}_{what}" for role in ("teacher", "student") for what in ("recognised", "real_time_factor")),
)


def assemble(project: Project, rows: Sequence[Row]) -> Report:
    """The whole report, of which each row has what was measured of an entry."""
    data = Prepared.open(project.prepared)
    real, tiles = _real(data, any(_by_class(data, row) for row in rows))
    sections = [_section(project, data, row, entry) for row, entry in zip(rows, project.entries.values(), strict=True)]
    return Report(
        title="Genera",
        data=describe(data.meta),
        rows=rows,
        entries=sections,
        provenance=provenance(project, data, rows),
        real=real,
        tiles=tiles,
        legend=legend(data.meta),
        data_page="data.html",
        classes=data.event.classes,
        repetitions=repetitions({entry.name: _experiment(project, entry) for entry in project.entries.values()}, rows),
    )


def _section(project: Project, data: Prepared, row: Row, entry: Entry) -> EntrySection:
    """What the page shows of one entry, of which `row` was measured."""
    made, evaluated = project.made(entry), project.artifacts("evaluate", entry)
    history, metrics = pd.read_csv(made / "history.csv"), read_json(made / "metrics.json")
    by_class = _by_class(data, row)
    completions = Completions.load(evaluated / "completions.npz")
    latents = Latents.load(evaluated / "latents.npz")
    found = Neighbours.load(evaluated / "neighbours.npz")
    samples, tiles = _samples(data, entry, evaluated, by_class)
    return EntrySection(
        entry=entry.name,
        model=entry.model,
        samples=samples,
        tiles=tiles,
        completions=completed(data.meta, completions, by_class, row.get("completion_approximation") or ""),
        latents=latent_space(data.meta, latents, conditional=by_class, lossless=row["invertible"]),
        temperatures=_temperatures(project, data, evaluated, by_class),
        neighbours=nearest_neighbours(data.meta, found.samples, found.neighbours, found.distances),
        training=training_curves(history, metrics["objective_name"]) if entry.teacher is None else None,
        search=_search(project, entry) if entry.space else None,
        distillation=_distillation(project, data, entry, history, by_class) if entry.teacher else None,
        scorecard=scorecard_lines(evaluated),
        scorecard_notes=scorecard_notes(evaluated),
        notes=[
            *warnings(collapse_concerns(row, data.event.classes), metrics.get("concerns", [])),
            *sentences_about_blanks(row),
        ],
    )


def _experiment(project: Project, entry: Entry) -> str:
    """What is the same for all entries that repeat one experiment with other seeds."""
    if entry.teacher is not None or entry.space:  # what is found may differ
        return entry.name
    loop = entry.loop.model_dump(exclude={"seed"})
    return json.dumps([entry.model, project.params.entries[entry.name].config, loop], sort_keys=True, default=str)


def _by_class(data: Prepared, row: Row) -> bool:
    """Does the entry draw as many samples of one class as of another?"""
    return bool(data.event.classes and row["conditional"])


def _samples(data: Prepared, entry: Entry, folder: Path, by_class: bool) -> tuple[Exhibit, list[Tile]]:
    """The samples that `evaluate` has kept, and their row of the first screen; those of columns over real rows."""
    x = np.load(folder / "samples.npy")
    labels = column_labels(data.event)[: len(x)] if by_class else None
    columns = data.event.kind == "table" or data.meta["channels"] == "columns"
    beside = Rows(data.folder / "test.npy").spread(BESIDE) if columns else None
    what = f"Samples of {entry.name}"
    return (
        exhibit(data.meta, x, labels, f"{what}, as drawn, none picked", beside=beside),
        thumbnails(data.meta, x, labels, what, beside),
    )


def _temperatures(project: Project, data: Prepared, folder: Path, by_class: bool) -> Exhibit | None:
    """The samples at several temperatures that `evaluate` has kept."""
    x = np.load(folder / "temperatures.npy")
    labels = temperature_labels(data.event) if by_class else None
    return temperature_row(data.meta, project.params.evaluate.temperatures, x, labels)


def _real(data: Prepared, by_class: bool) -> tuple[Exhibit, list[Tile]]:
    """Examples of the test split, of each class where there are any; of a table so only beside samples `by_class`."""
    rows, labels = Rows(data.folder / "test.npy"), data.split("test").labels
    known = (
        np.asarray(labels) if labels is not None and (by_class or data.event.kind not in ("vector", "table")) else None
    )
    index = chosen(data.event, len(rows), known)
    x, y = rows.take(index), None if known is None else known[index]
    what = "Real examples of the test split"
    return exhibit(data.meta, x, y, what), thumbnails(data.meta, x, y, what)


def _search(project: Project, entry: Entry) -> Search:
    folder = project.artifacts("tune", entry)
    # Only blanks are missing: null may be a choice.
    trials = pd.read_csv(folder / "trials.csv", keep_default_na=False, na_values=[""])
    best = read_json(folder / "best.json")
    searched = list(entry.space)
    curve = {"rate", "distortion"} <= set(trials.columns)
    return Search(
        trials=len(trials),
        stopped_early=int(trials["stopped_early"].sum()),
        best=best["parameters"],
        objective=objective_against_parameters(trials, searched, best["objective_name"]),
        rate_distortion=rate_distortion(trials, *searched) if curve else None,
    )


def _distillation(
    project: Project, data: Prepared, entry: Entry, history: pd.DataFrame, labelled: bool
) -> Distillation:
    assert entry.teacher is not None
    made, likelihood = project.made(entry), unit_name(data.event)
    known = {**read_json(made / "metrics.json"), **cost_of(made, weights_digest(made))}
    return Distillation(
        teacher=entry.teacher.name,
        curve=distillation_curve(history),
        unit="nats" if data.event.levels is None else "bits/dim",
        teacher_nll=known.get(f"teacher_{likelihood}"),
        student_nll=known.get(f"student_{likelihood}"),
        **{name: known.get(name) for name in SIDE_BY_SIDE},
        rescues=known.get("rescues", 0),
        labelled=labelled,
    )
