"""What a training asks of a cluster: how many workers, and what each reserves; without Ray."""

from __future__ import annotations

from typing import NamedTuple

from ..errors import UserError
from ..params.schema import Cluster


class Asked(NamedTuple):
    """From `least` to `most` workers, with so many CPUs and GPUs each."""

    least: int
    most: int
    cpus: int
    gpus: float

    def __str__(self) -> str:
        number = str(self.most) if self.least == self.most else f"{self.least} to {self.most}"
        return f"{number} worker{'s' * (self.most > 1)} with {self.each}{' each' * (self.most > 1)}"

    @property
    def each(self) -> str:
        """What one of them reserves."""
        return counted(self.cpus, "CPU") + (f" and {counted(self.gpus, 'GPU')}" if self.gpus else "")


def asked_of(cluster: Cluster, gpus_there: float) -> Asked | None:
    """What a training asks of a cluster in which so many GPUs are up; None if it runs in the stage's own process.

    UserError: GPUs are asked for and as many workers as there are GPUs, and there are none.
    """
    gpus = gpus_of_worker(cluster, gpus_there)
    if cluster.workers == "auto":
        number = int(gpus_there // gpus) if gpus else 0
        if gpus and not number:
            raise UserError(
                f"cluster.gpus_per_worker: {gpus} is not allowed here: cluster.workers is auto, which counts the GPUs"
                f" that are there, and there are {gpus_there:g}; set cluster.gpus_per_worker to auto or 0 to compute on"
                " CPUs, or give cluster.workers a number, for which a cluster waits"
            )
        return Asked(number, number, cluster.cpus_per_worker, gpus) if number else None
    if cluster.workers == 0:
        return None
    least, most = (cluster.workers, cluster.workers) if isinstance(cluster.workers, int) else cluster.workers
    return Asked(least, most, cluster.cpus_per_worker, gpus)


def gpus_of_worker(cluster: Cluster, gpus_there: float) -> int:
    """GPUs of a worker: as many as are asked for; of `auto` one where there are any."""
    if cluster.gpus_per_worker == "auto":
        return int(gpus_there > 0)
    return cluster.gpus_per_worker


def complain_of_lack(cluster: Cluster, cpus: int, gpus: float) -> None:
    """Raise `UserError` for what this machine, where it is all that there is, can never give."""
    least, _, *each = asked_of(cluster, gpus) or Asked(1, 1, cluster.cpus_per_worker, gpus_of_worker(cluster, gpus))
    for needed, there, unit in zip(each, (cpus, gpus), ("CPU", "GPU"), strict=True):
        if least * needed > there:
            workers = f"{counted(least, 'worker')} need{'s' * (least == 1)} {counted(least * needed, unit)}"
            raise UserError(
                f"cluster.workers: {cluster.workers} is not allowed here: {workers} and this machine has {there:g};"
                f" lower cluster.workers or cluster.{unit.lower()}s_per_worker, or set cluster.address"
            )


def counted(number: float, unit: str) -> str:
    """A number with its unit, in words."""
    return f"{number:g} {unit}" if number == 1 else f"{number:g} {unit}s"
