"""Stage `prepare`: read the source, split it, and write it in the one format that every family reads."""

from __future__ import annotations

from importlib import import_module

import numpy as np
from sklearn.model_selection import train_test_split

from . import prepared
from .errors import UserError
from .files import write_json
from .params import Data
from .prepared import Split
from .project import Project
from .record import tracked
from .sources import Source


def run(project: Project) -> None:
    """Write data/prepared/<source>/ and a summary with counts and the digest."""
    data = project.params.data
    source: Source = import_module(f"{__package__}.sources.{data.source}").read()
    written = prepared.write(project.prepared, split(source, data), source.levels, source.class_names)
    summary = {key: written.meta[key] for key in ("name", "shape", "levels", "counts", "digest")}
    write_json(project.artifacts("prepare") / "summary.json", summary)
    with tracked(project, "prepare", None, {"data": data}) as run:
        run.log_metrics(written.meta["counts"])
    counts = ", ".join(f"{count} {name}" for name, count in written.meta["counts"].items())
    print(f"prepare: {counts} examples of shape {tuple(written.meta['shape'])} in {project.prepared}")


def split(source: Source, data: Data) -> dict[str, Split]:
    """Train, val and test, drawn by the seed and stratified by label where there are labels."""
    held_out = data.val_count + data.test_count
    if len(source.x) - held_out < 1:
        raise UserError(
            f"params.yaml: data.val_count + data.test_count: {held_out} is not allowed: "
            f"{data.source} has {len(source.x)} examples, and some must be left to train on"
        )
    rest, test = _draw(np.arange(len(source.x)), data.test_count, source.labels, data)
    train, val = _draw(rest, data.val_count, source.labels, data)
    rows = {"train": train, "val": val, "test": test}
    return {
        name: Split(source.x[index], None if source.labels is None else source.labels[index])
        for name, index in rows.items()
    }


def _draw(rows: np.ndarray, count: int, labels: np.ndarray | None, data: Data) -> tuple[np.ndarray, np.ndarray]:
    """Split `count` rows off."""
    strata = None if labels is None else labels[rows]
    try:
        left, drawn = train_test_split(rows, test_size=count, random_state=data.seed, stratify=strata)
    except ValueError as error:
        raise UserError(f"params.yaml: data: the splits cannot be drawn: {error}") from None
    return left, drawn
