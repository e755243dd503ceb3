"""What params.yaml must say beyond types and ranges: families that exist, and names and files that fit each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from models.catalogue import CATALOGUE, family_class, suitable
from models.contract import Event, RealDensity, Reparameterised, config_fields

from .data_section import Source
from .messages import FILE, lines, reason, suggestion
from .schema import PREPARED, Params, searched, takes_integers


def problems(params: Params) -> list[str]:
    """Everything that is wrong, one line each; references are looked at once the families are right."""
    return list(_families(params)) or [*_events(params), *_references(params)] or list(_spaces(params))


def _families(params: Params) -> Iterator[str]:
    """Families that the catalogue lacks, and configurations that their family refuses."""
    for entry, values in params.families.items():
        model = values.get("model")
        if not isinstance(model, str) or model not in CATALOGUE:
            allowed = ", ".join(sorted(CATALOGUE))
            yield f"{FILE}: families.{entry}.model: {model!r} is not allowed: must be one of {allowed}"
            continue
        try:
            params.config(entry)
        except ValidationError as error:
            yield from lines(error, family_class(model).Config, ("families", entry))


def _events(params: Params) -> Iterator[str]:
    """A test split that nobody gives, and families that cannot model what the source gives, as far as it says so."""
    if params.data.drawn_test is None and not params.data.own_test:
        yield f"{FILE}: data.test_count: is missing: no test split is named; give a count or a share such as 0.1"
    event = expected_event(params.data)
    if event is not None:
        for entry, reason in unsuitable(params, event).items():
            yield f"{FILE}: families.{entry}: {reason}"


def unsuitable(params: Params, event: Event) -> dict[str, str]:
    """The entries whose family cannot model an event: why not, and which families would."""
    reasons = {}
    for entry in params.families:
        reason = family_class(params.model(entry)).refusal(event)
        if reason is not None:
            gives = f"data.source {params.data.source} gives {event.kind}s"
            reasons[entry] = f"{reason} ({gives}); families that would fit: {', '.join(suitable(event))}"
        elif params.config(entry).conditional and not event.classes:
            reasons[entry] = f"conditional: true needs labels, and data.source {params.data.source} gives none here"
    return reasons


def expected_event(data: Source) -> Event | None:
    """An event of the kind that the source will give, of an ordinary size; None if only the files can tell its kind."""
    shape = {"image": (1, 32, 32), "sequence": (1, 1024), "vector": (8,), None: None}[data.kind]
    if shape is None:
        return None
    return Event(shape, 256 if data.integers else None, 0 if data.labelled is False else 2, bool(data.ordered))


def _references(params: Params) -> Iterator[str]:
    """Names and files in the stages' entries that do not fit the families."""
    stages: dict[str, Mapping[str, Any]] = {
        "train": params.train.entries,
        "tune": params.tune.entries,
        "distill": params.distill.entries,
        "evaluate": params.evaluate.entries,
    }
    for stage, entries in stages.items():
        for entry in entries:
            if entry not in params.families:
                names = ", ".join(params.families) or "there are none"
                yield f"{FILE}: {stage}.entries.{entry}: is not allowed: must be one of families: {names}"
    known = {stage: [entry for entry in entries if entry in params.families] for stage, entries in stages.items()}
    for stage in ("train", "tune", "distill"):
        for entry in known[stage]:
            code = f"models/{CATALOGUE[params.model(entry)].split(':')[0]}.py"
            if stages[stage][entry].code != code:
                where = f"{FILE}: {stage}.entries.{entry}.code: {stages[stage][entry].code!r}"
                yield f"{where} is not allowed: must be {code}, the file of {entry}'s family"
    for entry in params.families:
        if sum(entry in stages[stage] for stage in ("train", "distill")) != 1:
            yield f"{FILE}: families.{entry}: must be in train.entries or in distill.entries, and not in both"
    for entry in known["train"]:
        found, after = params.train.entries[entry].after, searched(entry) if entry in known["tune"] else PREPARED
        if found != after:
            yield f"{FILE}: train.entries.{entry}.after: {found!r} is not allowed: must be {after}"
    for entry in known["tune"]:
        if entry not in params.train.entries:
            yield f"{FILE}: tune.entries.{entry}: is not allowed: only entries of train can be searched"
    for entry in known["evaluate"]:
        stage = params.evaluate.entries[entry]
        if entry not in stages[stage]:
            yield f"{FILE}: evaluate.entries.{entry}: {stage!r} is not allowed: {entry} is not in {stage}.entries"
    evaluate = params.evaluate
    data = params.data
    test = evaluate.references
    if isinstance(data.drawn_test, int) and not data.counts_recordings:
        test = data.drawn_test
    least = min(evaluate.samples, evaluate.references, test)
    if least <= evaluate.neighbours:
        where = f"{FILE}: evaluate.neighbours: {evaluate.neighbours} is not allowed"
        yield f"{where}: must be less than evaluate.samples, evaluate.references and data.test_count, {least}"
    for entry in known["distill"]:
        if params.distill.entries[entry].batch_size == "all":
            yield f"{FILE}: distill.entries.{entry}.batch_size: 'all' is not allowed: there is no data; give a number"
        yield from _pair(params, entry, params.distill.entries[entry].teacher)


def _pair(params: Params, student: str, teacher: str) -> Iterator[str]:
    """A teacher that does not exist, and a student and a teacher that cannot work together."""
    where = f"{FILE}: distill.entries.{student}"
    if teacher not in params.train.entries:
        allowed = ", ".join(params.train.entries)
        yield f"{where}.teacher: {teacher!r} is not allowed: must be one of train.entries: {allowed}"
        return
    if not issubclass(family_class(params.model(student)), Reparameterised):
        yield f"{where}: is not allowed: {params.model(student)} cannot score its own samples; iaf can"
    if not issubclass(family_class(params.model(teacher)), RealDensity):
        yield f"{where}.teacher: {teacher!r} is not allowed: {params.model(teacher)} has no density to learn; maf has"
    if params.config(student).conditional != params.config(teacher).conditional:
        yield f"{where}: families.{student}.conditional and families.{teacher}.conditional must be the same"


def _spaces(params: Params) -> Iterator[str]:
    """Searched parameters that do not exist, have two owners, or could take a value that is not allowed."""
    for entry, search in params.tune.entries.items():
        fields = config_fields(family_class(params.model(entry)).Config)
        for key, dimension in search.space.items():
            where = f"{FILE}: tune.entries.{entry}.space.{key}"
            if key not in fields:
                yield f"{where}: is no parameter of {params.model(entry)}{suggestion(key, fields)}"
                continue
            if key in params.families[entry]:
                owner = "a searched parameter belongs to tune alone; take it out of one of them"
                yield f"{where}: families.{entry}.{key} sets it too, but {owner}"
            bounds = [value for value in (dimension.low, dimension.high) if value is not None]
            if takes_integers(fields[key].annotation):  # of which the bounds are kept as floats
                bounds = [int(value) if value.is_integer() else value for value in bounds]
            for value in dimension.choices or bounds:
                try:
                    params.config(entry, {key: value})
                except ValidationError as error:
                    problem = error.errors()[0]
                    if problem["loc"] == (key,) or len(search.space) == 1:  # else another searched value may allow it
                        yield f"{where}: {value!r} is not allowed: {reason(problem)}"
