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
from models.contract import Density, UnsuitableEvent
from models.distillation import Distillation

from .errors import UserError
from .export import classifier_config, load_classifier, load_family
from .files import file_digest, read_json, text_digest
from .params import Loop, searched
from .prepared import Prepared
from .project import Project
from .source_digest import family_digest, module_digest
from .training.examples import Examples
from .training.loop import Report, Task, device, fit
from .validation import classification_validator, divergence_validator, family_validator

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
    project: Project, entry: str, found: Mapping[str, Any], loop: Loop | None = None, seed: int | None = None
) -> Job:
    """The training of an entry on the data, with the values that its search found, if it had one."""
    params = project.params
    name = f"{'train' if loop is None else 'tune'}@{entry}"
    seed = params.train.seed if seed is None else seed
    model, config = params.model(entry), asdict(params.config(entry, found))
    # Only models without a likelihood are validated in the classifier's features.
    features = () if issubclass(family_class(model), Density) else (_feature_digest(project),)
    return Job(
        name=name,
        make=partial(_family_task, project, name, entry, dict(found), seed),
        loop=loop or params.train.entries[entry],
        seed=seed,
        storage=project.storage,
        identity=_identity(project, model, config, *features),
    )


def student_job(project: Project, entry: str) -> Job:
    """The distillation of a student."""
    params = project.params
    settings = params.distill.entries[entry]
    teacher = file_digest(project.artifacts("train", settings.teacher) / "model.safetensors")
    config = asdict(params.config(entry))
    return Job(
        name=f"distill@{entry}",
        make=partial(_student_task, project, entry),
        loop=settings,
        seed=params.distill.seed,
        storage=project.storage,
        identity=_identity(project, params.model(entry), config, teacher, str(params.distill.val_samples)),
    )


def classifier_job(project: Project) -> Job:
    """The training of the classifier whose features measure samples."""
    settings = project.params.evaluate.classifier
    shape = json.dumps(classifier_config(settings))
    return Job(
        name="features",
        make=partial(_classifier_task, project),
        loop=settings,
        seed=project.params.train.seed,
        storage=project.storage,
        identity=text_digest(module_digest("models.classifier"), Prepared.open(project.prepared).digest, shape),
    )


def best_parameters(project: Project, entry: str) -> dict[str, Any]:
    """What the search of an entry found; nothing for an entry that is not searched."""
    if entry not in project.params.tune.entries:
        return {}
    found: dict[str, Any] = read_json(project.root / searched(entry))["parameters"]
    return found


def _identity(project: Project, model: str, config: dict[str, Any], *more: str) -> str:
    return text_digest(family_digest(model), json.dumps(config), Prepared.open(project.prepared).digest, *more)


def _feature_digest(project: Project) -> str:
    """The digest of the classifier, by whose features models without a likelihood are validated."""
    return file_digest(project.artifacts("features") / "model.safetensors")


def examples(project: Project, data: Prepared, split: str) -> Examples:
    """A split, on this process's device if it fits."""
    arrays = data.split(split)
    return Examples(arrays.x, arrays.labels, device(), project.params.train.memory_limit << 20)


def _family_task(project: Project, name: str, entry: str, found: dict[str, Any], seed: int) -> Task:
    params, data = project.params, Prepared.open(project.prepared)
    train, val = examples(project, data, "train"), examples(project, data, "val")
    try:
        family = build(params.model(entry), params.config(entry, found), data.event).to(device())
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: families.{entry}: {error}") from None
    x, labels = train.head(INITIALISATION_EXAMPLES)
    family.initialise(x, labels, torch.Generator().manual_seed(seed))
    classifier = load_classifier(project.artifacts("features")).to(device())
    validate = family_validator(family, val, classifier, seed)
    return Task(name, family, family.players(), train, validate)


def _student_task(project: Project, entry: str) -> Task:
    params, data = project.params, Prepared.open(project.prepared)
    settings = params.distill.entries[entry]
    teacher = load_family(project.artifacts("train", settings.teacher)).to(device())
    try:
        student = build(params.model(entry), params.config(entry), data.event).to(device())
        distillation = Distillation(student, teacher)
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: distill.entries.{entry}: {error}") from None
    validate = divergence_validator(distillation, params.distill.val_samples, params.distill.seed)
    return Task(f"distill@{entry}", student, distillation.players(), None, validate)


def _classifier_task(project: Project) -> Task:
    data, settings = Prepared.open(project.prepared), project.params.evaluate.classifier
    train, val = examples(project, data, "train"), examples(project, data, "val")
    try:
        model = Classifier(data.event, **classifier_config(settings)).to(device())
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: evaluate.classifier: {error}") from None
    x, labels = train.head(INITIALISATION_EXAMPLES)
    model.initialise(x, labels, torch.Generator().manual_seed(project.params.train.seed))
    return Task("features", model, model.players(), train, classification_validator(model, val))
