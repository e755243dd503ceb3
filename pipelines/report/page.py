"""`report/index.html`: everything that was measured about the entries, on one page that needs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from matplotlib.figure import Figure

from .pictures import data_uri
from .table import BEST, COLUMNS, Cell, cells, measured, number

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
    """What a student took over from its teacher. Likelihoods are in bits per dimension of test data."""

    teacher: str
    curve: Picture
    kl_nats_per_dim: float | None = None
    teacher_nll_bits_per_dim: float | None = None
    student_nll_bits_per_dim: float | None = None
    teacher_samples_per_s: float | None = None
    student_samples_per_s: float | None = None

    @property
    def nll_gap(self) -> float | None:
        """How much worse the student scores test data, in bits per dimension."""
        if self.teacher_nll_bits_per_dim is None or self.student_nll_bits_per_dim is None:
            return None
        return self.student_nll_bits_per_dim - self.teacher_nll_bits_per_dim

    @property
    def speed_ratio(self) -> float | None:
        """How many times faster the student samples."""
        if not self.teacher_samples_per_s or self.student_samples_per_s is None:
            return None
        return self.student_samples_per_s / self.teacher_samples_per_s


@dataclass(frozen=True)
class EntrySection:
    """What the page shows of one entry beside its row of the table.

    `samples` is a grid of the same shape as the report's `real`, `by_class` if its columns are the classes.
    `training` is left out for a student, whose training is its distillation. Each of the `notes` becomes a paragraph.
    """

    entry: str
    model: str
    samples: bytes
    training: Picture | None = None
    search: Search | None = None
    distillation: Distillation | None = None
    notes: Sequence[str] = ()
    by_class: bool = False


@dataclass(frozen=True)
class Report:
    """The whole page.

    `data` describes the data in a sentence. `provenance` says where the numbers come from, label to value:
    commit, data digest, seed, device and so on. `rows` have the columns of comparison.csv. `real` is a grid of
    examples of the test split.
    """

    title: str
    data: str
    rows: Sequence[Mapping[str, Any]]
    real: bytes
    entries: Sequence[EntrySection]
    provenance: Mapping[str, str] = field(default_factory=dict)


def render(report: Report) -> str:
    """The page as HTML, with every picture, style and script in it."""
    environment = Environment(
        loader=PackageLoader(__package__),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(data_uri=data_uri, number=_number)
    table = list(zip(*(cells(report.rows, column) for column in COLUMNS), strict=True))
    rows = {str(row["entry"]): row for row in report.rows}
    return environment.get_template("report.html.j2").render(
        report=report,
        best=BEST,
        columns=COLUMNS,
        groups=[(group, len(list(columns))) for group, columns in groupby(COLUMNS, lambda column: column.group)],
        table=list(zip(report.rows, table, strict=True)),
        bounds={entry for entry, row in rows.items() if row.get("nll_kind") == "bound"},
        facts={entry: _facts(row, shown) for (entry, row), shown in zip(rows.items(), table, strict=True)},
    )


def _facts(row: Mapping[str, Any], shown: Sequence[Cell]) -> list[tuple[str, str]]:
    """The numbers that stand at the head of an entry's section, with their units; what is blank is left out."""
    by_name = {column.name: (column, cell) for column, cell in zip(COLUMNS, shown, strict=True)}
    facts = []
    for name in ("nll_bits_per_dim", "fid", "samples_per_s", "train_seconds"):
        column, cell = by_name[name]
        if cell.text:
            note = f" ({cell.note})" if cell.note else ""
            facts.append((column.title, f"{cell.text} {column.unit if name != 'fid' else ''}".strip() + note))
    if measured(row.get("objective")):
        facts.append(
            ("Validation objective", f"{_number(row['objective'])} ({row.get('objective_name') or 'unnamed'})")
        )
    return facts


def _number(value: Any, digits: int = 3) -> str:
    """A value for people; blank when it was not measured."""
    if not measured(value):
        return ""
    return number(value, digits) if isinstance(value, (int, float)) else str(value)
