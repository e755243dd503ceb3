"""What every family promises: its event, its players, its samples, and what else it can do.

A family is a `torch.nn.Module`. Everything outside this package knows families only through the classes
of this file: the training loop asks for `players`, the report and the served model ask for capabilities
(`Density`, `Latent`, `Reconstruction`, `Invertible`, `Completion`, `Features`), and never for a family's name.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as validated
from pydantic.fields import FieldInfo
from torch import Tensor, nn

from .columns import Column
from .dropout import dropping
from .noise import Noise

# How every configuration is validated: unknown keys and NaN are errors, the line below a field is its documentation.
STRICT = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True, allow_inf_nan=False)

Width = Annotated[int, Field(ge=1)]  # of a hidden layer
Share = Annotated[float, Field(ge=0, lt=1)]
Kind = Literal["image", "sequence", "vector", "table"]


def config_fields(config: Any) -> dict[str, FieldInfo]:
    """The fields of a family's configuration class, by name."""
    fields: dict[str, FieldInfo] = config.__pydantic_fields__
    return fields


@dataclass(frozen=True)
class Event:
    """What one example is, in the data's own units.

    An image is `(C, H, W)` integers `0 … levels-1`, a sequence `(1, T)` integers, a vector `(D,)` floats
    (`levels` is None). `classes` counts the labels; 0 says that the data has none. Where the levels are not `ordered`
    they are names, such as the colours of a palette: no level lies between two others. `shares` are those of the
    classes among the training examples; None says that all are alike. `columns` say what is known of each number of a
    vector; None leaves it to the examples that `initialise` is shown. A vector with typed columns is a row of a table:
    (D,) floats, integers among them, NaN for gaps.
    """

    shape: tuple[int, ...]
    levels: int | None
    classes: int = 0
    ordered: bool = True
    shares: tuple[float, ...] | None = None
    columns: tuple[Column, ...] | None = None

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Event:
        """The event that a config.json describes."""
        shares, columns = fields.get("shares"), fields.get("columns")
        return cls(
            **{
                **fields,
                "shape": tuple(fields["shape"]),
                "shares": None if shares is None else tuple(shares),
                "columns": None if columns is None else tuple(Column.of(column) for column in columns),
            }
        )

    @property
    def dimensions(self) -> int:
        """D, the count of numbers in one example."""
        return math.prod(self.shape)

    @property
    def kind(self) -> Kind:
        """The shape that an example has, and whether the numbers of a vector have types."""
        if any(column.typed for column in self.columns or ()):
            return "table"
        kinds: dict[int, Kind] = {3: "image", 2: "sequence", 1: "vector"}
        return kinds[len(self.shape)]

    @property
    def in_words(self) -> str:
        """Its kind and its shape, for messages: an image of shape (1, 28, 28)."""
        if self.kind == "table":
            return f"a table of {self.dimensions} typed columns"
        return f"{'an' if self.kind == 'image' else 'a'} {self.kind} of shape {self.shape}"


class UnsuitableEvent(ValueError):
    """A family was asked to model an event that it cannot model; the message says which it can."""


@dataclass(frozen=True)
class Batch:
    """Examples `x` (N, *event), their `labels` (N,) if the data has any, and the randomness for these rows.

    `step` counts the optimiser steps before this one, for losses that change in the course of a training. It is a
    scalar tensor, so that a compiled loss is not compiled anew for each step.
    """

    x: Tensor
    labels: Tensor | None
    noise: Noise
    step: Tensor = field(default_factory=partial(torch.zeros, (), dtype=torch.long))


@dataclass(frozen=True)
class Player:
    """One party of the training game: whose parameters move, to lower which loss, and how often.

    `loss` maps a batch to the mean loss over its rows, a scalar. `every` is the number of steps between two
    moves. A player with a `closed_form` is moved by calling it with the batch (an EM update, for instance)
    in place of a gradient step; its loss is then only reported. `project` is called after each gradient step, to bring
    the weights back to where they are allowed to be. Weights of a player that moves only `partly` may be out of use in
    some steps, and then get no gradient.
    """

    name: str
    module: nn.Module
    loss: Callable[[Batch], Tensor]
    learning_rate: float
    every: int = 1
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    closed_form: Callable[[Batch], None] | None = None
    project: Callable[[], None] | None = None
    partly: bool = False


@validated(frozen=True, config=STRICT)
class FamilyConfig:
    """What the configuration of every family has in common."""

    conditional: bool = False
    """Model p(x | label) in place of p(x); the data must have labels."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """Adam's step size, before the schedule of the training loop."""

    weight_decay: float = Field(default=0.0, ge=0)
    """Decoupled weight decay (AdamW) of matrices and kernels, per unit of learning rate; biases, norms and scales have
    none."""


class Trainable(nn.Module, ABC):
    """Whatever the training loop can train: something with players."""

    @abstractmethod
    def players(self) -> list[Player]:
        """Who is optimised, in the order of their moves."""

    def initialise(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> None:
        """Data-dependent initialisation, called once before the first step with examples of the training split."""
        return None

    def working_state(self) -> dict[str, Tensor]:
        """What training goes on with beside the weights, such as running sums: kept in checkpoints, not exported.

        The tensors are the module's own, so that to write to them restores it.
        """
        return {}

    def diagnostics(self, batch: Batch) -> dict[str, float]:
        """Numbers about the state of training worth a curve of their own, measured on validation examples."""
        return {}

    def concerns(self, measured: Mapping[str, float]) -> list[str]:
        """What is wrong with the model, by its latest `diagnostics`: a sentence each, for people."""
        return []


class Family(Trainable):
    """A deep generative model: it learns a distribution over events, and samples from it."""

    Config: ClassVar[type[FamilyConfig]]
    parallel_sampling: ClassVar[bool]  # are the sequential network passes for one sample independent of D?
    typed_columns: ClassVar[bool] = False  # can it model the rows of a table?

    def __init__(self, config: Any, event: Event) -> None:
        super().__init__()
        self.config = config
        self.event = event
        reason = self.refusal(event)
        if reason is not None:
            raise UnsuitableEvent(reason)
        if event.levels == 1:
            raise UnsuitableEvent(
                "this data has a single level: all its examples are equal, and there is nothing to model"
            )
        if config.conditional and not event.classes:
            raise UnsuitableEvent("conditional: true needs labels, and this data has none")

    @classmethod
    def refusal(cls, event: Event) -> str | None:
        """Why no configuration of this family can model such an event; None if one can.

        By default families model numbers. Levels that are names have no distances, and nothing lies between them.
        """
        name = cls.__module__.rpartition(".")[2]  # as in the catalogue
        if event.kind == "table" and not cls.typed_columns:
            return f"{name} does not model {event.in_words}; made, maf and gmm can, among others"
        if event.ordered:
            return None
        return f"{name} models numbers, and these levels are names, like the colours of a palette; a vae can model them"

    @property
    def working_bytes(self) -> int:
        """What a step of training holds beside the weights, their gradients and an optimiser's moments, in bytes.

        It is asked on the meta device, to tell before anything is trained whether it fits into memory: so it is what
        grows with the model. What grows with the batch is not in it.
        """
        return 0

    def lighter(self, share: float) -> list[dict[str, Any]]:
        """Options of the configuration each of which alone may bring its memory down to this share of what it is."""
        return []

    @property
    def classes(self) -> int:
        """How many labels the model conditions on; 0 for an unconditional model."""
        return self.event.classes if self.config.conditional else 0

    @property
    def label_shares(self) -> tuple[float, ...]:
        """p(y) of each label y of a conditional model: its share of the training examples; () if unconditional."""
        return (self.event.shares or (1 / self.classes,) * self.classes) if self.classes else ()

    @abstractmethod
    def sample(
        self,
        n: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Draw `n` examples (n, *event) in the data's units: uint8 for integer events, float32 for vectors.

        `labels` (n,) chooses the classes of a conditional model, drawn by `label_shares` if left out. `temperature` T
        scales the standard deviation of the base noise; a distribution P of levels becomes P^(1/T), normalised; of a
        mixture of Gaussians only the Gaussians get narrower. All randomness of one example is one row of a single draw
        from the CPU `generator`, so the same seed gives the same samples however a batch is split.
        """

    def compile_sampling(self) -> None:
        """Let `torch.compile` make the steps of later calls of `sample` faster, where sampling goes in steps.

        The first such call takes a minute longer. It pays on a GPU, which would wait for Python between small steps.
        """
        return None

    @property
    @abstractmethod
    def sampling_passes(self) -> int:
        """Sequential network passes that one call of `sample` needs."""


class Density(ABC):
    """A family that can say how likely an example is.

    Where it is `unbiased`, the mean of exp `log_likelihood` over its noise is p(x), as for dequantised integers: the
    logarithm of the mean of several draws is then a tighter bound (Burda et al., 2016, arXiv:1509.00519).
    """

    unbiased: ClassVar[bool] = False

    @property
    @abstractmethod
    def bound(self) -> str | None:
        """None if `log_prob` is exact, else how it falls short: the name of the lower bound."""

    @property
    @abstractmethod
    def scoring_passes(self) -> int:
        """Sequential network passes that one call of `log_prob` needs."""

    @abstractmethod
    def log_likelihood(self, batch: Batch) -> Tensor:
        """log p(x) or its lower bound (N,) in nats, with the batch's own randomness."""

    @property
    @abstractmethod
    def classes(self) -> int:
        """How many labels the model conditions on; 0 for an unconditional model."""

    @property
    @abstractmethod
    def label_shares(self) -> tuple[float, ...]:
        """p(y) of each label y of a conditional model."""

    def log_prob(
        self, x: Tensor, labels: Tensor | None = None, generator: torch.Generator | None = None, draws: int = 1
    ) -> Tensor:
        """log p(x | labels) or its lower bound (N,) in nats of the data's own units; see `draws_of`.

        Without labels a conditional model gives log p(x) = log Σ_y p(y) p(x | y), by the shares with which `sample`
        draws labels. Bounds draw noise; without a `generator` the draw is a fixed one, which makes scoring a function.
        """
        if self.classes and labels is None:
            return self.joint(self.log_prob_by_class(x, generator, draws)).logsumexp(1)
        noise, draws = (
            Noise(generator or torch.Generator().manual_seed(0), len(x), device=x.device),
            self.draws_of(draws),
        )
        total = self.log_likelihood(Batch(x, labels, noise))
        for _ in range(draws - 1):
            total = torch.logaddexp(total, self.log_likelihood(Batch(x, labels, noise)))
        return total - math.log(draws)

    def draws_of(self, draws: int) -> int:
        """Of so many draws of noise those that `log_prob` averages over: one where that would not tighten a bound."""
        return draws if self.unbiased and self.bound is not None else 1

    def log_prob_by_class(self, x: Tensor, generator: torch.Generator | None = None, draws: int = 1) -> Tensor:
        """log p(x | y) (N, C) for every class y of a conditional model, with the same noise for each."""
        seed = 0 if generator is None else int(torch.randint(2**31, (), generator=generator))
        columns = []
        for label in range(self.classes):
            labels = torch.full((len(x),), label, device=x.device)
            columns.append(self.log_prob(x, labels, torch.Generator().manual_seed(seed), draws))
        return torch.stack(columns, 1)

    def joint(self, by_class: Tensor) -> Tensor:
        """log p(x, y) (N, C) of log p(x | y): by Bayes' rule the label with the largest is the most likely one."""
        return by_class + torch.tensor(self.label_shares).log().to(by_class)


class MaximumLikelihood(Family, Density):
    """A density with a single player, which lowers -log p(x) (or what bounds it) in nats per dimension."""

    def players(self) -> list[Player]:
        """One player: maximum likelihood."""
        config = self.config
        return [Player("model", self, self._loss, config.learning_rate, weight_decay=config.weight_decay)]

    def _loss(self, batch: Batch) -> Tensor:
        with dropping(self, batch.noise):
            return -self.log_likelihood(batch).mean() / self.event.dimensions


class RealDensity(Density):
    """A density of real units y (N, D), to which it maps the data by its bijection `units`.

    One that is so in some configurations alone says whether it `teaches`: a student can learn from it only then.
    """

    units: nn.Module
    needs_to_teach: ClassVar[str] = ""  # which configurations make it a teacher, as a message

    @property
    def teaches(self) -> bool:
        """Does its configuration make it a density of real numbers, which a student can learn from?"""
        return True

    @abstractmethod
    def log_density(self, y: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(y | labels) (N,) in nats of the real units, differentiable in y."""


class Reparameterised(RealDensity):
    """A density that makes samples of noise and knows their density at once, both differentiable."""

    @abstractmethod
    def sample_density(self, u: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """y (N, D) made of standard normal noise u (N, D), and log p(y | labels) (N,)."""


class Latent(ABC):
    """A family with codes: interpolation and traversal work on it."""

    @abstractmethod
    def encode(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The codes (N, L) of examples (N, *event)."""

    def draw_codes(self, x: Tensor, labels: Tensor | None, noise: Noise) -> Tensor:
        """Codes (N, L) as the model itself sees them: drawn from q(z|x), or of dequantised integers.

        Over all examples it is these that are distributed as the prior is, and not the means of `encode`.
        """
        return self.encode(x, labels)

    @abstractmethod
    def decode(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """The expected examples (N, *event), as floats in the data's units, of codes (N, L)."""


class Reconstruction(Latent):
    """A family with codes but without a likelihood: it is validated by what its codes lose."""

    @abstractmethod
    def reconstruction_error(self, batch: Batch) -> Tensor:
        """What the decoder gets wrong (N,), as the training loss measures it; lower is better."""


class Invertible(Latent):
    """A family whose `decode` inverts its `encode` (up to the dequantisation of integer events)."""


class Completion(ABC):
    """A family that can draw what is missing of an example."""

    approximation: ClassVar[str]  # how a missing number is drawn where completions are not exact, as a clause

    @abstractmethod
    def complete(
        self,
        x: Tensor,
        known: Tensor,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Examples (N, *event) that are x (N, *event) to the bit where `known` is true, and are drawn elsewhere.

        `known` are bools (N, *event), or (*event) for all examples alike. A conditional model that is not given
        labels (N,) draws them too, from what is known. Temperature and randomness are those of `Family.sample`, which
        gives the same examples by the same generator as completing examples of which nothing is known.
        """

    @abstractmethod
    def completes_exactly(self, known: Tensor) -> bool:
        """Are completions of these masks drawn from p(missing | known), or only nearly so?"""


class Features(ABC):
    """Something that maps examples to vectors on which a classifier or a distance can stand."""

    @abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Feature vectors (N, F) of examples (N, *event)."""
