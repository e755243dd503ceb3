"""Probability density distillation: a student that samples fast learns the density of a teacher that scores fast.

The student draws y from noise u and knows log q(y) for free; the teacher scores y in one pass. No data is needed:

    KL(q ‖ p) = E_u[log q(y(u)) - log p(y(u))] = H(q, p) - H(q)           (nats; the loss is per dimension)

The KL is mode-seeking: the student pays dearly for samples that the teacher finds unlikely, and nothing for modes
that it leaves out. Minimised is

    H(q, p) - entropy · H(q)
      + scale · mean_t (log σ_q,t - log σ_p,t)²                           ClariNet's regulariser
      + power · distance of the power spectra of y and of recordings      `spectra.py`
      - contrastive · [H(q(c), p(c')) - entropy · H(q(c))],  c' ≠ c       samples of a class should not be another's
      + cover · H(p, q)                                                   the teacher's own samples should be likely

The last is KL(p ‖ q) but for a constant. It is mode-covering, and slow: the student scores what it did not make, and
the teacher makes samples, each in D small steps. For tables that is worth it.

By the chain rule H(q, p) = E_y Σ_t H(q(y_t | u_<t), p(y_t | y_<t)). What is known of the conditionals is used, the
first of these that can be:

    closed form   both are Gaussian: H(q, p) = log σ_p + ½ log 2π + (σ_q² + (μ_q - μ_p)²) / (2 σ_p²)
    draws         q is Gaussian: the mean of -log p(y_t | y_<t) over several y_t given the same past, by one pass of p
    one sample    -log p(y)

A student's conditionals are Gaussian if all of its blocks go in the same order (`layers/flows/sequential.py`), and H(q)
is known in closed form then too.

Of a teacher that turns noise into data itself the student can first learn single samples, for `warm_start_steps`: both
get the same noise, and the loss is ‖student(u) - teacher(u)‖² / D. Where both are stacks of as many affine blocks,
which go through the numbers in the same orders, each block learns from its counterpart: with v what the teacher's
blocks before it make of the noise, the loss is

    Σ_blocks KL(N(μ_q, σ_q²) ‖ N(μ_p, σ_p²)),      μ_i and σ_i functions of v_<i

It has a value for every block, however deep, and soon the blocks together come close to the teacher.

Van den Oord et al., "Parallel WaveNet", 2017 (arXiv:1711.10433). Closed form and regulariser: Ping et al., "ClariNet",
2018 (arXiv:1807.07281).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .contract import (
    Batch,
    Family,
    Player,
    RealDensity,
    Reparameterised,
    UnsuitableEvent,
)
from .layers.autoregressive.conditionals import Gaussians, Teaching
from .layers.flows.bijections import BatchNorm
from .layers.flows.flow import Flow
from .layers.flows.sequential import gaussian_conditionals, has_gaussian_conditionals, matching_blocks
from .layers.labels import one_hot
from .layers.units import Units
from .noise import Noise
from .spectra import spectral_distance

LOSS_LIMIT = 50.0  # nats per dimension: in a warm start and with `cover`, what is less likely is not learnt from

Waveform = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Drawn:
    """Samples y (N, D) of a student, and q: the conditionals that they were drawn from, or log q(y) (N,)."""

    y: Tensor
    q: Gaussians | Tensor


class Distillation:
    """A student and its frozen teacher, densities of the same real units y (N, D).

    The student takes over the teacher's units. `draws` counts the y_t for each past; `waveform` maps examples in the
    data's units, as floats (N, D), to amplitudes, if they are not amplitudes themselves. With `power` the batches carry
    real examples and their labels; else they are empty. Raises `UnsuitableEvent` for a pair that cannot work.
    """

    def __init__(
        self,
        student: Family,
        teacher: Family,
        *,
        entropy: float = 1.0,
        scale: float = 0.0,
        power: float = 0.0,
        contrastive: float = 0.0,
        cover: float = 0.0,
        draws: int = 1,
        warm_start_steps: int = 0,
        waveform: Waveform | None = None,
    ) -> None:
        if not isinstance(student, Reparameterised):
            raise UnsuitableEvent("the student cannot score its own samples; an iaf can")
        if not isinstance(teacher, RealDensity):
            raise UnsuitableEvent("the teacher has no density of real units to learn from; a maf has")
        if not teacher.teaches:
            raise UnsuitableEvent(
                f"the teacher has no density of real units as it is configured; {teacher.needs_to_teach}"
            )
        if student.classes != teacher.classes:
            raise UnsuitableEvent("student and teacher must both be conditional, or neither")
        own, others = _units_in_words(student), _units_in_words(teacher)
        if own != others:
            raise UnsuitableEvent(
                f"student and teacher need the same alpha and dequantisation: {own} of the student is not {others}"
            )
        self.event, self.classes = student.event, student.classes
        self.student: Reparameterised = student
        self.teacher: RealDensity = teacher
        self.entropy, self.scale, self.power, self.contrastive = entropy, scale, power, contrastive
        self.cover = cover
        self.draws, self.warm_start_steps = draws, warm_start_steps
        self.waveform = waveform or (lambda x: x)
        # The teacher's pass over a sample as distributions, if the student has distributions to set against them.
        self.by_conditionals = isinstance(teacher, Teaching) and has_gaussian_conditionals(student)
        self.pairs = matching_blocks(student, teacher)
        self.has_batch_norm = any(isinstance(part, BatchNorm) for part in student.modules())
        self._check_options()
        self._players = [
            Player(
                "student",
                student,
                self._loss,
                student.config.learning_rate,
                weight_decay=student.config.weight_decay,
            )
        ]
        student.units.load_state_dict(teacher.units.state_dict())
        student.units.requires_grad_(False)
        teacher.eval().requires_grad_(False)

    def _check_options(self) -> None:
        wants = "warm_start_steps" if self.warm_start_steps else "cover" if self.cover else None
        if wants and not isinstance(self.teacher, Reparameterised):
            raise UnsuitableEvent(f"{wants} needs a teacher that turns noise into data; a maf does")
        if self.contrastive and self.classes < 2:
            raise UnsuitableEvent("contrastive needs conditional: true, and two classes or more")
        if self.power and self.event.kind != "sequence":
            raise UnsuitableEvent("power compares the spectra of sequences, such as audio")
        if self.cover and self.has_batch_norm:
            raise UnsuitableEvent(
                "cover needs a student without batch_norm: while it learns its two directions are not one density"
            )
        closed = isinstance(self.teacher, Teaching) and self.teacher.gaussian and self.by_conditionals
        if self.scale and not closed:
            raise UnsuitableEvent(
                "scale needs Gaussian conditionals: a wavenet with output: gaussian as teacher, and a student all of"
                " whose blocks go forward in time, such as an iaf with network: causal"
            )
        if self.draws > 1 and closed:
            raise UnsuitableEvent("draws has no use where both have Gaussian conditionals: the closed form needs none")
        if self.draws > 1 and not self.by_conditionals:
            raise UnsuitableEvent(
                "draws needs a teacher that says its conditionals, a wavenet, and a student all of whose blocks go"
                " forward in time, such as an iaf with network: causal"
            )

    def players(self) -> list[Player]:
        """One player, the student."""
        return self._players

    def _loss(self, batch: Batch) -> Tensor:
        labels = self._labels(batch)
        u = batch.noise.normal(self.event.dimensions)
        if batch.step < self.warm_start_steps:
            return self._warm_start_loss(u, labels)
        drawn = self._draw(u, labels)
        loss = self._kl(drawn, labels, batch.noise)
        if self.power:
            loss = loss + self.power * self._spectral_distance(drawn.y, batch)
        if self.contrastive:
            assert labels is not None
            others = (labels + 1 + batch.noise.integers(self.classes - 1)) % self.classes
            loss = loss - self.contrastive * self._kl(drawn, others, batch.noise, regularised=False)
        if self.cover:
            loss = loss + self.cover * self._cover_loss(batch.noise.normal(self.event.dimensions), labels)
        return loss

    def _labels(self, batch: Batch) -> Tensor | None:
        """Those of the examples to compare with, if there are any: else as many of each class as chance has it."""
        if not self.classes:
            return None
        if self.power:
            assert batch.labels is not None
            return batch.labels.long()
        return batch.noise.integers(self.classes)

    def _draw(self, u: Tensor, labels: Tensor | None) -> Drawn:
        if not self.by_conditionals:
            return Drawn(*self.student.sample_density(u, labels))
        assert isinstance(self.student, Flow)
        y, q = gaussian_conditionals(self.student, u, labels)
        return Drawn(y, q)

    def _kl(self, drawn: Drawn, labels: Tensor | None, noise: Noise, regularised: bool = True) -> Tensor:
        """[H(q, p) - entropy · H(q)] / D of the samples, p being that of the labels, and the regulariser."""
        q, D = drawn.q, self.event.dimensions
        if isinstance(q, Tensor):
            cross = -self.teacher.log_density(drawn.y, labels)
            parts = (cross + self.entropy * q) / D
            return (parts.clamp_max(LOSS_LIMIT) if self.cover else parts).mean()
        assert isinstance(self.teacher, Teaching)
        p = self.teacher.conditionals(drawn.y, labels)
        if isinstance(p, Gaussians):
            cross = q.cross_entropy(p)
            if regularised and self.scale:
                cross = cross + self.scale * (q.log_std - p.log_std).square()
        elif self.draws > 1:
            # the draws of a row are one draw of its noise, and stand in front of the rows
            z = noise.normal(self.draws, D).transpose(0, 1)
            cross = -p.log_density(q.draw(z)).mean(0)
        else:
            cross = -p.log_density(drawn.y)
        return (cross - self.entropy * q.entropy()).mean()

    def _warm_start_loss(self, u: Tensor, labels: Tensor | None) -> Tensor:
        """How far the student's y of the noise are from the teacher's own, or its blocks from their counterparts."""
        if not self.pairs:
            y, _ = self.student.sample_density(u, labels)
            return (y - self._teacher_samples(u, labels)).square().mean()
        v, context, loss = u, one_hot(labels, self.classes), u.new_zeros(())
        for own, theirs in self.pairs:
            with torch.no_grad():
                w, p = theirs.conditionals(v, context)
            _, q = own.conditionals(v, context)
            loss = loss + (q.cross_entropy(p) - q.entropy()).clamp_max(LOSS_LIMIT).mean()
            v = w
        return loss

    def _cover_loss(self, u: Tensor, labels: Tensor | None) -> Tensor:
        """H(p, q) / D on the teacher's samples, but for those that the student finds all but impossible.

        Where many blocks disagree, a density falls below all bounds and its gradients overflow, and would drown all
        others. The same holds for samples of the student that its teacher finds all but impossible.
        """
        y, limit = self._teacher_samples(u, labels), -LOSS_LIMIT * self.event.dimensions
        log_q = self.student.log_density(y, labels)
        likely = log_q > limit
        if not likely.any():
            return log_q.new_zeros(())
        if not likely.all():
            log_q = self.student.log_density(y[likely], None if labels is None else labels[likely])
        return -log_q.sum() / (len(u) * self.event.dimensions)

    @torch.no_grad()
    def _teacher_samples(self, u: Tensor, labels: Tensor | None) -> Tensor:
        """What the teacher makes of the noise (N, D)."""
        assert isinstance(self.teacher, Reparameterised)  # see `_check_options`
        y, _ = self.teacher.sample_density(u, labels)
        return y

    def _spectral_distance(self, y: Tensor, batch: Batch) -> Tensor:
        """How far the power spectra of samples y are from those of the examples of a batch."""
        assert isinstance(self.student.units, Units)
        sounds, real = (self.waveform(x.flatten(1)) for x in (self.student.units.inverse(y), batch.x.to(y.dtype)))
        classes = one_hot(batch.labels, self.classes)
        return spectral_distance(sounds, real, y.new_ones(len(y), 1) if classes is None else classes.to(y.dtype))

    def divergence(self, u: Tensor, labels: Tensor | None) -> Tensor:
        """log q(y(u)) - log p(y(u)) (N,) in nats per dimension; its mean estimates the KL."""
        y, log_q = self.student.sample_density(u, labels)
        return (log_q - self.teacher.log_density(y, labels)) / self.event.dimensions

    @torch.no_grad()
    def estimate(self, u: Tensor, labels: Tensor | None, batch: int) -> tuple[float, float]:
        """KL(student ‖ teacher) in nats per dimension over the noise u (N, D), and its standard error."""
        parts = zip(u.split(batch), [None] * len(u) if labels is None else labels.split(batch), strict=False)
        values = torch.cat([self.divergence(noise, some) for noise, some in parts]).double()
        return values.mean().item(), (values.std() / len(values) ** 0.5).item()


def _units_in_words(density: RealDensity | Reparameterised) -> str:
    """What a density makes of the data first: its logit transform, and what bound its dequantisation puts."""
    alpha, bound = getattr(density.units, "alpha", None), density.units.bound
    return f"alpha: {'null' if alpha is None else alpha}, {bound or 'exact'}"
