"""What a version must measure, beside its objective, to become the champion: `register.require` of params.yaml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import UserError
from ..evaluation.metrics.metric_catalogue import METRICS, metric_of
from ..params.messages import suggestion
from ..params.schema import Params, Requirement

Measured = Mapping[str, float]


def complain_of_requirements(params: Params) -> None:
    """Raise `UserError` for requirements of what is never measured, or of what has no better direction."""
    found = list(_problems(params.register_.require))
    if found:
        raise UserError("\n".join(f"params.yaml: register.require.{line}" for line in found))


def _problems(require: Mapping[str, Requirement]) -> Iterator[str]:
    for name, requirement in require.items():
        metric = metric_of(name)
        if metric is None:
            numbers = [each for each, known in METRICS.items() if known.better and "*" not in each]
            yield f"{name}: is no measurement{suggestion(name, numbers)}"
        elif requirement.within is not None and metric.better is None:
            yield f"{name}.within: is not allowed: no direction of {name} is better; give min or max"


def failing(require: Mapping[str, Requirement], ours: Measured) -> list[str]:
    """The requirements that measurements do not fulfil by themselves, in words."""
    found = list[str]()
    for name, requirement in require.items():
        value, least, most = ours.get(name), requirement.min, requirement.max
        if least is None and most is None:
            continue
        if value is None:
            found.append(f"it has no {name}, which register.require names")
        elif least is not None and value < least:
            found.append(f"its {name} {value:.6g} is below the min {least:g} of register.require")
        elif most is not None and value > most:
            found.append(f"its {name} {value:.6g} is above the max {most:g} of register.require")
    return found


def falling_behind(require: Mapping[str, Requirement], ours: Measured, theirs: Measured) -> list[str]:
    """The requirements that measurements do not fulfil beside those of the champion, in words."""
    found = list[str]()
    for name, requirement in require.items():
        metric = metric_of(name)
        if requirement.within is None or metric is None:
            continue
        value, other = ours.get(name), theirs.get(name)
        if value is None or other is None:
            whose = "it" if value is None else "the champion"
            found.append(f"{whose} has no {name}, which register.require names")
        elif metric.badness(value) - metric.badness(other) > requirement.within:
            allowed = f"more than within {requirement.within:g} of register.require allows"
            found.append(f"its {name} {value:.6g} is worse than {other:.6g} by {allowed}")
    return found
