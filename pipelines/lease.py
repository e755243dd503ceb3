"""Who works on a folder that several processes, on several machines, may want to work on at once.

Each owner has a file `owner-<token>.json` in it, with a number one higher than the owner before; it is written again
every few seconds. Only one process can make the file of a number, and only the highest number counts. Whoever wants
the folder waits until its owner has ended, has died on this machine, or has not been heard of for a minute. An owner
that was only cut off finds a higher number when it comes back, and stops before it writes anything.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any
from uuid import uuid4

from .errors import UserError
from .process_mark import has_died, mark
from .storage import Folder

BEAT_SECONDS = 10.0  # between two signs of life
SILENT_SECONDS = 60.0  # without one, after which an owner counts as gone
LOOK_SECONDS = 1.0  # between two looks of who waits
SAY_SECONDS = 30.0  # between two lines of who waits
ATTEMPT = "GENERA_ATTEMPT"  # the variable that tells which processes are started one in place of another


@contextmanager
def owned(folder: Folder, name: str) -> Iterator[Lease]:
    """Be the only one who works on a folder within; waits until that can be. `name` is the work's, for people."""
    lease = Lease(folder, name)
    lease.take()
    ended = threading.Event()
    beating = threading.Thread(target=lease.beat, args=(ended,), daemon=True)
    beating.start()
    try:
        yield lease
    finally:
        ended.set()
        beating.join()
        lease.give_back()


class Lease:
    """The right to work on a folder, with the number of its owner."""

    def __init__(self, folder: Folder, name: str) -> None:
        self._folder, self._name, self.token = folder, name, 0
        self._who = f"process {os.getpid()} on {socket.gethostname()}"
        self._attempt = os.environ.get(ATTEMPT) or uuid4().hex
        self._beats = 0

    def take(self) -> None:
        """Become the owner; while another one is, wait and say for whom."""
        seen, since, said = dict[str, Any](), time.monotonic(), time.monotonic()
        while True:
            before = self._owners()
            owner = json.loads(self._folder.read(before[-1]) or b"{}") if before else {}
            if owner != seen:
                seen, since = owner, time.monotonic()
            if self._may_follow(owner, time.monotonic() - since):
                self.token = _token(before[-1]) + 1 if before else 1
                if self._folder.create(self._file, self._content()):
                    if self._owners()[-1:] == [self._file]:
                        for name in before:
                            self._folder.remove(name)
                        return
                    self._folder.remove(self._file)  # others came and went meanwhile: the number was free again
                continue
            if time.monotonic() - said > SAY_SECONDS:
                said = time.monotonic()
                print(f"{self._name}: waits: {owner['who']} works on it", flush=True)
            time.sleep(LOOK_SECONDS)

    def check(self) -> None:
        """Raise `UserError` if another process has become the owner."""
        last = self._owners()[-1:]
        if last != [self._file]:
            owner = json.loads(self._folder.read(last[0]) or b"{}") if last else {}
            raise UserError(
                f"{self._name}: {owner.get('who', 'another process')} has taken over, since this one was not heard of"
                " for a while; nothing is lost"
            )

    def beat(self, ended: threading.Event) -> None:
        """Give signs of life until all has ended."""
        while not ended.wait(BEAT_SECONDS):
            self._beats += 1
            try:
                if self._owners()[-1:] == [self._file]:
                    self._folder.write(self._file, self._content())
            except (UserError, OSError):  # the storage is away: who writes next will say so
                continue

    def give_back(self) -> None:
        """Let the next one follow at once. The file stays: numbers only grow."""
        with suppress(UserError, OSError):  # without this the next one waits until nothing is heard of this one
            if self._owners()[-1:] == [self._file]:
                self._folder.write(self._file, self._content(ended=True))

    def _may_follow(self, owner: dict[str, Any], silent: float) -> bool:
        """Is there no owner any more?"""
        return (
            not owner
            or owner["ended"]
            or owner["attempt"] == self._attempt  # which this process was started in place of
            or has_died(owner)
            or silent > SILENT_SECONDS
        )

    def _owners(self) -> list[str]:
        return [name for name in self._folder.names() if name.startswith("owner-")]

    @property
    def _file(self) -> str:
        return f"owner-{self.token:010d}.json"

    def _content(self, ended: bool = False) -> bytes:
        content = {
            "who": self._who,
            **mark(),
            "attempt": self._attempt,
            "beats": self._beats,
            "ended": ended,
        }
        return (json.dumps(content) + "\n").encode()


def _token(name: str) -> int:
    return int(name.removeprefix("owner-").removesuffix(".json"))
