"""One training: in this process, or by N data-parallel workers of Ray Train."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import torch

from ..params.schema import Cluster
from .address import address_of, in_cluster, local_cpus
from .asked import asked_of, complain_of_lack
from .gauge import gauge

Report = Callable[[dict[str, float]], None]
EndsSoon = Callable[[], bool]
Work = Callable[[Report, EndsSoon], None]


def launch(name: str, key: str, work: Work, cluster: Cluster, storage: Path, report: Report = lambda row: None) -> None:
    """Run `work` to its end on the workers that `cluster` asks for, and again on new ones when some are lost.

    `work` does a whole training and keeps its own checkpoints: called again it resumes, or returns at once if it
    has finished. So nothing of Ray's own state is kept, and a run that was killed is simply launched again. What the
    first worker reports comes to `report`, in this process, with how busy its machine is. Beside it, `work` is given a
    question that all workers ask together: whether a machine of theirs is about to be taken away. `name` is for people,
    and `key` tells runs of one name apart under `storage`/ray. Without workers it runs right here, and Ray is not
    imported.
    UserError: raised by `work`, or the cluster is out of reach, or this machine too small, or too many workers were
    lost. Other errors of `work` come out as they are.
    """
    if not needs_cluster(cluster):
        complain_of_lack(cluster, local_cpus(), torch.cuda.device_count())
        _run_here(work, cluster, report)
        return
    from .connect import connected, resources

    with ExitStack() as stack:
        if address_of(cluster) is not None:
            stack.enter_context(connected(cluster))
        cpus, gpus = resources(cluster)
        if address_of(cluster) is None:
            complain_of_lack(cluster, cpus, gpus)
        asked = asked_of(cluster, gpus)
        if asked is None:
            _run_here(work, cluster, report)
            return
        from .data_parallel import run_workers

        stack.enter_context(connected(cluster))
        run_workers(name, key, work, asked, cluster.max_failures, storage, report)


def needs_cluster(cluster: Cluster) -> bool:
    """Must a cluster be asked how many workers a training gets? Not for 0, nor for one per GPU where there is none."""
    if cluster.workers == "auto" and address_of(cluster) is None and not in_cluster():
        return torch.cuda.is_available() and cluster.gpus_per_worker != 0
    return cluster.workers != 0


def _run_here(work: Work, cluster: Cluster, report: Report) -> None:
    """No cluster, no processes: the loop runs in the caller's thread."""
    threads = torch.get_num_threads()
    torch.set_num_threads(cluster.cpus_per_worker)
    try:
        work(lambda row: report({**row, **gauge()}), lambda: False)
    finally:
        torch.set_num_threads(threads)
