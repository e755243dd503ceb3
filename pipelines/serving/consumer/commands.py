"""The commands: each loads a model, asks it a part at a time, and writes what comes to a file, whole or not at all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .mistake import refused

if TYPE_CHECKING:
    from .model_uri import Model

MODEL = typer.Argument(help="models:/name@champion, runs:/…, a folder that holds a model, or an entry of params.yaml.")
DATA = typer.Argument(help="A table (.csv, .csv.gz, .tsv, .parquet), arrays (.npy, .npz), or an image (.png).")
OUT = typer.Option(help="Where to: .csv, .csv.gz, .tsv or .parquet of tables, .png, .wav, .npy or .npz of others.")
LABEL = typer.Option(help="The class of what is drawn, by its name or its position; several are drawn in turn.")
WHERE = typer.Option(help="A condition on rows of a table, such as 'age>=65'; several must all hold.")
OF_ALL = typer.Option(help="The class of all examples, by name or position.")
SEED = typer.Option(min=0, help="The same seed draws the same; without one it is drawn, and said.")
TEMPERATURE = typer.Option(min=0, help="Below 1 what is likely, above 1 more variety.")
SEPARATOR = typer.Option(help="What stands between the values of a CSV file.")
MISSING = typer.Option(help="What stands for a gap in a CSV file, beside nothing at all, NA, NaN, null and the like.")


def add_commands(app: typer.Typer, load: Callable[[str], Model], of_entry: str | None = None) -> None:
    """Add the commands of consumers to an application, with the way in which it loads a model.

    `of_entry` is the line of Python that imports `load` for entries of a project, where there are any.
    """

    @app.command()
    def sample(
        model: Annotated[str, MODEL],
        n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many.")] = 10,
        out: Annotated[Path | None, OUT] = None,
        label: Annotated[list[str] | None, LABEL] = None,
        where: Annotated[list[str] | None, WHERE] = None,
        seed: Annotated[int | None, SEED] = None,
        temperature: Annotated[float, TEMPERATURE] = 1.0,
    ) -> None:
        """Draw new examples; rows of a table come in the format of the data."""
        from . import drawing

        drawing.check_ending(out)
        with refused():
            drawing.sample(load(model), n, out, label or [], where or [], seed, temperature)

    @app.command()
    def score(
        model: Annotated[str, MODEL],
        data: Annotated[Path, DATA],
        out: Annotated[Path | None, OUT] = None,
        separator: Annotated[str | None, SEPARATOR] = None,
        missing: Annotated[list[str] | None, MISSING] = None,
    ) -> None:
        """Say how likely each example is, and how usual among examples that the model was not trained on."""
        from . import asking

        asking.check_ending(out)
        with refused():
            asking.score(load(model), data, out, separator, missing or [])

    @app.command()
    def complete(
        model: Annotated[str, MODEL],
        data: Annotated[Path, DATA],
        out: Annotated[Path | None, OUT] = None,
        mask: Annotated[
            Path | None, typer.Option(help="An image that is white where DATA is to be drawn anew.")
        ] = None,
        n: Annotated[int, typer.Option("-n", "--n", min=1, help="How many completions of each example.")] = 1,
        label: Annotated[str | None, OF_ALL] = None,
        seed: Annotated[int | None, SEED] = None,
        temperature: Annotated[float, TEMPERATURE] = 1.0,
        separator: Annotated[str | None, SEPARATOR] = None,
        missing: Annotated[list[str] | None, MISSING] = None,
    ) -> None:
        """Draw what is missing, and keep everything else: empty cells of a table, NaN of arrays, what a mask hides."""
        from . import drawing

        drawing.check_ending(out)
        request = {"n": n, "labels": [] if label is None else [label], "seed": seed, "temperature": temperature}
        with refused():
            drawing.complete(load(model), data, mask, out, request, separator, missing or [])

    @app.command()
    def encode(
        model: Annotated[str, MODEL],
        data: Annotated[Path, DATA],
        out: Annotated[Path | None, OUT] = None,
        label: Annotated[str | None, OF_ALL] = None,
        separator: Annotated[str | None, SEPARATOR] = None,
        missing: Annotated[list[str] | None, MISSING] = None,
    ) -> None:
        """Write the codes of examples: a column or a number for each."""
        from . import asking

        asking.check_ending(out)
        with refused():
            asking.encode(load(model), data, out, [] if label is None else [label], separator, missing or [])

    @app.command()
    def decode(
        model: Annotated[str, MODEL],
        codes: Annotated[Path, typer.Argument(help="Codes as `encode` writes them: .csv, .parquet or .npy.")],
        out: Annotated[Path | None, OUT] = None,
        label: Annotated[str | None, OF_ALL] = None,
    ) -> None:
        """Write the examples that codes stand for."""
        from . import drawing

        drawing.check_ending(out)
        with refused():
            drawing.decode(load(model), codes, out, [] if label is None else [label])

    @app.command()
    def play(
        models: Annotated[list[str], MODEL],
        port: Annotated[int | None, typer.Option(min=1, max=65535, help="Where; a free one if left out.")] = None,
        browser: Annotated[bool, typer.Option(help="Open the page in a browser.")] = True,
    ) -> None:
        """Show a page on this machine with sliders: samples, completions, codes, scores."""
        from .playground.play import play as show

        with refused():
            show(models, load, of_entry, port, browser)
