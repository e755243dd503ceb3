"""Jobs: everything that the training loop runs, described so that it can be sent to a worker and resumed.

A job's checkpoints live in a folder named after the digest of all that determines its outcome: code, configuration,
loop settings, seed and data. The same job finds its own state again; a changed one starts afresh.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from models.catalogue import build, check, module_of
from models.classifier import Classifier
from models.contract import Event, Family, UnsuitableEvent

from ..data.examples import examples
from ..data.prepared import Prepared
from ..data.sent import Sent
from ..device import device, memory_bytes
from ..errors import UserError
from ..evaluation.finished import CONFIG, WEIGHTS, classifier_config, load_features
from ..evaluation.validation import classification_validator, family_concerns, family_validator, log_volume
from ..files import file_digest, read_json, text_digest
from ..identity import code_digest
from ..params.entry import Entry
from ..params.plan import best
from ..params.project import Project
from ..params.room import lack_of_room
from ..params.schema import Loop
from ..storage import Folder
from .loop import EndsSoon, Part, Report, fit, never, unheard
from .origin import Checked, Origin
from .task import Task

Make = Callable[[Project], Task]
INITIALISATION_EXAMPLES = 10_000  # how many examples a family's data-dependent initialisation may look at


@dataclass(frozen=True)
class Job:
    """A training that can be run anywhere: `make` builds the task in the process that runs it.

    `roots` are the modules whose code it is, `reads` the folders of finished models that `make` reads in the project.
    `earlier` are phases with tasks of their own, each with the step at which it ends. A part of a training stops at the
    step `until`, and goes on from the checkpoints in the folder `before`.
    """

    name: str
    make: Make
    project: Project | Sent
    loop: Loop
    seed: int
    identity: str
    roots: tuple[str, ...]
    reads: tuple[Path, ...] = ()
    earlier: tuple[tuple[Make, int], ...] = ()
    until: int | None = None
    before: Folder | None = None

    @property
    def digest(self) -> str:
        """The digest of everything that determines the outcome."""
        loop = json.dumps({key: getattr(self.loop, key) for key in Loop.model_fields})
        return text_digest(self.name, self.identity, loop, str(self.seed), str(self.until))

    @property
    def folder(self) -> Folder:
        """Where the checkpoints are."""
        return self.project.storage / f"state/{self.name.replace('@', '-')}-{self.digest[:16]}"

    def sent(self) -> Job:
        """The same job for machines that do not see the project's folder."""
        assert isinstance(self.project, Project)  # it is sent once
        files = [folder / name for folder in self.reads for name in (WEIGHTS, CONFIG)]
        checked = partial(Checked, origin=Origin.here(*self.roots), name=self.name)
        earlier = tuple((checked(make), until) for make, until in self.earlier)
        return replace(self, project=Sent.of(self.project, files), make=checked(self.make), earlier=earlier)

    def __call__(self, report: Report = unheard, ends_soon: EndsSoon = never) -> None:
        """Train in this process, from the newest checkpoint on; see `fit`."""
        project = self.project.unpacked() if isinstance(self.project, Sent) else self.project
        reached = 0
        for make, until in (*self.earlier, (self.make, self.until or self.loop.steps)):
            if reached < until:
                torch.manual_seed(self.seed)
                part = Part(reached, until, self.before)
                reached = fit(make(project), self.loop, self.seed, self.folder, report, ends_soon, part)


def family_job(project: Project, entry: Entry, data: Prepared) -> Job:
    """The training of an entry on the data."""
    return _family_job(project, entry, data, f"train@{entry.name}", entry.loop, entry.seed)


def trial_job(project: Project, entry: Entry, data: Prepared) -> Job:
    """A trial of the search of an entry: a training with the budget and the seed of the search.

    The trial of a population is a part of one, after those of which the entry has the configurations.
    """
    search = project.params.defaults.search
    each = search.validate_every
    budget = {"steps": search.steps, "validate_every": each, "checkpoint_every": each, "patience": None}
    loop = Loop(**{**{key: getattr(entry.loop, key) for key in Loop.model_fields}, **budget})
    before = trial_job(project, entry.before, data).folder if entry.earlier else None
    job = _family_job(project, entry, data, f"tune@{entry.name}", loop, search.seed)
    return replace(job, until=search.rounds[len(entry.earlier)], before=before)


def _family_job(project: Project, entry: Entry, data: Prepared, name: str, loop: Loop, seed: int) -> Job:
    try:
        check(entry.model, entry.config, data.event)
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: entries.{entry.name}.config: {error}") from None
    features = (features_digest(project),) if entry.judged_by_samples else ()
    roots = ("pipelines.training.jobs", f"models.{module_of(entry.model)}")
    return Job(
        name=name,
        make=partial(_family_task, data.digest, name, entry, seed),
        earlier=tuple(
            (partial(_family_task, data.digest, name, each, seed), round(until * loop.steps))
            for each, until in entry.phases
        ),
        project=project,
        loop=loop,
        seed=seed,
        identity=identity(entry, data, *roots, more=features),
        roots=roots,
        reads=(project.artifacts("features"),) if entry.judged_by_samples else (),
    )


def identity(entry: Entry, data: Prepared, *roots: str, more: Sequence[str] = ()) -> str:
    """What determines the outcome of a training of a family by the code of `roots`, beside its loop and seed."""
    configurations = [json.dumps(asdict(entry.config)), *(json.dumps(asdict(each)) for each in entry.earlier)]
    return text_digest(code_digest(*roots), *configurations, data.digest, *more)


def classifier_job(project: Project, data: Prepared) -> Job:
    """The training of the classifier whose features measure samples."""
    settings, roots = project.params.classifier, ("pipelines.training.jobs", "models.classifier")
    return Job(
        name="features",
        make=partial(_classifier_task, data.digest),
        project=project,
        loop=settings,
        seed=settings.seed,
        identity=text_digest(code_digest(*roots), data.digest, json.dumps(classifier_config(settings))),
        roots=roots,
    )


def new_family(entry: Entry, event: Event) -> Family:
    """The untrained family of an entry. Raises `UserError` if there is none, or if this worker has not its memory."""
    try:
        lack = lack_of_room(entry.model, check(entry.model, entry.config, event), entry.loop, memory_bytes(device()))
        if lack:
            raise UserError(f"params.yaml: entries.{entry.name}.config: {lack}")
        return build(entry.model, entry.config, event)
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: entries.{entry.name}.config: {error}") from None


def tuned(project: Project, entry: Entry) -> Entry:
    """The entry with what its search found; as it is, if it is not searched."""
    if not entry.space:
        return entry
    found = read_json(project.root / best(entry.name))
    earlier = [(each["until"], _of_space(entry, each["parameters"])) for each in found.get("earlier", [])]
    return entry.with_values(_of_space(entry, found["parameters"]), earlier)


def _of_space(entry: Entry, values: Mapping[str, Any]) -> dict[str, Any]:
    return {key: values[key] for key in entry.space if key in values}


def features_digest(project: Project) -> str:
    """The digest of the module in whose features families without likelihood and codes are validated."""
    path = project.artifacts("features") / "model.safetensors"
    if not path.is_file():
        raise UserError(f"{path}: there is no such file; run `genera features` first, or `dvc repro`")
    return file_digest(path)


def data_of(project: Project, digest: str) -> Prepared:
    """The prepared data. Raises `UserError` if it is not the data with this digest, for which a job was made."""
    data = Prepared.open(project.prepared)
    if data.digest != digest:
        raise UserError(f"{data.folder}: holds other data than {digest[:16]}, for which this training was made")
    return data


def _family_task(digest: str, name: str, entry: Entry, seed: int, project: Project) -> Task:
    data = data_of(project, digest)
    family = new_family(entry, data.event).to(device())
    train, val = examples(project, data, "train"), examples(project, data, "val")
    x, labels = train.head(INITIALISATION_EXAMPLES)
    family.initialise(x, labels, torch.Generator().manual_seed(seed))
    features = load_features(project.artifacts("features")).to(device()) if entry.judged_by_samples else None
    validate = family_validator(family, val, features, seed, log_volume(data))
    return Task(name, family, family.players(), train, validate, partial(family_concerns, family))


def _classifier_task(digest: str, project: Project) -> Task:
    data, settings = data_of(project, digest), project.params.classifier
    train, val = examples(project, data, "train"), examples(project, data, "val")
    try:
        model = Classifier(data.event, **classifier_config(settings)).to(device())
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: evaluate.classifier: {error}") from None
    x, labels = train.head(INITIALISATION_EXAMPLES)
    model.initialise(x, labels, torch.Generator().manual_seed(settings.seed))
    return Task("features", model, model.players(), train, classification_validator(model, val))
