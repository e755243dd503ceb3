"""Flows all of whose parts go forward in time: their conditionals are Gaussian, however many parts there are.

A part in the quick direction is w_t = a_t(v_<t) v_t + b_t(v_<t), and so is one after another, given all that comes
before. With normal noise u

    y_t | u_<t ~ N(μ_t, σ_t²),      log σ_t = Σ_parts log a_t,      μ_t = y_t - σ_t u_t

Ping et al., "ClariNet", 2018 (arXiv:1807.07281), section 3.2.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from .affine_transform import AutoregressiveAffine
from .bases import StandardNormal
from .bijections import Bijection, Composition, Inverse
from .causal import Standardise
from .conditionals import Gaussians
from .flow import Flow
from .labels import one_hot


def has_gaussian_conditionals(family: nn.Module) -> bool:
    """Is this a flow that makes y_t of u_<t and u_t, affine in u_t?"""
    return (
        isinstance(family, Flow)
        and isinstance(family.base, StandardNormal)
        and all(_goes_forward(part) for part in generating_parts(family.bijection))
    )


def gaussian_conditionals(flow: Flow, u: Tensor, labels: Tensor | None) -> tuple[Tensor, Gaussians]:
    """y (N, D) made of standard normal noise u (N, D), and the conditionals that its numbers are drawn from."""
    context = one_hot(labels, flow.classes)
    y, log_std = u, torch.zeros_like(u)
    for part in generating_parts(flow.bijection):
        y, log_slope = _step(part, y, context)
        log_std = log_std + log_slope
    return y, Gaussians(y - torch.exp(log_std) * u, log_std)


def generating_parts(bijection: Bijection) -> list[Bijection]:
    """What the inverse of a bijection from y to u consists of, from u to y."""
    if isinstance(bijection, Composition):
        return [part for each in reversed(bijection.bijections) for part in generating_parts(each)]
    if isinstance(bijection, Inverse):
        return bijection.of.bijections if isinstance(bijection.of, Composition) else [bijection.of]
    return [Inverse(bijection)]


def _goes_forward(part: Bijection) -> bool:
    if isinstance(part, Inverse):
        return isinstance(part.of, Standardise)
    return isinstance(part, AutoregressiveAffine) and part.order == sorted(part.order)


def _step(part: Bijection, v: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
    """w (N, D) and log dw_t/dv_t (N, D)."""
    if isinstance(part, Inverse):
        assert isinstance(part.of, Standardise)
        w, _ = part(v)
        return w, part.of.log_std.expand_as(v)
    assert isinstance(part, AutoregressiveAffine)
    return part.transform(v, part.conditioner(v, context))
