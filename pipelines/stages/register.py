"""Stage `register`: the finished models enter the registry, and the best version of each entry is its champion."""

from __future__ import annotations

from typing import Any

from ..files import read_json, write_json
from ..params.project import Project
from ..tracking.registry import register
from ..tracking.store import make_database


def run(project: Project) -> None:
    """Register every evaluated entry, and write what became of each to artifacts/register/registered.json."""
    params, outcome = project.params, dict[str, dict[str, Any]]()
    make_database(project.root)  # an output of the stage, also where MLFLOW_TRACKING_URI names another registry
    for entry, stage in params.evaluate.entries.items():
        metrics = read_json(project.artifacts("evaluate", entry) / "metrics.json")
        tags = {"data_digest": metrics["data_digest"], "made_by": stage}
        if stage == "distill":
            teacher = params.distill.entries[entry].teacher
            tags |= {"teacher": teacher, "teacher_version": str(outcome.get(teacher, {}).get("version", ""))}
        folder, least = project.artifacts(stage, entry), params.register_.min_improvement
        done = register(project.root, entry, folder, metrics, least, tags)
        print(f"register: {entry}: version {done.version}: {done.decision}")
        outcome[entry] = {"version": done.version, "champion": done.champion, "decision": done.decision}
    write_json(project.artifacts("register") / "registered.json", outcome)
