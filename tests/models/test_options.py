"""Every option of every configuration, on events of all kinds and awkward shapes: it is refused at once, or it trains.

So what passes `check` does not fail when the first batch comes.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal, get_args, get_origin

import pytest
import torch

from models.catalogue import CATALOGUE, check, family_class, suitable
from models.contract import Density, Event, UnsuitableEvent, config_fields

from .cases import COLOUR, PALETTE, TOKENS, Case, batch, examples

AWKWARD = {
    "odd sides": Event((1, 7, 9), 256, 3),
    "odd sides, in colour": Event((3, 5, 5), 256, 3),
    "a few halvings": Event((1, 12, 12), 256, 10),
    "one row": Event((1, 1, 8), 16, 2),
    "one pixel": Event((1, 1, 1), 256, 2),
    "black and white": Event((1, 8, 8), 2, 3),
    "one column": Event((1,), None, 3),
    "three columns": Event((3,), None, 1),
    "five numbers": Event((1, 5), 16, 3),
    "one number": Event((1, 1), 16, 2),
    "bits": Event((1, 12), 2, 3),
    "names": TOKENS,
    "in colour": COLOUR,
    "colours of a palette": PALETTE,
}
PAIRS = [(model, name) for name, event in AWKWARD.items() for model in suitable(event)]


def _choices(annotation: Any) -> list[Any]:
    """What a field can be set to, if these are few."""
    if annotation is bool:
        return [False, True]
    if get_origin(annotation) is Literal:
        return list(get_args(annotation))
    return [choice for part in get_args(annotation) for choice in _choices(part)]


def _cases(model: str, event: Event) -> Iterator[Case]:
    """The small configuration, and those that differ from it in one option."""
    yield Case(model, event)
    for name, field in config_fields(family_class(model).Config).items():
        for choice in _choices(field.annotation):
            yield Case(model, event, {name: choice})


@pytest.mark.parametrize(("model", "name"), PAIRS)
def test_an_option_is_refused_or_trains(model: str, name: str) -> None:
    event = AWKWARD[name]
    for case in _cases(model, event):
        try:
            config = case.config()
        except ValueError:
            continue  # two options that contradict each other, whatever the event
        if case.options and config == Case(model, event).config():
            continue  # what it is anyway
        try:
            check(model, config, event)
        except UnsuitableEvent:
            with pytest.raises(UnsuitableEvent):
                case.build()
            continue
        _trains(case)


def _trains(case: Case) -> None:
    """One step of each player gives a finite loss, and the model samples and scores what it should."""
    family = case.build(jitter=0.0)
    for player in family.players():
        loss = player.loss(batch(case.event, 8))
        loss.backward()
        torch.optim.Adam(player.module.parameters(), 1e-3).step()
        assert loss.isfinite(), case
    family.eval()
    assert family.sample(2).shape == (2, *case.event.shape)
    if isinstance(family, Density):
        with torch.no_grad():
            assert family.log_prob(*examples(case.event, 4)).isfinite().all(), case


def test_every_family_has_options_to_try() -> None:
    assert {model for model, _ in PAIRS} == set(CATALOGUE)
