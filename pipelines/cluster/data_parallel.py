"""One training by N data-parallel workers of Ray Train, which replaces those that are lost."""

from __future__ import annotations

import traceback
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import ray.train
from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig, UserCallback, WorkerGroupError
from ray.train.torch import TorchConfig, TorchTrainer

from ..errors import UserError
from .asked import Asked
from .board import overheard, speaking
from .connect import what_is_up
from .gauge import gauge
from .launch import Report, Work
from .worker import is_loss, set_up


def run_workers(
    name: str, key: str, work: Work, asked: Asked, max_failures: int, storage: Path, report: Report
) -> None:
    """Run `work` on the cluster that this process is connected to; see `launch`."""
    # As mappings: what type checkers see of Ray Train are the classes of its first version.
    scaling: dict[str, Any] = {
        "num_workers": asked.most if asked.least == asked.most else (asked.least, asked.most),
        "use_gpu": asked.gpus > 0,
        "resources_per_worker": {"CPU": float(asked.cpus), **({"GPU": float(asked.gpus)} if asked.gpus else {})},
    }
    failures: dict[str, Any] = {"max_failures": max_failures, "max_preemption_failures": -1}
    with overheard(name, partial(_waits, name, asked), report) as board:
        trainer = TorchTrainer(
            _loop,
            train_loop_config={"name": name, "work": work, "asked": asked, "board": board, "attempt": uuid4().hex},
            torch_config=TorchConfig(backend="nccl" if asked.gpus else "gloo"),
            scaling_config=ScalingConfig(**scaling),
            run_config=RunConfig(
                name=f"{name.replace('@', '-')}-{key}",
                storage_path=str(storage.absolute() / "ray"),
                failure_config=FailureConfig(**failures),
                callbacks=[Losses(name, board)],  # type: ignore[list-item]
            ),
        )
        try:
            trainer.fit()
        except ControllerError as error:
            raise error.controller_failure from None
        except WorkerGroupError as error:
            reason = str(next(iter(error.worker_failures.values()))).splitlines()[0]
            raise UserError(
                f"{name}: workers were lost more often than cluster.max_failures allows ({max_failures}), at last:"
                f" {reason}; the same command goes on from the last checkpoint"
            ) from error


class Losses(UserCallback):
    """On Ray Train's controller: lets it replace workers that were lost, and end the training for any other error.

    Ray Train itself counts all errors alike, and would train a divergence or a mistake in a program again and again.
    """

    def __init__(self, name: str, board: Any) -> None:
        self._name, self._board = name, board

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise what a program got wrong: Ray Train does not retry what a callback raises."""
        for error in worker_exceptions.values():
            if not is_loss(error):
                raise error
        lost = f"{self._name}: a worker was lost; going on from the last checkpoint when it is replaced"
        self._board.lose.remote(self._name, lost)


def _loop(settings: dict[str, Any]) -> None:
    """What each worker runs."""
    context = ray.train.get_context()
    set_up(settings["asked"], settings["attempt"], context.get_world_size())
    rank = context.get_world_rank()
    try:
        with speaking(settings["name"], settings["board"]) if rank == 0 else nullcontext() as voice:
            settings["work"](lambda row: voice.send({**row, **gauge()}) if voice else None, _ends_soon)
    except Exception as error:
        if not isinstance(error, UserError):  # the traceback would stay behind in this process
            error.add_note(f"In worker {rank}:\n{traceback.format_exc()}")
        raise


def _ends_soon() -> bool:
    """Has the end of a machine been announced on which one of the workers is? All workers meet in this question."""
    return ray.train.get_preemption_info() is not None


def _waits(name: str, asked: Asked) -> str:
    return f"{name}: waits for {asked}: {what_is_up(asked)}"
