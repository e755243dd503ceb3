"""Small members of every family of the catalogue, as its own tests define them, for the tests that go over all.

A new family is in all of these tests once it is in the catalogue and has a `test_<family>.py` (see `cases.py`).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from models.catalogue import CATALOGUE
from models.contract import Event

from .cases import (
    COLOUR,
    EVENTS,
    IMAGE,
    PALETTE,
    SEQUENCE,
    TOKENS,
    VECTOR,
    Case,
    batch,
    examples,
    needed,
    offered_by,
    suited,
)

__all__ = [
    "CASES",
    "COLOUR",
    "EVENTS",
    "IMAGE",
    "PALETTE",
    "SEQUENCE",
    "SMALL",
    "TOKENS",
    "VECTOR",
    "Case",
    "batch",
    "examples",
    "members",
]


def members(models: Iterable[str], events: Iterable[Event]) -> list[Case]:
    """The families that can model each event, unconditional and conditional."""
    events = list(events)
    cases = [
        Case(model, event, {"conditional": conditional, **needed(model, event)})
        for model in models
        for event in events
        for conditional in (False, True)
    ]
    return [case for case in cases if suited(case)]


SMALL: dict[str, dict[str, Any]] = {model: offered_by(model).SMALL for model in sorted(CATALOGUE)}
CASES = members(SMALL, EVENTS) + [variant for model in SMALL for variant in offered_by(model).VARIANTS]
