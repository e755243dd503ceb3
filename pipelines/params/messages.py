"""Validation errors as people want to read them: one line per key, with its path, its value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any, get_args

from pydantic import ValidationError

from .data_section import SOURCES

FILE = "params.yaml"
SHORT = 80  # characters of a section that is repeated in a message
OPTIONS = ("literal[", "constrained-", "function-", "dict[")  # how pydantic calls the members of a union that it tried


def lines(error: ValidationError, section: Any, prefix: tuple[str, ...] = ()) -> list[str]:
    """The lines of a validation error of `section`, which stands at the path `prefix` of the file."""
    found = [(_path(problem), problem) for problem in error.errors()]
    by_path: dict[tuple[str, ...], list[Any]] = {}
    for path, problem in found:
        consequence = any(len(path) < len(other) and other[: len(path)] == path for other, _ in found)
        if not consequence:
            by_path.setdefault(path, []).append(problem)
    places = {path: ": ".join(filter(None, (FILE, ".".join((*prefix, *path))))) for path in by_path}
    return [f"{places[path]}: {_message(group, section)}" for path, group in by_path.items()]


def _path(problem: Any) -> tuple[str, ...]:
    """Where the key stands. Among the keys of the file, pydantic puts the members of a union that it tried."""
    path = [str(part) for part in problem["loc"]]
    if path[:1] == ["data"] and path[1:] and path[1] in SOURCES:
        del path[1]
    if path[:3] == ["data", "labels", "LabelTable"]:
        del path[2]
    while path and (path[-1].startswith(OPTIONS) or path[-1] in ("int", "float", "str")):
        path.pop()
    return tuple([*path, "source"] if problem["type"].startswith("union_tag") else path)


def _message(group: list[Any], section: Any) -> str:
    """What is wrong with one key; the members of a union have each their own reason."""
    first = group[0]
    if first["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        return f"is no key that is known here{suggestion(str(first['loc'][-1]), _keys(section, first['loc']))}"
    if first["type"] in ("missing", "missing_argument"):
        return "is missing"
    if first["type"] == "union_tag_not_found":
        return f"is missing; allowed are: {', '.join(SOURCES)}"
    if first["type"] == "union_tag_invalid":
        found = first["input"]["source"]
        return f"{found!r} is not allowed{suggestion(str(found), SOURCES)}"
    if first["type"] == "value_error" and isinstance(first["input"], dict) and len(str(first["input"])) > SHORT:
        return reason(first)  # of a whole section, which need not be repeated
    reasons = dict.fromkeys(reason(problem) for problem in group)
    return f"{first['input']!r} is not allowed: {' or '.join(reasons)}"


def reason(problem: Any) -> str:
    """What pydantic says is allowed."""
    message = str(problem["msg"])
    if message.startswith("Input should be "):
        return (
            "must be "
            + message.removeprefix("Input should be ").split(" or instance of ")[0].split(" or object to ")[0]
        )
    return message.removeprefix("Value error, ")


def suggestion(key: str, allowed: Iterable[str]) -> str:
    """The allowed keys, and the one that was probably meant."""
    names = sorted(allowed)
    close = difflib.get_close_matches(key, names, n=1)
    return (f"; did you mean {close[0]!r}?" if close else "") + f"; allowed are: {', '.join(names)}"


def _keys(section: Any, location: tuple[Any, ...]) -> list[str]:
    """The keys that are allowed beside the last key of a location."""
    for part in location[:-1]:
        if part in SOURCES and isinstance(section, tuple):  # the union of sources
            section = next(kind for kind in section if part in get_args(kind.model_fields["source"].annotation))
            continue
        fields = getattr(section, "model_fields", {})
        if part in fields:
            members = tuple(_sections_in(fields[part].annotation))
            section = members if part == "data" else members[0]
    fields = getattr(section, "model_fields", None) or section.__pydantic_fields__
    return [info.alias or key for key, info in fields.items()]


def _sections_in(annotation: Any) -> Iterable[Any]:
    """The sections in an annotation: the only one, the members of a union, or the values of a mapping."""
    if hasattr(annotation, "model_fields"):
        yield annotation
    for member in get_args(annotation):
        yield from _sections_in(member)
