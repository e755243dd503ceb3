"""Jobs: everything that the training loop runs, described so that it can be sent to a worker and resumed.

A job's checkpoints live in a folder named after the digest of all that determines its outcome: code, configuration,
loop settings, seed and data. The same job finds its own state again; a changed one starts afresh.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from models.catalogue import build, check, module_of
from models.classifier import Classifier
from models.contract import Event, Family, UnsuitableEvent

from ..data.examples import examples
from ..data.prepared import Prepared
from ..data.publishing import cache_folder, fetch, location
from ..device import device
from ..errors import UserError
from ..evaluation.finished import classifier_config, load_features
from ..evaluation.validation import classification_validator, family_concerns, family_validator, log_volume
from ..files import file_digest, read_json, text_digest
from ..identity import code_digest
from ..params.entry import Entry
from ..params.plan import best
from ..params.project import Project
from ..params.schema import Loop
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


def family_job(project: Project, entry: Entry, data: Prepared) -> Job:
    """The training of an entry on the data."""
    return _family_job(project, entry, data, f"train@{entry.name}", entry.loop, entry.seed)


def trial_job(project: Project, entry: Entry, data: Prepared) -> Job:
    """A trial of the search of an entry: a training with the budget and the seed of the search."""
    search = project.params.defaults.search
    each = search.validate_every
    budget = {"steps": search.steps, "validate_every": each, "checkpoint_every": each, "patience": None}
    loop = Loop(**{**{key: getattr(entry.loop, key) for key in Loop.model_fields}, **budget})
    return _family_job(project, entry, data, f"tune@{entry.name}", loop, search.seed)


def _family_job(project: Project, entry: Entry, data: Prepared, name: str, loop: Loop, seed: int) -> Job:
    try:
        check(entry.model, entry.config, data.event)
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: entries.{entry.name}.config: {error}") from None
    features = (features_digest(project),) if entry.judged_by_samples else ()
    return Job(
        name=name,
        make=partial(_family_task, project, data.digest, name, entry, seed),
        loop=loop,
        seed=seed,
        storage=project.storage,
        identity=identity(entry, data, "pipelines.training.jobs", *features),
    )


def identity(entry: Entry, data: Prepared, module: str, *more: str) -> str:
    """What determines the outcome of a training by `module` of a family, beside its loop and seed."""
    code = code_digest(module, f"models.{module_of(entry.model)}")
    return text_digest(code, json.dumps(asdict(entry.config)), data.digest, *more)


def classifier_job(project: Project, data: Prepared) -> Job:
    """The training of the classifier whose features measure samples."""
    settings = project.params.classifier
    code = code_digest("pipelines.training.jobs", "models.classifier")
    return Job(
        name="features",
        make=partial(_classifier_task, project, data.digest),
        loop=settings,
        seed=settings.seed,
        storage=project.storage,
        identity=text_digest(code, data.digest, json.dumps(classifier_config(settings))),
    )


def new_family(entry: Entry, event: Event) -> Family:
    """The untrained family of an entry. Raises `UserError` if there is none."""
    try:
        return build(entry.model, entry.config, event)
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: entries.{entry.name}.config: {error}") from None


def tuned(project: Project, entry: Entry) -> Entry:
    """The entry with what its search found; as it is, if it is not searched."""
    if not entry.space:
        return entry
    found = read_json(project.root / best(entry.name))["parameters"]
    return entry.with_values({key: found[key] for key in entry.space if key in found})


def features_digest(project: Project) -> str:
    """The digest of the module in whose features families without likelihood and codes are validated."""
    path = project.artifacts("features") / "model.safetensors"
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run `genera features` first, or `dvc repro`")
    return file_digest(path)


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


def _family_task(project: Project, digest: str, name: str, entry: Entry, seed: int) -> Task:
    data = data_of(project, digest)
    family = new_family(entry, data.event).to(device())
    train, val = examples(project, data, "train"), examples(project, data, "val")
    x, labels = train.head(INITIALISATION_EXAMPLES)
    family.initialise(x, labels, torch.Generator().manual_seed(seed))
    features = load_features(project.artifacts("features")).to(device()) if entry.judged_by_samples else None
    validate = family_validator(family, val, features, seed, log_volume(data))
    return Task(name, family, family.players(), train, validate, partial(family_concerns, family))


def _classifier_task(project: Project, digest: str) -> Task:
    data, settings = data_of(project, digest), project.params.classifier
    train, val = examples(project, data, "train"), examples(project, data, "val")
    try:
        model = Classifier(data.event, **classifier_config(settings)).to(device())
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: evaluate.classifier: {error}") from None
    x, labels = train.head(INITIALISATION_EXAMPLES)
    model.initialise(x, labels, torch.Generator().manual_seed(settings.seed))
    return Task("features", model, model.players(), train, classification_validator(model, val))
