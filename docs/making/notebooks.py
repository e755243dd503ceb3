"""Run the notebooks and keep what comes out: `python -m docs.making.notebooks`, in a project that was built.

Outputs are committed, since a reader of the site, and the build, should not have to train. A test runs the same cells.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from .repository_links import DOCS, write

NOTEBOOKS = DOCS / "notebooks"


def run(path: Path, folder: Path, **changes: str) -> Any:
    """The notebook, run in a folder, with changes of its text."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for old, new in changes.items():
            cell.source = cell.source.replace(old, new)
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    NotebookClient(notebook, timeout=900, resources={"metadata": {"path": str(folder)}}).execute()
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # moments, which differ each time
        if cell.cell_type == "code":  # what packages say on stderr is of this machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    return notebook


def main() -> None:
    """Run all of them where they stand."""
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        write(path, nbformat.writes(run(path, path.parent)) + "\n")
        print(path)


if __name__ == "__main__":
    main()
