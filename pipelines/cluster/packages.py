"""Have the machines of a cluster the packages that this one has? Ray would start their workers again without end."""

from __future__ import annotations

import re
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires, version

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from ..errors import UserError

ANSWER_SECONDS = 30.0  # a machine that takes longer is busy, and is asked no further
SHOWN = 5  # packages that are named; where so many are missing they all are


def complain_of_bare_machines(source: str) -> None:
    """Raise `UserError` if a machine of the cluster that this process is connected to lacks packages of the project."""
    needed, nodes = needed_packages(), ray.nodes()  # type: ignore[no-untyped-call]
    asked = {_ask(node["NodeID"], needed): node["NodeManagerAddress"] for node in nodes if node["Alive"]}
    answered, _ = ray.wait(list(asked), num_returns=len(asked), timeout=ANSWER_SECONDS)
    lines = []
    for each in answered:
        with suppress(RayError):  # that machine was lost just now
            if lacks := ray.get(each):
                lines.append(_line(source, asked[each], lacks))
    if lines:
        raise UserError("\n".join(sorted(lines)))


def needed_packages() -> list[str]:
    """What the project requires, but for its extras; nothing where it is used without being installed."""
    try:
        needed = [each for each in requires("genera") or () if "extra ==" not in each]
    except PackageNotFoundError:
        return []
    return sorted({re.split(r"[^\w.-]", each, maxsplit=1)[0] for each in needed})


def missing(packages: list[str]) -> list[str]:
    """Which of the packages this machine lacks."""
    lacking = []
    for name in packages:
        try:
            version(name)
        except PackageNotFoundError:
            lacking.append(name)
    return lacking


def _ask(node: str, needed: list[str]) -> ray.ObjectRef[list[str]]:
    there = NodeAffinitySchedulingStrategy(node, soft=False)
    return ray.remote(missing).options(num_cpus=0, scheduling_strategy=there).remote(needed)


def _line(source: str, address: str, lacks: list[str]) -> str:
    named = ", ".join(lacks[:SHOWN]) + (f" and {len(lacks) - SHOWN} more packages" if len(lacks) > SHOWN else "")
    return (
        f"{source}: the machine {address} of the cluster lacks {named}; start Ray there in the environment that"
        " `uv sync` makes of a checkout, or in the image of deploy/Dockerfile"
    )
