"""Stage `tune@<entry>`: search the parameters that params.yaml gives a space for, and write down the best."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from models.contract import config_fields

from ..cluster.address import address_of
from ..cluster.proposals import Space
from ..cluster.search import search
from ..cluster.trials import Journal, TrialResult
from ..data.prepared import Prepared
from ..data.sent import Sent
from ..errors import UserError
from ..evaluation.validation import name_of_objective
from ..files import text_digest, write_json, write_text
from ..lease import owned
from ..params.entry import Entry, takes_integers
from ..params.messages import reason
from ..params.project import Project
from ..params.schema import Search
from ..report.pictures import objective_against_parameters, rate_distortion, save_png
from ..tracking.record import tracked
from ..tracking.stage_run import StageRun
from ..training.jobs import data_of, trial_job
from ..training.loop import Report

# Settings of a search that change none of its trials. Nor does it if there are more of ASHA's: it goes on from those
# that there are.
NOT_DECISIVE = {"max_concurrent", "workers_per_trial", "cpus_per_trial", "gpus_per_trial", "max_failures"}


@dataclass(frozen=True)
class Trial:
    """One trial: a training with the parameters that are proposed, on the budget of the search."""

    project: Project | Sent
    entry: Entry
    data_digest: str

    def __call__(self, rounds: list[dict[str, Any]], report: Report) -> None:
        settings = self.project.params.defaults.search
        *earlier, found = rounds
        shares = [end / settings.steps for end in settings.rounds]
        try:
            entry = self.entry.with_values(found, list(zip(shares, earlier, strict=False)))
        except ValidationError as error:  # each value is allowed, and was looked at before, but not all together
            raise UserError(f"entries.{self.entry.name}.config: {reason(error.errors()[0])}") from None
        project = self.project.unpacked() if isinstance(self.project, Sent) else self.project
        job, start = trial_job(project, entry, data_of(project, self.data_digest)), [0, *settings.rounds][len(earlier)]
        job(lambda row: report(row) if row["step"] > start else None)


def run(project: Project, entry: Entry) -> None:
    """Write artifacts/tune/<entry>/: best.json, trials.csv and pictures of the search."""
    data, folder = Prepared.open(project.prepared), project.artifacts("tune", entry)
    objective = name_of_objective(entry.family, data.event)
    if not entry.space:
        _write_nothing(folder, objective)
        print(f"tune@{entry.name}: entries.{entry.name}.search is null: nothing is searched, config is taken as it is")
        return
    space, settings, cluster = space_of(project, entry), project.params.defaults.search, project.params.cluster
    described = json.dumps({key: each.model_dump(mode="json") for key, each in space.dimensions.items()})
    job = trial_job(project, entry, data)
    of_asha = {"trials"} if settings.scheduler == "asha" else set()  # the members of a population decide
    decisive = settings.model_dump_json(exclude=NOT_DECISIVE | of_asha)
    key = text_digest(job.digest, decisive, described, json.dumps(space.start))[:16]
    trial = Trial(job.sent().project if address_of(cluster) else project, entry, data.digest)
    searched = {"model": entry.model, "search": settings, "space": dict(entry.space)}
    state = project.storage / f"search/tune-{entry.name}-{key}"
    with tracked(project, "tune", entry, searched, state) as run:
        name = f"tune@{entry.name}"
        with owned(state / "owner", name):
            results = search(name, Journal(state), trial, space, settings, cluster, Trials(run))
        best = _write(folder, results, settings, list(entry.space), objective)
        run.log_metrics({"objective": best["objective"]})
        run.log_params({"best": best["parameters"]})
        run.log_artifact(folder)
    found = f"{objective} {best['objective']:.4f} with {best['parameters']}"
    print(f"tune@{entry.name}: best of {len(results)} trials: {found}")


class Trials:
    """The runs of the trials, below that of their search."""

    def __init__(self, run: StageRun) -> None:
        self._run = run

    def begin(self, number: int, parameters: dict[str, Any]) -> None:
        """A trial has begun, perhaps again."""
        self._child(number).log_params(parameters)

    def hear(self, number: int, row: dict[str, float]) -> None:
        """It has reported a row, perhaps again."""
        self._child(number).log_curve([row])

    def end(self, result: TrialResult) -> None:
        """It has ended."""
        child = self._child(result.number)
        if result.failure is not None:
            child.set_tags({"failure": result.failure})
        self._run.end_child(child, "FINISHED" if result.failure is None else "FAILED")

    def _child(self, number: int) -> StageRun:
        return self._run.child(f"trial {number}", f"{self._run.key}-{number}")


def space_of(project: Project, entry: Entry) -> Space:
    """What is searched; values that the block of the entry gives for it are those of the first trial."""
    fields = config_fields(entry.family.Config)
    given = project.params.entries[entry.name].config
    integers = frozenset(key for key in entry.space if takes_integers(fields[key].annotation))
    return Space(entry.space, integers, {key: given[key] for key in entry.space if key in given})


def _write(
    folder: Path, results: list[TrialResult], settings: Search, searched: list[str], objective: str
) -> dict[str, Any]:
    """Write the outcome of a search; best.json, on which the training waits, is the last."""
    trials = pd.DataFrame([_row(result) | _place(result, settings) for result in results])
    write_text(folder / "trials.csv", trials.to_csv(index=False))
    save_png(objective_against_parameters(trials, searched, objective), folder / "objective.png")
    if {"rate", "distortion"} <= set(trials.columns):
        save_png(rate_distortion(trials, *searched), folder / "rate_distortion.png")
    winner = min((r for r in results if r.best_objective is not None), key=lambda r: (r.best_objective, r.number))
    ways = zip(settings.rounds, winner.earlier, strict=False)
    best = {
        "parameters": winner.parameters,
        "earlier": [{"until": end / settings.steps, "parameters": each} for end, each in ways],
        "objective": winner.best_objective,
        "objective_name": objective,
        "trial": winner.number,
        "step": winner.best_step,
    }
    write_json(folder / "best.json", best)
    return best


def _write_nothing(folder: Path, objective: str) -> None:
    """What the plan of an entry waits for that was searched when the plan was made, and is not now."""
    write_json(folder / "best.json", {"parameters": {}, "objective": None, "objective_name": objective})


def _row(result: TrialResult) -> dict[str, Any]:
    """A trial as a row of trials.csv: what was proposed, and what its best validation measured."""
    best = next((row for row in result.history if row["step"] == result.best_step), {})
    parameters = {key: _cell(value) for key, value in result.parameters.items()}
    ended = {"stopped_early": result.stopped_early, "failure": result.failure}
    return {"trial": result.number, **parameters, **ended, **best}


def _place(result: TrialResult, settings: Search) -> dict[str, int | None]:
    """Which member of a population a trial is, in which round, and after which trial of the round before."""
    if settings.scheduler != "population":
        return {}
    count = settings.trials
    return {"member": result.number % count, "round": result.number // count, "parent": result.parent}


def _cell(value: Any) -> Any:
    """A value in a table: numbers and names as they are, all else as YAML and JSON write it."""
    return value if isinstance(value, str | float) or type(value) is int else json.dumps(value)
