"""`genera run`: everything that is out of date and can run at once does so; `dvc repro` then collects it.

DVC says what is out of date. `code` and `prepare`, on which all else depends, are left to it. What follows are tasks,
which wait for each other as the plan says, and leave their results where `dvc repro` finds them (see `kept.py`).
Speeds are measured at the end, when nothing else of ours runs.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Collection, Iterator
from functools import partial
from pathlib import Path

from ..cluster.asked import asked_of, gpus_of_worker
from ..cluster.tasks import Needs, Standing, Task
from ..errors import UserError
from ..params.plan import complain_of_stale_plan, planned, stage_name
from ..params.project import Project
from .elsewhere import SPEEDS, Outputs, put, sent_speeds, sent_stage
from .estimates import Estimates
from .kept import KEPT, Results
from .recorder import Recorder
from .step import TIMED, lacks_speeds

FIRST = ("code", "prepare")
TRAINING = ("features", "train", "distill")


def run(project: Project) -> None:
    """Bring all that takes long up to date. Raises `UserError` at the end if some of it failed."""
    complain_of_stale_plan(project.root, project.params)
    outdated = _outdated(project.root)
    if outdated & set(FIRST):
        _leave_to_dvc(project.root)
        outdated = _outdated(project.root)
    estimates, recorder = Estimates(project), Recorder(project)
    tasks = list(tasks_of(project, outdated, estimates, recorder))
    if not tasks:
        print("run: nothing that takes long is out of date")
        return
    from ..cluster.run import run_tasks

    try:
        with recorder.writing():
            standings = run_tasks(tasks, project.params.cluster)
    except KeyboardInterrupt:
        raise UserError("run: was interrupted; what is finished is kept: the same command goes on from there") from None
    for standing in standings:
        if standing.state == "finished" and standing.seconds and standing.task.name != SPEEDS:
            estimates.learn(standing.task.name, standing.seconds)
    _complain_of_failures(standings)
    print("run: `dvc repro` now records it stage by stage")


# What is out of date


def _outdated(root: Path) -> set[str]:
    """The stages that DVC would run. Raises `UserError` where there is no DVC."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(str(root)) as repo:
            return set(repo.status())
    except DvcException as error:
        raise UserError(f"{root}: DVC says: {' '.join(str(error).split())}") from None


def _leave_to_dvc(root: Path) -> None:
    """Run the stages that come before all others."""
    done = subprocess.run([sys.executable, "-m", "dvc", "repro", FIRST[-1]], cwd=root, check=False)
    if done.returncode:
        raise UserError(f"{FIRST[-1]}: did not end well; what is wrong is said above")


def producers(stages: dict[str, set[str]]) -> dict[str, frozenset[str]]:
    """For each stage of the plan those that make what it depends on."""
    return {name: frozenset(_maker(dep, stages) for dep in deps) - {""} for name, deps in stages.items()}


def _maker(dep: str, stages: Collection[str]) -> str:
    """The stage that makes a file or folder; '' for what none makes, or one of the first."""
    room, _, rest = dep.partition("/")
    stage, _, rest = rest.partition("/")
    names = (f"{stage}@{rest.partition('/')[0]}", stage) if room == "artifacts" else ()
    return next((name for name in names if name in stages and name not in FIRST), "")


# Tasks


def tasks_of(project: Project, outdated: Collection[str], estimates: Estimates, recorder: Recorder) -> Iterator[Task]:
    """A task for each stage that is out of date or depends on one that is, and one for the speeds."""
    stages, timed = planned(project.root), list[tuple[str, str]]()
    before, chosen = producers(stages), set[str]()
    for name in stages:  # a stage stands behind those that it depends on
        stage, _, entry = name.partition("@")
        if stage not in KEPT or not (name in outdated or before[name] & chosen):
            continue
        chosen.add(name)
        if stage in TIMED:
            timed.append((stage, entry))
        yield Task(
            name,
            partial(sent_stage, project, stage, entry or None),
            partial(recorder.hear, name),
            partial(_ended, project, stage, entry or None, recorder),
            partial(_collected, project, stage, entry or None),
            partial(needs, project, stage),
            before[name] & chosen,
            estimates.seconds(stage, entry or None),
        )
    if timed:
        yield Task(
            SPEEDS,
            partial(sent_speeds, project, timed),
            partial(recorder.hear, SPEEDS),
            partial(_ended_speeds, project, recorder),
            partial(_measured, project, timed),
            partial(needs, project, SPEEDS),
            frozenset(chosen),
            estimates.seconds(SPEEDS, None),
            alone=True,
        )


def needs(project: Project, stage: str, gpus: float) -> Needs:
    """What a stage reserves and uses on a cluster with so many GPUs. Workers and trials reserve theirs themselves."""
    cluster, search = project.params.cluster, project.params.defaults.search
    if stage == "tune":
        workers = min(search.max_concurrent, search.trials) * search.workers_per_trial
        return Needs(0, 0, workers * search.cpus_per_trial, workers * search.gpus_of_trial(gpus))
    asked = asked_of(cluster, gpus) if stage in TRAINING else None
    if asked is not None:
        return Needs(0, 0, asked.most * asked.cpus, asked.most * asked.gpus)
    cpus, of_worker = cluster.cpus_per_worker, min(1, gpus_of_worker(cluster, gpus))
    return Needs(cpus, of_worker, cpus, of_worker)


def _collected(project: Project, stage: str, entry: str | None) -> bool:
    """Was the work of a stage done before? What it left is where it belongs then."""
    results = Results.of(project, stage, entry)
    if results.finished:
        results.collect()
    return results.finished


def _ended(project: Project, stage: str, entry: str | None, recorder: Recorder, outputs: Outputs | None) -> None:
    """Put what a stage has left in its place, and keep it, if it was worked on elsewhere; then it is recorded."""
    if outputs:
        put(project, outputs)
        Results.of(project, stage, entry).keep()
    recorder.end(stage_name(stage, entry))


def _measured(project: Project, timed: Collection[tuple[str, str]]) -> bool:
    return not any(lacks_speeds(project, stage, entry) for stage, entry in timed)


def _ended_speeds(project: Project, recorder: Recorder, outputs: Outputs | None) -> None:
    put(project, outputs or {})
    recorder.end(SPEEDS)


def _complain_of_failures(standings: Collection[Standing]) -> None:
    failed = [each for each in standings if each.state == "failed"]
    if failed:
        skipped = [each.task.name for each in standings if each.state == "skipped"]
        rest = f"; not run, since they depend on it: {', '.join(skipped)}" if skipped else ""
        lines = [f"{each.task.name}: {line}" for each in failed for line in each.error.splitlines()]
        raise UserError("\n".join([*lines, f"run: {len(failed)} failed{rest}"]))
