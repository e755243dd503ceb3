"""Samples of the chosen models, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..mistake import Mistake
from . import sights
from .opened import ROWS, Opened
from .python_lines import plain, script

AS_IN_DATA, IN_TURN = "as in the data", "one of each in turn"
NAMED = "class "  # before the name of a class in the values of choices, so that no class is mistaken for the others


@dataclass(frozen=True)
class Wish:
    """What was set on the page; `conditions` is a text with a condition on each line."""

    n: int = 16
    seed: int | None = 0
    temperature: float = 1.0
    label: str = AS_IN_DATA
    conditions: str = ""


def classes(models: Sequence[Opened]) -> list[tuple[str, str]]:
    """The choices of a class, as shown and as a value: the classes of all these models; none if they have none."""
    names = list(dict.fromkeys(name for opened in models for name in opened.classes))
    fixed = [(AS_IN_DATA.capitalize(), AS_IN_DATA), (IN_TURN.capitalize(), IN_TURN)]
    return [*fixed, *((name, NAMED + name) for name in names)] if names else []


def sample(models: Sequence[Opened], wish: Wish) -> tuple[str, str]:
    """The samples as HTML, and Python that draws them; a model that refuses says so in its place."""
    if not models:
        return sights.refusal("Choose a model."), ""
    answers, scripts = [], []
    for opened in models:
        try:
            shown, lines = _of_one(opened, wish)
        except Mistake as mistake:
            answers.append(sights.answer(opened.title, sights.refusal(str(mistake))))
            continue
        answers.append(shown)
        scripts.append(lines)
    return sights.side_by_side(answers), "\n\n".join(scripts)


def _of_one(opened: Opened, wish: Wish) -> tuple[str, str]:
    labels, where, notes = [], [line.strip() for line in wish.conditions.splitlines() if line.strip()], []
    if wish.label.startswith(NAMED):
        labels = [wish.label.removeprefix(NAMED)]
    balanced = wish.label == IN_TURN
    if wish.label != AS_IN_DATA and not opened.classes:
        labels, balanced = [], False
        notes.append("This model has no classes: it draws from all of its data.")
    if where and opened.kind != "table":
        where = []
        notes.append("Conditions are for tables: this model draws without them.")
    params = {"task": "sample", "n": wish.n, "seed": wish.seed, "temperature": float(wish.temperature)}
    params |= {"labels": labels, "balanced": balanced, "where": where}
    x = opened.ask(None, plain(params))
    params["seed"] = x.attrs["seed"]
    if "where" in x.attrs:
        notes.append(str(x.attrs["where"]).capitalize() + ".")
    captions = x.attrs.get("labels")
    if opened.kind in ROWS and captions:
        captions = [f"class {name}" for name in captions]
    body = sights.examples(opened, np.asarray(x) if opened.kind not in ROWS else x, captions)
    lines = script(opened.loading, f"x = {opened.loading.call('None', plain(params))}")
    return sights.answer(opened.title, body, " ".join(notes)), lines
