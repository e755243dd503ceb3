"""Runs whose process is no more: MLflow has them as running for ever, unless somebody ends them.

Every run names the process that writes it down. The next command that opens the store ends those of this machine whose
process has died; those of other machines are left alone, since nothing is known of them. A run that is taken up again
names the new process first.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ..process_mark import has_died, machine, mark

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities import Run

OWNER = "genera_process"  # the tag


def owner_tag() -> dict[str, str]:
    """The tag of runs that this process writes down."""
    return {OWNER: json.dumps(mark())}


def end_left_behind(client: MlflowClient, experiment: str) -> None:
    """End as KILLED the runs of an experiment that processes of this machine began which have died."""
    here = machine().partition(" ")[0]
    if not here:
        return
    wanted = f"attributes.status = 'RUNNING' and tags.{OWNER} LIKE '%{here}%'"
    for run in client.search_runs([experiment], wanted):
        if has_died(json.loads(run.data.tags[OWNER])):
            client.set_terminated(run.info.run_id, "KILLED", _last_sign(client, run))


def _last_sign(client: MlflowClient, run: Run) -> int:
    """When the run was last heard of: its last validation, or else its beginning, in milliseconds."""
    points = client.get_metric_history(run.info.run_id, "objective")
    return max([run.info.start_time, *(point.timestamp for point in points)])
