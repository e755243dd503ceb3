"""Where the records go: a SQLite file beside the project, or whatever MLFLOW_TRACKING_URI names."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import UserError
from ..experiment import home_of
from ..files import unique_beside
from .left_behind import end_left_behind
from .moved import artifacts_of, follow

if TYPE_CHECKING:
    from mlflow import MlflowClient

PATIENCE = 4  # seconds to wait for a server's answer
TRANSFER = 600  # the same, while it passes on a file to where files are kept
TIMEOUT = "MLFLOW_HTTP_REQUEST_TIMEOUT"
SQLITE = "sqlite:///"
_CREDENTIALS = re.compile("(?<=://)[^/]+@")

# MLflow's own switches, wherever the user has not set them: answers in time, and no lines that explain nothing.
_SWITCHES = {
    "GIT_PYTHON_REFRESH": "quiet",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR": "1",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    TIMEOUT: str(PATIENCE),
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_UV_AUTO_DETECT": "false",  # or every model would get a copy of this project's uv.lock
}


@dataclass(frozen=True)
class Store:
    """An open store: its address, a client of it, and the identifier of the experiment."""

    uri: str
    client: MlflowClient
    experiment: str


def tracking_uri(root: Path) -> str:
    """MLFLOW_TRACKING_URI, or the SQLite file of the project at `root`; a SQLite path is always absolute.

    Of a copy that DVC made for an experiment it is that of the project.
    """
    uri = os.environ.get("MLFLOW_TRACKING_URI", "").strip() or f"{SQLITE}mlflow.db"
    if uri.startswith(SQLITE):
        return f"{SQLITE}{home_of(root) / uri.removeprefix(SQLITE)}"
    return uri


def public(uri: str) -> str:
    """The address without user name, password and query, to be shown."""
    return _CREDENTIALS.sub("", uri).partition("?")[0]


def quiet() -> None:
    """Set MLflow's switches; call it before MLflow is imported."""
    for name, value in _SWITCHES.items():
        os.environ.setdefault(name, value)
    # They tell of migrations, of retries, and that an environment made by uv has no pip.
    for name in ("alembic", "urllib3.connectionpool", "mlflow.utils.environment"):
        logging.getLogger(name).setLevel(logging.ERROR)
    # A page of traceback about a database that fails, which is raised, too: we try again, or say it in a line.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)


@contextmanager
def patient() -> Iterator[None]:
    """Within, answers may take as long as large files do, unless the user has set how long."""
    ours = os.environ.get(TIMEOUT) == str(PATIENCE)
    if ours:
        os.environ[TIMEOUT] = str(TRANSFER)
    try:
        yield
    finally:
        if ours:
            os.environ[TIMEOUT] = str(PATIENCE)


def failures() -> tuple[type[Exception], ...]:
    """What MLflow raises when its store, its server or its disk fails."""
    quiet()
    from mlflow.exceptions import MlflowException
    from requests import RequestException
    from sqlalchemy.exc import SQLAlchemyError

    return (MlflowException, RequestException, SQLAlchemyError, OSError)


def reason(error: Exception, uri: str) -> str:
    """The first line of an error, no longer than a reader's patience, without the credentials of `uri`."""
    text = (str(error).splitlines() or [type(error).__name__])[0]
    text, failed, _ = text.partition(" failed with exception")  # behind it comes the anatomy of an HTTP library
    text += " failed" if failed else ""
    secret = _CREDENTIALS.search(uri)
    text = text.replace(secret[0], "") if secret else text
    return text if len(text) <= 200 else f"{text[:199]}…"


def connect(root: Path, project: str) -> Store:
    """Open the store, making its database and the experiment if there are none; a UserError if that fails.

    The experiment has the name of the project, unless MLFLOW_EXPERIMENT_NAME gives another. Runs in it whose process
    has died are ended.
    """
    root = home_of(root)
    uri = tracking_uri(root)
    if uri.startswith(("http://", "https://")):
        _check_server(uri)
    quiet()
    from mlflow import MlflowClient

    artifacts = None if "://" in uri and not uri.startswith(SQLITE) else artifacts_of(root)
    experiment = os.environ.get("MLFLOW_EXPERIMENT_NAME", "").strip() or project
    # The last two: a database without its driver, and an address that is none.
    expected: tuple[type[Exception], ...] = (*failures(), ImportError, ValueError)
    try:
        if uri.startswith(SQLITE):
            database = Path(public(uri).removeprefix(SQLITE))
            _make_database(database, experiment, artifacts)
            if database.parent == root:
                follow(database, root, experiment)
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        found = _experiment(client, experiment, artifacts)
        end_left_behind(client, found)
        return Store(uri, client, found)
    except expected as error:
        raise UserError(
            f"MLflow at {public(uri)}: {reason(error, uri)}; mend it, or set MLFLOW_TRACKING_URI to another store"
        ) from error


def _check_server(uri: str) -> None:
    """Does a server answer at all? MLflow itself would find out only minutes later."""
    import requests

    try:
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=PATIENCE)
        problem = f"answers with status {answer.status_code}" if answer.status_code >= 500 else None
    except requests.Timeout:
        problem = f"no answer within {PATIENCE} s"
    except (requests.RequestException, ValueError):  # requests lets ValueErrors through for some malformed addresses
        problem = "cannot be reached"
    if problem:
        raise UserError(
            f"MLFLOW_TRACKING_URI: {public(uri)}: {problem}; start the server, or correct or unset MLFLOW_TRACKING_URI"
        )


def _make_database(path: Path, experiment: str, artifacts: str | None) -> None:
    """Make the SQLite file with its tables and the experiment, unless it is there.

    The tables are laid out in a file of another name, which then takes its place: a process that meets another
    one, or is killed half-way, leaves no half-made database.
    """
    if path.exists():
        return
    from mlflow import MlflowClient

    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = unique_beside(path)
    try:
        uri = f"{SQLITE}{temporary}"
        _experiment(MlflowClient(tracking_uri=uri, registry_uri=uri), experiment, artifacts)
        _put(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _put(temporary: Path, path: Path) -> None:
    """Give a file its final name, unless another process was faster."""
    try:
        os.link(temporary, path)
    except FileExistsError:
        return
    except OSError:  # a file system without links
        if not path.exists():
            temporary.rename(path)


def _experiment(client: MlflowClient, name: str, artifacts: str | None) -> str:
    """The identifier of the experiment, which is made if there is none."""
    from mlflow.exceptions import MlflowException

    found = client.get_experiment_by_name(name)
    if found is None:
        try:
            return str(client.create_experiment(name, artifact_location=artifacts))
        except MlflowException:
            found = client.get_experiment_by_name(name)  # another process may have been faster
            if found is None:
                raise
    if found.lifecycle_stage == "deleted":
        raise UserError(
            f"MLflow's experiment {name!r} was deleted: bring it back with `mlflow experiments restore --experiment-id"
            f" {found.experiment_id}`, or give another name by `project` in params.yaml or MLFLOW_EXPERIMENT_NAME"
        )
    return str(found.experiment_id)
