"""Stage `evaluate@<entry>`: everything that is measured about one finished entry, in honest units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.contract import Completion, Family

from ..evaluation.few import sentences_about_blanks, without_few
from ..evaluation.finished import METRICS, weights_digest, write_cost
from ..evaluation.headline import headline
from ..evaluation.measurements import abilities, cost, sample_quality, scores, table_quality, use
from ..evaluation.measurements.neighbours import nearest_training_examples
from ..evaluation.measurements.subject import Subject
from ..evaluation.metrics.paired import Paired
from ..evaluation.results import SCORECARD, finite
from ..evaluation.shown import column_labels, temperature_labels
from ..evaluation.validation import name_of_objective
from ..files import replacing, write_json
from ..params.entry import Entry
from ..params.plan import HEADLINE
from ..params.project import Project
from ..tracking.record import tracked


def run(project: Project, entry: Entry) -> None:
    """Write artifacts/evaluate/<entry>/: metrics.json, its headline, cost.json, and what the report shows."""
    params, folder = project.params, project.artifacts("evaluate", entry)
    torch.set_num_threads(params.cluster.cpus_per_worker)
    subject = Subject(project, entry)
    family = subject.family
    settings = {"model": entry.model, "config": family.config, "evaluate": params.evaluate}
    with tracked(project, "evaluate", entry, settings) as run, torch.no_grad():
        completed, of_completions, each_completion = use.completions(subject)
        codes, of_codes = use.latents(subject)
        of_scores, each_score = scores.measure(subject)
        of_samples, blocks = sample_quality.measure(subject)
        of_rows, card = table_quality.judge(subject)
        measured = {**of_scores, **of_samples, **of_codes, **of_completions, **use.measure(subject)}
        of_enough = without_few(measured, len(subject.test))
        metrics = {
            "entry": entry.name,
            "model": entry.model,
            "objective": None,
            "objective_name": name_of_objective(type(family), subject.event),
            **of_enough,
            **of_rows,
            "completion_approximation": family.approximation if isinstance(family, Completion) else None,
            **cost.measure(subject),
            **abilities.measure(subject),
            "data_digest": subject.data.digest,
            "seed": params.evaluate.seed,
            "train_seed": entry.seed,
        }
        Paired.of(each_score | each_completion | blocks).save(folder / "paired.npz")
        completed.save(folder / "completions.npz")
        codes.save(folder / "latents.npz")
        nearest_training_examples(subject).save(folder / "neighbours.npz")
        _save(folder / "samples.npy", shown(family, params.evaluate.seed))
        _save(folder / "temperatures.npy", at_temperatures(subject))
        write_json(folder / SCORECARD, finite(f"evaluate@{entry.name}", card or {}))
        write_cost(folder, weights_digest(subject.origin), {}, run.key)
        metrics = finite(f"evaluate@{entry.name}", metrics)
        write_json(folder / HEADLINE, headline(metrics))
        write_json(folder / METRICS, metrics)
        run.log_metrics(metrics)
        run.log_artifact(folder)
    for sentence in sentences_about_blanks(metrics):
        print(f"evaluate@{entry.name}: {sentence}")
    objective = f"{metrics['objective_name']} {_shown(metrics['objective'], 4)}"
    print(f"evaluate@{entry.name}: {objective}, fid {_shown(metrics['fid'], 3)}; see {folder}")


def speeds(project: Project, entry: Entry) -> dict[str, Any]:
    """How fast the entry samples and scores."""
    torch.set_num_threads(project.params.cluster.cpus_per_worker)
    with torch.no_grad():
        return cost.speeds(Subject(project, entry))


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
    given = torch.from_numpy(labels) if family.classes else None
    return family.sample(len(labels), given, temperature, generator)


def _save(path: Path, x: torch.Tensor) -> None:
    """Write an array, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.save(file, x.cpu().numpy())
