"""How much one request may ask for, so that it cannot hold a server for ever."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

from .refusal import Refusal

LARGEST, SMALLEST = 1024, 64  # examples that are computed at once
PASSES = 128  # through a network, up to which there are as many as that


@dataclass(frozen=True)
class Limits:
    """The most examples, bytes of numbers, and seconds of one request; none where a model is used in Python."""

    examples: float = math.inf
    bytes: float = math.inf
    seconds: float = math.inf

    @classmethod
    def of_server(cls, environment: Mapping[str, str]) -> Limits:
        """Those of a server, which its owner sets by variables of the environment."""
        found = {}
        for name, usual in SERVED.items():
            text = environment.get(VARIABLES[name], "")
            try:
                found[name] = float(text) if text else usual
            except ValueError:
                raise ValueError(f"{VARIABLES[name]}: {text!r} is no number") from None
        return cls(**found)

    def check(self, examples: int, size: int, name: str) -> None:
        """Refuse so many examples of `size` bytes each, which the parameter or input called `name` asks for."""
        if examples > self.examples:
            raise Refusal(f"{name}: {examples:,} examples are more than {self.examples:,.0f}, {_how('examples')}")
        if examples * size > self.bytes:
            asked = f"{examples:,} examples of {size:,} bytes"
            raise Refusal(f"{name}: {asked} are more than {self.bytes:,.0f} bytes, {_how('bytes')}")


SERVED = {"examples": 10_000.0, "bytes": 64 * 2.0**20, "seconds": 50.0}
VARIABLES = {name: f"GENERA_MAX_{name.upper()}" for name in SERVED}


def _how(name: str) -> str:
    return f"the limit of this server: ask several times, or let its owner set {VARIABLES[name]}"


class Clock:
    """The parts of a request's work, of which none begins after the last second.

    How many examples a part has depends on what a pass through the network is repeated for, and never on the time that
    others took: so the same request has the same answer, to the bit.
    """

    def __init__(self, limits: Limits, passes: int = 1) -> None:
        self.limits, self.size = limits, max(SMALLEST, LARGEST // max(1, passes // PASSES))
        self._began = time.monotonic()

    def next_size(self, left: int) -> int:
        """How many of the examples that are left to compute now. Raises `Refusal` when time is over."""
        spent = time.monotonic() - self._began
        if spent > self.limits.seconds:
            raise Refusal(f"stopped after {spent:.0f} seconds with {left:,} examples left, {_how('seconds')}")
        return min(self.size, left)
