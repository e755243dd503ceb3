"""The comparison of the entries as a table: `comparison.csv` for machines, cells for the page and the terminal.

`COLUMNS` says once what each number is: its unit, its direction, how it is measured. A value that is None, NaN
or absent was not measured; its cell is blank and takes no part in the search for the best.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

BEST = "★"
HUGE = 1e9  # from here on powers of ten are read faster


@dataclass(frozen=True)
class Column:
    """One measured quantity: its name, its unit, and which value is better: `lower`, `higher`, or nearest to `half`."""

    name: str
    group: str
    title: str
    unit: str
    help: str
    better: Literal["lower", "higher", "half"] | None = None
    digits: int = 3

    def badness(self, value: float) -> float:
        """What is less the better a value is."""
        return {"lower": value, "higher": -value, "half": abs(value - 0.5)}[self.better or "lower"]


@dataclass(frozen=True)
class Cell:
    """One shown value: its text, what to sort it by, a remark that qualifies it, and whether it is the best."""

    text: str = ""
    sort: float | None = None
    note: str = ""
    best: bool = False


# The names that comparison.csv starts with, in this order.
NAMES = (
    "entry",
    "model",
    "nll_bits_per_dim",
    "nll_kind",
    "nll_bound",
    "nll_nats",
    "bayes_accuracy",
    "fid",
    "kid",
    "precision",
    "recall",
    "density",
    "coverage",
    "samples_per_s",
    "log_probs_per_s",
    "train_seconds",
    "parameters",
    "parallel_sampling",
    "invertible",
    "sampling_passes",
    "scoring_passes",
    "objective",
    "objective_name",
    "classes_covered",
    "diversity",
    "reconstruction_rmse",
    "prior_gap",
    "probe_accuracy",
    "completion_error",
    "completion_diversity",
    "memorisation",
    "copied",
    "marginal_distance",
    "correlation_distance",
    "two_sample_auc",
    "synthetic_score",
    "real_score",
    "train_steps",
    "train_examples_per_s",
    "train_peak_mib",
    "train_flops",
    "sampling_flops",
    "sampling_growth",
    "inversion_error",
)

# What stands in the cell of a speed: sequential network passes per batch.
PASSES = {"samples_per_s": "sampling_passes", "log_probs_per_s": "scoring_passes"}

LIKELIHOODS = ("nll_bits_per_dim", "nll_nats")  # of these, bounds are marked and named

INTERVALS = ("fid", "kid")  # whose 95 % intervals stand in their cells, as those of likelihoods do

# The columns that people are shown, in their order. The bound of a likelihood and the passes of a speed are notes.
COLUMNS = (
    Column(
        "nll_bits_per_dim",
        "Likelihood",
        "NLL",
        "bits/dim",
        "Negative log-likelihood of test examples, divided by their number of dimensions. ≤ marks an upper bound.",
        better="lower",
        digits=4,
    ),
    Column(
        "nll_nats",
        "Likelihood",
        "NLL",
        "nats",
        "Negative log-likelihood per test example. Vectors are standardised by the training split for it, and a density"
        " of real numbers can exceed 1, so that it falls below zero. ≤ marks an upper bound.",
        better="lower",
        digits=4,
    ),
    Column(
        "bayes_accuracy",
        "Likelihood",
        "Bayes accuracy",
        "0–1",
        "Share of test examples whose label y has the largest p(x | y): a conditional density is a classifier by Bayes'"
        " rule.",
        better="higher",
    ),
    Column(
        "fid",
        "Sample quality",
        "FID",
        "features",
        "Fréchet distance between Gaussians fitted to the features of samples and of test examples.",
        better="lower",
    ),
    Column(
        "kid",
        "Sample quality",
        "KID",
        "features",
        "Kernel distance between the features of samples and of test examples. Unbiased, so it can fall below zero.",
        better="lower",
    ),
    Column(
        "precision",
        "Sample quality",
        "Precision",
        "0–1",
        "Share of samples that lie near some test example: are the samples realistic?",
        better="higher",
    ),
    Column(
        "recall",
        "Sample quality",
        "Recall",
        "0–1",
        "Share of test examples that lie near some sample: is everything in the data also generated?",
        better="higher",
    ),
    Column(
        "density",
        "Sample quality",
        "Density",
        "from 0",
        "Like precision, but counts how many test examples are near: outliers mislead it less. Can exceed 1.",
        better="higher",
    ),
    Column(
        "coverage",
        "Sample quality",
        "Coverage",
        "0–1",
        "Like recall, but with neighbourhoods around the test examples, so that outlying samples mislead it less.",
        better="higher",
    ),
    Column(
        "classes_covered",
        "Sample quality",
        "Classes",
        "covered",
        "How many classes have at least a tenth of their share of the test examples among the samples, both as the"
        " classifier of the features sees them: fewer than there are is a sign of mode collapse.",
        better="higher",
    ),
    Column(
        "memorisation",
        "Sample quality",
        "Memorisation",
        "½ if none",
        "Probability that a sample lies nearer to its nearest training example than a test example does, in features:"
        " well above ½ the model repeats what it has seen, well below it samples lie apart from all data.",
    ),
    Column(
        "marginal_distance",
        "Sample quality",
        "Columns",
        "÷ SD",
        "Distance between the distributions of each column of samples and of test examples, averaged over columns.",
        better="lower",
    ),
    Column(
        "correlation_distance",
        "Sample quality",
        "Correlations",
        "0–2",
        "How far the correlation of each pair of columns differs between samples and test examples, on average.",
        better="lower",
    ),
    Column(
        "two_sample_auc",
        "Sample quality",
        "Two-sample test",
        "½ is best",
        "Area under the ROC curve of a classifier that learns to tell samples from test examples: ½ if it cannot.",
        better="half",
    ),
    Column(
        "synthetic_score",
        "Sample quality",
        "Trained on samples",
        "score on test",
        "What a predictor that is trained on samples reaches on test examples; the entry's section has the same for one"
        " that is trained on the training data.",
        better="higher",
    ),
    Column(
        "completion_error",
        "Codes and use",
        "Completion",
        "÷ mean",
        "Error of what is drawn for missing parts of test examples, divided by that of the mean example: several masks,"
        " two completions each. A good model cannot reach 0, since what is missing is not certain.",
        better="lower",
    ),
    Column(
        "reconstruction_rmse",
        "Codes and use",
        "RMSE",
        "÷ SD",
        "Reconstruction: root mean squared error of decoded codes of test examples, divided by that of the mean"
        " example: 0 is perfect, 1 no better than the mean.",
        better="lower",
    ),
    Column(
        "prior_gap",
        "Codes and use",
        "Prior gap",
        "1 if none",
        "Mean distance from draws of the prior N(0, I) to the nearest code of a test example, divided by that from"
        " codes to the nearest other one. About 1 where codes are spread as the prior is; more where the prior has"
        " holes, or dimensions that codes do not use. Codes of a VAE are the means of its posteriors,"
        " narrower than the prior.",
    ),
    Column(
        "probe_accuracy",
        "Codes and use",
        "Linear probe",
        "0–1",
        "Share of test examples whose label a logistic regression on the frozen features of the model finds (codes, or"
        " the last hidden layer of a discriminator). The head of the page has that on the raw data.",
        better="higher",
    ),
    Column(
        "samples_per_s",
        "Speed",
        "Sampling",
        "examples/s",
        "Median throughput of drawing samples, and the sequential network passes that one batch of them needs.",
        better="higher",
    ),
    Column(
        "log_probs_per_s",
        "Speed",
        "Scoring",
        "examples/s",
        "Median throughput of computing the log-likelihood or its bound, of a conditional model that of one label, and"
        " the sequential passes for one batch.",
        better="higher",
    ),
    Column(
        "train_seconds",
        "Cost",
        "Training",
        "s",
        "Wall-clock time of the final training, without the search of its hyperparameters.",
        better="lower",
    ),
    Column("parameters", "Cost", "Parameters", "", "Learned numbers in the model."),
    Column(
        "parallel_sampling",
        "Abilities",
        "Parallel",
        "",
        "Parallel sampling: is the number of passes for a sample independent of the number of dimensions?",
    ),
    Column(
        "invertible",
        "Abilities",
        "Invertible",
        "",
        "Can every example be encoded and decoded back without loss?",
    ),
)


def comparison(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV text: the columns `NAMES`, then any other in order of appearance; blank where not measured.

    What is nested has dotted names.
    """
    flattened = [dict(flat(row)) for row in rows]
    extra = dict.fromkeys(key for row in flattened for key in row if key not in NAMES)
    text = io.StringIO()
    writer = csv.DictWriter(text, [*NAMES, *extra], lineterminator="\n")
    writer.writeheader()
    for row in flattened:
        writer.writerow({key: _plain(value) for key, value in row.items() if measured(value)})
    return text.getvalue()


def flat(row: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a mapping, and of those in it under dotted names."""
    for key, value in row.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def measured(value: Any) -> bool:
    """Is there a value, rather than None, NaN or an empty text?"""
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


def shown_columns(rows: Sequence[Mapping[str, Any]]) -> list[Column]:
    """The columns in which something was measured, and of bits and nats, which are multiples, only bits."""
    shown = [column for column in COLUMNS if any(measured(row.get(column.name)) for row in rows)]
    in_bits = any(column.name == "nll_bits_per_dim" for column in shown)
    return [column for column in shown if not (in_bits and column.name == "nll_nats")]


def cells(rows: Sequence[Mapping[str, Any]], column: Column) -> list[Cell]:
    """What a column shows in each row, the best marked.

    Values that look the same are equally good. Where fewer than two values differ, or all are bounds, none is the best.
    """
    values: list[Any] = [row.get(column.name) for row in rows]
    known = {_rounded(value, column.digits) for value in values if measured(value)}
    told = not all(is_bound(row, column.name) for row in rows if measured(row.get(column.name)))
    best = min(known, key=column.badness) if column.better and len(known) > 1 and told else None
    return [_cell(row, value, column, best) for row, value in zip(rows, values, strict=True)]


def is_bound(row: Mapping[str, Any], name: str) -> bool:
    """Is a number of a row but an upper bound on the likelihood?"""
    return name in LIKELIHOODS and row.get("nll_kind") == "bound"


def number(value: float, digits: int = 3) -> str:
    """A number for people: whole numbers in full, others with `digits` significant digits, thousands separated."""
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    value = _rounded(value, digits)
    if abs(value) >= HUGE:
        return f"{value:.1e}".replace("e+", "e")
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def _cell(row: Mapping[str, Any], value: Any, column: Column, best: float | None) -> Cell:
    if not measured(value):
        return Cell()
    if isinstance(value, bool):
        return Cell("yes" if value else "no", float(value))
    text = number(value, column.digits)
    best_here = best is not None and _rounded(value, column.digits) == best
    if is_bound(row, column.name):
        text = f"≤ {text}"
    return Cell(text, float(value), _note(row, column), best_here)


def _note(row: Mapping[str, Any], column: Column) -> str:
    """What qualifies a measured value: the bound of a likelihood, the passes of a speed."""
    if column.name in LIKELIHOODS:
        kind = str(row.get("nll_bound") or row.get("nll_kind") or "")
        return ", ".join(filter(None, (_margin(row, column), kind)))
    if column.name in INTERVALS:
        return _margin(row, column)
    passes: Any = row.get(PASSES.get(column.name, ""))
    return f"{number(passes)} {'pass' if passes == 1 else 'passes'}" if measured(passes) else ""


def _margin(row: Mapping[str, Any], column: Column) -> str:
    """How far the 95 % interval of a value reaches, if it has one: of one that ends at 0, to its longer side."""
    value, low, high = (row.get(f"{column.name}{end}") for end in ("", "_low", "_high"))
    if value is None or low is None or high is None:
        return ""
    return f"±\u00a0{number(float(max(high - value, value - low)), 2)}"


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")


def _plain(value: Any) -> Any:
    """Truth values as JSON writes them; pandas reads them back."""
    return str(value).lower() if isinstance(value, bool) else value
