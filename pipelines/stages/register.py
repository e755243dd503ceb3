"""Stage `register`: the finished models enter the registry, and the best version of each entry is its champion."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data.prepared import Prepared
from ..evaluation.finished import COST, cost_of, weights_digest
from ..evaluation.measurements.subject import Subject
from ..evaluation.results import result
from ..evaluation.shown import columns
from ..experiment import experiment
from ..files import read_json, write_json
from ..params.entry import Entry
from ..params.project import Project
from ..report.pictures import image_grid
from ..serving.local import held_out_scores
from ..tracking.candidate import Origin
from ..tracking.champion import Decision, Rules
from ..tracking.new_rows import objective_on
from ..tracking.record import described
from ..tracking.registry import Offer, content_digest, register
from ..tracking.requirements import complain_of_requirements

ROWS_SHOWN = 4  # of the grid of samples on a model's card


def run(project: Project) -> None:
    """Register every entry, and write to artifacts/register/ what was registered, and what became of it.

    registered.json has the content of each model, which is the same wherever it is registered; versions.json has its
    version and whether that is the champion, which is a matter of the registry and no output of the stage.
    """
    complain_of_requirements(project.params)
    folder, decisions = project.artifacts("register"), dict[str, Decision]()
    contents, settings, data = dict[str, str](), project.params.register_, Prepared.open(project.prepared)
    rules = Rules(settings.min_improvement, settings.require, experiment(project.root))
    for entry in sorted(project.entries.values(), key=_generation):
        metrics, made = result(project, entry), project.made(entry)
        scores = held_out_scores(project.artifacts("evaluate", entry), project.params.evaluate.draws)
        tags = {"data_digest": metrics["data_digest"], "made_by": entry.stage}
        if entry.teacher is not None:
            taught_by = decisions.get(entry.teacher.name)
            version = "" if taught_by is None else str(taught_by.version)
            tags |= {"teacher": entry.teacher.name, "teacher_version": version}
        offer = Offer(
            scores=scores,
            origin=_origin(project, entry, data),
            picture=_picture(project, entry, data),
            prefix=project.params.prefix,
            again=partial(objective_on, Subject(project, entry)),
        )
        done = register(project.root, project.params.name, entry.name, made, metrics, rules, tags, offer)
        print(f"register: {entry.name}: version {done.version}: {done.decision}")
        contents[entry.name] = content_digest(made, scores)
        decisions[entry.name] = done
    _say_what_was_not_compared(decisions)
    write_json(folder / "versions.json", {name: _described(each) for name, each in decisions.items()})
    write_json(folder / "registered.json", contents)


def _described(decision: Decision) -> dict[str, Any]:
    return {"version": decision.version, "champion": decision.champion, "decision": decision.decision}


def _say_what_was_not_compared(decisions: dict[str, Decision]) -> None:
    """The last line, where a champion stayed because nothing could be compared: that is easily overlooked."""
    names = [name for name, each in decisions.items() if not each.compared]
    if names:
        print(
            f"warning: register: NO COMPARISON WAS POSSIBLE for {', '.join(names)}: the champions stay, whether or not"
            " the new versions are better; the lines above say why, and how to move an alias by hand",
            file=sys.stderr,
        )


def _generation(entry: Entry) -> int:
    """How many teachers stand before an entry: a student's tags name the version of its teacher."""
    return 0 if entry.teacher is None else 1 + _generation(entry.teacher)


def _origin(project: Project, entry: Entry, data: Prepared) -> Origin:
    """The runs that trained and evaluated the entry, as its cost.json files name them, and its data set."""
    made, evaluated = project.made(entry), project.artifacts("evaluate", entry)
    weights = weights_digest(made)
    runs = _run_of(made, weights), _run_of(evaluated, weights)
    return Origin(*runs, described(data), cost_of(evaluated, weights))


def _run_of(folder: Path, weights: str) -> str | None:
    """Our key of the run that made or measured the model whose weights have this digest, if it is known here."""
    cost = read_json(folder / COST) if (folder / COST).is_file() else {}
    return cost.get("run") if cost.get("weights") == weights else None


def _picture(project: Project, entry: Entry, data: Prepared) -> bytes | None:
    """A few of the samples that the report shows, as a PNG; None where they are no images."""
    path, event = project.artifacts("evaluate", entry) / "samples.npy", data.event
    if event.kind != "image" or event.levels is None or event.shape[0] not in (1, 3) or not path.is_file():
        return None
    width = columns(event.classes)
    return image_grid(np.load(path)[: ROWS_SHOWN * width], event.levels, width, data.meta["palette"])
