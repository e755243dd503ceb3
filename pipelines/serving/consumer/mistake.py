"""What a consumer got wrong."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class Mistake(Exception):
    """A mistake of the user's: the message is one line that says what is wrong, and what is allowed."""


@contextmanager
def refused(of: str = "") -> Iterator[None]:
    """Within, what a model refuses is a mistake `of` something. Each model carries its own class of refusals."""
    try:
        yield
    except ValueError as error:
        if type(error).__name__ != "Refusal":
            raise
        raise Mistake(f"{of}{error}") from None
