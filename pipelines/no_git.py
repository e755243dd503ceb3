"""A project without git, such as a downloaded ZIP: DVC has to be told that there is none."""

from __future__ import annotations

import subprocess
import sys
from configparser import ConfigParser
from configparser import Error as Unreadable
from pathlib import Path

SETTINGS = ".dvc/config.local"  # of this folder alone, not of those who share the project


def settle_without_git(root: Path) -> str:
    """Let DVC do without git where there is none, in a project of DVC. What there is to say; '' if nothing."""
    there = any((each / ".git").exists() for each in (root.resolve(), *root.resolve().parents))
    told = _told(root / SETTINGS)
    if there and told:
        return (
            f"{SETTINGS} tells DVC that there is no git, and there is:"
            " `dvc config --local --unset core.no_scm` brings experiments back"
        )
    if there or told or not (root / ".dvc").is_dir():
        return ""
    command = [sys.executable, "-m", "dvc", "config", "--quiet", "--local", "core.no_scm", "true"]
    subprocess.run(command, cwd=root, check=True)
    return f"there is no git here: DVC does without (core.no_scm in {SETTINGS}), which leaves out experiments"


def _told(path: Path) -> bool:
    """Do these settings of DVC say that there is no git?"""
    settings = ConfigParser()
    try:
        settings.read(path, encoding="utf-8")
        return settings.getboolean("core", "no_scm", fallback=False)
    except (Unreadable, ValueError):
        return False  # DVC says what is wrong with it
