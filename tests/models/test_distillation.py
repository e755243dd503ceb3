"""The distillation's loss is the KL of student and teacher, and learning lowers it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from models.catalogue import build, family_class
from models.contract import Batch, Event, Family, UnsuitableEvent
from models.distillation import Distillation
from models.noise import Noise

from .families import IMAGE, VECTOR

PLANE = Event((2,), None, 3)


def family(model: str, event: Event = PLANE, **options: Any) -> Family:
    sizes = {} if model in ("gmm", "vae", "gan") else {"blocks": 2, "hidden": [16]}
    return build(model, family_class(model).Config(**sizes, **options), event)


def test_the_divergence_of_two_gaussians_is_their_kl() -> None:
    """Two one-component mixtures would do; here both flows are made affine by zeroing what depends on y."""
    student, teacher = family("iaf"), family("maf")
    with torch.no_grad():
        for flow in (student, teacher):
            for parameter in flow.parameters():
                parameter.zero_()
        student.blocks[0].made.layers[-1].bias.copy_(torch.tensor([0.5, 0.2, -0.3, 0.1]))  # μ₁ α₁ μ₂ α₂
        teacher.blocks[0].made.layers[-1].bias.copy_(torch.tensor([-0.1, 0.3, 0.4, -0.2]))

    def gaussian(flow: Family, to_data: bool) -> Normal:
        mu, alpha = flow.blocks[0].conditioner(torch.zeros(1, 2), None)  # type: ignore[operator,union-attr]
        # iaf: y = (u - μ) exp(-α); maf: u = (y - μ) exp(-α)
        return Normal(-mu * (-alpha).exp(), (-alpha).exp()) if to_data else Normal(mu, alpha.exp())

    expected = kl_divergence(gaussian(student, True), gaussian(teacher, False)).sum() / 2
    u = torch.randn(200_000, 2, generator=torch.Generator().manual_seed(0))
    kl, standard_error = Distillation(student, teacher).estimate(u, None, 50_000)
    assert kl == pytest.approx(expected.item(), abs=4 * standard_error)
    assert standard_error < 1e-2


def test_learning_lowers_the_divergence_and_leaves_the_teacher_alone() -> None:
    student, teacher = family("iaf", conditional=True), family("maf", conditional=True)
    with torch.no_grad():
        for parameter in teacher.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    before = {key: value.clone() for key, value in teacher.state_dict().items()}
    distillation = Distillation(student, teacher)
    (player,) = distillation.players()
    u, labels = torch.randn(512, 2, generator=torch.Generator().manual_seed(1)), torch.arange(512) % 3
    optimiser = torch.optim.Adam(player.module.parameters(), lr=1e-2)
    start, _ = distillation.estimate(u, labels, 512)
    generator = torch.Generator().manual_seed(0)
    for _ in range(150):
        optimiser.zero_grad()
        player.loss(Batch(torch.empty(128, 0), None, Noise(generator, 128))).backward()
        optimiser.step()
    end, _ = distillation.estimate(u, labels, 512)
    assert end < start / 5
    assert all(torch.equal(value, before[key]) for key, value in teacher.state_dict().items())
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_the_student_takes_over_the_units_of_its_teacher() -> None:
    student, teacher = family("iaf"), family("maf")
    teacher.initialise(torch.randn(100, 2) * 3 + 1, None, torch.Generator())
    Distillation(student, teacher)
    assert torch.equal(student.units.mean, teacher.units.mean)  # type: ignore[union-attr,arg-type]


@pytest.mark.parametrize(
    ("student", "teacher", "reason"),
    [
        (lambda: family("gmm"), lambda: family("maf"), "cannot score its own samples"),
        (lambda: family("iaf", IMAGE), lambda: family("gan", IMAGE), "no density of real units"),
        (lambda: family("iaf", conditional=True), lambda: family("maf"), "both be conditional"),
        (lambda: family("iaf", IMAGE, alpha=0.1), lambda: family("maf", IMAGE), "same alpha"),
    ],
)
def test_a_pair_that_cannot_work_is_refused(student: Any, teacher: Any, reason: str) -> None:
    with pytest.raises(UnsuitableEvent, match=reason):
        Distillation(student(), teacher())


def test_vectors_have_no_alpha_to_agree_on() -> None:
    Distillation(family("iaf", VECTOR, alpha=0.1), family("maf", VECTOR))
