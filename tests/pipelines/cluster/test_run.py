"""What runs at once: real tasks of Ray that wait for each other, fail, die, and say how far they are."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from pipelines.cluster import display as displaying
from pipelines.cluster import run as running
from pipelines.cluster.address import address_of
from pipelines.cluster.connect import connected
from pipelines.cluster.display import Display, duration, time_left
from pipelines.cluster.run import run_tasks
from pipelines.cluster.tasks import Needs, Standing, Task
from pipelines.errors import UserError
from pipelines.params.schema import Cluster
from pipelines.progress import Pace, progress

from ...shell import HANGING


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("RAY_ADDRESS", raising=False)
        with connected(Cluster()):
            yield


def task(name: str, work: Callable[[], None], *after: str, done: bool = False, alone: bool = False) -> Task:
    return Task(
        name,
        lambda: lambda tell: work(),
        print,
        lambda result: None,
        lambda: done,
        lambda gpus: Needs(1, 0, 1, 0),
        frozenset(after),
        1.0,
        alone,
    )


def noted(log: Path, name: str, wait_for: str | None = None) -> None:
    """Note that this began, wait for another to have begun, and note that this has ended."""
    (log / f"{name}-began").touch()
    deadline = time.monotonic() + HANGING
    while wait_for is not None and not (log / f"{wait_for}-began").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (log / f"{name}-ended").touch()


def states(standings: list[Standing]) -> dict[str, str]:
    return {each.task.name: each.state for each in standings}


@pytest.mark.slow
@pytest.mark.parametrize("cpus", [0.0, 1.0])
def test_processes_that_start_slowly_do_not_wait_for_room(
    cpus: float, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A search reserves nothing itself; on a busy machine its process takes longer than who waits keeps quiet."""
    monkeypatch.setattr(running, "WAITING_SECONDS", -1.0)
    slow = replace(task("slow", lambda: time.sleep(0.5)), needs=lambda gpus: Needs(cpus, 0, 1, 0))
    assert states(run_tasks([slow], Cluster())) == {"slow": "finished"}
    assert "wait" not in "".join(capsys.readouterr())


@pytest.mark.slow
def test_tasks_run_at_once_and_in_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    if (os.cpu_count() or 1) < 2:
        pytest.skip("needs 2 CPUs")

    def last() -> None:
        assert sorted(each.name for each in tmp_path.iterdir() if "ended" in each.name) == ["a-ended", "b-ended"]
        with progress("last", 0, 4) as advance:
            advance(4, "all", last=True)
        print("a line of the last")

    def measured() -> None:
        assert (tmp_path / "done").exists()

    def then() -> None:
        last()
        (tmp_path / "done").touch()

    tasks = [
        task("speeds", measured, "a", "last", alone=True),
        task("a", partial(noted, tmp_path, "a", "b")),  # each waits until the other has begun
        task("b", partial(noted, tmp_path, "b", "a")),
        task("last", then, "a", "b", "before"),
        task("before", lambda: None, done=True),
    ]
    standings = run_tasks(tasks, Cluster())
    assert states(standings) == dict.fromkeys(["speeds", "a", "b", "last", "before"], "finished")
    assert next(each.seconds for each in standings if each.task.name == "before") == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "run: to do: speeds, a, b, last: about 3 s"
    assert said[1] == "a line of the last" and said[2].startswith("run: took: ") and "before" not in said[2]
    assert said[3].startswith("run: 5 of 5 finished in ") and len(said) == 4


@pytest.mark.slow
def test_what_fails_stops_only_what_depends_on_it(capsys: pytest.CaptureFixture[str]) -> None:
    def diverges() -> None:
        raise UserError("the loss is NaN")

    def breaks() -> None:
        raise ZeroDivisionError("a bug")

    ran = [task("good", lambda: print("went well")), task("speeds", lambda: print("measured"), "bad", alone=True)]
    tasks = [task("bad", diverges), task("bug", breaks), task("next", breaks, "bad"), task("further", breaks, "next")]
    standings = run_tasks([*tasks, *ran], Cluster())
    assert states(standings) == {
        **{"bad": "failed", "bug": "failed", "next": "skipped", "further": "skipped"},
        **{"good": "finished", "speeds": "finished"},
    }
    errors = {each.task.name: each.error for each in standings}
    assert errors["bad"] == "the loss is NaN"
    assert "ZeroDivisionError: a bug" in errors["bug"] and "test_run.py" in errors["bug"]
    assert errors["next"] == "bad did not end well" and errors["further"] == "next did not end well"
    assert {"went well", "measured"} <= set(capsys.readouterr().out.splitlines())


@pytest.mark.slow
def test_what_a_task_tells_is_heard_before_it_has_ended() -> None:
    happened: list[object] = []

    def work(tell: Callable[[object], None]) -> str:
        for number in range(3):
            tell(number)
        return "result"

    talking = replace(task("a", print), send=lambda: work, heard=happened.append, ended=happened.append)
    failing = replace(task("b", os.abort), ended=happened.append)  # without so much as an exception
    assert states(run_tasks([talking], Cluster())) == {"a": "finished"} and happened == [0, 1, 2, "result"]
    assert states(run_tasks([failing], Cluster(max_failures=0))) == {"b": "failed"} and happened[4:] == [None]


@pytest.mark.slow
def test_tasks_on_this_machine_know_that_they_are_at_home() -> None:
    found: list[object] = []

    def work(tell: Callable[[object], None]) -> None:
        tell(address_of(Cluster()))

    assert states(run_tasks([replace(task("a", print), send=lambda: work, heard=found.append)], Cluster()))
    assert found == [None], "or they would have the project sent to them"


@pytest.mark.slow
def test_a_killed_worker_is_replaced(tmp_path: Path) -> None:
    def killed_once() -> None:
        if not (tmp_path / "began").exists():
            (tmp_path / "began").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (tmp_path / "ended").touch()

    assert states(run_tasks([task("victim", killed_once)], Cluster())) == {"victim": "finished"}
    assert (tmp_path / "ended").exists()


def standing(name: str, seconds: float, *after: str, state: str = "waiting", alone: bool = False) -> Standing:
    made = replace(task(name, lambda: None, *after, alone=alone), seconds=seconds)
    return Standing(made, state)


def test_time_left() -> None:
    chain = [standing("a", 10), standing("b", 20, "a"), standing("c", 5), standing("speeds", 3, "b", alone=True)]
    assert time_left(chain, 1) == 38 and time_left(chain, 2) == time_left(chain, None) == 33
    chain[0].state = "finished"
    assert time_left(chain, 2) == 23
    assert time_left([standing("a", 10, state="failed")], 2) == 0


def test_durations() -> None:
    assert [duration(each) for each in (0.4, 59.6, 99, 100, 3600, 6000, 90000)] == [
        *("0 s", "60 s", "99 s", "2 min", "60 min", "1 h 40 min", "25 h 0 min"),
    ]


def test_the_first_line_says_what_is_not_known(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = standing("train@b", 0)
    unknown.task = replace(unknown.task, seconds=None)
    Display(2).begin([standing("train@a", 30), unknown, standing("evaluate@a", 10, state="finished")])
    Display(2).begin([unknown])
    assert capsys.readouterr().out.splitlines() == [
        "run: to do: 2 × train: about 30 s, and 1 of which nothing is known yet",
        "run: to do: train@b: nothing like it ran here yet".replace("@b", ""),
    ]


def test_a_log_gets_fewer_lines_as_time_goes_on(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shown, running = Display(1), standing("train@a", 4000, state="running")
    running.total = 4
    printed = []
    for second in range(4000):
        now[0] = second
        running.done = second // 1000
        shown.show([running, standing("b", 60)])
        if capsys.readouterr().out:
            printed.append(second)
    assert printed == [15, 45, 105, 225, 465, 945, 1545, 2145, 2745, 3345, 3945]
    now[0] = 1e6
    shown.show([running])
    assert capsys.readouterr().out.startswith("run: 0 of 1 done; running: train@a 75 %; about ")


def test_bars_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(displaying.Console):
        def __init__(self) -> None:
            super().__init__(force_terminal=True, width=80, record=True)

    monkeypatch.setattr(displaying, "Console", Terminal)
    shown, running = Display(2), standing("train@a", 40, state="running")
    running.done, running.total = 1, 4
    with shown.shown():
        shown.show([running, standing("evaluate@a", 10, "train@a")])
        shown.say("a line [of] a task")
        assert shown._bars is not None
        rows = [(each.description, each.percentage) for each in shown._bars.tasks]
        assert rows == [("run 0 of 2", 0.0), ("train@a", 25.0)]
        running.state = "finished"
        shown.show([running, standing("evaluate@a", 10, state="running")])
        assert [each.description for each in shown._bars.tasks] == ["run 1 of 2", "evaluate@a"]
    assert "a line [of] a task" in shown._console.export_text()


def test_pace_is_asked_once_for_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    pace = Pace()
    now[0] = 16
    assert pace.due() and not pace.due()
