"""The command `genera` of the distribution `genera-client`: see `client/`."""

from __future__ import annotations

import sys

import typer

from .commands import add_commands
from .mistake import Mistake
from .model_uri import Model

app = typer.Typer(
    help="Sample, score, complete and encode with generative models that genera has trained.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _load(model: str) -> Model:
    from .model_uri import load  # imports MLflow and PyTorch

    return load(model)


add_commands(app, _load)


def main() -> None:
    """Run the command line; a mistake is one line on stderr and exit status 1."""
    try:
        app(prog_name="genera")
    except Mistake as mistake:
        sys.exit(f"error: {mistake}")


if __name__ == "__main__":
    main()
