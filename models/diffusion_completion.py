"""Completions of examples of which something is known: of several walks from noise, the one that explains it.

Steps do not look ahead: a walk puts what is known in place, with as much noise as the rest still has, and may have gone
too far when that noise is gone. What its steps cost at what is known, by the equations of the bound, is
-log p(known | walk, y) or more, on average. So of K walks of each class y, walk k is drawn with probability

    p(k, y | known) ∝ p(y) exp(-cost_{k,y})

which is sampling by importance, as in Trippe et al., "Diffusion probabilistic modeling of protein backbones in 3D for
the motif-scaffolding problem", 2023 (arXiv:2206.04119), without their resampling on the way.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from .diffusion_sampler import Sampler
from .diffusion_streams import further_seeds, seeds_of
from .layers.draws import categorical
from .layers.labels import one_hot


def completed(
    sampler: Sampler,
    x_0: Tensor,
    known: Tensor,
    labels: Tensor | None,
    u: Tensor,
    temperature: float,
    walks: int,
    classes: int,
    joint: Callable[[Tensor], Tensor],
) -> Tensor:
    """x_0 (n, *shape), what is not known drawn by uniform numbers u (n, 2), and labels too if there are none.

    `joint` adds log p(y) to log p(known | walk, y) (n, walks, classes).
    """
    seeds, draws_labels = further_seeds(seeds_of(u[:, 1]), walks), labels is None and classes > 0
    n, C = len(x_0), classes if draws_labels else 1
    if walks * C == 1:
        return sampler.walk(seeds[:, 0], one_hot(labels, classes), temperature, x_0, known)[0]
    x_0, known = (each.repeat_interleave(walks * C, 0) for each in (x_0, known))
    if draws_labels:
        labels = torch.arange(C, device=x_0.device).repeat(n * walks)
    elif labels is not None:
        labels = labels.repeat_interleave(walks)
    context = one_hot(labels, classes)
    walked, total = sampler.walk(seeds.flatten().repeat_interleave(C), context, temperature, x_0, known)
    likely = -total.view(n, walks, C)
    likely = joint(likely) if draws_labels else likely
    chosen = categorical(likely.flatten(1).softmax(1), u[:, 0])
    return walked.unflatten(0, (n, walks * C))[torch.arange(n, device=chosen.device), chosen]
