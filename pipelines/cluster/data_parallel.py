"""One training by N data-parallel workers of Ray Train."""

from __future__ import annotations

import os
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import ray.train
import torch
from ray.exceptions import RayActorError
from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer
from torch import distributed

from ..errors import UserError
from ..params.schema import Cluster
from .board import overheard, speaking
from .connect import resources
from .launch import Report, Work

RESTARTS = 2  # how often lost workers are replaced before the run is given up
REPORT_SECONDS = 2.0  # Ray Train takes in one report per health check; more of them would hold the workers up


def run_workers(name: str, work: Work, cluster: Cluster, workers: int, storage: Path) -> None:
    """Run `work` on the cluster that this process is connected to; see `launch`."""
    use_gpu = resources(cluster)[1] > 0 and cluster.gpus_per_worker > 0
    per_worker = {"CPU": float(cluster.cpus_per_worker)}
    if use_gpu:
        per_worker["GPU"] = cluster.gpus_per_worker
    threads = cluster.cpus_per_worker

    def loop(settings: dict[str, Any]) -> None:
        if not use_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves GPUs that were not reserved in sight
        torch.set_num_threads(threads)
        first = ray.train.get_context().get_world_rank() == 0
        with speaking(name, settings["board"]) if first else nullcontext():
            work(_throttled(ray.train.report))

    def trainer(board: Any) -> TorchTrainer:
        return TorchTrainer(
            loop,
            train_loop_config={"board": board},
            torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
            scaling_config=ScalingConfig(num_workers=workers, use_gpu=use_gpu, resources_per_worker=per_worker),
            run_config=RunConfig(
                name=name,
                storage_path=str(storage.absolute() / "ray"),
                # Ray would retry a divergence as it retries a lost machine, and tell the user about both.
                failure_config=FailureConfig(max_failures=0),
            ),
        )

    with overheard(name) as board:
        for restarts_left in reversed(range(RESTARTS + 1)):
            try:
                trainer(board).fit()
                return
            except WorkerGroupError as error:
                cause = _cause(list(error.worker_failures.values()))
                if not _lost_worker(cause, workers) or not restarts_left:
                    raise cause from error
                print(f"{name}: a worker was lost; starting again from the last checkpoint", flush=True)


def _cause(failures: list[Exception]) -> Exception:
    """The failure that brought the others about: an error of one rank breaks the collectives of its peers."""
    for kind in (UserError, RayActorError):
        for failure in failures:
            if isinstance(failure, kind):
                return failure
    return failures[0]


def _lost_worker(cause: Exception, workers: int) -> bool:
    """Did a worker die? Its peers may notice first, by a collective that breaks: gloo raises a bare RuntimeError."""
    if isinstance(cause, (RayActorError, distributed.DistError)):
        return True
    return workers > 1 and type(cause) is RuntimeError


def _throttled(report: Report) -> Report:
    """`report`, with calls dropped that come too soon after the last: they are progress, not the record.

    A report is a meeting of all ranks, so rank 0's clock decides for all of them.
    """
    last = float("-inf")

    def throttled(metrics: dict[str, float]) -> None:
        nonlocal last
        due = [time.monotonic() - last >= REPORT_SECONDS]
        distributed.broadcast_object_list(due, src=0)
        if due[0]:
            last = time.monotonic()
            report(metrics)

    return throttled
