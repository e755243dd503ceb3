"""Numbers as people read them."""

from __future__ import annotations

import math
from typing import Any

HUGE = 1e9  # from here on powers of ten are read faster


def measured(value: Any) -> bool:
    """Is there a value, rather than None, NaN or an empty text?"""
    return value is not None and value != "" and not (isinstance(value, float) and math.isnan(value))


def number(value: float, digits: int = 3) -> str:
    """A number for people: whole numbers in full, others with `digits` significant digits, thousands separated."""
    if isinstance(value, int) or not math.isfinite(value):
        return f"{value:,}"
    value = rounded(value, digits)
    if abs(value) >= HUGE:
        return f"{value:.1e}".replace("e+", "e")
    if abs(value) >= 10**digits:
        return f"{value:,.0f}"
    return f"{value:#.{digits}g}".rstrip(".")


def rounded(value: float, digits: int) -> float:
    """A value as it looks with so many significant digits."""
    return float(f"{value:.{digits - 1}e}")
