"""The cluster that was asked for, and this machine: what can be known of them without Ray."""

from __future__ import annotations

import os
import socket
import sys
from urllib.parse import urlsplit

from ..cpus import available_cpus
from ..errors import UserError
from ..params.schema import Cluster

PROBE_SECONDS = 3.0
STARTED_HERE = "GENERA_STARTED_RAY"  # the variable by which processes know that their cluster is this machine alone


def address_of(cluster: Cluster) -> tuple[str, str] | None:
    """The address of the cluster to use and where it was set; None if one is to be started here, or was."""
    if os.environ.get(STARTED_HERE):
        return None
    if os.environ.get("RAY_ADDRESS"):
        return os.environ["RAY_ADDRESS"], "RAY_ADDRESS"
    if cluster.address:
        return cluster.address, "cluster.address"
    return None


def endpoint(address: str) -> tuple[str, int] | None:
    """Host and port of `host:port`; None for anything else."""
    parts = urlsplit(f"gcs://{address}")
    try:
        port = parts.port
    except ValueError:
        return None
    well_formed = "://" not in address and parts.path in ("", "/") and not parts.query
    return (parts.hostname, port) if well_formed and parts.hostname and port else None


def probe(address: str, source: str) -> None:
    """A UserError says at once if nobody answers at `address`; Ray itself would wait for minutes."""
    found = endpoint(address)
    if address.startswith("ray://"):
        raise UserError(
            f"{source}: {address!r} is not allowed: nothing can be trained through Ray's client; give host:port, on a"
            " machine of the cluster, or send the command there with `ray job submit`"
        )
    if found is None:
        raise UserError(f"{source}: {address!r} is not allowed: must be host:port or auto")
    try:
        socket.create_connection(found, timeout=PROBE_SECONDS).close()
    except OSError as error:
        raise unreachable(address, source, error.strerror or str(error)) from None


def unreachable(address: str, source: str, reason: str) -> UserError:
    """The error that says that nobody answers."""
    return UserError(
        f"{source}: no Ray cluster answers at {address} ({reason}); start one there with `ray start --head`,"
        f" or unset {source} to run on this machine"
    )


def in_cluster() -> bool:
    """Is this process connected to a cluster already, as the tasks of `genera run` are?"""
    return "ray" in sys.modules and bool(sys.modules["ray"].is_initialized())


def local_cpus() -> int:
    """The CPUs that this process may use."""
    return available_cpus()
