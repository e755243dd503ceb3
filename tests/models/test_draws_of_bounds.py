"""Several draws of noise make a tighter bound, and never more than the probability."""

from __future__ import annotations

import pytest
import torch

from models.catalogue import build, family_class
from models.contract import Density, Event

EVENT = Event((1, 2, 2), 3)


def rough(model: str, **config: object) -> Density:
    """A density of four numbers 0 … 2 that is anything but flat within their bins."""
    torch.manual_seed(1)
    settings = {"hidden": [8]} if model != "gmm" else {"components": 3}
    family = build(model, family_class(model).Config(**settings, **config), EVENT)
    x = torch.randint(3, (200, 1, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    family.initialise(x, None, torch.Generator().manual_seed(0))
    for parameter in family.parameters():
        parameter.data.add_(0.3 * torch.randn_like(parameter))
    assert isinstance(family, Density)
    return family


ALL = torch.cartesian_prod(*[torch.arange(3)] * 4).view(-1, 1, 2, 2).to(torch.uint8)


@torch.no_grad()
@pytest.mark.parametrize(
    ("model", "config"),
    [("gmm", {}), ("maf", {}), ("nice", {}), ("maf", {"dequantisation": "variational"})],
    ids=["gmm", "maf", "nice", "maf, learnt noise"],
)
def test_more_draws_are_tighter_and_their_mean_is_the_probability(model: str, config: dict[str, object]) -> None:
    family = rough(model, **config)
    seeds = range(40)
    bounds = {
        draws: torch.stack([family.log_prob(ALL, None, torch.Generator().manual_seed(s), draws) for s in seeds])
        for draws in (1, 4, 16)
    }
    one, four, sixteen = (bounds[draws].mean(0) for draws in (1, 4, 16))
    assert one.mean() < four.mean() < sixteen.mean()
    truth = bounds[16].logsumexp(0) - torch.tensor(40.0).log()  # of 640 draws
    assert (sixteen < truth + 1e-6).all()
    assert truth.exp().sum() < 1.02, "a density has no more than unit mass in all bins together"


def test_one_draw_is_what_it_was_and_noise_is_drawn_once_where_there_is_none_to_average() -> None:
    maf, x = rough("maf"), ALL[:5]
    again = [maf.log_prob(x, None, torch.Generator().manual_seed(3), draws) for draws in (1, 1)]
    assert torch.equal(*again)
    exact = build("maf", family_class("maf").Config(hidden=[8]), Event((3,), None))
    assert isinstance(exact, Density) and (maf.draws_of(8), exact.draws_of(8)) == (8, 1)
    vae = build("vae", family_class("vae").Config(hidden=[8]), EVENT)
    assert isinstance(vae, Density) and vae.draws_of(8) == 1, "it has importance_samples of its own"
