"""The head of the cluster that this process is connected to: where it goes away, Ray itself ends the process mutely."""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .address import PROBE_SECONDS, endpoint

LOOK_SECONDS = 5.0  # between two looks at it
GONE_SECONDS = 40.0  # without an answer: one that is started again within them goes on, and after 60 Ray gives up


@contextmanager
def looked_after(address: str, source: str) -> Iterator[None]:
    """Within, end this process with a line when the head of a cluster does not answer for long.

    Nothing can be unwound then: all that would be asked to stop is out of reach.
    """
    ended = threading.Event()
    thread = threading.Thread(target=_look, args=(address, source, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()


def _look(address: str, source: str, ended: threading.Event) -> None:
    host_and_port, answered = endpoint(address), time.monotonic()
    assert host_and_port is not None  # Ray has named it
    while not ended.wait(LOOK_SECONDS):
        try:
            socket.create_connection(host_and_port, timeout=PROBE_SECONDS).close()
            answered = time.monotonic()
        except OSError as error:
            if time.monotonic() - answered > GONE_SECONDS:
                _end(f"{source}: the head of the Ray cluster at {address} went away ({error.strerror or error})")


def _end(reason: str) -> None:
    sys.stdout.flush()
    print(
        f"error: {reason}; when it is up again, the same command goes on from what is in cluster.storage",
        file=sys.stderr,
        flush=True,
    )
    os._exit(1)
