"""Everything that can run at once does: tasks of Ray, each with the CPUs and GPUs that it declares.

A task starts when those that it comes after have ended well, and there is room for it; of those that wait, that one
first on which the longest way to the end hangs. A worker that dies is replaced by Ray, and its task begins again, which
for our tasks means: goes on from its last checkpoint. What tasks print and how far they are comes over a board.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import ray
from ray.exceptions import RayError, RayTaskError

from ..errors import UserError
from ..params.schema import Cluster
from .address import address_of, local_cpus
from .asked import Asked, complain_of_lack
from .board import WAITING_SECONDS, News, new_board, speaking
from .connect import connected, resources, what_is_up
from .display import Display, way
from .tasks import Standing, Task, Tell

POLL_SECONDS = 0.25  # between two looks at what has ended
HANDED_ON = "MLFLOW_"  # how the variables begin that tasks get from this process, wherever they run


def run_tasks(tasks: Sequence[Task], cluster: Cluster) -> list[Standing]:
    """Bring all tasks to an end, but for those that depend on a failed one, and say how they stand.

    UserError: the cluster is out of reach. Errors of tasks are in what is returned.
    """
    slots = None if address_of(cluster) else max(1, local_cpus() // cluster.cpus_per_worker)
    display = Display(slots)
    with ExitStack() as stack, display.shown():
        runner = _Runner(tasks, cluster, display, stack)
        runner.run()
        display.end(runner.standings.values())
        return list(runner.standings.values())


class _Runner:
    """The tasks under way."""

    def __init__(self, tasks: Sequence[Task], cluster: Cluster, display: Display, stack: ExitStack) -> None:
        self.cluster, self.display, self.stack = cluster, display, stack
        self.standings = {task.name: Standing(task) for task in tasks}
        known, seconds = {task.name: task for task in tasks}, {task.name: task.seconds or 0.0 for task in tasks}
        self.ways = {name: way(name, known, seconds) for name in known}
        self.running: dict[Any, Standing] = {}
        self.board: Any = None
        self.cpus, self.gpus = 0, 0.0  # of the cluster, once there is one
        self.quiet_since = time.monotonic()  # nothing waits for room on the cluster, or a line has said so

    def run(self) -> None:
        while True:
            while self._skip_what_waits_in_vain() or self._take_what_was_done() or self._start():
                pass
            if not self.running:
                return
            ended, _ = ray.wait(list(self.running), timeout=POLL_SECONDS)
            self._listen()
            for reference in ended:
                self._end(reference)
            self.display.show(self.standings.values())

    def _skip_what_waits_in_vain(self) -> bool:
        """Does anything wait for a task that failed, or was skipped itself? It is skipped, too."""
        found = False
        for standing in self._waiting():
            failed = [name for name in standing.task.after if self._state(name) in ("failed", "skipped")]
            if failed and not standing.task.alone:
                found, standing.state, standing.error = True, "skipped", f"{failed[0]} did not end well"
        return found

    def _take_what_was_done(self) -> bool:
        """Was the work of any of those that may start done before? It takes time to find out, and is asked once."""
        new = [standing for standing in self._ready() if not standing.asked]
        for standing in new:
            standing.asked = True
            if standing.task.done_before():
                standing.state = "finished"
        return any(standing.state == "finished" for standing in new)

    def _start(self) -> bool:
        """Start one more, if one may and there is room for it."""
        ready = self._ready()
        if not ready:
            return False
        if self.board is None:
            self.display.begin(self.standings.values())
            self.stack.enter_context(connected(self.cluster))
            self.cpus, self.gpus = resources(self.cluster)
            if address_of(self.cluster) is None:
                complain_of_lack(self.cluster, self.cpus, self.gpus)
            self.board = new_board()
        found = next((standing for standing in ready if self._has_room(standing.task)), None)
        if found is None:
            return False
        found.state, found.began = "running", time.monotonic()
        self.running[self._submit(found.task)] = found
        return True

    def _ready(self) -> list[Standing]:
        """What waits for nothing but room, that first on which the longest way hangs."""
        waiting = list(self._waiting())
        others = [each for each in waiting if not each.task.alone]
        if not others:
            return [] if self.running else waiting[:1]
        ready = [each for each in others if all(self._state(name) == "finished" for name in each.task.after)]
        return sorted(ready, key=lambda each: -self.ways[each.task.name])

    def _waiting(self) -> Iterator[Standing]:
        return (each for each in self.standings.values() if each.state == "waiting")

    def _state(self, name: str) -> str:
        return self.standings[name].state

    def _has_room(self, task: Task) -> bool:
        """Is there room on this machine? On a cluster all that is ready is asked for, so that it may grow."""
        if address_of(self.cluster) is not None or not self.running:
            return True
        used = [each.task.needs(self.gpus) for each in self.running.values()]
        needed = task.needs(self.gpus)
        return (
            sum(each.used_cpus for each in used) + needed.used_cpus <= self.cpus
            and sum(each.used_gpus for each in used) + needed.used_gpus <= self.gpus
        )

    def _submit(self, task: Task) -> Any:
        needed = task.needs(self.gpus)
        remote = ray.remote(_work).options(
            num_cpus=needed.cpus, num_gpus=needed.gpus, name=task.name, max_retries=self.cluster.max_failures
        )
        handed_on = {name: value for name, value in os.environ.items() if name.startswith(HANDED_ON)}
        return remote.remote(task.name, task.send(), self.board, handed_on)

    def _listen(self) -> None:
        """Take in what tasks have said since the last time, and say now and then which wait for room on the cluster."""
        news: News = ray.get(self.board.take.remote())
        for name, (done, total) in news.heard.items():
            self.standings[name].done, self.standings[name].total = done, total
        for line in news.lines:
            self.display.say(line)
        for name, what in news.told:
            self.standings[name].task.heard(what)
        begun = [each.task for each in self.running.values()]
        waiting = [task for task in begun if task.name not in news.under_way and self._waits_for_room(task)]
        if not waiting:
            self.quiet_since = time.monotonic()
        elif time.monotonic() - self.quiet_since > WAITING_SECONDS:
            self.quiet_since = time.monotonic()
            needed = max(task.needs(self.gpus) for task in waiting)
            asked = Asked(1, 1, math.ceil(needed.cpus), math.ceil(needed.gpus))
            names = ", ".join(task.name for task in waiting)
            self.display.say(f"run: wait for room, {asked.each} at most: {names}: {what_is_up(asked)}")

    def _waits_for_room(self, task: Task) -> bool:
        """Is it room that a task lacks which has not begun? On this machine there was room before it was started."""
        needed = task.needs(self.gpus)
        return address_of(self.cluster) is not None and needed.cpus + needed.gpus > 0

    def _end(self, reference: Any) -> None:
        standing = self.running.pop(reference)
        standing.seconds, result = time.monotonic() - standing.began, None
        try:
            result = ray.get(reference)
            standing.state = "finished"
        except RayTaskError as error:
            standing.state, standing.error = "failed", _message(error)
        except RayError as error:  # its process died, again and again
            standing.state, standing.error = "failed", f"its process died: {str(error).splitlines()[0]}"
        standing.task.ended(result)


def _message(error: RayTaskError) -> str:
    """What a user can mend is a line; of anything else developers want to see where."""
    cause = error.cause
    return str(cause) if isinstance(cause, UserError) else str(error)


def _work(name: str, work: Callable[[Tell], Any], board: Any, environment: Mapping[str, str]) -> Any:
    """Runs in a worker of Ray, one task after the other."""
    os.environ.update(environment)
    with speaking(name, board) as voice:
        return work(voice.send)
