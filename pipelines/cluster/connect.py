"""Where Ray runs: in an existing cluster, or in one that is started here and ends with the process."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import ray
import torch

from ..errors import UserError
from ..params.schema import Cluster
from .quiet import quieten

PROBE_SECONDS = 3.0
OBJECT_STORE_BYTES = 256 * 2**20  # nothing large travels between our processes


def address_of(cluster: Cluster) -> tuple[str, str] | None:
    """The address of the cluster to use and where it was set; None if one is to be started here."""
    if os.environ.get("RAY_ADDRESS"):
        return os.environ["RAY_ADDRESS"], "RAY_ADDRESS"
    if cluster.address:
        return cluster.address, "cluster.address"
    return None


def endpoint(address: str) -> tuple[str, int] | None:
    """Host and port of `host:port` or `ray://host:port`; None for anything else."""
    parts = urlsplit(address if "://" in address else f"gcs://{address}")
    try:
        port = parts.port
    except ValueError:
        return None
    well_formed = parts.scheme in ("gcs", "ray") and parts.path in ("", "/") and not parts.query
    return (parts.hostname, port) if well_formed and parts.hostname and port else None


def probe(address: str, source: str) -> None:
    """A UserError says at once if nobody answers at `address`; Ray itself would wait for minutes."""
    found = endpoint(address)
    if found is None:
        raise UserError(f"{source}: {address!r} is not allowed: must be host:port, ray://host:port or auto")
    try:
        socket.create_connection(found, timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise _unreachable(address, source, error.strerror or str(error)) from None


def _unreachable(address: str, source: str, reason: str) -> UserError:
    return UserError(
        f"{source}: no Ray cluster answers at {address} ({reason}); start one there with `ray start --head`,"
        f" or unset {source} to run on this machine"
    )


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
            num_cpus=_local_cpus(),
            num_gpus=torch.cuda.device_count(),
            object_store_memory=OBJECT_STORE_BYTES,
            include_dashboard=False,
            logging_level=logging.ERROR,
            runtime_env=hook,
            _node_ip_address="127.0.0.1",
        )
        return
    address, source = given
    if address != "auto":
        probe(address, source)
    try:
        ray.init(address=address, logging_level=logging.ERROR, runtime_env=hook)
    except ConnectionError as error:
        reason = f"{' '.join(str(error).split())}; if it asks for a token, set RAY_AUTH_TOKEN"
        raise _unreachable(address, source, reason) from error


def _local_cpus() -> int:
    """The CPUs that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def resources(cluster: Cluster) -> tuple[int, float]:
    """CPUs and GPUs of the cluster that `connected` gives; nothing is started to find out."""
    if ray.is_initialized():
        total = ray.cluster_resources()  # type: ignore[no-untyped-call]
        return int(total.get("CPU", 0)), float(total.get("GPU", 0))
    if address_of(cluster) is None:
        return _local_cpus(), float(torch.cuda.device_count())
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
