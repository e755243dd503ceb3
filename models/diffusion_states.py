"""What a diffusion of each kind of event is made of: how examples become states x_0, and what noises them."""

from __future__ import annotations

import torch
from torch import Tensor

from .contract import Event
from .diffusion_joint import Joint
from .diffusion_names import Multinomial
from .diffusion_process import Gaussian, Process
from .diffusion_schedule import Schedule
from .layers.tables.named_units import NamedUnits
from .layers.units import Standardised, Units, centred, from_centred
from .noise import Noise


class Centred(Units):
    """Integers in their own shape on the scale -1 … 1, which a process decodes itself: there is no determinant."""

    def __init__(self, event: Event) -> None:
        super().__init__()
        self.event = event

    def forward(self, x: Tensor, noise: Noise | None = None) -> tuple[Tensor, Tensor]:
        return centred(x, self.event), torch.zeros(len(x), device=x.device)

    def quantise(self, y: Tensor) -> Tensor:
        return from_centred(y, self.event)


def units_of(event: Event) -> Units:
    """The bijection from examples (N, *event) to x_0."""
    if event.kind == "table":
        return NamedUnits(event)
    return Standardised(event) if event.levels is None else Centred(event)


def process_of(event: Event, units: Units, schedule: Schedule, prediction: str) -> Process:
    """What noises the x_0 that `units` make: Gaussian noise, and of the names of a table multinomial noise."""
    if not isinstance(units, NamedUnits):
        return Gaussian(schedule, event.shape, event.levels, prediction)
    parts: list[Process] = []
    if units.numbers_at:
        parts.append(Gaussian(schedule, (len(units.numbers_at),), None, prediction))
    if units.names_at:
        parts.append(Multinomial(schedule, units.sizes))
    return Joint(parts, units.places)
