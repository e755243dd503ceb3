"""Docstrings of this project as Markdown, and as the reStructuredText that autodoc reads.

They are plain text: names stand in single backticks, equations are lines indented by four blanks, and *, _ and | are
what they are. A paper is named by its number, arXiv:1705.07057, of which a link is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from inspect import cleandoc

PAPER = re.compile(r"arXiv:(\d{4}\.\d{4,5})")
WHEN = "When to use it: "  # how the paragraph of a family's docstring begins that says it
ITEM = re.compile(r"- |\d+\. ")


def paragraphs(docstring: str) -> list[str]:
    """Its paragraphs, each with the indented lines that stand in it."""
    return [part for part in re.split(r"\n\s*\n", cleandoc(docstring)) if part.strip()]


def markdown(docstring: str) -> str:
    """The docstring as Markdown."""
    return "\n\n".join(map(_markdown_paragraph, paragraphs(docstring)))


def rst(lines: list[str]) -> list[str]:
    """The lines of a docstring as reStructuredText."""
    made: list[str] = []
    for part in paragraphs("\n".join(lines)):
        rows = part.splitlines()
        if _indented(rows):
            made += ["::", "", *rows, ""]
            continue
        for row in rows:
            if ITEM.match(row) and made and made[-1]:
                made.append("")
            made.append(_outside_code(row, _escaped_rst, "``"))
        made.append("")
    return made


def _markdown_paragraph(part: str) -> str:
    rows = part.splitlines()
    if _indented(rows):
        return f"```text\n{cleandoc(part)}\n```" if len(rows) > 1 else f"```text\n{part.strip()}\n```"
    return "\n".join(_outside_code(row, _escaped_markdown, "`") for row in rows)


def _indented(rows: list[str]) -> bool:
    """Are these lines of equations?"""
    return all(row.startswith("    ") for row in rows)


def _outside_code(row: str, change: Callable[[str], str], tick: str) -> str:
    """The row with a change of what is not in backticks."""
    parts = row.split("`")
    return "".join(f"{tick}{part}{tick}" if number % 2 else change(part) for number, part in enumerate(parts))


def _escaped_markdown(text: str) -> str:
    escaped = re.sub(r"([*_<\[\]|{}])", r"\\\1", text)
    return PAPER.sub(r"[arXiv:\1](https://arxiv.org/abs/\1)", escaped)


def _escaped_rst(text: str) -> str:
    escaped = re.sub(r"([*|\\])", r"\\\1", text)
    escaped = re.sub(r"_(?=\W|$)", r"\\_", escaped)
    return PAPER.sub(r"`arXiv:\1 <https://arxiv.org/abs/\1>`__", escaped)
