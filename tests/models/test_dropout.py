"""Dropout: in training alone, right on average, and the same however many workers there are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from models.catalogue import build, family_class
from models.contract import Batch, Event
from models.dropout import Dropout, dropping
from models.noise import Noise

IMAGE = Event((1, 4, 4), 4, 3)
CASES: list[tuple[str, Event, dict[str, Any]]] = [
    ("pixelcnn", IMAGE, {"layers": 2, "width": 4, "stack": "gated"}),
    ("pixelcnn", IMAGE, {"layers": 2, "width": 4, "stack": "plain"}),
    ("made", IMAGE, {"hidden": [8]}),
    ("diffusion", IMAGE, {"timesteps": 6, "width": 4, "levels": 1}),
    ("diffusion", Event((3,), None, 3), {"timesteps": 6, "hidden": [8, 8]}),
]


def loss(case: tuple[str, Event, dict[str, Any]], rows: slice, dropout: float = 0.5) -> float:
    """The mean loss of some rows of a global batch of 8."""
    model, event, config = case
    torch.manual_seed(0)
    family = build(model, family_class(model).Config(**config, conditional=True, dropout=dropout), event)
    for parameter in family.parameters():
        parameter.data.add_(0.2 * torch.randn_like(parameter))
    x = torch.randint(4, (8, *event.shape)) if event.levels else torch.randn(8, *event.shape)
    noise = Noise(torch.Generator().manual_seed(1), len(range(8)[rows]), rows.start, 8)
    batch = Batch(x[rows], (torch.arange(8) % 3)[rows], noise)
    (player,) = family.players()
    return player.loss(batch).item()


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]} {case[1].kind} {case[2].get('stack', '')}")
def test_workers_drop_what_one_would(case: tuple[str, Event, dict[str, Any]]) -> None:
    whole = loss(case, slice(0, 8))
    halves = loss(case, slice(0, 3)) * 3 / 8 + loss(case, slice(3, 8)) * 5 / 8
    assert halves == pytest.approx(whole, rel=1e-6)
    assert whole != pytest.approx(loss(case, slice(0, 8), dropout=0.0), rel=1e-6)


def test_what_is_left_is_right_on_average_and_nothing_is_dropped_elsewhere() -> None:
    layer, h = Dropout(0.25), torch.ones(2000, 50)
    assert torch.equal(layer(h), h), "no noise was given"
    with dropping(layer, Noise(torch.Generator().manual_seed(0), 2000)):
        dropped = layer(h)
        assert torch.equal(layer.eval()(h), h)
    assert dropped.unique().tolist() == pytest.approx([0.0, 4 / 3]) and dropped.mean().item() == pytest.approx(
        1, abs=0.01
    )
    assert torch.equal(layer.train()(h), h)


def test_members_of_an_ensemble_are_not_dropped_from() -> None:
    with pytest.raises(ValueError, match="dropout is for a single member: set orders to 1"):
        family_class("made").Config(orders=4, dropout=0.1)
