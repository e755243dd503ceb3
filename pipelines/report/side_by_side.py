"""`genera compare A B …`: what was measured of some entries, beside each other in the terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from ..errors import UserError
from ..evaluation.results import result
from ..params.project import Project
from .terminal import terminal_table


def show(project: Project, entries: Sequence[str]) -> None:
    """Print the table of the entries; of two of them also how far the second is from the first.

    Raises `UserError` for an entry that is not evaluated.
    """
    allowed = project.entries
    for entry in entries:
        if entry not in allowed:
            raise UserError(f"compare: {entry!r} is not allowed: must be one of the entries: {', '.join(allowed)}")
    rows = [result(project, allowed[entry]) for entry in dict.fromkeys(entries)]
    console = Console()
    console.print(terminal_table(rows, console.width, difference=len(rows) == 2))
