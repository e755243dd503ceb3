"""What the stage tells the registry of each model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pipelines.files import read_json
from pipelines.params.schema import Register
from pipelines.stages import register
from pipelines.tracking.champion import Decision


def test_a_student_names_the_version_of_its_teacher_wherever_it_stands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    flow = SimpleNamespace(name="flow", stage="train", teacher=None)
    fast = SimpleNamespace(name="fast", stage="distill", teacher=flow)
    faster = SimpleNamespace(name="faster", stage="distill", teacher=fast)
    tags = dict[str, dict[str, str]]()

    def registered(root: Path, project: str, entry: str, *others: Any) -> Decision:
        tags[entry] = others[3]
        return Decision(len(tags) + 40, True, True, "moved", compared=entry != "fast")

    for name in ("result", "content_digest", "held_out_scores", "_origin", "_picture", "complain_of_requirements"):
        monkeypatch.setattr(register, name, lambda *given: {"data_digest": "data"})
    monkeypatch.setattr(register, "register", registered)
    monkeypatch.setattr(register, "Prepared", SimpleNamespace(open=lambda folder: None))
    project: Any = SimpleNamespace(
        root=tmp_path,
        prepared=tmp_path,
        params=SimpleNamespace(
            name="project", prefix="project", register_=Register(), evaluate=SimpleNamespace(draws=1)
        ),
        entries={entry.name: entry for entry in (faster, fast, flow)},
        artifacts=lambda stage, entry=None: tmp_path,
        made=lambda entry: tmp_path,
    )
    register.run(project)
    assert list(tags) == ["flow", "fast", "faster"]
    assert tags["fast"]["teacher_version"] == "41" and tags["faster"]["teacher_version"] == "42"
    assert read_json(tmp_path / "versions.json")["faster"]["version"] == 43
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: register: NO COMPARISON WAS POSSIBLE for fast: ")
