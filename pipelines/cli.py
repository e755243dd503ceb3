"""The command `genera`: one subcommand per stage of the workflow, and a few to look at things.

Nothing heavy is imported before a command is chosen, so that help is instant.
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from .serving.consumer.commands import add_commands
from .serving.consumer.mistake import Mistake

if TYPE_CHECKING:
    from .serving.consumer.model_uri import Model

app = typer.Typer(
    help="Train, tune, distil, compare and ship deep generative models. `dvc repro` runs all stages in order.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Entry = Annotated[str, typer.Argument(help="An entry of params.yaml.")]


def _run(stage: str, name: str | None = None) -> None:
    """Run a stage on the project in the current folder, with its parameters validated first."""
    from .params.project import Project
    from .stages.step import step

    step(Project.here(), stage, name)


@app.command()
def code() -> None:
    """Say what settings and code of each stage and entry mean."""
    from pathlib import Path

    from .params.reading import read
    from .stages.code import run

    run(Path.cwd(), read(Path.cwd() / "params.yaml"))


@app.command()
def prepare() -> None:
    """Read the data source, split it, write data/prepared."""
    _run("prepare")


@app.command()
def features() -> None:
    """Train the classifier whose features measure samples."""
    _run("features")


@app.command()
def tune(entry: Entry) -> None:
    """Search the parameters of an entry."""
    _run("tune", entry)


@app.command()
def train(entry: Entry) -> None:
    """Train an entry on the data."""
    _run("train", entry)


@app.command()
def distill(entry: Entry) -> None:
    """Teach a student what its teacher knows."""
    _run("distill", entry)


@app.command()
def evaluate(entry: Entry) -> None:
    """Measure a finished entry."""
    _run("evaluate", entry)


@app.command()
def compare(
    entries: Annotated[
        list[str] | None, typer.Argument(help="Entries to print beside each other; none is all.")
    ] = None,
) -> None:
    """Write the report on all evaluated entries; with entries named, only print what was measured of them."""
    if not entries:
        _run("compare")
        return
    from .params.project import Project
    from .report.side_by_side import show

    show(Project.here(), entries)


@app.command()
def register() -> None:
    """Bring the finished models into the MLflow registry."""
    _run("register")


@app.command()
def ui(
    host: Annotated[str, typer.Option(help="The address that it listens to; 0.0.0.0 is every one.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Its port.")] = 5000,
) -> None:
    """Show MLflow's page on the runs and models of the project, and hand its models to clients."""
    from .params.project import Project
    from .tracking.mlflow_page import serve

    project = Project.here()
    serve(project.root, project.params.name, host, port)


@app.command()
def profile(
    name: Annotated[str, typer.Argument(help="A file of profiles/, without its ending: mnist, power, speech, …")],
    force: Annotated[bool, typer.Option(help="Replace changes of params.yaml that are not committed.")] = False,
) -> None:
    """Switch params.yaml, and dvc.yaml with it, to another data set."""
    from pathlib import Path

    from .params.profiles import switch

    switch(Path.cwd(), name, force)


@app.command()
def params() -> None:
    """Print the effective parameters, with every default filled in."""
    from .params.checks import complain_of_misfits
    from .params.effective import show
    from .params.project import Project

    project = Project.here()
    complain_of_misfits(project.root, project.params)
    show(project)


@app.command()
def plan() -> None:
    """Write dvc.yaml, the plan of the workflow, from params.yaml."""
    from .no_git import settle_without_git
    from .params.memory import Memory
    from .params.plan import READ, forget_what_was_lost, write_plan
    from .params.project import Project

    project = Project.here()
    said = settle_without_git(project.root)
    if said:
        print(f"plan: {said}")
    memory = Memory(project.root, "plan", READ)
    if not memory.fresh:
        from .params.checks import complain_of_misfits  # imports PyTorch
        from .tracking.requirements import complain_of_requirements

        complain_of_misfits(project.root, project.params)
        complain_of_requirements(project.params)
        if write_plan(project.root, project.params):
            print("plan: dvc.yaml was written from params.yaml")
        memory.remember()
    for lost in forget_what_was_lost(project.root):
        print(f"plan: {lost}")


@app.command("run")
def run_at_once() -> None:
    """Do all that is out of date at once, as tasks of Ray; `dvc repro` then collects it."""
    from .params.project import Project
    from .stages.at_once import run

    run(Project.here())


def _load(model: str) -> Model:
    """A model of the registry, or an entry of the project in the current folder."""
    from .tracking.loading import load

    return load(model)


add_commands(app, _load, of_entry="from pipelines.tracking.loading import load")


def main() -> None:
    """Run the command line; a user's mistake is one line on stderr and exit status 1."""
    from pathlib import Path

    from .errors import UserError
    from .own_code import run_own_code

    run_own_code(Path.cwd())
    try:
        app(prog_name="genera")
    except (UserError, Mistake) as error:
        sys.exit("\n".join(f"error: {line}" for line in str(error).splitlines()))
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        where = f" at {error.filename}" if error.filename else ""
        sys.exit(
            f"error: no space is left on the disk{where}; nothing is half-written: free some and run the command again"
        )


if __name__ == "__main__":
    main()
