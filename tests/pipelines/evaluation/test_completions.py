"""Completions: masks, what a model draws for them, and how the report shows it."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from models.contract import Completion, Event
from models.layers.autoregressive.chain import Autoregressive
from pipelines.data.prepared import Prepared
from pipelines.evaluation.completions import COMPLETED, DRAWN, Completions, chosen, draw, masks
from pipelines.report.completed import Completed, completed
from pipelines.report.exhibits import Exhibit, wave_picture
from pipelines.report.page import EntrySection, Report, render
from pipelines.report.pictures import MISSING, grid_uri

from ..data.prepared_folders import prepared_folder


class Guess(Completion):
    """Draws levels without a look at the data, and says that it is exact where what is known comes first."""

    def __init__(self, levels: int) -> None:
        self.levels, self.calls = levels, 0

    def complete(
        self,
        x: Tensor,
        known: Tensor,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        assert labels is None and known.shape == x.shape
        self.calls += 1
        return torch.where(known, x, torch.randint(self.levels, x.shape, generator=generator).to(x))

    def completes_exactly(self, known: Tensor) -> bool:
        flags = known[0].flatten().int()
        return bool((flags.diff() <= 0).all())


def guesses(data: Prepared, family: Guess, seed: int = 0) -> Completions:
    """What the stage `evaluate` keeps."""
    event, test = data.event, data.split("test")
    labels = None if test.labels is None else np.asarray(test.labels)
    rows = chosen(len(test.x), labels, COMPLETED[event.kind])
    of_x = None if labels is None else torch.from_numpy(labels[rows])
    return draw(family, masks(event, seed), torch.from_numpy(test.x[rows]), of_x, DRAWN[event.kind], seed)


def section(shown: Completed | None) -> str:
    """The section of the only entry of a report."""
    rows = [{"entry": "made", "model": "made", "fid": 1.0}]
    html = render(
        Report("Title", "Data.", rows, [EntrySection("made", "made", Exhibit([], "None."), completions=shown)])
    )
    return html[html.index('<article id="entry-made"') : html.index("</article>")]


def pixels(picture: str) -> np.ndarray:
    """The picture (H, W, RGBA) of a data URI."""
    content = base64.b64decode(picture.removeprefix("data:image/webp;base64,"))
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGBA"))


def test_masks_of_images_take_whole_pixels() -> None:
    made = masks(Event((3, 8, 8), 256), seed=0)
    assert list(made) == ["top half known", "left half known", "centre missing", "random half known"]
    for known in made.values():
        assert known.shape == (3, 8, 8) and (known == known[:1]).all()
    assert [int(known[0].sum()) for known in made.values()] == [32, 32, 48, 32]
    assert made["top half known"][0, :4].all() and made["left half known"][0, :, :4].all()
    assert not made["centre missing"][0, 2:6, 2:6].any()
    assert (made["random half known"] == masks(Event((3, 8, 8), 256), seed=0)["random half known"]).all()
    assert (made["random half known"] != masks(Event((3, 8, 8), 256), seed=1)["random half known"]).any()


def test_masks_of_sequences_are_stretches_of_time() -> None:
    made = masks(Event((1, 16), 256), seed=0)
    assert "".join(str(int(flag)) for flag in made["first half known"][0]) == "1" * 8 + "0" * 8
    assert "".join(str(int(flag)) for flag in made["gap in the middle"][0]) == "1" * 6 + "0" * 4 + "1" * 6


def test_what_has_no_part_to_take_away_has_no_masks() -> None:
    assert masks(Event((5,), None), seed=0) == {} == masks(Event((1, 1), 16), seed=0)
    assert list(masks(Event((1, 2, 2), 2), seed=0)) == ["top half known", "left half known", "random half known"]


def test_examples_are_of_different_classes() -> None:
    labels = np.array([2, 0, 1, 0, 2, 2, 1, 0, 3, 3])
    assert labels[chosen(10, labels, 4)].tolist() == [0, 0, 2, 2]
    assert labels[chosen(10, np.sort(labels), 10)].tolist() == labels.tolist()
    assert chosen(10, None, 4).tolist() == [0, 2, 5, 7]
    assert sorted(chosen(3, labels[:3], 4)) == [0, 1, 2]


@pytest.mark.parametrize("kind", ["digits", "rgb", "tones"])
def test_known_values_are_kept_and_all_is_drawn_at_once(tmp_path: Path, kind: str) -> None:
    data, family = prepared_folder(tmp_path, kind), Guess(10)
    made = guesses(data, family)
    assert family.calls == 1
    drawn, x = np.moveaxis(made.drawn, 2, 0), made.x
    kept = made.known[:, None]
    assert drawn.shape[1:] == (len(made.masks), len(x), *data.event.shape) and drawn.dtype == np.uint8
    assert ((drawn == x) | ~kept).all()
    assert (drawn[0] != drawn[1]).any((1, 2, *range(3, drawn.ndim - 1))).all(), "each is another one"
    again, other = guesses(data, Guess(10)), guesses(data, Guess(10), seed=1)
    assert (again.drawn == made.drawn).all() and (other.drawn != made.drawn).any()


def test_completions_are_whole_after_a_round_trip(tmp_path: Path) -> None:
    data = prepared_folder(tmp_path, "digits")
    for made in (guesses(data, Guess(17)), Completions.none(data.event)):
        made.save(tmp_path / "completions.npz")
        first = (tmp_path / "completions.npz").read_bytes()
        back = Completions.load(tmp_path / "completions.npz")
        for name, array in vars(made).items():
            assert np.array_equal(getattr(back, name), array) and getattr(back, name).dtype == array.dtype
        back.save(tmp_path / "completions.npz")
        assert (tmp_path / "completions.npz").read_bytes() == first, "the same numbers give the same bytes"


def test_an_entry_that_cannot_complete_has_no_block(tmp_path: Path) -> None:
    data = prepared_folder(tmp_path, "digits")
    assert completed(data.meta, Completions.none(data.event), labels_drawn=True) is None
    assert "Completions" not in section(None)


@pytest.mark.parametrize("kind", ["digits", "each_step", "rgb", "palette"])
def test_a_picture_for_each_mask(tmp_path: Path, kind: str) -> None:
    data = prepared_folder(tmp_path, kind)
    made = guesses(data, Guess(2))
    shown = completed(data.meta, made, False, Autoregressive.approximation)
    assert shown is not None and "label" not in shown.about
    html = section(shown)
    assert html.count('class="grid"') == html.count('class="heads"') == len(made.masks) == 4
    assert re.findall(r'alt="([^"]+)"', html)[0].endswith(
        "top half known: what is known, 4 completions, and the real image"
    )
    exact, *others = [exhibit.caption for exhibit in shown.exhibits]
    assert exact == "Top half known. Exact: drawn from p(missing | known)."
    assert all("Approximate" in caption and "blind to known ones that come later" in caption for caption in others)
    (item,) = shown.exhibits[2].items
    side = data.event.shape[1] + 1
    grid = pixels(item.picture)
    hidden = (grid[..., :3] == MISSING).all(-1) & (grid[..., 3] > 0)
    assert (hidden[: side - 1, : side - 1] == ~made.known[2, 0]).all(), "what is missing is pink"
    assert hidden.sum() == len(made.x) * (~made.known[2, 0]).sum(), "and nothing else"
    last = grid[-(side - 1) :, -(side - 1) :, :3]
    real = pixels(_alone(data, made.x[-1]))
    assert (last == real[..., :3]).all()


def _alone(data: Prepared, x: np.ndarray) -> str:
    return grid_uri(x[None], data.meta["levels"], 1, data.meta["palette"])


def test_sounds_can_be_heard_and_say_what_is_known(tmp_path: Path) -> None:
    data = prepared_folder(tmp_path, "tones")
    shown = completed(data.meta, guesses(data, Guess(256)), True, Autoregressive.approximation)
    assert shown is not None and "It is not given the label, but draws one first" in shown.about
    prefix, gap = shown.exhibits
    assert [item.title.partition(", ")[2] for item in prefix.items] == ["real", "completion 1", "completion 2"] * 2
    assert all(item.sound and "first half known" in item.alt for item in prefix.items)
    assert prefix.caption.startswith("First half known. Exact: drawn from p(missing | known). ")
    assert "blind to known ones that come later" in gap.caption and "8,000 samples per second" in gap.caption
    html = section(shown)
    assert html.count("<audio ") == 12 and html.count('style="--across:3"') == 2


def test_the_known_part_of_a_wave_is_shaded() -> None:
    known = np.array([True] * 6 + [False] * 4 + [True] * 6)
    (axes,) = wave_picture(np.zeros(16, np.float32), 8, "amplitude", (-1, 1), False, known).axes
    spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axes.patches]  # type: ignore[attr-defined]
    assert spans == [(0, 0.75), (1.25, 2)]


def test_a_series_of_levels_has_no_players(tmp_path: Path) -> None:
    data = prepared_folder(tmp_path, "levels")
    shown = completed(data.meta, guesses(data, Guess(16)), labels_drawn=False)
    assert shown is not None
    assert [item.title for item in shown.exhibits[0].items][::3] == ["1, real", "2, real"]
    assert all(item.sound is None for exhibit in shown.exhibits for item in exhibit.items)
