"""The bijections between the data's units and real numbers, and their log-determinants against autograd."""

from __future__ import annotations

import pytest
import torch

from models.columns import Column
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


def test_vectors_are_standardised_by_all_rows_and_not_by_those_that_are_shown() -> None:
    """A column that is rarely not 0: by rows that never show it, it was divided by 1e-8."""
    x = torch.zeros(100_000, 2, dtype=torch.float64)
    x[::9973, 0], x[:, 1] = 1.0, torch.linspace(-3e-10, 3e-10, 100_000)
    columns = tuple(Column(mean, std) for mean, std in zip(x.mean(0).tolist(), x.std(0).tolist(), strict=True))
    units = Standardised(Event((2,), None, columns=columns))
    units.initialise(x[1:9000].float())
    y, log_det = units(x.float())
    assert y.std(0).tolist() == pytest.approx([1.0, 1.0], rel=1e-3) and y.abs().max() < 120
    assert log_det[0].item() == pytest.approx(-x.std(0).log().sum().item(), rel=1e-5)
    torch.testing.assert_close(units.quantise(y), x.float(), rtol=1e-4, atol=1e-14)


def test_units_do_not_matter() -> None:
    x = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    seen = []
    for scale in (1e-10, 1.0, 1e10):
        units = Standardised(Event((3,), None))
        units.initialise(scale * x)
        seen.append(units(scale * x)[0])
    torch.testing.assert_close(seen[0], seen[1])
    torch.testing.assert_close(seen[2], seen[1])


def test_a_mean_that_is_large_costs_no_digits_that_float32_has() -> None:
    """Numbers at 16,777,000 ± 100 are whole numbers in float32; their mean has a fraction, which counts."""
    x = (16_777_000 + 100 * torch.randn(5000, 1, generator=torch.Generator().manual_seed(0))).round().float()
    column = Column(x.double().mean().item(), x.double().std().item())
    torch.set_default_dtype(torch.float32)
    units = Standardised(Event((1,), None, columns=(column,)))
    truth = (x.double() - column.mean) / column.std
    torch.testing.assert_close(units(x)[0].double(), truth, atol=1e-5, rtol=0)
    assert torch.equal(units.quantise(units(x)[0]), x)


def test_a_column_that_never_varies_among_the_rows_shown_is_left_as_it_is() -> None:
    units = Standardised(Event((2,), None))
    units.initialise(torch.tensor([[1.0, 5.0], [3.0, 5.0]]))
    assert units(torch.tensor([[2.0, 6.0]]))[0].tolist() == [[0.0, 1.0]]
