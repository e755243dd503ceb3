"""The catalogue by itself: what can be known of the families without importing them."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

import models
from models.catalogue import (
    CATALOGUE,
    build,
    check,
    family_class,
    module_of,
    suitable,
)
from models.contract import Event, UnsuitableEvent

from .cases import VECTOR, Case
from .families import CASES

LARGE = (Event((3, 64, 64), 256, 10), Event((1, 16_000), 256, 10), Event((2_000,), None, 3))


def test_the_names_of_the_families_cost_no_import_of_torch() -> None:
    code = "import sys, models.catalogue; assert 'torch' not in sys.modules and 'pydantic' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(models.__path__[0]).parent)


@pytest.mark.parametrize("model", sorted(CATALOGUE))
def test_a_family_stands_in_its_module(model: str) -> None:
    assert family_class(model).__module__ == f"models.{module_of(model)}"


def test_an_unknown_family_names_those_there_are() -> None:
    for function in (family_class, module_of):
        with pytest.raises(KeyError, match="maf"):
            function("mafia")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_check_builds_what_training_builds(case: Case) -> None:
    """All of the model's weights, and none of them in memory."""
    config = case.config()
    check(case.model, config, case.event)
    with torch.device("meta"):
        checked = build(case.model, config, case.event).state_dict()
    assert all(weight.is_meta for weight in checked.values())
    built = case.build().state_dict()
    assert {key: weight.shape for key, weight in checked.items()} == {
        key: weight.shape for key, weight in built.items()
    }


@pytest.mark.parametrize("event", LARGE, ids=lambda event: event.kind)
def test_a_check_of_a_large_event_takes_no_room(event: Event) -> None:
    """A full covariance of images is 6 GB, a MADE of 256 levels 3 GB: here they take seconds, all families together."""
    for model in suitable(event):
        with suppress(UnsuitableEvent):  # the defaults of some are for events of another kind
            check(model, family_class(model).Config(), event)


def test_a_check_refuses_as_training_would() -> None:
    config = family_class("gan").Config()
    with pytest.raises(UnsuitableEvent) as checked:
        check("gan", config, VECTOR)
    with pytest.raises(UnsuitableEvent) as built:
        build("gan", config, VECTOR)
    assert str(checked.value) == str(built.value)


@pytest.mark.parametrize("model", sorted(CATALOGUE))
def test_data_of_a_single_level_is_refused(model: str) -> None:
    with pytest.raises(UnsuitableEvent):
        check(model, family_class(model).Config(), Event((1, 8, 8), 1))
