"""Which columns of a table the parameters mean: by their names, and only then by patterns.

A column may be called `a[1]` or `x*`; who writes that name means that column.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal, TypeVar

from ...errors import UserError
from ...params.table_sections import Table

LISTED = 50  # how many columns a message lists

Value = TypeVar("Value")


@dataclass(frozen=True)
class Choice:
    """What becomes of the columns of a table."""

    columns: list[str]  # those that are modelled, in the order of the table
    label: str | None
    categorical: dict[str, Literal["one_hot", "codes"]]
    dequantise: dict[str, float]


def matches(pattern: str, header: Sequence[str]) -> list[str]:
    """The column of that name, or else those that the pattern matches."""
    return [pattern] if pattern in header else [name for name in header if fnmatchcase(name, pattern)]


def choose(header: Sequence[str], data: Table) -> Choice:
    """The columns by their roles. A UserError names all that the parameters name and the table does not have."""
    _check_names(header, data)
    excluded = {name for pattern in data.exclude for name in matches(pattern, header)}
    named = {name for pattern in data.named for name in matches(pattern, header)} - excluded
    columns = [name for name in header if name in named and name != data.label]
    if not columns:
        raise UserError("params.yaml: data.columns: no column is left to be modelled")
    categorical = resolved(data.categorical, columns, header)
    dequantise = resolved(data.dequantise, columns, header)
    _check_roles(header, data, columns, excluded)
    return Choice(columns, data.label, categorical, dequantise)


def resolved(given: Mapping[str, Value], columns: Sequence[str], header: Sequence[str]) -> dict[str, Value]:
    """What is given for each column: that for its very name, or else for the first pattern that matches it."""
    by_column: dict[str, Value] = {}
    for pattern in sorted(given, key=lambda pattern: pattern not in header):
        for name in matches(pattern, header):
            by_column.setdefault(name, given[pattern])
    return {name: by_column[name] for name in columns if name in by_column}


def unknown(key: str, names: Sequence[str], header: Sequence[str]) -> str:
    """The part of a message about names that are no columns, with what was probably meant; empty if there are none."""
    wrong = [name for name in names if not matches(name, header)]
    return f"data.{key}: {', '.join(_meant(name, header) for name in wrong)} is no column" if wrong else ""


def _meant(name: str, header: Sequence[str]) -> str:
    by_case = {other.strip().lower(): other for other in header}
    near = [by_case[name.strip().lower()]] if name.strip().lower() in by_case else []
    near = near or difflib.get_close_matches(name, header, n=1)
    return f"{name!r} (did you mean {near[0]!r}?)" if near else repr(name)


def listed(header: Sequence[str]) -> str:
    """The columns that there are."""
    more = f" and {len(header) - LISTED} more" if len(header) > LISTED else ""
    return f"there are: {', '.join(header[:LISTED])}{more}"


def _check_names(header: Sequence[str], data: Table) -> None:
    """A UserError names everything that matches no column."""
    given = {
        "columns": list(data.columns),
        "exclude": data.exclude,
        "categorical": list(data.categorical),
        "dequantise": list(data.dequantise),
    }
    wrong = [unknown(key, names, header) for key, names in given.items()]
    if data.label is not None and data.label not in header:
        wrong.append(f"data.label: {_meant(data.label, header)} is no column")
    wrong = [part for part in wrong if part]
    if wrong:
        raise UserError(f"params.yaml: {'; '.join(wrong)}; {listed(header)}")


def _check_roles(header: Sequence[str], data: Table, columns: Sequence[str], excluded: set[str]) -> None:
    """A UserError names everything that is said about columns that are not modelled."""
    wrong = []
    for key, names in (("categorical", data.categorical), ("dequantise", data.dequantise)):
        for pattern in names:
            found = matches(pattern, header)
            if not set(found) & set(columns):
                wrong.append(f"data.{key}: {pattern!r} {_why(found[0], data, excluded)}")
    if wrong:
        raise UserError(f"params.yaml: {'; '.join(wrong)}: remove it from one of them")


def _why(name: str, data: Table, excluded: set[str]) -> str:
    """Why a column is not modelled."""
    if name == data.label:
        return "is the label, data.label, which is not modelled"
    return "is left out by data.exclude" if name in excluded else "is not among data.columns"
