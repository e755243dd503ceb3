"""One training loop for every family: it moves players, validates, checkpoints, and resumes to the same bits.

Data parallelism is that of torch.distributed, if it is initialised: every worker draws the noise of the whole global
batch and computes on its own rows, so N workers move the weights as one worker would.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any, NoReturn

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from models.contract import Batch, Player
from models.noise import Noise

from ..data.augmentation import augmented
from ..data.examples import Feed, batch_rows
from ..device import device, forget_peak, peak_mib, random_states, set_random_states
from ..errors import UserError
from ..evaluation.concerns import Watch
from ..evaluation.metrics.operations import training_flops
from ..lease import Lease, owned
from ..params.schema import Loop
from ..progress import progress
from ..storage import Folder
from . import checkpoint
from .players import PlayerLoss, make_optimiser, pace
from .ranks import Workers
from .task import State, Task

Report = Callable[[dict[str, float]], None]
EndsSoon = Callable[[], bool]
COUNTED = 8  # examples of the step whose operations are counted
CHECK_EVERY = 50  # steps between two looks at the losses for divergence; a look waits for the GPU
ASK_SECONDS = 2.0  # about so long between two questions whether a machine's end was announced
INTERIM = "interim"  # the folder, within that of the checkpoints, of those that were saved before such an end


def unheard(row: dict[str, float]) -> None:
    """Nobody waits for reports."""


def never() -> bool:
    """No end is ever announced."""
    return False


@dataclass(frozen=True)
class Part:
    """Which steps of a training are made: up to `until`, from the checkpoints in `before` where there are none yet.

    The validations of the first steps, up to `told`, were reported before.
    """

    told: int = 0
    until: int | None = None
    before: Folder | None = None


def fit(
    task: Task,
    loop: Loop,
    seed: int,
    folder: Folder,
    report: Report = unheard,
    ends_soon: EndsSoon = never,
    part: Part = Part(),
) -> int:
    """Train until the last step or early stopping; the outcome is the last checkpoint in `folder`.

    Called again it resumes from the newest checkpoint: it first reports the validations so far again, then goes on.
    The step that was reached is returned: that of the end, or of the end of the part that is asked for. Learning rates
    and decays are those of the task, whatever the checkpoint was made with.
    A training that diverges goes back to its last validated state as often as `loop.rescues` allows; then it raises
    `UserError`, with the best weights kept in the checkpoints. When `ends_soon` says that a machine is about to be
    taken away, which all workers ask together, the state is saved at once, and again until it is gone.
    """
    return Training(task, loop, seed, folder, report, ends_soon, part).run()


class _Divergence(Exception):
    """A training goes wrong: why."""


class Training:
    """The state of one training and the moves that advance it."""

    def __init__(
        self,
        task: Task,
        loop: Loop,
        seed: int,
        folder: Folder,
        report: Report = unheard,
        ends_soon: EndsSoon = never,
        part: Part = Part(),
    ) -> None:
        self.task, self.loop, self.seed, self.folder = task, loop, seed, folder
        self.report, self.ends_soon = report, ends_soon
        self.told, self.until = part.told, part.until or loop.steps
        self._kept = (folder,) if part.before is None else (folder, part.before)
        self.device = device()
        self.workers = Workers(self.device)
        self.module = task.module.to(self.device)
        self.generator = torch.Generator(self.device).manual_seed(seed)
        self.batch_size = self._batch_size()
        self.weight = self.workers.weight(self.batch_size)
        self.feed = None if task.examples is None else Feed(task.examples, self._rows, loop.steps)
        self.state = State()
        self._watch = Watch(loop.steps)
        self._lease: Lease | None = None  # of the first worker, while it runs
        self._asked, self._ask_at = (time.perf_counter(), 0), 0  # when `ends_soon` was asked, and when it will be
        self._pending: dict[str, Tensor] = {}  # sums of losses that may still be on their way from the GPU
        self.losses = {player.name: self._parallel(PlayerLoss(player)) for player in task.players}
        self._moved = [player for player in task.players if player.closed_form is None]
        self.optimisers = {player.name: make_optimiser(player) for player in self._moved}
        self._set_rates()
        weights = self.module.state_dict()
        self.ema = {key: value.clone() for key, value in weights.items()} if loop.ema_decay else {}
        self.best = {key: value.clone() for key, value in weights.items()}

    def run(self) -> int:
        """Resume, then step to the end, and say which it is."""
        with owned(self.folder, self.task.name) if self.workers.is_first else nullcontext() as self._lease:
            self._run()
        return self.state.step

    def _run(self) -> None:
        forget_peak(self.device)
        self._restore(self.folder / INTERIM, *self._kept)
        self._asked, self._ask_at = (time.perf_counter(), self.state.step), self.state.step + 1
        for row in self.state.history:
            if row["step"] > self.told:
                self.report(dict(row))
            self._watch.stuck(int(row["step"]), self.task.concerns(row))  # what the log has already
        if self._ended:
            return
        if self.loop.rescues and self.state.step == 0:
            self._save()  # what a divergence before the first validation goes back to
        reading = closing(self.feed) if self.feed is not None else nullcontext()
        with reading, progress(self.task.name, self.state.step, self.loop.steps) as advance:
            while not self._ended:
                try:
                    validated = self._advance()
                except _Divergence as divergence:
                    self._rescue(str(divergence))
                    continue
                if validated:
                    self.report(dict(self.state.history[-1]))
                if self.workers.is_first:
                    advance(self.state.step, self._status(), last=self.state.finished)

    @property
    def _ended(self) -> bool:
        return self.state.finished or self.state.step >= self.until

    def _advance(self) -> bool:
        """A step and all that is due after it. Was that a validation?"""
        began = time.perf_counter()
        self._step()
        step, last = self.state.step, self.state.step == self.until
        validated = last or step % self.loop.validate_every == 0
        if validated or step % CHECK_EVERY == 0 or step % self.loop.checkpoint_every == 0:
            self._check_divergence()
        if validated:
            self._validate()
            stopped = self.loop.patience is not None and self.state.waited >= self.loop.patience
            self.state.finished = step == self.loop.steps or stopped
            if self.state.finished:
                self._voice(self._watch.unsaid(self.state.best_concerns))
                self._count()
        self.state.seconds += time.perf_counter() - began
        # What can be gone back to must have been found good, by a validation.
        due = validated if self.loop.rescues else step % self.loop.checkpoint_every == 0
        if self._ended or due:
            self._save()
        elif self._ends_soon():
            self._save(INTERIM)  # apart from those that a divergence goes back to
        return validated

    def _ends_soon(self) -> bool:
        """Is a machine about to be taken away? Asked now and then, by the first worker's clock, of all at one step."""
        step = self.state.step
        if step < self._ask_at:
            return False
        (began, first), now = self._asked, time.perf_counter()
        pace = ASK_SECONDS * (step - first) / max(now - began, 1e-9)
        # From one question to the next at most twice as long: a few fast steps say little about those to come.
        pause = self.workers.agreed(min(pace, 2 * (step - first)))
        self._asked, self._ask_at = (now, step), step + max(1, int(pause))
        return self.ends_soon()

    # One step

    def _step(self) -> None:
        if not self.module.training:  # validation left it so; to switch all its parts takes time
            self.module.train()
        for player in self.task.players:
            if self.state.step % player.every == 0:
                self._move(player, self._batch())
        self._update_ema()
        self.state.step += 1
        self._set_rates()
        self.state.examples += self.batch_size

    def _batch(self) -> Batch:
        """This worker's rows of the global batch of the current step."""
        mine = self.workers.rows(self.batch_size)
        rows = mine.stop - mine.start
        noise = Noise(self.generator, rows, mine.start, self.batch_size)
        step = torch.tensor(self.state.step)
        if self.feed is None:
            return Batch(torch.empty(rows, 0, device=self.device), None, noise, step)
        x, labels = self.feed.batch(self.state.step, noise)
        return Batch(augmented(x, self.loop.flip, self.loop.shift, noise), labels, noise, step)

    def _rows(self, step: int) -> Tensor:
        """The rows of the data that are this worker's in a step."""
        assert self.task.examples is not None
        mine = self.workers.rows(self.batch_size)
        return batch_rows(len(self.task.examples), self.batch_size, step, self.seed)[mine]

    def _move(self, player: Player, batch: Batch) -> None:
        """One move of one player: by gradient, or in closed form."""
        if player.closed_form is not None:
            with torch.no_grad():
                self._record(player, self.losses[player.name](batch) * self.weight)
            player.closed_form(batch)
            return
        self._freeze_all_but(player)
        optimiser = self.optimisers[player.name]
        optimiser.zero_grad(set_to_none=True)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.loop.precision == "bfloat16"):
            loss = self.losses[player.name](batch)
            if self.weight != 1:
                loss = loss * self.weight
        loss.backward()
        if self.loop.clip_norm is not None:
            nn.utils.clip_grad_norm_(player.module.parameters(), self.loop.clip_norm)
        optimiser.step()
        if player.project is not None:
            with torch.no_grad():
                player.project()
        self._record(player, loss.detach())

    def _freeze_all_but(self, player: Player) -> None:
        """Only the moving player's weights ask for gradients: the others' would be computed in vain."""
        if len(self.task.players) > 1:
            self.module.requires_grad_(False)
            player.module.requires_grad_(True)

    def _record(self, player: Player, loss: Tensor) -> None:
        pending = self._pending.get(player.name)
        self._pending[player.name] = loss.double() if pending is None else pending + loss.double()
        self.state.loss_count[player.name] = self.state.loss_count.get(player.name, 0) + 1

    def _update_ema(self) -> None:
        """ema ← d·ema + (1-d)·weights, d = min(decay, (1+t)/(10+t)) at step t; integer buffers are copied.

        So the average forgets the weights of the start within its first steps, whatever the decay.
        """
        if not self.ema:
            return
        decay = min(self.loop.ema_decay, (1 + self.state.step) / (10 + self.state.step))
        weights = self.module.state_dict()
        averaged = [key for key, value in weights.items() if value.is_floating_point()]
        torch._foreach_lerp_([self.ema[key] for key in averaged], [weights[key] for key in averaged], 1 - decay)
        for key in weights.keys() - set(averaged):
            self.ema[key].copy_(weights[key])

    # Validation

    def _validate(self) -> None:
        """Measure the weights that would be exported, keep them if they are the best, and write a row of history."""
        current = {key: value.clone() for key, value in self.module.state_dict().items()} if self.ema else {}
        if self.ema:
            self.module.load_state_dict(self.ema)
        self.module.eval()
        with torch.no_grad():
            measured = self.task.validate()
        objective = self.workers.agreed(measured["objective"])
        self._check_objective(objective)
        self.state.waited += 1
        if objective < self.state.best_objective:
            self.state.best_step, self.state.best_objective, self.state.waited = self.state.step, objective, 0
            self.best = {key: value.clone() for key, value in self.module.state_dict().items()}
        if current:
            self.module.load_state_dict(current)
        losses = {name: total / self.state.loss_count[name] for name, total in self.state.loss_sum.items()}
        named = {f"{name}_loss": value for name, value in losses.items()} if len(losses) > 1 else {}
        row = {"step": self.state.step, "loss": sum(losses.values()), **named, **measured, "objective": objective}
        self.state.history.append(row)
        self.state.peak_mib = max(self.state.peak_mib, peak_mib(self.device))
        self._look_for_concerns(row)
        self.state.loss_sum, self.state.loss_count = {}, {}

    def _look_for_concerns(self, row: Mapping[str, float]) -> None:
        """Keep what is wrong by a validation, and say what does not go away."""
        step, concerns = self.state.step, self.task.concerns(row)
        self.state.last_concerns = concerns
        if self.state.best_step == step:
            self.state.best_concerns = concerns
        self._voice(self._watch.stuck(step, concerns))

    def _voice(self, concerns: Sequence[str]) -> None:
        if concerns and self.workers.is_first:
            print(f"{self.task.name}: step {self.state.step}: {'; '.join(concerns)}", flush=True)

    def _count(self) -> None:
        """Count what was trained, and the operations of a step, as the last step of the loop does them."""
        self.state.parameters = sum(parameter.numel() for parameter in self.module.parameters())
        generator, step = torch.Generator(self.device).manual_seed(self.seed), torch.tensor(self.loop.steps - 1)
        examples = self.task.examples
        x, labels = (torch.empty(COUNTED, 0), None) if examples is None else examples.head(COUNTED)
        batch = Batch(x.to(self.device), labels, Noise(generator, len(x)), step)
        self.state.flops = training_flops(self.module.train(), self.task.players, batch)
        self.module.zero_grad(set_to_none=True)

    def _status(self) -> str:
        row = self.state.history[-1] if self.state.history else None
        if row is None:
            return ""
        best = f"best {self.state.best_objective:.4f} at {self.state.best_step}"
        return f"loss {row['loss']:.4f}  objective {row['objective']:.4f} ({best})"

    # Divergence

    def _collect_losses(self) -> None:
        """Bring the losses since the last look to the CPU, averaged over workers."""
        for name, total in self._pending.items():
            self.state.loss_sum[name] = self.state.loss_sum.get(name, 0.0) + self.workers.mean(total)
        self._pending = {}

    def _check_divergence(self) -> None:
        self._collect_losses()
        for name, total in self.state.loss_sum.items():
            mean = total / self.state.loss_count[name]
            first = self.state.first_loss.setdefault(name, mean)
            if not math.isfinite(mean):
                raise _Divergence(f"the loss of {name} is {mean}")
            if mean > self.loop.explode_factor * max(1.0, abs(first)):
                raise _Divergence(f"the loss of {name} rose from {first:.4g} to {mean:.4g}")

    def _check_objective(self, objective: float) -> None:
        """Where there are rescues left, to get worse than at first by more than was ever gained is divergence, too.

        And by more than the size of the first objective: at first little has been gained.
        """
        if not math.isfinite(objective):
            raise _Divergence(f"the validation objective is {objective}")
        if not self.state.history or self.state.rescues >= self.loop.rescues:
            return
        first, best = self.state.history[0]["objective"], self.state.best_objective
        if objective > first + max(first - best, abs(first)):
            raise _Divergence(f"the validation objective rose from {best:.4g} to {objective:.4g}")

    def _rescue(self, reason: str) -> None:
        """Go back to the last validated state, with half the learning rate from there on, as often as is allowed.

        Raises `UserError` when it is not, with the best weights so far in a file of their own.
        """
        rescues, step = self.state.rescues + 1, self.state.step
        if rescues > self.loop.rescues:
            self._give_up(reason)
        self._pending = {}
        if self.workers.is_first:
            checkpoint.forget(self.folder / INTERIM)  # of a way that is not gone again
        self._restore(*self._kept)
        self.state.rescues = rescues
        self._set_rates()
        if self.workers.is_first:
            left = self.loop.rescues - rescues
            print(
                f"{self.task.name}: diverged by step {step}: {reason}; back to step {self.state.step} with"
                f" {0.5**rescues:g} times the learning rate ({left} more rescue{'s' * (left != 1)})",
                flush=True,
            )

    def _pace(self, step: int) -> float:
        """The factor on the learning rate: half of it for each rescue so far."""
        return pace(self.loop, step) * 0.5**self.state.rescues

    def _give_up(self, reason: str) -> NoReturn:
        kept = ""
        if math.isfinite(self.state.best_objective):
            if self.workers.is_first:
                checkpoint.save(self.folder / "best", self.state.best_step, {"best": self.best}, {})
            kept = f"; the best weights (step {self.state.best_step}) are kept in {self.folder / 'best'}"
        rescued = f", after {self.state.rescues} rescues" if self.state.rescues else ""
        raise UserError(
            f"{self.task.name}: diverged by step {self.state.step}{rescued}: {reason}{kept}; "
            "lower the learning rate, or set clip_norm or warmup_steps"
        )

    # Checkpoints

    def _save(self, within: str = "") -> None:
        """Write the whole state; the first worker does it for all, whose states are equal."""
        self._collect_losses()
        if self.workers.is_first:
            groups: dict[str, Mapping[str, Tensor]] = {
                "module": self.module.state_dict(),
                "ema": self.ema,
                "best": self.best,
                "working": self.module.working_state(),
                "random": random_states(self.generator),
            }
            rest: dict[str, Any] = {"state": vars(self.state)}
            if self._lease is not None:
                self._lease.check()
                rest["owner"] = self._lease.token
            rest["device"] = self.device.type
            for name, optimiser in self.optimisers.items():
                groups[f"optimiser:{name}"] = checkpoint.of_optimiser(optimiser)
            checkpoint.save(self.folder / within if within else self.folder, self.state.step, groups, rest)
            if not within:
                checkpoint.forget(self.folder / INTERIM)
        self.workers.meet()

    def _restore(self, *folders: Folder) -> None:
        """Take up the newest readable checkpoint of some folders, if there is one, which the first worker finds."""
        found = self.workers.told(partial(checkpoint.load, *folders))
        if found is None:
            return
        groups, rest = found
        groups = {name: {key: each.to(self.device) for key, each in group.items()} for name, group in groups.items()}
        self.module.load_state_dict(groups["module"])
        self.ema = groups.get("ema", {})
        self.best = groups["best"]
        for name, working in self.module.working_state().items():
            working.copy_(groups["working"][name])
        if rest["device"] == self.device.type:
            set_random_states(self.generator, {name: value.cpu() for name, value in groups["random"].items()})
        elif self.workers.is_first:
            was = f"was made on {rest['device']}"
            print(f"{self.task.name}: its checkpoint {was}: it goes on with other random numbers", flush=True)
        self.state = State(**rest["state"])
        for name, optimiser in self.optimisers.items():
            checkpoint.to_optimiser(optimiser, groups.get(f"optimiser:{name}", {}))
        self._set_rates()

    def _set_rates(self) -> None:
        """Give the optimisers the learning rates of the present step."""
        for optimiser, player in zip(self.optimisers.values(), self._moved, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = player.learning_rate * self._pace(self.state.step)

    # Set-up

    def _batch_size(self) -> int:
        size = self.loop.batch_size
        if size == "all":
            if self.task.examples is None:
                raise UserError(f"{self.task.name}: batch_size: 'all' is not allowed here: give a number")
            size = len(self.task.examples)
        if size < self.workers.number:
            raise UserError(
                f"{self.task.name}: batch_size: {size} is not allowed: must be at least {self.workers.number}, a row"
                " for each worker"
            )
        return size

    def _parallel(self, loss: PlayerLoss) -> nn.Module:
        """The loss of a player, compiled if asked for, with its gradients averaged over the workers."""
        module: nn.Module = loss
        if self.loop.compile:
            module.compile()
        trained = any(parameter.requires_grad for parameter in module.parameters())
        if self.workers.number > 1 and loss.gradient and trained:
            ids = [self.device] if self.device.type == "cuda" else None
            module = DistributedDataParallel(
                module, device_ids=ids, forward_sync_buffers=False, find_unused_parameters=loss.partly
            )
        return module
