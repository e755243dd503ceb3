"""A hyperparameter search, run by Ray Tune: Optuna proposes and ASHA stops the weak, or a population is trained.

What survives a kill are the files of the journal, and every trial's own state, which the trial keeps. A search that is
started again runs the trials that are not finished; those that were under way report again from their first step. Of
Ray's own state nothing is used again.
"""

from __future__ import annotations

import json
import os
import tempfile
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol
from uuid import uuid4

from ray import tune as ray_tune
from ray.tune.schedulers import ASHAScheduler

from ..errors import UserError
from ..params.schema import Cluster, Search
from ..progress import Advance, progress
from .address import address_of
from .asked import Asked, counted
from .board import WAITING_SECONDS
from .connect import connected, resources, what_is_up
from .gauge import gauge
from .population import Population
from .proposals import WORST, Proposals, Space, judged
from .together import together
from .trials import OBJECTIVE, STEP, Journal, Proposal, TrialResult
from .worker import is_loss

Report = Callable[[dict[str, float]], None]
Trial = Callable[[list[dict[str, Any]], Report], None]

FAILURE = "failure"


class Follower(Protocol):
    """Is told of trials as they go on."""

    def begin(self, number: int, parameters: dict[str, Any]) -> None:
        """A trial has begun, perhaps again."""

    def hear(self, number: int, row: dict[str, float]) -> None:
        """It has reported a row, perhaps again; with how busy its machine is."""

    def end(self, result: TrialResult) -> None:
        """It has ended."""


def search(
    name: str, journal: Journal, trial: Trial, space: Space, settings: Search, cluster: Cluster, follower: Follower
) -> list[TrialResult]:
    """Run all trials, and return them in order of proposal; of a finished search the journal is read.

    `trial` trains with the parameters that it is given, those of each round up to the one that is its own, and reports
    the rows of that one with at least `step` and `objective` (lower is better). It keeps its own state, keyed by these
    parameters: called again, it first reports every row that it already has. Whatever it raises, and a process or
    machine of it that is lost too often, makes it a failed trial.
    `name` is for people; the folder of the journal must be another one with everything that changes the results, but
    for the number of trials.
    UserError: all trials failed, or the cluster is out of reach, or this machine too small.
    """
    trials = settings.trials * len(settings.rounds)
    missing = journal.missing(trials)
    if missing:
        done = trials - len(missing)
        with connected(cluster), progress(name, done, trials, "trial") as advance:
            asked = _asked(settings, cluster)
            under_way = _SEARCHES[name] = _UnderWay(name, journal, settings, asked, follower, advance)
            try:
                _run(trial, space, under_way)
            finally:
                del _SEARCHES[name]
    results = journal.results[:trials]
    of_round = [result for result in results if result.number // settings.trials == len(results) // settings.trials - 1]
    if of_round and all(result.objective is None for result in of_round):
        raise UserError(f"{name}: every trial failed; the first with: {of_round[0].failure}")
    if journal.missing(trials):
        raise RuntimeError(f"{name}: Ray ended the search before all {trials} trials were done")
    return results


def _asked(settings: Search, cluster: Cluster) -> Asked:
    """What a trial asks of the cluster. UserError: more than this machine has, where it is all that there is."""
    cpus, gpus = resources(cluster)
    workers = settings.workers_per_trial
    asked = Asked(workers, workers, settings.cpus_per_trial, settings.gpus_of_trial(gpus))
    for key, each, there, unit in (
        ("cpus_per_trial", asked.cpus, cpus, "CPU"),
        ("gpus_per_trial", asked.gpus, gpus, "GPU"),
    ):
        if workers * each > there and address_of(cluster) is None:
            of_workers = f" for each of {workers} workers" if workers > 1 else ""
            raise UserError(
                f"defaults.search.{key}: {each:g}{of_workers} is not allowed here: this machine has"
                f" {counted(there, unit)}; lower defaults.search.{key}, or set cluster.address"
            )
    return asked


class _UnderWay:
    """A search under way, and what has been heard of its trials that are not finished."""

    def __init__(
        self, name: str, journal: Journal, settings: Search, asked: Asked, follower: Follower, advance: Advance
    ) -> None:
        self.name, self.journal, self.settings, self.asked = name, journal, settings, asked
        self._follower, self._advance = follower, advance
        self._histories: dict[str, list[dict[str, float]]] = {}  # by Ray's id
        self._failures: dict[str, str] = {}
        self._quiet_since = time.monotonic()

    def begin(self, trial: Any) -> None:
        """A trial has begun."""
        self._follower.begin(trial.config["number"], trial.config["parameters"])

    def hear(self, trial: Any, result: dict[str, Any]) -> None:
        """A trial has reported a row, or why it failed."""
        if FAILURE in result:
            self._failures[trial.trial_id] = result[FAILURE]
            return
        row = json.loads(result["row"])
        earlier = self._histories.get(trial.trial_id, [])
        # A trial that was started again reports from its first step.
        self._histories[trial.trial_id] = [other for other in earlier if other[STEP] < row[STEP]] + [row]
        self._follower.hear(trial.config["number"], {**row, **json.loads(result["machine"])})

    def finish(self, trial: Any, failure: str | None = None) -> None:
        """A trial has ended: by itself, or stopped, or lost."""
        history = self._histories.pop(trial.trial_id, [])
        failure = self._failures.pop(trial.trial_id, failure)
        proposal = Proposal(**trial.config)
        end = self.settings.rounds[len(proposal.earlier)]
        stopped_early = failure is None and bool(history) and history[-1][STEP] < end
        if failure is None and not history:
            failure = "it ended and had reported nothing"
        result = TrialResult(**asdict(proposal), history=history, stopped_early=stopped_early, failure=failure)
        self.journal.finish(result)
        self._follower.end(result)
        if result.failure is not None:
            print(f"{self.name}: trial {result.number + 1} failed: {result.failure}", flush=True)
        finished = self.journal.results
        best = min((each.best_objective for each in finished if each.best_objective is not None), default=None)
        self._advance(len(finished), "" if best is None else f"best {best:.6g}")

    def look(self, trials: list[Any]) -> None:
        """Say now and then what trials wait for, while none of them runs."""
        if any(trial.status == "RUNNING" for trial in trials):
            self._quiet_since = time.monotonic()
        elif time.monotonic() - self._quiet_since > WAITING_SECONDS:
            self._quiet_since = time.monotonic()
            print(f"{self.name}: its trials wait for {self.asked.each} each: {what_is_up(self.asked)}", flush=True)


_SEARCHES = dict[str, _UnderWay]()  # Ray copies what it calls back, and what is under way must not be copied


class _Events(ray_tune.Callback):
    """Hands on what Tune says of the trials."""

    def __init__(self, name: str) -> None:
        self._name = name

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        _SEARCHES[self._name].begin(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        _SEARCHES[self._name].hear(trial, result)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        _SEARCHES[self._name].finish(trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        under_way = _SEARCHES[self._name]
        again = under_way.settings.max_failures
        under_way.finish(trial, f"its process was lost, and {counted(again, 'more time')} when it was started again")

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        _SEARCHES[self._name].look(trials)


def _run(trial: Trial, space: Space, under_way: _UnderWay) -> None:
    """Run the trials that are not finished."""
    settings, journal = under_way.settings, under_way.journal
    in_rounds = settings.scheduler == "population"
    os.environ["TUNE_DISABLE_STRICT_METRIC_CHECKING"] = "1"  # or a trial that ends without a report ends the search
    with tempfile.TemporaryDirectory() as folder:
        ray_tune.Tuner(
            _trainable(trial, under_way.asked),
            tune_config=ray_tune.TuneConfig(
                search_alg=(Population if in_rounds else Proposals)(space, settings, journal),
                scheduler=None if in_rounds else _Halving(settings, journal.results),
                num_samples=len(journal.missing(settings.trials * len(settings.rounds))),
                max_concurrent_trials=settings.max_concurrent,
                trial_dirname_creator=_folder_name,
                reuse_actors=True,  # a process that has imported torch once serves one trial after the other
            ),
            run_config=ray_tune.RunConfig(
                name="ray",
                storage_path=str(Path(folder)),
                verbose=0,
                callbacks=[_Events(under_way.name)],
                failure_config=ray_tune.FailureConfig(max_failures=settings.max_failures),
            ),
        ).fit()


def _folder_name(trial: Any) -> str:
    """Ray would put the parameters into it, whatever their length and characters."""
    return str(trial.trial_id)


def _trainable(trial: Trial, asked: Asked) -> Any:
    """`trial` in the shape that Tune runs: one row per report, a failure as a row without a step."""
    attempt = uuid4().hex

    def run_trial(config: dict[str, Any]) -> None:
        first, other = (partial(trial, Proposal(**config).rounds, report) for report in (_report, _unheard))
        try:
            together(first, other, asked, f"{attempt}-{config['number']}")
        except UserError as error:
            _fail(str(error))
        except Exception as error:  # whatever it is, it is of this trial alone: it has not enough memory, for instance
            if asked.most > 1 and is_loss(error):
                raise  # Tune starts the trial again
            where = traceback.extract_tb(error.__traceback__)[-1]
            _fail(f"{type(error).__name__}: {error} ({Path(where.filename).name}, line {where.lineno})")

    each = {"CPU": float(asked.cpus), "GPU": float(asked.gpus)}
    return ray_tune.with_resources(run_trial, ray_tune.PlacementGroupFactory([each] * asked.most))


def _unheard(row: dict[str, float]) -> None:
    """The first worker speaks for all."""


def _fail(reason: str) -> None:
    """Tune would start the trial again after an exception; ASHA overlooks rows without a step."""
    ray_tune.report({OBJECTIVE: WORST, FAILURE: " ".join(reason.split())})


def _report(row: dict[str, float]) -> None:
    machine = json.dumps(gauge())
    ray_tune.report(
        {STEP: int(row[STEP]), OBJECTIVE: judged(row[OBJECTIVE]), "row": json.dumps(row), "machine": machine}
    )


class _Halving(ASHAScheduler):
    """ASHA, whose rungs know the trials of before."""

    def __init__(self, settings: Search, finished: list[TrialResult]) -> None:
        super().__init__(
            time_attr=STEP,
            metric=OBJECTIVE,
            mode="min",
            max_t=settings.steps,
            grace_period=min(settings.grace_steps, settings.steps),
            reduction_factor=settings.reduction_factor,
        )
        nobody: Any = None  # there is no controller of theirs
        for result in finished:
            trial: Any = SimpleNamespace(trial_id=f"before-{result.number}")
            rows = [{STEP: int(row[STEP]), OBJECTIVE: judged(row[OBJECTIVE])} for row in result.history]
            self.on_trial_add(nobody, trial)
            for row in rows:
                self.on_trial_result(nobody, trial, row)
            self.on_trial_complete(nobody, trial, rows[-1] if rows and result.failure is None else {})
