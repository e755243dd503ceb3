"""The tasks of a finished model: samples, likelihoods, codes and completions, in the units and types of its data."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from .answer import Answer, answered, as_json
from .classes import Classes
from .given import is_empty, numbers
from .incoming import Incoming
from .limits import LARGEST, Clock, Limits
from .media import from_wav
from .outgoing import Outgoing
from .parameters import Request, read
from .refusal import Refusal
from .row_table import Table, hold
from .typicality import Typicality, typicality

__all__ = ["Answering", "Limits", "Refusal", "Typicality", "as_json"]

SAMPLES = 16  # if no other number is asked for
REDRAWN = 1000  # times that a completion is drawn again which has a gap
MOST_DRAWN = 1_000_000  # rows of a table, of which those that fulfil conditions are kept
LEAST = float(torch.finfo(torch.float32).min)  # of an example for whose density there is no float

Values = np.ndarray | pd.DataFrame


class Answering:
    """A trained family behind its tasks.

    `models` has the modules `contract` and `noise` of the package that the family is of: that of this repository, or
    the one that a registered model carries. `config` is the content of config.json.
    """

    def __init__(
        self,
        family: Any,
        models: Mapping[str, ModuleType],
        config: Mapping[str, Any],
        scores: Typicality | None = None,
    ) -> None:
        contract = models["contract"]
        self.family, self.event, self.noise = family, family.event, models["noise"]
        self.device = next(family.parameters()).device
        self.data: Mapping[str, Any] = config.get("data") or {}
        self.scores = scores
        self.classes = Classes.of(family.classes, self.data.get("class_names"))
        self.columns: list[str] = list(self.data.get("columns") or ())
        self.table: Table | None = None
        if self.data.get("types"):
            types = dict(zip(self.columns, self.data["types"], strict=True))
            self.table = Table(types, self.data.get("label") if family.classes else None, self.classes)
        self.incoming = Incoming(self.event, self.columns, self.table, self.classes)
        self.outgoing = Outgoing(self.event, self.data, self.columns, self.table, self.classes)
        self.tasks: dict[str, Callable[[Any, Request, dict[str, Any]], Iterator[Values]]] = {"sample": self._sample}
        if isinstance(family, contract.Density):
            self.tasks |= {"log_prob": self._log_prob} | ({} if scores is None else {"score": self._score})
        if isinstance(family, contract.Latent):
            self.tasks |= {"encode": self._encode, "decode": self._decode}
        if isinstance(family, contract.Completion):
            self.tasks["complete"] = self._complete

    def answer(self, data: Any, params: Mapping[str, Any]) -> Answer | pd.DataFrame:
        """Do what `params` ask for, with its `attrs`; a `Refusal` says in one line what is wrong.

        Rows of a table come back as the table that they are part of, with the types that its columns had.
        """
        parts, attrs = self.parts(data, params)
        made: list[Any] = list(parts)
        whole: Any = pd.concat(made) if isinstance(made[0], pd.DataFrame) else np.concatenate(made)
        if isinstance(whole, pd.DataFrame) and attrs["task"] != "complete":
            whole = whole.reset_index(drop=True)
        return answered(whole, attrs)

    @property
    def limits(self) -> Limits:
        """How much a request may ask for."""
        return self.incoming.limits

    @limits.setter
    def limits(self, limits: Limits) -> None:
        self.incoming.limits = limits

    def parts(self, data: Any, params: Mapping[str, Any]) -> tuple[Iterator[Values], dict[str, Any]]:
        """The same, a part after the other; what is said about them is complete with the last one."""
        request = read(params, self.tasks, self._usual_task(data))
        attrs: dict[str, Any] = {"task": request.task}
        return self._without_gradients(self.tasks[request.task](data, request, attrs)), attrs

    def _usual_task(self, data: Any) -> str:
        """What is done where no task is named: data are scored."""
        if is_empty(data):
            return "sample"
        return next((task for task in ("score", "log_prob") if task in self.tasks), "score")

    @staticmethod
    def _without_gradients(parts: Iterator[Values]) -> Iterator[Values]:
        while True:
            with torch.no_grad():
                part = next(parts, None)
            if part is None:
                return
            yield part

    def files(self, x: np.ndarray, form: str) -> list[bytes]:
        """Images (N, C, H, W) of levels as PNG, or sounds (N, 1, T) of levels as WAV."""
        return self.outgoing.files(x, form)

    def sound(self, content: bytes) -> np.ndarray:
        """The levels (1, 1, T) of a WAV file."""
        if self.event.kind != "sequence" or self.event.levels is None:
            raise Refusal(f"a WAV file is not for {self.event.in_words}")
        return from_wav(content, self.event.levels, self.data)

    # Samples

    def _sample(self, data: Any, request: Request, attrs: dict[str, Any]) -> Iterator[Values]:
        """New examples (n, *event) in the data's units."""
        if not is_empty(data):
            raise Refusal("data: the task sample reads none: leave it out, or name another task")
        n = request.n or SAMPLES
        self.limits.check(n, self.incoming.bytes, "n")
        draws = _Draws(request, attrs)
        labels = self.classes.chosen(request, n)
        if request.balanced:
            labels = self._balanced(labels, n)
        if request.where:
            yield from self._sample_where(n, labels, request, draws, attrs)
            return
        clock, start = Clock(self.limits, self.family.sampling_passes), 0
        while start < n:
            size = clock.next_size(n - start)
            given = None if labels is None else labels[start : start + size]
            yield self._drawn(size, given, request, draws, attrs)
            start += size

    def _drawn(
        self, n: int, labels: Tensor | None, request: Request, draws: _Draws, attrs: dict[str, Any]
    ) -> np.ndarray | pd.DataFrame:
        """New examples, of these classes or of classes by their shares in training."""
        if self.family.classes and labels is None:
            u = self.noise.uniform_rows(n, 1, draws.of_labels)[:, 0].double()
            ends = torch.tensor(self.family.label_shares, dtype=torch.float64).cumsum(0)[:-1]
            labels = torch.searchsorted(ends, u, right=True)
        given = None if labels is None else labels.to(self.device)
        x = self.family.sample(n, given, request.temperature, draws.generator)
        return self.outgoing.shown(x, labels, request, draws.rng, attrs)

    def _balanced(self, labels: Tensor | None, n: int) -> Tensor:
        """As many of each class, in turn."""
        if labels is not None or not self.family.classes:
            why = "labels are given" if labels is not None else "this model is unconditional"
            raise Refusal(f"balanced: {why}: leave it out")
        return torch.arange(n) % self.family.classes

    def _sample_where(
        self, n: int, labels: Tensor | None, request: Request, draws: _Draws, attrs: dict[str, Any]
    ) -> Iterator[pd.DataFrame]:
        """New rows that fulfil conditions.

        Where the family can draw the rest of a row exactly when some columns are known, it is given those that
        conditions set; rows that break a condition are dropped, which is exact for every family.
        """
        if self.table is None:
            raise Refusal("where: this model knows no columns with types: leave it out")
        if labels is not None and len(labels.unique()) > 1:
            raise Refusal("where: give one label, or none")
        conditions = self.table.conditions(request.where)
        label = self._label_of(conditions, labels)
        row, known = (torch.from_numpy(each) for each in self.table.known(conditions))
        labelled = label is not None or not self.family.classes  # completions do not say which class they drew
        able = labelled and "complete" in self.tasks
        given = able and bool(known.any()) and self.family.completes_exactly(known[None])
        attrs["where"] = "exact: " + (
            "what it sets is given, the rest is drawn" if given else "rows are drawn, and kept"
        )
        clock, drawn, found = Clock(self.limits, self.family.sampling_passes), 0, 0
        while found < n:
            if drawn >= MOST_DRAWN and found < n * drawn / (100 * MOST_DRAWN):
                raise Refusal(f"where: {found} of {drawn:,} rows fulfil {', '.join(request.where)}: too few to draw")
            size = clock.next_size(max(n, LARGEST))
            some = None if label is None else label.expand(size)
            if given:
                frame = self._given(row.expand(size, -1), known.expand(size, -1), some, request, draws)
            else:
                made = self._drawn(size, some, request, draws, attrs)
                assert isinstance(made, pd.DataFrame)
                frame = made
            kept = frame[hold(conditions, frame)][: n - found]
            drawn, found = drawn + size, found + len(kept)
            if len(kept):
                yield kept

    def _label_of(self, conditions: Any, labels: Tensor | None) -> Tensor | None:
        """The one label (1,) that is asked for, or that conditions set."""
        assert self.table is not None
        for condition in conditions:
            if condition.equal and condition.column == self.table.label:
                if labels is not None:
                    raise Refusal(f"where: {condition.column} is given by labels, too: leave one of them out")
                return torch.tensor([self.classes.names.index(condition.value)])
        return None if labels is None else labels[:1]

    def _given(
        self, row: Tensor, known: Tensor, labels: Tensor | None, request: Request, draws: _Draws
    ) -> pd.DataFrame:
        """Rows of which some columns are known."""
        assert self.table is not None
        labels = None if labels is None else labels.to(self.device)
        x = self.family.complete(
            row.to(self.device), known.to(self.device), labels, request.temperature, draws.generator
        )
        return self.table.decode(x.cpu().numpy(), self.classes.named(labels), draws.rng)

    # Likelihoods

    def _log_prob(self, data: Any, request: Request, attrs: dict[str, Any]) -> Iterator[Values]:
        """Log-likelihoods (N,) in nats; bounds draw their noise with the seed, by default with a fixed one."""
        x, labels = self.incoming.examples(data, request, reads_label=True)
        attrs |= {"unit": "nats", "bound": self.family.bound}
        generator = torch.Generator().manual_seed(request.seed or 0)
        for part, some in self._portions(self.family.scoring_passes, x, labels):
            yield _finite(self.family.log_prob(part, some, generator)).cpu().numpy()

    def _score(self, data: Any, request: Request, attrs: dict[str, Any]) -> Iterator[Values]:
        """How likely each example is, in the unit of the report too, and how usual among held-out examples."""
        assert self.scores is not None
        x, _ = self.incoming.examples(data, request)
        discrete = self.event.levels is not None
        name = "nll_bits_per_dim" if discrete else "nll_nats"
        attrs |= {"unit": "log_prob: nats", "bound": self.family.bound}
        generator = torch.Generator().manual_seed(0)
        for part, _ in self._portions(self.family.scoring_passes * self.scores.draws, x, None):
            log_prob = _finite(self.family.log_prob(part, None, generator, self.scores.draws)).double().cpu().numpy()
            nll = -(log_prob + self._log_volume())
            percentile = self.scores.percentile(nll)
            yield pd.DataFrame(
                {
                    "log_prob": log_prob,
                    name: nll / (self.event.dimensions * np.log(2)) if discrete else nll,
                    "percentile": percentile,
                    "typicality": typicality(percentile),
                }
            )

    def _log_volume(self) -> float:
        """What makes log-likelihoods of vectors those of standardised ones, as the report has them: Σ_d log σ_d."""
        return sum(math.log(column.std) for column in self.event.columns or ()) if self.event.kind == "vector" else 0.0

    # Codes

    def _encode(self, data: Any, request: Request, attrs: dict[str, Any]) -> Iterator[Values]:
        """Codes (N, L) of examples."""
        x, labels = self.incoming.examples(data, request, reads_label=True)
        self.classes.need(labels, "encode")
        for part, some in self._portions(1, x, labels):
            yield self.family.encode(part, some).cpu().numpy()

    def _decode(self, data: Any, request: Request, attrs: dict[str, Any]) -> Iterator[Values]:
        """Expected examples (N, *event), as floats, of codes (N, L); of codes of rows the rows nearest to them."""
        values, width = numbers(data), self._code_length()
        if values.ndim != 2 or values.shape[1] != width or len(values) == 0:
            raise Refusal(f"data: shape {values.shape} is not allowed: codes have the shape (N, {width}), N > 0")
        if not np.isfinite(values).all():
            raise Refusal("data: NaN and infinite values are not allowed")
        labels = self.classes.chosen(request, len(values))
        self.classes.need(labels, "decode")
        draws = _Draws(replace(request, seed=0), {})  # of pooled names
        for part, some in self._portions(1, torch.from_numpy(values.astype(np.float32)), labels):
            x = self.family.decode(part, some)
            if request.format == "png" and self.event.levels is not None:
                x = x.round().clamp(0, self.event.levels - 1)
            yield self.outgoing.shown(x, some, request, draws.rng, attrs)

    def _code_length(self) -> int:
        """L, found by encoding one example of zeros."""
        dtype = torch.float32 if self.event.levels is None else torch.uint8
        x = torch.zeros(1, *self.event.shape, dtype=dtype, device=self.device)
        labels = torch.zeros(1, dtype=torch.long, device=self.device) if self.family.classes else None
        return int(self.family.encode(x, labels).shape[1])

    # Completions

    def _complete(self, data: Any, request: Request, attrs: dict[str, Any]) -> Iterator[Values]:
        """Examples (N·n, *event), n for each: numbers that are NaN or None are drawn, all others are kept.

        Rows of a table in which a gap was drawn are drawn again: what is asked for is a value.
        """
        index = data.index if isinstance(data, pd.DataFrame) else None
        values, labels = self.incoming.with_holes(data, request)
        each = request.n or 1
        self.limits.check(len(values) * each, self.incoming.bytes, "n")
        known = torch.from_numpy(~np.isnan(values))
        x, known = (part.repeat_interleave(each, 0) for part in (self.incoming.in_units(np.nan_to_num(values)), known))
        labels = None if labels is None else labels.repeat_interleave(each, 0)
        attrs["exact"] = bool(self.family.completes_exactly(known))
        draws, start = _Draws(request, attrs), 0
        for part, some, flags in self._portions(self.family.sampling_passes, x, labels, known):
            made = self.outgoing.shown(self._filled(part, flags, some, request, draws), some, request, draws.rng, attrs)
            if isinstance(made, pd.DataFrame) and index is not None:
                made.index = index.repeat(each)[start : start + len(made)]
            start += len(made)
            yield made

    def _filled(self, x: Tensor, known: Tensor, labels: Tensor | None, request: Request, draws: _Draws) -> Tensor:
        """Completions without gaps."""
        made: Tensor = self.family.complete(x, known, labels, request.temperature, draws.generator)
        for _ in range(REDRAWN):
            holed = made.flatten(1).isnan().any(1)
            if not holed.any():
                return made
            given = None if labels is None else labels[holed]
            made[holed] = self.family.complete(x[holed], known[holed], given, request.temperature, draws.generator)
        raise Refusal(f"data: the model has hardly a value for what {int(holed.sum())} rows lack, but gaps")

    def _portions(self, passes: int, x: Tensor, labels: Tensor | None, *more: Tensor) -> Iterator[tuple[Any, ...]]:
        """Rows, their labels and `more` about each, on the device: a part at a time, by the passes that it takes."""
        clock, start = Clock(self.limits, passes), 0
        while start < len(x):
            rows = slice(start, start + clock.next_size(len(x) - start))
            some = None if labels is None else labels[rows].to(self.device)
            yield x[rows].to(self.device), some, *(each[rows].to(self.device) for each in more)
            start = rows.stop


class _Draws:
    """The randomness of a request: of examples, of labels and of pooled names, all by one seed."""

    def __init__(self, request: Request, attrs: dict[str, Any]) -> None:
        attrs["seed"] = secrets.randbelow(2**31) if request.seed is None else request.seed
        self.generator = torch.Generator().manual_seed(attrs["seed"])
        self.of_labels = torch.Generator().manual_seed(attrs["seed"])
        self.rng = np.random.default_rng(attrs["seed"])


def _finite(log_prob: Tensor) -> Tensor:
    """Log-likelihoods, of which those below all floats, of examples far out, are the least of these."""
    return log_prob.float().nan_to_num(nan=LEAST, neginf=LEAST)
