"""How far a share of independent rows may be off.

Wilson, "Probable inference, the law of succession, and statistical inference", 1927
(doi:10.1080/01621459.1927.10502953).
"""

from __future__ import annotations

from dataclasses import dataclass

from scipy.stats import norm

LEVEL = 0.95


@dataclass(frozen=True)
class Share:
    """A share of `rows`, from 0 to 1, with its 95 % interval."""

    value: float
    low: float
    high: float
    rows: int


def share(count: float, rows: int, independent: float | None = None) -> Share:
    """So many of so many rows; halves, of ties, are allowed. The interval is that of fewer rows if these depend."""
    z, n = float(norm.ppf((1 + LEVEL) / 2)), independent or rows
    value = count / rows
    middle = (value * n + z * z / 2) / (n + z * z)
    margin = z / (n + z * z) * (n * value * (1 - value) + z * z / 4) ** 0.5
    return Share(value, max(0.0, middle - margin), min(1.0, middle + margin), rows)
