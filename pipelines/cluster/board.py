"""What workers print and how far they are, brought to the process that waits for them, over an actor of Ray.

Ray itself would print every line of every process, with the number of the process before it.
"""

from __future__ import annotations

import io
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from typing import Any

import ray

from ..progress import heard_by, progress

NEWS_SECONDS = 0.5  # between two messages of a worker about how far it is


def new_board() -> Any:
    """The handle of a new board. It lives as long as this process."""
    return ray.remote(Board).options(num_cpus=0).remote()


@contextmanager
def speaking(name: str, board: Any) -> Iterator[None]:
    """In a worker: what is printed within, and how far its work of this name is, goes to the board."""
    voice = Voice(name, board)
    with heard_by(voice.hear), redirect_stdout(voice), redirect_stderr(voice):
        try:
            yield
        finally:
            voice.finish()


@contextmanager
def overheard(name: str) -> Iterator[Any]:
    """In a process that waits for workers: a board, of which all is printed and shown here while it waits."""
    board, ended = new_board(), threading.Event()
    thread = threading.Thread(target=_overhear, args=(name, board, ended))
    thread.start()
    try:
        yield board
    finally:
        ended.set()
        thread.join()


def _overhear(name: str, board: Any, ended: threading.Event) -> None:
    """Print and show what comes to a board, until all has ended."""
    with ExitStack() as stack:
        advance, last = None, False
        while not last:
            last = ended.wait(NEWS_SECONDS)
            lines, heard = ray.get(board.take.remote())
            for line in lines:
                print(line, flush=True)
            for done, total in heard.values():
                advance = advance or stack.enter_context(progress(name, done, total))
                advance(done, "")


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

    def finish(self) -> None:
        """Hand on the rest, and wait until all has arrived: the task has ended then."""
        if self._rest.strip():
            self._board.say.remote(self._rest)
        ray.get(self._board.arrived.remote())


class Board:
    """An actor that holds what tasks have said until it is taken."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque()
        self._heard: dict[str, tuple[int, int]] = {}

    def say(self, line: str) -> None:
        """Keep a line."""
        self._lines.append(line)

    def hear(self, name: str, done: int, total: int) -> None:
        """Keep how far a task is."""
        self._heard[name] = (done, total)

    def arrived(self) -> None:
        """Answer after all that was said before."""

    def take(self) -> tuple[list[str], dict[str, tuple[int, int]]]:
        """Everything since the last time."""
        taken = list(self._lines), self._heard
        self._lines, self._heard = deque(), {}
        return taken
