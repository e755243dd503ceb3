"""Links of the pages to files of the repository: in the site they lead to pages that show those files.

A page links to a file as it does for a reader of the repository, `[schema.py](../pipelines/params/schema.py)`. When the
site is built, each such file becomes a page below `docs/files`, and the link leads there: so every link works without
the address of a repository. A folder becomes a list of its files. Markdown is shown as Markdown.
"""

from __future__ import annotations

import ast
import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
FILES = DOCS / "files"
LINK = re.compile(r"\]\((?!\w+:|#)([^()\s#]+)(#[^()\s]*)?\)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml", ".sh": "bash", ".ipynb": "json"}
SHOWN_AS = {ROOT / "README.md": DOCS / "index.md"}


def outside(text: str, source: Path) -> set[Path]:
    """The files and folders outside of `docs` that the text of a source file links to."""
    found = (_target(match[1], source) for match in LINK.finditer(text))
    return {target for target in found if target is not None}


def rewritten(text: str, source: Path, page: Path) -> str:
    """The text of a source file with links that hold where its page stands."""

    def link(match: re.Match[str]) -> str:
        target, anchor = _target(match[1], source), match[2] or ""
        if target is not None:
            return f"]({os.path.relpath(page_of(target), page.parent)}{anchor})"
        if source.parent == page.parent:
            return match[0]
        return f"]({os.path.relpath(source.parent / match[1], page.parent)}{anchor})"

    return LINK.sub(link, text)


def page_of(target: Path) -> Path:
    """Where the page stands that shows a file or a folder."""
    if target in SHOWN_AS:
        return SHOWN_AS[target]
    name = str(target.relative_to(ROOT))
    return FILES / (name if target.suffix == ".md" else f"{name}.md")


def write_pages(sources: list[Path], always: tuple[Path, ...] = ()) -> list[Path]:
    """Write the pages of all files that the sources link to, that those link to in turn, and of others."""
    waiting = [*always, *(target for source in sources for target in outside(source.read_text(), source))]
    done: list[Path] = []
    while waiting:
        target = waiting.pop()
        if (page := page_of(target)) in done or target in SHOWN_AS:
            continue
        text = _shown(target, page)
        write(page, text)
        done.append(page)
        if target.suffix == ".md":
            waiting += outside(target.read_text(), target)
    return done


def write(page: Path, text: str) -> None:
    """Write a page, unless it is there as it is: Sphinx then need not read it again."""
    if page.is_file() and page.read_text(encoding="utf-8") == text:
        return
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text(text, encoding="utf-8")


def _target(link: str, source: Path) -> Path | None:
    """The file or folder outside of `docs` that a link leads to; None if it leads elsewhere, or to nothing."""
    target = Path(os.path.normpath(source.parent / link))
    if not target.exists() or not target.is_relative_to(ROOT):
        return None
    return None if target.is_relative_to(DOCS) and target.suffix in (".md", ".png", ".svg", ".ipynb") else target


def _shown(target: Path, page: Path) -> str:
    """The text of the page that shows a file or a folder."""
    head = f"---\norphan: true\n---\n\n# {target.relative_to(ROOT)}\n\n"
    if target.is_dir():
        return head + "\n".join(_listed(each) for each in sorted(target.iterdir()) if _is_shown(each)) + "\n"
    if target.suffix == ".md":
        return "---\norphan: true\n---\n\n" + rewritten(target.read_text(encoding="utf-8"), target, page)
    language = LANGUAGES.get(target.suffix, "text")
    return f"{head}```{{literalinclude}} {os.path.relpath(target, page.parent)}\n:language: {language}\n```\n"


def _is_shown(path: Path) -> bool:
    return not path.name.startswith((".", "__pycache__"))


def _listed(path: Path) -> str:
    """A line on a file of a folder: a module has its docstring's first line beside its name."""
    module = path / "__init__.py" if path.is_dir() else path
    about = ast.get_docstring(ast.parse(module.read_text())) if module.is_file() and module.suffix == ".py" else None
    first = (about or "").partition("\n")[0].replace("*", r"\*").replace("<", r"\<")
    return f"- `{path.name}{'/' * path.is_dir()}`{': ' * bool(first)}{first}"
