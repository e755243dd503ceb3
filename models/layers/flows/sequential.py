"""What flows of autoregressive affine blocks make of noise: Gaussian numbers, given those before.

A part in the quick direction is w_t = a_t(v_<t) v_t + b_t(v_<t). Where all parts go forward in time, so is one after
another, given all that comes before. With normal noise u

    y_t | u_<t ~ N(μ_t, σ_t²),      log σ_t = Σ_parts log a_t,      μ_t = y_t - σ_t u_t

however many parts there are. Where orders differ the same holds of each block by itself. In the slow direction, that of
a MAF, a_t and b_t are functions of w_<t, which by the block are functions of v_<t: another block can learn them.

Ping et al., "ClariNet", 2018 (arXiv:1807.07281), section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..autoregressive.conditionals import Gaussians
from ..labels import one_hot
from .affine_transform import AutoregressiveAffine
from .bases import StandardNormal
from .bijections import BatchNorm, Bijection, Composition, Inverse, Standardise
from .flow import Flow


def has_gaussian_conditionals(family: nn.Module) -> bool:
    """Is this a flow that makes y_t of u_<t and u_t, affine in u_t?"""
    return (
        isinstance(family, Flow)
        and isinstance(family.base, StandardNormal)
        and all(_goes_forward(part) for part in generating_parts(family.bijection))
    )


def gaussian_conditionals(flow: Flow, u: Tensor, labels: Tensor | None) -> tuple[Tensor, Gaussians]:
    """y (N, D) made of standard normal noise u (N, D), and the conditionals that its numbers are drawn from."""
    return _conditionals(generating_parts(flow.bijection), u, one_hot(labels, flow.classes))


def generating_parts(bijection: Bijection) -> list[Bijection]:
    """What the inverse of a bijection from y to u consists of, from u to y."""
    if isinstance(bijection, Composition):
        return [part for each in reversed(bijection.bijections) for part in generating_parts(each)]
    if isinstance(bijection, Inverse):
        return bijection.of.bijections if isinstance(bijection.of, Composition) else [bijection.of]
    return [Inverse(bijection)]


def matching_blocks(student: nn.Module, teacher: nn.Module) -> list[tuple[Block, Block]]:
    """The blocks of two flows from noise to data, in pairs; none if these differ in their number or their orders."""
    own, theirs = _blocks(student), _blocks(teacher)
    if len(own) != len(theirs) or any(a.order != b.order for a, b in zip(own, theirs, strict=True)):
        return []
    return list(zip(own, theirs, strict=True))


@dataclass(frozen=True)
class Block:
    """Parts of a flow, from noise to data, of which the last one goes through the numbers in an `order`."""

    parts: list[Bijection]
    order: list[int]

    def conditionals(self, v: Tensor, context: Tensor | None) -> tuple[Tensor, Gaussians]:
        """w (N, D) of v (N, D), and N(μ_i, σ_i²) of w_i, given the numbers before, if v_i is standard normal."""
        return _conditionals(self.parts, v, context)


def _blocks(flow: nn.Module) -> list[Block]:
    """The blocks of a flow; none if it has parts of other kinds."""
    if not (isinstance(flow, Flow) and isinstance(flow.base, StandardNormal)):
        return []
    blocks, parts = list[Block](), list[Bijection]()
    for part in generating_parts(flow.bijection):
        parts.append(part)
        core = part.of if isinstance(part, Inverse) else part
        if isinstance(core, AutoregressiveAffine):
            blocks.append(Block(parts, core.order))
            parts = []
        elif not (isinstance(part, Inverse) and isinstance(core, BatchNorm)):
            return []
    return [] if parts else blocks


def _conditionals(parts: list[Bijection], v: Tensor, context: Tensor | None) -> tuple[Tensor, Gaussians]:
    w, log_std = v, torch.zeros_like(v)
    for part in parts:
        w, log_slope = _step(part, w, context)
        log_std = log_std + log_slope
    return w, Gaussians(w - torch.exp(log_std) * v, log_std)


def _goes_forward(part: Bijection) -> bool:
    if isinstance(part, Inverse):
        return isinstance(part.of, Standardise)
    return isinstance(part, AutoregressiveAffine) and part.order == sorted(part.order)


def _step(part: Bijection, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """w (N, D) and log dw_t/dv_t (N, D)."""
    if isinstance(part, AutoregressiveAffine):
        return part.transform(v, part.conditioner(v, context))
    assert isinstance(part, Inverse)
    w, _ = part(v, context)
    if isinstance(part.of, AutoregressiveAffine):
        return w, -part.of.transform(w, part.of.conditioner(w, context))[1]
    assert isinstance(part.of, BatchNorm | Standardise)
    return w, part.of.inverse_log_slope(w)
