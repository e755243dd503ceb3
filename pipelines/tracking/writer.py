"""Writes records to MLflow, in order, in a thread: what cannot be written now is tried again, until the end.

A store that is away for a minute loses nothing. One that is away at the end is waited for, if it was ever there; then
a line says what was not written. A record that the store refuses is said at once, and left out.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from .left_behind import owner_tag
from .records import Record, Run, Write
from .store import Store, connect, failures, patient, reason

if TYPE_CHECKING:
    from mlflow.entities import Metric

PARAM_LENGTH = 6000  # MLflow's limits
TAG_LENGTH = 8000
PARAMS_PER_CALL = 100
METRICS_PER_CALL = 1000
KEY = "genera_run"  # the tag with our own key
AGAIN_SECONDS = 2.0  # between two attempts
END_SECONDS = 90.0  # how long a store is waited for at the end that was there before


@contextmanager
def writing(root: Path, experiment: str) -> Iterator[Write]:
    """Records that are made within are written to the store of the project at `root`, at the latest at the end."""
    writer = Writer(root, experiment)
    try:
        yield writer.put
    finally:
        writer.close()


class Writer:
    """Records on their way to the store."""

    def __init__(self, root: Path, experiment: str) -> None:
        self._root, self._experiment = root, experiment
        self._waiting: deque[Record] = deque()
        self._changed, self._closing = threading.Condition(), threading.Event()
        self._store: Store | None = None
        self._ids: dict[str, str] = {}  # MLflow's identifiers, by our keys
        self._last: dict[str, int] = {}  # the last step of each curve
        self._params: dict[str, set[str]] = {}  # what is known of runs that are gone on with
        self._problem = ""
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, record: Record) -> None:
        """Hand over a record."""
        with self._changed:
            self._waiting.append(record)
            self._changed.notify()

    def close(self) -> None:
        """Wait until everything is written, as long as there is hope."""
        with self._changed:
            self._closing.set()
            self._changed.notify()
        self._thread.join()
        if self._waiting:
            runs = dict.fromkeys(record.run.name for record in self._waiting if record.run.parent is None)
            stay = ", ".join(f"artifacts/{name.replace('@', '/')}" for name in runs)
            print(
                f"warning: tracking: {self._problem}; the work went on, {len(self._waiting)} records were not written:"
                f" what they say is in {stay}",
                file=sys.stderr,
            )

    def _work(self) -> None:
        """Write until closed; then give up when the time for it is over."""
        given_up: float | None = None
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
                if not self._waiting:
                    return
                batch, closed = self._next(), self._closing.is_set()
            if closed and given_up is None:
                given_up = time.monotonic() + (END_SECONDS if self._store is not None else 0.0)
            if self._written(batch):
                with self._changed:
                    for _ in batch:
                        self._waiting.popleft()
            elif given_up is not None and time.monotonic() >= given_up:
                return
            elif closed:
                time.sleep(AGAIN_SECONDS)
            else:
                self._closing.wait(AGAIN_SECONDS)

    def _next(self) -> list[Record]:
        """The next record, and those right behind it that can be written with it."""
        first, batch = self._waiting[0], list[Record]()
        for record in self._waiting:
            if record.run.key != first.run.key or record.kind != first.kind or (batch and first.kind != "curve"):
                break
            batch.append(record)
        return batch

    def _written(self, batch: list[Record]) -> bool:
        """Write some records of one kind; False if that is to be tried again."""
        try:
            self._store = self._store or connect(self._root, self._experiment)
            self._write(self._store, batch)
        except UserError as error:  # the store is out of reach
            self._problem = str(error)
            return False
        except Exception as error:  # where files go is a plug-in (S3, Azure, …) with errors of its own
            assert self._store is not None  # UserErrors are all that `connect` raises
            self._problem = reason(error, self._store.uri)
            if _refused(error) or not (isinstance(error, failures()) or batch[0].kind == "files"):
                print(f"warning: tracking: {batch[0].run.name}: {batch[0].kind}: {self._problem}", file=sys.stderr)
                return True
            return False
        return True

    def _write(self, store: Store, batch: list[Record]) -> None:
        run_id, record = self._run_id(store, batch[0]), batch[0]
        if record.kind == "params":
            known = self._params.get(run_id, set())  # which cannot be changed
            log_params(store, run_id, {key: value for key, value in record.content.items() if key not in known})
        elif record.kind == "tags":
            set_tags(store, run_id, record.content)
        elif record.kind == "metrics":
            log_points(store, run_id, points(record.content, record.milliseconds))
        elif record.kind == "files":
            log_files(store, run_id, record.content, record.run.tags["stage"])
        elif record.kind == "end":
            store.client.set_terminated(run_id, record.content, record.milliseconds)
        else:
            self._write_curve(store, run_id, batch)

    def _write_curve(self, store: Store, run_id: str, batch: list[Record]) -> None:
        """Write the rows of a curve that are not known yet."""
        new: list[Metric] = []
        last = self._last.get(run_id, -1)
        for record in batch:
            for row in record.content:
                if row["step"] > last:
                    last = row["step"]
                    new += points([row], record.milliseconds)
        log_points(store, run_id, new)
        self._last[run_id] = last

    def _run_id(self, store: Store, record: Record) -> str:
        """MLflow's identifier of a run, which is made if there is none."""
        run = record.run
        if run.key not in self._ids:
            found = run_of(store, run.key) if run.again else None
            if found is None:
                self._ids[run.key] = self._created(store, record)
            else:
                if not run.ended:
                    set_tags(store, found, owner_tag())  # first: a run of a process that has died is ended
                    store.client.update_run(found, status="RUNNING")
                known = store.client.get_metric_history(found, "objective")
                self._last[found] = max((point.step for point in known), default=-1)
                self._params[found] = set(store.client.get_run(found).data.params)
                self._ids[run.key] = found
        return self._ids[run.key]

    def _created(self, store: Store, record: Record) -> str:
        run = record.run
        tags = {**run.tags, KEY: run.key, **owner_tag()}
        if run.parent is not None:
            tags["mlflow.parentRunId"] = self._ids[run.parent]
        return open_run(store, run, tags, record.milliseconds)


def _refused(error: Exception) -> bool:
    """Does the store say that it will never take this?"""
    from mlflow.exceptions import MlflowException

    return isinstance(error, MlflowException) and error.get_http_status_code() < 500  # type: ignore[no-untyped-call]


def run_of(store: Store, key: str) -> str | None:
    """MLflow's identifier of the run with a key of ours."""
    runs = store.client.search_runs([store.experiment], f"tags.{KEY} = '{key}'", max_results=1)
    return str(runs[0].info.run_id) if runs else None


def open_run(store: Store, run: Run, tags: dict[str, str], milliseconds: int | None = None) -> str:
    """Create a run with its data set, and return MLflow's identifier."""
    cut = {key: value[:TAG_LENGTH] for key, value in tags.items()}
    made = store.client.create_run(store.experiment, milliseconds, cut, run_name=run.name)
    run_id = str(made.info.run_id)
    if run.data:
        store.client.log_inputs(run_id, [_dataset(run)])
    return run_id


def _dataset(run: Run) -> Any:
    from mlflow.entities import Dataset, DatasetInput, InputTag

    name, more = run.data["name"], {key: run.data[key] for key in ("schema", "profile") if key in run.data}
    source = json.dumps({"uri": run.data.get("source", name)})
    dataset = Dataset(name, dataset_digest(run.data["digest"]), "local", source, **more)
    return DatasetInput(dataset, [InputTag("mlflow.data.context", run.tags["stage"])])


def dataset_digest(digest: str) -> str:
    """What MLflow has of a digest: it takes 36 characters."""
    return digest[:36]


def set_tags(store: Store, run_id: str, tags: dict[str, str]) -> None:
    """Set the tags of a run in one call."""
    from mlflow.entities import RunTag

    store.client.log_batch(run_id, tags=[RunTag(key, value[:TAG_LENGTH]) for key, value in tags.items()])


def log_params(store: Store, run_id: str, params: dict[str, str]) -> None:
    """Set the parameters of a run; MLflow refuses to change one."""
    from mlflow.entities import Param

    flat = [Param(key, value[:PARAM_LENGTH]) for key, value in params.items()]
    for start in range(0, len(flat), PARAMS_PER_CALL):
        store.client.log_batch(run_id, params=flat[start : start + PARAMS_PER_CALL])


def log_points(store: Store, run_id: str, metrics: list[Metric]) -> None:
    """Add points to the curves of a run."""
    for start in range(0, len(metrics), METRICS_PER_CALL):
        store.client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])


def log_files(store: Store, run_id: str, path: Path, stage: str) -> None:
    """Record a file, or a folder under the name of the stage."""
    with patient():
        if path.is_dir():
            store.client.log_artifacts(run_id, str(path), stage)
        else:
            store.client.log_artifact(run_id, str(path))


def points(rows: list[dict[str, Any]], milliseconds: int) -> list[Metric]:
    """The numbers of rows, each at the step in its column `step`."""
    from mlflow.entities import Metric

    return [
        Metric(key, float(value), milliseconds, int(row["step"]))
        for row in rows
        for key, value in row.items()
        if key != "step" and isinstance(value, int | float) and not isinstance(value, bool)
    ]
