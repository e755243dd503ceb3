"""What cannot be answered."""

from __future__ import annotations


class Refusal(ValueError):
    """A request that cannot be answered: the message says in one line what is wrong, and what is allowed."""
