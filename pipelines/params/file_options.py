"""What the sources of files and of arrays have in common: a table of labels, rare classes, and values of many bits."""

from __future__ import annotations

import codecs
import re
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from .section import Input, Section


def _encoding(name: str) -> str:
    try:
        codecs.lookup(name)
    except LookupError:
        raise ValueError("must be a text encoding that Python knows, such as utf-8 or cp1252") from None
    return name


def _colour(name: str) -> str:
    if not re.fullmatch(r"white|grey|black|#[0-9A-Fa-f]{6}", name):
        raise ValueError("must be white, grey, black, or a colour such as '#ffcc00'")
    return name


def _range(limits: tuple[float, float]) -> tuple[float, float]:
    if not limits[0] < limits[1]:
        raise ValueError("must be two numbers of which the first is the smaller")
    return limits


class LabelTable(Section):
    """A table that says which label each file has."""

    file: Input
    """The table, from the project's folder on: a CSV file with a first line of names, whose cells are separated by
    commas, semicolons or tabs."""

    path: str
    """The column that names the files: by their paths below `data.path`, or from the table's own folder on, or by
    their names alone, with or without their endings."""

    label: str
    """The column with the labels."""

    split: str | None = None
    """The column that says which official split a file belongs to: train, val or test; null has none."""

    unmatched: Literal["refuse", "drop"] = "refuse"
    """What happens to files without a row, rows without a file and rows without a label: stop and list them, or leave
    them out and say so."""

    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    """How the letters of the table are stored: cp1252 for instance, if an old Excel wrote it."""

    def outside(self, folder: str) -> bool:
        """Does the table lie elsewhere than below this folder?"""
        return not PurePath(self.file).is_relative_to(PurePath(folder))


class RareClasses(Section):
    """What is done about classes with too few examples for the splits that are drawn."""

    rare: Literal["refuse", "train", "drop"] = "refuse"
    """What happens to a class with fewer examples (recordings) than one for each split that is drawn: stop and list
    such classes, put all of it into the training split, or leave the class out."""


Limits = Annotated[tuple[float, float], Field(strict=False), AfterValidator(_range)]

Rescale = Literal["type", "file", "data", "percentile"] | Limits | None

Background = Annotated[str, AfterValidator(_colour)]
