"""Jobs: everything that the training loop runs, described so that it can be sent to a worker and resumed.

A job's checkpoints live in a folder named after the digest of all that determines its outcome: code, configuration,
loop settings, seed and data. The same job finds its own state again; a changed one starts afresh.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch

from models.catalogue import build, family_class
from models.classifier import Classifier
from models.contract import Density, Event, Family, Reconstruction, UnsuitableEvent

from ..data.examples import Examples
from ..data.prepared import Prepared
from ..data.publishing import cache_folder, fetch, location
from ..data.rows import Rows
from ..device import device
from ..errors import UserError
from ..evaluation.finished import classifier_config, load_features
from ..evaluation.validation import classification_validator, family_concerns, family_validator, log_volume
from ..files import file_digest, read_json, text_digest
from ..identity import family_digest, module_digest
from ..params.project import Project
from ..params.schema import Loop, searched
from .loop import Report, fit
from .task import Task

INITIALISATION_EXAMPLES = 10_000  # how many examples a family's data-dependent initialisation may look at


@dataclass(frozen=True)
class Job:
    """A training that can be run anywhere: `make` builds the task in the process that runs it."""

    name: str
    make: Callable[[], Task]
    loop: Loop
    seed: int
    storage: Path
    identity: str

    @property
    def digest(self) -> str:
        """The digest of everything that determines the outcome."""
        loop = json.dumps({key: getattr(self.loop, key) for key in Loop.model_fields})
        return text_digest(self.name, self.identity, loop, str(self.seed))

    @property
    def folder(self) -> Path:
        """Where the checkpoints are."""
        return self.storage / "state" / f"{self.name.replace('@', '-')}-{self.digest[:16]}"

    def __call__(self, report: Report) -> None:
        """Train in this process, from the newest checkpoint on."""
        torch.manual_seed(self.seed)
        fit(self.make(), self.loop, self.seed, self.folder, report)


def family_job(
    project: Project,
    entry: str,
    found: Mapping[str, Any],
    loop: Loop | None = None,
    seed: int | None = None,
    digest: str | None = None,
) -> Job:
    """The training of an entry on the data, with the values that its search found, if it had one.

    `digest` is that of the prepared data; without it the data must be in the project's folder.
    """
    params = project.params
    name = f"{'train' if loop is None else 'tune'}@{entry}"
    data = Prepared.open(project.prepared) if digest is None else data_of(project, digest)
    check_event(project, entry, data.event)
    seed = params.train_seed(entry) if seed is None else seed
    model, config = params.model(entry), asdict(params.config(entry, found))
    # Only models with neither a likelihood nor codes are validated in features.
    features = () if issubclass(family_class(model), Density | Reconstruction) else (_feature_digest(project),)
    return Job(
        name=name,
        make=partial(_family_task, project, data.digest, name, entry, dict(found), seed),
        loop=loop or params.train.entries[entry],
        seed=seed,
        storage=project.storage,
        identity=identity(data.digest, model, config, *features),
    )


def classifier_job(project: Project) -> Job:
    """The training of the classifier whose features measure samples."""
    settings = project.params.evaluate.classifier
    shape, data = json.dumps(classifier_config(settings)), Prepared.open(project.prepared)
    return Job(
        name="features",
        make=partial(_classifier_task, project, data.digest),
        loop=settings,
        seed=project.params.train.seed,
        storage=project.storage,
        identity=text_digest(module_digest("models.classifier"), data.digest, shape),
    )


def check_event(project: Project, entry: str, event: Event | None = None) -> None:
    """Raise `UserError` if the family of an entry cannot model the data, whatever its configuration."""
    reason = family_class(project.params.model(entry)).refusal(event or Prepared.open(project.prepared).event)
    if reason is not None:
        raise UserError(f"params.yaml: families.{entry}.model: {reason}")


def new_family(project: Project, entry: str, found: Mapping[str, Any], event: Event | None = None) -> Family:
    """The untrained family of an entry, with the values that its search found. Raises `UserError` if there is none."""
    params = project.params
    try:
        event = event or Prepared.open(project.prepared).event
        return build(params.model(entry), params.config(entry, found), event)
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: families.{entry}: {error}") from None


def best_parameters(project: Project, entry: str) -> dict[str, Any]:
    """What the search of an entry found; nothing for an entry that is not searched."""
    if entry not in project.params.tune.entries:
        return {}
    found: dict[str, Any] = read_json(project.root / searched(entry))["parameters"]
    return found


def identity(data: str, model: str, config: dict[str, Any], *more: str) -> str:
    """What determines the outcome of a training of a family, beside its loop and seed."""
    return text_digest(family_digest(model), json.dumps(config), data, *more)


def _feature_digest(project: Project) -> str:
    """The digest of the module in whose features models without a likelihood are validated."""
    return file_digest(project.artifacts("features") / "model.safetensors")


def data_of(project: Project, digest: str) -> Prepared:
    """The prepared data with this digest, for a process that may not see the project's folder.

    It is the project's own if that is there, else the published copy, if there is one. Raises `UserError` for neither.
    """
    published = project.params.data.publish
    try:
        data = Prepared.open(project.prepared)
        if data.digest == digest:
            return data
        problem = UserError(f"{data.folder}: holds other data than {digest[:16]}, for which this training was made")
    except UserError as error:
        problem = error
    if published is None:
        raise problem
    return fetch(location(published, project.root), project.prepared.name, digest, cache_folder())


def examples(project: Project, data: Prepared, split: str) -> Examples:
    """A split, on this process's device if it fits; of grey images that each step makes black or white, `train`."""
    labels, levels = data.split(split).labels, data.meta.get("each_step") if split == "train" else None
    limit = project.params.train.memory_limit << 20
    return Examples(Rows(data.folder / f"{split}.npy"), labels, device(), limit, levels)


def _family_task(project: Project, digest: str, name: str, entry: str, found: dict[str, Any], seed: int) -> Task:
    data = data_of(project, digest)
    family = new_family(project, entry, found, data.event).to(device())
    train, val = examples(project, data, "train"), examples(project, data, "val")
    x, labels = train.head(INITIALISATION_EXAMPLES)
    family.initialise(x, labels, torch.Generator().manual_seed(seed))
    features = load_features(project.artifacts("features")).to(device())
    validate = family_validator(family, val, features, seed, log_volume(data))
    return Task(name, family, family.players(), train, validate, partial(family_concerns, family))


def _classifier_task(project: Project, digest: str) -> Task:
    data, settings = data_of(project, digest), project.params.evaluate.classifier
    train, val = examples(project, data, "train"), examples(project, data, "val")
    try:
        model = Classifier(data.event, **classifier_config(settings)).to(device())
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: evaluate.classifier: {error}") from None
    x, labels = train.head(INITIALISATION_EXAMPLES)
    model.initialise(x, labels, torch.Generator().manual_seed(project.params.train.seed))
    return Task("features", model, model.players(), train, classification_validator(model, val))
