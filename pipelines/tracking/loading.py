"""A finished model as its consumers load it: of the registry, or of the project in the current folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import UserError
from ..params.project import Project

if TYPE_CHECKING:
    from ..serving.model import ServedModel


def load(model: str) -> ServedModel:
    """An entry of params.yaml, or `models:/name@champion`; a UserError where there is none of that name."""
    if model.startswith(("models:/", "runs:/")):
        import mlflow.pyfunc
        from mlflow.exceptions import MlflowException

        from .store import reason

        try:
            served: ServedModel = mlflow.pyfunc.load_model(model).unwrap_python_model()
        except (MlflowException, OSError) as error:
            raise UserError(f"{model}: cannot be loaded: {reason(error, mlflow.get_registry_uri())}") from None
        return served
    from .registry import load_finished

    project = Project.here()
    if model not in project.entries:
        allowed = ", ".join(project.entries)
        raise UserError(
            f"{model}: must be an entry of params.yaml ({allowed}), or a model such as models:/name@champion"
        )
    return load_finished(project.made(project.entries[model]))
