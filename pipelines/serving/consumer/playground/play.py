"""`genera play`: load the models, then show the page."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from collections.abc import Callable, Sequence

from ..mistake import Mistake
from ..model_uri import Model
from .opened import Opened, titles
from .python_lines import loading

SILENT = {  # what the libraries of the page would send to their makers, or ask of them, unless told otherwise
    "GRADIO_ANALYTICS_ENABLED": "False",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_OFFLINE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}


def play(
    names: Sequence[str], load: Callable[[str], Model], of_entry: str | None, port: int | None, browser: bool
) -> None:
    """Show a page for the models of these names; `of_entry` is the Python that imports what loads a project's entry."""
    if importlib.util.find_spec("gradio") is None:
        raise Mistake(
            "play: the page needs Gradio, which is not installed: pip install 'genera[play]', "
            "or in a clone of the repository uv sync --extra play"
        )
    os.environ.update(SILENT)
    with tempfile.TemporaryDirectory(prefix="genera-play-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder  # of files that are uploaded
        models = [
            Opened(title, load(name), loading(name, of_entry)) for title, name in zip(titles(names), names, strict=True)
        ]
        from .local_server import serve

        serve(models, port, browser)
