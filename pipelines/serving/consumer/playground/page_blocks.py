"""The page as a whole: a tab for everything that at least one of the models offers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

import gradio as gr

from . import tabs
from .opened import Opened

Build = Callable[[Opened, gr.Tab], None]


def build(models: Sequence[Opened]) -> gr.Blocks:
    """The page for these models."""
    with gr.Blocks(title="Genera playground", analytics_enabled=False, fill_width=False) as page:
        lines = "".join(f"<li><b>{escape(opened.title)}</b> {escape(opened.in_words)}</li>" for opened in models)
        gr.HTML(f'<header class="top"><h1>Genera playground</h1><ul>{lines}</ul></header>')
        with gr.Tabs():
            with gr.Tab("Samples"):
                tabs.samples(models, page)
            _tab("Complete", [opened for opened in models if opened.offers("complete")], tabs.completions)
            _tab("Codes", [opened for opened in models if opened.offers("decode")], tabs.codes)
            _tab("Score", [opened for opened in models if opened.offers("log_prob")], tabs.scores)
    return page


def _tab(name: str, models: Sequence[Opened], fill: Build) -> None:
    """A tab with a panel for each model that offers this, of which one is shown; none where no model does."""
    if not models:
        return
    several = len(models) > 1
    choices = [(opened.title, place) for place, opened in enumerate(models)]
    with gr.Tab(name) as tab:
        chosen = gr.Radio(choices, value=0, label="Model", visible=several)
        panels = []
        for place, opened in enumerate(models):
            with gr.Column(visible=place == 0) as panel:
                fill(opened, tab)
            panels.append(panel)

    def show(chosen: int) -> list[Any]:
        return [gr.update(visible=place == chosen) for place in range(len(panels))]

    if several:
        chosen.change(show, chosen, panels, api_visibility="private", show_progress="hidden")
