"""The short answers at the top of the page, by the same rules as the paragraphs of the entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..evaluation.metrics.metric_catalogue import Metric
from .standings import (
    COMPLETION,
    COST,
    FID,
    SPEED,
    Row,
    how_level,
    leaders,
    likelihood,
    quality,
    ranked,
    standing,
    undominated,
    value_of,
)
from .verdicts import (
    Students,
    against_teacher,
    bound_name,
    cost_and_quality,
    entries,
    has_memorised,
    in_words,
    is_suspicious,
    memorisation_numbers,
    ordinal,
    passes,
    with_interval,
    with_teacher,
)

LISTED = 6  # entries that an answer lists


@dataclass(frozen=True)
class Answer:
    """A question that every reader has, and its answer; names of entries stand in backquotes."""

    question: str
    text: str


def answers(rows: Sequence[Row], students: Students) -> list[Answer]:
    """The answers that the numbers of the rows give; questions about what was not measured are left out."""
    costed = [with_teacher(row, rows, students) for row in rows]
    found = [
        Answer("Which samples fastest?", _fastest(rows)),
        Answer("Which has the best likelihood, and is that a bound?", _likelihood(rows)),
        Answer("Which has the best samples?", _samples(rows)),
        Answer("Which is best for completing what is missing?", _completing(rows)),
        Answer("Which has memorised its training data?", _memorised(rows)),
        *(Answer(f"What did {entry} lose against its teacher?", _student(entry, rows, students)) for entry in students),
        Answer("Which costs least to train for its quality?", _cheapest(costed, students)),
    ]
    return [answer for answer in found if answer.text]


def _named(row: Row) -> str:
    return f"`{row['entry']}`"


def _level(others: Sequence[Row], how: str) -> str:
    """Those who are level with the best, as a sentence."""
    if not others:
        return ""
    names = entries([str(row["entry"]) for row in others])
    return f" {names} {'is' if len(others) == 1 else 'are'} {how}."


def _fastest(rows: Sequence[Row]) -> str:
    first = leaders(rows, SPEED)
    if not first:
        return ""
    text = f"{_drawn(first[0])}.{_level(first[1:], how_level(first[0], SPEED))}"
    measure = quality(rows)
    good = ranked(rows, measure)
    half = good[: (len(good) + 1) // 2]
    fast = ranked(half, SPEED)
    if len(good) > 2 and fast and fast[0] is not first[0]:
        where = standing(rows, first[0], measure)
        if where:
            place = "the worst" if where.rank == where.of else ordinal(where.rank)
            text += f" The samples of {_named(first[0])} are {place} of {where.of} by {measure.title},"
            text += f" {measure.of(first[0])}."
        text += f" Of the half with the better {measure.title}, {_drawn(fast[0])}."
    return text


def _drawn(row: Row) -> str:
    """Who draws how many samples in a second, and in how many passes."""
    batch, many = value_of(row, "speed_batch"), passes(row)
    details = ([f"in batches of {batch:.0f}"] if batch else []) + ([many] if many else [])
    return f"{_named(row)}: {SPEED.text(row[SPEED.name])}" + (f", {', '.join(details)}" if details else "")


def _likelihood(rows: Sequence[Row]) -> str:
    measure = likelihood(rows)
    order = ranked(rows, measure)
    if not order:
        return ""
    best, exact = order[0], [row for row in order if row.get("nll_kind") != "bound"]
    if best in exact:
        text = f"{_named(best)}: NLL {with_interval(best, measure)}, an exact value, not a bound."
        text += _level([row for row in leaders(exact, measure) if row is not best], how_level(best, measure))
        bounds = [row for row in order if row not in exact]
        if bounds:
            text += f" Of the entries known only by a bound {_named(bounds[0])} has the lowest, ≤"
            text += f" {measure.text(bounds[0][measure.name])}{bound_name(bounds[0])}; its true value may be lower."
        return text
    text = f"{_named(best)}: NLL ≤ {with_interval(best, measure)}, an upper bound{bound_name(best)}:"
    text += " its true value may be lower still."
    text += _level([row for row in leaders(order, measure) if row is not best], how_level(best, measure))
    if exact:
        text += f" The best exact value is {_named(exact[0])}'s, {measure.text(exact[0][measure.name])}."
    elif len(order) > 1:
        text += " All are bounds here, so none is proven better than another."
    return text


def _samples(rows: Sequence[Row]) -> str:
    first = leaders(rows, FID)
    if not first:
        return ""
    text = f"{_named(first[0])}: FID {with_interval(first[0], FID)}, less is better."
    return text + _level(first[1:], how_level(first[0], FID))


def _completing(rows: Sequence[Row]) -> str:
    first = leaders(rows, COMPLETION)
    if not first:
        return ""
    able = len(ranked(rows, COMPLETION))
    text = f"{_named(first[0])}: completions with an energy score of {with_interval(first[0], COMPLETION)} times that"
    text += " of the mean example"
    text += f", the lowest of the {able} that can complete." if able > 1 else ", the only one that can complete."
    return text + _level(first[1:], how_level(first[0], COMPLETION))


def _memorised(rows: Sequence[Row]) -> str:
    known = [row for row in rows if has_memorised(row) is not None]
    if not known:
        return ""
    guilty, doubtful = [row for row in known if has_memorised(row)], [row for row in known if is_suspicious(row)]
    text = "; ".join(f"{_named(row)} ({memorisation_numbers(row)})" for row in guilty)
    text = f"{text}." if text else f"None of the {len(known)} measured." if len(known) > 1 else "It has not."
    if doubtful:
        names = "; ".join(f"{_named(row)} ({memorisation_numbers(row)})" for row in doubtful)
        text += f" Nearer to their training examples than they should be, without many near-copies: {names}."
    elif not guilty:
        nearest = max(known, key=lambda row: (value_of(row, "memorisation") or 0, value_of(row, "copied") or 0))
        text += f" The highest is {_named(nearest)}: {memorisation_numbers(nearest)}."
    return text


def _student(entry: str, rows: Sequence[Row], students: Students) -> str:
    words = against_teacher(entry, rows, students[entry])
    return f"`{entry}`, taught by `{students[entry].teacher}`: {words}." if words else ""


def _cheapest(rows: Sequence[Row], students: Students) -> str:
    """The Pareto set of training time and quality."""
    measure = quality(rows)
    by_name = {str(row["entry"]): row for row in rows}
    costs = {name: both for name, row in by_name.items() if (both := cost_and_quality(row, measure))}
    if len(costs) < 2:
        return ""
    kept = undominated(costs)
    shown = kept if len(kept) <= LISTED else [*kept[: LISTED - 1], kept[-1]]
    listed = in_words([_priced(by_name[name], measure) for name in shown])
    text = f"{listed}: nothing else here is both cheaper to train and better. The search of"
    text += " hyperparameters, where there was one, is not counted."
    taught = any(entry in shown and student.teacher in by_name for entry, student in students.items())
    return f"{text} Times of students include their teachers'." if taught else text


def _priced(row: Row, measure: Metric) -> str:
    return f"{_named(row)} ({COST.text(row[COST.name])}, {measure.title} {measure.of(row)})"
