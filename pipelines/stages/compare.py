"""Stage `compare`: everything that was measured about the entries, on one page and in one table.

`report/data.html`, which the page links to, is made by the stage `prepare`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
from rich.console import Console

from models.catalogue import family_class
from models.contract import Completion

from ..data.prepared import Prepared
from ..data.rows import Rows
from ..evaluation.completions import Completions
from ..evaluation.feature_space import quality_features
from ..evaluation.latents import Latents
from ..evaluation.measurements.neighbours import Neighbours
from ..evaluation.metrics.baselines import TAPS, linear_predictor, unigram
from ..evaluation.metrics.collapse import collapse_concerns
from ..evaluation.metrics.distances import fid
from ..evaluation.metrics.likelihood import unit_name
from ..evaluation.metrics.probe import FITTED, SCORED, probe_accuracy, raw_numbers
from ..evaluation.shown import chosen, column_labels, temperature_labels
from ..evaluation.validation import batches_of, feature_array, spread_rows
from ..files import read_json, write_text
from ..params.project import Project
from ..report.comparison import comparison, measured
from ..report.completed import Completed, completed
from ..report.data_page import describe
from ..report.exhibits import Exhibit, exhibit
from ..report.latent_space import LatentSpace, latent_space
from ..report.numbers import numbers
from ..report.page import Distillation, EntrySection, Report, Search, render
from ..report.pictures import distillation_curve, objective_against_parameters, rate_distortion, training_curves
from ..report.repetitions import repetitions
from ..report.repetitions import table as repetition_table
from ..report.sample_pictures import nearest_neighbours, temperature_row
from ..report.terminal import terminal_table
from ..tracking.record import tracked
from ..tracking.run import git_commit
from ..training.jobs import examples
from ..training.task import gist

ROWS = 1000  # examples in memory at once, and at most for a baseline
SIDE_BY_SIDE = (  # of a student and its teacher, as the metrics.json of a distillation has them
    "kl_nats_per_dim",
    "two_sample_auc",
    *(f"{role}_{what}" for role in ("teacher", "student") for what in ("samples_per_s", "fid")),
    *(f"{role}_{what}" for role in ("teacher", "student") for what in ("recognised", "real_time_factor")),
)


def run(project: Project) -> None:
    """Write report/index.html and report/comparison.csv, and print the table."""
    entries = project.params.evaluate.entries
    rows = [read_json(project.artifacts("evaluate", entry) / "metrics.json") for entry in entries]
    data = Prepared.open(project.prepared)
    real = {choice: _real(data, choice) for choice in {_by_class(project, data, entry) for entry in entries}}
    cards = (
        data.event.kind == "sequence" or data.meta["channels"] == "series"
    )  # no room beside the samples of each entry
    repeated = repetitions({entry: _experiment(project, entry) for entry in entries}, rows)
    report = Report(
        title="Genera",
        data=describe(data.meta),
        rows=rows,
        entries=[
            _section(project, data, row, stage, None if cards else real[_by_class(project, data, entry)])
            for row, (entry, stage) in zip(rows, entries.items(), strict=True)
        ],
        provenance=_provenance(project, data, rows),
        real=next(iter(real.values())) if cards else None,
        data_page="data.html",
        classes=data.event.classes,
        repetitions=repeated,
    )
    folder = project.root / "report"
    with tracked(project, "compare", None, {"entries": dict(entries)}) as run:
        write_text(folder / "comparison.csv", comparison(rows))
        write_text(folder / "numbers.csv", numbers(rows))
        write_text(folder / "seeds.csv", repetition_table(repeated))
        write_text(folder / "index.html", render(report))
        run.log_artifact(folder)
    console = Console()
    console.print(terminal_table(rows, console.width))
    print(f"compare: the report is {folder / 'index.html'}")


def _section(project: Project, data: Prepared, row: dict[str, Any], stage: str, real: Exhibit | None) -> EntrySection:
    """What the page shows of one entry, of which `row` was measured."""
    entry = row["entry"]
    history = pd.read_csv(project.artifacts(stage, entry) / "history.csv")
    metrics = read_json(project.artifacts(stage, entry) / "metrics.json")
    return EntrySection(
        entry=entry,
        model=project.params.model(entry),
        samples=_samples(project, data, entry),
        real=real,
        completions=_completions(project, data, entry),
        latents=_latents(project, data, row),
        temperatures=_temperatures(project, data, entry),
        neighbours=_neighbours(project, data, entry),
        training=training_curves(history, metrics["objective_name"]) if stage == "train" else None,
        search=_search(project, entry) if entry in project.params.tune.entries else None,
        distillation=_distillation(project, data, entry, history, metrics) if stage == "distill" else None,
        notes=warnings(collapse_concerns(row, data.event.classes), metrics.get("concerns", [])),
    )


def _experiment(project: Project, entry: str) -> str:
    """What is the same for all entries that repeat one experiment with other seeds."""
    params, config = project.params, project.params.families[entry]
    if entry not in params.train.entries or entry in params.tune.entries:  # what is found may differ
        return entry
    loop = params.train.entries[entry].model_dump(exclude={"seed"})
    return json.dumps([config, loop], sort_keys=True, default=str)


def warnings(evaluated: list[str], trained: list[str]) -> list[str]:
    """What is wrong with an entry by its evaluation, and what else was by its training, each as a sentence."""
    concerns = {gist(concern): concern for concern in (*trained, *evaluated)}  # of two alike that of the evaluation
    return [f"{concern[:1].upper()}{concern[1:]}." for concern in concerns.values()]


def _by_class(project: Project, data: Prepared, entry: str) -> bool:
    """Does the entry draw as many samples of one class as of another?"""
    return bool(data.event.classes and project.params.config(entry).conditional)


def _samples(project: Project, data: Prepared, entry: str) -> Exhibit:
    """The samples that `evaluate` has kept."""
    x = np.load(project.artifacts("evaluate", entry) / "samples.npy")
    labels = column_labels(data.event)[: len(x)] if _by_class(project, data, entry) else None
    return exhibit(data.meta, x, labels, f"Samples of {entry}, as drawn, none picked")


def _completions(project: Project, data: Prepared, entry: str) -> Completed | None:
    """The completions that `evaluate` has kept, if the entry can complete."""
    made = Completions.load(project.artifacts("evaluate", entry) / "completions.npz")
    family = family_class(project.params.model(entry))
    approximation = family.approximation if issubclass(family, Completion) else ""
    return completed(data.meta, made, _by_class(project, data, entry), approximation)


def _latents(project: Project, data: Prepared, row: dict[str, Any]) -> LatentSpace | None:
    """What `evaluate` has kept of the codes, if the entry has codes."""
    entry, lossless = row["entry"], row["invertible"]
    made = Latents.load(project.artifacts("evaluate", entry) / "latents.npz")
    return latent_space(data.meta, made, conditional=_by_class(project, data, entry), lossless=lossless)


def _temperatures(project: Project, data: Prepared, entry: str) -> Exhibit | None:
    """The samples at several temperatures that `evaluate` has kept."""
    x = np.load(project.artifacts("evaluate", entry) / "temperatures.npy")
    labels = temperature_labels(data.event) if _by_class(project, data, entry) else None
    return temperature_row(data.meta, project.params.evaluate.temperatures, x, labels)


def _neighbours(project: Project, data: Prepared, entry: str) -> Exhibit | None:
    """The samples that are most like training examples, beside these, as `evaluate` has kept them."""
    found = Neighbours.load(project.artifacts("evaluate", entry) / "neighbours.npz")
    return nearest_neighbours(data.meta, found.samples, found.neighbours, found.distances)


def _real(data: Prepared, by_class: bool) -> Exhibit:
    """Examples of the test split, of each class where there are any; of a table so only beside samples `by_class`."""
    rows, labels = Rows(data.folder / "test.npy"), data.split("test").labels
    known = np.asarray(labels) if labels is not None and (by_class or data.event.kind != "vector") else None
    index = chosen(data.event, len(rows), known)
    return exhibit(
        data.meta, rows.take(index), None if known is None else known[index], "Real examples of the test split"
    )


def _search(project: Project, entry: str) -> Search:
    folder = project.artifacts("tune", entry)
    # Only blanks are missing: null may be a choice.
    trials = pd.read_csv(folder / "trials.csv", keep_default_na=False, na_values=[""])
    best = read_json(folder / "best.json")
    searched = list(project.params.tune.entries[entry].space)
    curve = {"rate", "distortion"} <= set(trials.columns)
    return Search(
        trials=len(trials),
        stopped_early=int(trials["stopped_early"].sum()),
        best=best["parameters"],
        objective=objective_against_parameters(trials, searched, best["objective_name"]),
        rate_distortion=rate_distortion(trials, *searched) if curve else None,
    )


def _distillation(
    project: Project, data: Prepared, entry: str, history: pd.DataFrame, metrics: dict[str, Any]
) -> Distillation:
    likelihood = unit_name(data.event)
    return Distillation(
        teacher=project.params.distill.entries[entry].teacher,
        curve=distillation_curve(history),
        unit="nats" if data.event.levels is None else "bits/dim",
        teacher_nll=metrics.get(f"teacher_{likelihood}"),
        student_nll=metrics.get(f"student_{likelihood}"),
        **{name: metrics.get(name) for name in SIDE_BY_SIDE},
        rescues=metrics.get("rescues", 0),
        labelled=_by_class(project, data, entry),
    )


def _provenance(project: Project, data: Prepared, rows: list[dict[str, Any]]) -> dict[str, str]:
    """Where the numbers come from; what was measured of no entry is left out."""
    params, tests = project.params, data.meta["counts"]["test"]
    known = {key: row[key] for row in reversed(rows) for key in row if measured(row[key])}
    facts = {}
    if "nll_nats" in known:
        facts["likelihood"] = f"test split, {_of(known.get('nll_examples', tests), tests)} examples"
    if "fid_samples" in known:
        references = _of(known.get("fid_references", tests), tests)
        facts["sample quality"] = (
            f"{known['fid_samples']:,} samples against {references} examples of the test split, in features of "
            f"{known['fid_features']}; {_floor(project, data)}"
        )
    if data.event.levels is not None:
        facts["baseline"] = _baselines(project, data, data.event.levels)
    if "probe_accuracy" in known:
        facts["linear probe of the raw data"] = _raw_probe(project, data)
    threads = known["speed_threads"]
    return {
        **facts,
        "speed": f"{known['speed_device']}, {threads} thread{'s' * (threads > 1)}, batches of {known['speed_batch']}",
        "seeds": f"training {params.train.seed}, distillation {params.distill.seed}, evaluation {known['seed']}",
        "data digest": data.digest[:16],
        "commit": git_commit(project.root) or "no git repository",
    }


def _floor(project: Project, data: Prepared) -> str:
    """The FID of training examples in place of samples: what a perfect model would have, about."""
    settings = project.params.evaluate
    features, _ = quality_features(project, data.event)
    train, test = (examples(project, data, split) for split in ("train", "test"))
    fake, real = (
        feature_array(features, batches_of(some, spread_rows(some, at_most)))
        for some, at_most in ((train, settings.samples), (test, settings.references))
    )
    fewer = " (more of them a lower one)" if len(fake) < settings.samples else ""
    return f"for scale, {len(fake):,} real training examples have FID {fid(real, fake):.3f}{fewer}"


def _baselines(project: Project, data: Prepared, levels: int) -> str:
    """What a model of integers must be better than, on the test split."""
    train, (test, _) = examples(project, data, "train"), examples(project, data, "test").head(ROWS)
    parts = (x.cpu().numpy() for x, _ in train.batches(ROWS))
    words = f"NLL {unigram(parts, test.cpu().numpy(), levels):.3f} bits/dim of a unigram of the levels"
    if data.event.kind == "sequence" and data.event.ordered:
        few, _ = train.head(ROWS)
        bits = linear_predictor(few[:, 0].cpu().numpy(), test[:, 0].cpu().numpy(), levels)
        words += f", {bits:.3f} of a linear predictor by the {TAPS} numbers before"
    return words


def _raw_probe(project: Project, data: Prepared) -> str:
    """What linear probes on features are to be compared with: the same on the data's own numbers."""
    arrays = []
    for split, at_most in (("train", FITTED), ("test", SCORED)):
        x, labels = examples(project, data, split).head(at_most)
        assert labels is not None
        arrays += [raw_numbers(x, data.event).cpu().numpy(), labels.cpu().numpy()]
    accuracy = probe_accuracy(*arrays)
    of = {"image": "pixels", "sequence": "sequences", "vector": "columns"}[data.event.kind]
    return "not measured" if accuracy is None else f"logistic regression on raw {of} has accuracy {accuracy:.3f}"


def _of(some: int, all_: int) -> str:
    return f"{some:,}" if some == all_ else f"{some:,} of {all_:,}"
