"""What git says of a folder, where there is git."""

from __future__ import annotations

import subprocess
from pathlib import Path

PATIENCE = 10  # seconds


def git_output(root: Path, *arguments: str) -> str:
    """What a git command prints; nothing where there is no git, no repository or no commit."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=root, capture_output=True, check=False, text=True, timeout=PATIENCE
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def git_commit(root: Path) -> str:
    """The commit that is checked out at `root`; empty where there is none."""
    return git_output(root, "rev-parse", "--verify", "HEAD")
