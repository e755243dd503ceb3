"""Codes at work: what lies between two examples, what single dimensions and labels do, and where the codes are.

    paths         z(t) from the code of one test example to that of another, on a straight line, and on the sphere: the
                  direction turns at a constant speed, the length is interpolated,
                      z(t) = ((1-t) ‖a‖ + t ‖b‖) · (sin((1-t) ω) a/‖a‖ + sin(t ω) b/‖b‖) / sin ω,   cos ω = a·b / ‖a‖‖b‖
                  as in many dimensions a normal prior lies near a sphere, which straight lines leave (Shoemake, 1985;
                  White, "Sampling Generative Networks", 2016, arXiv:1609.04468)
    traversal     one dimension of the code of an example at a time, from -3 to 3 standard deviations of the test codes
                  around their mean: those dimensions whose codes vary most
    directions    the code of an example of class A, moved along (mean code of class B) - (mean code of class A) of
                  training examples: control by labels that the model has never seen
    map           the codes of test examples in a plane, with draws of the prior N(0, I) in the same plane, and for
                  codes of two dimensions a grid of the prior's quantiles, decoded

A conditional model is given the label of the example that a path, a traversal or a grid starts from. So its paths join
examples of one class; those of an unconditional model join different classes, where there are any. Directions are those
of unconditional models alone: a conditional one keeps label and code apart to begin with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.contract import Event, Latent
from models.noise import Noise

from .array_record import ArrayRecord
from .completions import chosen

BATCH = 500
PAIRS = {"image": 5, "sequence": 1, "vector": 0, "table": 0}  # of test examples with a path between them
STEPS = {"image": 8, "sequence": 4, "vector": 0, "table": 0}  # codes of a path, its ends among them
TRAVERSED = {"image": 6, "sequence": 0, "vector": 0, "table": 0}  # dimensions
DIRECTED = {"image": 5, "sequence": 0, "vector": 0, "table": 0}  # pairs of classes
DEVIATIONS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)  # where a dimension is set, in standard deviations
STRENGTHS = (-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, 2.0)  # multiples of a direction
MAPPED = 1000  # test examples, and draws of the prior
SIDE = 15  # of a decoded grid over two dimensions

Labelled = tuple[Tensor, Tensor | None]  # examples, and labels if there are any


@dataclass(frozen=True)
class Latents(ArrayRecord):
    """What was made of the codes of length `length` (), the decoded examples as float16 in the data's units.

    Paths between P pairs: the examples `ends` (P, 2, *event), their labels `end_labels` (P, 2) or -1, and what was
    decoded, `linear` and `spherical` (P, S, *event). Traversal of the code of `start` (1, *event), with its
    `start_label` (1,) or -1: the `dimensions` (T,), the standard deviations of their codes `spreads` (T,), and
    `traversal` (T, R, *event). Directions: the examples `moved` (A, *event), the classes `from_to` (A, 2), and
    `directions` (A, Q, *event). Map: `codes` (N, 2) of test examples with `labels` (N,) or -1, draws of the `prior`
    (N, 2), the shares `explained` (2,) of the codes' variance, and `grid` (G², *event), empty unless the length is 2.
    """

    length: NDArray[np.int64]
    ends: NDArray[Any]
    end_labels: NDArray[np.int64]
    linear: NDArray[np.float16]
    spherical: NDArray[np.float16]
    start: NDArray[Any]
    start_label: NDArray[np.int64]
    dimensions: NDArray[np.int64]
    spreads: NDArray[np.float64]
    traversal: NDArray[np.float16]
    moved: NDArray[Any]
    from_to: NDArray[np.int64]
    directions: NDArray[np.float16]
    codes: NDArray[np.float32]
    labels: NDArray[np.int64]
    prior: NDArray[np.float32]
    explained: NDArray[np.float64]
    grid: NDArray[np.float16]

    @classmethod
    def none(cls, event: Event) -> Latents:
        """Those of a model that has no codes."""
        x = np.zeros((0, *event.shape), np.float32 if event.levels is None else np.uint8)
        decoded, numbers = np.zeros((0, 0, *event.shape), np.float16), np.zeros(0, np.int64)
        plane = np.zeros((0, 2), np.float32)
        return cls(
            length=np.array(0),
            ends=x[:, None],
            end_labels=np.zeros((0, 2), np.int64),
            linear=decoded,
            spherical=decoded,
            start=x,
            start_label=numbers,
            dimensions=numbers,
            spreads=np.zeros(0),
            traversal=decoded,
            moved=x,
            from_to=np.zeros((0, 2), np.int64),
            directions=decoded,
            codes=plane,
            labels=numbers,
            prior=plane,
            explained=np.zeros(2),
            grid=np.zeros((0, *event.shape), np.float16),
        )


class Coded(NamedTuple):
    """The codes (N, L) of test examples, what was decoded of them (N, *event), and what the prior is compared with.

    As many `drawn` codes (N, L) of the same examples, as the model itself sees them, and draws of the `prior` (N, L).
    """

    codes: Tensor
    drawn: Tensor
    prior: Tensor
    decoded: Tensor


@dataclass(frozen=True)
class Coder:
    """A family's codes, a batch at a time; a conditional one is given labels (N,), any other none."""

    family: Latent
    event: Event
    conditional: bool

    def encode(self, x: Tensor, labels: Tensor | None) -> Tensor:
        """The codes (N, L) of examples (N, *event); what is not finite counts as zero."""
        return _finite(torch.cat([self.family.encode(*part) for part in self._parts(x, labels)]))

    def draw(self, x: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        """The same with noise: as the model itself sees them."""
        parts = self._parts(x, labels)
        noise = (Noise(generator, len(some), device=x.device) for some, _ in parts)
        return _finite(
            torch.cat([self.family.draw_codes(*part, each) for part, each in zip(parts, noise, strict=True)])
        )

    def decode(self, z: Tensor, labels: Tensor | None) -> Tensor:
        """The examples (N, *event), as floats in the data's units, of codes (N, L); integers within their range."""
        z = z.to(torch.get_default_dtype())
        x = torch.cat([self.family.decode(*part) for part in self._parts(z, labels)]).double()
        return x if self.event.levels is None else x.nan_to_num().clamp(0, self.event.levels - 1)

    def _parts(self, rows: Tensor, labels: Tensor | None) -> list[Labelled]:
        parts = rows.split(BATCH)
        given = labels.split(BATCH) if self.conditional and labels is not None else [None] * len(parts)
        return list(zip(parts, given, strict=True))


def _finite(codes: Tensor) -> Tensor:
    return codes.double().nan_to_num(0, 0, 0)


def look_into(
    family: Latent, event: Event, conditional: bool, test: Labelled, train: Labelled, seed: int
) -> tuple[Latents, Coded]:
    """What is shown of the codes of test examples, and what can be measured of them."""
    coder, (x, labels) = Coder(family, event, conditional), test
    codes = coder.encode(x, labels)
    length = codes.shape[1]
    generator = torch.Generator().manual_seed(seed)
    prior = torch.randn(codes.shape, generator=generator).to(codes)
    drawn_codes = coder.draw(x, labels, generator)
    origin, axes, explained = plane(codes)
    known = np.full(len(x), -1) if labels is None else labels.cpu().numpy().astype(np.int64)

    pairs = pairs_of(None if labels is None else known, len(x), PAIRS[event.kind], conditional)
    first = torch.from_numpy(pairs[:, 0]).to(x.device)
    at = torch.linspace(0, 1, STEPS[event.kind], dtype=codes.dtype, device=x.device)
    ends = codes[torch.from_numpy(pairs).to(x.device)]  # (P, 2, L)
    paths = [path(ends[:, 0], ends[:, 1], at) for path in (linear, spherical)]

    dimensions, traversal = _traversal(codes, TRAVERSED[event.kind])
    grid = _quantiles(codes) if length == 2 and event.kind == "image" else codes[:0]
    drawn = bool(len(dimensions) + len(grid))
    moved, from_to, directions = _directions(coder, codes, known, train, DIRECTED[event.kind])

    # One call decodes all: a model that decodes number by number needs as many steps for hundreds of codes as for one.
    parts = [codes, *(path.flatten(0, 1) for path in paths), traversal.flatten(0, 1), grid, directions.flatten(0, 1)]
    given: Tensor | None = None
    if labels is not None:
        along = labels[first].repeat_interleave(len(at))
        rest = [labels[:1].expand(len(part)) for part in parts[3:]]
        given = torch.cat([labels, along, along, *rest])
    decoded = coder.decode(torch.cat(parts), given).split([len(part) for part in parts])
    shown = [part.to(torch.float16).cpu().numpy() for part in decoded[1:]]
    shaped = event.shape
    made = Latents(
        length=np.array(length),
        ends=x.cpu().numpy()[pairs],
        end_labels=known[pairs],
        linear=shown[0].reshape(len(pairs), len(at), *shaped),
        spherical=shown[1].reshape(len(pairs), len(at), *shaped),
        start=x[: int(drawn)].cpu().numpy(),
        start_label=known[: int(drawn)],
        dimensions=dimensions.cpu().numpy(),
        spreads=codes.std(0)[dimensions].cpu().numpy(),
        traversal=shown[2].reshape(len(dimensions), len(DEVIATIONS), *shaped),
        moved=x.cpu().numpy()[moved],
        from_to=from_to,
        directions=shown[4].reshape(len(moved), len(STRENGTHS), *shaped),
        codes=((codes - origin) @ axes).float().cpu().numpy(),
        labels=known,
        prior=((prior - origin) @ axes).float().cpu().numpy(),
        explained=explained.cpu().numpy(),
        grid=shown[3],
    )
    return made, Coded(codes, drawn_codes, prior, decoded[0])


# Paths


def pairs_of(labels: NDArray[np.int64] | None, count: int, at_most: int, one_class: bool) -> NDArray[np.int64]:
    """Rows (P, 2) of `count` examples with labels (count,): each pair of one class, or of different ones if it can be.

    Pairs of one class are the first and the last example of classes that are evenly spread over all.
    """
    if one_class and labels is not None:
        names, counts = np.unique(labels, return_counts=True)
        names = names[counts > 1]
        names = names[chosen(len(names), None, at_most)]
        return np.array([np.flatnonzero(labels == name)[[0, -1]] for name in names], np.int64).reshape(-1, 2)
    rows = chosen(count, labels, 2 * at_most)
    return np.stack([rows[: len(rows) // 2], rows[len(rows) - len(rows) // 2 :]], 1)


def linear(a: Tensor, b: Tensor, at: Tensor) -> Tensor:
    """Codes (P, S, L) on straight lines from a (P, L) to b (P, L), at the shares `at` (S,) of the way."""
    t = at[:, None]
    return (1 - t) * a[:, None] + t * b[:, None]


def spherical(a: Tensor, b: Tensor, at: Tensor) -> Tensor:
    """Codes (P, S, L) from a (P, L) to b (P, L) whose direction turns evenly and whose length is interpolated.

    Between codes of which one is zero, or that point the same way or opposite ways, the line is the only path.
    """
    t = at[:, None]
    length_a, length_b = a.norm(dim=1)[:, None, None], b.norm(dim=1)[:, None, None]
    unit_a, unit_b = a[:, None] / length_a, b[:, None] / length_b
    angle = (unit_a * unit_b).sum(-1, keepdim=True).clamp(-1, 1).acos()
    turned = (((1 - t) * angle).sin() * unit_a + (t * angle).sin() * unit_b) / angle.sin()
    path = ((1 - t) * length_a + t * length_b) * turned
    return torch.where(angle.sin() > 1e-6, path, linear(a, b, at))  # NaN is not larger


# Single dimensions, and directions of labels


def _traversal(codes: Tensor, at_most: int) -> tuple[Tensor, Tensor]:
    """The dimensions (T,) whose codes (N, L) vary most, and the first code with each of them moved (T, R, L)."""
    mean, spread = codes.mean(0), codes.std(0)
    dimensions = spread.argsort(descending=True, stable=True)[:at_most]
    moved = codes[0].expand(len(dimensions), len(DEVIATIONS), -1).clone()
    for row, dimension in enumerate(dimensions.tolist()):
        moved[row, :, dimension] = mean[dimension] + spread[dimension] * codes.new_tensor(DEVIATIONS)
    return dimensions, moved


def _quantiles(codes: Tensor) -> Tensor:
    """Codes (G², 2) at quantiles of N(0, 1)², row by row from the top of a plane to its bottom."""
    z = torch.special.ndtri((torch.arange(SIDE, dtype=codes.dtype, device=codes.device) + 0.5) / SIDE)
    second, first = torch.meshgrid(z.flip(0), z, indexing="ij")
    return torch.stack([first.flatten(), second.flatten()], 1)


def _directions(
    coder: Coder, codes: Tensor, labels: NDArray[np.int64], train: Labelled, at_most: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Tensor]:
    """Rows (A,) of test examples, the classes (A, 2) from which and to which they go, and their codes (A, Q, L)."""
    nothing = np.zeros(0, np.int64), np.zeros((0, 2), np.int64), codes.new_zeros(0, len(STRENGTHS), codes.shape[1])
    x, of_x = train
    if coder.conditional or of_x is None or not at_most:
        return nothing
    present = np.intersect1d(np.unique(labels), of_x.unique().cpu().numpy())
    if len(present) < 2:
        return nothing
    learnt = coder.encode(x, None)
    begin = chosen(len(present), None, at_most)
    from_to = present[np.stack([begin, (begin + (len(present) + 1) // 2) % len(present)], 1)]
    rows = np.array([np.flatnonzero(labels == label)[0] for label in from_to[:, 0]])
    start, end = (torch.stack([learnt[of_x == label].mean(0) for label in side]) for side in from_to.T.tolist())
    strengths = codes.new_tensor(STRENGTHS)[:, None]
    return rows, from_to, codes[torch.from_numpy(rows)][:, None] + strengths * (end - start)[:, None]


# The map


def plane(codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Origin (L,) and axes (L, 2) of the plane in which codes (N, L) are shown, and the shares (2,) of their variance.

    Codes of one or two dimensions are shown as they are, others along their two principal components.
    """
    length = codes.shape[1]
    if length <= 2:
        origin, axes = codes.new_zeros(length), torch.eye(2, dtype=codes.dtype, device=codes.device)[:length]
    else:
        origin = codes.mean(0)
        axes = torch.linalg.svd(codes - origin, full_matrices=False).Vh[:2].T
        largest = axes.abs().argmax(0)
        axes = axes * axes[largest, [0, 1]].sign()  # of a direction and its opposite always the same
    whole = codes.var(0).sum()
    return origin, axes, (codes @ axes).var(0) / whole if whole > 0 else codes.new_zeros(2)
