"""Where Ray runs: in an existing cluster, or in one that is started here and ends with the process."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import ray

import models
import pipelines

from ..errors import UserError
from ..params.schema import Cluster
from .address import STARTED_HERE, address_of, local_cpus, probe, unreachable
from .asked import Asked, counted
from .head import looked_after
from .packages import complain_of_bare_machines
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
    given = address_of(cluster)
    try:
        complain_of_private_storage(cluster)
        if given:
            complain_of_bare_machines(given[1])
        with looked_after(ray.get_runtime_context().gcs_address, given[1]) if given else nullcontext():
            yield
    finally:
        ray.shutdown()
        os.environ.pop(STARTED_HERE, None)


def _connect(cluster: Cluster) -> None:
    quieten()
    hook = {"worker_process_setup_hook": "pipelines.cluster.quiet.set_up_worker"}
    given = address_of(cluster)
    if given is None:
        # Machines that come and go are those of others; the actor that looks out for them starts with a warning.
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
        os.environ[STARTED_HERE] = "1"
        # Ray lets its workers step back behind all others: beside other work they would hardly move.
        os.environ.setdefault("RAY_worker_niceness", "0")
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
    code = {"py_modules": [str(Path(module.__path__[0])) for module in (models, pipelines)]}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, runtime_env={**hook, **code})
    except ConnectionError as error:
        reason = f"{' '.join(str(error).split())}; if it asks for a token, set RAY_AUTH_TOKEN"
        raise unreachable(address, source, reason) from error
    except RuntimeError as error:
        if "Version mismatch" not in str(error):
            raise
        raise UserError(f"{source}: {address}: {' '.join(str(error).split())}") from None


def complain_of_private_storage(cluster: Cluster) -> None:
    """Raise `UserError` if checkpoints are to lie in the project's folder, and the cluster has other machines."""
    private = "://" not in cluster.storage and not Path(cluster.storage).is_absolute()
    nodes = ray.nodes() if private else []  # type: ignore[no-untyped-call]
    others = {node["NodeManagerHostname"] for node in nodes if node["Alive"]} - {socket.gethostname()}
    if others:
        raise UserError(
            f"cluster.storage: {cluster.storage} is not allowed here: other machines of the cluster do not see it;"
            " set a URL of object storage (s3://bucket/prefix), or the absolute path of a folder that all of them share"
        )


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


def what_is_up(asked: Asked) -> str:
    """How much of what is asked for the nodes of the cluster can hold, in words, for who waits for it."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    held = sum(_workers_on(node, asked) for node in nodes)
    up = f"the {counted(len(nodes), 'node')} that {'is' if len(nodes) == 1 else 'are'} up"
    if held < asked.least:
        return f"{up} can hold {held} of them, each node for itself; it goes on when there are more"
    total, free = ray.cluster_resources(), ray.available_resources()  # type: ignore[no-untyped-call]
    units = ("CPU", "GPU") if asked.gpus else ("CPU",)
    return f"of {up}, " + " and ".join(
        f"{free.get(unit, 0):g} of {counted(total[unit], unit)} are free" for unit in units
    )


def _workers_on(node: dict[str, float], asked: Asked) -> int:
    """How many workers a node can hold if it does nothing else."""
    needs = {"CPU": asked.cpus, "GPU": asked.gpus}
    return int(min(node.get(unit, 0) // each for unit, each in needs.items() if each))
