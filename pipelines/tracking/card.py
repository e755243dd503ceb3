"""The model card of a registered model, in Markdown."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..evaluation.metrics.metric_catalogue import metric_of
from ..serving.answers.parameters import PARAMETERS
from .champion import CHAMPION

if TYPE_CHECKING:
    from ..serving.answers.answering import Answering

_USES = {
    "sample": 'model.predict(None, params={"task": "sample", "n": 16, "seed": 1})  # examples',
    "log_prob": 'model.predict(x, params={"task": "log_prob"})  # (N,) log-likelihoods in nats, higher is likelier',
    "score": "model.predict(x)  # how likely and how usual: a table with a row for each example",
    "encode": 'model.predict(x, params={"task": "encode"})  # codes (N, L)',
    "decode": 'model.predict(z, params={"task": "decode"})  # expected examples of codes',
    "complete": 'model.predict(x, params={"task": "complete", "seed": 1})  # examples, drawn where x is NaN',
}
_COMPLETION = [
    "`complete` keeps every number that is known, and draws those that are NaN (or None), `n` times for each example;",
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
    scores: Mapping[str, Any] | None = None

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


def model_card(candidate: Candidate, answering: Answering) -> str:
    """The model card, in Markdown."""
    config, event = candidate.config, candidate.config["event"]
    shape = "×".join(str(side) for side in event["shape"])
    values = "real numbers" if event["levels"] is None else f"integers 0 … {event['levels'] - 1}"
    given = ", and the model is conditional on them" if answering.family.classes else ""
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
            *(f"{_USES[task]}" for task in answering.tasks),
            "```",
            *_input_in_words(answering),
            *_parameters(answering),
            *(_COMPLETION if "complete" in answering.tasks else []),
            "",
        ]
    )


def _input_in_words(answering: Answering) -> list[str]:
    """What data may be."""
    if answering.columns:
        names = ", ".join(f"`{name}`" for name in answering.columns)
        return [f"Data are DataFrames, whose columns are found by their names, in any order: {names}.", ""]
    return ["Data are arrays (N, *event) or (N, D) of the units above, lists or DataFrames.", ""]


def _parameters(answering: Answering) -> list[str]:
    """The parameters that its tasks read, as a table."""
    read = [each for each in PARAMETERS if each.name == "task" or set(each.tasks) & set(answering.tasks)]
    rows = [f"| `{each.name}` | {each.type}{' list' * each.many} | {each.meaning} |" for each in read]
    return ["| parameter | type | meaning |", "|---|---|---|", *rows, ""]


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
