"""`python -m pipelines.report.screenshot report/index.html docs/report.png`: a picture of the top of a page.

A browser on this machine draws it: Chromium or Chrome, without a window and without the network.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ..errors import UserError
from ..files import replacing

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT = 1280, 1400
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE = 120  # seconds


def browser() -> str | None:
    """The command of a browser of this machine, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


def screenshot(page: Path, picture: Path) -> None:
    """Draw the page as a picture, whole or not at all. Raises `UserError` where there is no page or no browser."""
    if not page.is_file():
        raise UserError(f"picture: {page} is not there; `make repro` makes the report")
    command = browser()
    if command is None:
        raise UserError(
            f"picture: no browser is on the PATH, looked for {', '.join(NAMES)}; install one, for example by "
            "`apt-get install -y --no-install-recommends chromium`"
        )
    with tempfile.TemporaryDirectory() as profile, replacing(picture) as temporary:
        drawn = Path(profile) / "page.png"  # the browser goes by the ending
        asked = (f"--user-data-dir={profile}", f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={drawn}")
        try:
            subprocess.run(
                [command, *FLAGS, *asked, page.resolve().as_uri()], capture_output=True, timeout=PATIENCE, check=True
            )
            shutil.copyfile(drawn, temporary)
        except (OSError, subprocess.SubprocessError) as problem:
            raise UserError(f"picture: {command} draws no picture of {page}: {problem}") from None


if __name__ == "__main__":
    try:
        screenshot(Path(sys.argv[1]), Path(sys.argv[2]))
    except UserError as problem:
        sys.exit(str(problem))
