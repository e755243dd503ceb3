"""What workers print and how far they are, brought to the process that waits for them, over an actor of Ray.

Ray itself would print every line of every process, with the number of the process before it.
"""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any, NamedTuple

import ray
from ray.exceptions import ActorDiedError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import UserError
from ..progress import heard_by, progress

NEWS_SECONDS = 0.5  # between two messages of a worker about how far it is
WAITING_SECONDS = 30.0  # between two lines about what is waited for


class News(NamedTuple):
    """What was said, heard and told since the last time, and whose work is under way."""

    lines: list[str]
    heard: dict[str, tuple[int, int]]
    told: list[tuple[str, Any]]
    under_way: frozenset[str]


def new_board() -> Any:
    """The handle of a new board. It lives on this machine, as long as this process: no other loss takes it away.

    UserError: the cluster and this process do not trust each other.
    """
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    board: Any = ray.remote(Board).options(num_cpus=0, scheduling_strategy=here).remote()
    try:
        ray.get(board.arrived.remote())
    except ActorDiedError as error:
        mode = os.environ.get("RAY_AUTH_MODE", "disabled")
        raise UserError(
            f"the cluster's processes and this one cannot talk to each other: here RAY_AUTH_MODE is {mode}; set it to"
            " what it is there (token or disabled), and RAY_AUTH_TOKEN to the cluster's token"
        ) from error
    return board


@contextmanager
def speaking(name: str, board: Any) -> Iterator[Voice]:
    """In a worker: what is printed within, and how far its work of this name is, goes to the board.

    So does whatever it tells the voice.
    """
    voice = Voice(name, board)
    board.begin.remote(name)
    with heard_by(voice.hear), redirect_stdout(voice), redirect_stderr(voice):
        try:
            yield voice
        finally:
            voice.finish()


@contextmanager
def overheard(name: str, waits: Callable[[], str], report: Callable[[Any], None]) -> Iterator[Any]:
    """In a process that waits for workers: a board, of which all is printed, shown and reported here while it waits.

    While the work is not under way, every half minute a line says what it waits for.
    """
    board, ended = new_board(), threading.Event()
    thread = threading.Thread(target=_overhear, args=(name, board, ended, waits, report))
    thread.start()
    try:
        yield board
    finally:
        ended.set()
        thread.join()


def _overhear(
    name: str, board: Any, ended: threading.Event, waits: Callable[[], str], report: Callable[[Any], None]
) -> None:
    """Print, show and report what comes to a board, until all has ended."""
    with ExitStack() as stack:
        advance, last, quiet_since = None, False, time.monotonic()
        while not last:
            last = ended.wait(NEWS_SECONDS)
            news: News = ray.get(board.take.remote())
            for line in news.lines:
                print(line, flush=True)
            for _, row in news.told:
                report(row)
            for done, total in news.heard.values():
                advance = advance or stack.enter_context(progress(name, done, total))
                advance(done, "")
            if name in news.under_way:
                quiet_since = time.monotonic()
            elif time.monotonic() - quiet_since > WAITING_SECONDS and not last:
                print(waits(), flush=True)
                quiet_since = time.monotonic()


class Voice(io.TextIOBase):
    """What a task prints and how far it is, on the way to the board."""

    def __init__(self, name: str, board: Any) -> None:
        self._name, self._board = name, board
        self._rest, self._last = "", 0.0

    def write(self, text: str) -> int:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in filter(str.strip, lines):
            self._board.say.remote(line)
        return len(text)

    def hear(self, name: str, step: int, total: int) -> None:
        """How far the task is; not more often than anyone would look."""
        if time.monotonic() - self._last >= NEWS_SECONDS:
            self._last = time.monotonic()
            self._board.hear.remote(self._name, step, total)

    def send(self, what: Any) -> None:
        """Send something to the process that waits."""
        self._board.tell.remote(self._name, what)

    def finish(self) -> None:
        """Hand on the rest, and wait until all has arrived: the task has ended then."""
        if self._rest.strip():
            self._board.say.remote(self._rest)
        ray.get(self._board.arrived.remote())


class Board:
    """An actor that holds what tasks have said until it is taken."""

    def __init__(self) -> None:
        self._lines: list[str] = []
        self._heard: dict[str, tuple[int, int]] = {}
        self._told: list[tuple[str, Any]] = []
        self._under_way: set[str] = set()

    def begin(self, name: str) -> None:
        """The work of this name is under way."""
        self._under_way.add(name)

    def lose(self, name: str, line: str) -> None:
        """It no longer is: say so, once."""
        if name in self._under_way:
            self._under_way.remove(name)
            self._lines.append(line)

    def say(self, line: str) -> None:
        """Keep a line."""
        self._lines.append(line)

    def hear(self, name: str, done: int, total: int) -> None:
        """Keep how far a task is."""
        self._heard[name] = (done, total)

    def tell(self, name: str, what: Any) -> None:
        """Keep what a task has to tell the process that waits for it."""
        self._told.append((name, what))

    def arrived(self) -> None:
        """Answer after all that was said before."""

    def take(self) -> News:
        """Everything since the last time."""
        taken = News(self._lines, self._heard, self._told, frozenset(self._under_way))
        self._lines, self._heard, self._told = [], {}, []
        return taken
