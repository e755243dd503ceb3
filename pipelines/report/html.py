"""What both pages share: the environment of their templates, and how these show numbers and names."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape

from ..evaluation.metrics.numerals import measured, number
from .pictures import data_uri


def environment() -> Environment:
    """The templates, and what they call."""
    made = Environment(
        loader=PackageLoader(__package__),
        autoescape=select_autoescape(["html.j2"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(data_uri=data_uri, number=shown_number, linked=linked, breakable=breakable)
    return made


def linked(text: str) -> Markup:
    """A text in which the names of entries stand in backquotes, as HTML in which they are links to their sections."""
    parts = text.split("`")
    links = [
        Markup('<a href="#entry-{0}">{0}</a>').format(part) if i % 2 else escape(part) for i, part in enumerate(parts)
    ]
    return Markup("").join(links)


def breakable(name: str) -> Markup:
    """A name that may go on in the next line after each underscore."""
    return Markup("_<wbr>").join(name.split("_"))


def shown_number(value: Any, digits: int = 3) -> str:
    """A value for people; blank when it was not measured."""
    if not measured(value):
        return ""
    return number(value, digits) if isinstance(value, (int, float)) else str(value)
