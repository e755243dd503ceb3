"""What a training is given, and where it stands."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from models.contract import Player, Trainable

from ..data.examples import Examples

Concerns = Callable[[Mapping[str, float]], list[str]]


def unconcerned(measured: Mapping[str, float]) -> list[str]:
    """Nothing is ever wrong."""
    return []


@dataclass(frozen=True)
class Task:
    """What is trained: a module, the players that move its weights, and the measure that validates it.

    `validate` maps the module, in evaluation mode, to numbers of which `objective` (lower is better) decides.
    `examples` is None for players that need no data, such as a student that learns from its own samples. `concerns`
    maps what a validation measured to sentences about what is wrong, for people: the log has each of them once.
    """

    name: str
    module: Trainable
    players: list[Player]
    examples: Examples | None
    validate: Callable[[], dict[str, float]]
    concerns: Concerns = unconcerned


@dataclass
class State:
    """Where a training stands, beside its tensors; with what was wrong at the best and at the last validation.

    `examples` counts those of all batches so far; `peak_mib` is the most memory that the first worker needed, in
    mebibytes. At the end `flops` are the floating-point operations of a step per example, forward and backward, and
    `parameters` how many numbers were trained.
    """

    step: int = 0
    best_step: int = 0
    best_objective: float = math.inf
    waited: int = 0
    seconds: float = 0.0
    finished: bool = False
    rescues: int = 0
    examples: int = 0
    peak_mib: float = 0.0
    flops: float = 0.0
    parameters: int = 0
    first_loss: dict[str, float] = field(default_factory=dict)
    loss_sum: dict[str, float] = field(default_factory=dict)
    loss_count: dict[str, int] = field(default_factory=dict)
    history: list[dict[str, float]] = field(default_factory=list)
    best_concerns: list[str] = field(default_factory=list)
    last_concerns: list[str] = field(default_factory=list)
