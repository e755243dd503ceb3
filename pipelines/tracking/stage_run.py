"""The run of a stage: its parameters, curves, files and tags, with a run below it for each trial of a search.

Whoever writes them down, here or in the process that waits for this one, does so in its own time: records never hold
up or end the work that they are about.
"""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal
from uuid import uuid4

from ..experiment import experiment
from ..git import git_commit, git_output
from .records import Record, Run, Write

Status = Literal["FINISHED", "FAILED", "KILLED"]
_relays: list[Write] = []


@contextmanager
def relayed(write: Write) -> Iterator[None]:
    """Within, what runs have to record goes to another process."""
    _relays.append(write)
    try:
        yield
    finally:
        _relays.pop()


class StageRun:
    """Tells of one run."""

    def __init__(self, run: Run, write: Write) -> None:
        self._run, self._write = run, write
        self._children: dict[str, StageRun] = {}  # that have not ended

    @property
    def key(self) -> str:
        """The name by which the run is found."""
        return self._run.key

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Record parameters; those of nested mappings get dotted names."""
        self._tell("params", dict(flatten(params)))

    def log_metrics(self, metrics: Mapping[str, Any], step: int = 0) -> None:
        """Record the numbers among `metrics` at a step; those of nested mappings get dotted names."""
        self._tell("metrics", [{**dict(numbers(metrics)), "step": step}])

    def log_curve(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Record the numbers of rows, each at the step in its column `step`; of steps that are known nothing more."""
        self._tell("curve", [dict(row) for row in rows])

    def log_artifact(self, path: Path) -> None:
        """Record a file, or a folder under the name of the stage: MLflow compares what has equal paths."""
        self._tell("files", path)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Record tags."""
        self._tell("tags", {key: str(value) for key, value in tags.items()})

    def child(self, name: str, key: str) -> StageRun:
        """A run below this one, which may have been begun before. It ends with this one at the latest."""
        if key not in self._children:
            tags = {**self._run.tags, "trial": name}
            run = replace(self._run, key=key, name=name, tags=tags, parent=self.key, again=True)
            self._children[key] = StageRun(run, self._write)
        return self._children[key]

    def end_child(self, child: StageRun, status: Status) -> None:
        """Close a run below this one."""
        self._children.pop(child.key).end(status)

    def end(self, status: Status) -> None:
        """Close the run."""
        for child in self._children.values():
            child.end("KILLED")
        self._tell("end", status)

    def _tell(self, kind: Literal["params", "tags", "metrics", "curve", "files", "end"], content: Any) -> None:
        self._write(Record(self._run, kind, content))


@contextmanager
def stage_run(
    root: Path,
    experiment: str,
    stage: str,
    entry: str | None,
    tags: Mapping[str, str],
    params: Mapping[str, Any],
    data: Mapping[str, str] | None = None,
    key: str | None = None,
    again: bool = False,
) -> Iterator[StageRun]:
    """The run of a stage, FAILED if an error leaves the block and KILLED if an interruption does.

    One with a `key` goes on `again` where it was left.
    """
    name = f"{stage}@{entry}" if entry else stage
    made = Run(key or new_key(), name, {**run_tags(root, stage, entry), **tags}, data or {}, again=again)
    with _writing(root, experiment) as write:
        run = StageRun(made, write)
        run.log_params(params)
        try:
            yield run
        except BaseException as error:
            run.end("FAILED" if isinstance(error, Exception) else "KILLED")
            raise
        run.end("FINISHED")


@contextmanager
def _writing(root: Path, experiment: str) -> Iterator[Write]:
    """Where records go: to the process that waits for this one, or to the store."""
    if _relays:
        yield _relays[-1]
        return
    from .writer import writing  # imports MLflow, in a thread of its own

    with writing(root, experiment) as write:
        yield write


def add_metrics(root: Path, experiment: str, stage: str, entry: str, key: str, metrics: Mapping[str, Any]) -> None:
    """Add metrics to a run that has ended."""
    with _writing(root, experiment) as write:
        run = Run(key, f"{stage}@{entry}", run_tags(root, stage, entry), again=True, ended=True)
        StageRun(run, write).log_metrics(metrics)


def new_key() -> str:
    """A key that no other run has."""
    return uuid4().hex


def run_tags(root: Path, stage: str, entry: str | None) -> dict[str, str]:
    """The tags of every run: stage, entry, who, DVC's experiment, and the commit where git knows one.

    `git_dirty`: there are changes that are not committed.
    """
    tags = {"stage": stage, "mlflow.source.name": f"genera {stage}", "mlflow.user": _user()}
    if entry:
        tags["entry"] = entry
    name = experiment(root)
    if name:
        tags["dvc_experiment"] = name
    commit = git_commit(root)
    if commit:
        outputs = (":!dvc.lock", ":!artifacts")  # which the workflow itself rewrites
        dirty = bool(git_output(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *outputs))
        tags |= {"git_commit": commit, "git_dirty": str(dirty).lower(), "mlflow.source.git.commit": commit}
    return tags


def numbers(metrics: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, float]]:
    """The numbers of a mapping, and of those in it; in names MLflow allows no signs but these."""
    for key, value in metrics.items():
        name = prefix + re.sub(r"[^\w.\- :/]", "_", key)
        if isinstance(value, Mapping):
            yield from numbers(value, f"{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield name, value


def flatten(params: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """The values of a mapping, and of those in it, as texts under dotted names.

    A mapping whose keys are no names, such as what is read as what, stays one value: MLflow allows few signs in names.
    """
    for key, value in params.items():
        if isinstance(value, Mapping) and all(re.fullmatch(r"[\w\- ]+", str(name), re.ASCII) for name in value):
            yield from flatten(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value, default=str)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container's user without a name
        return "unknown"
