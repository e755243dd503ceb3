"""What the stage tells the registry of each model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.files import read_json
from pipelines.stages import register


def test_a_student_names_the_version_of_its_teacher_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = SimpleNamespace(name="flow", stage="train", teacher=None)
    fast = SimpleNamespace(name="fast", stage="distill", teacher=flow)
    faster = SimpleNamespace(name="faster", stage="distill", teacher=fast)
    tags = dict[str, dict[str, str]]()

    def registered(root: Path, project: str, entry: str, *others: Any) -> SimpleNamespace:
        tags[entry] = others[3]
        return SimpleNamespace(version=len(tags) + 40, champion=True, decision="moved")

    monkeypatch.setattr(register, "register", registered)
    monkeypatch.setattr(register, "result", lambda project, entry: {"data_digest": "data"})
    monkeypatch.setattr(register, "content_digest", lambda made: "content")
    project: Any = SimpleNamespace(
        root=tmp_path,
        params=SimpleNamespace(name="project", register_=SimpleNamespace(min_improvement=0.0)),
        entries={entry.name: entry for entry in (faster, fast, flow)},
        artifacts=lambda stage: tmp_path,
        made=lambda entry: tmp_path,
    )
    register.run(project)
    assert list(tags) == ["flow", "fast", "faster"]
    assert tags["fast"]["teacher_version"] == "41" and tags["faster"]["teacher_version"] == "42"
    assert read_json(tmp_path / "versions.json")["faster"]["version"] == 43
