"""Who works on a folder: one at a time, whoever died or was cut off."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines import lease
from pipelines.errors import UserError
from pipelines.files import write_text
from pipelines.lease import ATTEMPT, Lease, owned
from pipelines.storage import Folder

from ..shell import HANGING


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ATTEMPT, raising=False)
    monkeypatch.setattr(lease, "LOOK_SECONDS", 0.01)


def owners(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def test_one_works_after_the_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    working, most, lock = 0, list[int](), threading.Lock()

    def work() -> None:
        nonlocal working
        with owned(Folder(tmp_path), "train@vae") as mine:
            with lock:
                working += 1
                most.append(working)
            time.sleep(0.05)
            mine.check()
            with lock:
                working -= 1

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANGING)
    assert most == [1] * 4 and owners(tmp_path) == ["owner-0000000004.json"]


def test_a_number_that_was_used_and_is_free_again_is_no_ownership(tmp_path: Path) -> None:
    first, second, third, late = (Lease(Folder(tmp_path), "x") for _ in range(4))
    first.take()
    first.give_back()

    class Slow(Folder):
        """Where others come and go between the look for an owner and the file of the next one."""

        def create(self, name: str, content: bytes) -> bool:
            if name == "owner-0000000002.json":
                second.take()
                second.give_back()
                third.take()
                third.give_back()
            return super().create(name, content)

    late._folder = Slow(tmp_path)
    late.take()
    assert late.token == 4 and owners(tmp_path) == ["owner-0000000004.json"]
    late.check()


def test_who_waits_says_for_whom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(lease, "SAY_SECONDS", 0.0)
    with owned(Folder(tmp_path), "train@vae"):
        waiting = threading.Thread(target=Lease(Folder(tmp_path), "train@vae").take)
        waiting.start()
        deadline, said = time.monotonic() + HANGING, ""
        while not said:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            said = capsys.readouterr().out
    waiting.join(HANGING)
    assert said.startswith(f"train@vae: waits: process {os.getpid()} on ") and "works on it" in said


def test_the_folder_of_a_process_that_was_killed_is_free_at_once(tmp_path: Path) -> None:
    code = (
        "import sys, time; from pipelines.lease import Lease; from pipelines.storage import Folder;"
        "Lease(Folder(sys.argv[1]), 'x').take(); print('mine', flush=True); time.sleep(1000)"
    )
    with subprocess.Popen([sys.executable, "-c", code, tmp_path], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "mine\n"
        assert not Lease(Folder(tmp_path), "x")._may_follow(json.loads((tmp_path / owners(tmp_path)[0]).read_text()), 0)
        process.kill()
    with owned(Folder(tmp_path), "x") as mine:
        assert mine.token == 2


def elsewhere(folder: Path, **more: object) -> None:
    """Let the owner be a process of another machine."""
    (file,) = folder.glob("owner-*")
    write_text(file, json.dumps({**json.loads(file.read_text()), "host": "another", **more}))


def test_an_owner_on_another_machine_is_waited_for_until_it_is_silent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "SILENT_SECONDS", 0.3)
    first = Lease(Folder(tmp_path), "x")
    first.take()
    ended = threading.Event()

    def alive() -> None:
        for beats in range(10):
            elsewhere(tmp_path, beats=beats)
            time.sleep(0.1)
        ended.set()

    beating = threading.Thread(target=alive)
    beating.start()
    second = Lease(Folder(tmp_path), "x")
    second.take()
    assert ended.wait(0.0), "as long as there were signs of life"
    beating.join()
    second.check()
    with pytest.raises(UserError, match=r"x: process \d+ on .* has taken over"):
        first.check()
    first.give_back()
    second.check()


def test_who_is_started_in_place_of_another_does_not_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ATTEMPT, "attempt")
    Lease(Folder(tmp_path), "x").take()
    elsewhere(tmp_path)
    with owned(Folder(tmp_path), "x") as mine:
        assert mine.token == 2


def test_signs_of_life_are_given(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "BEAT_SECONDS", 0.01)
    with owned(Folder(tmp_path), "x"):
        deadline = time.monotonic() + HANGING
        while json.loads((tmp_path / "owner-0000000001.json").read_text())["beats"] < 3:
            assert time.monotonic() < deadline
            time.sleep(0.01)
    assert json.loads((tmp_path / "owner-0000000001.json").read_text())["ended"]
