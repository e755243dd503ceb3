"""Where Ray runs: in an existing cluster, or in one that is started here and ends with the process."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import ray

from ..errors import UserError
from ..params.schema import Cluster
from .address import address_of, local_cpus, probe, unreachable
from .quiet import quieten

OBJECT_STORE_BYTES = 256 * 2**20  # nothing large travels between our processes


@contextmanager
def connected(cluster: Cluster) -> Iterator[None]:
    """Be connected to the cluster within; reuses the connection of an outer `connected`, and ends only its own.

    UserError: nobody answers at the address that RAY_ADDRESS or cluster.address gives.
    """
    if ray.is_initialized():
        yield
        return
    _connect(cluster)
    try:
        yield
    finally:
        ray.shutdown()


def _connect(cluster: Cluster) -> None:
    quieten()
    hook = {"worker_process_setup_hook": "pipelines.cluster.quiet.set_up_worker"}
    given = address_of(cluster)
    if given is None:
        ray.init(
            address="local",
            num_cpus=local_cpus(),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            log_to_driver=False,  # what our own processes say is brought here by our own means
            logging_level=logging.ERROR,
            runtime_env=hook,
            _node_ip_address="127.0.0.1",
        )
        return
    address, source = given
    if address != "auto":
        probe(address, source)
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, runtime_env=hook)
    except ConnectionError as error:
        reason = f"{' '.join(str(error).split())}; if it asks for a token, set RAY_AUTH_TOKEN"
        raise unreachable(address, source, reason) from error


def resources(cluster: Cluster) -> tuple[int, float]:
    """CPUs and GPUs of the cluster that `connected` gives; nothing is started to find out."""
    if ray.is_initialized():
        total = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return int(total.get("CPU", 0)), float(total.get("GPU", 0))
    if address_of(cluster) is None:
        import torch  # takes seconds, which who is connected does without

        return local_cpus(), float(torch.cuda.device_count())
    with connected(cluster):
        return resources(cluster)


def resolve_workers(cluster: Cluster) -> int:
    """How many Ray workers a training gets: 0 trains in this process.

    UserError: the cluster has too few CPUs or GPUs for `cluster.workers`.
    """
    if cluster.workers == 0:
        return 0
    cpus, gpus = resources(cluster)
    if cluster.workers == "auto":
        return int(gpus / max(cluster.gpus_per_worker, 1.0)) if cluster.gpus_per_worker else 0
    needed = cluster.workers * cluster.cpus_per_worker
    if needed > cpus:
        raise UserError(
            f"cluster.workers: {cluster.workers} is not allowed here: {_count(cluster.workers, 'worker')} need"
            f" {_count(needed, 'CPU')} and this cluster has {cpus}; lower cluster.workers or cluster.cpus_per_worker,"
            " or set cluster.address"
        )
    needed_gpus = cluster.workers * cluster.gpus_per_worker
    if gpus and needed_gpus > gpus:
        raise UserError(
            f"cluster.workers: {cluster.workers} is not allowed here: {_count(cluster.workers, 'worker')} need"
            f" {_count(needed_gpus, 'GPU')} and this cluster has {gpus:g}; lower cluster.workers or"
            " cluster.gpus_per_worker, or set cluster.address"
        )
    return cluster.workers


def _count(number: float, unit: str) -> str:
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"
