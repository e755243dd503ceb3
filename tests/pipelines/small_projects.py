"""Small projects whose data is prepared and whose entries are finished, though hardly trained."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.catalogue import build
from models.contract import Event
from pipelines.data.examples import examples
from pipelines.data.prepared import Prepared, data_digest
from pipelines.evaluation.finished import family_config, weights_digest, write_cost, write_model
from pipelines.files import file_digest, write_json
from pipelines.params.entry import Entry
from pipelines.params.project import Project
from pipelines.params.schema import Params

from ..models.families import SMALL

LOOP = {"steps": 4, "batch_size": 32, "validate_every": 2, "checkpoint_every": 4}


def write_prepared(folder: Path, event: Event, splits: dict[str, np.ndarray], labels: dict[str, np.ndarray]) -> None:
    """A prepared folder as prepared.py describes it."""
    folder.mkdir(parents=True)
    arrays = {**splits, **{f"{name}_labels": values for name, values in labels.items()}}
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    train = splits["train"]
    columns = [
        {"name": f"x{d}", "mean": float(column.mean()), "std": float(column.std()), "min": 0.0, "max": 0.0}
        for d, column in enumerate(train.T.astype(np.float64) if event.kind == "vector" else ())
    ]
    meta: dict[str, Any] = {
        "name": folder.name,
        "source": "arrays",
        "kind": event.kind,
        "shape": list(event.shape),
        "levels": event.levels,
        "ordered": event.ordered,
        "each_step": None,
        "channels": {"vector": "columns", "sequence": "series", "image": "grey"}[event.kind],
        **dict.fromkeys(("palette", "sample_rate", "encoding", "range")),
        "class_names": [str(label) for label in range(event.classes)],
        "columns": columns,
        "counts": {name: len(array) for name, array in splits.items()},
        "class_counts": {name: np.bincount(of, minlength=event.classes).tolist() for name, of in labels.items()},
        "files": {f"{name}.npy": file_digest(folder / f"{name}.npy") for name in arrays},
    }
    write_json(folder / "meta.json", {**meta, "digest": data_digest(meta)})


def draw(event: Event, n: int, seed: int) -> np.ndarray:
    """Examples with structure: correlated columns of wild units, waves, patches of one colour."""
    rng = np.random.default_rng(seed)
    if event.kind == "vector":
        base = rng.normal(size=(n, 1)) + 0.3 * rng.normal(size=(n, event.dimensions))
        return (base * np.geomspace(0.01, 500, event.dimensions) + 7).astype(np.float32)
    assert event.levels is not None
    if event.kind == "sequence":
        wave = np.sin(np.arange(event.shape[1]) * rng.uniform(0.2, 1.5, (n, 1)) + rng.uniform(0, 6, (n, 1)))
        return ((wave + 1) / 2.001 * event.levels).astype(np.uint8)[:, None]
    patches = rng.integers(event.levels, size=(n, 1, 2, 2)).repeat(event.shape[1] // 2, 2)
    return patches.repeat(event.shape[2] // 2, 3).astype(np.uint8)


def project_with(root: Path, event: Event, counts: tuple[int, int, int] = (120, 40, 60), **more: Any) -> Project:
    """A project whose data is prepared; `more` are settings of `evaluate`."""
    blocks: dict[str, Any] = {
        name: {"model": name, "config": dict(SMALL[name])} for name in ("gmm", "vae", "maf", "iaf")
    }
    blocks["iaf"]["distill"] = {"teacher": "maf", "batch_size": 32}
    if not event.ordered:
        blocks = {"vae": blocks["vae"]}
        blocks["vae"]["config"]["decoder"] = "categorical"
    settings = {
        "samples": 50,
        "speed_batch": 4,
        "speed_runs": 1,
        "classifier": {"width": 4, "feature_dimensions": 6},
        **more,
    }
    params = {
        "defaults": {"train": LOOP, "distill": {"val_samples": 8}},
        "entries": blocks,
        "evaluate": settings,
        "cluster": {"workers": 0},
    }
    project = Project(root, Params(**params))
    splits = {
        name: draw(event, count, seed)
        for seed, (name, count) in enumerate(zip(("train", "val", "test"), counts, strict=True))
    }
    rng = np.random.default_rng(9)
    labels = {name: rng.integers(event.classes, size=len(x)) for name, x in splits.items()} if event.classes else {}
    write_prepared(project.prepared, event, splits, labels)
    return project


def configured(project: Project, *names: str, **config: Any) -> Project:
    """The project with other values in the configuration of some entries."""
    return reblocked(project, *names, config=config)


def reblocked(project: Project, *names: str, **sections: dict[str, Any]) -> Project:
    """The project with other values in sections of the blocks of some entries."""
    raw = project.params.model_dump(by_alias=True, exclude_unset=True)
    for name in names:
        for section, values in sections.items():
            raw["entries"][name][section] = {**raw["entries"][name].get(section, {}), **values}
    return Project(project.root, Params(**raw))


def finish(project: Project, name: str) -> Entry:
    """An entry as its training leaves it, but hardly trained."""
    entry, data = project.entries[name], Prepared.open(project.prepared)
    family = build(entry.model, entry.config, data.event)
    x, labels = examples(project, data, "train").head(100)
    family.initialise(x, labels, torch.Generator().manual_seed(0))
    folder = project.made(entry)
    write_model(folder, family.state_dict(), family_config(entry, data))
    write_json(folder / "metrics.json", {"steps": 4})
    write_cost(folder, weights_digest(folder), {"train_seconds": 1.0})
    return entry
