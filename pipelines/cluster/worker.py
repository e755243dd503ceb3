"""What every process is set up with that Ray starts for a training or a trial, and what its errors mean."""

from __future__ import annotations

import os

import torch
from torch import distributed

from ..device import WORKERS
from ..lease import ATTEMPT
from .asked import Asked


def set_up(asked: Asked, attempt: str, workers: int) -> None:
    """Let this process compute with what was reserved for it, as one of so many.

    Who is started in its place is of the same attempt.
    """
    if not asked.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # Ray leaves GPUs that were not reserved in sight
    torch.set_num_threads(asked.cpus)
    os.environ[ATTEMPT], os.environ[WORKERS] = attempt, str(workers)


def is_loss(error: BaseException) -> bool:
    """Does an error of a worker say that one was lost: Ray misses it, or a collective of its peers broke?

    NCCL raises a DistError then, and gloo a bare RuntimeError that names its source files.
    """
    if isinstance(error, distributed.DistError) or type(error).__module__.partition(".")[0] == "ray":
        return True
    return type(error) is RuntimeError and "/gloo/" in str(error)
