"""An entry: a named experiment with all that its block in params.yaml says and inherits."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from models.catalogue import family_class
from models.contract import Density, Family, FamilyConfig, Reconstruction

from .schema import Dimension, Distill, Params, Train


@dataclass(frozen=True)
class Phase:
    """A part of a training with a configuration of its own, up to a share of all steps."""

    until: float
    config: FamilyConfig


@dataclass(frozen=True)
class Entry:
    """A named experiment with all that its block says and inherits: looked up once, and then handed on.

    `loop` are the settings that it is trained or distilled with, `space` what is searched, `teacher` the entry that it
    is distilled from. `found` are the values that its search found, which `config` then has. Where that was a search by
    a population, a training has phases with other values before: `earlier`.
    """

    name: str
    model: str
    config: FamilyConfig
    loop: Train | Distill
    space: Mapping[str, Dimension] = field(default_factory=dict)
    teacher: Entry | None = None
    found: Mapping[str, Any] = field(default_factory=dict)
    earlier: tuple[Phase, ...] = ()

    @property
    def stage(self) -> Literal["train", "distill"]:
        """The stage that makes it."""
        return "distill" if isinstance(self.loop, Distill) else "train"

    @property
    def family(self) -> type[Family]:
        """The class of its family."""
        return family_class(self.model)

    @property
    def judged_by_samples(self) -> bool:
        """Has its family neither likelihood nor codes, so that trainings are validated by samples, in features?"""
        return not issubclass(self.family, Density | Reconstruction)

    @property
    def seed(self) -> int:
        """The seed that it is trained or distilled with."""
        return self.loop.seed

    def with_values(self, found: Mapping[str, Any], earlier: Sequence[tuple[float, Mapping[str, Any]]] = ()) -> Entry:
        """The entry with these values in its configuration. Raises pydantic's ValidationError for one not allowed.

        `earlier` are those of the phases before, each with the share of the steps at which it ends.
        """
        phases = tuple(Phase(until, self._configured(values)) for until, values in earlier)
        return replace(self, config=self._configured(found), found=dict(found), earlier=phases)

    @property
    def phases(self) -> list[tuple[Entry, float]]:
        """Its earlier phases as entries, each with the share of the steps at which it ends."""
        return [(replace(self, config=each.config, earlier=()), each.until) for each in self.earlier]

    @property
    def before(self) -> Entry:
        """The entry up to the end of its last phase but one."""
        return replace(self, config=self.earlier[-1].config, earlier=self.earlier[:-1])

    def _configured(self, found: Mapping[str, Any]) -> FamilyConfig:
        return configured(self.model, {**vars(self.config), **found})


def configured(model: str, values: Mapping[str, Any]) -> FamilyConfig:
    """A configuration of a family. Raises pydantic's ValidationError for what is not allowed."""
    return family_class(model).Config(**values)


def entry_of(params: Params, name: str) -> Entry:
    """An entry of parameters that were found right."""
    block = params.entries[name]
    teacher = None if block.distill is None else entry_of(params, block.distill.teacher)
    return Entry(name, block.model, configured(block.model, block.config), params.loop_of(name), block.space, teacher)


def takes_integers(annotation: Any) -> bool:
    """Is a range of a parameter with this annotation one of integers? It may be null, too."""
    if get_origin(annotation) is Annotated:
        return takes_integers(get_args(annotation)[0])
    members = get_args(annotation) if isinstance(annotation, UnionType) or get_origin(annotation) is Union else ()
    return annotation is int or (float not in members and any(takes_integers(member) for member in members))
