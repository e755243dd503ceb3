"""The training of a student: its job, its task, and the KL divergence that validates it.

Apart from the other jobs, since no family that is trained on the data depends on the code of distillation.
"""

from __future__ import annotations

import math
from functools import partial

import torch
from torch import Tensor

from models.catalogue import module_of
from models.contract import Family, UnsuitableEvent
from models.distillation import Distillation, Waveform

from ..data.examples import examples
from ..data.prepared import Prepared
from ..data.quantisation import Encoding
from ..device import device
from ..errors import UserError
from ..evaluation.finished import load_family, weights_digest
from ..evaluation.validation import BATCH, Validator
from ..params.entry import Entry
from ..params.project import Project
from ..params.schema import Distill
from .jobs import INITIALISATION_EXAMPLES, Job, data_of, identity, new_family
from .task import Task


def student_job(project: Project, entry: Entry, data: Prepared) -> Job:
    """The distillation of a student."""
    teacher, settings = _teacher(entry), _settings(entry)
    roots = (__name__, f"models.{module_of(entry.model)}", f"models.{module_of(teacher.model)}")
    more = (
        weights_digest(project.made(teacher)),
        settings.loss.model_dump_json(),
        str((settings.warm_start_steps, settings.val_samples)),
    )
    return Job(
        name=f"distill@{entry.name}",
        make=partial(_student_task, data.digest, entry),
        project=project,
        loop=settings,
        seed=entry.seed,
        identity=identity(entry, data, *roots, more=more),
        roots=roots,
        reads=(project.made(teacher),),
    )


def _teacher(entry: Entry) -> Entry:
    assert entry.teacher is not None  # as of every entry that is distilled
    return entry.teacher


def _settings(entry: Entry) -> Distill:
    assert isinstance(entry.loop, Distill)
    return entry.loop


def _student_task(digest: str, entry: Entry, project: Project) -> Task:
    settings, data = _settings(entry), data_of(project, digest)
    teacher = load_family(project.made(_teacher(entry))).to(device())
    student = new_family(entry, data.event).to(device())
    train = examples(project, data, "train")
    x, labels = train.head(INITIALISATION_EXAMPLES)
    student.initialise(x, labels, torch.Generator().manual_seed(entry.seed))
    try:
        distillation = Distillation(
            student,
            teacher,
            waveform=waveform(data.event.levels, data.meta["encoding"]),
            warm_start_steps=settings.warm_start_steps,
            **settings.loss.model_dump(),
        )
    except UnsuitableEvent as error:
        raise UserError(f"params.yaml: entries.{entry.name}.distill: {error}") from None
    validate = divergence_validator(distillation, settings.val_samples, entry.seed + 1)
    compared = train if settings.loss.power else None
    return Task(f"distill@{entry.name}", student, distillation.players(), compared, validate)


def final_divergence(student: Family, teacher: Family, entry: Entry) -> dict[str, float]:
    """KL(student ‖ teacher) on noise that has chosen nothing: the least of many validations is less than it should."""
    settings = _settings(entry)
    distillation = Distillation(student, teacher)
    return divergence_validator(distillation, settings.val_samples, entry.seed + 2)()


def waveform(levels: int | None, encoding: Encoding | None) -> Waveform | None:
    """From levels x in [0, K - 1], as floats, to amplitudes in [-1, 1], differentiable; see `quantisation`."""
    if levels is None or encoding is None:
        return None
    if encoding == "linear":
        return lambda x: (2 * x + 1) / levels - 1
    mu = levels - 1

    def expanded(x: Tensor) -> Tensor:
        exponent = (2 * x / mu - 1).clamp(-1, 1) * math.log1p(mu)
        return torch.where(exponent >= 0, torch.expm1(exponent), -torch.expm1(-exponent)) / mu

    return expanded


def divergence_validator(distillation: Distillation, samples: int, seed: int) -> Validator:
    """Validate a student by KL(student ‖ teacher) in nats per dimension, on the same noise each time."""
    u = torch.randn(samples, distillation.event.dimensions, generator=torch.Generator().manual_seed(seed))
    labels = torch.arange(samples) % distillation.classes if distillation.classes else None
    u, labels = u.to(device()), None if labels is None else labels.to(device())

    def validate() -> dict[str, float]:
        kl, standard_error = distillation.estimate(u, labels, BATCH)
        return {"objective": kl, "standard_error": standard_error}

    return validate
