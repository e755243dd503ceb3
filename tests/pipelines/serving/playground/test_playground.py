"""What the controls of the page do, as functions: what is shown is right, and the Python beside it gives the same."""

from __future__ import annotations

import io
import re
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines.serving.consumer.mistake import Mistake
from pipelines.serving.consumer.playground import code_tab, complete_tab, hiding, sample_tab, score_tab, sights
from pipelines.serving.consumer.playground.opened import Opened, titles
from pipelines.serving.consumer.playground.own_examples import (
    Example,
    cells,
    drawn,
    from_array,
    from_cells,
    from_file,
    from_files,
    from_image,
    is_row,
    own_endings,
)
from pipelines.serving.consumer.playground.python_lines import array, loading, script, written
from pipelines.serving.consumer.playground.sample_tab import Wish

TITLES = ["images", "vae", "sounds", "vectors", "unnamed", "table", "coded table"]
COMPLETING = ["images", "sounds", "table"]
CODED = ["vae", "vectors", "unnamed", "coded table"]


def ran(python: str, opened: Opened) -> dict[str, Any]:
    """The variables that lines of the page leave."""
    found: dict[str, Any] = {"MODEL": opened.model}
    exec(python, found)  # what a reader of the page does with it
    return found


def same(a: Any, b: Any) -> None:
    if isinstance(a, pd.DataFrame):
        pd.testing.assert_frame_equal(a, b)
    else:
        np.testing.assert_array_equal(np.asarray(a), np.asarray(b))


@pytest.mark.parametrize("title", TITLES)
def test_samples_are_those_that_the_python_draws(toys: dict[str, Opened], title: str) -> None:
    opened = toys[title]
    html, python = sample_tab.sample([opened], Wish(n=5, seed=3, temperature=0.8))
    x = ran(python, opened)["x"]
    same(x, opened.ask(None, {"task": "sample", "n": 5, "seed": 3, "temperature": 0.8}))
    shown = x if is_row(opened) else np.asarray(x)
    captions = x.attrs.get("labels")
    assert sights.examples(opened, shown, captions) in html
    assert html.count("<tr>") == (6 if is_row(opened) else 0)
    assert html.count("<img") == (5 if opened.kind == "image" else 0)
    assert html.count("<audio") == html.count("<svg") == (5 if opened.kind == "sequence" else 0)


def test_several_models_are_side_by_side_and_each_says_what_it_cannot_do(toys: dict[str, Opened]) -> None:
    models = [toys["images"], toys["vectors"], toys["table"]]
    assert [value for _, value in sample_tab.classes(models)] == [
        sample_tab.AS_IN_DATA,
        sample_tab.IN_TURN,
        *(sample_tab.NAMED + name for name in ("1", "2", "cat")),
    ]
    assert sample_tab.classes(models[1:]) == []
    html, python = sample_tab.sample(models, Wish(n=2, seed=1, label="class cat", conditions="\nage >= 40\n"))
    assert html.count('<section class="answer">') == 3
    assert html.count("This model has no classes") == 2 and html.count("Conditions are for tables") == 2
    assert html.count("<figcaption>cat</figcaption>") == 2
    assert "'where': ['age &gt;= 40']" not in html and "'where': ['age >= 40']" in python
    assert "'labels': ['cat']" in python and python.count("model = ") == 3
    html, python = sample_tab.sample(models[:1], Wish(n=6, label=sample_tab.IN_TURN))
    assert re.findall(r"<figcaption>(\w+)<", html) == ["1", "2", "cat"] * 2 and "'balanced': True" in python
    html, python = sample_tab.sample(models[2:], Wish(conditions="size > 3"))
    assert 'role="alert">where: &#x27;size &gt; 3&#x27;: no column' in html and python == ""
    assert "Choose a model" in sample_tab.sample([], Wish())[0]
    _, python = sample_tab.sample(models[:1], Wish(n=1, seed=None))
    assert re.search(r"'seed': \d+", python), "a seed that was drawn is said"


def test_what_a_model_has_made_up_is_no_html(toys: dict[str, Opened]) -> None:
    html, _ = sample_tab.sample([toys["table"]], Wish(n=30, seed=0))
    assert "&lt;b&gt;a&lt;/b&gt;" in html and "<b>a" not in html and '<span class="gap">' in html


@pytest.mark.parametrize("shape", [(1, 4, 6), (3, 5, 7), (1, 40)])
def test_every_mask_hides_what_its_python_hides(shape: tuple[int, ...]) -> None:
    image = len(shape) == 3
    of, names = (hiding.of_image, hiding.IMAGE_MASKS) if image else (hiding.of_sequence, hiding.SEQUENCE_MASKS)
    masks = {name: of(name, shape, 5) for name in names}
    if image:
        masks["painted"] = hiding.of_pixels([0, 8, 9], shape)
        assert masks["painted"].mask[:, 0, 0].all() and masks["painted"].mask.sum() == 3 * shape[0]
        assert masks["Top half"].mask[:, 0].all() and masks["Bottom half"].mask[:, -1].all()
        assert masks["Left half"].mask[..., 0].all() and masks["Right half"].mask[..., -1].all()
        assert not (masks["Top half"].mask & masks["Bottom half"].mask).any()
    for name, hidden in masks.items():
        x = np.zeros((1, *shape))
        exec(f"x{hidden.index} = np.nan", {"x": x, "np": np})
        np.testing.assert_array_equal(np.isnan(x[0]), hidden.mask, err_msg=name)
        assert 0 < hidden.mask.sum() < hidden.mask.size


@pytest.mark.parametrize("title", COMPLETING)
def test_completions_keep_the_rest_and_are_those_of_the_python(toys: dict[str, Opened], title: str) -> None:
    opened = toys[title]
    example, hidden = drawn(opened, 4), None
    if is_row(opened):
        example = from_cells(opened, [["age", "40"], ["price", ""], ["job", None]])
    else:
        of = hiding.of_image if opened.kind == "image" else hiding.of_sequence
        hidden = of("Random pixels" if opened.kind == "image" else "Second half", opened.model.event.shape, 2)
    html, python = complete_tab.complete(opened, example, hidden, 3, 7, 1.0, example.label)
    made = ran(python, opened)["made"]
    assert (
        sights.examples(
            opened, made, None, None if hidden is None else hidden.mask[0], [] if hidden else ["price", "job"]
        )
        in html
    )
    if hidden is None:
        assert (made["age"] == 40).all() and made.notna().all().all() and html.count("<td class=drawn>") == 6
    else:
        known = np.asarray(example.data)[0][~hidden.mask]
        np.testing.assert_array_equal(np.asarray(made)[:, ~hidden.mask], np.repeat(known[None], 3, 0))
        assert len(np.unique(np.asarray(made), axis=0)) > 1
    assert ("Exact" in html) == made.attrs["exact"]


def test_nothing_hidden_is_a_mistake(toys: dict[str, Opened]) -> None:
    images, table = toys["images"], toys["table"]
    none = complete_tab.hidden_of(images, hiding.PAINTED, 0, {"hidden": []})
    with pytest.raises(Mistake, match="Nothing is hidden: choose a part, or paint"):
        complete_tab.complete(images, drawn(images, 0), none, 1, 0, 1.0, None)
    whole = from_cells(table, [["age", "40"], ["price", "3.5"], ["job", "<b>a</b>"]])
    with pytest.raises(Mistake, match="Nothing is blank: empty the cells"):
        complete_tab.complete(table, whole, None, 1, 0, 1.0, None)


def test_the_painter_is_shown_the_example_and_what_is_hidden(toys: dict[str, Opened]) -> None:
    images = toys["images"]
    value = complete_tab.painting(images, drawn(images, 0), hiding.of_pixels([3, 7], (1, 4, 6)))
    assert (value["width"], value["height"], value["hidden"]) == (6, 4, [3, 7])
    assert value["image"].startswith("data:image/png;base64,")
    np.testing.assert_array_equal(
        complete_tab.hidden_of(images, hiding.PAINTED, 0, value).mask, hiding.of_pixels([3, 7], (1, 4, 6)).mask
    )


def test_ones_own_image_is_brought_to_the_size_which_is_said(toys: dict[str, Opened], picture: str) -> None:
    images = toys["images"]
    example = from_image(images, picture)
    assert example.note == "Your image of 256×256 pixels was brought to 6×4."
    assert example.data.shape == (1, 1, 4, 6) and example.data[0, 0, :, 0].tolist() == [1, 1, 3, 3]
    same(ran(script(images.loading, example.python), images)["x"], example.data)
    html, python = score_tab.score(images, example)
    assert example.note in html and len(ran(python, images)["score"]) == 1
    Path(picture).write_text("no image")
    with pytest.raises(Mistake, match=r"photo.png: cannot be read as an image"):
        from_image(images, picture)


def test_ones_own_array_is_read_by_the_python_as_a_file(
    toys: dict[str, Opened], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = toys["images"]
    x = np.arange(24).reshape(4, 6) % 5
    np.save(tmp_path / "mine.npy", x)
    example = from_array(images, str(tmp_path / "mine.npy"))
    same(example.data[0, 0], x)
    assert example.file is None, "a short one is written out"
    monkeypatch.setattr("pipelines.serving.consumer.playground.python_lines.WRITTEN_OUT", 10)
    example = from_array(images, str(tmp_path / "mine.npy"))
    assert example.python == "x = np.load('example.npy')" and example.file is not None
    monkeypatch.chdir(Path(example.file).parent)
    same(ran(script(images.loading, example.python), images)["x"], example.data)
    np.save(tmp_path / "mine.npy", x[:2])
    with pytest.raises(Mistake, match=r"mine\.npy: holds 12 numbers; an example of the model has 24"):
        from_array(images, str(tmp_path / "mine.npy"))


@pytest.mark.parametrize("title", ["vectors", "unnamed", "table", "coded table"])
def test_a_row_is_the_same_after_it_went_through_the_table_on_the_page(toys: dict[str, Opened], title: str) -> None:
    opened = toys[title]
    for seed in range(5):
        example = drawn(opened, seed)
        again = from_cells(opened, cells(opened, example))
        np.testing.assert_allclose(
            opened.ask(again.data, {"task": "log_prob"}), opened.ask(example.data, {"task": "log_prob"}), rtol=1e-3
        )
        same(ran(script(opened.loading, again.python), opened)["x"], again.data)


def test_what_is_no_number_is_said_in_a_sentence(toys: dict[str, Opened]) -> None:
    with pytest.raises(Mistake, match="a: 'x'; b: 'y': must be numbers, or blank"):
        from_cells(toys["vectors"], [["a", "x"], ["b", "y"], ["c", "1"]])
    with pytest.raises(Mistake, match="d: is no column of the model: its columns are a, b, c"):
        from_cells(toys["vectors"], [["a", "1"], ["b", "1"], ["c", "1"], ["d", "1"], ["", ""]])
    example = from_cells(toys["table"], [["age", "old"], ["price", "1"], ["job", "<b>a</b>"]])
    with pytest.raises(Mistake, match="age: old is not allowed: must be a whole number from 18 to 89"):
        score_tab.score(toys["table"], example)


@pytest.mark.parametrize("title", CODED)
def test_between_two_examples_and_along_dimensions_the_python_decodes_the_same(
    toys: dict[str, Opened], title: str
) -> None:
    opened = toys[title]
    label = opened.classes[0] if opened.classes else None
    pair = code_tab.pair(opened, drawn(opened, 5, label, n=2), label)
    assert 1 <= len(pair.dials) <= code_tab.SLIDERS and pair.codes.shape[0] == 2
    deviations = [dial.deviation for dial in pair.dials]
    assert deviations == sorted(deviations, reverse=True) and min(deviations) > 0
    ends = [opened.ask(code[None], code_tab._params(opened, "decode", label)) for code in pair.codes]
    for share in (0.0, 0.35, 1.0):
        html, python = code_tab.between(opened, pair, share, label)
        made = ran(python, opened)["made"]
        if share in (0.0, 1.0):
            np.testing.assert_allclose(_numbers(made), _numbers(ends[int(share)]), rtol=1e-3, atol=1e-3)
        assert f"{share:.0%} of the way" in html
    steps = [0.0] * len(pair.dials)
    still, python = code_tab.moved(opened, pair, steps, label)
    same(_numbers(ran(python, opened)["made"]), _numbers(ends[0]))
    steps[0] = 2.5
    html, python = code_tab.moved(opened, pair, steps, label)
    made = ran(python, opened)["made"]
    assert not np.array_equal(_numbers(made), _numbers(ends[0]))
    one = still.count("<img") or still.count("<td")
    assert one == (html.count("<img") or html.count("<td")) and "Moved" in html


def test_ones_own_two_are_encoded(toys: dict[str, Opened], picture: str, tmp_path: Path) -> None:
    opened = toys["vae"]
    dark = str(tmp_path / "dark.npy")
    np.save(dark, np.zeros((4, 6), np.uint8))
    other = str(tmp_path / "dark.png")
    Image.fromarray(np.zeros((4, 6), np.uint8)).save(other)
    example = from_files(opened, [picture, other])
    assert example.data.shape == (2, 1, 4, 6) and not example.data[1].any() and "was brought to 6×4" in example.note
    html, python = code_tab.between(opened, code_tab.pair(opened, example, "cat"), 1.0, "cat")
    assert example.note in html
    np.testing.assert_allclose(
        np.asarray(ran(python, opened)["made"]),
        np.asarray(opened.ask(ran(python, opened)["b"][None], {"task": "decode", "labels": ["cat"]})),
        rtol=1e-5,
    )
    with pytest.raises(Mistake, match="Choose two files at once, not 1"):
        from_files(opened, [picture])
    rows = tmp_path / "rows.csv"
    for title, lines in {
        "coded table": "id,job,price,age\n1,,3.5,40\n2,<b>a</b>,7.25,50\n",
        "vectors": "c,b,a\n1,2,3\n4,5,6\n",
    }.items():
        rows.write_text(lines)
        opened = toys[title]
        example = from_files(opened, [str(rows)])
        same(ran(script(opened.loading, example.python), opened)["x"], example.data)
        codes = code_tab.pair(opened, example, None).codes
        assert codes.shape[0] == 2 and np.isfinite(codes).all()
        assert (example.note == "Not known to the model: id.") == (title == "coded table")
    rows.write_text("a\n1\n2\n")
    with pytest.raises(Mistake, match="b, c: is missing; the columns must be a, b, c"):
        from_files(opened, [str(rows)])
    rows.write_text("a,b,c\n1,2,3\n")
    with pytest.raises(Mistake, match="Choose one file with two rows"):
        from_files(opened, [str(rows)])


def test_ones_own_recording_is_taken_from_its_beginning(toys: dict[str, Opened], tmp_path: Path) -> None:
    opened, path = toys["sounds"], str(tmp_path / "clip.wav")
    levels = np.asarray(drawn(opened, 3).data)
    (file,) = opened.model.files(levels, "wav")
    Path(path).write_bytes(file)
    same(from_file(opened, path).data, levels)
    with wave.open(io.BytesIO(file)) as reader, wave.open(path, "wb") as writer:
        writer.setparams(reader.getparams())
        writer.writeframes(reader.readframes(40) + b"\0\0" * 9)
    example = from_file(opened, path)
    same(example.data, levels)
    assert example.note == "The last 9 samples of your recording were left out."
    assert own_endings(opened) == ("sound", [".wav", ".npy"])
    with wave.open(path, "wb") as writer:
        writer.setparams((2, 2, 16000, 0, "NONE", ""))
        writer.writeframes(b"\0\0\0\0" * 9)
    with pytest.raises(
        Mistake, match=r"clip\.wav: has 2 channels of 16 bits at 16,000 Hz; the model's sounds have one"
    ):
        from_file(opened, path)


def _numbers(values: Any) -> np.ndarray:
    if isinstance(values, pd.DataFrame):
        return values.apply(lambda column: pd.factorize(column)[0] if column.dtype == object else column).to_numpy(
            float
        )
    return np.asarray(values, float)


@pytest.mark.parametrize("title", TITLES)
def test_scores_are_those_of_the_python(toys: dict[str, Opened], title: str) -> None:
    opened = toys[title]
    example = drawn(opened, 1)
    html, python = score_tab.score(opened, example)
    score = ran(python, opened)["score"]
    if opened.offers("score"):
        assert f"percentile {score['percentile'].iloc[0]:.1f}" in html
    else:
        assert f"{float(score[0]):.4g}</b> nats; the model has no scores" in html
    assert score_tab.shown(opened, example)


@pytest.mark.parametrize(
    ("percentile", "words"),
    [(50.0, "Usual."), (1.5, "Unusual. Less likely than nearly all"), (0.1, "Hardly like the data. Less likely"),
     (97.0, "Unusual. Likelier than nearly all"), (99.9, "that is no better sign")],
)  # fmt: skip
def test_a_score_is_said_in_words(percentile: float, words: str) -> None:
    typicality = 2 * min(percentile, 100 - percentile) / 100
    html = score_tab.in_words(
        pd.Series({"percentile": percentile, "typicality": typicality, "nll_bits_per_dim": 2.0, "log_prob": -1.0})
    )
    assert words in html and f"left:{percentile:.1f}%" in html and "2 bits per dimension" in html


def test_models_have_short_names_where_they_differ() -> None:
    assert titles(["models:/a-vae@champion", "runs/b", "made"]) == ["a-vae@champion", "b", "made"]
    assert titles(["one/b", "two/b", "made", "made"]) == ["one/b", "two/b", "made (3)", "made (4)"]


def test_models_are_loaded_as_they_were_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@example.org")
    lines = loading("models:/x@champion", None).lines
    assert "mlflow.pyfunc.load_model('models:/x@champion')" in lines and "secret" not in lines
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:///here.db")
    assert "mlflow.set_tracking_uri('sqlite:///here.db')" in loading("models:/x@champion", None).lines
    assert loading("made", "from a import load").lines == "from a import load\n\nmodel = load('made')"
    assert loading("made", None).lines.endswith(f"load_model({str(tmp_path / 'made')!r})")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "MLmodel").write_text("")
    assert loading("made", "from a import load").method == "predict", "a folder that holds a model comes first"


def test_values_are_written_as_python_has_them() -> None:
    for value in ({"a": [1, 2.5, "it's"], "b": None}, [float("inf")], np.float32(0.1), [[1.0, float("nan")]]):
        again = eval(written(value), {"np": np})
        np.testing.assert_equal(again, value.item() if isinstance(value, np.generic) else value)
    assert array(np.zeros((1, 2)), "x.npy") == "np.array([[0.0, 0.0]])"


def test_an_example_without_levels_of_ones_own_is_still_an_example(toys: dict[str, Opened]) -> None:
    example = Example(np.zeros((1, 3)), "x = np.zeros((1, 3))")
    assert "<td>0</td>" in score_tab.shown(toys["unnamed"], example)
