"""The page at an address of this machine alone: it asks nothing of any other."""

from __future__ import annotations

import socket
import webbrowser
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ..mistake import Mistake
from .opened import Opened
from .page_blocks import build

HOST = "127.0.0.1"
STYLE = Path(__file__).with_name("play.css")
LARGEST = "64mb"  # file that is taken
# The browser asks no other machine for anything, whatever the page holds. Gradio needs inline scripts and eval.
POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; worker-src 'self' blob:; "
    "connect-src 'self' data: blob:; object-src 'none'; form-action 'self'; frame-ancestors 'none'"
)


class Guard:
    """Adds to each answer what the browser may do with it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                policy = [(b"content-security-policy", POLICY.encode()), (b"referrer-policy", b"no-referrer")]
                message["headers"] = [*message.get("headers", ()), *policy]
            await send(message)

        await self.app(scope, receive, guarded)


def application(models: Sequence[Opened]) -> FastAPI:
    """The page for these models as an ASGI application. Requests for any other host's name are refused."""
    system = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
    mono = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")
    theme = gr.themes.Base(
        primary_hue=gr.themes.colors.blue, neutral_hue=gr.themes.colors.slate, font=system, font_mono=mono
    ).set(
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_400",
        block_radius="*radius_lg",
    )
    app = gr.mount_gradio_app(
        FastAPI(docs_url=None, redoc_url=None, openapi_url=None),
        build(models),
        path="/",
        server_name=HOST,
        footer_links=[],
        run_history=False,
        show_error=False,
        max_file_size=LARGEST,
        ssr_mode=False,
        mcp_server=False,
        theme=theme,
        head=f"<style>{STYLE.read_text(encoding='utf-8')}</style>",  # Gradio narrows what it is given as `css`
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=[HOST, "localhost"])
    app.add_middleware(Guard)
    return app


def listen(port: int | None) -> socket.socket:
    """A socket at this port of this machine, or at a free one."""
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((HOST, port or 0))
    except OSError as error:
        listening.close()
        raise Mistake(f"--port: {port}: cannot be used ({error.strerror}): leave it out to take a free one") from None
    listening.listen()
    return listening


def server(app: Any) -> uvicorn.Server:
    """What answers the requests; it logs what goes wrong alone, and does not wait for open pages when it is ended."""
    return uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, timeout_graceful_shutdown=1))


def serve(models: Sequence[Opened], port: int | None, browser: bool) -> None:
    """Show the page until it is interrupted; the address is printed, and opened in a browser if wanted."""
    app = application(models)
    with listen(port) as listening:
        address = f"http://{HOST}:{listening.getsockname()[1]}"
        print(f"The page is at {address}; Ctrl+C ends it.", flush=True)
        if browser:
            webbrowser.open(address)
        server(app).run(sockets=[listening])
