"""Stage `tune@<entry>`: search the parameters that params.yaml gives a space for, and write down the best."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from models.catalogue import family_class
from models.contract import config_fields

from ..cluster.search import TrialResult, search
from ..data.prepared import Prepared
from ..errors import UserError
from ..evaluation.validation import name_of_objective
from ..files import text_digest, write_json, write_text
from ..params.messages import reason
from ..params.project import Project
from ..params.schema import Loop, takes_integers
from ..report.pictures import objective_against_parameters, rate_distortion, save_png
from ..tracking.record import tracked
from ..training.jobs import Job, family_job
from ..training.loop import Report


@dataclass(frozen=True)
class Trial:
    """One trial: a training with the parameters that are proposed, on the budget of the search."""

    project: Project
    entry: str
    data_digest: str

    def __call__(self, found: dict[str, Any], report: Report) -> None:
        try:
            job = self.job(found)
        except ValidationError as error:  # each value is allowed, and was looked at before, but not all together
            raise UserError(f"families.{self.entry}: {reason(error.errors()[0])}") from None
        job(report)

    def job(self, found: dict[str, Any]) -> Job:
        """The training of this trial; its state is keyed by the parameters."""
        settings, trained = self.project.params.tune.search, self.project.params.train.entries[self.entry]
        each = settings.validate_every
        budget = {"steps": settings.steps, "validate_every": each, "checkpoint_every": each}
        loop = Loop(**{**{key: getattr(trained, key) for key in Loop.model_fields}, **budget, "patience": None})
        return family_job(self.project, self.entry, found, loop, settings.seed, self.data_digest)


def run(project: Project, entry: str) -> None:
    """Write artifacts/tune/<entry>/: best.json, trials.csv and pictures of the search."""
    params, tune = project.params, project.params.tune
    space, model = tune.entries[entry].space, params.model(entry)
    family, data = family_class(model), Prepared.open(project.prepared)
    objective, fields = name_of_objective(family, data.event), config_fields(family.Config)
    integers = frozenset(key for key in space if takes_integers(fields[key].annotation))
    trial = Trial(project, entry, data.digest)
    settings = {**tune.search.model_dump(mode="json"), **tune.entries[entry].model_dump(mode="json")}
    name = f"{entry}-{text_digest(trial.job({}).digest, str(settings))[:16]}"
    with tracked(project, "tune", entry, {"model": model, "tune": settings}) as run:
        results = search(name, trial, space, integers, tune.search, params.cluster, project.storage)
        folder = project.artifacts("tune", entry)
        best = _write(folder, results, list(space), objective)
        for result in results:
            child = f"trial {result.number}"
            run.child(child, result.parameters, result.history, "FAILED" if result.failure else "FINISHED")
        run.log_metrics({"objective": best["objective"]})
        run.log_params({"best": best["parameters"]})
        run.log_artifact(folder)
    print(f"tune@{entry}: best of {len(results)} trials: {objective} {best['objective']:.4f} with {best['parameters']}")


def _write(folder: Path, results: list[TrialResult], searched: list[str], objective: str) -> dict[str, Any]:
    """Write the outcome of a search; best.json, on which the training waits, is the last."""
    trials = pd.DataFrame([_row(result) for result in results])
    write_text(folder / "trials.csv", trials.to_csv(index=False))
    save_png(objective_against_parameters(trials, searched, objective), folder / "objective.png")
    if {"rate", "distortion"} <= set(trials.columns):
        save_png(rate_distortion(trials, *searched), folder / "rate_distortion.png")
    winner = min((r for r in results if r.best_objective is not None), key=lambda r: (r.best_objective, r.number))
    best = {
        "parameters": winner.parameters,
        "objective": winner.best_objective,
        "objective_name": objective,
        "trial": winner.number,
        "step": winner.best_step,
    }
    write_json(folder / "best.json", best)
    return best


def _row(result: TrialResult) -> dict[str, Any]:
    """A trial as a row of trials.csv: what was proposed, and what its best validation measured."""
    best = next((row for row in result.history if row["step"] == result.best_step), {})
    parameters = {key: _cell(value) for key, value in result.parameters.items()}
    return {"trial": result.number, **parameters, "stopped_early": result.stopped_early, **best}


def _cell(value: Any) -> Any:
    """A value in a table: numbers and names as they are, all else as YAML and JSON write it."""
    return value if isinstance(value, str | float) or type(value) is int else json.dumps(value)
