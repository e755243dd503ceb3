"""What the theme leaves to be mended in the built pages, so that everyone can use them.

axe-core finds these in pages of Furo: captions that are headings of no level, two side columns that a screen reader
cannot tell apart, table headers without a word, a search page without a heading. And what may be wider than a screen,
and then scrolls, must be reached by the keyboard.
"""

from __future__ import annotations

import re
from pathlib import Path

from sphinx.application import Sphinx

from .live_examples import FOLDER

MENDED = (
    (re.compile(r'role="heading">'), 'role="heading" aria-level="2">'),
    (re.compile(r'<aside class="sidebar-drawer">'), '<aside class="sidebar-drawer" aria-label="All pages">'),
    (re.compile(r'<aside class="toc-drawer'), '<aside aria-label="On this page" class="toc-drawer'),
    (re.compile(r"<th( class=\"head[^\"]*\")?>\s*(?:<p></p>)?\s*</th>"), r"<td\1></td>"),
    (re.compile(r'(?<!</h1>)<div id="search-results">'), '<h1>Search</h1><div id="search-results">'),
    (re.compile(r"<pre>"), '<pre tabindex="0">'),
    (re.compile(r'<div class="table-wrapper'), '<div tabindex="0" class="table-wrapper'),
)


def mended(page: str) -> str:
    """The text of a page, mended; one that is mended stays as it is."""
    for old, new in MENDED:
        page = old.sub(new, page)
    return page


def mend_pages(app: Sphinx, failed: Exception | None) -> None:
    """Mend all pages that were built; those of a project's report are not the theme's."""
    if failed is not None or app.builder.format != "html":
        return
    for path in Path(app.outdir).rglob("*.html"):
        if path.relative_to(app.outdir).parts[0] != FOLDER:
            path.write_text(mended(path.read_text(encoding="utf-8")), encoding="utf-8")
