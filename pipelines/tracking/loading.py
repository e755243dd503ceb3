"""A finished model as its consumers load it: of the registry, of a folder, or of the project in the current folder."""

from __future__ import annotations

from pathlib import Path

from ..errors import UserError
from ..evaluation.finished import METRICS
from ..params.project import Project
from ..serving.consumer.model_uri import Model, is_uri
from ..serving.consumer.model_uri import load as load_saved


def load(model: str) -> Model:
    """An entry of params.yaml, `models:/name@champion`, or a folder; a UserError where there is none of that name."""
    if is_uri(model) or not Path("params.yaml").is_file() or (Path(model) / "MLmodel").is_file():
        return load_saved(model)
    from ..serving.local import held_out_scores, load_finished

    project = Project.here()
    if model not in project.entries:
        allowed = ", ".join(project.entries)
        raise UserError(
            f"{model}: must be an entry of params.yaml ({allowed}), a model such as models:/name@champion, or a folder"
        )
    entry = project.entries[model]
    evaluated = project.artifacts("evaluate", entry)
    scores = held_out_scores(evaluated, project.params.evaluate.draws) if (evaluated / METRICS).is_file() else None
    return load_finished(project.made(entry), scores)
