"""The tables of an entry's section: what backs its abilities, its speeds and costs, its likelihood in detail."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from matplotlib.ticker import EngFormatter

from ..evaluation.metrics.metric_catalogue import METRICS, Metric
from ..evaluation.metrics.numerals import measured, number
from .standings import BAYES, BITS, NATS, Row, interval, value_of
from .verdicts import TELLING, passes

SHORT = EngFormatter("FLOP", places=1)  # with k, M, G, … for thousands, millions, …
EXTREMES = 6  # classes at either end that are listed where there are many
SETS = {
    "noise": "each number drawn uniformly",
    "shuffled": "test examples, their numbers in an order of chance, of tables column by column",
    "faded": "test examples halfway to the mean example",
    "flat": "one level everywhere",
    "reversed": "test examples from end to start",
    "photographs": "pieces of two photographs",
    "own": "the file that the parameters name",
}


@dataclass(frozen=True)
class Measured:
    """A table: title, caption with units and how it was computed, heads with their units, and rows of texts.

    The first text of a row is its head. Rows whose place is among the `marked` stand out.
    """

    title: str
    caption: str
    heads: Sequence[tuple[str, str]]
    rows: Sequence[Sequence[str]]
    marked: Sequence[int] = ()


def measures(row: Row) -> list[Measured]:
    """The tables for which a row has numbers."""
    made = [_abilities(row), _speeds(row), _costs(row), _outliers(row), _by_class(row)]
    return [table for table in made if table and table.rows]


def _abilities(row: Row) -> Measured:
    """Each ability that its class claims or denies, and the number that backs it."""
    backed = {
        "parallel_sampling": ("Parallel sampling", _parallel(row)),
        "invertible": ("Invertible", _inverse(row)),
        "exact_likelihood": ("Exact likelihood", _likelihood(row)),
        "latent": ("Latent codes", _codes(row)),
        "completion": ("Completion", _completion(row)),
        "conditional": ("Conditional on labels", _conditional(row)),
    }
    rows = [
        (title, "yes" if row[name] else "no", evidence)
        for name, (title, evidence) in backed.items()
        if isinstance(row.get(name), bool)
    ]
    caption = "What the model can do, and the measurement that belongs to it; blank where there is none."
    return Measured("Abilities", caption, [("Ability", ""), ("Has it", ""), ("Measured", "")], rows)


def _parallel(row: Row) -> str:
    growth = value_of(row, "sampling_growth")
    parts = [f"{passes(row)} for a batch"] if passes(row) else []
    if growth is not None:
        parts.append(f"twice the dimensions need {number(growth)} times the operations in sequence")
    return "; ".join(parts)


def _inverse(row: Row) -> str:
    error = value_of(row, "inversion_error")
    if error is None:
        return ""
    unit = "levels" if value_of(row, BITS.name) is not None else "standard deviations of a column"
    return f"largest error after encoding and decoding: {number(float(error), 2)} {unit}"


def _likelihood(row: Row) -> str:
    measure = BITS if value_of(row, BITS.name) is not None else NATS
    value = value_of(row, measure.name)
    if value is None:
        return ""
    return (
        f"NLL ≤ {measure.text(value)}, {row.get('nll_bound') or 'a bound'}"
        if row.get("nll_kind") == "bound"
        else (f"NLL {measure.text(value)}")
    )


def _codes(row: Row) -> str:
    rmse, gap = value_of(row, "reconstruction_rmse"), value_of(row, "prior_gap")
    parts = [] if rmse is None else [f"reconstruction error {number(float(rmse))} of the standard deviation"]
    return "; ".join(parts + ([] if gap is None else [f"prior gap {number(gap)}, 1 if none"]))


def _completion(row: Row) -> str:
    named = {"completion_score": "energy score", "completion_error": "error", "completion_diversity": "diversity"}
    found = {words: value for name, words in named.items() if (value := value_of(row, name)) is not None}
    parts = [f"{words} {number(value)}" for words, value in found.items()]
    return "; ".join(parts) + (" (that of the mean example is 1)" if "error" in found else "")


def _conditional(row: Row) -> str:
    value = value_of(row, BAYES.name)
    return "" if value is None else f"tells the labels of test examples with accuracy {number(value)} by Bayes' rule"


def _speeds(row: Row) -> Measured:
    """Throughput by batch size."""
    sampling, scoring = row.get("sampling_speed") or {}, row.get("scoring_speed") or {}
    batches = sorted({*sampling, *scoring}, key=int)
    where = f" on {row['speed_device']}" if row.get("speed_device") else ""
    threads = value_of(row, "speed_threads")
    where += f" with {threads:.0f} thread{'s' * (threads != 1)}" if threads else ""
    caption = f"Median throughput in examples per second by batch size{where}."
    if scoring:
        caption += " Scoring computes log p(x) or its bound, of a conditional model log p(x | y) of one label y: all"
        caption += " labels summed out take as many times as long."
    if passes(row):
        caption += f" A batch of samples needs {passes(row)}, whatever its size."
    heads = [("Batch", "examples"), ("Sampling", "examples/s"), ("Scoring", "examples/s")]
    rows = [(batch, _cell(sampling, batch), _cell(scoring, batch)) for batch in batches]
    return Measured("Speed", caption, heads if scoring else heads[:2], [each if scoring else each[:2] for each in rows])


def _costs(row: Row) -> Measured:
    """What training took, and what the model weighs."""
    named = [
        *(name for name, metric in METRICS.items() if metric.group == "Cost" and name != "parameters"),
        "parameters",
    ]
    rows = [
        (METRICS[name].title, _cost(METRICS[name], value))
        for name in named
        if (value := value_of(row, name)) is not None
    ]
    caption = (
        "Training without the search of its hyperparameters. FLOP, floating-point operations, are those of products of"
        " matrices and convolutions, forward and backward in training; a multiplication and an addition are two."
    )
    return Measured("Cost", caption, [("What", ""), ("Cost", "")], rows if len(rows) > 2 else [])


def _cost(metric: Metric, value: float) -> str:
    """A cost with its unit; operations are those of an example."""
    if metric.unit == "FLOP":
        return f"{SHORT(value)} per example"
    return f"{number(value)} {'' if metric.unit in ('numbers', 'steps') else metric.unit}".strip()


def _outliers(row: Row) -> Measured:
    """What the density makes of data that it should find unlikely."""
    measure = BITS if value_of(row, BITS.name) is not None else NATS
    rows: list[Sequence[str]] = []
    marked = []
    own = value_of(row, measure.name)
    if own is not None:
        rows.append(("test examples", number(float(own), 4), "", "", ""))
    for name, each in (row.get("outliers") or {}).items():
        likely, typical = value_of(each, "likelihood_auroc"), value_of(each, "typicality_auroc")
        if likely is not None and likely < 0.5 - TELLING:
            marked.append(len(rows))
        nll = value_of(each, "nll")
        numbers = [
            "" if value is None else number(float(value), digits)
            for value, digits in ((nll, 4), (likely, 3), (typical, 3))
        ]
        rows.append((f"{name}: {SETS[name]}" if name in SETS else name, *numbers, _judgement(likely, typical)))
    caption = (
        "Data that the model never learnt. AUROC: the probability that a test example gets the higher score than a"
        " foreign one, ½ being chance and 1 perfect; by likelihood log p(x), and by typicality, which asks whether log"
        " p(x) is one that training examples have."
    )
    if marked:
        caption += (
            " Marked: the known failure, foreign data gets higher likelihoods than test examples. A density puts them"
            " where they are easy to encode, not where they are familiar: likelihood alone notices no foreign data."
        )
    unit = f"{measure.unit}{', ≤' if row.get('nll_kind') == 'bound' else ''}"
    heads = [("Foreign data", ""), ("NLL", unit), ("Likelihood", "AUROC"), ("Typicality", "AUROC"), ("In words", "")]
    return Measured("Foreign data", caption, heads, rows if row.get("outliers") else [], marked)


def _judgement(likely: float | None, typical: float | None) -> str:
    """What the two AUROCs say."""
    if likely is None:
        return ""
    if likely >= 0.5 - TELLING:
        return "noticed" if likely > 1 - TELLING else "partly noticed" if likely > 0.5 + TELLING else "hardly noticed"
    caught = typical is not None and typical > 0.5 + TELLING
    return f"found likelier than test examples: the known failure{'; typicality notices' if caught else ''}"


def _by_class(row: Row) -> Measured:
    """The likelihood of each class, the easiest first; of many classes the ends."""
    measure = BITS if value_of(row, BITS.name) is not None else NATS
    found = {str(name): value for name, value in (row.get("nll_by_class") or {}).items() if measured(value)}
    order = sorted(found, key=lambda name: found[name])
    rows: list[Sequence[str]] = [(name, number(float(found[name]), 4)) for name in order]
    if len(rows) > 2 * EXTREMES:
        rows = [*rows[:EXTREMES], ("…", ""), *rows[-EXTREMES:]]
    limits = interval(row, measure.name)
    caption = "Mean NLL of p(x) over the test examples of each class, from the likeliest to the least likely class."
    if limits:
        caption += f" All classes: {measure.text(row[measure.name])}."
    bound = ", ≤" if row.get("nll_kind") == "bound" else ""
    return Measured("Likelihood by class", caption, [("Class", ""), ("NLL", f"{measure.unit}{bound}")], rows)


def _cell(values: Mapping[str, float], name: str) -> str:
    value = value_of(values, name)
    return "" if value is None else number(float(value))
