"""What `run_tasks` runs, and how it stands; without Ray."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple


class Needs(NamedTuple):
    """CPUs and GPUs that a task reserves for itself, and those that it uses with the workers that it starts."""

    cpus: float
    gpus: float
    used_cpus: float
    used_gpus: float


Tell = Callable[[Any], None]


@dataclass(frozen=True)
class Task:
    """A piece of work, which starts when those that it comes `after` have ended well.

    `send` is called here when it starts, and gives what a worker calls. What that tells while it works is `heard` here,
    and `ended` is called here with what it returns, or with None if it failed. `done_before` brings the task to its end
    without Ray if its work was done before, and says whether it was. `needs` is asked with the number of GPUs that
    there are. `seconds` are expected. One that is `alone` waits until nothing else runs, and starts whatever failed.
    """

    name: str
    send: Callable[[], Callable[[Tell], Any]]
    heard: Tell
    ended: Callable[[Any], None]
    done_before: Callable[[], bool]
    needs: Callable[[float], Needs]
    after: frozenset[str] = frozenset()
    seconds: float | None = None
    alone: bool = False


@dataclass
class Standing:
    """How a task stands: waiting, running, finished, failed, or skipped since one that it comes after has failed.

    Of a running one `done` of `total` steps; of an ended one the `seconds` that it took, which are 0 if it was done
    before, and its `error` if it failed.
    """

    task: Task
    state: str = "waiting"
    began: float = 0.0
    seconds: float = 0.0
    done: int = 0
    total: int = 0
    error: str = ""
    asked: bool = False  # whether its work was done before
