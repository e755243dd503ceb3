"""A project that was moved, or copied, with its SQLite file, in which MLflow has absolute paths of the old place.

Nothing of the new project may be written there, where there may be another project, and what came along is no longer
found. So the paths in the file are corrected when the project is first used in its new place.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from ..errors import UserError

PLACES = (  # where MLflow writes down the place of artifacts: table and column
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
FOLDER = "mlartifacts"


def artifacts_of(root: Path) -> str:
    """The URI of the folder in which a project keeps its artifacts, if no server does."""
    return (root.resolve() / FOLDER).as_uri()


def follow(database: Path, root: Path, experiment: str) -> None:
    """Correct the paths in the SQLite file of the project at `root`, if its experiment keeps artifacts elsewhere.

    A line says so. Raises `UserError` for a file that is no such database, or cannot be written.
    """
    new = artifacts_of(root)
    try:
        with closing(sqlite3.connect(database)) as opened, opened:
            old = _location(opened, experiment)
            if old is None or old == new or not old.endswith(f"/{FOLDER}"):
                return
            count = sum(_replaced(opened, table, column, old, new) for table, column in PLACES)
    except sqlite3.Error as error:
        raise UserError(f"{database}: {error}; mend it, or set MLFLOW_TRACKING_URI to another store") from None
    place = Path(url2pathname(urlsplit(old).path)).parent
    print(f"tracking: the project was at {place}: {count} paths in {database} now lead here", file=sys.stderr)


def _location(opened: sqlite3.Connection, experiment: str) -> str | None:
    """Where the experiment keeps artifacts."""
    found = opened.execute("SELECT artifact_location FROM experiments WHERE name = ?", [experiment]).fetchone()
    return None if found is None or found[0] is None else str(found[0])


def _replaced(opened: sqlite3.Connection, table: str, column: str, old: str, new: str) -> int:
    """Let the paths of a column that begin with the old one begin with the new one. How many there were."""
    change = f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR substr({column}, 1, ?) = ?"
    below = f"{old}/"
    return opened.execute(change, [new, len(old) + 1, old, len(below), below]).rowcount
