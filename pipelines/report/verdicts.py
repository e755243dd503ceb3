"""What an entry is good and bad at, in a paragraph written by rule from the numbers of all entries.

Every claim has its number and its unit. Whatever was not measured is left out, and so are ranks where there is but one
value. Names of entries stand in backquotes; the page makes links of them (`linked`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from ..evaluation.metrics.collapse import LOW
from ..evaluation.metrics.metric_catalogue import Metric, is_bound
from ..evaluation.metrics.numerals import number
from .standings import (
    BAYES,
    COMPLETION,
    COST,
    FID,
    PROBE,
    SPEED,
    Row,
    Standing,
    how_level,
    interval,
    level,
    likelihood,
    quality,
    ranked,
    standing,
    value_of,
)

MEMORISED = 0.75  # memorisation, of which ½ is honest, above which samples are copies
SUSPICIOUS = 0.6  # from here on they may be
APART = 0.2  # memorisation below which samples are far from all data
COPIED = 0.05  # share of near-copies, of which 0.01 is expected, that is too large to be chance
UNEVEN = 0.1  # difference of precision and recall that says something
SURE = 1.3  # ratio of error and diversity of completions above which they are surer than right
TELLING = 0.1  # distance of an AUC or AUROC from ½ that says something


class Student(Protocol):
    """What a student took over from its teacher; see `page.Distillation`."""

    @property
    def teacher(self) -> str: ...
    @property
    def unit(self) -> str: ...
    @property
    def labelled(self) -> bool: ...
    @property
    def nll_gap(self) -> float | None: ...
    @property
    def speed_ratio(self) -> float | None: ...
    @property
    def kl_nats_per_dim(self) -> float | None: ...
    @property
    def teacher_fid(self) -> float | None: ...
    @property
    def student_fid(self) -> float | None: ...
    @property
    def two_sample_auc(self) -> float | None: ...


Students = Mapping[str, Student]


@dataclass(frozen=True)
class Finding:
    """Sentences about one aspect, and whether the entry is `best`, `good`, `middle` or `poor` at it, or empty."""

    aspect: str
    text: str
    judged: str = ""


@dataclass(frozen=True)
class Verdict:
    """The paragraph of an entry: a lead that sums up, then the sentences with the numbers."""

    lead: str
    sentences: tuple[str, ...]


def verdicts(rows: Sequence[Row], students: Students, classes: int = 0) -> dict[str, Verdict]:
    """The paragraph of each entry; `students` by their entries, `classes` of the data."""
    costed = [with_teacher(row, rows, students) for row in rows]
    return {str(row["entry"]): verdict(row, costed, students, classes) for row in costed}


def verdict(row: Row, rows: Sequence[Row], students: Students, classes: int = 0) -> Verdict:
    """The paragraph of one of the rows."""
    aspects: list[Callable[[Row, Sequence[Row]], Finding | None]] = [
        _likelihood,
        _samples,
        lambda row, _: _collapse(row, classes),
        lambda row, _: _memorisation(row),
        _speed,
        lambda row, rows: _cost(row, rows, students),
        _completion,
        _classifying,
        _probing,
        lambda row, _: _codes(row),
        lambda row, _: _outliers(row),
        lambda row, rows: _student(row, rows, students),
    ]
    findings = [finding for aspect in aspects if (finding := aspect(row, rows))]
    return Verdict(_lead(findings), tuple(finding.text for finding in findings))


def with_teacher(row: Row, rows: Sequence[Row], students: Students) -> Row:
    """The row with the training time of its teacher added, without whom a student cannot be had."""
    student = students.get(str(row["entry"]))
    teacher = next((other for other in rows if student and other["entry"] == student.teacher), None)
    own, before = value_of(row, COST.name), value_of(teacher or {}, COST.name)
    return row if own is None or before is None else {**row, COST.name: own + before}


def has_memorised(row: Row) -> bool | None:
    """Are the samples copies of training examples? None if it was not measured."""
    score, share = value_of(row, "memorisation"), value_of(row, "copied")
    if score is None and share is None:
        return None
    return (score or 0) > MEMORISED or (share or 0) > COPIED


def is_suspicious(row: Row) -> bool:
    """Do samples lie nearer to training examples than they should, though they are not clearly copies?"""
    return not has_memorised(row) and (value_of(row, "memorisation") or 0) > SUSPICIOUS


def fooled_by(row: Row) -> dict[str, float]:
    """The foreign sets that are found likelier than test examples, with their likelihood AUROC, the worst first."""
    found = {name: auroc for name, each in (row.get("outliers") or {}).items() if (auroc := _auroc(each)) is not None}
    fooled = ((name, auroc) for name, auroc in found.items() if auroc < 0.5 - TELLING)
    return dict(sorted(fooled, key=lambda pair: pair[1]))


def in_words(names: Sequence[str], last: str = "and") -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} {last} {names[-1]}"


def entries(names: Sequence[str]) -> str:
    """Names of entries, marked as such, in words."""
    return in_words([f"`{name}`" for name in names])


def ordinal(n: int) -> str:
    """1st, 2nd, 3rd, 4th, …."""
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"


def with_interval(row: Row, measure: Metric) -> str:
    """A value with its unit and its 95 % interval, if it has one."""
    text, bounds = measure.text(row[measure.name]), interval(row, measure.name)
    if bounds is None:
        return text
    low, high = (number(end, measure.digits) for end in bounds)
    return f"{text} (95 % interval {low} to {high})"


def bound_name(row: Row) -> str:
    """Which bound a likelihood is, in brackets; empty if that is not known."""
    return f" ({row['nll_bound']})" if row.get("nll_bound") else ""


def passes(row: Row) -> str:
    """The sequential passes of the network for a batch of samples, in words; empty if not known."""
    count = value_of(row, "sampling_passes")
    return "" if count is None else f"{number(int(count))} sequential pass{'es' * (count != 1)}"


def _lead(findings: Sequence[Finding]) -> str:
    parts = []
    for judged, words in (("best", "best, or level with the best, at"), ("good", "good at"), ("poor", "weak at")):
        aspects = [finding.aspect for finding in findings if finding.judged == judged]
        if aspects:
            parts.append(f"{words} {in_words(aspects)}")
    lead = "; ".join(parts)
    if not lead and any(finding.judged == "middle" for finding in findings):
        lead = "neither among the first nor among the last third in anything that was measured"
    return f"{lead[:1].upper()}{lead[1:]}." if lead else ""


def _judged(where: Standing, entry: str) -> str:
    """Best, good, poor or middle, where there is someone to be compared with."""
    if where.of < 2:
        return ""
    if entry in where.level:
        return "best"
    if where.of < 3:
        return ""
    return {"best": "best", "first": "good", "last": "poor", "middle": "middle"}[where.third]


def _place(row: Row, rows: Sequence[Row], measure: Metric) -> tuple[str, str]:
    """The rank and the gap to the best as the end of a sentence, and the judgement; empty with one value alone."""
    where, entry = standing(rows, row, measure), str(row["entry"])
    if where is None or where.of < 2:
        return "", ""
    judged = _judged(where, entry)
    others = [name for name in where.level if name != entry]
    if where.rank == 1 and not others:
        return f", the {measure.extreme} of {where.of}", judged
    if where.rank == 1:
        how = "less than a tenth behind" if measure.timed else how_level(where.best, measure)
        return f", the {measure.extreme} of {where.of}, with {entries(others)} {how}", judged
    best = where.best["entry"]
    text = f", {ordinal(where.rank)} of {where.of}"
    if entry in where.level:
        near = how_level(where.best, measure, f"the best, `{best}`")
        return f"{text}, {near} at {measure.of(where.best)}", judged
    return f"{text}; the best, `{best}`, has {measure.of(where.best)}", judged


def _likelihood(row: Row, rows: Sequence[Row]) -> Finding | None:
    measure = likelihood(rows)
    where = standing(rows, row, measure)
    if where is None:
        others = ranked(rows, measure)
        return Finding("likelihood", "It gives no likelihood of an example.") if others else None
    if row.get("nll_kind") != "bound":
        place, judged = _place(row, rows, measure)
        text = f"Likelihood: an exact NLL of {with_interval(row, measure)}{place}."
        lower = [other for other in ranked(rows, measure) if other.get("nll_kind") == "bound" and other is not row]
        if judged == "best" and lower and str(where.best["entry"]) == row["entry"]:
            text += " Entries known only by a bound may be better than their bounds say;"
            text += f" the lowest is `{lower[0]['entry']}`'s, ≤ {measure.text(lower[0][measure.name])}."
        return Finding("likelihood", text, judged)
    return _bound(row, rows, measure, where)


def _bound(row: Row, rows: Sequence[Row], measure: Metric, where: Standing) -> Finding:
    """A bound can prove an entry better than those whose exact value is higher, and never worse than any."""
    text = f"Likelihood: no exact value, only an upper bound{bound_name(row)}: NLL ≤ {with_interval(row, measure)}"
    if where.of < 2:
        return Finding("likelihood", f"{text}.")
    text += f", {ordinal(where.rank)} lowest of {where.of} numbers" if where.rank > 1 else f", the lowest of {where.of}"
    exact = [other for other in ranked(rows, measure) if other.get("nll_kind") == "exact"]
    limits = interval(row, measure.name)
    highest = limits[1] if limits else row[measure.name]
    beaten = [
        str(other["entry"]) for other in exact if (interval(other, measure.name) or [other[measure.name]])[0] > highest
    ]
    if where.rank > 1:
        text += f"; the lowest, `{where.best['entry']}`'s, is {measure.of(where.best)}"
    text += "."
    near = [str(other["entry"]) for other in exact if row[measure.name] < other[measure.name] <= highest]
    if beaten:
        text += f" That shows it better than {entries(beaten)}, whose exact value is higher"
        text += "; against the others it shows nothing." if len(beaten) < where.of - 1 else "."
    elif near:
        text += f" It is below the exact value of {entries(near)}, but by no more than the interval leaves open."
    else:
        text += " That shows it neither better nor worse than any other: the true value may be lower."
    judged = {"best": "best", "first": "good"}.get(where.third, "")
    return Finding("likelihood" if judged != "best" else "likelihood (as far as bounds say)", text, judged)


def _samples(row: Row, rows: Sequence[Row]) -> Finding | None:
    judged, parts = "", []
    if value_of(row, "fid") is not None:
        place, judged = _place(row, rows, FID)
        parts.append(f"Samples: FID {with_interval(row, FID)}{place}.")
    elif ranked(rows, FID):
        parts.append("The quality of its samples was not measured: they are not all finite numbers.")
    precision, recall = value_of(row, "precision"), value_of(row, "recall")
    if precision is not None and recall is not None:
        words = "as realistic as they are varied"
        if precision - recall > UNEVEN:
            words = "more realistic than varied"
        elif recall - precision > UNEVEN:
            words = "more varied than realistic"
        if min(precision, recall) >= 1 - UNEVEN:
            words = "realistic and varied"
        parts.append(f"They are {words} (precision {number(precision)}, recall {number(recall)}).")
    auc = value_of(row, "two_sample_auc")
    if auc is not None:
        able = "hardly tells" if abs(auc - 0.5) < TELLING else "tells"
        parts.append(f"A classifier {able} them from real rows (AUC {number(auc)}; ½ cannot tell).")
    synthetic, real = value_of(row, "synthetic_score"), value_of(row, "real_score")
    if synthetic is not None and real is not None:
        name = row.get("score_name") or "score"
        parts.append(
            f"A predictor that learns from samples alone reaches {name} {number(synthetic)} on real rows; one that"
            f" learns from real rows {number(real)}."
        )
    return Finding("sample quality", " ".join(parts), judged) if parts else None


def _collapse(row: Row, classes: int) -> Finding | None:
    covered, diversity = value_of(row, "classes_covered"), value_of(row, "diversity")
    missing = covered is not None and covered < classes
    alike = diversity is not None and diversity < LOW
    if not missing and not alike:
        return None
    parts = [f"samples show {covered:.0f} of {classes} classes"] if missing else []
    if diversity is not None and alike:
        parts.append(f"two samples differ {number(diversity, 2)} times as much as two real examples")
    return Finding("variety", f"Mode collapse: {in_words(parts)}.", "poor")


def _memorisation(row: Row) -> Finding | None:
    memorised = has_memorised(row)
    if memorised is None:
        return None
    measured = memorisation_numbers(row)
    if memorised:
        text = f"It has memorised training examples: {measured}."
        return Finding("novelty", text, "poor")
    if is_suspicious(row):
        text = (
            f"Samples lie nearer to training examples than they should ({measured}), but few are near-copies: it may"
            " have memorised some, or keep to the most typical examples."
        )
        return Finding("novelty", text)
    apart = (value_of(row, "memorisation") or 0.5) < APART
    text = f"No sign that it memorised training examples: {measured}{'; its samples lie apart from all data' * apart}."
    return Finding("novelty", text)


def memorisation_numbers(row: Row) -> str:
    """The numbers that say whether samples are copies, with what would be honest."""
    score, share = value_of(row, "memorisation"), value_of(row, "copied")
    parts = [] if score is None else [f"memorisation {number(score)} where ½ is expected"]
    if share is not None:
        parts.append(f"{100 * share:.1f}\u00a0% of the samples near-copies where 1\u00a0% is expected")
    return "; ".join(parts)


def _speed(row: Row, rows: Sequence[Row]) -> Finding | None:
    where = standing(rows, row, SPEED)
    if where is None:
        return None
    batch = value_of(row, "speed_batch")
    details = [f"in batches of {batch:.0f}"] if batch else []
    details += [passes(row)] if passes(row) else []
    text = f"Speed: it draws {SPEED.text(where.value)}{' (' + ', '.join(details) + ')' if details else ''}"
    if where.of > 1 and where.rank > 1 and row["entry"] not in where.level:
        ratio = number(where.best[SPEED.name] / where.value, 2)
        text += f", {ordinal(where.rank)} of {where.of}; the fastest, `{where.best['entry']}`, is {ratio} times as fast"
    else:
        text += _place(row, rows, SPEED)[0].replace("the highest", "the fastest")
    text += "."
    if row.get("parallel_sampling") is False:
        text += " The number of passes grows with the size of an example."
    return Finding("sampling speed", text, _judged(where, str(row["entry"])))


def _cost(row: Row, rows: Sequence[Row], students: Students) -> Finding | None:
    """The costs of students, in these rows, are with those of their teachers."""
    where = standing(rows, row, COST)
    if where is None:
        return None
    entry, measure = str(row["entry"]), quality(rows)
    student = students.get(entry)
    taught = student is not None and any(other["entry"] == student.teacher for other in rows)
    with_it = f" with its teacher, `{student.teacher}`" if student and taught else ""
    text = f"Cost: {COST.text(where.value)} of training{with_it}"
    text += _place(row, rows, COST)[0].replace("the lowest", "the cheapest").replace("the best", "the cheapest")
    better = _cheaper_and_better(row, rows, measure)
    if better:
        values = f"{COST.text(better[COST.name])}, {measure.title} {measure.of(better)}"
        less = "about as much" if level(better, row, COST) else "less"
        text += f". `{better['entry']}` cost {less} and has the better {measure.title} ({values}"
        text += f"; the difference lies {how_level(better, measure)})" if level(better, row, measure) else ")"
    elif where.rank > 1 and value_of(row, measure.name) is not None:
        text += f". Nothing that cost less has a better {measure.title}"
    return Finding("training cost", f"{text}.", _judged(where, entry))


def _cheaper_and_better(row: Row, rows: Sequence[Row], measure: Metric) -> Row | None:
    """Of the entries that cost no more and look better, the best; none for a bound, which may be better than it is."""
    own = cost_and_quality(row, measure)
    if own is None or is_bound(row, measure.name):
        return None
    costs = ((other, cost_and_quality(other, measure)) for other in ranked(rows, measure))
    return next((other for other, both in costs if both and both[0] <= own[0] and measure.worse(own[1], both[1])), None)


def cost_and_quality(row: Row, measure: Metric) -> tuple[float, float] | None:
    """Training time and quality, less of both is better; None if one is missing."""
    cost, value = value_of(row, COST.name), value_of(row, measure.name)
    return None if cost is None or value is None else (cost, value)


def _completion(row: Row, rows: Sequence[Row]) -> Finding | None:
    value = value_of(row, COMPLETION.name)
    if value is None:
        able = row.get("completion")
        text = "It cannot complete examples of which a part is missing."
        return Finding("completion", text) if able is False and ranked(rows, COMPLETION) else None
    place, judged = _place(row, rows, COMPLETION)
    text = f"Completing: its energy score is {with_interval(row, COMPLETION)} times that of the mean example{place}."
    error, spread = value_of(row, "completion_error"), value_of(row, "completion_diversity")
    if error is not None and spread is not None and error > SURE * spread:
        text += f" Its completions differ less from each other ({number(spread)}) than from the truth: it is too sure."
    return Finding("completion", text, judged)


def _classifying(row: Row, rows: Sequence[Row]) -> Finding | None:
    """What its densities know of the labels."""
    return _accuracy(row, rows, BAYES, "telling labels", "by Bayes' rule")


def _probing(row: Row, rows: Sequence[Row]) -> Finding | None:
    """What its features know of the labels."""
    return _accuracy(row, rows, PROBE, "features of labels", "by a linear probe of its features")


def _accuracy(row: Row, rows: Sequence[Row], measure: Metric, aspect: str, how: str) -> Finding | None:
    value = value_of(row, measure.name)
    if value is None:
        return None
    place, judged = _place(row, rows, measure)
    return Finding(aspect, f"Accuracy of labels: {number(value)} {how}{place}.", judged)


def _codes(row: Row) -> Finding | None:
    rmse, gap = value_of(row, "reconstruction_rmse"), value_of(row, "prior_gap")
    if rmse is None:
        return None
    lossless = row.get("invertible") is True
    text = "Codes: they restore examples without loss" if lossless else "Codes: they restore examples with an error of"
    text += "" if lossless else f" {number(rmse)} standard deviations (0 is perfect, 1 no better than the mean example)"
    if gap is not None:
        text += f"; the prior gap is {number(gap)} (1 if there is none)"
    return Finding("codes", f"{text}.")


def _outliers(row: Row) -> Finding | None:
    fooled = fooled_by(row)
    if not fooled:
        return None
    sets = in_words([f"{name} (AUROC {number(auroc, 2)})" for name, auroc in fooled.items()])
    scores = {name: value_of(row["outliers"][name], "typicality_auroc") for name in fooled}
    caught = [name for name, score in scores.items() if score is not None and score > 0.5 + TELLING]
    text = f"Foreign data: by its likelihood it finds {sets} likelier than test examples, the known failure of"
    text += " likelihoods"
    if len(caught) == len(fooled):
        text += "; a test of typicality notices them"
    elif caught:
        text += f"; a test of typicality notices {in_words(caught)}"
    elif None not in scores.values():
        text += "; a test of typicality does not notice them either"
    return Finding("noticing foreign data", f"{text}.", "poor")


def _auroc(each: Row) -> float | None:
    return value_of(each, "likelihood_auroc")


def _student(row: Row, rows: Sequence[Row], students: Students) -> Finding | None:
    student = students.get(str(row["entry"]))
    if student is None:
        return None
    words = against_teacher(str(row["entry"]), rows, student)
    return Finding("likeness to its teacher", f"Student of `{student.teacher}`: {words}.") if words else None


def against_teacher(entry: str, rows: Sequence[Row], student: Student) -> str:
    """What a student lost against its teacher and what it gained, as the end of a sentence; empty if not measured."""
    by_name = {str(row["entry"]): row for row in rows}
    kinds = {name: row.get("nll_kind") for name, row in by_name.items()}
    parts = []
    if student.nll_gap is not None:
        gap = student.nll_gap
        lost = f"it lost {number(gap)} {student.unit} of likelihood"
        lost = lost if gap > 0 else f"it lost no likelihood (NLL {gap:+.3f} {student.unit})"
        lost += ", given the labels" * student.labelled
        if "bound" in (kinds.get(entry), kinds.get(student.teacher)):
            lost += ", as a difference of bounds"
        parts.append(lost)
    before, after = student.teacher_fid, student.student_fid
    if before is not None and after is not None:
        way = "rose" if FID.worse(after, before) else "fell" if FID.worse(before, after) else "stayed"
        words = f"its FID {way} from {number(before)} to {number(after)}"
        ends = interval(by_name.get(student.teacher, {}), FID.name)
        parts.append(f"{words}, within the interval" if ends and ends[0] <= after <= ends[1] else words)
    if student.two_sample_auc is not None:
        auc = number(student.two_sample_auc)
        parts.append(f"a classifier tells the samples of the two apart with AUC {auc} (½ cannot tell)")
    if student.kl_nats_per_dim is not None:
        parts.append(f"KL(student ‖ teacher) is {number(student.kl_nats_per_dim)} nats/dim")
    if student.speed_ratio is not None:
        much = number(student.speed_ratio, 2)
        parts.append(f"{'in return ' if student.speed_ratio > 1 else ''}it samples {much} times as fast")
    return "; ".join(parts)
