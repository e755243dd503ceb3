"""Where an entry stands among the others in one number: its rank, the best, and who is level with the best.

Two entries count as level where what was measured cannot tell them apart: their numbers look the same, the 95 %
interval of their difference by the same test examples has 0 in it (where these are not known, one lies within the
interval of the other), or, of timings, they differ by no more than repeated timings do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ..evaluation.metrics.metric_catalogue import METRICS, Metric
from ..evaluation.metrics.paired import PAIRABLE, Paired, margin

Row = Mapping[str, Any]

PAIRED = "paired"  # what a row may have of its entry, to compare it with others
TIMING = 0.1  # relative difference that two timings of the same thing may have


BITS, NATS = METRICS["nll_bits_per_dim"], METRICS["nll_nats"]
FID, COMPLETION = METRICS["fid"], METRICS["completion_score"]
SPEED, COST = METRICS["samples_per_s"], METRICS["train_seconds"]
BAYES, PROBE = METRICS["bayes_accuracy"], METRICS["probe_accuracy"]


@dataclass(frozen=True)
class Standing:
    """The rank of an entry's value among `of` values, the row with the best, and the entries level with that.

    `rank` is the first and `last_rank` the last place among the values that look like it.
    """

    value: float
    rank: int
    last_rank: int
    of: int
    best: Row
    level: tuple[str, ...]

    @property
    def third(self) -> Literal["best", "first", "middle", "last"]:
        """Is it the best, or in the first or last third? Of fewer than three values only the best stands out."""
        if self.rank == 1:
            return "best"
        if self.of < 3:
            return "middle"
        return "first" if self.last_rank <= self.of / 3 else "last" if self.rank > self.of * 2 / 3 else "middle"


def value_of(row: Row, name: str) -> float | None:
    """A measured, finite number of a row, or None."""
    value = row.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value


def ranked(rows: Sequence[Row], measure: Metric) -> list[Row]:
    """The rows in which something was measured, the best first."""
    known = [(value, row) for row in rows if (value := value_of(row, measure.name)) is not None]
    known.sort(key=lambda pair: pair[0] if measure.better == "lower" else -pair[0])
    return [row for _, row in known]


def leaders(rows: Sequence[Row], measure: Metric) -> list[Row]:
    """The best row, then those that are level with it; none if nothing was measured."""
    order = ranked(rows, measure)
    return [row for row in order if level(order[0], row, measure)]


def level(best: Row, row: Row, measure: Metric) -> bool:
    """Is the value of a row indistinguishable from that of the best?"""
    value, lead = row[measure.name], best[measure.name]
    if row is best or not measure.worse(value, lead):
        return True
    if measure.timed:
        return abs(value - lead) <= TIMING * max(abs(value), abs(lead))
    apart = margin_of(best, row, measure)
    if apart is not None:
        return abs(value - lead) <= apart
    bounds = interval(best, measure.name)
    return bounds is not None and bounds[0] <= value <= bounds[1]


def margin_of(a: Row, b: Row, measure: Metric) -> float | None:
    """How far the 95 % interval of the difference of two rows reaches, by the same test examples; None if unknown."""
    first, second = a.get(PAIRED), b.get(PAIRED)
    if not isinstance(first, Paired) or not isinstance(second, Paired):
        return None
    found = margin(first, second, measure.name)
    nats, bits = value_of(a, NATS.name), value_of(a, BITS.name)
    return found if found is None or measure is not BITS or not nats or not bits else found * bits / nats


def standing(rows: Sequence[Row], row: Row, measure: Metric) -> Standing | None:
    """Where the row stands; None if its value was not measured."""
    value = value_of(row, measure.name)
    if value is None:
        return None
    order = ranked(rows, measure)
    rank = 1 + sum(measure.worse(value, other[measure.name]) for other in order)
    last_rank = len(order) - sum(measure.worse(other[measure.name], value) for other in order)
    names = tuple(str(other["entry"]) for other in leaders(rows, measure))
    return Standing(value, rank, last_rank, len(order), order[0], names)


def interval(row: Row, name: str) -> tuple[float, float] | None:
    """The 95 % interval of a value, or None."""
    low, high = value_of(row, f"{name}_low"), value_of(row, f"{name}_high")
    return None if low is None or high is None else (low, high)


def how_level(best: Row, measure: Metric, whom: str = "") -> str:
    """In which respect others are level with the best, or with `whom`, as the best is called."""
    if measure.timed:
        return f"within a tenth of {whom or 'it'}"
    if measure.name in PAIRABLE and isinstance(best.get(PAIRED), Paired):
        return f"level with {whom or 'it'} by the same test examples"
    if interval(best, measure.name):
        return f"within the interval of {whom}" if whom else "within its interval"
    return f"level with {whom or 'it'}"


def likelihood(rows: Sequence[Row]) -> Metric:
    """The unit in which likelihoods are compared: bits/dim of integers, nats of vectors."""
    return BITS if ranked(rows, BITS) else NATS


def quality(rows: Sequence[Row]) -> Metric:
    """What the quality of entries is compared by: FID, or the likelihood where no FID was measured."""
    return FID if ranked(rows, FID) else likelihood(rows)


def undominated(costs: Mapping[str, tuple[float, float]]) -> list[str]:
    """The Pareto set: the entries that no other dominates in two costs, less being better; in order of the first."""
    kept = [name for name, cost in costs.items() if not any(dominates(other, cost) for other in costs.values())]
    return sorted(kept, key=lambda name: costs[name])


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    """Is `a` nowhere costlier than `b`, and somewhere cheaper?"""
    return a != b and a[0] <= b[0] and a[1] <= b[1]
