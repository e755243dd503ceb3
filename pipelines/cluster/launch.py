"""One training, run by Ray Train: in this process, or by N data-parallel workers."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import ray.train
import torch
from ray.exceptions import RayActorError
from ray.train import FailureConfig, RunConfig, ScalingConfig, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer
from torch import distributed

from ..errors import UserError
from ..params.schema import Cluster
from .connect import address_of, connected, resolve_workers, resources
from .quiet import quieten

Report = Callable[[dict[str, float]], None]
Work = Callable[[Report], None]

RESTARTS = 2  # how often lost workers are replaced before the run is given up
REPORT_SECONDS = 2.0  # Ray Train takes in one report per health check; more of them would hold the workers up


def launch(name: str, work: Work, cluster: Cluster, storage: Path) -> None:
    """Run `work` to its end on `cluster.workers` workers, and again on new ones when some are lost.

    `work` does a whole training and keeps its own checkpoints: called again it resumes, or returns at once if it
    has finished. So nothing of Ray's own state is kept, and a run that was killed is simply launched again.
    `name` tells runs apart under `storage`/ray.
    UserError: raised by `work`, or the cluster is out of reach or too small. Other errors of `work` come out as
    they are.
    """
    with ExitStack() as stack:
        if cluster.workers != 0 and address_of(cluster) is not None:
            stack.enter_context(connected(cluster))
        workers = resolve_workers(cluster)
        if workers == 0:
            _run_here(name, work, cluster)
            return
        stack.enter_context(connected(cluster))
        _run_workers(name, work, cluster, workers, storage)


def _run_here(name: str, work: Work, cluster: Cluster) -> None:
    """Ray Train's local mode: no cluster, no processes, the loop runs in the caller's thread."""
    quieten()

    def loop() -> None:
        work(ray.train.report)

    trainer = TorchTrainer(loop, scaling_config=ScalingConfig(num_workers=0), run_config=RunConfig(name=name))
    threads = torch.get_num_threads()
    torch.set_num_threads(cluster.cpus_per_worker)
    try:
        trainer.fit()
    finally:
        torch.set_num_threads(threads)


def _run_workers(name: str, work: Work, cluster: Cluster, workers: int, storage: Path) -> None:
    use_gpu = resources(cluster)[1] > 0 and cluster.gpus_per_worker > 0
    per_worker = {"CPU": float(cluster.cpus_per_worker)}
    if use_gpu:
        per_worker["GPU"] = cluster.gpus_per_worker
    threads = cluster.cpus_per_worker

    def loop() -> None:
        if not use_gpu:
            os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves GPUs that were not reserved in sight
        torch.set_num_threads(threads)
        work(_throttled(ray.train.report))

    trainer = TorchTrainer(
        loop,
        torch_config=TorchConfig(backend="nccl" if use_gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=workers, use_gpu=use_gpu, resources_per_worker=per_worker),
        run_config=RunConfig(
            name=name,
            storage_path=str(storage.absolute() / "ray"),
            # Ray would retry a divergence as it retries a lost machine, and tell the user about both.
            failure_config=FailureConfig(max_failures=0),
        ),
    )
    for restarts_left in reversed(range(RESTARTS + 1)):
        try:
            trainer.fit()
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
