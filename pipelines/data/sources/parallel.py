"""Work on many files with every core, in order, with little in memory, and with progress to look at."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from threading import Thread
from typing import TypeVar

from ...cpus import available_cpus as _cores
from ...errors import UserError
from ...progress import progress

Item = TypeVar("Item")
Result = TypeVar("Result")
AHEAD = 3  # chunks per process that may be under way or waiting: what bounds the memory
FEW = 200  # items below which starting processes takes longer than the work


def in_chunks(
    name: str, work: Callable[[Sequence[Item]], Result], items: Sequence[Item], size: int
) -> Iterator[tuple[Sequence[Item], Result]]:
    """Each chunk of `size` items, in order, with what `work` makes of it; in processes if there are many items."""
    chunks = [items[start : start + size] for start in range(0, len(items), size)]
    with progress(name, 0, len(items), "file") as advance:
        done = 0
        for chunk, result in _results(work, chunks, len(items)):
            yield chunk, result
            done += len(chunk)
            advance(done, "", last=done == len(items))


def _results(
    work: Callable[[Sequence[Item]], Result], chunks: list[Sequence[Item]], count: int
) -> Iterator[tuple[Sequence[Item], Result]]:
    processes = min(_cores(), len(chunks))
    if count < FEW or processes == 1:
        yield from ((chunk, work(chunk)) for chunk in chunks)
        return
    # Spawned, for the parent may have threads. One process per core: the parent only writes.
    pool = ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_end_with_parent)
    waiting: deque[tuple[Sequence[Item], Future[Result]]] = deque()
    try:
        for chunk in chunks:
            waiting.append((chunk, pool.submit(work, chunk)))
            if len(waiting) >= AHEAD * processes:
                first, future = waiting.popleft()
                yield first, future.result()
        while waiting:
            first, future = waiting.popleft()
            yield first, future.result()
    except BrokenProcessPool:
        raise UserError("a process that reads the files was killed, for want of memory perhaps; run it again") from None
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """End this process when the one that started it is gone, killed perhaps: else it would wait for work for ever."""
    parent = parent_process()
    assert parent is not None

    def wait() -> None:
        parent.join()
        os._exit(1)

    Thread(target=wait, daemon=True).start()
