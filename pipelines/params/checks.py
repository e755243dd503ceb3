"""What params.yaml must say beyond types and ranges: families that fit the data, teachers, searched parameters."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePath
from typing import Any

from pydantic import ValidationError

from models.catalogue import CATALOGUE, check, family_class, suitable
from models.contract import (
    Density,
    Event,
    Family,
    RealDensity,
    Reconstruction,
    Reparameterised,
    UnsuitableEvent,
    config_fields,
)
from models.distillation import Distillation

from ..errors import UserError
from ..files import text_digest
from .entry import configured, takes_integers
from .messages import FILE, lines, reason, suggestion
from .plan import SECTION, SUMMARY
from .reading import unknown_families, unknown_teachers
from .room import lack_of_room, room
from .schema import Block, Dimension, Distill, Params
from .source_section import Source

COVARIANCE = 2  # examples without which there is none
OUTPUTS = ("data/prepared", "artifacts", "report")  # the folders that the workflow writes


def problems(params: Params) -> list[str]:
    """Everything that is wrong, one line each; what families say is asked for once there are such families."""
    found = list(_families(params))
    if not found:
        found = [*_data(params), *_events(params), *_distillations(params), *_neighbours(params)]
    return found or list(_searches(params))


def _families(params: Params) -> Iterator[str]:
    """Families that the catalogue lacks, and configurations that their family refuses."""
    yield from unknown_families(params)
    for name, block in params.entries.items():
        if block.model not in CATALOGUE:
            continue
        try:
            configured(block.model, block.config)
        except ValidationError as error:
            yield from lines(error, family_class(block.model).Config, ("entries", name, "config"))


def _data(params: Params) -> Iterator[str]:
    """A test split that nobody gives, and data where the workflow writes."""
    if params.data.drawn_test is None and not params.data.own_test:
        yield f"{FILE}: data.test_count: is missing: no test split is named; give a count or a share such as 0.1"
    for path in params.data.read_paths:
        parts = PurePath(os.path.normpath(path)).parts
        for output in OUTPUTS:
            shared = min(len(parts), len(PurePath(output).parts))
            if parts[:shared] == PurePath(output).parts[:shared]:
                yield f"{FILE}: data.path: {path!r} is not allowed: the workflow writes {output}; keep data elsewhere"


# Entries and the data


def _events(params: Params) -> Iterator[str]:
    """Entries that cannot model what the source gives, as far as the parameters say what that is."""
    event = expected_event(params.data)
    if event is not None:
        yield from misfits(params, event, exact=params.data.example_shape is not None)


def misfits(params: Params, event: Event, exact: bool = True) -> Iterator[str]:
    """A line for each entry that cannot model an event: why not, and where it could be families that would.

    Families are built for it, without weights, so that their configurations are looked at, too, what memory they take,
    and students with their teachers; where only the kind of the event is known, and nothing `exact`, the family alone
    is asked.
    """
    gives, built = f"data.source {params.data.source} gives {event.kind}s", dict[str, Family]()
    here = room(params.cluster)
    for name, block in params.entries.items():
        where, config = f"{FILE}: entries.{name}", configured(block.model, block.config)
        for key in ("flip", "shift"):
            if getattr(params.loop_of(name), key) and block.distill is not None:
                yield f"{where}.distill.{key}: is not allowed: a student learns from its teacher, and not from images"
            elif getattr(params.loop_of(name), key) and event.kind != "image":
                yield f"{where}.train.{key}: is not allowed: it is for images, and {gives}"
        refusal = family_class(block.model).refusal(event)
        if refusal is not None:
            known = refusal if exact else refusal.replace(f" of shape {event.shape}", "")
            yield f"{where}.model: {known} ({gives}); families that would fit: {', '.join(suitable(event))}"
        elif config.conditional and not event.classes:
            source = f"data.source {params.data.source}"
            yield f"{where}.config: conditional: true needs labels, and {source} gives none here"
        elif exact:
            try:
                built[name] = check(block.model, config, event)
                if lack := lack_of_room(block.model, built[name], params.loop_of(name), here):
                    yield f"{where}.config: {lack} (examples have the shape {event.shape})"
                yield from _misfit_values(params, name, event, built[name], here)
            except UnsuitableEvent as error:
                yield f"{where}.config: {error} (examples have the shape {event.shape})"
    yield from _misfit_pairs(params, built)


def _misfit_values(params: Params, name: str, event: Event, built: Family, here: int | None) -> Iterator[str]:
    """A line for each searched value with which an entry could not model an event, or has no room in memory `here`.

    And for each parameter with which a member of a population could not take up the weights of another.
    """
    block, weights = params.entries[name], _shapes(built)
    for key, dimension in block.space.items():
        where = f"{FILE}: entries.{name}.search.{key}"
        for value in _tried(block, key, dimension):
            try:
                family = check(block.model, configured(block.model, {**block.config, key: value}), event)
            except ValidationError:
                continue  # not allowed in any event, as is said elsewhere, or with other searched values alone
            except UnsuitableEvent as error:
                yield f"{where}: {value!r} is not allowed: {error}"
                continue
            if lack := lack_of_room(block.model, family, params.loop_of(name), here):
                yield f"{where}: {value!r} is not allowed: it {lack}"
                continue
            if params.defaults.search.scheduler == "population" and _shapes(family) != weights:
                yield (
                    f"{where}: is not allowed with defaults.search.scheduler: population, whose members take up each"
                    f" other's weights: {value!r} gives them another shape; search it by asha"
                )
                break


def _shapes(family: Family) -> dict[str, tuple[int, ...]]:
    return {name: tuple(weights.shape) for name, weights in family.state_dict().items()}


def _misfit_pairs(params: Params, built: Mapping[str, Family]) -> Iterator[str]:
    """A line for each student that cannot learn from its teacher in the way that is asked for."""
    for name, family in built.items():
        settings = params.loop_of(name)
        if (
            isinstance(settings, Distill)
            and settings.teacher in built
            and not any(_pair(params, name, settings.teacher))
        ):
            try:
                teacher, loss = built[settings.teacher], settings.loss.model_dump()
                Distillation(family, teacher, warm_start_steps=settings.warm_start_steps, **loss)
            except UnsuitableEvent as error:
                yield f"{FILE}: entries.{name}.distill: {error}"


def expected_event(data: Source) -> Event | None:
    """An event as the source will give it, of an ordinary size where only files can tell; None if so for its kind."""
    if data.kind is None:
        return None
    shape = data.example_shape or {"image": (1, 32, 32), "sequence": (1, 1024), "vector": (8,)}[data.kind]
    classes = 0 if data.labelled is False else data.class_count or 2
    return Event(shape, data.level_count, classes, bool(data.ordered))


def section_digest(data: Source) -> str:
    """A digest of the section `data`, by which prepared data is known as made of it."""
    return text_digest(data.model_dump_json())


def complain_of_misfits(root: Path, params: Params) -> None:
    """Raise `UserError` for entries that cannot model the prepared data, if there is any that these parameters made."""
    try:
        known, made_of = (json.loads((root / path).read_text(encoding="utf-8")) for path in (SUMMARY, SECTION))
        if made_of != {"section": section_digest(params.data), "data": known["digest"]}:
            return
        # Of the columns of a table the summary says that they have types, and not which.
        typed = [{"levels": 2, "names": True}] * known["shape"][0] if known.get("kind") == "table" else None
        event = Event.of({key: known[key] for key in ("shape", "levels", "classes", "ordered")} | {"columns": typed})
    except (OSError, ValueError, KeyError, TypeError):  # not there yet, or not whole: `prepare` will write them
        return
    found = list(misfits(params, event))
    if found:
        raise UserError("\n".join(found))


def _neighbours(params: Params) -> Iterator[str]:
    """Too few examples for the nearest neighbours that are asked for, as far as the parameters tell."""
    data, evaluate = params.data, params.evaluate
    counted = isinstance(data.drawn_test, int) and not data.counts_recordings
    drawn = isinstance(data.val_count, int) and not data.counts_recordings
    val = data.val_count if drawn else COVARIANCE
    yield from too_few(params, val, data.drawn_test if counted else evaluate.references)


def too_few(params: Params, val: Any, test: Any) -> Iterator[str]:
    """Lines where `val` examples are too few to judge samples by, and `test` examples for the nearest neighbours."""
    evaluate = params.evaluate
    judged = [name for name, block in params.entries.items() if not _has_objective(block.model)]
    if judged and val < COVARIANCE:
        yield (
            f"{FILE}: data.val_count: {val} validation example is not enough: {', '.join(judged)}"
            f" {'is' if len(judged) == 1 else 'are'} judged by the FID of samples, which needs {COVARIANCE} or more"
        )
    least = min(evaluate.samples, evaluate.references, test)
    if least <= evaluate.neighbours:
        where = f"{FILE}: evaluate.neighbours: {evaluate.neighbours} is not allowed"
        yield f"{where}: must be less than evaluate.samples, evaluate.references and the test examples, {least}"


# Students and teachers


def _distillations(params: Params) -> Iterator[str]:
    """Teachers that do not exist or teach each other, and pairs that cannot work together."""
    yield from unknown_teachers(params)
    reported = set[str]()
    for student, block in params.entries.items():
        if block.distill is None or block.distill.teacher not in params.entries:
            continue
        where, teacher = f"{FILE}: entries.{student}.distill", block.distill.teacher
        if circle := _circle(params, student):
            if not reported & set(circle):
                yield f"{where}.teacher: {' → '.join(circle)} is a circle: one of them must be trained on the data"
            reported |= set(circle)
        else:
            yield from _pair(params, student, teacher)
        if params.loop_of(student).batch_size == "all":
            yield f"{where}.batch_size: 'all' is not allowed: there is no data; give a number"


def _circle(params: Params, student: str) -> list[str]:
    """The way from a student over teachers back to itself; empty if there is none."""
    way = [student]
    while (distill := params.entries[way[-1]].distill) is not None:
        if distill.teacher == student:
            return [*way, student]
        if distill.teacher in way or distill.teacher not in params.entries:
            break
        way.append(distill.teacher)
    return []


def _pair(params: Params, student: str, teacher: str) -> Iterator[str]:
    """A student and a teacher that cannot work together."""
    where, pupil, master = f"{FILE}: entries.{student}.distill", params.entries[student], params.entries[teacher]
    if not issubclass(family_class(pupil.model), Reparameterised):
        yield f"{where}: is not allowed: {pupil.model} cannot score its own samples; iaf can"
    if not issubclass(family_class(master.model), RealDensity):
        yield f"{where}.teacher: {teacher!r} is not allowed: {master.model} has no density to learn; maf has"
    of_pupil, of_master = (configured(block.model, block.config) for block in (pupil, master))
    if of_pupil.conditional != of_master.conditional:
        yield f"{where}: config.conditional of {student} and of its teacher {teacher} must be the same"


# Searches


def _searches(params: Params) -> Iterator[str]:
    """Searched parameters that do not exist or could take a value that is not allowed, and a start out of the space."""
    for name, block in params.entries.items():
        fields = config_fields(family_class(block.model).Config)
        for key, dimension in (block.search or {}).items():
            where = f"{FILE}: entries.{name}.search.{key}"
            if key not in fields:
                yield f"{where}: is no parameter of {block.model}{suggestion(key, fields)}"
            elif dimension is not None and key == "conditional" and _has_objective(block.model):
                yield (
                    f"{where}: is not allowed: a {block.model} that is told labels is judged by p(x|y), which is no"
                    " p(x): make two entries, which the report compares by their samples"
                )
            elif dimension is not None:
                yield from _values(params, name, key, dimension, where)


def _has_objective(model: str) -> bool:
    """Has this family a likelihood or codes, which judge it? Those of a conditional model are given the labels."""
    return issubclass(family_class(model), Density | Reconstruction)


def _values(params: Params, name: str, key: str, dimension: Dimension, where: str) -> Iterator[str]:
    block = params.entries[name]
    for value in _tried(block, key, dimension):
        try:
            configured(block.model, {**block.config, key: value})
        except ValidationError as error:
            problem = error.errors()[0]
            if problem["loc"] == (key,) or len(block.space) == 1:  # else another searched value may allow it
                yield f"{where}: {value!r} is not allowed: {reason(problem)}"
    if key in block.config and not dimension.holds(block.config[key]):
        first = f"{FILE}: entries.{name}.config.{key}: {block.config[key]!r} is not allowed"
        yield f"{first}: the first trial takes it, and it is not in entries.{name}.search.{key}; search: null fixes it"


def _tried(block: Block, key: str, dimension: Dimension) -> list[Any]:
    """The values by which a searched parameter is judged: its choices, or the ends of its range."""
    if dimension.choices:
        return list(dimension.choices)
    ends: list[Any] = [value for value in (dimension.low, dimension.high) if value is not None]
    field = config_fields(family_class(block.model).Config).get(key)
    if field is not None and takes_integers(field.annotation):  # kept as floats
        return [int(value) if value.is_integer() else value for value in ends]
    return ends
