"""Stage `compare`: everything that was measured about the entries, on one page and in one table.

`report/data.html`, which the page links to, is made by the stage `prepare`.
"""

from __future__ import annotations

from rich.console import Console

from ..evaluation.metrics.paired import Paired
from ..evaluation.results import result
from ..files import write_text
from ..params.project import Project
from ..report.assembly import assemble
from ..report.comparison import comparison
from ..report.numbers import numbers
from ..report.page import render
from ..report.repetitions import table
from ..report.standings import PAIRED
from ..report.terminal import terminal_table
from ..tracking.record import tracked


def run(project: Project) -> None:
    """Write the page and the tables to report/, and print the table.

    index.html and comparison.csv have timings in them, which no two runs share: they are no outputs that DVC knows.
    """
    rows = [result(project, entry) for entry in project.entries.values()]
    for row in rows:
        if row.get("samples_per_s") is None:
            again = f"`dvc repro --force --single-item evaluate@{row['entry']}` measures it"
            print(f"compare: how fast {row['entry']} is was not measured for these weights: left blank; {again}")
    paired = [Paired.load(project.artifacts("evaluate", each) / "paired.npz") for each in project.entries.values()]
    judged = [{**row, PAIRED: each} for row, each in zip(rows, paired, strict=True)]
    report, folder = assemble(project, judged), project.root / "report"
    with tracked(
        project, "compare", None, {"entries": {name: each.stage for name, each in project.entries.items()}}
    ) as run:
        write_text(folder / "comparison.csv", comparison(rows))
        write_text(folder / "index.html", render(report))
        write_text(folder / "numbers.csv", numbers(rows))
        write_text(folder / "seeds.csv", table(report.repetitions))
        run.log_artifact(folder)
    console = Console()
    console.print(terminal_table(rows, console.width))
    print(f"compare: the report is {folder / 'index.html'}")
