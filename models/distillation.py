"""Probability density distillation: a student that samples fast learns the density of a teacher that scores fast.

The student draws y from noise u and knows log q(y) for free; the teacher scores y in one pass. No data is needed:

    KL(q ‖ p) = E_u[log q(y(u)) - log p(y(u))]           (nats; the loss is per dimension)

The KL is mode-seeking: the student pays dearly for samples that the teacher finds unlikely, and nothing for modes
that it leaves out. Van den Oord et al., "Parallel WaveNet", 2017 (arXiv:1711.10433).
"""

from __future__ import annotations

import torch
from torch import Tensor

from .contract import Batch, Family, Player, RealDensity, Reparameterised, UnsuitableEvent


class Distillation:
    """A student and its frozen teacher, densities of the same real units y (N, D).

    The student takes over the teacher's units. Raises `UnsuitableEvent` for a pair that cannot work.
    """

    def __init__(self, student: Family, teacher: Family) -> None:
        if not isinstance(student, Reparameterised):
            raise UnsuitableEvent("the student cannot score its own samples; an iaf can")
        if not isinstance(teacher, RealDensity):
            raise UnsuitableEvent("the teacher has no density of real units to learn from; a maf has")
        if student.classes != teacher.classes:
            raise UnsuitableEvent("student and teacher must both be conditional, or neither")
        if repr(student.units) != repr(teacher.units):
            raise UnsuitableEvent(f"student and teacher need the same alpha: {student.units} is not {teacher.units}")
        self.event, self.classes = student.event, student.classes
        self.student: Reparameterised = student
        self.teacher: RealDensity = teacher
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
        teacher.eval().requires_grad_(False)

    def players(self) -> list[Player]:
        """One player, the student."""
        return self._players

    def _loss(self, batch: Batch) -> Tensor:
        labels = batch.noise.integers(self.classes) if self.classes else None
        return self.divergence(batch.noise.normal(self.event.dimensions), labels).mean()

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
