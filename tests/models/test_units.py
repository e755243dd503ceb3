"""The bijections between the data's units and real numbers, and their log-determinants against autograd."""

from __future__ import annotations

import pytest
import torch

from models.contract import Event
from models.layers.units import Dequantised, Standardised
from models.noise import Noise

pytestmark = pytest.mark.usefixtures("double")


@pytest.mark.parametrize("alpha", [None, 0.05])
def test_units_of_integers(alpha: float | None) -> None:
    event = Event((1, 2, 3), 17)
    units = Dequantised(event, alpha)
    x = torch.randint(17, (50, 1, 2, 3), dtype=torch.uint8)
    y, log_det = units(x, Noise(torch.Generator().manual_seed(0), 50))
    assert torch.equal(units.quantise(y), x)
    torch.testing.assert_close(units.inverse(units(x)[0]), x.double(), atol=1e-9, rtol=0)
    # The derivative of y with respect to x + u, which is the derivative of the inverse turned round.
    slope = torch.autograd.functional.jacobian(lambda v: units.inverse(v).flatten(1), y[:1])[0, :, 0]
    torch.testing.assert_close(log_det[0], -slope.slogdet().logabsdet, atol=1e-9, rtol=1e-9)


def test_units_of_vectors() -> None:
    units = Standardised(Event((3,), None))
    x = torch.randn(200, 3) * torch.tensor([1.0, 5.0, 0.1]) + 2
    units.initialise(x)
    y, log_det = units(x)
    torch.testing.assert_close(y.mean(0), torch.zeros(3), atol=1e-9, rtol=0)
    torch.testing.assert_close(y.std(0), torch.ones(3))
    torch.testing.assert_close(units.inverse(y), x)
    torch.testing.assert_close(log_det, -x.std(0).log().sum().expand(200))
