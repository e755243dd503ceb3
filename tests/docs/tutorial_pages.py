"""The blocks of a tutorial, and how they are run as a reader would: in order, in one folder.

A block of `sh` or `python` is run. A comment on the line before a block says if it is something else:

    write: FILE           the block is the whole of a file
    merge: FILE           the block is put into a YAML file, key by key
    insert: FILE before X the block goes before the first line of the file that has X
    make                  `make repro`, without making the environment
    fails                 the block ends with an error, whose line the next block of `text` shows
    skip: WHY             the block is not run
"""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from ..shell import HANGING

TUTORIALS = Path(__file__).parents[2] / "docs" / "tutorials"
BLOCK = re.compile(r"(?:^<!-- (?P<note>.*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
MAKE = "genera plan\ndvc repro"


@dataclass(frozen=True)
class Step:
    """A block of a tutorial: its language, its text, and what the comment before it says."""

    language: str
    text: str
    note: str


def steps(tutorial: str) -> list[Step]:
    """The blocks of a tutorial, in order."""
    page = (TUTORIALS / f"{tutorial}.md").read_text(encoding="utf-8")
    return [Step(found["language"], found["text"], found["note"] or "") for found in BLOCK.finditer(page)]


class Reader:
    """Someone who follows tutorials in a folder."""

    def __init__(self, folder: Path, environment: Mapping[str, str], small: dict[str, Any]) -> None:
        self.folder, self.environment = folder, dict(environment)
        self.small = small  # is put into params.yaml whenever a tutorial has changed it: as few steps as will do
        self.replaced: dict[str, str] = {}  # texts of the pages by what stands for them here: addresses

    def follow(self, tutorial: str) -> None:
        """Do all that a tutorial says; the texts that it shows for errors are compared with what is printed."""
        failed = ""
        for step in steps(tutorial):
            kind, _, about = step.note.partition(": ")
            if kind == "skip":
                continue
            if kind in ("write", "merge", "insert"):
                self._edit(kind, about, step.text)
            elif kind == "make":
                self.make()
            elif step.language == "sh":
                failed = self.run(["bash", "-euc", self._here(step.text)], fails=kind == "fails")
            elif step.language == "python":
                self.run([sys.executable, "-c", self._here(step.text)])
            elif failed:
                assert step.text.strip() in failed, failed
                failed = ""

    def make(self) -> None:
        """`make repro`, without making the environment."""
        self.run(["bash", "-euc", MAKE])

    def run(self, command: list[str], *, fails: bool = False) -> str:
        """Run a command; its last words if it ought to fail."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=HANGING,
        )
        print(done.stdout, done.stderr)
        assert (done.returncode != 0) is fails, f"{command[-1]}\n{done.stdout[-3000:]}{done.stderr[-3000:]}"
        return done.stderr if fails else ""

    def _here(self, text: str) -> str:
        for shown, meant in self.replaced.items():
            text = text.replace(shown, meant)
        return text

    def _edit(self, kind: str, about: str, text: str) -> None:
        name, _, mark = about.partition(" before ")
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "insert":
            before, found, after = path.read_text().partition(next(line for line in lines(path) if mark in line))
            path.write_text(before + text + found + after)
        elif kind == "write":
            path.write_text(text)
        if path.name == "params.yaml":
            change(path, YAML(typ="safe").load(text) if kind == "merge" else {}, self.small)


def lines(path: Path) -> list[str]:
    """The lines of a file, with their ends."""
    return path.read_text().splitlines(keepends=True)


def change(path: Path, values: dict[str, Any], small: dict[str, Any]) -> None:
    """Put values into params.yaml, and small ones into what it then has."""
    yaml = YAML()
    params = yaml.load(path.read_text())
    merge(params, values)
    there = {name: block for name, block in small.get("entries", {}).items() if name in params["entries"]}
    merge(params, {**small, "entries": there})
    with path.open("w") as file:
        yaml.dump(params, file)


def merge(params: dict[str, Any], values: dict[str, Any]) -> None:
    """Put values into parameters, key by key."""
    for key, value in values.items():
        if isinstance(value, dict) and isinstance(params.get(key), dict):
            merge(params[key], value)
        else:
            params[key] = deepcopy(value)
