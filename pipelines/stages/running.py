"""What the stages that train have in common: run the job, read its outcome, write it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from ..cluster.address import address_of
from ..cluster.launch import launch
from ..errors import UserError
from ..evaluation.concerns import gist
from ..evaluation.finished import METRICS, weights_digest, write_cost, write_model
from ..files import write_json, write_text
from ..params.project import Project
from ..tracking.stage_run import StageRun
from ..training import checkpoint
from ..training.jobs import Job
from ..training.task import State


@dataclass(frozen=True)
class Finished:
    """A finished training: its best weights, its final state, and the name and digest of the job that it was."""

    weights: dict[str, Tensor]
    state: State
    name: str
    digest: str

    @property
    def concerns(self) -> list[str]:
        """What is wrong with the best weights, and what else was wrong when training ended."""
        best, last = self.state.best_concerns, self.state.last_concerns
        known = {gist(concern) for concern in best}
        return [*best, *(f"by the end of training {concern}" for concern in last if gist(concern) not in known)]

    def metrics(self, objective_name: str) -> dict[str, Any]:
        """What a training's metrics.json says, whatever was trained."""
        state = self.state
        return {
            "objective": state.best_objective,
            "objective_name": objective_name,
            "best_step": state.best_step,
            "steps": state.step,
        }

    @property
    def cost(self) -> dict[str, Any]:
        """What its cost.json says: a matter of the machine that it ran on."""
        state = self.state
        return {
            "train_seconds": round(state.seconds, 3),
            "steps_per_s": round(state.step / state.seconds, 3),
            "train_examples_per_s": round(state.examples / state.seconds, 1),
            "train_peak_mib": round(state.peak_mib, 1),
        }


def run_job(project: Project, job: Job, run: StageRun) -> Finished:
    """Train on the cluster, from the newest checkpoint on; a job that is finished only has its outcome read.

    The run has each validation as soon as it is made.
    """
    cluster = project.params.cluster
    torch.set_num_threads(cluster.cpus_per_worker)
    work = job.sent() if address_of(cluster) and cluster.workers != 0 else job
    launch(job.name, job.digest[:16], work, cluster, project.kept, lambda row: run.log_curve([row]))
    return outcome(job)


def outcome(job: Job) -> Finished:
    """The best weights and the final state of a finished training."""
    found = checkpoint.load(job.folder)
    if found is None:
        raise UserError(f"{job.folder}: there is no readable checkpoint; run the stage again")
    groups, rest = found
    return Finished(groups["best"], State(**rest["state"]), job.name, job.digest)


def write_outcome(
    folder: Path,
    done: Finished,
    config: Mapping[str, Any],
    metrics: Mapping[str, Any],
    run: StageRun,
) -> None:
    """Write a training's files, whole or not at all, and record them; metrics.json is the last."""
    write_model(folder, done.weights, config)
    write_text(folder / "history.csv", pd.DataFrame(done.state.history).to_csv(index=False))
    write_cost(folder, weights_digest(folder), done.cost, run.key)
    write_json(folder / METRICS, metrics)
    run.log_curve(done.state.history)
    run.log_metrics({**metrics, **done.cost}, done.state.step)
    run.set_tags({"job_digest": done.digest})
    run.log_artifact(folder)
    steps = f"{done.state.step} steps in {done.state.seconds:.1f} s"
    print(f"{done.name}: {steps}, best objective {metrics['objective']:.4f} at {metrics['best_step']}; see {folder}")
