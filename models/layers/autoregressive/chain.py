"""What the autoregressive families share: the chain rule, sampling one number after the other, and completion.

    p(x) = Π_i p(x_i | x_<i),   i in the order of the family

Scoring is one pass of the network for all i. Sampling takes a step for each number, in order: a `Stepper` says what the
distribution of the next number is. The plain one does so by a whole pass, a family's own computes only what the newest
number changes, and both give the same samples (up to the rounding of floats, which can move a draw that falls on the
very edge between two levels).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

import torch
from torch import Tensor

from ...contract import Batch, Completion, MaximumLikelihood
from ...noise import uniform_rows
from ..draws import categorical
from .outputs import Output

AT_ONCE = 2**26  # network outputs that scoring holds in memory

Scoring = Callable[[Tensor, Tensor | None], Tensor]  # of examples (N, *event) and their labels (N,)


class Stepper(ABC):
    """A batch of n samples under way: what is drawn so far, and what the network has computed of it."""

    @abstractmethod
    def outputs(self, place: int) -> Tensor:
        """Network outputs (n, P) for the number at `place` of the order, given all that was fed before."""

    @abstractmethod
    def feed(self, place: int, x: Tensor) -> None:
        """The numbers (n,) at `place`. Called once for each place, in order."""

    def compile(self) -> None:
        """Let `torch.compile` make the steps faster, where they are alike."""
        return None


class PlainStepper(Stepper):
    """A whole pass of the network for each number: slow, and right by construction."""

    def __init__(self, network: Callable[[Tensor], Tensor], x: Tensor, order: list[int]) -> None:
        """`network` maps examples to outputs (n, D, P); x (n, *event) is where it begins, whatever its numbers are."""
        self.network, self.x, self.order = network, x, order

    def outputs(self, place: int) -> Tensor:
        return self.network(self.x)[:, self.order[place]]

    def feed(self, place: int, x: Tensor) -> None:
        self.x.flatten(1)[:, self.order[place]] = x


class Autoregressive(MaximumLikelihood, Completion):
    """A product of conditionals, exact in one pass. A subclass says `output`, `order`, `network` and `stepper`."""

    approximation = (
        "each missing number is drawn given everything before it in the model's order, blind to known ones that come"
        " later"
    )
    parallel_sampling = False
    # Numbers whose features stay in a CPU's cache from layer to layer: to score more at once is up to 3 times as slow.
    cached_numbers: ClassVar[int | None] = 2**13
    compiled = False  # are the steps of sampling compiled?
    output: Output
    order: list[int]  # the positions of the numbers in a flat event, from the first to the last

    @abstractmethod
    def network(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """Outputs (N, D, P) for every number of x (N, *event) (see `to_network`), functions of earlier numbers only."""

    @abstractmethod
    def stepper(self, n: int, labels: Tensor | None) -> Stepper:
        """A stepper for n samples of the given labels that computes only what each new number changes."""

    @property
    def bound(self) -> str | None:
        return None

    @property
    def scoring_passes(self) -> int:
        return 1

    @property
    def sampling_passes(self) -> int:
        return self.event.dimensions

    def log_likelihood(self, batch: Batch) -> Tensor:
        if torch.is_grad_enabled():
            return self.score(batch.x, batch.labels)
        return self._in_parts(self.score, batch.x, batch.labels)

    def _in_parts(self, function: Scoring, x: Tensor, labels: Tensor | None) -> Tensor:
        """The function of examples and labels, computed on as many rows at once as is wise."""
        numbers = AT_ONCE // self.output.size
        if x.device.type == "cpu" and self.cached_numbers is not None:
            numbers = min(numbers, self.cached_numbers)
        rows = max(1, numbers // self.event.dimensions)
        parts = [slice(start, start + rows) for start in range(0, len(x), rows)]
        return torch.cat([function(x[part], None if labels is None else labels[part]) for part in parts])

    def score(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """log p(x) (N,) of examples x (N, *event)."""
        return self.log_conditionals(x, labels).sum(1)

    def log_conditionals(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """log p(x_i | x_<i) (N, D) of every number of examples x (N, *event), in the data's units."""
        y = self.to_network(x)
        return self.output.log_prob(self.network(y, labels), y.flatten(1))

    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        dtype = torch.float32 if self.event.levels is None else torch.uint8
        x = torch.zeros(n, *self.event.shape, dtype=dtype)
        return self.complete(x, torch.zeros(self.event.shape, dtype=torch.bool), labels, temperature, generator)

    def compile_sampling(self) -> None:
        self.compiled = True

    def completes_exactly(self, known: Tensor) -> bool:
        """Yes if what is known comes first: a number that is drawn sees nothing that comes later in the order."""
        flags = known.reshape(-1, self.event.dimensions).cpu()[:, self.order]
        return bool((flags[:, 1:] <= flags[:, :-1]).all())

    @torch.no_grad()
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """As the contract says. Unknown labels are drawn from p(y | the known numbers before the first unknown one)."""
        device = next(self.parameters()).device
        x, known = x.to(device), known.to(device).expand(len(x), *self.event.shape)
        x = torch.where(known, x, 0)  # whatever stands for what is missing
        numbers = self.event.dimensions * self.output.uniforms
        u, choices = uniform_rows(len(x), numbers + 2, generator).to(device).split([numbers, 2], 1)
        labels = None if labels is None else labels.to(device)
        drawn = self._draw(x, known, labels, u.unflatten(1, (-1, self.output.uniforms)), choices, temperature)
        return torch.where(known, x, drawn.to(x))

    def _likely_labels(
        self, x: Tensor, known: Tensor, u: Tensor, order: list[int], log_conditionals: Scoring
    ) -> Tensor:
        """Labels (N,) drawn by u (N,) from p(y | x_<j) ∝ p(y) Π_i<j p(x_i | x_<i, y), x_j being the first unknown."""
        given = torch.zeros_like(x.flatten(1), dtype=torch.bool)
        given[:, order] = known.flatten(1)[:, order].cumprod(1).bool()
        log_p = torch.zeros(len(x), self.classes, dtype=torch.float64, device=x.device)
        if given.any():
            for label in range(self.classes):
                labels = torch.full((len(x),), label, device=x.device)
                conditionals = self._in_parts(log_conditionals, x, labels)
                log_p[:, label] = torch.where(given, conditionals, 0.0).double().sum(1)
        return categorical(self.joint(log_p).softmax(1), u)

    def _draw(
        self, x: Tensor, known: Tensor, labels: Tensor | None, u: Tensor, choices: Tensor, temperature: float
    ) -> Tensor:
        """Examples (n, *event): unknown numbers drawn by u (n, D, `uniforms`), labels and more by choices (n, 2)."""
        if self.classes and labels is None:
            labels = self._likely_labels(x, known, choices[:, 0], self.order, self.log_conditionals)
        return self._walk(self.stepper(len(x), labels), self.order, x, known, u, temperature)

    def _walk(
        self, stepper: Stepper, order: list[int], x: Tensor, known: Tensor, u: Tensor, temperature: float
    ) -> Tensor:
        """Go through the order, keep what is known, draw what is not."""
        if self.compiled:
            stepper.compile()
        values, known = self.to_network(x).flatten(1).clone(), known.flatten(1)
        missing = (~known).any(0).tolist()
        last = max((place for place, position in enumerate(order) if missing[position]), default=-1)
        for place, position in enumerate(order[: last + 1]):
            if missing[position]:
                output = self.output.at(position)
                drawn = output.draw(stepper.outputs(place), u[:, position], temperature).to(values)
                values[:, position] = torch.where(known[:, position], values[:, position], drawn)
            stepper.feed(place, values[:, position])
        return self.from_network(values.unflatten(1, self.event.shape))

    def plain_stepper(self, n: int, labels: Tensor | None) -> Stepper:
        """The stepper that every other must equal."""
        x = torch.zeros(n, *self.event.shape, device=next(self.parameters()).device)
        return PlainStepper(lambda y: self.network(y, labels), x, self.order)

    def to_network(self, x: Tensor) -> Tensor:
        """Examples on the scale of `network` and `output`: integers as they are."""
        return x

    def from_network(self, x: Tensor) -> Tensor:
        """The inverse of `to_network`."""
        return x
