"""Masked autoencoder: an MLP that predicts every number from those before it, all in one pass.

Masks on the weights cut every path from a number to itself and to those before it in the order, which makes the outputs
a product of conditionals. Different orders, and different masks for one order, share the weights: an ensemble of models
for the price of one, which is scored, and sampled, as the mixture that it is.

    p(x) = 1/M Σ_m Π_i p(x_i | x_<i; masks m),     -log p(x) ≤ -1/M Σ_m log p_m(x), the training loss

Shapes: x (N, *event); network outputs (N, D, P), P numbers for the distribution of each x_i. With M members `log_prob`
takes M passes; `sample` draws a member, and goes through its order in D steps that together cost one pass.

When to use it: for exact likelihoods at little cost, above all of tables: it has a probability for each name and each
gap, and draws rows under conditions. Of images a `pixelcnn` makes better samples, since it knows which pixels are
neighbours.

Germain, Gregor, Murray & Larochelle, "MADE: Masked Autoencoder for Distribution Estimation", 2015 (arXiv:1502.03509).
Mixtures of Gaussians as conditionals (MADE MoG): Papamakarios et al., 2017 (arXiv:1705.07057).
"""

from __future__ import annotations

import math
from functools import partial
from typing import Literal, Self

import torch
from pydantic import Field, model_validator
from pydantic.dataclasses import dataclass as validated
from torch import Tensor

from .contract import STRICT, Batch, Event, FamilyConfig, Share, Width
from .layers.autoregressive.chain import Autoregressive, PlainStepper, Stepper
from .layers.autoregressive.masked import IncrementalMLP, MaskedMLP, orders
from .layers.autoregressive.outputs import OutputName, output_for
from .layers.autoregressive.raster import raster_order
from .layers.draws import categorical
from .layers.inputs import input_channels, network_input, number_input, standardiser
from .layers.labels import one_hot
from .layers.tables.column_outputs import TableOutput
from .layers.tables.table_numbers import TableNumbers


@validated(frozen=True, config=STRICT)
class MADEConfig(FamilyConfig):
    """Configuration of MADE."""

    hidden: tuple[Width, ...] = Field(default=(512, 512), min_length=1, strict=False)
    """Widths of the hidden layers."""

    orders: int = Field(default=1, ge=1)
    """Orders of the numbers in the ensemble; the first is the natural one, of images pixel by pixel."""

    permutation: Literal["reverse", "random"] = "random"
    """The other orders: alternately backward and forward, or random ones."""

    connectivities: int = Field(default=0, ge=0)
    """Random masks for each order; 0 has a single regular one, by which each layer has all degrees equally often."""

    mask_seed: int = Field(default=0, ge=0)
    """Seed of random orders and masks; part of the model, since weights fit these only."""

    output: OutputName = "softmax"
    """p(x_i | x_<i): a probability for each level or a mixture of logistics (integer events), or a mixture of Gaussians
    (vectors). The columns of a table have that of their types: of names a probability each, of numbers a mixture, in
    which integers that recur far more often than others have a weight of their own."""

    components: int = Field(default=10, ge=1)
    """Components of a mixture."""

    dropout: Share = 0.0
    """The share of hidden units that is dropped in training, of a single member; for small data."""

    @model_validator(mode="after")
    def _drops_alone(self) -> Self:
        if self.dropout and self.orders * max(1, self.connectivities) > 1:
            raise ValueError("dropout is for a single member: set orders to 1, and connectivities to 0 or 1")
        return self


class MADE(Autoregressive):
    """A masked MLP, or an ensemble of them in one."""

    Config = MADEConfig
    config: MADEConfig
    cached_numbers = None  # its weights are what takes long to fetch, so as many rows as possible should share them

    def __init__(self, config: MADEConfig, event: Event) -> None:
        super().__init__(config, event)
        table = event.kind == "table"
        self.output = (
            TableOutput(event, config.components) if table else output_for(event, config.output, config.components)
        )
        self.units = None if table else standardiser(event)
        self.table = TableNumbers(event, even=True, atoms=True) if table else None
        order = raster_order(event) if event.kind == "image" else range(event.dimensions)
        natural = torch.tensor(order, device="cpu")
        permutations = orders(event.dimensions, config.orders, config.permutation, config.mask_seed)
        different = [natural[permutation] for permutation in permutations]
        self.made = MaskedMLP(
            different,
            config.hidden,
            outputs=self.output.size,
            context=self.classes,
            inputs=self._inputs_each(),
            connectivities=config.connectivities,
            seed=config.mask_seed,
            dropout=config.dropout,
        )
        with torch.no_grad():
            self.made.output_bias.copy_(self.output.starts(event.dimensions))
        self.order_of = [order.tolist() for order in different for _ in range(max(1, config.connectivities))]
        self.order = self.order_of[0]

    def _inputs_each(self) -> int:
        """How many inputs the network has for each number."""
        if self.table is not None:
            return self.table.total // self.event.dimensions
        return input_channels(self.event) // self.event.shape[0] if self.event.levels is not None else 1

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        """It has an output for every event."""
        return None

    @property
    def scoring_passes(self) -> int:
        return self.made.members

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        if self.units is not None:
            self.units.initialise(x)

    def _loss(self, batch: Batch) -> Tensor:
        """-1/M Σ_m log p_m(x) per dimension, or its estimate by one member for each row."""
        if self.made.members == 1:
            return super()._loss(batch)
        member = batch.noise.integers(self.made.members).to(batch.x.device)
        total = batch.x.new_zeros((), dtype=torch.float32)
        for m in member.unique().tolist():
            rows = (member == m).nonzero()[:, 0]
            labels = None if batch.labels is None else batch.labels[rows]
            total = total - self._log_conditionals(batch.x[rows], labels, m).sum()
        return total / (len(batch.x) * self.event.dimensions)

    def score(self, x: Tensor, labels: Tensor | None) -> Tensor:
        members = range(self.made.members)
        scores = [self._log_conditionals(x, labels, m).sum(1) for m in members]
        return torch.stack(scores).logsumexp(0) - math.log(len(members))

    def log_conditionals(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """log p(x_i | x_<i) (N, D) by the first member."""
        return self._log_conditionals(x, labels, member=0)

    def _log_conditionals(self, x: Tensor, labels: Tensor | None, member: int) -> Tensor:
        y = self.to_network(x)
        log_p = self.output.log_prob(self.network(y, labels, member), y.flatten(1))
        return log_p if self.units is None else log_p - self.units.std.log()

    def network(self, x: Tensor, labels: Tensor | None, member: int = 0) -> Tensor:
        """Outputs (N, D, P) of a member."""
        if self.table is not None:
            inputs = self.table.numbers(x)
        else:
            y = x if self.units is not None else network_input(x, self.event, None)
            inputs = y.unflatten(1, (-1, self.made.inputs)).movedim(2, -1).flatten(1)  # dimension by dimension
        return self.made(inputs, one_hot(labels, self.classes), member)

    def inputs_of(self, x: Tensor, position: int) -> Tensor:
        """What the network sees (N, inputs) of the numbers (N,) at a position of a flat event."""
        return number_input(x, self.event) if self.table is None else self.table.block(x, position)

    def stepper(self, n: int, labels: Tensor | None, member: int = 0) -> Stepper:
        return _Stepper(self, n, labels, member)

    def plain_stepper(self, n: int, labels: Tensor | None, member: int = 0) -> Stepper:
        x = torch.zeros(n, *self.event.shape, device=next(self.parameters()).device)
        return PlainStepper(lambda y: self.network(y, labels, member), x, self.order_of[member])

    def completes_exactly(self, known: Tensor) -> bool:
        """Yes if what is known comes first. An ensemble lets a member complete: exact only if nothing is known."""
        return not known.any() or (self.made.members == 1 and super().completes_exactly(known))

    def _draw(
        self, x: Tensor, known: Tensor, labels: Tensor | None, u: Tensor, choices: Tensor, temperature: float
    ) -> Tensor:
        """Each example by a member of the ensemble, of those whose order begins with what is known if there are any."""
        fitting = torch.stack([self._serves(order, known) for order in self.order_of], 1)
        weights = torch.where(fitting.any(1, keepdim=True), fitting, True).double()
        member = categorical(weights / weights.sum(1, keepdim=True), choices[:, 1])
        drawn = torch.empty_like(x)
        for m in member.unique().tolist():
            rows, order = (member == m).nonzero()[:, 0], self.order_of[m]
            chosen = None if labels is None else labels[rows]
            if self.classes and chosen is None:
                conditionals = partial(self._log_conditionals, member=m)
                chosen = self._likely_labels(x[rows], known[rows], choices[rows, 0], order, conditionals)
            drawn[rows] = self._walk(
                self.stepper(len(rows), chosen, m), order, x[rows], known[rows], u[rows], temperature
            )
        return drawn

    def _serves(self, order: list[int], known: Tensor) -> Tensor:
        """Is all that is known of each example (N, *event) before what is not, in an order? (N,)"""
        flags = known.flatten(1)[:, order]
        return (flags[:, 1:] <= flags[:, :-1]).all(1)

    def to_network(self, x: Tensor) -> Tensor:
        return x if self.units is None else self.units(x)[0]

    def from_network(self, x: Tensor) -> Tensor:
        return x if self.units is None else self.units.quantise(x)


class _Stepper(Stepper):
    """Each hidden unit once."""

    def __init__(self, family: MADE, n: int, labels: Tensor | None, member: int) -> None:
        self.family, self.order = family, family.order_of[member]
        self.made = IncrementalMLP(family.made, n, one_hot(labels, family.classes), member)

    def outputs(self, place: int) -> Tensor:
        return self.made.outputs(place)

    def feed(self, place: int, x: Tensor) -> None:
        self.made.feed(place, self.family.inputs_of(x, self.order[place]))
