"""One stage of the plan, for one entry where it has entries: run, or collected where its work is done."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import UserError
from ..files import read_json, write_json
from ..params.plan import complain_of_unplanned, stage_name
from ..params.project import Project
from .kept import KEPT, Results

MADE_BY = {"tune": "searched", "train": "trained", "distill": "distilled"}  # what stages do with an entry
TIMED = {"distill": "speed_ratio", "evaluate": "samples_per_s"}  # stages that measure speeds, and one of these
COST = "cost.json"


def step(project: Project, stage: str, entry: str | None = None) -> None:
    """Run a stage, as `dvc repro` does: one after the other, so that speeds are those of a machine at rest."""
    if entry is not None:
        complain_of_entry(project, stage, entry)
    results = Results.of(project, stage, entry) if stage in KEPT else None
    if results is not None and results.finished:
        results.collect()
        print(f"{stage_name(stage, entry)}: was finished; see {results.made}", flush=True)
    else:
        work(project, stage, entry)
    if entry is not None and lacks_speeds(project, stage, entry):
        add_speeds(project, stage, entry)


def work(project: Project, stage: str, entry: str | None) -> None:
    """Run a stage, but for speeds, and keep what it leaves, under what it depended on when it began."""
    results = Results.of(project, stage, entry) if stage in KEPT else None
    module, made_for = import_module(f"{__package__}.{stage}"), []
    if entry is not None:
        made_for = [project.entry(entry)]
        complain_of_unplanned(project.root, stage, entry, made_for[0].judged_by_samples)
    module.run(project, *made_for)
    if results is not None and results.kept is not None:
        results.keep()


def complain_of_entry(project: Project, stage: str, entry: str) -> None:
    """Raise `UserError` for an entry that there is not, or that another stage makes."""
    blocks = project.params.entries
    if entry not in blocks:
        allowed = ", ".join(blocks)
        raise UserError(f"{stage}: {entry!r} is not allowed: must be one of the entries of params.yaml: {allowed}")
    made_by = blocks[entry].stage
    if stage in ("train", "distill") and made_by != stage:
        raise UserError(f"{stage}: {entry!r} is not allowed: it is {MADE_BY[made_by]}: genera {made_by} {entry}")


# Speeds: apart from all else, since other work at the same time would slow them down


def lacks_speeds(project: Project, stage: str, entry: str) -> bool:
    """Were the speeds that belong to what a stage has left not measured yet?"""
    path = _cost(project, stage, entry)
    return stage in TIMED and path.is_file() and TIMED[stage] not in read_json(path)


def add_speeds(project: Project, stage: str, entry: str) -> None:
    """Measure the speeds of a finished stage, and write them to its cost.json, to what is kept, and to its run."""
    from ..tracking.record import add_to_run

    path, made_for = _cost(project, stage, entry), project.entry(entry)
    cost: dict[str, Any] = read_json(path)
    speeds = import_module(f"{__package__}.{stage}").speeds(project, made_for)
    write_json(path, {**cost, **speeds})
    results = Results.of(project, stage, entry)
    if results.finished:
        results.keep_again(COST)
    add_to_run(project, stage, made_for, cost.get("run"), speeds)


def _cost(project: Project, stage: str, entry: str) -> Path:
    return project.root / "artifacts" / stage / entry / COST
