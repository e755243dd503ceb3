"""The short answers at the top of the page, by the same rules as the paragraphs of the entries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..evaluation.metrics.metric_catalogue import Metric
from ..evaluation.metrics.numerals import number
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
    """A question that every reader has: the answer in a number and a sentence, then the `text`, which has all of it.

    Names of entries stand in backquotes.
    """

    question: str
    number: str = ""
    sentence: str = ""
    text: str = ""


def answers(rows: Sequence[Row], students: Students) -> list[Answer]:
    """The answers that the numbers of the rows give; questions about what was not measured are left out."""
    costed = [with_teacher(row, rows, students) for row in rows]
    found = [
        Answer("Which samples fastest?", *_fastest(rows)),
        Answer("Which has the best likelihood, and is that a bound?", *_likelihood(rows)),
        Answer("Which has the best samples?", *_samples(rows)),
        Answer("Which is best for completing what is missing?", *_completing(rows)),
        Answer("Which has memorised its training data?", *_memorised(rows)),
        *(
            Answer(f"What did {entry} lose against its teacher?", *_student(entry, rows, students))
            for entry in students
        ),
        Answer("Which costs least to train for its quality?", *_cheapest(costed, students)),
    ]
    return [answer for answer in found if answer.text]


def _named(row: Row) -> str:
    return f"`{row['entry']}`"


def _others(others: Sequence[Row], how: str = "level with it") -> str:
    """How many are level with the best, as the end of a sentence."""
    return f"; {len(others)} other{'s are' if len(others) > 1 else ' is'} {how}" if others else ""


def _level(others: Sequence[Row], how: str) -> str:
    """Those who are level with the best, as a sentence."""
    if not others:
        return ""
    names = entries([str(row["entry"]) for row in others])
    return f" {names} {'is' if len(others) == 1 else 'are'} {how}."


def _fastest(rows: Sequence[Row]) -> tuple[str, ...]:
    first = leaders(rows, SPEED)
    if not first:
        return ()
    fast_as, many, how = SPEED.text(first[0][SPEED.name]), passes(first[0]), how_level(first[0], SPEED)
    sentence = f"{_named(first[0])}{f', in {many}' if many else ''}{_others(first[1:], how)}."
    text = f"{_drawn(first[0])}.{_level(first[1:], how)}"
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
    return fast_as, sentence, text


def _drawn(row: Row) -> str:
    """Who draws how many samples in a second, and in how many passes."""
    batch, many = value_of(row, "speed_batch"), passes(row)
    details = ([f"in batches of {batch:.0f}"] if batch else []) + ([many] if many else [])
    return f"{_named(row)}: {SPEED.text(row[SPEED.name])}" + (f", {', '.join(details)}" if details else "")


def _likelihood(rows: Sequence[Row]) -> tuple[str, ...]:
    measure = likelihood(rows)
    order = ranked(rows, measure)
    if not order:
        return ()
    best, exact = order[0], [row for row in order if row.get("nll_kind") != "bound"]
    value = measure.of(best)
    if best in exact:
        level = [row for row in leaders(exact, measure) if row is not best]
        sentence = f"{_named(best)}, an exact value{_others(level)}."
        text = f"{_named(best)}: NLL {with_interval(best, measure)}, an exact value, not a bound."
        text += _level(level, how_level(best, measure))
        bounds = [row for row in order if row not in exact]
        if bounds:
            text += f" Of the entries known only by a bound {_named(bounds[0])} has the lowest, ≤"
            text += f" {measure.text(bounds[0][measure.name])}{bound_name(bounds[0])}; its true value may be lower."
        return value, sentence, text
    sentence = f"{_named(best)}, an upper bound: its true value may be lower still."
    text = f"{_named(best)}: NLL ≤ {with_interval(best, measure)}, an upper bound{bound_name(best)}:"
    text += " its true value may be lower still."
    text += _level([row for row in leaders(order, measure) if row is not best], how_level(best, measure))
    if exact:
        text += f" The best exact value is {_named(exact[0])}'s, {measure.text(exact[0][measure.name])}."
    elif len(order) > 1:
        text += " All are bounds here, so none is proven better than another."
    return value, sentence, text


def _samples(rows: Sequence[Row]) -> tuple[str, ...]:
    first = leaders(rows, FID)
    if not first:
        return ()
    how = how_level(first[0], FID)
    text = f"{_named(first[0])}: FID {with_interval(first[0], FID)}, less is better."
    return f"FID {FID.of(first[0])}", f"{_named(first[0])}{_others(first[1:])}.", text + _level(first[1:], how)


def _completing(rows: Sequence[Row]) -> tuple[str, ...]:
    first = leaders(rows, COMPLETION)
    if not first:
        return ()
    able, how = len(ranked(rows, COMPLETION)), how_level(first[0], COMPLETION)
    sentence = f"{_named(first[0])}, where the mean example has 1{_others(first[1:])}."
    text = f"{_named(first[0])}: completions with an energy score of {with_interval(first[0], COMPLETION)} times that"
    text += " of the mean example"
    text += f", the lowest of the {able} that can complete." if able > 1 else ", the only one that can complete."
    return f"energy score {COMPLETION.of(first[0])}", sentence, text + _level(first[1:], how)


def _memorised(rows: Sequence[Row]) -> tuple[str, ...]:
    known = [row for row in rows if has_memorised(row) is not None]
    if not known:
        return ()
    guilty, doubtful = [row for row in known if has_memorised(row)], [row for row in known if is_suspicious(row)]
    text = "; ".join(f"{_named(row)} ({memorisation_numbers(row)})" for row in guilty)
    text = f"{text}." if text else f"None of the {len(known)} measured." if len(known) > 1 else "It has not."
    sentence = f"{entries([str(row['entry']) for row in guilty])}." if guilty else "No samples are copies."
    if doubtful:
        names = "; ".join(f"{_named(row)} ({memorisation_numbers(row)})" for row in doubtful)
        text += f" Nearer to their training examples than they should be, without many near-copies: {names}."
        sentence += f" {len(doubtful)} may be." if not guilty else ""
    elif not guilty:
        nearest = max(known, key=lambda row: (value_of(row, "memorisation") or 0, value_of(row, "copied") or 0))
        text += f" The highest is {_named(nearest)}: {memorisation_numbers(nearest)}."
    return f"{len(guilty)} of {len(known)}", sentence, text


def _student(entry: str, rows: Sequence[Row], students: Students) -> tuple[str, ...]:
    student = students[entry]
    words = against_teacher(entry, rows, student)
    if not words:
        return ()
    text = f"`{entry}`, taught by `{student.teacher}`: {words}."
    if student.nll_gap is not None:
        faster = f", and samples {number(student.speed_ratio, 2)} times as fast" if student.speed_ratio else ""
        return f"{student.nll_gap:+.3f} {student.unit}", f"`{entry}` against `{student.teacher}`{faster}.", text
    if student.speed_ratio is not None:
        return f"{number(student.speed_ratio, 2)}\u00a0× as fast", f"`{entry}` against `{student.teacher}`.", text
    return "", f"{text.partition(';')[0].removesuffix('.')}.", text


def _cheapest(rows: Sequence[Row], students: Students) -> tuple[str, ...]:
    """The Pareto set of training time and quality."""
    measure = quality(rows)
    by_name = {str(row["entry"]): row for row in rows}
    costs = {name: both for name, row in by_name.items() if (both := cost_and_quality(row, measure))}
    if len(costs) < 2:
        return ()
    kept = undominated(costs)
    shown = kept if len(kept) <= LISTED else [*kept[: LISTED - 1], kept[-1]]
    listed = in_words([_priced(by_name[name], measure) for name in shown])
    text = f"{listed}: nothing else here is both cheaper to train and better. The search of"
    text += " hyperparameters, where there was one, is not counted."
    taught = any(entry in shown and student.teacher in by_name for entry, student in students.items())
    text = f"{text} Times of students include their teachers'." if taught else text
    first = by_name[kept[0]]
    better = f"; {len(kept) - 1} that cost more {'are' if len(kept) > 2 else 'is'} better" if len(kept) > 1 else ""
    return COST.text(first[COST.name]), f"{_named(first)}, with {measure.title} {measure.of(first)}{better}.", text


def _priced(row: Row, measure: Metric) -> str:
    return f"{_named(row)} ({COST.text(row[COST.name])}, {measure.title} {measure.of(row)})"
