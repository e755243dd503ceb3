"""A hyperparameter search, run by Ray Tune: Optuna proposes, ASHA stops the weak.

What survives a kill: every trial's own state (the trial keeps it), a journal of the finished trials (ours, JSON),
and Ray's snapshot of the search, taken every few seconds. A killed search is restored from the snapshot; trials that
were under way then report again from their first step. A snapshot that the kill tore, or that knows less than its
own parts must, is thrown away with the journal, and the search starts afresh: with the same seed it proposes the
same, and trials that find their own state only report it again.
"""

from __future__ import annotations

import json
import math
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import optuna
import torch
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import TPESampler
from ray import tune as ray_tune
from ray.exceptions import RayActorError, RayTaskError
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search import ConcurrencyLimiter, SearchGenerator
from ray.tune.search.optuna import OptunaSearch

from ..errors import UserError
from ..files import read_json, write_text
from ..params import Cluster, Dimension, Tune
from .connect import connected, resources

Report = Callable[[dict[str, float]], None]
Trial = Callable[[dict[str, Any], Report], None]

STEP, OBJECTIVE = "step", "objective"
STARTS = 3  # how often a search is started afresh when workers are lost
STARTUP_TRIALS = 10  # proposals at random before Optuna models the objective; half the trials if they are few
TORN = (EOFError, pickle.UnpicklingError, ValueError, OSError, RuntimeError)  # what reading half a file raises


@dataclass(frozen=True)
class TrialResult:
    """One finished trial of a search: what was proposed, and everything that it reported, in order of steps."""

    number: int  # in order of proposal, from 0
    parameters: dict[str, Any]
    history: list[dict[str, float]]
    stopped_early: bool  # ended before `tune.steps`
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
    space: Mapping[str, Dimension],
    integers: frozenset[str],
    tune: Tune,
    cluster: Cluster,
    storage: Path,
) -> list[TrialResult]:
    """Run `tune.trials` trials, and return them in order of proposal; a finished search returns its journal at once.

    `trial` trains with the parameters that it is given and reports rows with at least `step` and `objective` (lower
    is better). It keeps its own state, keyed by its parameters: called again, it first reports every row that it
    already has. A UserError that it raises makes it a failed trial; any other error ends the search. `name` must
    change with everything that changes the results. `integers` names the parameters whose ranges are of integers.
    UserError: all trials failed, or the cluster is out of reach or too small.
    """
    folder = storage.absolute() / "search" / name
    journal = _Journal(name, folder / "trials.json", tune)
    if not journal.complete():
        with connected(cluster):
            _check_resources(tune, cluster)
            _run(folder, trial, _distributions(space, integers), tune, journal)
    results = journal.read()
    if all(result.objective is None for result in results):
        raise UserError(f"search {name}: every trial failed; the first with: {results[0].failure}")
    return results


def _check_resources(tune: Tune, cluster: Cluster) -> None:
    cpus, gpus = resources(cluster)
    for key, needed, there, unit in (
        ("cpus_per_trial", tune.cpus_per_trial, cpus, "CPUs"),
        ("gpus_per_trial", tune.gpus_per_trial, gpus, "GPUs"),
    ):
        if needed > there:
            raise UserError(
                f"tune.{key}: {needed:g} is not allowed here: this cluster has {there:g} {unit}; lower tune.{key},"
                " or set cluster.address"
            )


def _distributions(space: Mapping[str, Dimension], integers: frozenset[str]) -> dict[str, BaseDistribution]:
    return {key: _distribution(dimension, key in integers) for key, dimension in space.items()}


def _distribution(dimension: Dimension, integer: bool) -> BaseDistribution:
    """The distribution that Optuna draws one parameter from; a range includes both ends."""
    if dimension.choices is not None:
        return CategoricalDistribution(dimension.choices)
    assert dimension.low is not None and dimension.high is not None  # Dimension has validated it
    if integer:
        return IntDistribution(int(dimension.low), int(dimension.high), log=dimension.log)
    return FloatDistribution(dimension.low, dimension.high, log=dimension.log)


def _run(
    folder: Path, trial: Trial, space: dict[str, BaseDistribution], tune: Tune, journal: _Journal
) -> None:
    """Bring the search to its end: go on from Ray's snapshot if there is a whole one, or else start afresh."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    trainable = _trainable(trial, tune)
    tuner = _restored(folder, trainable, tune, journal)
    for starts_left in reversed(range(STARTS)):
        errors = (tuner or _fresh(folder, trainable, space, tune, journal)).fit().errors
        if not errors and journal.complete():
            return
        tuner = None
        if errors and not (isinstance(errors[0], RayActorError) and starts_left):
            raise _cause(errors[0])
    raise RuntimeError(f"search {journal.name}: Ray ended it before all {tune.trials} trials were done")


def _cause(error: Exception) -> Exception:
    """The error that a trial raised, without the wrapping of the process that it crossed."""
    return error.cause if isinstance(error, RayTaskError) and isinstance(error.cause, Exception) else error


def _trainable(trial: Trial, tune: Tune) -> Any:
    """`trial` in the shape that Tune runs: one row per report, a failure as a row without a step."""
    threads = tune.cpus_per_trial

    def run_trial(config: dict[str, Any]) -> None:
        torch.set_num_threads(threads)
        try:
            trial(config["parameters"], _report)
        except UserError as error:
            # Tune would take an exception for the end of the search; ASHA overlooks rows without a step.
            ray_tune.report({OBJECTIVE: math.inf, "failure": str(error)})

    return ray_tune.with_resources(run_trial, {"cpu": tune.cpus_per_trial, "gpu": tune.gpus_per_trial})


def _report(row: dict[str, float]) -> None:
    objective = row[OBJECTIVE] if math.isfinite(row[OBJECTIVE]) else math.inf  # Optuna refuses NaN
    ray_tune.report({STEP: int(row[STEP]), OBJECTIVE: objective, "row": dict(row)})


def _fresh(
    folder: Path, trainable: Any, space: dict[str, BaseDistribution], tune: Tune, journal: _Journal
) -> ray_tune.Tuner:
    """A search from its first proposal, with nothing left of an earlier one."""
    if folder.exists():
        shutil.rmtree(folder)
    scheduler = ASHAScheduler(
        time_attr=STEP,
        metric=OBJECTIVE,
        mode="min",
        max_t=tune.steps,
        grace_period=min(tune.grace_steps, tune.steps),
        reduction_factor=tune.reduction_factor,
    )
    return ray_tune.Tuner(
        trainable,
        tune_config=ray_tune.TuneConfig(
            search_alg=_Proposals(space, tune),
            scheduler=scheduler,
            num_samples=tune.trials,
            max_concurrent_trials=tune.max_concurrent,
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


def _restored(folder: Path, trainable: Any, tune: Tune, journal: _Journal) -> ray_tune.Tuner | None:
    """The search as Ray's last snapshot knows it; None if there is no snapshot, or not a whole and consistent one."""
    snapshot = str(folder / "ray")
    if not ray_tune.Tuner.can_restore(snapshot):
        return None
    proposals = _Proposals({}, tune)
    generator = SearchGenerator(ConcurrencyLimiter(proposals, tune.max_concurrent))
    try:
        tuner = ray_tune.Tuner.restore(snapshot, trainable)
        trials = ray_tune.ExperimentAnalysis(snapshot).trials
        generator.restore_from_dir(snapshot)
    except TORN:
        return None
    recorded = {result.number for result in journal.read()}
    finished = {trial.trial_id: trial.status == "TERMINATED" for trial in trials or []}
    consistent = (
        finished == proposals.finished
        and generator.get_state()["counter"] == len(finished)
        and not any(trial.status == "ERROR" for trial in trials or [])
        and all(trial.config["number"] in recorded for trial in trials or [] if finished[trial.trial_id])
    )
    return tuner if finished and consistent else None


class _Proposals(OptunaSearch):
    """Optuna's proposals, numbered, and a note of which are finished: the check that a snapshot is of one moment."""

    def __init__(self, space: dict[str, BaseDistribution], tune: Tune) -> None:
        sampler = TPESampler(seed=tune.seed, n_startup_trials=min(STARTUP_TRIALS, math.ceil(tune.trials / 2)))
        super().__init__(space, metric=OBJECTIVE, mode="min", sampler=sampler)
        self.finished: dict[str, bool] = {}

    def suggest(self, trial_id: str) -> dict[str, Any]:
        parameters = super().suggest(trial_id)
        config = {"number": len(self.finished), "parameters": parameters}
        self.finished[trial_id] = False
        return config

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        super().on_trial_complete(trial_id, result, error)
        self.finished[trial_id] = True


class _Journal(ray_tune.Callback):
    """The finished trials of a search, in a file that is written again with each of them.

    Ray keeps a copy of it in its snapshots: all that must survive is in the file.
    """

    def __init__(self, name: str, file: Path, tune: Tune) -> None:
        self.name = name
        self.file = file
        self.trials = tune.trials
        self.steps = tune.steps
        self.histories: dict[str, list[dict[str, float]]] = {}  # of the running trials, by Ray's id
        self.failures: dict[str, str] = {}

    def read(self) -> list[TrialResult]:
        """The finished trials in order of proposal."""
        return [TrialResult(**entry) for entry in read_json(self.file)] if self.file.exists() else []

    def complete(self) -> bool:
        """Are all trials finished?"""
        return [result.number for result in self.read()] == list(range(self.trials))

    def on_trial_result(self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any) -> None:
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
        print(self._line(result), flush=True)

    def _line(self, result: TrialResult) -> str:
        head = f"search {self.name}: trial {result.number + 1}/{self.trials} {_assignments(result.parameters)}"
        if result.failure is not None:
            return f"{head} failed: {result.failure}"
        if result.objective is None:
            return f"{head} reported nothing"
        stopped = f" (stopped at step {result.step})" if result.stopped_early else ""
        return f"{head} objective={result.objective:.6g}{stopped}"


def _assignments(parameters: Mapping[str, Any]) -> str:
    values = {key: f"{value:.4g}" if isinstance(value, float) else str(value) for key, value in parameters.items()}
    return " ".join(f"{key}={value}" for key, value in values.items())
