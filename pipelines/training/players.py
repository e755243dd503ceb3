"""How a player moves: its loss as a module, its optimiser, the pace of its learning rate."""

from __future__ import annotations

import math

from torch import Tensor, nn
from torch.optim import AdamW

from models.contract import Batch, Player

from ..params.schema import Loop


class PlayerLoss(nn.Module):
    """A player's loss as a module of the player's own weights: the form that DDP and torch.compile want."""

    def __init__(self, player: Player) -> None:
        super().__init__()
        self.player_module = player.module
        self.loss = player.loss
        self.gradient = player.closed_form is None
        self.partly = player.partly

    def forward(self, batch: Batch) -> Tensor:
        return self.loss(batch)


def make_optimiser(player: Player) -> AdamW:
    """AdamW on a player's parameters, in one fused kernel: on a CPU it takes a third of the time.

    Matrices and kernels decay. Biases, norms and scales do not: they have no reason to be small. A layer may keep a
    matrix as a vector, and then names it among its `matrices`.
    """
    weights, others = list[Tensor](), list[Tensor]()
    for layer in player.module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            decays = parameter.dim() > 1 or name in getattr(layer, "matrices", ())
            (weights if decays else others).append(parameter)
    groups = [{"params": weights, "weight_decay": player.weight_decay}, {"params": others, "weight_decay": 0.0}]
    return AdamW(groups, lr=player.learning_rate, betas=player.betas, fused=True)


def pace(loop: Loop, step: int) -> float:
    """The factor on the learning rate at a step: linear warm-up, then the schedule."""
    if step < loop.warmup_steps:
        return (step + 1) / loop.warmup_steps
    done = min(1.0, (step - loop.warmup_steps) / max(1, loop.steps - loop.warmup_steps))
    return {"constant": 1.0, "linear": 1 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[loop.schedule]
