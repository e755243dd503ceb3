"""The stack of autoregressive blocks that MAF and IAF are, each in its own direction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from ..contract import STRICT, Width
from .bijections import BatchNorm, Bijection, Composition
from .flow import FlowConfig
from .made import AutoregressiveAffine, orders


@validated(frozen=True, config=STRICT)
class AutoregressiveFlowConfig(FlowConfig):
    """Configuration of a stack of MADE blocks."""

    blocks: int = Field(default=5, ge=1)
    """Autoregressive transforms, one after the other."""

    hidden: tuple[Width, ...] = Field(default=(256, 256), min_length=1, strict=False)
    """Widths of the hidden layers of each block's MADE network."""

    permutation: Literal["reverse", "random"] = "reverse"
    """Order of the dimensions in each block: alternately forward and backward, or random ones."""

    permutation_seed: int = Field(default=0, ge=0)
    """Seed of random orders; part of the model, since weights fit one order only."""

    batch_norm: bool = False
    """Follow each block by an invertible batch normalisation."""


def autoregressive_blocks(config: AutoregressiveFlowConfig, dimensions: int, classes: int) -> Composition:
    """The blocks of a configuration, in their quick direction."""
    count = config.blocks
    turns = orders(dimensions, count, config.permutation, config.permutation_seed)
    parts: list[Bijection] = []
    for order in turns[: config.blocks]:
        parts.append(AutoregressiveAffine(order, config.hidden, classes))
        if config.batch_norm:
            parts.append(BatchNorm(dimensions))
    return Composition(parts)
