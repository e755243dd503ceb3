"""Finished models enter the registry: one version for each content, and the alias `champion` for the best of them."""

from __future__ import annotations

import json
import math
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version as installed
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import UserError
from ..files import file_digest, read_json, text_digest
from .run import log_history, log_params, open_run, run_tags
from .store import Store, connect, failures, public, reason

if TYPE_CHECKING:
    import numpy as np
    from mlflow.entities import LoggedModel
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.models import ModelSignature

    from ..serving.model import ServedModel

CHAMPION = "champion"
WEIGHTS, CONFIG = "model.safetensors", "config.json"
SCRIPT = Path(__file__).parents[1] / "serving" / "model.py"
UNITS = {
    "nll_bits_per_dim": "bits/dimension",
    "samples_per_s": "examples/s",
    "log_probs_per_s": "examples/s",
    "train_seconds": "s",
    "parameters": "numbers",
}
_USES = {
    "sample": 'model.predict(None, params={"task": "sample", "n": 16, "seed": 1, "temperature": 1.0})  # examples',
    "log_prob": 'model.predict(x, params={"task": "log_prob"})  # (N,) nats',
    "encode": 'model.predict(x, params={"task": "encode"})  # codes (N, L)',
    "decode": 'model.predict(z, params={"task": "decode"})  # expected examples of codes, floats',
}
REQUIREMENTS = ("mlflow", "numpy", "pandas", "pydantic", "safetensors", "torch")


@dataclass(frozen=True)
class Decision:
    """What became of a model: its version, whether that is the champion now, and why, in one line."""

    version: int
    created: bool
    champion: bool
    decision: str


@dataclass(frozen=True)
class Candidate:
    """What is registered: the entry's files, their digest, its measurements and the caller's tags."""

    entry: str
    folder: Path
    code: Path
    config: Mapping[str, Any]
    metrics: Mapping[str, Any]
    tags: Mapping[str, str]
    digest: str

    @property
    def version_tags(self) -> dict[str, str]:
        """The tags of its version."""
        measured = {key: self.metrics.get(key) for key in ("objective_name", "objective")}
        return {
            **self.tags,
            **{key: str(value) for key, value in measured.items() if value is not None},
            "content_digest": self.digest,
            "model": str(self.config["model"]),
        }


def register(
    root: Path,
    entry: str,
    folder: Path,
    metrics: Mapping[str, Any],
    min_improvement: float,
    tags: Mapping[str, str],
    code: Path | None = None,
) -> Decision:
    """Register the model in `folder` as a version of `entry`, unless the registry has its content already.

    The alias `champion` moves to a new version whose `objective` (lower is better) beats the champion's by more
    than `min_improvement`, both being measured by the same `objective_name` on data of the same `data_digest` (a
    tag). `code` is the folder of the package `models`. A UserError says what is damaged or cannot be reached.
    """
    candidate = _candidate(entry, folder, metrics, tags, code or _installed_models())
    store = connect(root)
    try:
        version = _find(store, candidate)
        created = version is None
        if version is None:
            version = _create(store, root, candidate)
        return _decide(store, version, min_improvement, created)
    except failures() as error:
        raise UserError(f"registry {public(store.uri)}: {entry}: {reason(error, store.uri)}") from error


def content_digest(folder: Path) -> str:
    """SHA-256 over all that a version consists of: weights, served script, and the configuration.

    The configuration names the digest of the family's code, so the code of other families makes no new version.
    """
    files = {"weights": folder / WEIGHTS, "config": folder / CONFIG, "script": SCRIPT}
    return text_digest(*(f"{name}:{file_digest(path)}" for name, path in files.items()))


def _candidate(entry: str, folder: Path, metrics: Mapping[str, Any], tags: Mapping[str, str], code: Path) -> Candidate:
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
    return Candidate(entry, folder.resolve(), code.resolve(), config, metrics, tags, digest)


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
            for version in _versions(store, candidate.entry)
            if version.tags.get("content_digest") == candidate.digest and _is_whole(store, version)
        ),
        None,
    )


def _versions(store: Store, entry: str) -> list[ModelVersion]:
    """Every version of an entry, latest first."""
    found: list[ModelVersion] = []
    token = None
    while True:
        page = store.client.search_model_versions(f"name = '{entry}'", page_token=token)
        found, token = found + list(page), page.token
        if not token:
            return sorted(found, key=lambda version: int(version.version), reverse=True)


def _is_whole(store: Store, version: ModelVersion) -> bool:
    """Are the files of a version where the registry says? A SQLite file may outlive the folder of artifacts."""
    from mlflow.artifacts import list_artifacts

    files = list_artifacts(artifact_uri=version.source, tracking_uri=store.uri)
    return any(Path(file.path).name == "MLmodel" for file in files)


def _create(store: Store, root: Path, candidate: Candidate) -> ModelVersion:
    """Record a run, log the model under it and create its version."""
    served = _serve(candidate)
    tags = {**run_tags(root, "register", candidate.entry), **candidate.tags}
    run_id = open_run(store, f"register@{candidate.entry}", tags)
    status = "FAILED"
    try:
        log_params(store, run_id, {"model": candidate.config["model"], **candidate.config["config"]})
        log_history(store, run_id, [{**candidate.metrics, "step": 0}])
        card = _card(candidate, served)
        logged = _log_model(store, run_id, candidate, served, card)
        _make_entry(store, candidate.entry)
        version = store.client.create_model_version(
            candidate.entry,
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


def _make_entry(store: Store, entry: str) -> None:
    """The registered model that versions belong to, made if there is none."""
    from mlflow.exceptions import MlflowException

    try:
        store.client.create_registered_model(entry)
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

    logged = store.client.create_logged_model(store.experiment, candidate.entry, source_run_id=run_id)
    examples = served.answer(None, {"task": "sample", "n": 2})
    shown = {"task": "log_prob"} if "log_prob" in served.tasks else {"task": "sample", "n": 2}
    with tempfile.TemporaryDirectory(prefix="genera-register-") as scratch:
        code, card_file, model = (Path(scratch) / name for name in ("models", "model_card.md", "model"))
        for path in _sources(candidate.code):
            copy = code / path.relative_to(candidate.code)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
        card_file.write_text(card, encoding="utf-8")
        mlflow.pyfunc.save_model(
            model,
            python_model=SCRIPT,
            artifacts={
                "weights": str(candidate.folder / WEIGHTS),
                "config": str(candidate.folder / CONFIG),
                "code": str(code),
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


def _signature(examples: np.ndarray) -> ModelSignature:
    """The parameters of `predict` and the type of samples.

    No schema of the input: one would be enforced for every task, and `sample` takes no data, `decode` codes.
    """
    from mlflow.models import ModelSignature
    from mlflow.types import ParamSchema, ParamSpec, Schema, TensorSpec

    from ..serving.model import DEFAULTS

    types = {"task": "string", "n": "long", "seed": "long", "temperature": "double", "labels": "long"}
    params = [
        ParamSpec(name, types[name], default, (-1,) if isinstance(default, list) else None)
        for name, default in DEFAULTS.items()
    ]
    outputs = Schema([TensorSpec(examples.dtype, (-1, *examples.shape[1:]))])
    return ModelSignature(outputs=outputs, params=ParamSchema(params))


def _decide(store: Store, version: ModelVersion, min_improvement: float, created: bool) -> Decision:
    """Give or deny a version the alias `champion`, once in its life, and write down which and why."""
    number, name = int(version.version), version.name
    champion = _champion(store, name)
    if "decision" in version.tags:
        if champion is not None:
            return Decision(number, False, int(champion.version) == number, f"already registered as version {number}")
        best = int(_best(store, version).version)
        store.client.set_registered_model_alias(name, CHAMPION, str(best))
        repair = f"already registered as version {number}; there was no champion, now it is version {best}"
        return Decision(number, False, best == number, repair)
    moves, decision = verdict(version, champion, min_improvement)
    if moves:
        store.client.set_registered_model_alias(name, CHAMPION, str(number))
    # Last: a version without this tag has not been decided about, and will be when the stage runs again.
    store.client.set_model_version_tag(name, str(number), "decision", decision)
    return Decision(number, created, moves, decision)


def verdict(version: ModelVersion, champion: ModelVersion | None, min_improvement: float) -> tuple[bool, str]:
    """Does a version become the champion, and why.

    Objectives of different kinds or of different data are not comparable; then the champion stays, because nothing
    shows that the new version is better, and its owner may move the alias by hand.
    """
    if champion is None:
        return True, "moved: there was no champion"
    if champion.version == version.version:
        return True, "moved: it is the champion"
    ours, theirs = _objective(version), _objective(champion)
    kind, other = version.tags.get("objective_name", "objective"), f"version {champion.version}"
    for tag in ("objective_name", "data_digest"):
        if version.tags.get(tag) != champion.tags.get(tag):
            return False, (
                f"kept {other}: not comparable, its {tag} is {champion.tags.get(tag)} and not {version.tags.get(tag)}; "
                f"to move it by hand: MlflowClient().set_registered_model_alias"
                f"({version.name!r}, {CHAMPION!r}, {version.version})"
            )
    if ours is None:
        return False, f"kept {other}: the new version has no measured objective"
    if theirs is None:
        return True, f"moved from {other}: {kind} {ours:.6g}, against none measured"
    numbers = f"{kind} {ours:.6g} against {theirs:.6g}"
    if theirs - ours > min_improvement:
        return True, f"moved from {other}: {numbers}, lower by more than min_improvement {min_improvement:g}"
    return False, f"kept {other}: {numbers}, not lower by more than min_improvement {min_improvement:g}"


def _champion(store: Store, name: str) -> ModelVersion | None:
    """The version with the alias, if its files are still there."""
    number = store.client.get_registered_model(name).aliases.get(CHAMPION)
    champion = store.client.get_model_version(name, str(number)) if number is not None else None
    return champion if champion is not None and _is_whole(store, champion) else None


def _best(store: Store, version: ModelVersion) -> ModelVersion:
    """The version with the lowest objective among those that are comparable with the given one."""
    best = version
    for other in _versions(store, version.name):
        if _is_whole(store, other) and verdict(other, best, 0)[0]:
            best = other
    return best


def _objective(version: ModelVersion) -> float | None:
    """The objective in a version's tags; None if it was not measured or is no finite number."""
    try:
        value = float(version.tags["objective"])
    except (KeyError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _card(candidate: Candidate, served: ServedModel) -> str:
    """The model card, in Markdown."""
    config, event, entry = candidate.config, candidate.config["event"], candidate.entry
    shape = "×".join(str(side) for side in event["shape"])
    values = "real numbers" if event["levels"] is None else f"integers 0 … {event['levels'] - 1}"
    units = {**UNITS, "objective": f"{candidate.metrics.get('objective_name')} on the validation split"}
    given = ", and the model is conditional on them" if served.family.classes else ""
    measured = [
        f"| {key} | {value:.6g} | {units.get(key, '')} |" if isinstance(value, float) else f"| {key} | {value} | |"
        for key, value in candidate.metrics.items()
        if isinstance(value, str | int | float)
    ]
    return "\n".join(
        [
            f"# {entry}",
            "",
            f"A generative model of the family `{config['model']}`, trained by genera.",
            "",
            "## Data",
            f"One example is {shape} {values}. Labels: {event['classes'] or 'none'}{given}.",
            "",
            "## Configuration",
            "```json",
            json.dumps(config["config"], indent=2),
            "```",
            "",
            "## Measurements",
            "| metric | value | unit |",
            "|---|---|---|",
            *measured,
            "",
            "## Origin",
            *(f"- {key}: {value}" for key, value in sorted(candidate.tags.items())),
            f"- content_digest: {candidate.digest}",
            "",
            "## Use",
            "```python",
            f'model = mlflow.pyfunc.load_model("models:/{entry}@{CHAMPION}")',
            *(f"{_USES[task]}" for task in served.tasks),
            "```",
            "Data are arrays (N, *event) or (N, D) of the units above, lists or DataFrames; `labels` are integers, one",
            "for each row or one for all, and left out if there are none.",
            "",
        ]
    )
