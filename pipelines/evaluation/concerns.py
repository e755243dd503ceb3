"""What is wrong with a model, in sentences for people."""

from __future__ import annotations

import re
from collections.abc import Iterable


def gist(concern: str) -> str:
    """A concern without its numbers: that a number is another one is not worth a second line."""
    return re.sub(r"\d[\d.,]*", "#", concern)


def warnings(evaluated: Iterable[str], trained: Iterable[str]) -> list[str]:
    """What is wrong with an entry by its evaluation, and what else was by its training, each as a sentence."""
    concerns = {gist(concern): concern for concern in (*trained, *evaluated)}  # of two alike that of the evaluation
    return [f"{concern[:1].upper()}{concern[1:]}." for concern in concerns.values()]
