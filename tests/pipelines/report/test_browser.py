"""The page in a real browser: it shows everything, complains of nothing, asks for nothing, sorts, and fits.

One start of Chromium looks at copies of a page, each in a frame: as wide as a desk, in light colours and in dark ones,
as wide as a phone, and with the rules for print at the width of a sheet of paper.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.report.exhibits import Exhibit, Item, exhibit
from pipelines.report.page import Distillation, EntrySection, Report, render
from pipelines.report.pictures import distillation_curve, training_curves
from pipelines.report.sample_pictures import nearest_neighbours, temperature_row
from pipelines.report.screenshot import FLAGS, browser
from pipelines.report.thumbnails import thumbnails

from ...shell import HANGING

BROWSER = browser()
WIDTHS = {"desk": 1280, "dark": 1280, "phone": 390, "paper": 1030}

# Runs in each copy before anything else of it.
SPY = """<script>
window.problems = [];
addEventListener("error", event => problems.push(event.message || `cannot load ${event.target.outerHTML}`), true);
addEventListener("unhandledrejection", event => problems.push(String(event.reason)));
addEventListener("securitypolicyviolation", event => problems.push(`policy: ${event.violatedDirective}`));
for (const name of ["error", "warn"]) console[name] = (...words) => problems.push(words.join(" "));
</script>"""

# Runs in the page around the copies once they are loaded; its answer is what --dump-dom prints.
LOOK = r"""<script>
// Red, green and blue, 0 … 1, and opacity of a computed colour.
function channels(colour) {
  const numbers = colour.match(/[\d.]+(?=[^\d.]|$)/g).map(Number);
  const most = colour.startsWith("color(") ? 1 : 255;
  return [...numbers.slice(0, 3).map(each => each / most), numbers[3] ?? 1];
}
// The contrast of a text with what lies behind it, as the WCAG define it.
function contrast(view, each) {
  let behind = each;
  const colours = () => view.getComputedStyle(behind);
  while (behind.parentElement && channels(colours().backgroundColor)[3] < 1) behind = behind.parentElement;
  const linear = part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  const light = colour => channels(colour).slice(0, 3)
    .reduce((sum, part, place) => sum + linear(part) * [0.2126, 0.7152, 0.0722][place], 0.05);
  const both = [view.getComputedStyle(each).color, colours().backgroundColor].map(light);
  return Math.max(...both) / Math.min(...both);
}
function look(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, all = what => [...page.querySelectorAll(what)];
  const headers = all("#entries thead tr:last-child th"), body = page.querySelector("#entries tbody");
  const {metrics, entries} = JSON.parse(page.getElementById("data").textContent);
  const named = Object.fromEntries(entries.map(each => [each.entry, each]));
  const number = (row, metric) => metric ? named[row.dataset.entry].values[metric] ?? "" : row.dataset.entry;
  const column = metric => [...body.rows].map(row => String(number(row, metric)));
  view.dispatchEvent(new Event("beforeprint"));
  const closed = all("details:not([open])").length;
  const orders = Object.fromEntries(all("[name=order]").map(choice => {
    choice.click();
    return [choice.value, all(".gallery li").map(each => each.dataset.entry)];
  }));
  const points = () => all("#live .point").length;
  const drawn = [points(), (all("[name=shown]")[0].click(), points()), all(".gallery li, #entries tbody tr")
    .filter(each => each.hidden).map(each => each.dataset.entry), (all("[name=shown]")[0].click(), points())];
  const sorted = headers.flatMap(header => [1, 2].map(() => {
    header.querySelector("button").click();
    return {order: header.getAttribute("aria-sort"), first: header.dataset.first, values: column(header.dataset.metric),
            others: headers.filter(each => each.hasAttribute("aria-sort")).length};
  }));
  const reachable = all("a[href], button, summary, select, audio, [tabindex]");
  const outline = each => {
    each.focus();
    return page.activeElement === each && view.getComputedStyle(each).outlineStyle;
  };
  const unseen = reachable.filter(each => each.getClientRects().length && !["auto", "solid"].includes(outline(each)));
  return {
    problems: view.problems,
    images: all("img").length,
    broken: all("img").filter(image => !image.complete || !image.naturalWidth).map(image => image.alt),
    silent: all("img").filter(image => !image.alt).length,
    sounds: all("audio").length,
    mute: all("audio").filter(sound => sound.error || !sound.getAttribute("aria-label")).length,
    requests: view.performance.getEntriesByType("resource").map(each => each.name)
      .filter(name => !name.startsWith("data:")),
    sorted, orders, drawn,
    unseen: unseen.map(each => each.outerHTML.slice(0, 99)),
    jumping: all("[tabindex]").filter(each => each.tabIndex !== 0).length,
    headless: all("th").filter(each => !each.scope).length,
    dangling: all('a[href^="#"]').map(each => each.getAttribute("href").slice(1))
      .filter(id => !page.getElementById(id)),
    twins: all("[id]").length - new Set(all("[id]").map(each => each.id)).size,
    closed,
    levels: all("h1, h2, h3, h4").map(each => Number(each.tagName[1])),
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    cut: all("table").filter(each => each.scrollWidth > each.parentElement.clientWidth + 1).length,
    narrow: view.getComputedStyle(page.querySelector("nav")).display === "none",
    pale: all("body *").filter(each => [...each.childNodes].some(node => node.nodeType === 3 && node.data.trim())
      && each.checkVisibility() && !each.closest("svg, script, option, .play") && contrast(view, each) < 4.5)
      .map(each => each.outerHTML.slice(0, 99)),
    stuck: all("*").filter(each => each.scrollWidth > each.clientWidth && each.tabIndex !== 0
      && view.getComputedStyle(each).overflowX === "auto").map(each => each.outerHTML.slice(0, 99)),
    namesakes: all("[role=region], nav, section[aria-labelledby]").map(each => each.getAttribute("aria-label")
      ?? page.getElementById(each.getAttribute("aria-labelledby")).textContent),
    unnamed: all("input, select").filter(each => !each.labels.length).length,
    page: channels(view.getComputedStyle(page.body).backgroundColor)[0],
    source: page.querySelector(".tradeoff img").currentSrc.length,
  };
}
addEventListener("load", () => {
  const found = Object.fromEntries([...document.querySelectorAll("iframe")].map(frame => [frame.id, look(frame)]));
  document.body.textContent = "";
  document.body.append(Object.assign(document.createElement("pre"), {textContent: JSON.stringify(found)}));
});
</script>"""

IMAGES = {
    "kind": "image",
    "channels": "grey",
    "levels": 17,
    "palette": None,
    "class_names": ["0", "1"],
    "shape": [1, 4, 4],
}
SOUNDS = {
    **{"kind": "sequence", "channels": "audio", "levels": 256, "encoding": "mu_law", "range": [-1, 1]},
    **{"sample_rate": 8000, "class_names": [], "shape": [1, 800]},
}


def row(entry: str, **values: Any) -> dict[str, Any]:
    outliers = {"flat": {"nll": 0.3, "likelihood_auroc": 0.02, "typicality_auroc": 0.99}}
    common = {"samples_per_s": 5e4, "sampling_passes": 1, "train_seconds": 9.0, "fid": 0.4, "memorisation": 0.5}
    tables = {"outliers": outliers, "sampling_speed": {"1": 10.0, "16": 99.0}, "parallel_sampling": True}
    return {"entry": entry, "model": entry, **common, **tables, "sampling_growth": 1.0, **values}


def page() -> str:
    """A page with something of every kind."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 17, (6, 1, 4, 4))
    samples = exhibit(IMAGES, images, None, "Samples")
    waves = exhibit(SOUNDS, rng.integers(0, 256, (1, 1, 800)).astype(np.uint8), None, "Sounds")
    history = pd.DataFrame({"step": [1, 2, 3], "loss": [3.0, 2.0, 1.0], "objective": [3.0, 2.0, 1.5]})
    below = nearest_neighbours(IMAGES, images[:2], images.reshape(2, 3, 1, 4, 4), np.ones((2, 3)))
    hot = temperature_row(IMAGES, [0.5, 1.0, 1.2], images.reshape(3, 2, 1, 4, 4), None)
    student = Distillation("slow", distillation_curve(history), teacher_nll=1.7, student_nll=1.9)
    tiles = thumbnails(IMAGES, images, None, "Samples")
    sounds = thumbnails(SOUNDS, rng.integers(0, 256, (1, 1, 800)).astype(np.uint8), None, "Sounds")
    sections = [
        EntrySection("slow", "pixelcnn", samples, training_curves(history, "val"), temperatures=hot, tiles=tiles),
        EntrySection("fast", "iaf", samples, distillation=student, neighbours=below),
        EntrySection("a_rather_long_name_of_an_entry", "gan", waves, notes=["Mode collapse."], tiles=sounds),
        EntrySection("blank", "vae", Exhibit([Item(samples.items[0].picture, "One")], "One.", "grid")),
    ]
    rows = [
        row("slow", nll_bits_per_dim=1.7, nll_kind="exact", samples_per_s=90.0, parallel_sampling=False),
        row("fast", nll_bits_per_dim=1.9, nll_kind="bound", nll_bound="dequantised, 1 draw", fid=0.5),
        row("a_rather_long_name_of_an_entry", fid=0.3, memorisation=0.99),
        row("blank", fid=None, samples_per_s=None),
    ]
    about = {"commit": "abc"}
    return render(
        Report("Title", "Some data.", rows, sections, about, samples, tiles, data_page="data.html", classes=2)
    )


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the browser saw in each copy."""
    if BROWSER is None:
        pytest.skip("needs Chromium or Chrome on the PATH")
    folder = tmp_path_factory.mktemp("browser")
    copy = page().replace("<head>", f"<head>{SPY}", 1)
    dark = copy.replace('id="theme"', 'id="theme" checked')
    copies = {"desk": copy, "dark": dark, "phone": copy, "paper": copy.replace("@media print", "@media all")}
    frames = [
        f'<iframe id="{name}" style="width:{WIDTHS[name]}px;height:900px" srcdoc="{html.escape(text)}"></iframe>'
        for name, text in copies.items()
    ]
    (folder / "look.html").write_text(f"<!doctype html><meta charset=utf-8>{LOOK}<body>{''.join(frames)}</body>")
    address = (folder / "look.html").as_uri()
    command = [
        BROWSER,
        *FLAGS,
        "--window-size=1400,1000",
        f"--user-data-dir={folder / 'profile'}",
        "--dump-dom",
        address,
    ]
    printed = subprocess.run(command, capture_output=True, text=True, timeout=HANGING, check=True).stdout
    answer = re.search(r"<pre>(.*)</pre>", printed, re.DOTALL)
    assert answer, printed[:500]
    found: dict[str, dict[str, Any]] = json.loads(html.unescape(answer[1]))
    assert list(found) == list(WIDTHS)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("where", WIDTHS)
def test_everything_is_shown_and_nothing_is_asked_for(seen: dict[str, dict[str, Any]], where: str) -> None:
    found = seen[where]
    assert found["problems"] == [] and found["requests"] == []
    assert found["images"] >= 10 and found["broken"] == [] and found["silent"] == 0
    assert found["sounds"] == 1 and found["mute"] == 0


@pytest.mark.slow
def test_every_column_sorts_both_ways_with_blanks_last(seen: dict[str, dict[str, Any]]) -> None:
    sorts = seen["desk"]["sorted"]
    assert len(sorts) >= 2 * 5
    for first, second in zip(sorts[::2], sorts[1::2], strict=True):
        assert first["order"] == first["first"] != second["order"] and first["others"] == second["others"] == 1
        for each in (first, second):
            known = [value for value in each["values"] if value]
            assert each["values"][: len(known)] == known, "blanks are last"
            numbers = [float(value) for value in known] if known[0][0].isdigit() else known
            if each["order"] == "descending":
                numbers = numbers[::-1]
            assert all(a <= b for a, b in pairwise(numbers))
    assert any("" in each["values"] for each in sorts)


@pytest.mark.slow
def test_the_reader_chooses_what_is_best_and_who_is_shown(seen: dict[str, dict[str, Any]]) -> None:
    found = seen["desk"]
    first = ["a_rather_long_name_of_an_entry", "slow", "fast", "blank"]
    assert found["orders"] == {
        "fid": first,
        "nll_bits_per_dim": ["slow", "fast", "a_rather_long_name_of_an_entry", "blank"],
        "samples_per_s": ["fast", "a_rather_long_name_of_an_entry", "slow", "blank"],
    }
    all_points, fewer, hidden, again = found["drawn"]
    assert (all_points, fewer, again) == (3, 2, 3) and hidden == [first[0]] * 2


@pytest.mark.slow
def test_the_page_has_dark_colours_too_and_all_text_is_legible(seen: dict[str, dict[str, Any]]) -> None:
    assert seen["desk"]["page"] == 1 and seen["dark"]["page"] < 0.1 and seen["paper"]["page"] == 1
    assert [each for found in seen.values() for each in found["pale"]] == []


@pytest.mark.slow
@pytest.mark.parametrize("where", ["desk", "phone"])
def test_keyboard_and_screen_readers_get_everywhere(seen: dict[str, dict[str, Any]], where: str) -> None:
    found = seen[where]
    assert found["unseen"] == [], "each is reached by the keyboard, and one sees where one is"
    assert found["jumping"] == found["headless"] == found["twins"] == found["unnamed"] == 0 and found["dangling"] == []
    assert found["stuck"] == [], "what scrolls can be scrolled by the keyboard"
    assert len(set(found["namesakes"])) == len(found["namesakes"]), "parts that one can jump to have names of their own"
    assert all(b <= a + 1 for a, b in pairwise(found["levels"])), "no level of headings is left out"


@pytest.mark.slow
def test_the_page_fits_desk_phone_and_paper(seen: dict[str, dict[str, Any]]) -> None:
    assert {name: found["overflow"] for name, found in seen.items()} == dict.fromkeys(WIDTHS, 0)
    assert seen["phone"]["source"] != seen["desk"]["source"], "the phone has a picture of its own"
    assert not seen["desk"]["narrow"] and seen["paper"]["narrow"] and seen["paper"]["cut"] == 0
    assert seen["paper"]["closed"] == 0, "on paper nothing can be opened"
