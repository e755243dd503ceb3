"""The fields of configurations as lists for the reference: name, values, default, and the line that documents each."""

from __future__ import annotations

from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Interval, Le, Lt
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from .docstrings import markdown

BOUNDS: dict[type, tuple[str, str]] = {
    Ge: ("ge", "at least"),
    Gt: ("gt", "above"),
    Le: ("le", "at most"),
    Lt: ("lt", "below"),
}
NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "a text", type(None): "null"}


def field_list(shown: type, known: dict[Any, str] | None = None) -> str:
    """Markdown of the fields of a class; `known` are classes that have a section of their own, with the link to it."""
    fields: dict[str, FieldInfo] = vars(shown)["__pydantic_fields__"]
    return "\n".join(
        _field(field.alias or name, field, _about(shown, name), known or {}) for name, field in fields.items()
    )


def values(annotation: Any, metadata: list[Any], known: dict[Any, str]) -> str:
    """In words what values a field may have."""
    words = _type(annotation, known)
    bounds = [
        f"{said} {getattr(bound, name):.10g}" for bound in _single(metadata) for name, said in [BOUNDS[type(bound)]]
    ]
    return f"{words}, {' and '.join(bounds)}" if bounds else words


def _single(metadata: list[Any]) -> list[Any]:
    """The bounds among what is said of a type."""
    entries = [part for entry in metadata for part in (entry.metadata if isinstance(entry, FieldInfo) else [entry])]
    parts = [part for entry in entries for part in (entry if isinstance(entry, Interval) else [entry])]
    return [part for part in parts if type(part) in BOUNDS]


def _field(name: str, field: FieldInfo, about: str, known: dict[Any, str]) -> str:
    head = f"`{name}` ({values(field.annotation, field.metadata, known)}{_default(field)})"
    said = markdown(about).replace("\n", " ")
    return f"{head}\n: {said or 'A section of its own.'}\n"


def _about(shown: type, name: str) -> str:
    """The line that documents a field, in the class itself or in the one that it has it from."""
    parents = [vars(parent).get("__pydantic_fields__", {}) for parent in shown.__mro__]
    return next((fields[name].description for fields in parents if name in fields and fields[name].description), "")


def _default(field: FieldInfo) -> str:
    if field.default is PydanticUndefined:
        return "" if field.default_factory is not None else "; required"
    return f"; default `{_written(field.default)}`"


def _written(value: Any) -> str:
    """A value as it stands in a YAML file."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_written, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_written(each)}' for key, each in value.items())}}}"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _type(annotation: Any, known: dict[Any, str]) -> str:
    """In words what type a value has."""
    origin, inner = get_origin(annotation), get_args(annotation)
    if annotation in known:
        return known[annotation]
    if annotation in NAMES:
        return NAMES[annotation]
    if origin is Literal:
        return " or ".join(f"`{_written(value)}`" for value in inner)
    if hasattr(annotation, "__metadata__"):
        return values(inner[0], list(annotation.__metadata__), known)
    if origin in (Union, UnionType):
        return " or ".join(_type(each, known) for each in inner)
    if origin in (list, tuple, set):
        items = [each for each in inner if each is not Ellipsis]
        return f"a list, each {_type(items[0], known)}" if len(set(items)) == 1 else _tuple(items, known)
    if origin is dict or hasattr(origin, "keys"):
        return f"a mapping from names to {_type(inner[1], known)}"
    if isinstance(annotation, type):
        return f"`{annotation.__name__}`"
    return "any value" if annotation is Any else f"`{annotation}`"


def _tuple(items: list[Any], known: dict[Any, str]) -> str:
    return f"a list of {', '.join(_type(each, known) for each in items)}"
