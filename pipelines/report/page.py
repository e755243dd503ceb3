"""`report/index.html`: everything that was measured about the entries, on one page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from matplotlib.figure import Figure

from ..evaluation.metrics.metric_catalogue import Metric, is_bound
from ..evaluation.metrics.numerals import measured, number
from .comparison import BEST, COLUMNS, Cell, cells, shown_columns
from .completed import Completed
from .exhibits import Exhibit
from .gallery import WORDS, choices, data, lines
from .glance import answers
from .html import environment, shown_number
from .latent_space import LatentSpace
from .measures import measures
from .repetitions import Repetition
from .thumbnails import Tile
from .tradeoff import tradeoff
from .verdicts import verdicts

Picture = Figure | bytes  # a line chart, or a PNG


@dataclass(frozen=True)
class Search:
    """How the parameters of an entry were searched: its trials, and pictures of what they reached."""

    trials: int
    stopped_early: int
    best: Mapping[str, Any]
    objective: Picture
    rate_distortion: Picture | None = None


@dataclass(frozen=True)
class Distillation:
    """What a student took over from its teacher. The negative log-likelihoods are of test data, in the `unit`."""

    teacher: str
    curve: Picture
    unit: str = "bits/dim"
    kl_nats_per_dim: float | None = None
    teacher_nll: float | None = None
    student_nll: float | None = None
    teacher_samples_per_s: float | None = None
    student_samples_per_s: float | None = None
    teacher_fid: float | None = None
    student_fid: float | None = None
    two_sample_auc: float | None = None
    teacher_recognised: float | None = None
    student_recognised: float | None = None
    teacher_real_time_factor: float | None = None
    student_real_time_factor: float | None = None
    rescues: int = 0
    labelled: bool = False  # are likelihoods given the labels?

    @property
    def fid_ratio(self) -> float | None:
        """How many times the teacher's FID the student's is."""
        return self.student_fid / self.teacher_fid if self.teacher_fid and self.student_fid is not None else None

    @property
    def nll_gap(self) -> float | None:
        """How much worse the student scores test data."""
        if self.teacher_nll is None or self.student_nll is None:
            return None
        return self.student_nll - self.teacher_nll

    @property
    def speed_ratio(self) -> float | None:
        """How many times faster the student samples."""
        if not self.teacher_samples_per_s or self.student_samples_per_s is None:
            return None
        return self.student_samples_per_s / self.teacher_samples_per_s


@dataclass(frozen=True)
class EntrySection:
    """What the page shows of one entry beside its row of the table.

    `tiles` are its row of the first screen, and `samples` all that are shown. `completions` are left out where a model
    cannot complete, `latents` where it has no codes, `training` for a student, whose training is its distillation.
    `temperatures` are samples at several of them, `neighbours` samples beside the training examples nearest to them.
    Each of the `notes`, which warn of what is wrong with the entry, becomes a paragraph.
    """

    entry: str
    model: str
    samples: Exhibit
    training: Picture | None = None
    search: Search | None = None
    distillation: Distillation | None = None
    completions: Completed | None = None
    latents: LatentSpace | None = None
    temperatures: Exhibit | None = None
    neighbours: Exhibit | None = None
    scorecard: Sequence[Judged] = ()
    scorecard_notes: Sequence[str] = ()
    notes: Sequence[str] = ()
    tiles: Sequence[Tile] = ()


@dataclass(frozen=True)
class Judged:
    """A line of a table's scorecard: what it is, what is best, and three cells, each a number and its interval.

    They are of samples, of real rows against real rows, and of shuffled columns.
    """

    title: str
    help: str
    best: str
    cells: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Report:
    """The whole page.

    `data` describes the data in a sentence. `provenance` says where the numbers come from, label to value:
    commit, data digest, seed, device and so on. `rows` have the columns of comparison.csv. `real` examples are shown
    once before the entries, and as `tiles` above those of the entries, which the `legend` explains. `data_page` is the
    address of the page about the data, if there is one. `classes` counts the classes of the data. `repetitions` are
    experiments that several entries repeat with other seeds.
    """

    title: str
    data: str
    rows: Sequence[Mapping[str, Any]]
    entries: Sequence[EntrySection]
    provenance: Mapping[str, str] = field(default_factory=dict)
    real: Exhibit | None = None
    tiles: Sequence[Tile] = ()
    legend: str = ""
    data_page: str | None = None
    classes: int = 0
    repetitions: Sequence[Repetition] = ()


def render(report: Report) -> str:
    """The page as HTML, with every picture, style and script in it."""
    columns = shown_columns(report.rows)
    names = [column.name for column in columns]
    table = list(zip(*(cells(report.rows, column) for column in columns), strict=True))
    rows = {str(row["entry"]): row for row in report.rows}
    students = {section.entry: section.distillation for section in report.entries if section.distillation}
    teachers = {entry: student.teacher for entry, student in students.items()}
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            answers=answers(report.rows, students),
            data=data(report.rows, teachers),
            choices=(chosen := choices(report.rows)),
            lines=lines(report.rows, chosen),
            words=WORDS,
            sections={section.entry: section for section in report.entries},
            tradeoff=tradeoff(report.rows, teachers),
            verdicts=verdicts(report.rows, students, report.classes),
            repeated=[(each, _means(each, rows)) for each in report.repetitions],
            published=any(str(row.get("fid_features")).startswith("inception") for row in report.rows),
            measures={entry: measures(row) for entry, row in rows.items()},
            best=BEST,
            columns=columns,
            groups=[(group, len(list(members))) for group, members in groupby(columns, lambda column: column.group)],
            table=list(zip(report.rows, table, strict=True)),
            bounds={entry for entry, row in rows.items() if row.get("nll_kind") == "bound"},
            facts={
                entry: _facts(row, dict(zip(names, zip(columns, shown, strict=True), strict=True)))
                for (entry, row), shown in zip(rows.items(), table, strict=True)
            },
        )
    )


def _means(repetition: Repetition, rows: Mapping[str, Mapping[str, Any]]) -> list[tuple[Metric, str]]:
    """The columns of the summary that have a mean over repetitions, and the mean with its standard error."""
    first, means = rows[repetition.entries[0]], repetition.means
    return [
        (
            column,
            f"{'≤ ' if is_bound(first, column.name) else ''}{number(means[column.name].value, column.digits)}"
            f" ± {number(means[column.name].standard_error, 2)}",
        )
        for column in COLUMNS
        if column.name in means
    ]


def _facts(row: Mapping[str, Any], shown: Mapping[str, tuple[Metric, Cell]]) -> list[tuple[str, str]]:
    """The numbers that stand at the head of an entry's section, with their units; what is blank is left out."""
    likelihood = "nll_nats" if row.get("nll_bits_per_dim") is None else "nll_bits_per_dim"
    facts = []
    for name in (likelihood, "fid", "samples_per_s", "train_seconds"):
        if name not in shown or not shown[name][1].text:
            continue
        column, cell = shown[name]
        note = f" ({cell.note})" if cell.note else ""
        facts.append((column.title, f"{cell.text} {column.unit}".strip() + note))
    if measured(row.get("objective")):
        name = row.get("objective_name") or "unnamed"
        facts.append(("Validation objective", f"{shown_number(row['objective'])} ({name})"))
    return facts
