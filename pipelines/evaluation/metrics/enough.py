"""The fewest examples of which numbers of one kind mean something; of fewer they are blank (see few.py)."""

from __future__ import annotations

MEAN = 5  # an average and its standard error
COMPLETED = 8  # examples that are completed, each several times
SHARE = 20  # a share, or the probability that one number exceeds another: ±0.2 of a half
NEAR = 50  # distances of sets: a ball around five neighbours holds a tenth of all
LEARNT = 100  # what trees learn, whose leaves have twenty rows, and a percentile


def sentence_about_few(test: int) -> str:
    """What a test split of so many examples means for the numbers of the evaluation; empty if it is enough."""
    blank = [least for least in (MEAN, SHARE, NEAR, LEARNT) if test < least]
    if not blank:
        return ""
    return (
        f"{test:,} test examples are few: what takes {' or '.join(map(str, blank))} to mean something will be blank,"
        " and the report says which."
    )
