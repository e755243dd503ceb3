"""A hyperparameter search, run by Ray Tune: Optuna proposes, ASHA stops the weak.

Optuna sees the place of a choice in its list, and not the choice: so choices may be anything that YAML can write.

What survives a kill: every trial's own state (the trial keeps it), a journal of the finished trials (ours, JSON),
and Ray's snapshot of the search, taken every few seconds. A killed search is restored from the snapshot; trials that
were under way then report again from their first step. A snapshot that the kill tore, or that knows less than its
own parts must, is thrown away with the journal, and the search starts afresh: with the same seed it proposes the
same, and trials that find their own state only report it again.
"""

from __future__ import annotations

import json
import math
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from ray import tune as ray_tune
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter, SearchGenerator
from ray.tune.search.optuna import OptunaSearch

from ..errors import UserError
from ..files import read_json, write_text
from ..params.schema import Cluster, Dimension, Search
from ..progress import Advance, progress
from .connect import connected, resources

Report = Callable[[dict[str, float]], None]
Trial = Callable[[dict[str, Any], Report], None]

STEP, OBJECTIVE = "step", "objective"
TERMINATED, ERROR = "TERMINATED", "ERROR"  # how Ray calls finished and failed trials
WORST = 1e30  # the objective of a failure: finite, since percentiles of infinities are no numbers
STARTS = 3  # how often a search is started afresh when workers are lost
STARTUP_TRIALS = 10  # proposals at random before Optuna models the objective; half the trials if they are few
_ADVANCES = dict[str, Advance]()  # of the searches under way: Ray copies the journal, and this cannot be copied
TORN = (EOFError, pickle.UnpicklingError, ValueError, OSError, RuntimeError)  # what reading half a file raises


@dataclass(frozen=True)
class Space:
    """What is searched: the space of each parameter, which ranges are of integers, and values of the first trial."""

    dimensions: Mapping[str, Dimension]
    integers: frozenset[str] = frozenset()
    start: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class TrialResult:
    """One finished trial of a search: what was proposed, and everything that it reported, in order of steps."""

    number: int  # in order of proposal, from 0
    parameters: dict[str, Any]
    history: list[dict[str, float]]
    stopped_early: bool  # ended before `settings.steps`
    failure: str | None = None  # why the trial failed; None if it did not

    @property
    def step(self) -> int | None:
        """The last step that was reported."""
        return int(self.history[-1][STEP]) if self.history else None

    @property
    def objective(self) -> float | None:
        """The objective at the last step; None for a failed trial."""
        return self.history[-1][OBJECTIVE] if self.history and self.failure is None else None

    @property
    def best_step(self) -> int | None:
        """The first step with the lowest objective; None for a failed trial."""
        best = self._best()
        return int(best[STEP]) if best else None

    @property
    def best_objective(self) -> float | None:
        """The lowest objective; None for a failed trial."""
        best = self._best()
        return best[OBJECTIVE] if best else None

    def _best(self) -> dict[str, float] | None:
        finite = [row for row in self.history if not math.isnan(row[OBJECTIVE])]
        return min(finite, key=lambda row: row[OBJECTIVE]) if finite and self.failure is None else None


def search(
    name: str,
    trial: Trial,
    space: Space,
    settings: Search,
    cluster: Cluster,
    storage: Path,
) -> list[TrialResult]:
    """Run `settings.trials` trials, and return them in order of proposal; a finished search only reads its journal.

    `trial` trains with the parameters that it is given and reports rows with at least `step` and `objective` (lower
    is better). It keeps its own state, keyed by its parameters: called again, it first reports every row that it
    already has. A UserError that it raises makes it a failed trial; any other error ends the search. `name` must
    change with everything that changes the results.
    UserError: all trials failed, or the cluster is out of reach or too small.
    """
    folder = storage.absolute() / "search" / name
    journal = _Journal(name, folder / "trials.json", settings)
    if not journal.complete():
        with connected(cluster), progress(f"search {name}", len(journal.read()), settings.trials, "trial") as advance:
            _check_resources(settings, cluster)
            _ADVANCES[name] = advance
            try:
                _run(folder, trial, space, settings, journal)
            finally:
                del _ADVANCES[name]
    results = journal.read()
    if all(result.objective is None for result in results):
        raise UserError(f"search {name}: every trial failed; the first with: {results[0].failure}")
    return results


def _check_resources(settings: Search, cluster: Cluster) -> None:
    cpus, gpus = resources(cluster)
    for key, needed, there, unit in (
        ("cpus_per_trial", settings.cpus_per_trial, cpus, "CPUs"),
        ("gpus_per_trial", settings.gpus_per_trial, gpus, "GPUs"),
    ):
        if needed > there:
            raise UserError(
                f"defaults.search.{key}: {needed:g} is not allowed here: this cluster has {there:g} {unit};"
                f" lower defaults.search.{key}, or set cluster.address"
            )


def _distribution(dimension: Dimension, integer: bool) -> BaseDistribution:
    """The distribution that Optuna draws one parameter from: a range includes both ends, a choice is its place."""
    if dimension.choices is not None:
        return CategoricalDistribution(range(len(dimension.choices)))
    assert dimension.low is not None  # Dimension has validated both
    assert dimension.high is not None
    if integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _run(
    folder: Path,
    trial: Trial,
    space: Space,
    settings: Search,
    journal: _Journal,
) -> None:
    """Bring the search to its end: go on from Ray's snapshot if there is a whole one, or else start afresh."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trainable = _trainable(trial, settings)
    tuner = _restored(folder, trainable, settings, journal)
    for starts_left in reversed(range(STARTS)):
        errors = (tuner or _fresh(folder, trainable, _Proposals(space, settings), settings, journal)).fit().errors
        if not errors and journal.complete():
            return
        tuner = None
        if errors and not (isinstance(errors[0], RayActorError) and starts_left):
            raise _cause(errors[0])
    raise RuntimeError(f"search {journal.name}: Ray ended it before all {settings.trials} trials were done")


def _cause(error: Exception) -> Exception:
    """The error that a trial raised, without the wrapping of the process that it crossed."""
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, Exception) else error


def _trainable(trial: Trial, settings: Search) -> Any:
    """`trial` in the shape that Tune runs: one row per report, a failure as a row without a step."""
    threads = settings.cpus_per_trial

    def run_trial(config: dict[str, Any]) -> None:
        if not settings.gpus_per_trial:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves GPUs that were not reserved in sight
        torch.set_num_threads(threads)
        try:
            trial(config["parameters"], _report)
        except UserError as error:
            # Tune would take an exception for the end of the search; ASHA overlooks rows without a step.
            ray_tune.report({OBJECTIVE: WORST, "failure": str(error)})

    return ray_tune.with_resources(run_trial, {"cpu": settings.cpus_per_trial, "gpu": settings.gpus_per_trial})


def _report(row: dict[str, float]) -> None:
    ray_tune.report({**_judged(row), "row": dict(row)})


def _judged(row: dict[str, float]) -> dict[str, float]:
    """The part of a row that Optuna and ASHA see. An objective that is no number counts as the worst."""
    return {STEP: int(row[STEP]), OBJECTIVE: row[OBJECTIVE] if math.isfinite(row[OBJECTIVE]) else WORST}


def _fresh(folder: Path, trainable: Any, proposals: _Proposals, settings: Search, journal: _Journal) -> ray_tune.Tuner:
    """A search from its first proposal, with nothing left of an earlier one."""
    if folder.exists():
        shutil.rmtree(folder)
    return ray_tune.Tuner(
        trainable,
        tune_config=ray_tune.TuneConfig(
            search_alg=proposals,
            scheduler=_Halving(settings, journal),
            num_samples=settings.trials,
            max_concurrent_trials=settings.max_concurrent,
            trial_dirname_creator=_folder_name,
            reuse_actors=True,  # a process that has imported torch once serves one trial after the other
        ),
        run_config=ray_tune.RunConfig(
            name="ray",
            storage_path=str(folder),
            verbose=0,
            callbacks=[journal],
            failure_config=ray_tune.FailureConfig(fail_fast=True),
        ),
    )


def _folder_name(trial: Any) -> str:
    """Ray would put the parameters into it, whatever their length and characters."""
    return str(trial.trial_id)


def _restored(folder: Path, trainable: Any, settings: Search, journal: _Journal) -> ray_tune.Tuner | None:
    """The search as Ray's last snapshot knows it; None if there is no snapshot, or not a whole and consistent one."""
    snapshot = str(folder / "ray")
    if not ray_tune.Tuner.can_restore(snapshot):
        return None
    proposals = _Proposals(Space({}), settings)  # the snapshot holds the space
    generator = SearchGenerator(ConcurrencyLimiter(proposals, settings.max_concurrent))
    try:
        tuner = ray_tune.Tuner.restore(snapshot, trainable)
        trials = ray_tune.ExperimentAnalysis(snapshot).trials
        generator.restore_from_dir(snapshot)
    except TORN:
        return None
    recorded = {result.number for result in journal.read()}
    finished = {trial.trial_id: trial.status == TERMINATED for trial in trials or []}
    consistent = (
        finished == proposals.finished
        and generator.get_state()["counter"] == len(finished)
        and not any(trial.status == ERROR for trial in trials or [])
        and all(trial.config["number"] in recorded for trial in trials or [] if finished[trial.trial_id])
    )
    return tuner if finished and consistent else None


def _sampler(settings: Search) -> BaseSampler:
    """What proposes."""
    if settings.sampler == "random":
        return RandomSampler(seed=settings.seed)
    return TPESampler(seed=settings.seed, n_startup_trials=min(STARTUP_TRIALS, math.ceil(settings.trials / 2)))


class _Proposals(OptunaSearch):
    """Optuna's proposals, numbered, and a note of which are finished: the check that a snapshot is of one moment."""

    def __init__(self, space: Space, settings: Search) -> None:
        dimensions = space.dimensions
        distributions = {key: _distribution(each, key in space.integers) for key, each in dimensions.items()}
        super().__init__(distributions, metric=OBJECTIVE, mode="min", sampler=_sampler(settings))
        self.choices = {key: each.choices for key, each in dimensions.items() if each.choices is not None}
        self.finished: dict[str, bool] = {}
        if space.start:  # Optuna draws what is not given; OptunaSearch itself would ask for values of all
            study: Any = self._ot_study
            study.enqueue_trial({key: self._place(key, value) for key, value in space.start.items()})

    def _place(self, key: str, value: Any) -> Any:
        """A value as Optuna knows it."""
        return self.choices[key].index(value) if key in self.choices else value

    def suggest(self, trial_id: str) -> dict[str, Any]:
        proposed = super().suggest(trial_id)
        assert proposed is not None  # OptunaSearch has a proposal for each trial
        chosen = {key: choices[proposed[key]] for key, choices in self.choices.items()}
        parameters = {**proposed, **chosen}
        config = {"number": len(self.finished), "parameters": parameters}
        self.finished[trial_id] = False
        return config

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        """Only the last objective of a trial counts."""

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        super().on_trial_complete(trial_id, result, error)
        self.finished[trial_id] = True


class _Halving(ASHAScheduler):
    """ASHA, with rungs that survive a kill: Ray restores trials and proposals, but gives them a new scheduler."""

    def __init__(self, settings: Search, journal: _Journal) -> None:
        super().__init__(
            time_attr=STEP,
            metric=OBJECTIVE,
            mode="min",
            max_t=settings.steps,
            grace_period=min(settings.grace_steps, settings.steps),
            reduction_factor=settings.reduction_factor,
        )
        self.journal = journal

    def on_trial_add(self, tune_controller: Any, trial: Any) -> None:
        """Called for every new trial, and in a restored search for every old one: finished ones take their rungs."""
        super().on_trial_add(tune_controller, trial)
        if trial.status != TERMINATED:
            return
        result = next(result for result in self.journal.read() if result.number == trial.config["number"])
        rows = [_judged(row) for row in result.history]
        for row in rows:
            self.on_trial_result(tune_controller, trial, row)
        self.on_trial_complete(tune_controller, trial, rows[-1] if rows and result.failure is None else {})


class _Journal(ray_tune.Callback):
    """The finished trials of a search, in a file that is written again with each of them.

    Ray keeps a copy of it in its snapshots: all that must survive is in the file.
    """

    def __init__(self, name: str, file: Path, settings: Search) -> None:
        self.name = name
        self.file = file
        self.trials = settings.trials
        self.steps = settings.steps
        self.histories: dict[str, list[dict[str, float]]] = {}  # of the running trials, by Ray's id
        self.failures: dict[str, str] = {}

    def read(self) -> list[TrialResult]:
        """The finished trials in order of proposal."""
        return [TrialResult(**entry) for entry in read_json(self.file)] if self.file.exists() else []

    def complete(self) -> bool:
        """Whether all trials are finished."""
        return [result.number for result in self.read()] == list(range(self.trials))

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "failure" in result:
            self.failures[trial.trial_id] = result["failure"]
            return
        row = result["row"]
        earlier = self.histories.get(trial.trial_id, [])
        # A trial that was started again reports from its first step.
        self.histories[trial.trial_id] = [other for other in earlier if other[STEP] < row[STEP]] + [row]

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        history = self.histories.pop(trial.trial_id, [])
        failure = self.failures.pop(trial.trial_id, None)
        number, parameters = trial.config["number"], trial.config["parameters"]
        stopped_early = failure is None and bool(history) and history[-1][STEP] < self.steps
        result = TrialResult(number, parameters, history, stopped_early, failure)
        others = [other for other in self.read() if other.number != number]
        entries = sorted([*others, result], key=lambda entry: entry.number)
        write_text(self.file, json.dumps([asdict(entry) for entry in entries], indent=1) + "\n")
        if result.failure is not None:
            print(f"search {self.name}: trial {number + 1} failed: {result.failure}", flush=True)
        if self.name in _ADVANCES:
            finished = [entry for entry in entries if entry.best_objective is not None]
            best = min(finished, key=lambda entry: entry.best_objective or 0.0, default=None)
            _ADVANCES[self.name](len(entries), "" if best is None else f"best {best.best_objective:.6g}")
