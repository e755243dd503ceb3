"""WaveNet: what an output sees, the ring buffers against the plain pass, masses by enumeration, costs, learning."""

from __future__ import annotations

import itertools
import math
from functools import partial
from typing import Any
from unittest.mock import patch

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from benchmarks._arithmetic import operations
from models.contract import Batch, Event, UnsuitableEvent
from models.noise import Noise
from models.wavenet import WaveNet, WaveNetConfig

from .cases import IMAGE, SEQUENCE, TOKENS, VECTOR, Case, refused

SMALL: dict[str, Any] = {"channels": 6, "gate_channels": 5, "skip_channels": 8, "layers": 3}
VARIANTS = [
    Case("wavenet", SEQUENCE, {"output": "logistic_mixture", "components": 2, "kernel_size": 3}),
    Case("wavenet", SEQUENCE, {"input": "scalar", "output": "gaussian", "conditional": True}),
    Case("wavenet", TOKENS, {}),
]

STATES = Event((1, 4), 3, 2)  # so few sequences that all can be listed


def wavenet(event: Event, dtype: torch.dtype = torch.float64, jitter: float = 0.3, **options: Any) -> WaveNet:
    """A small WaveNet with weights away from their careful start, so that everything matters to everything."""
    torch.manual_seed(0)
    family = WaveNet(WaveNetConfig(**{**SMALL, "stacks": 1, **options}), event).to(dtype).eval()
    with torch.no_grad():
        for parameter in family.parameters():
            parameter.add_(jitter * torch.randn_like(parameter))
    return family


def sequences(event: Event) -> Tensor:
    """Every sequence of an event."""
    assert event.levels is not None
    return torch.tensor(list(itertools.product(range(event.levels), repeat=event.dimensions)), dtype=torch.uint8)[
        :, None
    ]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def double() -> Any:
    torch.set_default_dtype(torch.float64)  # that of one-hot labels
    yield
    torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("layers", "stacks", "kernel_size", "field"), [(3, 1, 2, 8), (3, 2, 2, 15), (2, 1, 3, 7), (1, 2, 4, 7)]
)
def test_an_output_sees_the_receptive_field_and_nothing_else(
    layers: int, stacks: int, kernel_size: int, field: int
) -> None:
    T = 24
    family = wavenet(Event((1, T), 5), layers=layers, stacks=stacks, kernel_size=kernel_size)
    assert family.receptive_field == field
    previous = torch.randn(1, 6, T, dtype=torch.float64, requires_grad=True)  # at t the embedding of x_{t-1}
    skips = family.skips(previous, None)
    for t in range(T):
        (slope,) = torch.autograd.grad(skips[..., t].sum(), previous, retain_graph=True)
        seen = (slope.abs().sum((0, 1)) > 0).tolist()
        assert seen == [t - field < s <= t for s in range(T)]


def test_the_first_convolution_widens_the_receptive_field() -> None:
    T = 24
    family = wavenet(Event((1, T), 8), input="scalar", first_kernel=5)
    assert family.receptive_field == 12
    x = torch.rand(1, 1, T, dtype=torch.float64, generator=seeded()).mul(8).requires_grad_()
    outputs = family.network(x, None)
    for t in range(T):
        (slope,) = torch.autograd.grad(outputs[:, t].sum(), x, retain_graph=True)
        assert (slope[0, 0] != 0).tolist() == [t - 12 <= s < t for s in range(T)]


def test_an_output_does_not_see_its_own_number() -> None:
    event = Event((1, 12), 5)
    family, x = wavenet(event), torch.randint(5, (1, 1, 12), generator=seeded())
    before = family.network(x, None)
    for t in range(12):
        other = x.clone()
        other[..., t] = (x[..., t] + 1) % 5
        changed = (family.network(other, None) != before).any(-1)[0].tolist()
        assert changed == [t < s <= t + family.receptive_field for s in range(12)]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("length", [1, 5, 30])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"output": "logistic_mixture", "components": 3},
        {"stacks": 2, "layers": 2},
        {"kernel_size": 3},
        {"kernel_size": 3, "stacks": 2, "layers": 2, "output": "logistic_mixture", "components": 2},
        {"layers": 1},
        {"input": "scalar", "output": "gaussian"},
        {"place": True, "kernel_size": 3},
        {"input": "scalar", "first_kernel": 4, "place": True},
        {"input": "scalar", "kernel_size": 3, "output": "logistic_mixture", "components": 2},
    ],
    ids=str,
)
def test_ring_buffers_give_the_samples_of_whole_passes(
    options: dict[str, Any], length: int, dtype: torch.dtype
) -> None:
    family = wavenet(Event((1, length), 11), dtype, **options)
    samples = family.sample(16, generator=seeded())
    with patch.object(family, "stepper", family.plain_stepper):
        assert torch.equal(samples, family.sample(16, generator=seeded()))


@pytest.mark.parametrize(("kernel_size", "place"), [(2, False), (3, False), (2, True)])
def test_ring_buffers_know_the_labels(kernel_size: int, place: bool, double: None) -> None:
    family = wavenet(Event((1, 30), 11, 3), conditional=True, kernel_size=kernel_size, place=place)
    labels = torch.arange(16) % 3
    samples = family.sample(16, labels, generator=seeded())
    with patch.object(family, "stepper", family.plain_stepper):
        assert torch.equal(samples, family.sample(16, labels, generator=seeded()))
    assert not torch.equal(samples, family.sample(16, labels.flip(0), generator=seeded()))


def test_ring_buffers_give_the_outputs_of_a_whole_pass() -> None:
    family = wavenet(Event((1, 30), 11), stacks=2, kernel_size=3)
    x = torch.randint(11, (4, 1, 30), generator=seeded())
    with torch.no_grad():
        stepper, outputs = family.stepper(4, None), family.network(x, None)
        for t in family.order:
            torch.testing.assert_close(stepper.outputs(t), outputs[:, t])
            stepper.feed(t, x[:, 0, t])


@pytest.mark.parametrize("output", ["softmax", "logistic_mixture", "gaussian"])
def test_the_masses_of_all_sequences_sum_to_one(output: str) -> None:
    family = wavenet(STATES, output=output)
    with torch.no_grad():
        assert family.log_prob(sequences(STATES)).exp().sum().item() == pytest.approx(1, abs=1e-12)


REAL = ["gaussian", "logistic_mixture"]  # outputs that are densities of real numbers too


def teacher(event: Event, output: str, **options: Any) -> WaveNet:
    return wavenet(event, input="scalar", output=output, components=2, **options)


@pytest.mark.parametrize("output", REAL)
def test_the_mass_of_a_level_is_the_integral_of_the_density_over_its_bin(output: str) -> None:
    """Given the same past, which is at the middles of its bins; the outermost levels get the tails."""
    event = Event((1, 3), 5)
    family, each, width = teacher(event, output), 0.05, 60  # levels, around the five there are
    x = torch.tensor([[[3, 1, 0]]], dtype=torch.uint8)
    with torch.no_grad():
        bins = torch.arange(-width, 5 + width, each, dtype=torch.float64) + each / 2
        past = family.units(x)[0].double().expand(len(bins), -1).clone()
        past[:, 2] = bins / 5
        density = family.conditionals(past).log_density(past)[:, 2].exp()
        level = bins.floor().clamp(0, 4).long()
        mass = torch.zeros(5, dtype=torch.float64).index_add(0, level, density * each / 5)
        every = x.expand(5, -1, -1).clone()
        every[:, 0, 2] = torch.arange(5)
        torch.testing.assert_close(mass, family.log_conditionals(every, None)[:, 2].exp(), atol=1e-4, rtol=0)


@pytest.mark.parametrize("output", REAL)
def test_the_density_of_real_numbers_integrates_to_one(output: str, double: None) -> None:
    event = Event((1, 2), 4, 2)
    family = teacher(event, output, conditional=True)
    side = torch.arange(-14, 15, 0.2)
    grid = torch.cartesian_prod(side, side)
    with torch.no_grad():
        mass = family.log_density(grid, torch.ones(len(grid), dtype=torch.long)).exp().sum() * 0.2**2
    assert mass.item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("output", REAL)
def test_the_density_of_real_numbers_has_the_slopes_of_its_differences(output: str, double: None) -> None:
    family = teacher(Event((1, 5), 4, 2), output, conditional=True)
    labels = torch.tensor([0, 1])
    y = torch.rand(2, 5, generator=seeded(), requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: family.log_density(v, labels), (y,))


def test_noise_on_the_inputs_is_for_training_only() -> None:
    family = teacher(Event((1, 12), 8), "gaussian", input_noise=1.0).float()
    x = torch.randint(8, (4, 1, 12), generator=seeded())
    scores = [family.train(mode).log_likelihood(Batch(x, None, Noise(seeded(), 4))) for mode in (False, True)]
    torch.testing.assert_close(scores[0], family.eval().log_conditionals(x, None).sum(1))
    assert not torch.allclose(*scores)


def test_inputs_that_are_values_need_numbers() -> None:
    with pytest.raises(UnsuitableEvent, match=r"numbers.*embedding"):
        wavenet(Event((1, 4), 5, ordered=False), input="scalar")
    with pytest.raises(UnsuitableEvent, match=r"first_kernel need input: scalar"):
        wavenet(Event((1, 4), 5), input_noise=1.0)


def test_labels_condition_every_mass(double: None) -> None:
    family = wavenet(STATES, conditional=True)
    x = sequences(STATES)
    with torch.no_grad():
        by_class = family.log_prob_by_class(x).exp()
    torch.testing.assert_close(by_class.sum(0), torch.ones(2))
    assert ((by_class[:, 0] - by_class[:, 1]).abs() > 0).all()


@pytest.mark.parametrize("conditional", [False, True])
def test_completions_are_drawn_from_what_is_missing_given_what_is_known(conditional: bool, double: None) -> None:
    family, every = wavenet(STATES, conditional=conditional, jitter=0.5), sequences(STATES)
    prefix, n = torch.tensor([2, 0]), 20_000
    known = torch.tensor([[True, True, False, False]])
    x = torch.zeros(n, 1, 4, dtype=torch.uint8)
    x[:, 0, :2] = prefix
    completed = family.complete(x, known, generator=seeded())
    assert family.completes_exactly(known)
    assert torch.equal(completed[..., :2], x[..., :2])
    agrees = (every[:, 0, :2] == prefix).all(1)
    with torch.no_grad():
        mass = family.log_prob(every[agrees]).softmax(0)  # p(rest | prefix)
    rest = completed[:, 0, 2].long() * 3 + completed[:, 0, 3].long()
    drawn = rest.bincount(minlength=9) / n
    assert (drawn - mass).abs().max() < 4 * math.sqrt(0.25 / n)


def test_a_known_end_is_kept_but_not_completed_exactly() -> None:
    family = wavenet(STATES)
    known = torch.tensor([[False, False, False, True]])
    completed = family.complete(torch.full((8, 1, 4), 2, dtype=torch.uint8), known, generator=seeded())
    assert not family.completes_exactly(known) and (completed[..., -1] == 2).all()


def test_temperature_zero_is_deterministic_and_greedy() -> None:
    family = wavenet(Event((1, 20), 11))
    samples = family.sample(8, temperature=0.0, generator=seeded())
    assert (samples == samples[:1]).all()
    with torch.no_grad():
        assert torch.equal(family.network(samples, None).argmax(-1), samples[:, 0].long())


@pytest.mark.parametrize(("output", "tolerance"), [("softmax", 0.1), ("logistic_mixture", 0.8)])
def test_a_new_model_is_about_uniform(output: str, tolerance: float) -> None:
    torch.manual_seed(0)
    family = WaveNet(WaveNetConfig(output=output), Event((1, 50), 256))
    loss = -family.log_prob(torch.randint(256, (8, 1, 50), generator=seeded())).mean() / 50
    assert loss.item() == pytest.approx(math.log(256), abs=tolerance)


def test_events_that_are_no_sequences_of_integers_are_refused() -> None:
    for event in (Event((1, 8, 8), 17), Event((4,), None), Event((1, 4), None)):
        with pytest.raises(UnsuitableEvent, match=r"sequences of integers.*pixelcnn.*maf"):
            WaveNet(WaveNetConfig(), event)


def test_levels_may_be_names_unless_the_output_is_a_mixture() -> None:
    names = Event((1, 4), 5, ordered=False)
    assert wavenet(names).sample(2, generator=seeded()).shape == (2, 1, 4)
    with pytest.raises(UnsuitableEvent, match=r"names.*softmax"):
        wavenet(names, output="logistic_mixture")


@pytest.mark.parametrize("wrong", [{"kernel_size": 1}, {"layers": 0}, {"stacks": 0}, {"output": "gaussian_mixture"}])
def test_a_configuration_is_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        WaveNetConfig(**wrong)


@pytest.mark.parametrize("kernel_size", [2, 3])
def test_sampling_takes_the_arithmetic_of_about_one_pass(kernel_size: int) -> None:
    T = 200
    family = wavenet(Event((1, T), 16), channels=16, gate_channels=16, layers=6, stacks=2, kernel_size=kernel_size)
    one_pass = operations(lambda: family.network(torch.zeros(2, 1, T), None))
    sampling = operations(lambda: family.sample(2, generator=seeded()))
    assert 0.9 * one_pass < sampling < 1.5 * one_pass


def test_a_wave_is_learnt() -> None:
    event = Event((1, 48), 8, 2)
    wave = torch.tensor([3, 5, 6, 7, 6, 5, 3, 2, 1, 0, 1, 2], dtype=torch.uint8).repeat(5)
    phases = torch.stack([wave[start : start + 48] for start in range(12)])[:, None]
    family = wavenet(event, torch.float32, jitter=0.0, channels=16, gate_channels=16, skip_channels=32)
    (player,) = family.players()
    optimizer = torch.optim.Adam(family.parameters(), lr=0.01)
    for _ in range(200):
        optimizer.zero_grad()
        loss = player.loss(Batch(phases, None, Noise(seeded(), 12)))
        loss.backward()
        optimizer.step()
    assert loss.item() < 1.2 * math.log(12) / 48, "nothing but the phase is left to tell"
    known = torch.arange(48)[None] < 12
    completed = family.eval().complete(phases * known, known, generator=seeded())
    assert (completed == phases).float().mean() > 0.99


def test_it_models_sequences_of_integers() -> None:
    for event in (IMAGE, VECTOR):
        refused("wavenet", event, r"^wavenet models sequences of integers")


def test_the_steps_of_sampling_are_compiled_if_so_wished() -> None:
    torch.compiler.reset()
    family = wavenet(SEQUENCE, torch.float32)
    family.compile_sampling()
    with patch("torch.compile", partial(torch.compile, backend="eager")):
        family.sample(2)
    assert torch._dynamo.utils.counters["frames"]["ok"] > 0
