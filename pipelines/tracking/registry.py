"""Finished models enter the registry: one version for each content, and the alias `champion` for the best of them."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import file_digest, read_json, text_digest
from ..serving.carried import answering_sources
from .card import Candidate
from .champion import Decision, decide, is_whole, versions
from .package import CONFIG, SCRIPT, WEIGHTS, package
from .records import Run
from .stage_run import flatten, new_key, numbers, run_tags
from .store import Store, connect, failures, public, reason
from .writer import log_params, log_points, open_run, points

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion


def register(
    root: Path,
    project: str,
    entry: str,
    folder: Path,
    metrics: Mapping[str, Any],
    min_improvement: float,
    tags: Mapping[str, str],
    code: Path | None = None,
    scores: Mapping[str, Any] | None = None,
) -> Decision:
    """Register the model in `folder` as a version of `<project>-<entry>`, unless the registry has its content already.

    The alias `champion` moves to a new version whose `objective` (lower is better) beats the champion's by more
    than `min_improvement`, both being measured by the same `objective_name` on data of the same `data_digest` (a
    tag). `code` is the folder of the package `models`, and `scores` are those of held-out examples. A UserError says
    what is damaged or cannot be reached.
    """
    name = f"{project}-{entry}"
    candidate = _candidate(name, entry, folder, metrics, tags, code or _installed_models(), scores)
    store = connect(root, project)
    try:
        version = _find(store, candidate)
        created = version is None
        if version is None:
            version = _create(store, root, candidate)
        return decide(store, version, min_improvement, created)
    except failures() as error:
        raise UserError(f"registry {public(store.uri)}: {name}: {reason(error, store.uri)}") from error


def content_digest(folder: Path, scores: Mapping[str, Any] | None = None) -> str:
    """SHA-256 over all that a version consists of: weights, configuration, scores, and what answers requests.

    The configuration names the digest of the family's code, so the code of other families makes no new version.
    """
    files = {"weights": folder / WEIGHTS, "config": folder / CONFIG, "script": SCRIPT, **dict(answering_sources())}
    return text_digest(*(f"{name}:{file_digest(path)}" for name, path in files.items()), json.dumps(scores))


def _candidate(
    name: str,
    entry: str,
    folder: Path,
    metrics: Mapping[str, Any],
    tags: Mapping[str, str],
    code: Path,
    scores: Mapping[str, Any] | None,
) -> Candidate:
    for path in (folder / WEIGHTS, folder / CONFIG):
        if not path.is_file():
            raise UserError(f"{path}: there is no such file; run `dvc repro` to make it")
    config = read_json(folder / CONFIG)
    missing = [key for key in ("model", "config", "event") if key not in config]
    if missing:
        raise UserError(
            f"{folder / CONFIG}: lacks {', '.join(missing)}; delete it and run `dvc repro` to make it again"
        )
    digest = content_digest(folder, scores)
    return Candidate(name, entry, folder.resolve(), code.resolve(), config, metrics, tags, digest, scores)


def _installed_models() -> Path:
    spec = find_spec("models")
    if spec is None or spec.origin is None:
        raise UserError("the package `models` of genera is not installed; run `make repro`, or `uv sync`")
    return Path(spec.origin).parent


def _find(store: Store, candidate: Candidate) -> ModelVersion | None:
    """The version with the candidate's content whose files are still there."""
    return next(
        (
            version
            for version in versions(store, candidate.name)
            if version.tags.get("content_digest") == candidate.digest and is_whole(store, version)
        ),
        None,
    )


def _create(store: Store, root: Path, candidate: Candidate) -> ModelVersion:
    """Record a run, log the model under it and create its version."""
    tags = {**run_tags(root, "register", candidate.entry), **candidate.tags}
    run_id = open_run(store, Run(new_key(), f"register@{candidate.entry}", tags), tags)
    status = "FAILED"
    try:
        log_params(store, run_id, dict(flatten({"model": candidate.config["model"], **candidate.config["config"]})))
        log_points(store, run_id, points([{**dict(numbers(candidate.metrics)), "step": 0}], int(time.time() * 1000)))
        logged, card = _log_model(store, run_id, candidate)
        _make_model(store, candidate.name)
        version = store.client.create_model_version(
            candidate.name,
            logged.artifact_location,  # `models:/…` would be looked up in MLflow's global store, which may be another
            run_id,
            tags=candidate.version_tags,
            description=card,
            model_id=logged.model_id,
        )
        status = "FINISHED"
        return version
    finally:
        store.client.set_terminated(run_id, status)


def _make_model(store: Store, name: str) -> None:
    """The registered model that versions belong to, made if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise


def _log_model(store: Store, run_id: str, candidate: Candidate) -> tuple[LoggedModel, str]:
    """Log the model with all that its consumers need; and its card."""
    logged = store.client.create_logged_model(store.experiment, candidate.name, source_run_id=run_id)
    with tempfile.TemporaryDirectory(prefix="genera-register-") as scratch:
        folder = Path(scratch) / "model"
        card = package(
            candidate,
            folder,
            artifact_path=logged.artifact_location,
            model_uuid=logged.model_id,
            model_id=logged.model_id,
            run_id=run_id,
        )
        store.client.log_model_artifacts(logged.model_id, str(folder))
    return store.client.finalize_logged_model(logged.model_id, "READY"), card
