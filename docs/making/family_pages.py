"""A page for each family: what it is, when to use it, what it needs and gives, its samples, its configuration.

All of it is made of the catalogue, of the docstring of the family's module, of its configuration, and of the committed
measurements of the entries of params.yaml.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

from models.catalogue import CATALOGUE, family_class
from models.columns import Column
from models.contract import (
    Completion,
    Density,
    Event,
    Family,
    Features,
    Invertible,
    Latent,
    Reconstruction,
    Reparameterised,
)

from .docstrings import WHEN, markdown, paragraphs
from .field_tables import field_list
from .repository_links import DOCS, ROOT, write

FOLDER = DOCS / "families"
SAMPLES = DOCS / "samples"
KINDS = {
    "images": Event((1, 8, 8), 17, 3),
    "images of unordered levels (a palette)": Event((1, 8, 8), 17, 3, ordered=False),
    "sequences": Event((1, 16), 16, 3),
    "vectors": Event((6,), None, 3),
    "tables": Event((2,), None, 3, columns=(Column(levels=3, names=True), Column(gaps=0.1))),
}
CAPABILITIES = {
    Density: "a likelihood, or a bound on it",
    Invertible: "codes from which every example comes back",
    Reconstruction: "codes, judged by what they lose",
    Latent: "codes",
    Completion: "completions",
    Features: "features",
    Reparameterised: "samples with their density, differentiable: it can be a student",
}
MEASURED = {
    "nll_bits_per_dim": "NLL, bits/dim",
    "fid": "FID",
    "precision": "precision",
    "recall": "recall",
    "parameters": "parameters",
    "train_steps": "steps",
    "train_flops": "training, FLOP an example and step",
    "sampling_flops": "FLOP a sample",
    "sampling_passes": "passes for samples",
    "scoring_passes": "passes for scores",
}
ABOUT = (
    "As the committed `artifacts/evaluate/*/metrics.json` have it, of the entries of `params.yaml` on the embedded"
    " digits: [what each number is](../metrics.md),"
    " [all entries beside each other, with their seconds](../results.md#the-embedded-digits)."
    " Passes are network passes one after the other for a batch. ≤ marks an upper bound."
)


def write_families() -> list[Path]:
    """Write all pages and their list; give the places."""
    measured = [json.loads(path.read_text()) for path in sorted(ROOT.glob("artifacts/evaluate/*/metrics.json"))]
    pages = []
    for model in CATALOGUE:
        pages.append(FOLDER / f"{model}.md")
        write(pages[-1], page(model, [one for one in measured if one["model"] == model]))
    write(FOLDER / "index.md", listed())
    return [*pages, FOLDER / "index.md"]


def docstring(model: str) -> list[str]:
    """The paragraphs of the docstring of a family's module."""
    return paragraphs(inspect.getdoc(inspect.getmodule(family_class(model))) or "")


def when(model: str) -> str:
    """When to use a family, as its docstring says."""
    (said,) = [part for part in docstring(model) if part.startswith(WHEN)]
    return said.removeprefix(WHEN)


def events(family: type[Family]) -> list[str]:
    """The kinds of data of which some configuration of a family can model examples."""
    return [name for name, event in KINDS.items() if family.refusal(event) is None]


def offers(family: type[Family]) -> list[str]:
    """What a family can do beside samples."""
    found = [(kind, said) for kind, said in CAPABILITIES.items() if issubclass(family, kind)]
    if issubclass(family, Invertible | Reconstruction):
        found = [(kind, said) for kind, said in found if kind is not Latent]
    return [said for _, said in found]


def page(model: str, measured: list[dict[str, Any]]) -> str:
    """The page of a family, with the measurements of its entries."""
    family = family_class(model)
    first, *rest = docstring(model)
    idea = [part for part in rest if not part.startswith(WHEN)]
    facts = [
        f"- **Data:** {', '.join(events(family))}",
        f"- **Offers:** samples, {', '.join(offers(family)) or 'and nothing else'}",
        f"- **Samples:** {_sampling(family)}",
        f"- **In the code:** [`{family.__module__}`](../../{family.__module__.replace('.', '/')}.py),"
        f" `model: {model}` in `params.yaml`",
    ]
    parts = [
        f"# {model}",
        markdown(first),
        "\n".join(facts),
        "## When to use it",
        _capital(markdown(when(model))),
        "## Idea and equations",
        markdown("\n\n".join(idea)),
        "## Samples",
        _samples(model, [one["entry"] for one in measured]),
        "## What it costs, and how good it is",
        _numbers(measured) if measured else _unmeasured(model),
        "## Configuration",
        "The keys of `config` in an entry of `params.yaml`.",
        field_list(family.Config),
    ]
    return "\n\n".join(parts) + "\n"


def listed() -> str:
    """The list of all families."""
    rows = []
    for model in CATALOGUE:
        sentence = " ".join(markdown(docstring(model)[0].partition(": ")[2]).split())
        rows.append(f"| [{model}]({model}.md) | {_capital(sentence)} | {', '.join(events(family_class(model)))} |")
    table = "\n".join(["| family | in a sentence | data |", "|---|---|---|", *rows])
    tree = "```{toctree}\n:hidden:\n\n" + "\n".join(CATALOGUE) + "\n```"
    about = (
        f"There are {len(CATALOGUE)}. Each page is made of the family's module: its docstring, its configuration, and"
        " the committed measurements. To choose one, look at the [report](../example.md) on your own data; begin with"
        " [gmm](gmm.md), which costs seconds."
    )
    return f"# Families\n\n{about}\n\n{table}\n\n{tree}\n"


def _sampling(family: type[Family]) -> str:
    return (
        "the number of passes does not depend on how many numbers an example has"
        if family.parallel_sampling
        else "number by number"
    )


def _samples(model: str, entries: list[str]) -> str:
    picture = SAMPLES / f"{model}.png"
    if not picture.is_file():
        return "There is no picture: no entry of the default `params.yaml` is of this family."
    shown = f"of the entry `{entries[0]}`" if entries else "of a small training of its own, see the command"
    return (
        f"![Grid of samples of {model}: handwritten digits of 8 by 8 pixels](../samples/{picture.name})\n\n"
        f"Samples {shown}, on the embedded digits, none chosen by eye; made by `python -m docs.making.family_samples`."
    )


def _numbers(measured: list[dict[str, Any]]) -> str:
    """A table with a row for each measurement and a column for each entry."""
    head = "".join(["| |", *(f" `{one['entry']}` |" for one in measured)])
    rule = "|---" * (len(measured) + 1) + "|"
    rows = [
        f"| {said} | {' | '.join(_number(one, name) for one in measured)} |"
        for name, said in MEASURED.items()
        if any(one.get(name) is not None for one in measured)
    ]
    return "\n".join([ABOUT, "", head, rule, *rows])


def _number(one: dict[str, Any], name: str) -> str:
    value = one.get(name)
    if value is None:
        return ""
    bound = "≤ " * (name == "nll_bits_per_dim" and one.get("nll_kind") == "bound")
    return f"{bound}{value:,.0f}" if name not in list(MEASURED)[:4] else f"{bound}{value:.3f}"


def _unmeasured(model: str) -> str:
    profiles = [path for path in (ROOT / "profiles").glob("*.yaml") if f"model: {model}\n" in path.read_text()]
    text = "No entry of the default `params.yaml` is of this family, so it has no numbers beside those of the others."
    if not profiles:
        return f"{text} No profile has one, either: its exactness is tested, and its quality was not measured."
    named = ", ".join(f"`{path.stem}`" for path in sorted(profiles))
    return f"{text} Profiles with such an entry: {named}. See also [results](../results.md)."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
