"""Components that several tabs of the page have, and how what cannot be done is said there."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from html import escape
from typing import Any

import gradio as gr

from ..mistake import Mistake
from . import sights
from .opened import Opened
from .own_examples import Example, cells, drawn, from_cells, from_file, is_row, own_endings

SEEDS = 10_000  # from which another seed is drawn


def result(function: Callable[..., tuple[str, str]], *given: Any) -> tuple[str, str]:
    """HTML and Python, or what cannot be done as a sentence."""
    try:
        return function(*given)
    except Mistake as mistake:
        return sights.refusal(str(mistake)), ""


def another_seed() -> int:
    """One that a person can copy."""
    return secrets.randbelow(SEEDS)


@dataclass(frozen=True)
class Output:
    """Where a result is shown, and below it the Python that makes it."""

    html: gr.HTML
    code: gr.Code

    @classmethod
    def build(cls, before: str = "") -> Output:
        """The components, with a sentence to be read before there is a result."""
        html = gr.HTML(f'<p class="note">{before}</p>' if before else "", elem_classes="result")
        with gr.Accordion("The same in Python", open=False, elem_classes="python"):
            code = gr.Code(language="python", interactive=False, show_label=False, lines=3, wrap_lines=True)
        return cls(html, code)

    @property
    def both(self) -> list[Any]:
        """As outputs of an event."""
        return [self.html, self.code]


@dataclass(frozen=True)
class Drawing:
    """How many are drawn, at which temperature, with which seed."""

    n: gr.Slider
    temperature: gr.Slider
    seed: gr.Number
    another: gr.Button

    @classmethod
    def build(cls, most: int, n: int, what: str) -> Drawing:
        """The controls; "Another seed" sets the seed, which draws anew where that is listened to."""
        count = gr.Slider(1, most, n, step=1, label=f"How many {what}")
        temperature = gr.Slider(
            0, 2, 1, step=0.05, label="Temperature", info="Below 1 what is likely, above 1 more variety."
        )
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, info="The same seed draws the same.")
        another = gr.Button("Another seed", size="sm")
        another.click(another_seed, None, seed, api_visibility="private", show_progress="hidden")
        return cls(count, temperature, seed, another)


def class_choice(opened: Opened, label: str, unknown: bool) -> gr.Dropdown:
    """The classes of a model by name, not shown if it has none; `unknown` adds that it is not given, as ""."""
    choices = [*([("Not given", "")] if unknown else []), *((name, name) for name in opened.classes)]
    value = choices[0][1] if choices else None
    return gr.Dropdown(choices, value=value, label=label, visible=bool(opened.classes))


class Picker:
    """The example that is scored or completed: a sample, one's own file, or a row that is edited."""

    def __init__(self, opened: Opened) -> None:
        self.opened = opened
        self.state = gr.State(None)
        self.rows = is_row(opened)
        if self.rows:
            self.cells = gr.Dataframe(
                headers=["column", "value"],
                datatype="str",
                type="array",
                interactive=True,
                static_columns=[0],
                label="The row: edit its values, or blank them",
                show_label=True,
                max_height=420,
                buttons=[],
                elem_classes="cells",
            )
        with gr.Row():
            self.another = gr.Button("Another sample", size="sm", min_width=120)
            if not self.rows:
                what, endings = own_endings(opened)
                self.own = gr.UploadButton(f"My own {what}", file_types=endings, size="sm", min_width=120)
        self.file = gr.DownloadButton("Download example.npy, which the Python reads", visible=False, size="sm")
        self.said = gr.HTML("", visible=False)
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}
        outputs = [self.state, self.file, self.said, *([self.cells] if self.rows else [])]
        self.another.click(lambda: self.shown(drawn, another_seed()), None, outputs, **quiet)
        if not self.rows:
            self.own.upload(lambda path: self.shown(from_file, path), self.own, outputs, **quiet)

    @property
    def inputs(self) -> list[Any]:
        """What `example` is made of."""
        return [self.cells if self.rows else self.state]

    def first(self, tab: gr.Tab) -> None:
        """Draw a sample when the tab is opened for the first time."""
        outputs = [self.state, self.file, self.said, *([self.cells] if self.rows else [])]

        def draw(state: Example | None) -> Any:
            return self.shown(drawn, 0) if state is None else [gr.skip() for _ in outputs]

        tab.select(draw, self.state, outputs, api_visibility="private", show_progress="hidden")

    def shown(self, make: Callable[[Opened, Any], Example], given: Any) -> list[Any]:
        """The values of the components that show an example, or a sentence that says why there is none."""
        try:
            example = make(self.opened, given)
        except Mistake as mistake:
            kept = [gr.skip(), gr.skip(), gr.update(value=sights.refusal(str(mistake)), visible=True)]
            return [*kept, gr.skip()] if self.rows else kept
        said = gr.update(value=f'<p class="note">{escape(example.note)}</p>', visible=bool(example.note))
        made = [example, gr.update(value=example.file, visible=example.file is not None), said]
        return [*made, cells(self.opened, example)] if self.rows else made

    def example(self, given: Any) -> Example:
        """The example that is shown."""
        if given is None or (self.rows and not given):
            raise Mistake("There is no example yet: draw a sample, or take your own.")
        return from_cells(self.opened, given) if self.rows else given
