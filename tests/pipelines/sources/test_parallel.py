"""Work in several processes: in order, the same as in one, and its errors are those of the work."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence

import pytest

from pipelines.errors import UserError
from pipelines.sources import parallel
from pipelines.sources.parallel import in_chunks


def squares(numbers: Sequence[int]) -> list[int]:
    return [number**2 for number in numbers]


def refuse_fifty(numbers: Sequence[int]) -> None:
    if 50 in numbers:
        raise UserError("50 is refused")


def die(numbers: Sequence[int]) -> None:
    if 50 in numbers:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.fixture(autouse=True)
def two_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "_cores", lambda: 2)
    monkeypatch.setattr(parallel, "FEW", 100)


@pytest.mark.parametrize("count", [0, 1, 99, 100, 205])
def test_chunks_come_in_order(count: int) -> None:
    found = list(in_chunks("work", squares, range(count), 10))
    assert [number for chunk, _ in found for number in chunk] == list(range(count))
    assert [square for _, result in found for square in result] == [number**2 for number in range(count)]


@pytest.mark.parametrize("count", [60, 150])
def test_errors_of_the_work_are_raised(count: int) -> None:
    with pytest.raises(UserError, match="50 is refused"):
        list(in_chunks("work", refuse_fifty, range(count), 10))


def test_a_process_that_is_killed_is_one_line() -> None:
    with pytest.raises(UserError, match="was killed, for want of memory perhaps; run it again"):
        list(in_chunks("work", die, range(150), 10))
