"""Autoregressive bijections, and three ways to invert them.

    w_i = τ(v_i; h_i),      h_i = the outputs of a network for dimension i, of v_<i

From v to w is one pass of the network. From w to v, h_i is known only when v_<i is:

- `plain` passes the network D times, one dimension more right after each: the definition, for reference.
- `incremental` computes each hidden unit once, when all that it sees is there: D small steps, which take the arithmetic
  of one pass.
- `jacobi` iterates v ← τ⁻¹(w; h(v)) for all dimensions at once. After k passes the first k dimensions are right, but
  far fewer than D suffice if they depend on each other weakly: Song et al., "Accelerating Feedforward Computation via
  Parallel Nonlinear Equation Solving", 2021 (arXiv:2002.03629).

On a CPU, where arithmetic is what takes time, `incremental` is the fastest by far (benchmarks/flows.py); an accelerator
waits for the number of steps, of which `jacobi` has fewer. `auto` chooses by that, and `jacobi` for networks other than
MADE, which are not evaluated unit by unit.

The solution is differentiable whatever found it, by the implicit function theorem: with L the Jacobian of one
iteration, which is strictly triangular in the order, dv = (I - L)⁻¹ ∂v, and backwards y = g + Lᵀy is solved like v.
"""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ..autoregressive.masked import IncrementalMLP, MaskedMLP
from ..precision import at_least_float32
from .bijections import Bijection

Inversion = Literal["auto", "incremental", "jacobi", "plain"]
TOLERANCE = 8  # of a solution, in units of the last digit of a number and 1


class AutoregressiveBijection(Bijection):
    """A bijection by a network whose outputs (N, D, P) for a dimension see just those before it in the `order` (D,)."""

    def __init__(self, network: nn.Module, order: Tensor, inversion: Inversion = "auto") -> None:
        super().__init__()
        self.network, self.order, self.inversion = network, order.tolist(), inversion

    @property
    def passes(self) -> int:
        return 1

    @property
    def inverse_passes(self) -> int:
        return len(self.order)

    @abstractmethod
    def transform(self, v: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """w = τ(v; h) and log dw/dv (N, …) of v (N, …) and outputs h (N, …, P)."""

    @abstractmethod
    def invert(self, w: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        """v = τ⁻¹(w; h) and log dw/dv (N, …) of w (N, …) and outputs h (N, …, P); need not be differentiable."""

    def conditioner(self, v: Tensor, context: Tensor | None) -> Tensor:
        """h (N, D, P) of v (N, D): one pass."""
        h: Tensor = self.network(v, context)
        return at_least_float32(h)

    def forward(self, v: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        w, log_slope = self.transform(v, self.conditioner(v, context))
        return w, log_slope.sum(1)

    def inverse(self, w: Tensor, context: Tensor | None = None) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            v, log_slope = self._solve(w, context)
        if torch.is_grad_enabled() and self._has_gradient(w, context):
            v = self._differentiable(v, w, context)
            _, log_slope = self.transform(v, self.conditioner(v, context))
        return v, -log_slope.sum(1)

    def _has_gradient(self, w: Tensor, context: Tensor | None) -> bool:
        """Is there anything that the solution could be differentiated with respect to?"""
        inputs = [w] if context is None else [w, context]
        return len(w) > 0 and any(each.requires_grad for each in (*inputs, *self.parameters()))

    def _solve(self, w: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """v and log dw/dv (N, D), by the method that was chosen."""
        method = self.inversion
        if method == "auto":
            method = "incremental" if isinstance(self.network, MaskedMLP) and w.device.type == "cpu" else "jacobi"
        if method == "plain":
            return self._plain(w, context)
        return self._incremental(w, context) if method == "incremental" else self._jacobi(w, context)

    def _plain(self, w: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        v, log_slope = torch.zeros_like(w), torch.zeros_like(w)
        for i in self.order:
            found, slope = self.invert(w, self.conditioner(v, context))
            v[:, i], log_slope[:, i] = found[:, i], slope[:, i]
        return v, log_slope

    def _incremental(self, w: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        assert isinstance(self.network, MaskedMLP)
        steps = IncrementalMLP(self.network, len(w), context)
        found, slopes = [], []
        for place, i in enumerate(self.order):
            v, log_slope = self.invert(w[:, i], at_least_float32(steps.outputs(place)))
            steps.feed(place, v[:, None])
            found.append(v)
            slopes.append(log_slope)
        places = torch.tensor(self.order, device=w.device).argsort()
        return torch.stack(found, 1)[:, places], torch.stack(slopes, 1)[:, places]

    def _jacobi(self, w: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        """Stops when the changes to come are within the tolerance.

        They are estimated as a geometric series, c·q / (1 - q), with c the last change and q the greatest of the last
        three quotients of changes: as long as changes grow it goes on, at most until every dimension is right.
        """
        v, tolerance = torch.zeros_like(w), TOLERANCE * torch.finfo(w.dtype).eps
        changes: list[float] = []
        for _ in self.order if len(w) else ():
            found, _ = self.invert(w, self.conditioner(v, context))
            found = torch.where(found.isfinite(), found, 0.0)  # what is wild so early would spoil the rest: 0 · ∞
            changes.append(float(((found - v).abs() / (1 + found.abs())).amax()))
            v = found
            if _within(changes, tolerance):
                break
        return self.invert(w, self.conditioner(v, context))

    def _differentiable(self, v: Tensor, w: Tensor, context: Tensor | None) -> Tensor:
        """The solution v (N, D) with its gradient with respect to w, the context and the weights."""
        guess = v.detach().requires_grad_()
        found, log_slope = self.transform(v, self.conditioner(guess, context))
        # One step of Newton's method for v_i: it stays where it is, and has the gradients of τ⁻¹.
        step = v - (found - w) * torch.exp(-log_slope).detach()

        def solved(g: Tensor) -> Tensor:
            y, tolerance = g, TOLERANCE * torch.finfo(g.dtype).eps
            changes: list[float] = []
            for _ in self.order:
                (through,) = torch.autograd.grad(step, guess, y, retain_graph=True)
                new = g + through
                changes.append(float((new - y).abs().amax() / new.abs().amax().clamp(min=1e-30)))
                y = new
                if _within(changes, tolerance):
                    break
            return y

        solution = step.clone()
        solution.register_hook(solved)
        return solution


def _within(changes: list[float], tolerance: float) -> bool:
    """Are the changes of an iteration that are still to come within a tolerance, going by the last ones?"""
    if changes[-1] == 0:
        return True
    recent = changes[-4:]
    if len(recent) < 4:
        return False
    q = max(after / before for before, after in pairwise(recent))
    return q < 1 and changes[-1] * q / (1 - q) <= tolerance
