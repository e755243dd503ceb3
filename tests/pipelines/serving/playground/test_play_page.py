"""The page in a real browser: every control does what it says, no other machine is asked, a phone can use it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipelines.serving.consumer.playground.local_server import application, listen, server
from pipelines.serving.consumer.playground.opened import Opened

from ...report.test_browser import BROWSER, WIDTHS
from .chromium import PATIENCE, Page, browser

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(BROWSER is None, reason="needs Chromium or Chrome on the PATH"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # of Gradio and what it stands on
]

SEEN = "[...document.querySelectorAll('{}')].filter(each => each.offsetParent !== null)"


def seen(selector: str, text: str | None = None) -> str:
    """JavaScript that finds the shown elements of a selector, or the first that has this text alone."""
    found = SEEN.format(selector)
    return found if text is None else f"{found}.find(each => each.innerText.trim() === {text!r})"


def control(kind: str, label: str) -> str:
    """JavaScript that finds an input by the beginning of its block's text."""
    blocks = f"{seen('.block')}.filter(each => each.innerText.trim().startsWith({label!r}))"
    return f"{blocks}.at(-1).querySelector({kind!r})"


@pytest.fixture(scope="module")
def address(toys: dict[str, Opened]) -> Iterator[str]:
    """Where the page of some of the toys is."""
    models = [toys[title] for title in ("images", "vae", "table", "sounds")]
    with listen(None) as listening:
        serving = server(application(models))
        thread = threading.Thread(target=serving.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        end = time.monotonic() + PATIENCE
        while not serving.started:
            assert time.monotonic() < end and thread.is_alive()
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        serving.should_exit = True
        thread.join(PATIENCE)


async def opened(page: Page, address: str, where: str) -> None:
    """The page with its first samples."""
    await page.open(address, WIDTHS[where])
    await page.until("document.querySelectorAll('.answer').length === 4")


async def tab(page: Page, name: str, ready: str) -> None:
    """Go to a tab, and wait for what is there at first."""
    await page.press(seen("button[role=tab]", name))
    await page.until(ready)


async def set_value(page: Page, field: str, text: str) -> None:
    """Enter a text where another one stood."""
    await page.press(field)
    await page.value(f"{field}.select()")
    await page.type(text)
    await page.key("Tab", 9)


async def html(page: Page, selector: str = ".answers") -> str:
    return str(await page.value(f"{seen(selector)}[0].innerHTML"))


async def changed(page: Page, before: str, selector: str = ".answers") -> str:
    await page.until(f"{seen(selector)}.length && {seen(selector)}[0].innerHTML !== {before!r}")
    return await html(page, selector)


async def unfold(page: Page) -> None:
    """Open the last of the shown folds with Python."""
    await page.press(f"{seen('button')}.filter(each => each.innerText.includes('The same in Python')).at(-1)")


async def samples(page: Page) -> None:
    """Class, number, temperature, seed, conditions, models."""
    first = await html(page)
    assert first.count("<img") == 32 and first.count("<audio") == 16 and first.count("&lt;b&gt;a&lt;/b&gt;") > 0
    await page.press(seen("button", "Another seed"))
    other = await changed(page, first)
    await set_value(page, control("input[type=number]", "Seed"), "0")
    assert await changed(page, other) == first, "the same seed draws the same"
    await set_value(page, control("input[type=number]", "How many"), "4")
    few = await changed(page, first)
    assert few.count("<img") == 8 and few.count("<audio") == 4
    await set_value(page, control("input[type=number]", "Temperature"), "0.2")
    few = await changed(page, few)
    await page.press(control("input", "Class"))
    await page.press(seen("[role=option]", "cat"))
    cats = await changed(page, few)
    assert cats.count(">cat</figcaption>") == 8 and "This model has no classes" in cats
    await set_value(page, control("textarea", "Only rows where"), "age>=200")
    await page.press(seen("button", "Draw"))
    refused = await changed(page, cats)
    assert 'role="alert">where: ' in refused and refused.count("<img") == 8
    await page.press(seen("label", "table"))
    await page.until(f"!{seen('.block')}.some(each => each.innerText.trim().startsWith('Only rows where'))")
    await page.press(seen("label", "images"))
    await page.press(seen("label", "vae"))
    await page.until(f"{seen('.answer')}.length === 1")
    await page.until(f"!{seen('.block')}.some(each => each.innerText.trim().startsWith('Class'))")
    await unfold(page)
    await page.until(f"{seen('.cm-content')}.some(each => each.innerText.includes(\"'temperature': 0.2\"))")


async def completions(page: Page) -> None:
    """Masks by name and painted, completions that keep the rest; blank cells of a row."""
    canvas = f"{seen('canvas.painter')}[0]"
    dyed = (
        f"(() => {{ const c = {canvas}, all = []; for (let y = 0; y < 4; y++) for (let x = 0; x < 6; x++) {{"
        " const [r, , b] = c.getContext('2d').getImageData((x + .5) * c.width / 6, (y + .5) * c.height / 4, 1, 1).data;"
        " if (r > b + 20) all.push(y * 6 + x); } return all; })()"
    )
    await tab(page, "Complete", f"{canvas}?.width > 300 && {dyed}.length === 12")
    assert await page.value(dyed) == list(range(12, 24)), "the bottom half"
    await page.press(seen("label", "Left half"))
    await page.until(f"{dyed}.includes(0)")
    assert await page.value(dyed) == [pixel for pixel in range(24) if pixel % 6 < 3]
    x, y, width, height = await page.value(
        f"(() => {{ {canvas}.scrollIntoView({{block: 'center', behavior: 'instant'}});"
        f" const b = {canvas}.getBoundingClientRect(); return [b.x, b.y, b.width, b.height]; }})()"
    )
    across = [(x + width * (column + 0.5) / 6, y + height / 8) for column in (3, 4, 5)]
    await page.stroke(*across)
    await page.until(f"{seen('label', 'As painted')}.querySelector('input').checked")
    painted = [pixel for pixel in range(24) if pixel % 6 < 3 or pixel < 6]
    await page.until(f"JSON.stringify({dyed}) === '{str(painted).replace(' ', '')}'")
    await page.press(seen("button.primary", "Complete"))
    await page.until(f"{seen('.answer')}.length === 1")
    assert (await html(page, ".answer")).count("<img") == 8
    await unfold(page)
    rows, columns = np.divmod(painted, 6)
    index = f"x[:, :, {rows.tolist()}, {columns.tolist()}] = np.nan".replace(" ", "")
    await page.until(f"{seen('.cm-content')}.some(each => each.innerText.replace(/\\s/g, '').includes('{index}'))")
    await page.press(seen("label", "table"))
    cell = f"{seen('.cells [data-testid=cell-1-1]')}[0]"
    await page.until(f"{cell}?.innerText.trim()")
    await page.press(cell)
    await page.key("Backspace", 8)
    await page.until(f"!{cell}.querySelector('span').innerText.trim()")
    await page.press(seen("button.primary", "Complete"))
    await page.until(f"{seen('.answer td.drawn')}.length === 8")


async def codes(page: Page) -> None:
    """Another pair, the way between, a dimension, and back."""
    await tab(page, "Codes", f"{seen('.answer')}.length === 2")
    first = await html(page, ".answer")
    assert first.count("<img") == 3 and "50% of the way" in first
    await set_value(page, control("input[type=number]", "From the first"), "0.25")
    assert "25% of the way" in await changed(page, first, ".answer")
    await unfold(page)
    dimension = await page.value(
        f"{seen('.block')}.map(each => each.innerText.match(/^\\s*Dimension (\\d+)/)?.[1]).find(Boolean)"
    )
    await set_value(page, control("input[type=number]", f"Dimension {dimension}"), "2.5")
    code = f"{seen('.cm-content')}.map(each => each.innerText).find(each => each.includes('] += ['))"
    await page.until(f"{code} && !{code}.includes('+= [0.0,')")
    await page.press(seen("button", "Back to the first example"))
    await page.until(f"{code}.includes('+= [0.0,')")
    before = await html(page, ".answer")
    await page.press(seen("button", "Another pair"))
    await changed(page, before, ".answer")


async def scores(page: Page, picture: str) -> None:
    """A sample, and one's own image."""
    await tab(page, "Score", f"{seen('.gauge')}.length === 1")
    before = await html(page, ".answer")
    found = await page.command(
        "Runtime.evaluate",
        expression=f"{seen('button', 'My own image')}.parentElement.querySelector('input[type=file]')"
        " || [...document.querySelectorAll('input[type=file]')].at(-1)",
    )
    await page.command("DOM.setFileInputFiles", files=[picture], objectId=found["result"]["objectId"])
    await changed(page, before, ".answer")
    await page.until("document.body.innerText.includes('Your image of 256×256 pixels was brought to 6×4.')")


def test_every_control_does_what_it_says(address: str, tmp_path: Path, picture: str) -> None:
    async def look() -> Page:
        async with browser(tmp_path) as page:
            await opened(page, address, "desk")
            await samples(page)
            await completions(page)
            await codes(page)
            await scores(page, picture)
        return page

    page = asyncio.run(look())
    assert page.complaints == []
    elsewhere = [each for each in page.requests if not each.startswith((address, "data:", "blob:"))]
    assert len(page.requests) > 20 and elsewhere == []


def test_a_phone_can_use_it(address: str, tmp_path: Path) -> None:
    async def look() -> dict[str, Any]:
        found: dict[str, Any] = {}
        async with browser(tmp_path) as page:
            await opened(page, address, "phone")
            for name, ready in (
                ("Samples", ".answer"),
                ("Complete", "canvas.painter"),
                ("Codes", ".answer"),
                ("Score", ".gauge"),
            ):
                await tab(page, name, f"{seen(ready)}.length > 0")
                found[name] = await page.value("[innerWidth, document.documentElement.scrollWidth]")
        return found

    assert set(map(tuple, asyncio.run(look()).values())) == {(390, 390)}
