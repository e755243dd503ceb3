"""Files that are written whole or not at all, and a count of what is done."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .mistake import Mistake


@contextmanager
def whole(out: Path | None) -> Iterator[Path | None]:
    """A file beside `out`, with the same ending, that takes its place when all went well; None for the terminal."""
    if out is None:
        yield None
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    temporary = out.with_name(f".{os.getpid()}-{out.name}")
    try:
        yield temporary
        temporary.replace(out)
    except OSError as error:
        raise Mistake(f"{out}: cannot be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def counted(unit: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show on a terminal how many are done."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(file=sys.stderr)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(unit, total=total)
        yield lambda count: bar.advance(task, count)
