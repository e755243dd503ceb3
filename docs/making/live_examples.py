"""The report and the data page of this project as live examples, where `make repro` was run here."""

from __future__ import annotations

import shutil
from pathlib import Path

from sphinx.application import Sphinx

from .repository_links import DOCS, ROOT, write

PAGE = DOCS / "example.md"
REPORT, FOLDER = ROOT / "report", "live"
PAGES = {
    "index.html": "**the report**: which entry is best at what, every one beside real data",
    "data.html": "**the data page**: examples, balance, and every decision that was taken about the data",
}
MISSING = """`make repro` was not run in the checkout that this site was built from, so the two pages are not here.
To see them, run `make repro`, then open `report/index.html` and `report/data.html` from disk; or build the site again,
and it takes them along."""


def write_example() -> Path:
    """Write the page that leads to the examples; give its place."""
    found = [name for name in PAGES if (REPORT / name).is_file()]
    links = "\n".join(f'- <a href="{FOLDER}/{name}">{_html(PAGES[name])}</a>' for name in found)
    there = (
        "They are of the checkout that this site was built from, as `make repro` left them. They open from disk, and"
        f" load nothing.\n\n{links}"
    )
    text = f"""# A live example

## The report and the data page

{there if found else MISSING}

![The top of the report: samples of every entry, the best first; then quality against speed](report.png)

## The playground

A page with sliders needs a model and a process that computes, so it is no part of a site. In a project type

```sh
genera play vae maf made
```

and a page opens at 127.0.0.1. It looks like this; [the page on it](play.md) says what each tab does.

![Samples of three models and rows of a fourth, with the controls beside them](play.png)
"""
    write(PAGE, text)
    return PAGE


def copy_examples(app: Sphinx, failed: Exception | None) -> None:
    """Put the pages into the built site."""
    if failed is not None or app.builder.format != "html":
        return
    for name in PAGES:
        if (REPORT / name).is_file():
            (Path(app.outdir) / FOLDER).mkdir(exist_ok=True)
            shutil.copy(REPORT / name, Path(app.outdir) / FOLDER / name)


def _html(text: str) -> str:
    return text.replace("**", "<strong>", 1).replace("**", "</strong>", 1)
