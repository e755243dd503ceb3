"""The picture of a page is made by a command, which says what it lacks."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from pipelines.errors import UserError
from pipelines.report import screenshot as module
from pipelines.report.screenshot import HEIGHT, WIDTH, browser, screenshot


@pytest.fixture
def page(tmp_path: Path) -> Path:
    (tmp_path / "page.html").write_text("<!doctype html><body style='margin:0;background:#ff0000'>")
    return tmp_path / "page.html"


@pytest.mark.slow
@pytest.mark.skipif(browser() is None, reason="needs Chromium or Chrome on the PATH")
def test_the_picture_shows_the_page(page: Path) -> None:
    screenshot(page, page.with_suffix(".png"))
    with Image.open(page.with_suffix(".png")) as picture:
        assert picture.size == (WIDTH, HEIGHT)
        assert picture.convert("RGB").getpixel((9, 9)) == (255, 0, 0)


def test_it_says_what_is_missing(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="`make repro` makes the report"):
        screenshot(page.with_name("other.html"), page.with_suffix(".png"))
    monkeypatch.setattr(module, "browser", lambda: None)
    with pytest.raises(UserError, match=r"no browser is on the PATH.*apt-get install"):
        screenshot(page, page.with_suffix(".png"))
    assert not page.with_suffix(".png").exists()


def test_a_browser_that_fails_leaves_no_picture(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "browser", lambda: "false")
    with pytest.raises(UserError, match="draws no picture"):
        screenshot(page, page.with_suffix(".png"))
    assert not page.with_suffix(".png").exists() and len(list(page.parent.iterdir())) == 1
