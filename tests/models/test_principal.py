"""Principal components are scikit-learn's, their scale is as documented, and the same data gives the same ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.decomposition import PCA

from models import principal
from models.contract import Event
from models.layers.inputs import network_input
from models.principal import PrincipalComponents

from .cases import EVENTS, PALETTE, examples


def correlated(n: int, dimensions: int, seed: int = 0) -> torch.Tensor:
    """Rows whose variances fall off slowly, in directions of no axis, far from zero."""
    rng = np.random.default_rng(seed)
    turned, _ = np.linalg.qr(rng.normal(size=(dimensions, dimensions)))
    spread = 0.9 ** np.arange(dimensions)
    return torch.from_numpy((rng.normal(size=(n, dimensions)) * spread) @ turned + 3).float()


def fitted(event: Event, x: torch.Tensor, dimensions: int) -> PrincipalComponents:
    model = PrincipalComponents(event, dimensions)
    model.fit(x)
    return model


def distances(features: torch.Tensor) -> torch.Tensor:
    return torch.cdist(features.double(), features.double())


@pytest.mark.parametrize("exact", [True, False], ids=["covariance", "randomised"])
@pytest.mark.parametrize("count", [1, 5, 40])
def test_components_are_those_of_scikit_learn(exact: bool, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    if not exact:
        monkeypatch.setattr(principal, "EXACT", 0)
    x = correlated(400, 40)
    model = fitted(Event((40,), None), x, count)
    y = ((x - x.mean(0)) / x.std(0)).double().numpy()
    peer = PCA(count, svd_solver="full").fit(y)
    ours = model.components.double().numpy()
    np.testing.assert_allclose(ours @ ours.T, peer.components_.T @ peer.components_, atol=1e-4)
    scale = np.sqrt(peer.explained_variance_.mean())
    assert model.scale.item() == pytest.approx(scale, rel=1e-4)
    features = model.features(x).double().numpy()
    np.testing.assert_allclose(features.var(0, ddof=1) * scale**2, peer.explained_variance_, rtol=1e-4)
    np.testing.assert_allclose(np.abs(features * scale), np.abs(peer.transform(y)), atol=1e-3)
    kept, whole = (part.sum().item() for part in model.squared_lengths(x))
    assert kept / whole == pytest.approx(peer.explained_variance_ratio_.sum(), rel=1e-4)


def test_distances_of_short_vectors_are_those_of_the_standardised_data() -> None:
    x = correlated(100, 6)
    features, y = fitted(Event((6,), None), x, 32).features(x), (x - x.mean(0)) / x.std(0)
    assert features.shape == (100, 6)
    torch.testing.assert_close(distances(features), distances(y), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("event", EVENTS, ids=str)
def test_features_of_every_event_average_unit_variance(event: Event) -> None:
    x, _ = examples(event, 200)
    model = fitted(event, x, 8)
    features = model.features(x)
    assert features.shape == (200, min(8, len(model.mean)))
    assert features.var(0).mean().item() == pytest.approx(1, rel=1e-3)
    torch.testing.assert_close(features.mean(0), torch.zeros(features.shape[1]), atol=1e-4, rtol=0)
    loaded = PrincipalComponents(event, 8)
    loaded.load_state_dict(model.state_dict())
    assert torch.equal(loaded.features(x), features)


def test_renaming_levels_changes_no_distance() -> None:
    x, _ = examples(PALETTE, 100)
    renamed = torch.tensor([3, 1, 5, 0, 2, 4])[x.long()]
    first, second = (fitted(PALETTE, each, 96).features(each) for each in (x, renamed))
    torch.testing.assert_close(distances(first), distances(second), atol=1e-4, rtol=1e-4)
    assert network_input(x, PALETTE, None).shape == (100, 6, 4, 4)


@pytest.mark.parametrize("exact", [True, False])
def test_the_same_data_gives_the_same_bits_and_leaves_the_generator_alone(
    exact: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exact:
        monkeypatch.setattr(principal, "EXACT", 0)
    x, event = correlated(60, 30), Event((30,), None)
    first = fitted(event, x, 4).state_dict()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    second = fitted(event, x, 4).state_dict()
    assert all(torch.equal(value, second[key]) for key, value in first.items())
    assert torch.equal(state, torch.get_rng_state())


def test_fewer_examples_than_components_and_examples_that_never_vary() -> None:
    few = fitted(Event((40,), None), correlated(5, 40), 16)
    assert few.features(correlated(5, 40)).isfinite().all()
    assert (few.components[:, 5:] == 0).all()
    still = fitted(Event((1, 4, 4), 17), torch.full((10, 1, 4, 4), 3, dtype=torch.uint8), 4)
    assert (still.features(torch.full((2, 1, 4, 4), 3, dtype=torch.uint8)).abs() < 1e-4).all()


def test_it_asks_for_fewer_examples_where_they_are_long() -> None:
    assert PrincipalComponents(Event((8,), None), 4).rows == 10_000
    assert PrincipalComponents(Event((1, 2**16), 256), 4).rows == 1024
