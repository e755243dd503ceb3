"""The summary table in a terminal: an entry beside the other, a line for each measured column."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from rich.console import Group
from rich.table import Table
from rich.text import Text

from ..evaluation.metrics.metric_catalogue import Metric
from ..evaluation.metrics.numerals import measured, number
from .comparison import BEST, Cell, cells, shown_columns

LABEL, VALUE = 22, 13  # characters of a terminal that the names of columns take, and those of an entry


def terminal_table(rows: Sequence[Mapping[str, Any]], width: int, difference: bool = False) -> Group:
    """The rows for a terminal of `width` characters: entries side by side, a line for each measured column.

    Entries that do not fit beside each other go on below, as evenly as can be. With `difference`, for two rows, a last
    column says how far the second is from the first.
    """
    tables = max(1, math.ceil((len(rows) + difference) / max(1, (width - LABEL) // VALUE)))
    ends = [len(rows) * i // tables for i in range(tables + 1)]
    parts = [_part(rows, slice(start, end), difference) for start, end in pairwise(ends)]
    return Group(*parts, Text(f"{BEST} best of its line · ≤ upper bound · ± 95 % interval", "dim italic"))


def _part(rows: Sequence[Mapping[str, Any]], shown: slice, difference: bool = False) -> Table:
    """Some of the rows, beside each other; the best of a line is the best of all rows."""
    table = Table()
    table.add_column("entry\nfamily")
    for row in rows[shown]:
        table.add_column(Text(f"{row['entry']}\n{row['model']}"), justify="right")
    if difference:
        table.add_column(Text(f"{rows[1]['entry']}\nagainst the first"), justify="right")
    group = None
    for column in shown_columns(rows):
        if column.group != group:
            table.add_section()
            group = column.group
        label = Text.assemble(column.title, (f" {column.reading}" if column.reading else "", "dim"))
        apart = [_difference(rows, column)] if difference else []
        table.add_row(label, *map(_text, cells(rows, column)[shown]), *apart)
    return table


def _difference(rows: Sequence[Mapping[str, Any]], column: Metric) -> Text:
    """The value of the second row minus that of the first, and in per cent; green where that is better."""
    first, second = (row.get(column.name) for row in rows)
    if first is None or second is None or isinstance(first, bool) or not (measured(first) and measured(second)):
        return Text()
    apart = second - first
    share = f"\n{apart / abs(first):+.1%}" if first else ""
    better = column.better is not None and column.badness(second) < column.badness(first)
    return Text(f"{'+' if apart > 0 else ''}{number(apart, column.digits)}{share}", "green" if better else "")


def _text(cell: Cell) -> Text:
    text = Text(f"{BEST} {cell.text}", "bold") if cell.best else Text(cell.text)
    return text.append(f"\n{cell.note}", "dim not bold") if cell.note else text
