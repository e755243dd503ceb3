"""What flows are put together from: Jacobians, inverses, bases, and noise that makes integers continuous."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.distributions import Normal

from models.contract import Event
from models.layers.flows.bases import BASES, BaseName, StandardLogistic
from models.layers.flows.bijections import BatchNorm, Bijection, Composition, Inverse
from models.layers.flows.dequantisation import VariationallyDequantised, real_units
from models.layers.normal import standard_normal_log_density
from models.layers.units import Dequantised, Standardised
from models.noise import Noise

pytestmark = pytest.mark.usefixtures("double")


def batch_norm(channels: int, v: Tensor) -> BatchNorm:
    """One with moments and weights that are not those of the start."""
    norm = BatchNorm(channels)
    norm.initialise(v)
    with torch.no_grad():
        norm.gamma.normal_()
        norm.beta.normal_()
    return norm


@pytest.mark.parametrize("shape", [(5,), (2, 3, 2)])
@pytest.mark.parametrize("turned", [False, True])
def test_log_determinants_are_those_of_the_jacobian(shape: tuple[int, ...], turned: bool) -> None:
    many = torch.randn(40, *shape) * 3 + 1
    norms = [batch_norm(shape[0], many), batch_norm(shape[0], many)]
    stack: Bijection = Composition([norms[0], Inverse(norms[1])]).eval()
    if turned:
        stack = Inverse(stack)
    v = torch.randn(1, *shape)
    for direction in (stack, stack.inverse):
        w, log_det = direction(v)
        matrix = jacobian(lambda x, f=direction: f(x)[0], v).view(v.numel(), v.numel())
        torch.testing.assert_close(log_det[0], matrix.slogdet().logabsdet)
        assert w.shape == v.shape
    w, forward = stack(v)
    back, backward = stack.inverse(w)
    torch.testing.assert_close(back, v, atol=1e-9, rtol=1e-9)
    torch.testing.assert_close(forward, -backward)


def test_batch_normalisation_goes_by_the_batch_in_training_and_by_running_moments_else() -> None:
    v = torch.randn(50, 4) * torch.tensor([1.0, 2.0, 0.1, 5.0]) + 3
    norm = BatchNorm(4).train()
    w, log_det = norm(v)
    torch.testing.assert_close(w.mean(0), torch.zeros(4), atol=1e-9, rtol=0)
    torch.testing.assert_close(w.var(0, correction=0), torch.ones(4), atol=2e-3, rtol=0)
    torch.testing.assert_close(log_det, (-0.5 * (v.var(0, correction=0) + 1e-5).log().sum()).expand(50))
    assert not torch.allclose(norm.eval()(v)[0], w), "a single step moves the running moments by a tenth"
    norm.initialise(v)
    torch.testing.assert_close(norm(v)[0], w)


@pytest.mark.parametrize("name", sorted(BASES))
def test_a_base_is_a_density_and_knows_its_quantiles(name: BaseName) -> None:
    base = BASES[name]()
    grid = torch.linspace(-40, 40, 20001)
    assert torch.trapezoid(base.log_density(grid[:, None]).exp(), grid).item() == pytest.approx(1, abs=1e-9)
    z = torch.tensor([[-20.0, -3.0, -0.1, 0.0, 2.0, 20.0]])
    torch.testing.assert_close(base.to_normal(base.from_normal(z)), z, atol=1e-9, rtol=1e-9)
    below = grid <= base.from_normal(torch.tensor([[1.0]]))[0, 0]
    mass = torch.trapezoid(base.log_density(grid[below, None]).exp(), grid[below])
    assert mass.item() == pytest.approx(Normal(0, 1).cdf(torch.tensor(1.0)).item(), abs=2e-3)


def test_the_tails_of_a_logistic_survive_single_precision() -> None:
    z = torch.tensor([[-12.0, 12.0]], dtype=torch.float32)
    torch.testing.assert_close(StandardLogistic().to_normal(StandardLogistic().from_normal(z)), z, atol=1e-3, rtol=0)


class _Given(Noise):
    """Noise that is what the test says."""

    def __init__(self, drawn: Tensor) -> None:
        super().__init__(torch.Generator(), len(drawn))
        self.drawn = drawn

    def normal(self, *shape: int) -> Tensor:
        return self.drawn.view(self.rows, *shape)


def learnt(event: Event, alpha: float | None) -> VariationallyDequantised:
    units = VariationallyDequantised(event, alpha)
    jitter = 0.1 if event.kind == "image" else 0.3  # a convolution of many features adds up more
    with torch.no_grad():
        for parameter in units.parameters():
            parameter.add_(jitter * torch.randn_like(parameter))
    return units


@pytest.mark.parametrize("shape", [(1, 2, 3), (2, 1, 3), (1, 6)])
@pytest.mark.parametrize("alpha", [None, 0.05])
def test_learnt_noise_stays_in_its_bin_and_knows_its_density(alpha: float | None, shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    event = Event(shape, 17)
    units = learnt(event, alpha)
    x = torch.randint(17, (50, *shape), dtype=torch.uint8)
    y, _ = units(x, Noise(torch.Generator().manual_seed(0), 50))
    assert torch.equal(units.quantise(y), x)
    torch.testing.assert_close(units.inverse(units(x)[0]), x.double(), atol=1e-9, rtol=0)

    noise = torch.randn(1, 6)
    u, log_q = units.within_bins(x[:1], _Given(noise))
    slope = jacobian(lambda e: units.within_bins(x[:1], _Given(e))[0], noise)[0, :, 0]
    torch.testing.assert_close(log_q, standard_normal_log_density(noise) - slope.slogdet().logabsdet)
    assert (u > 0).all() and (u < 1).all()


def test_new_noise_is_the_same_for_all_examples_and_uniform_in_the_middle() -> None:
    units = VariationallyDequantised(Event((1, 4, 4), 17))
    x = torch.randint(17, (3, 1, 4, 4), dtype=torch.uint8)
    u, _ = units.within_bins(x, _Given(torch.zeros(3, 16)))
    torch.testing.assert_close(u, torch.full((3, 16), 0.5))


def test_a_bound_by_learnt_noise_has_at_most_unit_mass() -> None:
    """Of a density of y that is known to integrate to one, over all three examples of an event."""
    units = learnt(Event((1, 1, 1), 3, 0), None)
    x = torch.arange(3).view(3, 1, 1, 1).repeat_interleave(4000, 0)
    y, log_det = units(x, Noise(torch.Generator().manual_seed(0), len(x)))
    log_p = Normal(0.5, 0.3).log_prob(y)[:, 0] + log_det
    bound = log_p.view(3, -1).mean(1)
    truth = Normal(0.5, 0.3).cdf(torch.arange(4) / 3).diff()
    assert (bound.exp() < truth).all() and (bound > truth.log() - 1).all()


def test_the_units_of_a_flow() -> None:
    assert isinstance(real_units(Event((3,), None), 0.05, "variational"), Standardised)
    assert type(real_units(Event((1, 2, 2), 4), None, "uniform")) is Dequantised
    assert isinstance(real_units(Event((1, 2, 2), 4), None, "variational"), VariationallyDequantised)
