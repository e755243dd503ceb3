"""How the documentation is built: `make docs`, or `python -m sphinx -W docs docs/_build/html` here.

Pages that are made of the code are written before Sphinx looks for pages; links to files of the repository lead to
pages that show them. Nothing is fetched, and the built pages ask for nothing elsewhere: there are no formulas that need
a script, and fonts are the system's.
"""

from __future__ import annotations

from sphinx.application import Sphinx

from docs.making import repository_links
from docs.making.accessibility import mend_pages
from docs.making.docstrings import rst
from docs.making.family_pages import write_families
from docs.making.live_examples import copy_examples, write_example
from docs.making.parameter_pages import write_references

ROOT = repository_links.ROOT

project = "Genera"
author = "The Genera developers"
copyright = "The Genera developers, MIT licence"
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.viewcode", "sphinx_copybutton"]
exclude_patterns = ["_build", "making", "__pycache__"]
myst_enable_extensions = ["deflist"]
myst_heading_anchors = 3
nb_execution_mode = "off"  # a test runs the notebooks; their outputs are committed
highlight_language = "text"
autodoc_typehints = "signature"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
copybutton_prompt_text = "$ "
html_theme = "furo"
html_title = "Genera"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_sphinx = False


def write_pages(app: Sphinx) -> None:
    """Write the pages that are made of the code, and those of linked files."""
    made = [*write_families(), *write_references(), write_example()]
    handwritten = [path for folder in (".", "tutorials", "reference") for path in (ROOT / "docs" / folder).glob("*.md")]
    repository_links.write_pages(sorted({*made, *handwritten}), (ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"))


def rewrite_links(app: Sphinx, name: str, content: list[str]) -> None:
    """Links to files of the repository lead to the pages that show them."""
    page = ROOT / "docs" / f"{name}.md"
    if page.is_file() and not page.is_relative_to(repository_links.FILES):
        content[0] = repository_links.rewritten(content[0], page, page)


def convert_docstring(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Docstrings are plain text."""
    lines[:] = rst(lines)


def setup(app: Sphinx) -> None:
    """Tell Sphinx of the above."""
    app.connect("builder-inited", write_pages)
    app.connect("source-read", rewrite_links)
    app.connect("autodoc-process-docstring", convert_docstring)
    app.connect("build-finished", mend_pages)
    app.connect("build-finished", copy_examples)
