"""Several data-parallel workers for one trial: actors of Ray beside it in its placement group, and torch.distributed.

Ray Train inside of Tune would leave the workers of a trial behind that is stopped early. These are owned by the trial's
process, and end with it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import ray
from ray.exceptions import RayActorError, RayTaskError
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy
from torch import distributed
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from .asked import Asked
from .worker import is_loss, set_up

REASON_SECONDS = 10.0  # how long it may take until what went wrong in another worker is known
LOST = 70  # the exit status of a trial that has lost one of its workers
PATIENCE = timedelta(minutes=10)  # of a worker with another, which starts or computes on a busy machine


def together(first: Callable[[], None], others: Callable[[], None], asked: Asked, attempt: str) -> None:
    """Run `first` here and `others` in the other workers that are `asked` for, as ranks of one process group.

    What is raised in another worker is raised here. Where one is lost with its machine, this process is, too: Ray
    starts the whole trial again.
    """
    set_up(asked, attempt, asked.most)
    if asked.most == 1:
        first()
        return
    host = ray.util.get_node_ip_address()  # type: ignore[no-untyped-call]
    store = TCPStore(host, 0, asked.most, is_master=True, wait_for_workers=False)
    ended = threading.Event()
    workers = {rank: _worker(rank, asked) for rank in range(1, asked.most)}
    try:
        refs = [each.run.remote(others, asked, attempt, host, store.port, rank) for rank, each in workers.items()]
        threading.Thread(target=_end_with_any, args=(refs, ended), daemon=True).start()
        try:
            with _joined(store, 0, asked):
                first()
            ray.get(refs)
        except Exception:
            _raise_their_error(refs)
            raise
    finally:
        ended.set()
        for each in workers.values():
            ray.kill(each)


class _Worker:
    """Another worker of a trial."""

    def run(self, work: Callable[[], None], asked: Asked, attempt: str, host: str, port: int, rank: int) -> None:
        """Work as one rank of the trial."""
        set_up(asked, attempt, asked.most)
        with _joined(TCPStore(host, port, asked.most, is_master=False), rank, asked):
            work()


def _worker(rank: int, asked: Asked) -> Any:
    """A worker in a bundle of its own of the trial's placement group."""
    group = ray.util.get_current_placement_group()
    assert group is not None  # that of the trial
    place = PlacementGroupSchedulingStrategy(group, rank)
    actor: Any = ray.remote(_Worker)
    return actor.options(num_cpus=asked.cpus, num_gpus=asked.gpus, scheduling_strategy=place).remote()


@contextmanager
def _joined(store: Any, rank: int, asked: Asked) -> Iterator[None]:
    backend = "nccl" if asked.gpus else "gloo"
    distributed.init_process_group(backend, store=store, rank=rank, world_size=asked.most, timeout=PATIENCE)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def _end_with_any(refs: list[Any], ended: threading.Event) -> None:
    """End this process when a worker is lost before the trial has ended: its peers would wait for it."""
    while refs:
        done, refs = ray.wait(refs)
        try:
            with suppress(RayTaskError):  # is raised in the trial
                ray.get(done)
        except RayActorError:
            if not ended.is_set():
                os._exit(LOST)


def _raise_their_error(refs: list[Any]) -> None:
    """Raise what another worker has raised; what the first met then follows from it."""
    done, _ = ray.wait(refs, num_returns=len(refs), timeout=REASON_SECONDS)
    for ref in done:
        try:
            ray.get(ref)
        except RayTaskError as error:
            if not is_loss(error.cause):
                raise error.cause from None
