"""The page in a real browser: it shows everything, complains of nothing, asks for nothing, sorts, and fits.

One start of Chromium looks at three copies of a page, each in a frame: as wide as a desk, as wide as a phone, and with
the rules for print at the width of a sheet of paper.
"""

from __future__ import annotations

import html
import json
import re
import shutil
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

from ...shell import HANGING

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync", "--window-size=1400,1000"),
)
WIDTHS = {"desk": 1280, "phone": 390, "paper": 1030}

# Runs in each copy before anything else of it.
SPY = """<script>
window.problems = [];
addEventListener("error", event => problems.push(event.message || `cannot load ${event.target.outerHTML}`), true);
addEventListener("unhandledrejection", event => problems.push(String(event.reason)));
addEventListener("securitypolicyviolation", event => problems.push(`policy: ${event.violatedDirective}`));
for (const name of ["error", "warn"]) console[name] = (...words) => problems.push(words.join(" "));
</script>"""

# Runs in the page around the copies once they are loaded; its answer is what --dump-dom prints.
LOOK = """<script>
function look(frame) {
  const page = frame.contentDocument, view = frame.contentWindow, all = what => [...page.querySelectorAll(what)];
  const headers = all("#entries thead tr:last-child th"), body = page.querySelector("#entries tbody");
  const column = place => [...body.rows].map(row => row.cells[place].dataset.sort);
  const sorted = headers.flatMap((header, place) => [1, 2].map(() => {
    header.querySelector("button").click();
    return {order: header.getAttribute("aria-sort"), first: header.dataset.first, values: column(place),
            others: headers.filter(each => each.hasAttribute("aria-sort")).length};
  }));
  const reachable = all("a[href], button, summary, audio, [tabindex]");
  const outline = each => {
    each.focus();
    return page.activeElement === each && view.getComputedStyle(each).outlineStyle;
  };
  const unseen = reachable.filter(each => each.getClientRects().length && !["auto", "solid"].includes(outline(each)));
  view.dispatchEvent(new Event("beforeprint"));
  return {
    problems: view.problems,
    images: all("img").length,
    broken: all("img").filter(image => !image.complete || !image.naturalWidth).map(image => image.alt),
    silent: all("img").filter(image => !image.alt).length,
    sounds: all("audio").length,
    mute: all("audio").filter(sound => sound.error || !sound.getAttribute("aria-label")).length,
    requests: view.performance.getEntriesByType("resource").map(each => each.name)
      .filter(name => !name.startsWith("data:")),
    sorted,
    unseen: unseen.map(each => each.outerHTML.slice(0, 99)),
    jumping: all("[tabindex]").filter(each => each.tabIndex !== 0).length,
    headless: all("th").filter(each => !each.scope).length,
    dangling: all('a[href^="#"]').map(each => each.getAttribute("href").slice(1))
      .filter(id => !page.getElementById(id)),
    twins: all("[id]").length - new Set(all("[id]").map(each => each.id)).size,
    closed: all("details:not([open])").length,
    levels: all("h1, h2, h3, h4").map(each => Number(each.tagName[1])),
    overflow: page.documentElement.scrollWidth - page.documentElement.clientWidth,
    cut: all("table").filter(each => each.scrollWidth > each.parentElement.clientWidth + 1).length,
    narrow: view.getComputedStyle(page.querySelector("nav")).display === "none",
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
    sections = [
        EntrySection("slow", "pixelcnn", samples, training_curves(history, "val"), temperatures=hot),
        EntrySection("fast", "iaf", samples, distillation=student, neighbours=below),
        EntrySection("a_rather_long_name_of_an_entry", "gan", waves, notes=["Mode collapse."]),
        EntrySection("blank", "vae", Exhibit([Item(samples.items[0].picture, "One")], "One.", "grid")),
    ]
    rows = [
        row("slow", nll_bits_per_dim=1.7, nll_kind="exact", samples_per_s=90.0, parallel_sampling=False),
        row("fast", nll_bits_per_dim=1.9, nll_kind="bound", nll_bound="dequantised, 1 draw", fid=0.5),
        row("a_rather_long_name_of_an_entry", fid=0.3, memorisation=0.99),
        row("blank", fid=None, samples_per_s=None),
    ]
    return render(Report("Title", "Some data.", rows, sections, {"commit": "abc"}, data_page="data.html", classes=2))


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What the browser saw in each copy."""
    if BROWSER is None:
        pytest.skip("needs Chromium or Chrome on the PATH")
    folder = tmp_path_factory.mktemp("browser")
    copy = page().replace("<head>", f"<head>{SPY}", 1)
    copies = {"desk": copy, "phone": copy, "paper": copy.replace("@media print", "@media all")}
    frames = [
        f'<iframe id="{name}" style="width:{WIDTHS[name]}px;height:900px" srcdoc="{html.escape(text)}"></iframe>'
        for name, text in copies.items()
    ]
    (folder / "look.html").write_text(f"<!doctype html><meta charset=utf-8>{LOOK}<body>{''.join(frames)}</body>")
    address = (folder / "look.html").as_uri()
    command = [BROWSER, *FLAGS, f"--user-data-dir={folder / 'profile'}", "--dump-dom", address]
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
@pytest.mark.parametrize("where", ["desk", "phone"])
def test_keyboard_and_screen_readers_get_everywhere(seen: dict[str, dict[str, Any]], where: str) -> None:
    found = seen[where]
    assert found["unseen"] == [], "each is reached by the keyboard, and one sees where one is"
    assert found["jumping"] == found["headless"] == found["twins"] == 0 and found["dangling"] == []
    assert all(b <= a + 1 for a, b in pairwise(found["levels"])), "no level of headings is left out"


@pytest.mark.slow
def test_the_page_fits_desk_phone_and_paper(seen: dict[str, dict[str, Any]]) -> None:
    assert {name: found["overflow"] for name, found in seen.items()} == dict.fromkeys(WIDTHS, 0)
    assert seen["phone"]["source"] != seen["desk"]["source"], "the phone has a picture of its own"
    assert not seen["desk"]["narrow"] and seen["paper"]["narrow"] and seen["paper"]["cut"] == 0
    assert seen["paper"]["closed"] == 0, "on paper nothing can be opened"
