"""`genera ui`: MLflow's page on the project's store, which also hands artifacts to clients that do not see the folder.

A SQLite store names artifacts by paths of this machine. Its server would pass these on, and a client elsewhere could
load no model. So they are named `mlflow-artifacts:/…` in answers, which clients ask this server for, and become paths
again in requests. The store stays as it is: with or without the server the project works as before.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import webbrowser
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any

from ..errors import UserError
from .moved import artifacts_of
from .store import SQLITE, connect, public, quiet

PROXIED = "mlflow-artifacts:"
_API = re.compile(r"^/((ajax-)?api/\d\.\d/mlflow/|graphql)")
_FILES = re.compile(r"/artifacts/files$|/get-artifact")  # contents of files, in which nothing is changed

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Message, Receive, Send], Awaitable[None]]


def serve(root: Path, project: str, host: str, port: int) -> None:
    """Print where the runs of the project are to be seen, and serve the page until interrupted.

    Where MLFLOW_TRACKING_URI names a server, that has a page of its own, and only its address is printed. Raises
    `UserError` for a port that is taken.
    """
    store = connect(root, project)
    if not store.uri.startswith(SQLITE):
        print(f"ui: {public(store.uri).rstrip('/')}/{_place(store.experiment)}")
        return
    _check_free(host, port)
    import uvicorn

    address = f"http://{host}:{port}/{_place(store.experiment)}"
    print(f"ui: {address}", flush=True)
    print(f'ui: models: mlflow.set_tracking_uri("http://{host}:{port}"), from wherever this is reached', flush=True)
    app = application(root, store.uri)
    if sys.stdout.isatty() and (sys.platform == "darwin" or os.environ.keys() & {"DISPLAY", "WAYLAND_DISPLAY"}):
        webbrowser.open(address)
    uvicorn.run(app, host=host, port=port, log_level="warning")


def _place(experiment: str) -> str:
    """Where in the page the runs of an experiment are: without the type it shows traces of language models."""
    return f"#/experiments/{experiment}/runs?workflowType=machine_learning"


def _check_free(host: str, port: int) -> None:
    try:
        with socket.create_server((host, port)):
            pass
    except OSError as error:
        raise UserError(f"ui: {host}:{port}: {error.strerror or error}; give another with --host or --port") from None


def application(root: Path, uri: str) -> App:
    """MLflow's server of a SQLite store, in this process."""
    quiet()
    os.environ["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"  # jobs of language models, which need a process more
    from mlflow.server import constants

    folder = artifacts_of(root)
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = uri
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = folder
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = folder
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    from mlflow.server.fastapi_app import app

    return Translating(app, folder)


class Translating:
    """An application whose answers name artifacts in a folder as those of this server, and not by their path."""

    def __init__(self, app: App, folder: str) -> None:
        self._app, self._path, self._proxied = app, f"{folder}/".encode(), f"{PROXIED}/".encode()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer a request, as ASGI has it."""
        path = str(scope.get("path", ""))
        if scope["type"] != "http" or not _API.match(path) or _FILES.search(path):
            await self._app(scope, receive, send)
            return
        body = (await _whole(receive)).replace(self._proxied, self._path)
        headers = [(name, value) for name, value in scope["headers"] if name != b"content-length"]
        scope = {**scope, "headers": [*headers, (b"content-length", str(len(body)).encode())]}
        answer = _Answer(send, lambda content: content.replace(self._path, self._proxied))
        await self._app(scope, _once(body, receive), answer)


class _Answer:
    """Sends an answer when it is whole, and changed."""

    def __init__(self, send: Send, change: Callable[[bytes], bytes]) -> None:
        self._send, self._change = send, change
        self._start: Message = {}
        self._content = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._start = message
            return
        self._content += message.get("body", b"")
        if message.get("more_body"):
            return
        content = self._change(self._content)
        headers = [(name, value) for name, value in self._start["headers"] if name.lower() != b"content-length"]
        self._start["headers"] = [*headers, (b"content-length", str(len(content)).encode())]
        await self._send(self._start)
        await self._send({"type": "http.response.body", "body": content})


async def _whole(receive: Receive) -> bytes:
    """The whole content of a request."""
    content, more = b"", True
    while more:
        message = await receive()
        content += message.get("body", b"")
        more = bool(message.get("more_body", False))
    return content


def _once(body: bytes, receive: Receive) -> Receive:
    """What receives a content that is known, and then whatever comes."""
    left = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return left.pop() if left else await receive()

    return next_message
