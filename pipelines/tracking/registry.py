"""Finished models enter the registry: one version for each content, and the alias `champion` for the best of them."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UserError
from ..files import file_digest, read_json, text_digest
from ..identity import module
from ..serving.carried import answering_modules
from .candidate import Candidate, Origin
from .champion import Decision, Rules, decide
from .lineage import link, params_of, training_run
from .package import CONFIG, WEIGHTS, package
from .store import Store, connect, failures, patient, public, reason
from .versions import LOGGED_MODEL, is_whole, out_of_reach, versions

if TYPE_CHECKING:
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion

VERSIONS = "mlflow.modelVersions"  # the tag of a logged model by which MLflow's page shows its versions
PROJECT, ENTRY = "genera_project", "genera_entry"  # tags of a registered model


@dataclass(frozen=True)
class Offer:
    """What else is known of a model that is to be registered, beside its files.

    `scores` are those of held-out examples; `origin` names its runs; `picture` shows samples; `prefix` begins the name
    in place of the project. `again` measures the model that MLflow saved in a folder on the new data. `code` is the
    folder of the package `models`.
    """

    scores: Mapping[str, Any] | None = None
    origin: Origin = field(default_factory=Origin)
    picture: bytes | None = None
    prefix: str | None = None
    again: Callable[[Path], float] | None = None
    code: Path | None = None


def register(
    root: Path,
    project: str,
    entry: str,
    folder: Path,
    metrics: Mapping[str, Any],
    rules: Rules,
    tags: Mapping[str, str],
    offer: Offer | None = None,
) -> Decision:
    """Register the model in `folder` as a version of `<project>-<entry>`, unless the registry has its content already.

    The alias `champion` moves to a new version whose `objective` (lower is better) beats the champion's by more than
    the rules ask for, both being measured by the same `objective_name` on data of the same `data_digest` (a tag), or,
    where the data changed, on the new data. A UserError says what is damaged or cannot be reached.
    """
    offer = offer or Offer()
    name = f"{offer.prefix or project}-{entry}"
    candidate = _candidate(name, project, entry, folder, metrics, tags, offer)
    store = connect(root, project)
    if offer.again is not None:
        rules = replace(rules, again=lambda version: _on_new_data(store, version, offer.again))
    try:
        _make_model(store, candidate)
        version = _find(store, candidate)
        created = version is None
        if version is None:
            version = _create(store, candidate)
        return decide(store, version, rules, created)
    except failures() as error:
        raise UserError(f"registry {public(store.uri)}: {name}: {reason(error, store.uri)}") from error


def _on_new_data(store: Store, version: ModelVersion, again: Callable[[Path], float] | None) -> float:
    """What the model of a version is worth on the new data."""
    from mlflow.artifacts import download_artifacts

    assert again is not None  # or nobody would ask
    with tempfile.TemporaryDirectory(prefix="genera-champion-") as scratch, patient():
        folder = download_artifacts(artifact_uri=version.source, dst_path=scratch, tracking_uri=store.uri)
        return again(Path(folder))


def content_digest(folder: Path, scores: Mapping[str, Any] | None = None) -> str:
    """SHA-256 over all that a version consists of: weights, configuration, scores, and what answers requests.

    The configuration names the digest of the family's code, so the code of other families makes no new version; nor do
    other words in comments and docstrings.
    """
    files = {"weights": folder / WEIGHTS, "config": folder / CONFIG}
    code = ["pipelines.serving.model", *answering_modules()]
    parts = [f"{name}:{file_digest(path)}" for name, path in files.items()]
    return text_digest(*parts, *(f"{name}:{module(name).digest}" for name in code), json.dumps(scores))


def _candidate(
    name: str,
    project: str,
    entry: str,
    folder: Path,
    metrics: Mapping[str, Any],
    tags: Mapping[str, str],
    offer: Offer,
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
    return Candidate(
        name=name,
        project=project,
        entry=entry,
        folder=folder.resolve(),
        code=(offer.code or _installed_models()).resolve(),
        config=config,
        metrics=metrics,
        tags=tags,
        digest=content_digest(folder, offer.scores),
        scores=offer.scores,
        origin=offer.origin,
        picture=offer.picture,
    )


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


def _create(store: Store, candidate: Candidate) -> ModelVersion:
    """Log the model under the run that trained it, and create its version."""
    trained = training_run(store, candidate)
    logged, card = _log_model(store, trained, candidate)
    link(store, candidate, logged.model_id, trained)
    version = store.client.create_model_version(
        candidate.name,
        logged.artifact_location,  # `models:/…` would be looked up in MLflow's global store, which may be another
        trained,
        tags={**candidate.version_tags, LOGGED_MODEL: logged.model_id},
        description=card,
        model_id=logged.model_id,
    )
    known = json.dumps([{"name": candidate.name, "version": str(version.version)}])
    store.client.set_logged_model_tags(logged.model_id, {VERSIONS: known})
    return version


def _make_model(store: Store, candidate: Candidate) -> None:
    """The registered model that versions belong to, made if there is none.

    Raises `UserError` for one of another project: `a-b` of the project a, and b of the project `a-b`, have one name.
    """
    from mlflow.exceptions import MlflowException

    tags = {PROJECT: candidate.project, ENTRY: candidate.entry}
    try:
        store.client.create_registered_model(candidate.name, tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        known = store.client.get_registered_model(candidate.name).tags
        if any(known.get(tag, value) != value for tag, value in tags.items()):
            raise UserError(
                f"registry {public(store.uri)}: {candidate.name} is of the project {known.get(PROJECT)}, entry"
                f" {known.get(ENTRY)}: give this project another name by `project` or `register.prefix` in params.yaml"
            ) from None


def _log_model(store: Store, run_id: str, candidate: Candidate) -> tuple[LoggedModel, str]:
    """Log the model with all that its consumers need; and its card."""
    logged = store.client.create_logged_model(
        store.experiment, candidate.name, source_run_id=run_id, params=params_of(candidate), model_type="genera"
    )
    status: Literal["READY", "FAILED"] = "FAILED"
    try:
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
            try:
                with patient():
                    store.client.log_model_artifacts(logged.model_id, str(folder))
            except Exception as error:  # where files go is a plug-in (S3, Azure, …) with errors of its own
                raise out_of_reach(store, logged.artifact_location, error) from error
        status = "READY"
    finally:
        logged = store.client.finalize_logged_model(logged.model_id, status)
    return logged, card
