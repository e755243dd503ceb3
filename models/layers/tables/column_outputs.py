"""The distribution of each column of a table, given the outputs of a network: exact for every type.

    names, few levels   a probability for each, and for the gap
    numbers             Σ_m π_m N(y; μ_m, σ_m²) of the number on its column's scale y (see marginals.py): of a real one
                        the density, of an integer v the mass of its bin, and the probability of a gap. With the atoms
                        a_k of a column (see columns.py)

                            P(v) = Σ_k ω_k [v = a_k] + Σ_m π_m N(bin of v; μ_m, σ_m²),     Σ_k ω_k + Σ_m π_m = 1

So missing values are modelled as what they are, an outcome, and never imputed. Columns of a kind are computed together.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from ...columns import Column
from ...contract import Event
from ..autoregressive.outputs import GaussianMixture, Output
from ..bins import log_gaussian_interval
from ..draws import categorical
from ..normal import log_normal_density
from ..precision import at_least_float32
from .marginals import Marginals
from .table_numbers import padded_atoms


class Group(ABC):
    """The distributions of C columns of a kind. Each reads the first of P network outputs, as many as it needs."""

    uniforms = 2
    size: int

    @abstractmethod
    def start(self) -> Tensor:
        """Outputs (C, size) to begin with."""

    @abstractmethod
    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p(x) (…, C) of values x (…, C) by outputs h (…, C, P)."""

    @abstractmethod
    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        """Values (…, C), in float64, drawn by uniform numbers u (…, C, 2) from outputs h (…, C, P)."""

    @abstractmethod
    def middle(self, h: Tensor) -> Tensor:
        """The most likely name, or the mean number on its column's scale, (…, C) by outputs h (…, C, P)."""


class Names(Group):
    """A logit for each level, and one for the gap, which comes last."""

    def __init__(self, columns: Sequence[Column]) -> None:
        self.columns = columns
        counts = [(column.levels or 0) + (column.gaps > 0) for column in columns]
        self.gap_at = torch.tensor([column.levels or 0 for column in columns])
        self.count = torch.tensor(counts)
        self.size = max(counts)

    def start(self) -> Tensor:
        """The shares of the training examples."""
        started = torch.zeros(len(self.columns), self.size)
        for c, column in enumerate(self.columns):
            started[c, : len(column.shares)] = torch.tensor(column.shares).log()
        return started

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        place = torch.where(x.isnan(), self.gap_at.to(x.device), x.nan_to_num()).long()
        return self._log_masses(at_least_float32(h)).gather(-1, place[..., None])[..., 0]

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        log_masses = self._log_masses(h.double())
        if temperature == 0:
            return self._values(log_masses.argmax(-1))
        return self._values(categorical((log_masses / temperature).softmax(-1), u[..., 0].double()))

    def middle(self, h: Tensor) -> Tensor:
        return self._values(self._log_masses(h.double()).argmax(-1))

    def _log_masses(self, h: Tensor) -> Tensor:
        """log p (…, C, size), -∞ where a column has no such level."""
        absent = torch.arange(self.size, device=h.device) >= self.count.to(h.device)[:, None]
        return F.log_softmax(h[..., : self.size].masked_fill(absent, -torch.inf), -1)

    def _values(self, place: Tensor) -> Tensor:
        return torch.where(place == self.gap_at.to(place.device), torch.nan, place.double())


class Numbers(Group):
    """A mixture of M Gaussians on the column's scale and of A atoms, and a logit of the gap.

    The outputs are those of `GaussianMixture`, the logit of the gap, and those of atoms, as many as the column has.
    """

    def __init__(self, columns: Sequence[Column], components: int) -> None:
        self.mixture, self.components, self.columns = GaussianMixture(components), components, columns
        self.marginals = Marginals(columns)
        self.gaps = torch.tensor([column.gaps for column in columns])
        self.levels = torch.tensor([column.levels or 0 for column in columns])
        self.atoms = padded_atoms(columns)
        most = self.atoms.shape[1]
        shares = [[share for _, share in each.atoms] + [0.0] * (most - len(each.atoms)) for each in columns]
        self.atom_shares = torch.tensor(shares).view(len(columns), most)
        self.gap_at = self.mixture.size
        self.size = self.gap_at + 1 + most

    def start(self) -> Tensor:
        """Atoms and gaps with their shares of the training examples, and equal weights of the Gaussians."""
        mixture = self.mixture.start().expand(len(self.columns), -1)
        tiny = torch.finfo(torch.float32).tiny
        each = (1 - self.atom_shares.sum(1, keepdim=True)).clamp_min(1e-6) / self.components  # has the logit 0
        atoms = (self.atom_shares.clamp_min(tiny) / each).log().masked_fill(self.atoms.isnan(), 0.0)
        return torch.cat([mixture, self.gaps.clamp(1e-6, 1 - 1e-6).logit()[:, None], atoms], 1)

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        h, gap = at_least_float32(h), x.isnan()
        logit, holed = h[..., self.gap_at], (self.gaps > 0).to(x.device)
        log_p = self._log_prob_of_values(h, torch.where(gap, 0.0, x))
        return torch.where(gap, F.logsigmoid(logit), torch.where(holed, F.logsigmoid(-logit), 0.0) + log_p)

    def _log_prob_of_values(self, h: Tensor, x: Tensor) -> Tensor:
        """log p (…, C) of values x (…, C)."""
        gaussians, atoms = self._log_shares(h)
        there = x[..., None] == self.atoms.to(x)
        outcomes = [gaussians + self._log_gaussians(h, x), atoms.masked_fill(~there, -torch.inf)]
        return torch.cat(outcomes, -1).logsumexp(-1)

    def _log_shares(self, h: Tensor) -> tuple[Tensor, Tensor]:
        """log π of Gaussians (…, C, M), and log ω of atoms (…, C, A), -∞ where a column has fewer."""
        atoms = h[..., self.gap_at + 1 : self.size].masked_fill(self.atoms.isnan().to(h.device), -torch.inf)
        log_share = F.log_softmax(torch.cat([h[..., : self.components], atoms], -1), -1)
        return log_share[..., : self.components], log_share[..., self.components :]

    def _log_gaussians(self, h: Tensor, x: Tensor) -> Tensor:
        """log p (…, C, M) of values x (…, C) by each Gaussian: a density of real ones, of integers the mass of bins."""
        marginals, flat = self.marginals.to(x.device), x.flatten(0, -2)
        low, log_slope = (each.view_as(x)[..., None].to(h) for each in marginals(flat))
        levels = self.levels.to(x.device)
        real = (levels == 0)[:, None]
        _, mean, log_std = self.mixture.parameters(h[..., : self.mixture.size])
        log_density = log_normal_density((low - mean) * torch.exp(-log_std)) - log_std + log_slope
        if real.all():
            return log_density
        high = marginals(flat + 1)[0].view_as(x)[..., None].to(h)
        std = log_std.exp()
        a, b = (torch.where(real, end, edge) for end, edge in ((-1.0, low), (1.0, high)))
        first, last = ((x <= 0)[..., None] & ~real, (x >= levels - 1)[..., None] & ~real)
        log_mass = log_gaussian_interval((a - mean) / std, (b - mean) / std, first, last)
        return torch.where(real, log_density, log_mass)

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        """A gap, an atom or a Gaussian by the first uniform number, and a Gaussian's number by the second."""
        h, first = h.double(), u[..., 0].double()
        gap = torch.where((self.gaps > 0).to(h.device), h[..., self.gap_at].sigmoid(), 0.0)
        gaussians, atoms = self._log_shares(h)
        # Gaussians are last: however sums are rounded, no atom is drawn that a column has not.
        outcome = categorical(torch.cat([atoms, gaussians], -1).exp(), (first - gap) / (1 - gap))
        component = (outcome - atoms.shape[-1]).clamp_min(0)[..., None]
        _, mean, log_std = self.mixture.parameters(h[..., : self.mixture.size])
        mean, log_std = (each.gather(-1, component)[..., 0] for each in (mean, log_std))
        x = self._values(mean + temperature * log_std.exp() * torch.special.ndtri(u[..., 1].double()))
        x = self._with_atoms(x, torch.where(outcome < atoms.shape[-1], outcome, -1))
        return torch.where(first < gap, torch.nan, x)

    def middle(self, h: Tensor) -> Tensor:
        """The mean number on the column's scale; an atom, or a gap, that is more likely than all else together."""
        h = h.double()
        gaussians, atoms = self._log_shares(h)
        _, mean, _ = self.mixture.parameters(h[..., : self.mixture.size])
        places = self._atom_places().to(h.device)
        mean_y = (gaussians.exp() * mean).sum(-1) + (atoms.exp() * places).sum(-1)
        likely = F.pad((atoms.exp() > 0.5).double(), (1, 0), value=0.25).argmax(-1) - 1
        x = self._with_atoms(self._values(mean_y), likely)
        missing = (h[..., self.gap_at] > 0) & (self.gaps > 0).to(h.device)
        return torch.where(missing, torch.nan, x)

    def _atom_places(self) -> Tensor:
        """Where the middles of the atoms' bins are on the scales of their columns, (C, A)."""
        t = self.atoms.nan_to_num(0.0) + 0.5
        y: Tensor = self.marginals.to(t.device)(t.T)[0].T
        return y

    def _with_atoms(self, x: Tensor, which: Tensor) -> Tensor:
        """The values x (…, C), or where `which` (…, C) is no less than 0, the atom of that number."""
        if not self.atoms.shape[1]:
            return x
        atoms = self.atoms.to(x).expand(*which.shape, -1)
        return torch.where(which < 0, x, atoms.gather(-1, which.clamp_min(0)[..., None])[..., 0])

    def _values(self, y: Tensor) -> Tensor:
        """The values (…, C) of numbers y (…, C) on the columns' scales."""
        x = self.marginals.to(y.device).inverse(y.flatten(0, -2)).view_as(y)
        levels = self.levels.to(y.device)
        return torch.where(levels == 0, x, x.floor().clamp_min(0).minimum(levels - 1.0))


class ColumnOutput(Output):
    """The distribution of a single column."""

    uniforms = Group.uniforms

    def __init__(self, group: Group) -> None:
        self.group, self.size = group, group.size

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        return self.group.log_prob(h[..., None, :], x[..., None])[..., 0]

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        return self.group.draw(h[..., None, :], u[..., None, :], temperature)[..., 0]


class TableOutput(Output):
    """A distribution for each column; all have as many network outputs as the one that needs most."""

    uniforms = Group.uniforms

    def __init__(self, event: Event, components: int) -> None:
        columns = event.columns or ()
        named = [column.by_level for column in columns]
        makers: tuple[Callable[[Sequence[Column]], Group], ...] = (
            lambda some: Numbers(some, components),
            Names,
        )
        self.groups: list[tuple[Group, Tensor]] = []
        for kind, make in enumerate(makers):
            places = [d for d, each in enumerate(named) if each == bool(kind)]
            if places:
                self.groups.append((make([columns[d] for d in places]), torch.tensor(places)))
        self.alone = [ColumnOutput(makers[each]([column])) for column, each in zip(columns, named, strict=True)]
        self.size = max(group.size for group, _ in self.groups)

    def starts(self, numbers: int) -> Tensor:
        started = torch.zeros(numbers, self.size)
        for group, places in self.groups:
            started[places, : group.size] = group.start()
        return started.flatten()

    def at(self, position: int) -> Output:
        return self.alone[position]

    def log_prob(self, h: Tensor, x: Tensor) -> Tensor:
        """log p (…, D) of rows x (…, D) by outputs h (…, D, P)."""
        return self._together(lambda group, places: group.log_prob(h[..., places, :], x[..., places]))

    def draw(self, h: Tensor, u: Tensor, temperature: float) -> Tensor:
        """Rows (…, D) by outputs h (…, D, P) and uniform numbers u (…, D, 2)."""
        return self._together(lambda group, places: group.draw(h[..., places, :], u[..., places, :], temperature))

    def middle(self, h: Tensor) -> Tensor:
        """The middle (…, D) of each column's distribution, by outputs h (…, D, P)."""
        return self._together(lambda group, places: group.middle(h[..., places, :]))

    def _together(self, function: Callable[[Group, Tensor], Tensor]) -> Tensor:
        """What a function of each group gives of its columns, in the order of the columns."""
        parts = [function(group, places) for group, places in self.groups]
        order = torch.cat([places for _, places in self.groups]).argsort()
        return torch.cat(parts, -1)[..., order]
