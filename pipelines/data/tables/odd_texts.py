"""Texts that are numbers or dates for people and not for a program: with marks, or in several formats."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd

from .looking import DATES, Look
from .typed_rows import seconds

MARK = r"[$€£¥₹₩₽%‰°]|(?:USD|EUR|GBP|CHF|JPY|kg|g|mg|cm|mm|km|m|s|ms|h|min|°C|°F)"
DIGITS = r"\d[\d.,'\u2019 \xa0\u202f\u2009]*"
MARKED = re.compile(
    rf"\((?:{MARK})?\s*{DIGITS}\s*(?:{MARK})?\)|[-+−]?\s*(?:{MARK})?\s*[-+−]?{DIGITS}\s*(?:{MARK})?\s*-?"
)
MARKS = re.compile(rf"{MARK}|[(−]|-$")  # one of which must be there: spaces and points are in telephone numbers, too
MOSTLY = 0.9  # the share of texts that are numbers, with marks or without
FEW = 20  # values, below which nothing is said
SOME = 400  # different values that are held against formats of dates
LIKE_DATES = re.compile(r"\d.*[-/.: ].*\d")


def complain_of_texts(look: Look) -> None:
    """A ValueError for a column of texts that are numbers with marks, or dates in several formats."""
    if look.numeric or look.dates or look.values is None or look.there < FEW or look.stored != {"text"}:
        return
    texts = {str(value): count for value, count in look.values.items()}
    marked = [text for text in texts if MARKED.fullmatch(text) and MARKS.search(text)]
    numbers = sum(texts[text] for text in marked) + look.numbers
    if marked and len(marked) > 2 and numbers >= MOSTLY * look.there:
        raise ValueError(
            f"{numbers:,} of {look.there:,} texts are numbers with marks, like {marked[0]!r}: write the numbers alone"
            " in the file, or say here what they are: category, or leave_out"
        )
    formats = _formats(texts)
    if len(formats) > 1:
        listed = ", ".join(f"{count:,} like {form}" for form, count in formats.most_common())
        raise ValueError(
            f"its dates are written in several formats ({listed}): write them alike in the file, or say here what they"
            " are: category, or leave_out"
        )


def _formats(texts: dict[str, int]) -> Counter[str]:
    """The formats that, one after the other, take up all the texts, with their counts; none if some are left."""
    left = pd.Series(list(texts)[:SOME])
    found: Counter[str] = Counter()
    if not left.str.contains(LIKE_DATES).all():
        return found
    for form in DATES:
        fits = ~np.isnan(seconds(left, form))
        if fits.any():
            found[form] = sum(texts[text] for text in left[fits])
            left = left[~fits]
        if left.empty:
            return found
    return Counter()
