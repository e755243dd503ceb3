"""How likely an example is, and how usual, in words."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import pandas as pd

from . import sights
from .opened import Opened, as_frame
from .own_examples import Example
from .python_lines import script

UNUSUAL, RARE = 0.1, 0.02  # typicalities below which an example is called so


def score(opened: Opened, example: Example) -> tuple[str, str]:
    """The score of one example as HTML, and Python that gives it."""
    x, lines = example.data, [example.python]
    column = opened.label_column
    if column is not None and column in x.columns:
        x = x.drop(columns=[column])
        lines.append(f"x = x.drop(columns=[{column!r}])")
    task = "score" if opened.offers("score") else "log_prob"
    answer = opened.ask(x, {"task": task})
    lines.append(f"score = {opened.loading.call('x', {'task': task})}")
    if task == "score":
        body = in_words(answer.iloc[0])
    else:
        body = f"<p>log-likelihood <b>{float(answer[0]):.4g}</b> nats; the model has no scores to compare it with.</p>"
    if answer.attrs.get("bound"):
        body += f'<p class="note">The likelihood is a bound: {escape(str(answer.attrs["bound"]))}.</p>'
    return sights.answer("Score", body, example.note), script(opened.loading, *lines)


def in_words(scores: pd.Series[Any]) -> str:
    """What a percentile and a typicality say, and the likelihood in its unit."""
    percentile, typicality = float(scores["percentile"]), float(scores["typicality"])
    bits = "nll_bits_per_dim" in scores.index
    nll = float(scores["nll_bits_per_dim" if bits else "nll_nats"])
    unit = "bits per dimension" if bits else "nats of the standardised data"
    verdict = "Usual." if typicality >= UNUSUAL else "Unusual." if typicality >= RARE else "Hardly like the data."
    if typicality < UNUSUAL:
        verdict += " Less likely than nearly all" if percentile < 50 else " Likelier than nearly all"
        verdict += " examples that the model has not seen"
        verdict += "." if percentile < 50 else ", as plain examples are: that is no better sign."
    share = int(np.clip(round(percentile), 0, 100))
    mark = f'<i style="left:{percentile:.1f}%"></i>'
    gauge = f'<div class="gauge" role="img" aria-label="percentile {share} of 100">{mark}</div>'
    return (
        f'<p class="verdict">{verdict}</p>{gauge}<p class="ends"><span>unlikely</span><span>likely</span></p>'
        f"<p>Of 100 examples that the model was not trained on, about <b>{share}</b> are less likely than this one "
        f"(percentile {percentile:.1f}). Typicality <b>{typicality:.2f}</b>: 1 is in the middle of the data, 0 is "
        f'unlike it on either side.</p><p class="note">Negative log-likelihood {nll:.4g} {unit}.</p>'
    )


def shown(opened: Opened, example: Example) -> str:
    """The example that is scored."""
    return sights.examples(opened, as_frame(opened, example.data) if opened.kind == "vector" else example.data)
