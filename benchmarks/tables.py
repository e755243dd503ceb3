"""Synthetic rows of the census: our families beside SDV's synthesizers, all judged by the project's own scorecard.

    python -m benchmarks.tables                        all; needs the files of profiles/adult.yaml in data/raw
    python -m benchmarks.tables --only made,ctgan      makes these alone, and shows what was made before beside them

Ours are the entries of profiles/adult.yaml, without searches; peers are SDV's GaussianCopula, CTGAN and TVAE as they
come (_sdv_peer.py). All learn from the training split of the profile alone, on one thread, and draw as many rows, which
are judged beside two tables that nobody was trained for: one half of the training rows against the other (`real`), and
training rows whose columns were shuffled (`independent`). Times are seconds of the processor, of which ratios are
compared: those on the wall depend on what else the machine does.

Rows are kept in .genera/benchmarks/tables: what was trained once with these settings, data and code is not trained
again, also if the program is stopped on its way. benchmarks/results/tables.json has all that is there.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from rich.console import Console
from rich.table import Table

from pipelines.data.prepared import Prepared
from pipelines.errors import UserError
from pipelines.evaluation.measurements.table_quality import frame_of, kinds_of
from pipelines.evaluation.metrics.threads import one_thread
from pipelines.evaluation.tables.column_kinds import ROWS as AT_MOST
from pipelines.evaluation.tables.column_kinds import Columns
from pipelines.evaluation.tables.scorecard import judgement, numbers, references
from pipelines.files import read_json, text_digest, write_json
from pipelines.identity import code_digest
from pipelines.params.project import Project

from . import _census, _sdv_peer
from ._rows import RESULTS, Row

REFERENCES = ("real", "independent")
FIRST_IN = ("column_shapes", "pair_trends", "two_sample_auc")  # what it is said of who is first
TIMES = ("train_cpu_s", "sample_cpu_s")
SHOWN = {
    "how good they are": (
        "column_shapes", "pair_trends", "two_sample_auc", "learnt_f1", "pairs_kept", "category_coverage",
        "range_coverage",
    ),
    "how private": (
        "closer_to_train", "near_copies", "membership_auc", "singling_out", "linkability", "inference_income",
    ),
}  # fmt: skip

Record = dict[str, Any]


@dataclass(frozen=True)
class Census:
    """The project with its data, and what all rows are judged beside."""

    project: Project

    @cached_property
    def data(self) -> Prepared:
        """The prepared data."""
        return Prepared.open(self.project.prepared)

    def frame(self, split: str, at_most: int | None = None) -> pd.DataFrame:
        """The first rows of a split, or all, in the values of the data."""
        return frame_of(self.data, torch.from_numpy(np.array(self.data.split(split).x[:at_most])), None, seed=0)

    @cached_property
    def train(self) -> pd.DataFrame:
        """The training rows that the scorecard looks at."""
        return self.frame("train", AT_MOST)

    @cached_property
    def holdout(self) -> pd.DataFrame:
        """The test rows."""
        return self.frame("test", AT_MOST)

    @cached_property
    def kinds(self) -> Columns:
        """What the columns are."""
        return kinds_of(self.data)

    @property
    def digest(self) -> str:
        """The data and the code that judges."""
        return text_digest(self.data.digest, code_digest("pipelines.evaluation.tables.scorecard"))

    def judged(self, folder: Path, of: pd.DataFrame, rows: Callable[[], pd.DataFrame]) -> Record:
        """The numbers of rows that were made of `of`, which are kept in the folder."""
        kept = folder / f"numbers-{self.digest[:16]}.json"
        if not kept.is_file():
            with one_thread():
                found = judgement(of, self.holdout, rows(), self.kinds, self.project.params.evaluate.target)
            write_json(kept, {"attacks": found.attacks.attacks, **{k: asdict(n) for k, n in numbers(found).items()}})
        return dict(read_json(kept))


@dataclass(frozen=True)
class Maker:
    """Who makes rows: whose it is, where its rows are kept, and what makes them. Both raise `UserError`."""

    by: str
    place: Callable[[], Path]
    make: Callable[[], Path]

    @property
    def kept(self) -> Path | None:
        """The folder with its rows, if they were made."""
        try:
            folder = self.place()
        except UserError:
            return None
        return folder if (folder / "cost.json").is_file() else None


def makers(census: Census) -> dict[str, Maker]:
    """All of them by name: the entries of the profile, and SDV's if it is installed."""
    project = census.project
    found = {
        name: Maker("genera", partial(_census.place, project, entry), partial(_census.make, project, entry))
        for name, entry in project.entries.items()
    }
    try:
        _sdv_peer.versions()
    except ImportError as error:
        Console(stderr=True).print(f"SDV is left out ({error}); `uv sync --group bench` installs it")
        return found
    return found | {
        name: Maker("SDV", partial(_peer_place, census, name), partial(_peer, census, name))
        for name in _sdv_peer.SYNTHESIZERS
    }


def _peer_place(census: Census, name: str) -> Path:
    rows = pd.util.hash_pandas_object(census.frame("train")).sum()
    digest = text_digest(name, str(rows), str(census.kinds), json.dumps(_sdv_peer.versions()))
    return census.project.root / "rows" / f"{name}-{digest[:16]}"


def _peer(census: Census, name: str) -> Path:
    """The folder with the rows of one of SDV's synthesizers, which is trained if it was not."""
    folder = _peer_place(census, name)
    if not (folder / "cost.json").is_file():
        folder.mkdir(parents=True, exist_ok=True)
        table, kinds = folder / "train.parquet", folder / "kinds.json"
        census.frame("train").to_parquet(table)
        write_json(kinds, census.kinds)
        told = [name, str(table), str(kinds), str(folder)]
        subprocess.run([sys.executable, "-m", "benchmarks._sdv_peer", *told], check=True)
    return folder


def records(census: Census, known: Mapping[str, Maker]) -> Iterator[Record]:
    """What is known of both references, and of each table that was made: its cost and the numbers of its scorecard."""
    judged = {
        name: census.judged(census.project.root / "rows" / name, of, lambda rows=rows: rows)
        for name, (of, rows) in references(census.train, _census.ROWS).items()
    }
    for name, number in judged["independent"].items():  # which is judged beside all training rows, as what is made is
        if isinstance(number, dict) and number["better"] == "expected":
            judged["real"][name] = {**number, "value": number["of_holdout"]}
    for name, numbers_of in judged.items():
        yield {"name": name, "by": "reference", "numbers": numbers_of}
    for name, maker in known.items():
        folder = maker.kept
        if folder is not None:
            judged = census.judged(folder, census.train, partial(pd.read_parquet, folder / "rows.parquet"))
            yield {"name": name, "by": maker.by, **read_json(folder / "cost.json"), "numbers": judged}


def value(record: Record, name: str) -> float | None:
    """A number of the scorecard."""
    found: float | None = record["numbers"][name]["value"]
    return found


def merit(record: Record, name: str) -> float:
    """A number of the scorecard, turned so that more is better."""
    found, better = record["numbers"][name]["value"], record["numbers"][name]["better"]
    return -abs(found - 0.5) if better == "half" else found if better == "higher" else -found


def standings(found: Sequence[Record]) -> dict[str, dict[str, Any]]:
    """Of each of the numbers that decide: all who made rows, the best first, and those of ours that lead all peers."""
    made = [each for each in found if each["by"] != "reference"]
    said = {}
    for name in FIRST_IN:
        ranked = sorted(made, key=lambda each: -merit(each, name))
        peers = [merit(each, name) for each in made if each["by"] == "SDV"]
        ours = [each for each in ranked if each["by"] == "genera"]
        ahead = [each["name"] for each in ours if peers and merit(each, name) > max(peers)]
        behind = [each["name"] for each in ours if each["name"] not in ahead]
        said[name] = {"ranked": [each["name"] for each in ranked], "ahead_of_all_peers": ahead, "not_ahead": behind}
    return said


def races(found: Sequence[Record]) -> list[Row]:
    """How many times the seconds of ours those of each peer are."""
    ours, peers = ([each for each in found if each["by"] == by] for by in ("genera", "SDV"))
    row = partial(Row, unit="s of CPU", higher_is_better=False, device="cpu", threads=1)
    return [
        row(f"{name}: {case}", our[time], peer[time], peer["name"], runs=runs)
        for our in ours
        for peer in peers
        for case, time, runs in (
            ("train", "train_cpu_s", 1),
            (f"sample {_census.ROWS:,} rows", "sample_cpu_s", _census.DRAWS),
        )
        for name in (our["name"],)
    ]


def publish(census: Census, known: Mapping[str, Maker], found: Sequence[Record]) -> None:
    """Print the table, and write benchmarks/results/tables.json."""
    counts, said = census.data.meta["counts"], standings(found)
    path, lacking = RESULTS / "tables.json", [name for name, maker in known.items() if maker.kept is None]
    about = {
        "data": {"name": "adult", "counts": counts, "digest": census.data.digest},
        "rows": _census.ROWS,
        "threads": 1,
        "versions": {name: version(name) for name in ("torch", "pandas", "scikit-learn")},
        "not_made": lacking,
    }
    times = [each.as_json() for each in races(found)]
    write_json(path, {**about, "tables": list(found), "standings": said, "times": times})
    console = Console()
    print(f"The census: {counts['train']:,} training rows, {_census.ROWS:,} synthetic ones judged")
    for title, names in SHOWN.items():
        console.print(_table(title, names, [(each["name"], [value(each, name) for name in names]) for each in found]))
    made = [each for each in found if "train_cpu_s" in each]
    console.print(_table("what they cost", TIMES, [(each["name"], [each[time] for time in TIMES]) for each in made]))
    for name, those in said.items():
        ahead = ", ".join(those["ahead_of_all_peers"]) or "none"
        console.print(f"{name}: {', '.join(those['ranked'])}; ours ahead of all peers that were made: {ahead}")
    if lacking:
        console.print(f"not made, so not compared: {', '.join(lacking)}")
    console.print(f"Written to {path}", soft_wrap=True)


def _table(title: str, names: Sequence[str], rows: Sequence[tuple[str, Sequence[float | None]]]) -> Table:
    table = Table("", *(name.replace("_", " ") for name in names), title=title)
    for name, numbers_of in rows:
        table.add_row(name, *map(_cell, numbers_of))
    return table


def _cell(number: float | None) -> str:
    return "" if number is None else f"{number:.3g}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tables")
    parser.add_argument("--only", help="make these alone, names with commas between them", metavar="NAMES")
    asked = parser.parse_args().only
    torch.set_num_threads(1)
    try:
        census = Census(_census.census(Path.cwd()))
        known = makers(census)
        chosen = list(known) if asked is None else asked.split(",")
        wrong = [name for name in chosen if name not in known]
        if wrong:
            raise UserError(f"--only: {', '.join(wrong)} is not allowed: must be of {', '.join(known)}")
        for name in chosen:
            folder = known[name].make()
            print(f"{name}: {read_json(folder / 'cost.json')['train_cpu_s']:.0f} s of CPU to train", flush=True)
        publish(census, known, list(records(census, known)))
    except UserError as error:
        sys.exit(str(error))
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[3]}: training it failed with code {error.returncode}; what it said stands above")


if __name__ == "__main__":
    main()
