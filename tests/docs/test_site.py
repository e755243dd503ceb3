"""The documentation is built without a warning; its links lead somewhere, and it asks no other host for anything."""

from __future__ import annotations

import re
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from threading import Thread
from urllib.parse import unquote, urlsplit

import pytest

from docs.making import family_pages, room_picture
from docs.making.accessibility import mended
from docs.making.docstrings import markdown, rst
from docs.making.site_server import server
from models.catalogue import CATALOGUE, family_class

from ..shell import HANGING

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
LOADED = {"script": "src", "img": "src", "link": "href", "iframe": "src", "source": "src", "video": "src"}
UNLOADED = {"canonical", "next", "prev", "search", "index", "genindex"}  # relations that a browser does not fetch
LIVE = "live"  # pages of a built project, which have tests of their own


@dataclass
class Page(HTMLParser):
    """The anchors of a page, where its links lead, what it loads, and its images without a text."""

    ids: set[str] = field(default_factory=set)
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    wordless: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.ids |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if tag == "img" and not found.get("alt"):
            self.wordless.append(found.get("src", ""))
        if tag in LOADED and LOADED[tag] in found and not UNLOADED & set(found.get("rel", "").split()):
            self.loads.append(found[LOADED[tag]])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; building it is a test of its own."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-d", folder / "doctrees", "docs"]
    done = subprocess.run(
        [*command, folder / "html"], cwd=ROOT, capture_output=True, text=True, check=False, timeout=HANGING
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    return folder / "html"


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    found = {}
    for path in site.rglob("*.html"):
        if path.relative_to(site).parts[0] != LIVE:
            found[path] = Page()
            found[path].feed(path.read_text(encoding="utf-8"))
    return found


def test_every_link_leads_to_a_page_and_a_place_on_it(pages: dict[Path, Page]) -> None:
    broken = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            known = pages[target].ids if target in pages else None
            if not target.is_file() or (parts.fragment and known is not None and unquote(parts.fragment) not in known):
                broken.append(f"{path.name}: {link}")
    assert not broken


def test_links_of_the_repository_lead_to_files() -> None:
    """What readers of the repository click, in pages that the site shows in another form."""
    broken = []
    for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "client" / "README.md"]:
        if {"_build", "files", "families"} & set(path.parts) or path.name in ("example.md", "params.md", "commands.md"):
            continue
        for link in re.findall(r"\]\((?!\w+:|#)([^()\s#]+)", path.read_text(encoding="utf-8")):
            made = re.search(r"families/|example\.md$|reference/(params|commands)\.md$", link)
            if not (path.parent / link).exists() and not made:
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert not broken


def test_nothing_is_loaded_from_another_host(site: Path, pages: dict[Path, Page]) -> None:
    assert not [(path.name, load) for path, page in pages.items() for load in page.loads if urlsplit(load).netloc]
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert not re.findall(r"(?:url\(|@import)\s*[\"']?(?:https?:)?//", styles)


def test_every_image_has_a_text(pages: dict[Path, Page]) -> None:
    assert not [(path.name, page.wordless) for path, page in pages.items() if page.wordless]


def test_every_family_has_a_page_with_all_that_it_should_say(site: Path) -> None:
    for model in CATALOGUE:
        text = (site / "families" / f"{model}.html").read_text(encoding="utf-8")
        for heading in ("When to use it", "Idea and equations", "Samples", "What it costs", "Configuration"):
            assert f">{heading}" in text, (model, heading)
        for name in vars(family_class(model).Config)["__pydantic_fields__"]:
            assert f">{name}<" in text, (model, name)


def test_every_family_says_when_to_use_it() -> None:
    for model in CATALOGUE:
        assert 40 < len(family_pages.when(model)) < 400, model


def test_the_picture_of_the_rooms_is_that_of_the_imports() -> None:
    said = "python -m docs.making.room_picture"
    assert room_picture.PICTURE.read_text(encoding="utf-8") == room_picture.svg(), f"run {said}"


def test_lines_that_follow_from_others_are_left_out() -> None:
    assert room_picture.reduced({("a", "b"), ("b", "c"), ("a", "c"), ("a", "d")}) == {
        ("a", "b"),
        ("b", "c"),
        ("a", "d"),
    }


def test_docstrings_keep_their_stars_equations_and_papers() -> None:
    docstring = "A map of x (N, *event), `y_i`.\n\n    u_i = y_i\n\n- one\n- two_\n\narXiv:1705.07057"
    shown = markdown(docstring)
    assert r"x (N, \*event), `y_i`" in shown and "```text\nu_i = y_i\n```" in shown
    assert "[arXiv:1705.07057](https://arxiv.org/abs/1705.07057)" in shown
    lines = rst(docstring.splitlines())
    assert lines[0] == r"A map of x (N, \*event), ``y_i``." and "    u_i = y_i" in lines and r"- two\_" in lines


def test_the_site_is_served_on_this_machine_alone() -> None:
    with server(0) as pages:
        Thread(target=pages.serve_forever, daemon=True).start()
        host, port = pages.server_address[:2]
        assert host == "127.0.0.1"
        with pytest.raises(OSError, match="404"):
            urllib.request.urlopen(f"http://{host}:{port}/there-is-no-such-page", timeout=HANGING)
        pages.shutdown()


def test_pages_are_mended_once() -> None:
    page = '<aside class="toc-drawer"><th class="head"><p></p></th><th></th><pre>x</pre><p role="heading">y</p>'
    once = mended(page)
    assert once.count("<td") == 2 and '<pre tabindex="0">' in once and 'aria-level="2"' in once
    assert 'aria-label="On this page"' in once and mended(once) == once
