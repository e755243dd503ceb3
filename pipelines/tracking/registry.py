"""Finished models enter the registry: one version for each content, and the alias `champion` for the best of them."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Mapping
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import file_digest, read_json, text_digest
from .card import Candidate, model_card
from .champion import Decision, decide, is_whole, versions
from .records import Run
from .stage_run import flatten, new_key, numbers, run_tags
from .store import Store, connect, failures, public, reason
from .writer import log_params, log_points, open_run, points

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

    from ..serving.model import ServedModel

WEIGHTS, CONFIG = "model.safetensors", "config.json"
SCRIPT = Path(__file__).parents[1] / "serving" / "model.py"
ROWS = Path(__file__).parents[1] / "data" / "tables"  # what makes rows of a table of numbers, and numbers of them
ROW_FILES = ("typed_rows.py", "row_conditions.py")
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pydantic", "safetensors", "torch")


def register(
    root: Path,
    project: str,
    entry: str,
    folder: Path,
    metrics: Mapping[str, Any],
    min_improvement: float,
    tags: Mapping[str, str],
    code: Path | None = None,
) -> Decision:
    """Register the model in `folder` as a version of `<project>-<entry>`, unless the registry has its content already.

    The alias `champion` moves to a new version whose `objective` (lower is better) beats the champion's by more
    than `min_improvement`, both being measured by the same `objective_name` on data of the same `data_digest` (a
    tag). `code` is the folder of the package `models`. A UserError says what is damaged or cannot be reached.
    """
    name = f"{project}-{entry}"
    candidate = _candidate(name, entry, folder, metrics, tags, code or _installed_models())
    store = connect(root, project)
    try:
        version = _find(store, candidate)
        created = version is None
        if version is None:
            version = _create(store, root, candidate)
        return decide(store, version, min_improvement, created)
    except failures() as error:
        raise UserError(f"registry {public(store.uri)}: {name}: {reason(error, store.uri)}") from error


def load_finished(folder: Path) -> ServedModel:
    """The model in a folder of this project, as consumers of the registry would load it."""
    return _serve(_candidate(folder.name, folder.name, folder, {}, {}, _installed_models()))


def content_digest(folder: Path) -> str:
    """SHA-256 over all that a version consists of: weights, served script, and the configuration.

    The configuration names the digest of the family's code, so the code of other families makes no new version.
    """
    files = {"weights": folder / WEIGHTS, "config": folder / CONFIG, "script": SCRIPT}
    files |= {name: ROWS / name for name in ROW_FILES}
    return text_digest(*(f"{name}:{file_digest(path)}" for name, path in files.items()))


def _candidate(
    name: str, entry: str, folder: Path, metrics: Mapping[str, Any], tags: Mapping[str, str], code: Path
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
    digest = content_digest(folder)
    return Candidate(name, entry, folder.resolve(), code.resolve(), config, metrics, tags, digest)


def _installed_models() -> Path:
    spec = find_spec("models")
    if spec is None or spec.origin is None:
        raise UserError("the package `models` of genera is not installed; run `make repro`, or `uv sync`")
    return Path(spec.origin).parent


def _sources(code: Path) -> list[Path]:
    """The files of the package that a version carries."""
    found = (path.relative_to(code) for path in code.rglob("*.py"))
    return [code / path for path in sorted(found) if not {"__pycache__", "tests"} & set(path.parts)]


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
    served = _serve(candidate)
    tags = {**run_tags(root, "register", candidate.entry), **candidate.tags}
    run_id = open_run(store, Run(new_key(), f"register@{candidate.entry}", tags), tags)
    status = "FAILED"
    try:
        log_params(store, run_id, dict(flatten({"model": candidate.config["model"], **candidate.config["config"]})))
        log_points(store, run_id, points([{**dict(numbers(candidate.metrics)), "step": 0}], int(time.time() * 1000)))
        card = model_card(candidate, served)
        logged = _log_model(store, run_id, candidate, served, card)
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


def _serve(candidate: Candidate) -> ServedModel:
    """The model as its consumers will load it; a UserError if the files do not make one."""
    from safetensors import SafetensorError

    from ..serving.model import ServedModel

    served = ServedModel()
    artifacts = {
        "weights": str(candidate.folder / WEIGHTS),
        "config": str(candidate.folder / CONFIG),
        "code": str(candidate.code),
        "rows": str(ROWS),
    }
    try:
        served.load(artifacts)
    except (SafetensorError, RuntimeError, LookupError, ValueError, TypeError) as error:
        why = " ".join(str(error).split())
        raise UserError(
            f"{candidate.folder}: {WEIGHTS} and {CONFIG} make no model ({why[:300]}); "
            "delete the folder and run `dvc repro` to make it again"
        ) from error
    return served


def _log_model(store: Store, run_id: str, candidate: Candidate, served: ServedModel, card: str) -> LoggedModel:
    """Log the model with all that its consumers need."""
    import mlflow.pyfunc
    from mlflow.models import Model

    logged = store.client.create_logged_model(store.experiment, candidate.name, source_run_id=run_id)
    examples = served.answer(None, {"task": "sample", "n": 2})
    shown = {"task": "log_prob"} if "log_prob" in served.tasks else {"task": "sample", "n": 2}
    with tempfile.TemporaryDirectory(prefix="genera-register-") as scratch:
        code, rows, card_file, model = (Path(scratch) / name for name in ("models", "rows", "model_card.md", "model"))
        for path in _sources(candidate.code):
            copy = code / path.relative_to(candidate.code)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        rows.mkdir()
        (rows / "__init__.py").write_text('"""Rows of a table as numbers, and back."""\n', encoding="utf-8")
        for name in ROW_FILES:
            shutil.copyfile(ROWS / name, rows / name)
        card_file.write_text(card, encoding="utf-8")
        mlflow.pyfunc.save_model(
            model,
            python_model=SCRIPT,
            artifacts={
                "weights": str(candidate.folder / WEIGHTS),
                "config": str(candidate.folder / CONFIG),
                "code": str(code),
                "rows": str(rows),
                "card": str(card_file),
            },
            signature=_signature(examples),
            input_example=(examples, shown),
            pip_requirements=[f"{name}=={installed(name).partition('+')[0]}" for name in REQUIREMENTS],
            mlflow_model=Model(
                artifact_path=logged.artifact_location,
                model_uuid=logged.model_id,
                model_id=logged.model_id,
                run_id=run_id,
            ),
        )
        store.client.log_model_artifacts(logged.model_id, str(model))
    return store.client.finalize_logged_model(logged.model_id, "READY")


def _signature(examples: np.ndarray | pd.DataFrame) -> ModelSignature:
    """The parameters of `predict` and the type of samples.

    No schema of the input: one would be enforced for every task, and `sample` takes no data, `decode` codes.
    """
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, ParamSchema, ParamSpec, Schema, TensorSpec

    from ..serving.model import DEFAULTS

    types = {
        "task": "string",
        "n": "long",
        "seed": "long",
        "temperature": "double",
        "labels": "long",
        "balanced": "boolean",
        "where": "string",
    }
    params = [
        ParamSpec(name, types[name], default, (-1,) if isinstance(default, list) else None)
        for name, default in DEFAULTS.items()
    ]
    if isinstance(examples, np.ndarray):
        outputs = Schema([TensorSpec(examples.dtype, (-1, *examples.shape[1:]))])
    else:
        outputs = Schema([ColSpec(_type(examples[name]), str(name), required=False) for name in examples.columns])
    return ModelSignature(outputs=outputs, params=ParamSchema(params))


def _type(column: pd.Series[Any]) -> str:
    """What MLflow calls the type of a column."""
    kinds = {"i": "long", "f": "double", "b": "boolean", "M": "datetime"}
    return kinds.get(column.dtype.kind, "string")
