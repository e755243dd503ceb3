"""One training: in this process, or by N data-parallel workers of Ray Train."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch

from ..params.schema import Cluster
from .address import address_of, in_cluster

Report = Callable[[dict[str, float]], None]
Work = Callable[[Report], None]


def launch(name: str, work: Work, cluster: Cluster, storage: Path) -> None:
    """Run `work` to its end on `cluster.workers` workers, and again on new ones when some are lost.

    `work` does a whole training and keeps its own checkpoints: called again it resumes, or returns at once if it
    has finished. So nothing of Ray's own state is kept, and a run that was killed is simply launched again.
    `name` tells runs apart under `storage`/ray. Without workers it runs right here, and Ray is not imported.
    UserError: raised by `work`, or the cluster is out of reach or too small. Other errors of `work` come out as
    they are.
    """
    if not needs_cluster(cluster):
        _run_here(work, cluster)
        return
    from .connect import connected, resolve_workers

    with ExitStack() as stack:
        if address_of(cluster) is not None:
            stack.enter_context(connected(cluster))
        workers = resolve_workers(cluster)
        if workers == 0:
            _run_here(work, cluster)
            return
        from .data_parallel import run_workers

        stack.enter_context(connected(cluster))
        run_workers(name, work, cluster, workers, storage)


def needs_cluster(cluster: Cluster) -> bool:
    """Must a cluster be asked how many workers a training gets? Not for 0, nor for one per GPU where there is none."""
    if cluster.workers == "auto" and address_of(cluster) is None and not in_cluster():
        return cluster.gpus_per_worker > 0 and torch.cuda.is_available()
    return cluster.workers != 0


def _run_here(work: Work, cluster: Cluster) -> None:
    """No cluster, no processes: the loop runs in the caller's thread, and nobody waits for its reports."""
    threads = torch.get_num_threads()
    torch.set_num_threads(cluster.cpus_per_worker)
    try:
        work(lambda _: None)
    finally:
        torch.set_num_threads(threads)
