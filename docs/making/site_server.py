"""Serve the built documentation on this machine: `python -m docs.making.site_server [PORT]`."""

from __future__ import annotations

import sys
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

from .repository_links import DOCS

PORT = 8000


class Quiet(SimpleHTTPRequestHandler):
    """A handler that prints nothing about what was asked for."""

    def log_message(self, format: str, *args: object) -> None: ...


def server(port: int) -> ThreadingHTTPServer:
    """A server at 127.0.0.1, at a free port if this one is taken."""
    pages = partial(Quiet, directory=str(DOCS / "_build" / "html"))
    try:
        return ThreadingHTTPServer(("127.0.0.1", port), pages)
    except OSError:
        return ThreadingHTTPServer(("127.0.0.1", 0), pages)


def main() -> None:
    """Serve until Ctrl+C."""
    with server(int(sys.argv[1]) if len(sys.argv) > 1 else PORT) as pages:
        print(f"docs: http://127.0.0.1:{pages.server_address[1]}/ (Ctrl+C ends it)", flush=True)
        try:
            pages.serve_forever()
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
