"""The versions of a registered model: all of them, whether their files are there, and what was measured of each."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from .store import Store, public, reason

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion

LOGGED_MODEL = "logged_model"  # the tag of a version with the identifier of its model: databases keep no other


def versions(store: Store, name: str) -> list[ModelVersion]:
    """Every version of a registered model, latest first."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = store.client.search_model_versions(f"name = '{name}'", page_token=token)
        found, token = found + list(page), page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version), reverse=True)


def is_whole(store: Store, version: ModelVersion) -> bool:
    """Are the files of a version where the registry says? A SQLite file may outlive the folder of artifacts.

    Raises `UserError` where that cannot be asked.
    """
    from mlflow.artifacts import list_artifacts

    try:
        files = list_artifacts(artifact_uri=version.source, tracking_uri=store.uri)
    except Exception as error:  # where files go is a plug-in (S3, Azure, …) with errors of its own
        raise out_of_reach(store, str(version.source), error) from error
    return any(Path(file.path).name == "MLmodel" for file in files)


def out_of_reach(store: Store, place: str, error: Exception) -> UserError:
    """What is said where artifacts can be neither read nor written."""
    return UserError(
        f"registry {public(store.uri)}: artifacts at {public(place)}: {reason(error, store.uri)}; bring this"
        " place back, or set MLFLOW_EXPERIMENT_NAME to a new experiment, which has a place of its own"
    )


def measured(store: Store, version: ModelVersion) -> dict[str, float]:
    """What was measured of a version, by name: the metrics of its logged model, of older ones those of its run."""
    model = version.tags.get(LOGGED_MODEL)
    if model is not None:
        return {metric.key: metric.value for metric in store.client.get_logged_model(model).metrics or ()}
    return dict(store.client.get_run(version.run_id).data.metrics) if version.run_id else {}


def objective(version: ModelVersion) -> float | None:
    """The objective in a version's tags; None if it was not measured or is no finite number."""
    try:
        value = float(version.tags["objective"])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None
