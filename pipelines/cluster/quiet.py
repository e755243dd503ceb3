"""What Ray's own processes would tell the user, who could not act upon it."""

import logging
import os

import ray


def quieten() -> None:
    """Let Ray's libraries log in this process only what ends the run; their files under /tmp/ray keep the rest."""
    for library in ("ray.train", "ray.tune", "ray.data"):
        logging.getLogger(library).setLevel(logging.CRITICAL)


def set_up_worker() -> None:
    """Runs in every worker process as it starts, Ray's helpers included."""
    quieten()
    # Ray Train's helpers look for a cluster on the machine, and give up where they find two.
    os.environ.setdefault("RAY_ADDRESS", ray.get_runtime_context().gcs_address)
