"""Stage `register`: the finished models enter the registry, and the best version of each entry is its champion."""

from __future__ import annotations

from typing import Any

from ..evaluation.results import result
from ..files import write_json
from ..params.entry import Entry
from ..params.project import Project
from ..serving.local import held_out_scores
from ..tracking.registry import content_digest, register


def run(project: Project) -> None:
    """Register every entry, and write to artifacts/register/ what was registered, and what became of it.

    registered.json has the content of each model, which is the same wherever it is registered; versions.json has its
    version and whether that is the champion, which is a matter of the registry and no output of the stage.
    """
    folder, least = project.artifacts("register"), project.params.register_.min_improvement
    contents, versions = dict[str, str](), dict[str, dict[str, Any]]()
    for entry in sorted(project.entries.values(), key=_generation):
        metrics, made = result(project, entry), project.made(entry)
        scores = held_out_scores(project.artifacts("evaluate", entry), project.params.evaluate.draws)
        tags = {"data_digest": metrics["data_digest"], "made_by": entry.stage}
        if entry.teacher is not None:
            version = versions.get(entry.teacher.name, {}).get("version", "")
            tags |= {"teacher": entry.teacher.name, "teacher_version": str(version)}
        done = register(project.root, project.params.name, entry.name, made, metrics, least, tags, scores=scores)
        print(f"register: {entry.name}: version {done.version}: {done.decision}")
        contents[entry.name] = content_digest(made, scores)
        versions[entry.name] = {"version": done.version, "champion": done.champion, "decision": done.decision}
    write_json(folder / "versions.json", versions)
    write_json(folder / "registered.json", contents)


def _generation(entry: Entry) -> int:
    """How many teachers stand before an entry: a student's tags name the version of its teacher."""
    return 0 if entry.teacher is None else 1 + _generation(entry.teacher)
