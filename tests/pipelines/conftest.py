"""What the tests of the pipelines share: no test waits for MLflow to make an empty database."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import MagicMock

import pytest

from pipelines.params.project import Project
from pipelines.stages import distill, evaluate, features, running
from pipelines.training.jobs import Job


@pytest.fixture(autouse=True)
def no_new_store(quick_store: None) -> None: ...


@pytest.fixture
def nobody() -> Iterator[str]:
    """An address at which nobody answers: its port is taken, and nobody listens there."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{deaf.getsockname()[1]}"


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> MagicMock:
    """Stages without MLflow and Ray: what they are told is recorded, and jobs run right here."""
    run = MagicMock(key=None)

    @contextmanager
    def tracked(*_: Any) -> Iterator[MagicMock]:
        yield run

    def run_job(project: Project, job: Job, run: MagicMock) -> running.Finished:
        job()
        return running.outcome(job)

    for stage in (features, distill, evaluate):
        monkeypatch.setattr(stage, "tracked", tracked)
    for stage in (features, distill):
        monkeypatch.setattr(stage, "run_job", run_job)
    return run
