"""The parameters of a request: what each means, which tasks read it, and what is allowed."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .refusal import Refusal


@dataclass(frozen=True)
class Parameter:
    """One parameter: `type` is its name in MLflow's schemas, and one that is `many` is a list."""

    name: str
    type: str
    meaning: str
    tasks: Collection[str]
    default: Any = None
    many: bool = False


DRAWING = ("sample", "complete")
LABELLED = ("sample", "log_prob", "encode", "decode", "complete")
PARAMETERS = (
    Parameter(
        "task", "string", "what is asked for; without it data are scored, and without data there are samples", ()
    ),
    Parameter("n", "long", "how many samples (16 if left out), or completions of each example (1)", DRAWING),
    Parameter(
        "seed", "long", "the same seed draws the same; without one it is drawn, and said", (*DRAWING, "log_prob")
    ),
    Parameter("temperature", "double", "below 1 what is likely, above 1 more variety", DRAWING, 1.0),
    Parameter("labels", "string", "names of classes, one for each example or one for all", LABELLED, [], many=True),
    Parameter(
        "positions", "long", "the same by the positions of the classes, 0 for the first", LABELLED, [], many=True
    ),
    Parameter("balanced", "boolean", "all classes alike, where no labels are given", ("sample",), default=False),
    Parameter("where", "string", "conditions on rows of a table, such as age>=65", ("sample",), [], many=True),
    Parameter("format", "string", "array; or png of images, wav of sounds", (*DRAWING, "decode"), "array"),
)
NAMES = {parameter.name: parameter for parameter in PARAMETERS}


@dataclass(frozen=True)
class Request:
    """A task and its parameters, all of them allowed by themselves."""

    task: str
    n: int | None
    seed: int | None
    temperature: float
    labels: tuple[str, ...]
    positions: tuple[int, ...]
    balanced: bool
    where: tuple[str, ...]
    format: str


def read(params: Mapping[str, Any], tasks: Collection[str], without: str) -> Request:
    """The request that parameters are, for a model that offers `tasks`; `without` is the task where none is named.

    Raises `Refusal` for everything that is wrong, all of it in one line.
    """
    given = {name: value for name, value in params.items() if value is not None}
    wrong = [f"{name}: no such parameter; allowed: {', '.join(NAMES)}" for name in given if name not in NAMES]
    task = given.get("task", without)
    if task not in tasks:
        wrong.append(f"task: {task!r} is not offered by this model; allowed: {', '.join(tasks)}")
        raise Refusal("; ".join(wrong))
    for name, parameter in NAMES.items():
        if name in given and name != "task" and task not in parameter.tasks and not _is_default(given[name], parameter):
            reads = ", ".join(each.name for each in PARAMETERS if task in each.tasks)
            wrong.append(f"{name}: is not read by the task {task}, which reads {reads or 'none'}: leave it out")
    values: dict[str, Any] = {}
    for name, check in CHECKS.items():
        parameter = NAMES[name]
        try:
            values[name] = check(name, given.get(name, parameter.default))
        except (Refusal, TypeError, ValueError) as error:
            wrong.append(str(error) if isinstance(error, Refusal) else f"{name}: {given[name]!r} is not allowed")
    if wrong:
        raise Refusal("; ".join(wrong))
    return Request(task=task, **values)


def _is_default(value: Any, parameter: Parameter) -> bool:
    return bool(len(value) == 0 if parameter.many else value == parameter.default)


def _whole(name: str, value: Any, low: int) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or int(value) != value or value < low:
        raise Refusal(f"{name}: {value} is not allowed: must be an integer of at least {low}")
    return int(value)


def _temperature(name: str, value: Any) -> float:
    if not 0 <= float(value) < float("inf"):
        raise Refusal(f"{name}: {value} is not allowed: must be a number of at least 0")
    return float(value)


def _positions(name: str, value: Any) -> tuple[int, ...]:
    positions = np.asarray(value if len(value) else [], dtype=None if len(value) else np.int64)
    if positions.ndim != 1 or positions.dtype.kind not in "iu":
        raise Refusal(f"{name}: {list(value)} is not allowed: must be integers")
    return tuple(int(each) for each in positions)


def _texts(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise Refusal(f"{name}: {value!r} is not allowed: must be a list, such as [{value!r}]")
    return tuple(str(each) for each in value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool | np.bool_):
        raise Refusal(f"{name}: {value!r} is not allowed: must be true or false")
    return bool(value)


def _format(name: str, value: Any) -> str:
    if value not in FORMATS:
        raise Refusal(f"{name}: {value!r} is not allowed: must be one of {', '.join(FORMATS)}")
    return str(value)


FORMATS = ("array", "png", "wav")
CHECKS = {
    "n": lambda name, value: _whole(name, value, 1),
    "seed": lambda name, value: _whole(name, value, 0),
    "temperature": _temperature,
    "labels": _texts,
    "positions": _positions,
    "balanced": _flag,
    "where": _texts,
    "format": _format,
}
