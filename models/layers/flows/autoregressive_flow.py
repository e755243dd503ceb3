"""The stack of autoregressive blocks that MAF and IAF are, each in its own direction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from pydantic.dataclasses import dataclass as validated

from ...contract import STRICT, Width
from ..autoregressive.masked import orders
from .affine_transform import affine_made
from .bijections import BatchNorm, Bijection, Composition
from .flow import FlowConfig
from .inversion import Inversion
from .mixture_transform import AutoregressiveMixture


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
    """Follow each block by an invertible batch normalisation. It normalises in the quick direction, from data to noise
    in a MAF, from noise to data in an IAF, and goes by running moments in the other one."""

    mixture_components: int = Field(default=0, ge=0)
    """Gaussians in the conditionals of one more block at the end of the quick direction, a MADE with mixtures; 0 for no
    such block."""

    inversion: Inversion = "auto"
    """How the slow direction is computed: `incremental`, each hidden unit of a MADE once; `jacobi`, all dimensions at
    once until they settle; `plain`, a pass per dimension; `auto` is `incremental` for MADEs on a CPU, else `jacobi`."""


def autoregressive_blocks(
    config: AutoregressiveFlowConfig, dimensions: int, classes: int, mixture: type[AutoregressiveMixture]
) -> Composition:
    """The blocks of a configuration, in their quick direction, with what makes a block of mixtures in it."""
    count = config.blocks + bool(config.mixture_components)
    turns = orders(dimensions, count, config.permutation, config.permutation_seed)
    parts: list[Bijection] = []
    for order in turns[: config.blocks]:
        parts.append(affine_made(order, config.hidden, classes, config.inversion))
        if config.batch_norm:
            parts.append(BatchNorm(dimensions))
    if config.mixture_components:
        K = config.mixture_components
        parts.append(mixture(turns[-1], config.hidden, K, classes, config.inversion))
    return Composition(parts)
