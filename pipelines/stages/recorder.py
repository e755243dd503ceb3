"""What tasks have to record, written down by the process that waits for them: one opens the store for all."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ..params.project import Project
from ..tracking.records import Record, Run, Write
from ..tracking.writer import writing


class Recorder:
    """Writes records as they are heard; files of a task, and its end, when the files are in their place."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._write: Write | None = None
        self._runs: dict[str, Run] = {}  # of the tasks under way
        self._children: dict[str, Run] = {}  # runs below them that have not ended
        self._held: dict[str, list[Record]] = {}

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Within, the store is open. What has not ended at the end was killed."""
        with writing(self._project.root, self._project.params.name) as self._write:
            try:
                yield
            finally:
                for run in self._runs.values():
                    self._kill(run)

    def hear(self, task: str, record: Record) -> None:
        """A task has something to record. One that began anew has lost its process, and the run of that."""
        assert self._write is not None  # within `writing`
        if record.run.parent is None and not record.run.ended:
            before = self._runs.setdefault(task, record.run)
            if before.key != record.run.key:
                self._kill(before)
                self._held.pop(task, None)
                self._runs[task] = record.run
        if record.run.parent is not None:
            self._children[record.run.key] = record.run
            if record.kind == "end":
                del self._children[record.run.key]
        if record.kind == "files":
            record = replace(record, content=self._project.root / record.content)
        if record.kind in ("files", "end") and record.run.parent is None:
            self._held.setdefault(task, []).append(record)
        else:
            self._write(record)

    def _kill(self, run: Run) -> None:
        assert self._write is not None  # within `writing`
        for each in [child for child in self._children.values() if child.parent == run.key] + [run]:
            self._children.pop(each.key, None)
            self._write(Record(each, "end", "KILLED"))

    def end(self, task: str) -> None:
        """A task has ended, and what it has left is in its place."""
        assert self._write is not None  # within `writing`
        held = self._held.pop(task, [])
        for record in held:
            self._write(record)
        if any(record.kind == "end" for record in held):
            self._runs.pop(task, None)
