"""Training images that are mirrored and shifted, by the noise of the global batch."""

from __future__ import annotations

import pytest
import torch

from models.noise import Noise
from pipelines.data.augmentation import augmented
from pipelines.errors import UserError
from pipelines.params.reading import parse

X = torch.arange(5 * 7, dtype=torch.uint8).view(1, 1, 5, 7).repeat(400, 2, 1, 1)


def noise(rows: int = 400, start: int = 0) -> Noise:
    return Noise(torch.Generator().manual_seed(0), rows, start, 400)


def test_half_are_mirrored() -> None:
    seen = augmented(X, True, 0, noise())
    mirrored = (seen == X.flip(3)).flatten(1).all(1)
    assert ((seen == X).flatten(1).all(1) ^ mirrored).all() and 160 < mirrored.sum() < 240
    assert seen.dtype == torch.uint8


def test_every_shift_occurs_and_edges_go_on() -> None:
    seen = augmented(X, False, 2, noise())
    found = {tuple(image[0].flatten().tolist()) for image in seen}
    rows, columns = torch.arange(5), torch.arange(7)
    expected = {
        tuple(X[0, 0][(rows + a).clamp(0, 4)][:, (columns + b).clamp(0, 6)].flatten().tolist())
        for a in range(-2, 3)
        for b in range(-2, 3)
    }
    assert found == expected
    assert torch.equal(seen[:, 0], seen[:, 1]), "channels move together"


def test_nothing_is_changed_and_no_noise_drawn_by_default_and_workers_see_their_rows() -> None:
    drawn = noise()
    assert torch.equal(augmented(X, False, 0, drawn), X)
    assert torch.equal(drawn.uniform(), noise().uniform())
    assert torch.equal(augmented(X[100:150], True, 1, noise(50, 100)), augmented(X, True, 1, noise())[100:150])


def test_what_has_no_images_is_refused() -> None:
    made = {"model": "made", "config": {"output": "gaussian_mixture"}, "train": {"flip": True, "shift": 2}}
    table = {"source": "csv", "path": "x.csv", "val_count": 0.1, "test_count": 0.1}
    with pytest.raises(UserError) as caught:
        parse({"data": table, "entries": {"made": made}})
    assert [line.partition(": is not allowed: it is for images")[0] for line in str(caught.value).splitlines()] == [
        "params.yaml: entries.made.train.flip",
        "params.yaml: entries.made.train.shift",
    ]
    pair = {
        "maf": {"model": "maf"},
        "iaf": {"model": "iaf", "distill": {"teacher": "maf", "batch_size": 8, "flip": True}},
    }
    with pytest.raises(
        UserError, match=r"entries\.iaf\.distill\.flip: is not allowed: a student learns from its teacher"
    ):
        parse({"entries": pair})
