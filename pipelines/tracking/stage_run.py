"""A stage's run in MLflow: parameters, curves, files and tags, with a child run for every trial of a search.

Records never end the work they are about: when the store fails, one line says so and the stage goes on.
"""

from __future__ import annotations

import getpass
import json
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..git import git_commit, git_output
from .store import Store, connect, failures, reason

if TYPE_CHECKING:
    from mlflow.entities import Metric

PARAM_LENGTH = 6000  # MLflow's limits
TAG_LENGTH = 8000
PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000


class StageRun:
    """The run of one stage. After the first failure of the store every method does nothing.

    With a `run_id` it is that of an earlier run, to which something is added.
    """

    def __init__(self, root: Path, experiment: str, stage: str, entry: str | None, run_id: str | None = None) -> None:
        self.name = f"{stage}@{entry}" if entry else stage
        self.records = f"artifacts/{stage}/{entry}" if entry else f"artifacts/{stage}"
        self._tags = run_tags(root, stage, entry)
        self._store: Store | None = None
        self._run_id = run_id
        try:
            self._store = connect(root, experiment)
        except UserError as error:
            self._give_up(str(error))

    @property
    def run_id(self) -> str | None:
        """The identifier of the run; None if there is no run."""
        return self._run_id

    def start(self, tags: Mapping[str, str], params: Mapping[str, Any]) -> None:
        """Open the run with the tags of the stage and the caller's."""
        self._tags.update(tags)
        if self._store is None:
            return
        try:
            self._run_id = open_run(self._store, self.name, self._tags)
        except failures() as error:
            self._give_up(reason(error, self._store.uri))
        self.log_params(params)

    def end(self, status: str) -> None:
        """Close the run as FINISHED, FAILED or KILLED."""
        self._record(lambda store, run_id: store.client.set_terminated(run_id, status))

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters; those of nested mappings get dotted names."""
        self._record(lambda store, run_id: log_params(store, run_id, params))

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Record the numbers among `metrics` at a step; those of nested mappings get dotted names."""
        self.log_history([{**dict(_numbers(metrics)), "step": step}])

    def log_history(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Record the numbers of rows, each at the step in its column `step`."""
        self._record(lambda store, run_id: log_history(store, run_id, rows))

    def log_artifact(self, path: Path) -> None:
        """Record a file, or a folder under the name of the stage: MLflow compares what has equal paths."""

        def upload(store: Store, run_id: str) -> None:
            if path.is_dir():
                store.client.log_artifacts(run_id, str(path), self._tags["stage"])
            else:
                store.client.log_artifact(run_id, str(path))

        self._record(upload, (Exception,))  # where artifacts go is a plug-in (S3, Azure, …) with errors of its own

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Record tags."""
        self._record(lambda store, run_id: set_tags(store, run_id, tags))

    def child(
        self, name: str, params: Mapping[str, Any], rows: Iterable[Mapping[str, Any]], status: str = "FINISHED"
    ) -> None:
        """Record a finished trial, its parameters and its curve, as a run below this one."""

        def record(store: Store, run_id: str) -> None:
            trial = open_run(store, name, {**self._tags, "mlflow.parentRunId": run_id, "trial": name})
            log_params(store, trial, params)
            log_history(store, trial, rows)
            store.client.set_terminated(trial, status)

        self._record(record)

    def _record(self, action: Callable[[Store, str], None], also: tuple[type[Exception], ...] = ()) -> None:
        """Do something with the run, if the store has not failed yet and does not fail now."""
        if self._store is None or self._run_id is None:
            return
        try:
            action(self._store, self._run_id)
        except (*failures(), *also) as error:
            self._give_up(reason(error, self._store.uri))

    def _give_up(self, why: str) -> None:
        self._store = None
        print(f"warning: tracking: {why}; {self.name} goes on, its records stay in {self.records}", file=sys.stderr)


@contextmanager
def stage_run(
    root: Path, experiment: str, stage: str, entry: str | None, tags: Mapping[str, str], params: Mapping[str, Any]
) -> Iterator[StageRun]:
    """The run of a stage, FAILED if an error leaves the block and KILLED if an interruption does."""
    run = StageRun(root, experiment, stage, entry)
    run.start(tags, params)
    try:
        yield run
    except BaseException as error:
        run.end("FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    run.end("FINISHED")


def run_tags(root: Path, stage: str, entry: str | None) -> dict[str, str]:
    """The tags of every run: stage, entry, who, and the commit (`git_dirty`: with changes) where git knows one."""
    tags = {"stage": stage, "mlflow.source.name": f"genera {stage}", "mlflow.user": _user()}
    if entry:
        tags["entry"] = entry
    commit = git_commit(root)
    if commit:
        outputs = (":!dvc.lock", ":!artifacts")  # which the workflow itself rewrites
        dirty = bool(git_output(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *outputs))
        tags |= {"git_commit": commit, "git_dirty": str(dirty).lower(), "mlflow.source.git.commit": commit}
    return tags


def open_run(store: Store, name: str, tags: Mapping[str, str]) -> str:
    """Create a run and return its identifier."""
    cut = {key: value[:TAG_LENGTH] for key, value in tags.items()}
    return str(store.client.create_run(store.experiment, tags=cut, run_name=name).info.run_id)


def set_tags(store: Store, run_id: str, tags: Mapping[str, Any]) -> None:
    """Set the tags of a run in one call."""
    from mlflow.entities import RunTag

    store.client.log_batch(run_id, tags=[RunTag(key, str(value)[:TAG_LENGTH]) for key, value in tags.items()])


def log_params(store: Store, run_id: str, params: Mapping[str, Any]) -> None:
    """Set the parameters of a run; MLflow refuses to change one."""
    from mlflow.entities import Param

    flat = [Param(key, value[:PARAM_LENGTH]) for key, value in _flatten(params)]
    for start in range(0, len(flat), PARAMS_PER_CALL):
        store.client.log_batch(run_id, params=flat[start : start + PARAMS_PER_CALL])


def log_history(store: Store, run_id: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Add points to the curves of a run."""
    points = list(_points(rows))
    for start in range(0, len(points), METRICS_PER_CALL):
        store.client.log_batch(run_id, metrics=points[start : start + METRICS_PER_CALL])


def _points(rows: Iterable[Mapping[str, Any]]) -> Iterator[Metric]:
    from mlflow.entities import Metric

    now = int(time.time() * 1000)
    for row in rows:
        for key, value in row.items():
            if key != "step" and isinstance(value, int | float) and not isinstance(value, bool):
                yield Metric(key, float(value), now, int(row["step"]))


def _numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a mapping, and of those in it; in names MLflow allows no signs but these."""
    for key, value in metrics.items():
        name = prefix + re.sub(r"[^\w.\- :/]", "_", key)
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def _flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in params.items():
        if isinstance(value, Mapping):
            yield from _flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
