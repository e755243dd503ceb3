"""The model card of a registered model, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.metrics.metric_catalogue import metric_of
from .champion import CHAMPION

if TYPE_CHECKING:
    from ..serving.model import ServedModel

_USES = {
    "sample": 'model.predict(None, params={"task": "sample", "n": 16, "seed": 1, "temperature": 1.0})  # examples',
    "log_prob": 'model.predict(x, params={"task": "log_prob"})  # (N,) nats',
    "encode": 'model.predict(x, params={"task": "encode"})  # codes (N, L)',
    "decode": 'model.predict(z, params={"task": "decode"})  # expected examples of codes, floats',
    "complete": 'model.predict(x, params={"task": "complete", "seed": 1})  # examples, drawn where x is NaN',
}
_COMPLETION = [
    "`complete` keeps every number that is known, and draws those that are NaN (or None) by `seed` and `temperature`;",
    "without `labels` a conditional model draws them, too.",
]


@dataclass(frozen=True)
class Candidate:
    """What is registered under a name: the entry's files, their digest, its measurements and the caller's tags."""

    name: str
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
        if measured["objective_name"] == "val_fid":  # distances in other features are not comparable
            measured["fid_features"] = self.metrics.get("fid_features")
        elif self.metrics.get("nll_kind"):  # p(x|y) is no p(x), and bounds are not equally tight
            measured["conditional"] = self.metrics.get("conditional")
            measured["bound"] = self.metrics.get("objective_bound") or "exact"
        return {
            **self.tags,
            **{key: str(value) for key, value in measured.items() if value is not None},
            "content_digest": self.digest,
            "model": str(self.config["model"]),
        }


def model_card(candidate: Candidate, served: ServedModel) -> str:
    """The model card, in Markdown."""
    config, event = candidate.config, candidate.config["event"]
    shape = "×".join(str(side) for side in event["shape"])
    values = "real numbers" if event["levels"] is None else f"integers 0 … {event['levels'] - 1}"
    given = ", and the model is conditional on them" if served.family.classes else ""
    measured = [
        f"| {key} | {f'{value:.6g}' if isinstance(value, float) else value} | {_unit(candidate, key)} |"
        for key, value in candidate.metrics.items()
        if isinstance(value, str | int | float)
    ]
    return "\n".join(
        [
            f"# {candidate.name}",
            "",
            f"A generative model of the family `{config['model']}`, trained by genera.",
            "",
            "## Data",
            f"One example is {shape} {values}. Labels: {event['classes'] or 'none'}{given}.",
            *_fenced(config.get("data")),
            "",
            "## Configuration",
            *_fenced(config["config"]),
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
            f'model = mlflow.pyfunc.load_model("models:/{candidate.name}@{CHAMPION}")',
            *(f"{_USES[task]}" for task in served.tasks),
            "```",
            "Data are arrays (N, *event) or (N, D) of the units above, lists or DataFrames; `labels` are integers, one",
            "for each row or one for all, and left out if there are none. A conditional model then draws them by their",
            "shares of the training examples, or with `balanced: True` all alike.",
            *(_COMPLETION if "complete" in served.tasks else []),
            "",
        ]
    )


def _unit(candidate: Candidate, key: str) -> str:
    """The unit of a measurement, or how to read it."""
    if key == "objective":
        return f"{candidate.metrics.get('objective_name')} on the validation split"
    metric = metric_of(key)
    return metric.reading if metric else ""


def _fenced(values: Mapping[str, Any] | None) -> list[str]:
    """Values as a block of JSON, a line for each; nothing if there are none."""
    if not values:
        return []
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
    return ["```json", f"{{\n{lines}\n}}", "```"]
