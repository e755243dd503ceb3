"""Where a registered model came from, as MLflow has it: the run that trained it, and the run that measured it.

    data set → train@<entry> → logged model → version
                                    ↑
                             evaluate@<entry>

The logged model has the parameters and the metrics, each with the data set, so that it is found by them.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from ..files import file_digest, read_json
from .candidate import Candidate
from .package import WEIGHTS
from .records import Run
from .stage_run import flatten, numbers, run_tags
from .store import Store
from .writer import (
    KEY,
    METRICS_PER_CALL,
    dataset_digest,
    log_params,
    log_points,
    open_run,
    points,
    run_of,
)

HISTORY, METRICS = "history.csv", "metrics.json"
NOT_OF_THE_RUN = ("git_commit", "git_dirty", "mlflow.source.git.commit")  # nobody knows at which commit it was trained
RECORDED = "by register, from the files that the training left: its own run is not in this store"


def training_run(store: Store, candidate: Candidate) -> str:
    """MLflow's identifier of the run that trained the model.

    Where the store does not have it (the server was away, or the files came from DVC's cache), it is written down again
    from what the training left, and says so.
    """
    key = candidate.origin.trained
    found = None if key is None else run_of(store, key)
    restored = f"restored-{file_digest(candidate.folder / WEIGHTS)[:32]}"
    return found or run_of(store, restored) or _restored(store, candidate, restored)


def _restored(store: Store, candidate: Candidate, key: str) -> str:
    import pandas as pd

    known = {**run_tags(candidate.folder, candidate.stage, candidate.entry), **candidate.tags}
    tags = {name: value for name, value in known.items() if name not in NOT_OF_THE_RUN}
    run = Run(key, f"{candidate.stage}@{candidate.entry}", tags, candidate.origin.data)
    run_id = open_run(store, run, {**tags, KEY: key, "recorded": RECORDED})
    log_params(store, run_id, params_of(candidate))
    now, history, metrics = int(time.time() * 1000), candidate.folder / HISTORY, candidate.folder / METRICS
    if history.is_file():
        table = pd.read_csv(history)
        rows = [{str(name): value for name, value in row.dropna().items()} for _, row in table.iterrows()]
        log_points(store, run_id, points(rows, now))
    if metrics.is_file():
        measured = read_json(metrics)
        log_points(store, run_id, points([{**dict(numbers(measured)), "step": measured.get("steps", 0)}], now))
    store.client.set_terminated(run_id, "FINISHED")
    return run_id


def params_of(candidate: Candidate) -> dict[str, str]:
    """The parameters of the model: its family and its configuration."""
    return dict(flatten({"model": candidate.config["model"], "config": candidate.config["config"]}))


def link(store: Store, candidate: Candidate, model_id: str, trained: str) -> None:
    """Let the run that trained the model have it as output, that which measured it as input, and log its metrics.

    Metrics are those of the run that measured them, at the times at which they were: there they stay what they are.
    """
    from mlflow.entities import LoggedModelInput, LoggedModelOutput

    store.client.log_outputs(trained, [LoggedModelOutput(model_id, int(candidate.metrics.get("best_step", 0)))])
    key = candidate.origin.evaluated
    evaluated = None if key is None else run_of(store, key)
    if evaluated is not None:
        store.client.log_inputs(evaluated, models=[LoggedModelInput(model_id)])
    run_id = evaluated or trained
    timed = dict(numbers(candidate.origin.speeds))
    plain = {name: value for name, value in numbers(candidate.measurements) if name not in timed}
    for measured in (plain, timed):
        _log_metrics(store, candidate, run_id, model_id, measured)


def _log_metrics(store: Store, candidate: Candidate, run_id: str, model_id: str, measured: Mapping[str, float]) -> None:
    from mlflow.entities import Metric

    data = candidate.origin.data
    of_data: dict[str, Any] = {}
    if data:
        of_data = {"dataset_name": data["name"], "dataset_digest": dataset_digest(data["digest"])}
    when = _measured_at(store, run_id, measured)
    metrics = [Metric(name, float(value), when, 0, model_id, **of_data) for name, value in measured.items()]
    for start in range(0, len(metrics), METRICS_PER_CALL):
        store.client.log_batch(run_id, metrics=metrics[start : start + METRICS_PER_CALL])


def _measured_at(store: Store, run_id: str, measured: Mapping[str, float]) -> int:
    """When the run got the first of these metrics that it has: all came at once. Now, if it has none."""
    known = store.client.get_run(run_id).data.metrics
    first = next((name for name, value in measured.items() if known.get(name) == value), None)
    history = [] if first is None else store.client.get_metric_history(run_id, first)
    return int(history[-1].timestamp) if history else int(time.time() * 1000)
