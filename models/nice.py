"""NICE: bijections that are trivial to invert, because only one half of the numbers moves at a time.

Each additive coupling shifts one half of the numbers by a network of the other half; the halves are those at even and
at odd places, by turns. None of them changes a volume, so a last layer of scales says which directions matter.

    w_b = v_b + m(v_a),  w_a = v_a           (per coupling)
    u = e^s ⊙ w,      log p(y) = Σ_i log p(u_i) + Σ_i s_i

v, w, u and s have D numbers, v_a and v_b half of them each. The prior p(u_i) is logistic or normal.

When to use it: as the simplest flow, fast in both directions. Its couplings keep volumes; a `realnvp`, whose couplings
scale, fits most data better.

Cost in sequential network passes, with K couplings: `log_prob` and `encode` K, `sample` and `decode` K.
Dinh, Krueger & Bengio, "NICE: Non-linear Independent Components Estimation", 2014 (arXiv:1410.8516).
"""

from __future__ import annotations

from typing import Any

import torch
from pydantic import Field
from pydantic.dataclasses import dataclass as validated
from torch import Tensor, nn

from .contract import STRICT, Event, Width
from .layers.flows.bases import BaseName
from .layers.flows.bijections import Bijection, Composition
from .layers.flows.couplings import AdditiveCoupling, lone_number, odd_or_even, vector_network
from .layers.flows.flow import Alpha, Flow, FlowConfig
from .layers.workers import of_every_pixel


@validated(frozen=True, config=STRICT)
class NICEConfig(FlowConfig):
    """Configuration of NICE."""

    alpha: Alpha | None = None
    """α of the logit transform of integer events, y = logit(α + (1 - 2α) (x + u) / K); null for y = (x + u) / K, as in
    the paper. Unused for vectors."""

    couplings: int = Field(default=4, ge=2)
    """Additive couplings, one after the other; all numbers move from two on, and depend on all others from three on."""

    hidden: tuple[Width, ...] = Field(default=(256, 256), min_length=1, strict=False)
    """Widths of the hidden layers of each coupling's MLP."""

    prior: BaseName = "logistic"
    """The distribution of each u_i: logistic, or normal."""


class Rescaling(Bijection):
    """u = e^s ⊙ v, at first such that each number has a standard deviation of 1.

    The weight is how far s is from that start, so that weight decay does not widen what is narrow.
    """

    start: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.register_buffer("start", torch.zeros(dimensions))
        self.change = nn.Parameter(torch.zeros(dimensions))

    @property
    def log_scale(self) -> Tensor:
        """s (D,)."""
        return self.start + self.change

    def initialise(self, v: Tensor, context: Tensor | None = None) -> None:
        self.start.copy_(-v.std(0, correction=0).clamp_min(1e-6).log())

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        s = self.log_scale
        return v * torch.exp(s), of_every_pixel(s, v)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        s = self.log_scale
        return w * torch.exp(-s), -of_every_pixel(s, w)


class NICE(Flow):
    """Additive couplings and a rescaling."""

    Config = NICEConfig

    def __init__(self, config: Any, event: Event) -> None:
        super().__init__(config, event, config.prior)

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        return super().refusal(event) or lone_number(event)

    def make_bijection(self) -> Bijection:
        D, config = self.event.dimensions, self.config
        parts: list[Bijection] = []
        for turn in range(config.couplings):
            split = odd_or_even(D, turn)
            network = vector_network(split.sees, split.moves, config.hidden, self.classes)
            parts.append(AdditiveCoupling(split, network))
        return Composition([*parts, Rescaling(D)])
