"""The model card of a registered model, in Markdown: what its user needs to know, the most important first."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..evaluation.metrics.metric_catalogue import Metric, is_bound, metric_of
from ..evaluation.metrics.numerals import number
from ..serving.answers.parameters import PARAMETERS
from .candidate import Candidate
from .usage import usage

if TYPE_CHECKING:
    import pandas as pd

    from ..serving.answers.answering import Answering

LONGEST = 5000  # characters that MLflow's database has room for in the description of a version
ROWS, WIDEST = 5, 12  # of a table of samples: rows, and columns that are shown
FILE, PICTURE = "model_card.md", "samples.png"
INTERVAL = ("_low", "_high")


def model_card(candidate: Candidate, answering: Answering, rows: pd.DataFrame | None, picture: str) -> str:
    """The whole card. `rows` are samples of a table, `picture` is the address of the picture of samples."""
    return "\n".join(_sections(candidate, answering, rows, picture, whole=True))


def description(candidate: Candidate, answering: Answering, rows: pd.DataFrame | None, picture: str) -> str:
    """As much of the card as MLflow keeps in the registry's page, where a line says what is left out."""
    text, left = "", ""
    for section in _sections(candidate, answering, rows, picture, whole=False):
        more = f"\nThe whole card is the artifact `{FILE}` of the logged model.\n"
        if len(text) + len(section) + 1 + len(more) > LONGEST:
            left = more
            continue
        text += section + "\n"
    return text + left


def _sections(
    candidate: Candidate, answering: Answering, rows: pd.DataFrame | None, picture: str, whole: bool
) -> list[str]:
    """The sections; where not the `whole` is wanted, measurements are those that the report's table shows."""
    sections = [
        _head(candidate, answering),
        _samples(candidate, rows, picture),
        _measurements(candidate, whole),
        _limits(candidate, answering),
        usage(candidate, answering),
        _data(candidate, answering),
        _origin(candidate),
        _parameters(answering),
        _configuration(candidate),
    ]
    return [section for section in sections if section]


def _head(candidate: Candidate, answering: Answering) -> str:
    data = candidate.origin.data.get("name") or answering.data.get("name")
    on = f" on `{data}`" if data else ""
    family = candidate.config["model"]
    return f"# {candidate.name}\n\nA generative model of the family `{family}`, trained by genera{on}.\n"


def _samples(candidate: Candidate, rows: pd.DataFrame | None, picture: str) -> str:
    """A picture of samples, or rows."""
    if candidate.picture is not None:
        return f"## Samples\n\n![samples of {candidate.name}]({picture})\n"
    if rows is None:
        return ""
    names = [str(name) for name in rows.columns[:WIDEST]]
    lines = [_row(names), _row(["---"] * len(names))]
    lines += [_row([_cell(value) for value in row]) for row in rows.iloc[:ROWS, :WIDEST].itertuples(index=False)]
    more = len(rows.columns) - len(names)
    return "\n".join(["## Synthetic rows", "", *lines, *([f"\n…and {more} more columns."] if more else []), ""])


def _measurements(candidate: Candidate, whole: bool) -> str:
    """Each measurement once, with its unit and its interval; the objective under its own name."""
    metrics, rows = candidate.metrics, list[str]()
    name, value = metrics.get("objective_name"), metrics.get("objective")
    if isinstance(value, int | float):
        unit = {"val_nll_bits_per_dim": "bits/dim", "val_nll_nats": "nats"}.get(str(name), "")
        rows.append(
            _row([f"`{name}`", number(float(value), 4), "", f"{unit} on the validation split: decides".strip()])
        )
    for key, value in metrics.items():
        metric = metric_of(key)
        plain = isinstance(value, str | int | float) and value != ""
        if metric is None or not plain or not (whole or metric.shown) or (metric.timed and not whole):
            continue
        rows.append(_row([f"`{key}`", _value(metrics, key, metric), _interval(metrics, key), _reading(metric)]))
    lines = [_row(["metric", "value", "95 % interval", "unit"]), _row(["---"] * 4), *rows]
    return "\n".join(["## Measurements", "", *lines, ""]) if rows else ""


def _value(metrics: Mapping[str, Any], key: str, metric: Metric) -> str:
    value = metrics[key]
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        return value
    return f"{'≤ ' if is_bound(metrics, key) else ''}{number(value, metric.digits)}"


def _interval(metrics: Mapping[str, Any], key: str) -> str:
    ends = [metrics.get(f"{key}{end}") for end in INTERVAL]
    return "" if None in ends else " … ".join(number(float(end), 3) for end in ends if end is not None)


def _reading(metric: Metric) -> str:
    split = f" ({metric.split})" if metric.split else ""
    return f"{metric.reading}{split}".strip()


def _limits(candidate: Candidate, answering: Answering) -> str:
    """What it cannot do, and how its numbers are to be understood."""
    metrics, tasks, lines = candidate.metrics, answering.tasks, list[str]()
    if "log_prob" not in tasks:
        lines.append("It has no likelihood: it cannot say how likely an example is, nor score anomalies.")
    elif metrics.get("nll_kind", "exact" if answering.family.bound is None else "bound") == "exact":
        lines.append("Its likelihoods are exact.")
    else:
        kind = f" ({metrics['nll_bound']})" if metrics.get("nll_bound") else ""
        lines.append(f"Its likelihoods are lower bounds{kind}, so that its NLL is an upper bound.")
    if "encode" not in tasks:
        lines.append("It has no codes: it cannot encode or decode.")
    if "complete" not in tasks:
        lines.append("It cannot draw what is missing of an example.")
    elif metrics.get("completion_approximation"):
        lines.append(f"What it draws for missing parts is approximate: {metrics['completion_approximation']}.")
    if not answering.family.classes:
        lines.append("It is unconditional: samples of a class of your choice cannot be asked for.")
    if metrics.get("parallel_sampling") is False:
        lines.append("It draws number by number, so that samples take long.")
    concerns = metrics.get("concerns") or []
    lines += [f"Its training ended with a warning: {concern}" for concern in concerns]
    lines.append("It knows nothing but its training data: what is rare there is rare, or missing, in its samples.")
    return "\n".join(["## Limits", "", *(f"- {line}" for line in lines if line), ""])


def _data(candidate: Candidate, answering: Answering) -> str:
    """What it was trained on, and what one example is."""
    event, data = candidate.config["event"], candidate.origin.data
    shape = "×".join(str(side) for side in event["shape"])
    values = "real numbers" if event["levels"] is None else f"integers 0 … {event['levels'] - 1}"
    given = ", and the model is conditional on them" if answering.family.classes else ""
    digest = candidate.config.get("data_digest") or candidate.tags.get("data_digest")
    counts = ", ".join(f"{count} {key.removesuffix('_examples')}" for key, count in _profile(data).items())
    lines = [
        *([f"- name: `{data['name']}`, from `{data.get('source', '?')}`"] if data else []),
        *([f"- digest: `{digest}`"] if digest else []),
        *([f"- examples: {counts}"] if counts else []),
        f"- one example is {shape} {values}; labels: {event['classes'] or 'none'}{given}",
    ]
    columns = [f"- columns, in any order: {', '.join(f'`{name}`' for name in answering.columns)}"]
    return "\n".join(["## Data", "", *lines, *(columns if answering.columns else []), ""])


def _profile(data: Mapping[str, str]) -> dict[str, Any]:
    return dict(json.loads(data.get("profile", "{}")))


def _origin(candidate: Candidate) -> str:
    lines = [f"- {key}: `{value}`" for key, value in sorted(candidate.tags.items()) if key != "data_digest"]
    return "\n".join(["## Origin", "", *lines, f"- content_digest: `{candidate.digest}`", ""])


def _parameters(answering: Answering) -> str:
    """The parameters that its tasks read, as a table."""
    read = [each for each in PARAMETERS if each.name == "task" or set(each.tasks) & set(answering.tasks)]
    rows = [_row([f"`{each.name}`", f"{each.type}{' list' * each.many}", each.meaning]) for each in read]
    head = [_row(["parameter", "type", "meaning"]), _row(["---"] * 3)]
    return "\n".join(["## Parameters of `predict`", "", *head, *rows, ""])


def _configuration(candidate: Candidate) -> str:
    values = candidate.config["config"]
    lines = ",\n".join(f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in values.items())
    return "\n".join(["## Configuration", "", "```json", f"{{\n{lines}\n}}", "```", ""])


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _cell(value: Any) -> str:
    """A value of a table within Markdown's."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")
