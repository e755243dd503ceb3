"""Foreign examples are events like any other and none of the data, and scores are judged by whether they tell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.contract import Event
from pipelines.evaluation.metrics.outliers import auroc, foreign_examples, typicality

EVENTS = {
    "grey": Event((1, 8, 8), 17),
    "colour": Event((3, 12, 10), 256),
    "binary": Event((1, 6, 6), 2),
    "large": Event((3, 500, 700), 256),
    "names": Event((1, 4, 4), 6, ordered=False),
    "sound": Event((1, 40), 256),
    "tokens": Event((1, 12), 5, ordered=False),
    "table": Event((5,), None),
}
SETS = {
    "grey": {"noise", "shuffled", "flat", "faded", "photographs"},
    "binary": {"noise", "shuffled", "flat", "photographs"},
    "large": {"noise", "shuffled", "flat", "faded"},
    "names": {"noise", "shuffled", "flat"},
    "sound": {"noise", "shuffled", "flat", "faded", "reversed"},
    "tokens": {"noise", "shuffled", "flat", "reversed"},
    "table": {"noise", "shuffled", "faded"},
}


def data(event: Event, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if event.levels is None:
        return (rng.normal(size=(n, *event.shape)) * 3 + 1).astype(np.float32)
    return rng.integers(event.levels, size=(n, *event.shape)).astype(np.uint8)


@pytest.mark.parametrize("kind", EVENTS)
def test_foreign_examples_are_events(kind: str) -> None:
    event = EVENTS[kind]
    test, train = data(event, 6, 0), data(event, 9, 1)
    sets = foreign_examples(event, test, train, 0)
    assert set(sets) == SETS.get(kind, SETS["grey"])
    for name, x in sets.items():
        assert x.shape == test.shape and x.dtype == test.dtype, name
        assert event.levels is None or x.max() < event.levels, name
        assert not np.array_equal(x, test), name
    again = foreign_examples(event, test, train, 0)
    assert all(np.array_equal(sets[name], again[name]) for name in sets)
    assert not np.array_equal(foreign_examples(event, test, train, 1)["noise"], sets["noise"])


def test_each_set_is_what_its_name_says() -> None:
    image, sound, table = (EVENTS[kind] for kind in ("grey", "sound", "table"))
    test, train = data(image, 6, 0), data(image, 9, 1)
    sets = foreign_examples(image, test, train, 0)
    assert (np.sort(sets["shuffled"].reshape(6, -1)) == np.sort(test.reshape(6, -1))).all()
    assert (sets["flat"] == sets["flat"][:, :, :1, :1]).all() and len(np.unique(sets["flat"])) > 1
    assert np.abs(sets["faded"] - train.mean(0)).max() <= np.abs(test - train.mean(0)).max() / 2 + 0.5
    smooth = np.abs(np.diff(sets["photographs"].astype(float))).mean()
    assert smooth < np.abs(np.diff(sets["noise"].astype(float))).mean() / 2
    heard = data(sound, 4, 0)
    assert (foreign_examples(sound, heard, heard, 0)["reversed"][..., ::-1] == heard).all()
    rows = data(table, 50, 0)
    tables = foreign_examples(table, rows, rows, 0)
    assert (np.sort(tables["shuffled"], 0) == np.sort(rows, 0)).all()
    assert (tables["noise"] >= rows.min(0)).all() and (tables["noise"] <= rows.max(0)).all()
    np.testing.assert_allclose(tables["faded"], (rows + rows.mean(0)) / 2, atol=1e-5)


def test_typicality_finds_what_a_likelihood_finds_too_likely() -> None:
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(3, 300, 50, generator=rng)
    x[2] /= 3  # nearer to the mode than any example of a normal distribution in 50 dimensions
    train, test, foreign = -x.square().sum(2) / 2
    assert auroc(test, foreign) < 0.01, "the known failure"
    assert auroc(typicality(test, train), typicality(foreign, train)) > 0.95


def test_the_area_under_the_curve_counts_pairs() -> None:
    test, foreign = torch.tensor([3.0, 1.0]), torch.tensor([2.0, 0.0, 1.0])
    assert auroc(test, foreign) == pytest.approx(np.mean([1, 1, 1, 0, 1, 0.5]))
    assert auroc(test, torch.tensor([-torch.inf, 5.0])) == pytest.approx(0.5)
    assert np.isnan(auroc(test, torch.tensor([torch.nan])))
