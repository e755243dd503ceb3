"""Events of every kind, random examples of them, and small members of families: what tests of models are made of.

The tests of a family, `test_<family>.py`, say what its small members are:

    SMALL      the smallest sensible configuration, as a dict of options
    VARIANTS   a list of `Case`s: members with other options, for every test of the contract
    needed     optional, a function: the options that an event demands, as a dict

`families.py` collects them. The tests of a family import this module, and not that one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import Any, TypeVar

import pytest
import torch
from torch import Tensor, nn

from models.catalogue import build, check, family_class
from models.contract import Batch, Event, Family, FamilyConfig, UnsuitableEvent
from models.noise import Noise

IMAGE = Event((1, 8, 8), 17, 10)
COLOUR = Event((3, 4, 4), 256, 10)
VECTOR = Event((2,), None, 3)
PALETTE = Event((1, 4, 4), 6, 3, ordered=False)
SEQUENCE = Event((1, 16), 16, 3)
TOKENS = Event((1, 12), 5, 3, ordered=False)
EVENTS = (IMAGE, COLOUR, VECTOR, PALETTE, SEQUENCE)

READY: dict[str, Family] = {}

M = TypeVar("M", bound=nn.Module)


def offered_by(model: str) -> ModuleType:
    """The module of a family's own tests, which says what its small members are; see above."""
    name = f"test_{model}"
    if find_spec(f"{__package__}.{name}") is None:
        pytest.fail(f"{model} has no tests: write tests/models/{name}.py, with SMALL and VARIANTS", pytrace=False)
    module = import_module(f".{name}", __package__)
    for constant in ("SMALL", "VARIANTS"):
        if not hasattr(module, constant):
            pytest.fail(f"tests/models/{name}.py must define {constant}: see tests/models/cases.py", pytrace=False)
    return module


def needed(model: str, event: Event) -> dict[str, Any]:
    """What an event demands of a configuration of the family."""
    options: dict[str, Any] = getattr(offered_by(model), "needed", lambda event: {})(event)
    return options


@dataclass(frozen=True)
class Case:
    """A family, its configuration and the event that it is built for."""

    model: str
    event: Event
    options: dict[str, Any] = field(default_factory=dict)

    def config(self) -> FamilyConfig:
        """The small configuration of the family, with the options of the case."""
        return family_class(self.model).Config(**{**offered_by(self.model).SMALL, **self.options})

    def build(self, jitter: float = 0.2) -> Family:
        """The family after its data-dependent initialisation, its weights moved away from their careful start."""
        torch.manual_seed(0)
        family = build(self.model, self.config(), self.event)
        x, labels = examples(self.event, 64)
        family.initialise(x, labels, torch.Generator().manual_seed(0))
        return perturbed(family, jitter)

    def ready(self) -> Family:
        """The same in evaluation, built once for all tests, which must leave it as it is."""
        key = repr((self.model, self.event, self.options))
        if key not in READY:
            READY[key] = self.build().eval()
        return READY[key]

    def __str__(self) -> str:
        options = "-".join(f"{key}={value}" for key, value in self.options.items())
        names = "" if self.event.ordered else "-names"
        return f"{self.model}-{self.event.kind}{self.event.shape[0]}{names}-{options}"


def suited(case: Case) -> bool:
    """Can the family of a case model its event?"""
    try:
        check(case.model, case.config(), case.event)
    except UnsuitableEvent:
        return False
    return True


def refused(model: str, event: Event, match: str, **options: Any) -> None:
    """Assert that a configuration is refused for an event, with a message that matches."""
    config = family_class(model).Config(**options)
    for attempt in (check, build):
        with pytest.raises(UnsuitableEvent, match=match):
            attempt(model, config, event)


def perturbed(module: M, scale: float = 0.3) -> M:
    """The module, its weights moved away from their start, where many of them are zero."""
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(scale * torch.randn_like(parameter))
    return module


def examples(event: Event, n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random examples of an event and their labels."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(event.classes, (n,), generator=generator)
    if event.levels is None:
        return torch.randn(n, *event.shape, generator=generator) * 2 + 1, labels
    return torch.randint(event.levels, (n, *event.shape), generator=generator, dtype=torch.uint8), labels


def batch(event: Event, n: int = 16, seed: int = 0) -> Batch:
    """A batch of random examples."""
    x, labels = examples(event, n, seed)
    return Batch(x, labels, Noise(torch.Generator().manual_seed(seed), n))
