"""Stage `evaluate@<entry>`: everything that is measured about one finished entry, in honest units."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from models.contract import Family

from ..evaluation.measurements import abilities, cost, use
from ..evaluation.measurements import sample_quality as samples
from ..evaluation.measurements import scores as likelihood
from ..evaluation.measurements.neighbours import nearest_training_examples
from ..evaluation.measurements.subject import Subject
from ..evaluation.shown import column_labels, temperature_labels
from ..evaluation.validation import name_of_objective
from ..files import replacing, write_json
from ..params.project import Project
from ..tracking.record import finite, tracked


def run(project: Project, entry: str) -> None:
    """Write artifacts/evaluate/<entry>/: metrics.json, and arrays that the report shows."""
    params, folder = project.params, project.artifacts("evaluate", entry)
    torch.set_num_threads(params.cluster.cpus_per_worker)
    subject = Subject(project, entry)
    settings = {"model": params.model(entry), "config": subject.family.config, "evaluate": params.evaluate}
    with tracked(project, "evaluate", entry, settings) as run, torch.no_grad():
        completed, of_completions = use.completions(subject)
        codes, of_codes = use.latents(subject)
        metrics = {
            "entry": entry,
            "model": params.model(entry),
            "objective": None,
            "objective_name": name_of_objective(type(subject.family), subject.event),
            **likelihood.measure(subject),
            **samples.measure(subject),
            **of_codes,
            **of_completions,
            **use.measure(subject),
            **cost.measure(subject),
            **abilities.measure(subject),
            "data_digest": subject.data.digest,
            "seed": params.evaluate.seed,
            "train_seed": params.train_seed(entry),
        }
        completed.save(folder / "completions.npz")
        codes.save(folder / "latents.npz")
        nearest_training_examples(subject).save(folder / "neighbours.npz")
        _save(folder / "samples.npy", shown(subject.family, params.evaluate.seed))
        _save(folder / "temperatures.npy", at_temperatures(subject))
        metrics = finite(f"evaluate@{entry}", metrics)
        write_json(folder / "metrics.json", metrics)
        run.log_metrics(metrics)
        run.log_artifact(folder)
    objective = f"{metrics['objective_name']} {_shown(metrics['objective'], 4)}"
    print(f"evaluate@{entry}: {objective}, fid {_shown(metrics['fid'], 3)}; see {folder}")


def _shown(value: float | None, digits: int) -> str:
    return "not measured" if value is None else f"{value:.{digits}f}"


def shown(family: Family, seed: int) -> torch.Tensor:
    """The samples that the report shows, as they come; of a conditional model one class per column."""
    return _sampled(family, column_labels(family.event), seed)


def at_temperatures(subject: Subject) -> torch.Tensor:
    """Samples (T, n, *event) of the same noise at each of the temperatures; of a conditional model of all classes."""
    family, settings = subject.family, subject.settings
    labels = temperature_labels(family.event)
    return torch.stack([_sampled(family, labels, settings.seed, each) for each in settings.temperatures])


def _sampled(family: Family, labels: np.ndarray, seed: int, temperature: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    told = torch.from_numpy(labels) if family.classes else None
    return family.sample(len(labels), told, temperature, generator)


def _save(path: Path, x: torch.Tensor) -> None:
    """Write an array, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, x.cpu().numpy())
