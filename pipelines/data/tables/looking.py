"""What a column holds, noted in one pass over the file: enough to find its type, in little memory."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_bool_dtype, is_datetime64_any_dtype, is_integer_dtype, is_numeric_dtype

from ...params.table_sections import Table
from ..sources.number_style import as_numbers, hint
from .typed_rows import as_texts, seconds

MOST = 10_000  # different values that are kept count of
SAMPLED = 100_000  # numbers that say how a column is spread
DECIMALS = 6
FIRST = 20  # values by which most formats of dates can be ruled out
BOOLEANS = (("true", "false"), ("yes", "no"), ("t", "f"), ("y", "n"))
CODE = r"[+-]?0\d+|\+\d{7,}|[+-]?\d{17,}"  # 00123, +4930123456, and what float64 would round
ROUNDED = 1 << 53  # integers from which float64 has not all
DAYS = (
    "%Y-%m-%d", "%Y/%m/%d", "%d.%m.%Y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d-%b-%Y", "%d %B %Y", "%b %d, %Y",
    "%d.%m.%y", "%d/%m/%y", "%m/%d/%y", "%d-%b-%y",
)  # fmt: skip
TIMES = (
    ("", ""), (" ", "%H:%M"), (" ", "%H:%M:%S"), ("T", "%H:%M:%S"), (" ", "%H:%M:%S.%f"), ("T", "%H:%M:%S.%f"),
    ("T", "%H:%M:%S%z"), (" ", "%H:%M:%S%z"), ("T", "%H:%M:%S.%f%z"), (" ", "%H:%M:%S.%f%z"), ("T", "%H:%M"),
)  # fmt: skip
DATES = (
    *(f"{day}{between}{time}" for day in DAYS for between, time in TIMES),
    *("%H:%M:%S", "%H:%M", "%I:%M %p", "%Y-%m", "%b %Y", "%B %Y", "%m/%Y"),
)


@dataclass
class Moments:
    """Dates by one of the formats: the first and the last, and what divides the time between any two."""

    low: float = np.inf
    high: float = -np.inf
    step: int = 0  # microseconds

    def see(self, dates: np.ndarray) -> None:
        """Seconds since 1970 (N,), N > 0."""
        self.low, self.high = min(self.low, float(dates.min())), max(self.high, float(dates.max()))
        apart = np.rint((dates - self.low) * 1e6).astype(np.int64)
        self.step = int(np.gcd.reduce(np.append(apart, self.step)))


@dataclass
class Look:
    """What was seen of a column so far. A `format` of dates that is given is the only one that is tried."""

    name: str
    format: str | None = None
    rows: int = 0
    missing: int = 0
    numeric: bool = True  # are all values numbers?
    numbers: int = 0  # how many are
    zero_led: bool = False
    infinite: int = 0
    stored: set[str] = field(default_factory=set)  # what the file itself says: text, number, bool, date
    dates: dict[str, Moments] | None = None  # by the formats in which all values are dates; None before the first
    values: Counter[Any] | None = field(default_factory=Counter)  # None when there are too many
    before: set[str] | None = None  # the values of the first file, where there is a second one
    odd: Counter[str] = field(default_factory=Counter)  # texts among numbers
    hint: str | None = None  # how the texts would be numbers
    low: float = np.inf
    high: float = -np.inf
    decimals: int | None = 0
    rising: bool = True  # is each number greater than the one before?
    last: float = -np.inf
    sample: list[np.ndarray] = field(default_factory=list)

    @property
    def there(self) -> int:
        """How many values there are."""
        return self.rows - self.missing

    @property
    def distinct(self) -> int | None:
        """How many different values there are; None if too many to count."""
        return None if self.values is None else len(self.values)

    def see(self, column: pd.Series[Any], data: Table, rng: np.random.Generator, new: bool = False) -> None:
        """Look at some more values. Those that are `new` come from another file than those before."""
        if new and self.before is None and self.values is not None:
            self.before = set(map(str, self.values))
        there = column[column.notna()]
        self.rows += len(column)
        self.missing += len(column) - len(there)
        if not len(there):
            return
        if is_datetime64_any_dtype(there):
            self.stored.add("date")
            self.numeric = False
            self.dates = self.dates or {"": Moments()}
            self.dates[""].see(seconds(there, None))
            self._count(there.astype(str))
            return
        if is_bool_dtype(there):
            self.stored.add("bool")
            self.numeric = False
            self._count(there.astype(bool).astype(str))
            return
        if is_integer_dtype(there) and bool((there.abs() >= ROUNDED).any()):
            there = there.astype(str)  # float64 would make some of them equal
        written = not is_numeric_dtype(there)
        self.stored.add("text" if written else "number")
        numbers = (as_numbers(there, data) if written else there).to_numpy(np.float64, na_value=np.nan)
        if written:
            self._see_texts(there, np.isnan(numbers), data)
        self._see_numbers(numbers[~np.isnan(numbers)], rng)
        self._count(there if self.written_as_text else pd.Series(numbers))

    @property
    def written_as_text(self) -> bool:
        """Do the texts say more than the numbers that they may be?"""
        return not self.numeric or self.zero_led

    def _see_texts(self, texts: pd.Series[Any], odd: np.ndarray, data: Table) -> None:
        if odd.any():
            self.hint = self.hint or hint(texts[odd], data)
            self.odd.update(Counter(texts[odd].iloc[:MOST].tolist()))
        if (odd.any() or texts.str.fullmatch(CODE).any()) and not self.written_as_text:
            self.values = None if self.values is None else Counter({_text(key): n for key, n in self.values.items()})
        self.numeric &= not odd.any()
        self.zero_led |= bool(texts.str.fullmatch(CODE).any())
        if not self.numeric and self.dates != {}:
            self._see_dates(pd.Series(texts.unique()))

    def _see_dates(self, texts: pd.Series[Any]) -> None:
        """Keep the formats in which all texts are dates."""
        formats = list(self.dates or ([self.format] if self.format else DATES))
        some = texts.iloc[:FIRST]
        kept: dict[str, Moments] = {}
        for form in (form for form in formats if not np.isnan(seconds(some, form)).any()):
            dates = seconds(texts, form)
            if not np.isnan(dates).any():
                kept[form] = (self.dates or {}).get(form, Moments())
                kept[form].see(dates)
        self.dates = kept

    def _see_numbers(self, numbers: np.ndarray, rng: np.random.Generator) -> None:
        finite = numbers[np.isfinite(numbers)]
        self.infinite += len(numbers) - len(finite)
        self.numbers += len(numbers)
        if not len(finite):
            return
        self.low, self.high = min(self.low, float(finite.min())), max(self.high, float(finite.max()))
        self.decimals = None if self.decimals is None else decimals_of(finite, self.decimals)
        self.rising &= bool((np.diff(finite, prepend=self.last) > 0).all())
        self.last = float(finite[-1])
        room = SAMPLED - sum(map(len, self.sample))
        kept = (
            finite if len(finite) <= room else finite[rng.random(len(finite)) < max(room, SAMPLED // 20) / len(finite)]
        )
        self.sample.append(kept)

    def _count(self, values: pd.Series[Any]) -> None:
        if self.values is None:
            return
        different, counts = np.unique(values.to_numpy(), return_counts=True)
        self.values.update(dict(zip(different.tolist(), counts.tolist(), strict=True)))
        if len(self.values) > MOST:
            self.values = None


def _text(number: Any) -> str:
    """How a number would have been written."""
    return str(as_texts(pd.Series([number])).iloc[0]) if isinstance(number, float) else str(number)


def decimals_of(numbers: np.ndarray, least: int = 0) -> int | None:
    """The decimals, at least `least`, to which all the numbers are rounded; None for more than can be told."""
    for decimals in range(least, DECIMALS + 1):
        scaled = numbers * 10.0**decimals
        rounding = 4 * np.finfo(np.float64).eps * np.abs(scaled) + 1e-9
        if (np.abs(scaled - np.rint(scaled)) <= rounding).all():
            return decimals
    return None
