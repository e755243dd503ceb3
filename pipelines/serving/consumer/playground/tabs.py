"""The tabs of the page: Gradio's components, joined to the functions that answer them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from ..mistake import Mistake
from . import code_tab, complete_tab, hiding, sample_tab, score_tab, sights
from .opened import Opened
from .own_examples import Example, drawn, from_files, own_endings
from .parts import Drawing, Output, Picker, another_seed, class_choice, result

QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "minimal", "trigger_mode": "always_last"}
PAINTER = Path(__file__).with_name("painter.js")
CANVAS = """<p class="note">What is tinted is drawn anew. Paint with finger or mouse to change it.</p>
<canvas class="painter" role="img" aria-label="The example: what is hidden is tinted"></canvas>"""


def samples(models: Sequence[Opened], page: gr.Blocks) -> None:
    """Samples of the chosen models, drawn anew whenever a control is moved."""
    choices = sample_tab.classes(models)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="controls"):
            chosen = gr.CheckboxGroup(
                [(opened.title, place) for place, opened in enumerate(models)],
                value=list(range(len(models))),
                label="Models",
                visible=len(models) > 1,
            )
            label = gr.Dropdown(choices, value=sample_tab.AS_IN_DATA, label="Class", visible=bool(choices))
            drawing = Drawing.build(64, 16, "samples")
            conditions = gr.Textbox(
                label="Only rows where",
                info="A condition on each line.",
                placeholder=_condition(models),
                lines=2,
                visible=any(opened.kind == "table" for opened in models),
            )
            draw = gr.Button("Draw", variant="primary")
        with gr.Column(scale=3, min_width=300):
            output = Output.build()

    def sample(
        places: list[int], label: str | None, n: int, heat: float, seed: int | None, text: str
    ) -> tuple[str, str]:
        wish = sample_tab.Wish(n, seed, heat, label or sample_tab.AS_IN_DATA, text or "")
        return result(sample_tab.sample, [models[place] for place in places], wish)

    def offered(places: list[int]) -> list[Any]:
        """Class and conditions, where a chosen model has them."""
        those = [models[place] for place in places]
        tables = any(opened.kind == "table" for opened in those)
        return [gr.update(visible=any(opened.classes for opened in those)), gr.update(visible=tables)]

    chosen.change(offered, chosen, [label, conditions], **QUIET)
    controls: list[Any] = [chosen, label, drawing.n, drawing.temperature, drawing.seed]
    triggers = [draw.click, conditions.submit, page.load, *(control.change for control in controls)]
    gr.on(triggers, sample, [*controls, conditions], output.both, **QUIET)


def _condition(models: Sequence[Opened]) -> str:
    """A condition of the kind that these tables have."""
    for opened in models:
        for name, kind in opened.model.table.types.items() if opened.kind == "table" else ():
            if kind["kind"] in ("real", "integer"):
                middle = (
                    kind["mean"] if kind.get("levels") is None else kind["low"] + kind["levels"] // 2 * kind["step"]
                )
                return f"{name}>={middle:.4g}"
    return ""


def completions(opened: Opened, tab: gr.Tab) -> None:
    """What is hidden of an example, drawn anew."""
    rows, image = opened.kind in ("table", "vector"), opened.kind == "image"
    names = [*(hiding.IMAGE_MASKS if image else hiding.SEQUENCE_MASKS), *([hiding.PAINTED] if image else [])]
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="controls"):
            picker = Picker(opened)
            if image:
                painter = gr.HTML(
                    None,
                    html_template=CANVAS,
                    js_on_load=PAINTER.read_text(encoding="utf-8"),
                )
            mask = gr.Radio(names, value=names[0], label="Hide", visible=not rows)
            label = class_choice(opened, "Class", unknown=True)
            label.visible = label.visible and opened.label_column is None  # rows have it in a column
            button = gr.Button("Complete", variant="primary")
            drawing = Drawing.build(16, 8, "completions")
        with gr.Column(scale=3, min_width=300):
            output = Output.build("Completions are shown here.")
    seed = drawing.seed

    def complete(given: Any, mask: str, label: str | None, n: int, heat: float, seed: int | None, painted: Any) -> Any:
        def answer() -> tuple[str, str]:
            example = picker.example(given)
            hidden = None if rows else complete_tab.hidden_of(opened, mask, seed or 0, painted)
            return complete_tab.complete(opened, example, hidden, n, seed, heat, label or None)

        return result(answer)

    def painting(example: Example | None, mask: str, seed: int | None) -> Any:
        if example is None or mask == hiding.PAINTED:
            return gr.skip()
        return complete_tab.painting(opened, example, complete_tab.hidden_of(opened, mask, seed or 0, None))

    if image:
        gr.on([picker.state.change, mask.change, seed.change], painting, [picker.state, mask, seed], painter, **QUIET)
        painter.input(lambda: hiding.PAINTED, None, mask, **QUIET)
    if label.visible:
        picker.state.change(lambda example: (example.label if example else None) or "", picker.state, label, **QUIET)
    picker.first(tab)
    painted = painter if image else gr.State(None)
    inputs = [*picker.inputs, mask, label, drawing.n, drawing.temperature, seed, painted]
    button.click(complete, inputs, output.both, **QUIET)


def scores(opened: Opened, tab: gr.Tab) -> None:
    """How likely one's own example is."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="controls"):
            picker = Picker(opened)
            button = gr.Button("Score", variant="primary")
        with gr.Column(scale=3, min_width=300):
            seen = gr.HTML("", elem_classes="result", visible=not picker.rows)
            output = Output.build()

    def score(given: Any) -> tuple[str, str]:
        return result(lambda: score_tab.score(opened, picker.example(given)))

    def look(example: Example | None) -> str:
        return "" if example is None else sights.answer("The example", score_tab.shown(opened, example))

    changed = [picker.cells.change] if picker.rows else [picker.state.change]
    gr.on([button.click, *changed], score, picker.inputs, output.both, **QUIET)
    if not picker.rows:
        picker.state.change(look, picker.state, seen, **QUIET)
    picker.first(tab)


def codes(opened: Opened, tab: gr.Tab) -> None:
    """Between two examples, and along the most used dimensions of the code."""
    state = gr.State(None)
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="controls"):
            label = class_choice(opened, "Class of both", unknown=False)
            with gr.Row():
                another = gr.Button("Another pair", size="sm", min_width=120)
                what, endings = own_endings(opened)
                title = f"My own two {what}{'' if what in ('rows', '.npy') else 's'}"
                own = gr.UploadButton(title, file_count="multiple", file_types=endings, size="sm", min_width=120)
            share = gr.Slider(0, 1, 0.5, step=0.05, label="From the first to the second")
        with gr.Column(scale=3, min_width=300):
            way = Output.build()
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=280, elem_classes="controls"):
            gr.HTML('<p class="note">The dimensions that vary most, moved by standard deviations.</p>')
            reach = code_tab.REACH
            sliders = [gr.Slider(-reach, reach, 0, step=0.1, visible=False) for _ in range(code_tab.SLIDERS)]
            back = gr.Button("Back to the first example", size="sm")
        with gr.Column(scale=3, min_width=300):
            single = Output.build()

    def between(pair: code_tab.Pair | None, share: float, label: str | None) -> Any:
        return (gr.skip(), gr.skip()) if pair is None else result(code_tab.between, opened, pair, share, label)

    def moved(pair: code_tab.Pair | None, label: str | None, *values: float) -> Any:
        if pair is None:
            return gr.skip(), gr.skip()
        return result(code_tab.moved, opened, pair, values[: len(pair.dials)], label)

    def settings(pair: code_tab.Pair) -> list[Any]:
        made = [gr.update(visible=True, label=f"Dimension {dial.dimension}", value=0) for dial in pair.dials]
        return [*made, *(gr.update(visible=False) for _ in range(len(made), len(sliders)))]

    def draw(share: float, label: str | None, make: Callable[[], Example]) -> list[Any]:
        try:
            pair = code_tab.pair(opened, make(), label)
        except Mistake as mistake:
            hidden = [gr.update(visible=False) for _ in sliders]
            return [None, sights.refusal(str(mistake)), "", "", "", *hidden]
        return [pair, *between(pair, share, label), *moved(pair, label, *unmoved), *settings(pair)]

    def two(share: float, label: str | None, seed: int) -> list[Any]:
        return draw(share, label, lambda: drawn(opened, seed, label, n=2))

    def anew(share: float, label: str | None) -> list[Any]:
        return two(share, label, another_seed())

    def of_class(share: float, label: str | None) -> list[Any]:
        return two(share, label, 0)

    def first(pair: code_tab.Pair | None, share: float, label: str | None) -> list[Any]:
        return two(share, label, 0) if pair is None else [gr.skip() for _ in outputs]

    def mine(share: float, label: str | None, paths: list[str]) -> list[Any]:
        return draw(share, label, lambda: from_files(opened, paths))

    def reset(pair: code_tab.Pair | None, label: str | None) -> list[Any]:
        if pair is None:
            return [gr.skip() for _ in [*single.both, *sliders]]
        return [*moved(pair, label, *unmoved), *settings(pair)]

    unmoved = [0.0] * code_tab.SLIDERS
    outputs = [state, *way.both, *single.both, *sliders]
    another.click(anew, [share, label], outputs, **QUIET)
    own.upload(mine, [share, label, own], outputs, **QUIET)
    label.input(of_class, [share, label], outputs, **QUIET)
    tab.select(first, [state, share, label], outputs, **QUIET)
    share.change(between, [state, share, label], way.both, **QUIET)
    gr.on([slider.input for slider in sliders], moved, [state, label, *sliders], single.both, **QUIET)
    back.click(reset, [state, label], [*single.both, *sliders], **QUIET)
