"""SDV's synthesizers of single tables, with the settings that they come with: trained, sampled, and timed.

    python -m benchmarks._sdv_peer ctgan train.parquet kinds.json folder

is started by benchmarks/tables.py, in a process of its own, so that its seconds of processor time are its own. It
writes rows.parquet (ROWS synthetic rows) and cost.json to the folder.

    copula    GaussianCopulaSynthesizer: marginals and a Gaussian copula
    ctgan     CTGANSynthesizer, 300 epochs: Xu et al., "Modeling Tabular Data using Conditional GAN", 2019
    tvae      TVAESynthesizer, 300 epochs: the VAE of the same paper (arXiv:1907.00503)

Names are SDV's `categorical`, numbers its `numerical`. A gap among names is told to SDV as one more name, and is a gap
again in the rows: that is how SDV treats gaps itself, but its encoder of them fails beside pandas 3.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
import warnings
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipelines.files import replacing, write_json

SYNTHESIZERS = {"copula": "GaussianCopulaSynthesizer", "ctgan": "CTGANSynthesizer", "tvae": "TVAESynthesizer"}
PACKAGES = ("sdv", "ctgan", "copulas", "rdt", "pandas", "torch")
ROWS = 10_000
DRAWS = 5  # of as many rows, of which the time is the median, and the first are kept
GAP = "(gap)"
TABLE = "table"  # SDV names tables


def versions() -> dict[str, str]:
    """Those of the packages that make the rows. Raises `ImportError` where they are not installed."""
    return {name: version(name) for name in PACKAGES}


def make(name: str, train: pd.DataFrame, kinds: Mapping[str, str], folder: Path) -> None:
    """Train a synthesizer on the rows, draw from it, and write both files; the cost is the last."""
    synthesizer = _synthesizer(name, kinds)
    names = [column for column, kind in kinds.items() if kind == "category"]
    given = train.assign(**{column: train[column].astype(object).fillna(GAP) for column in names})
    np.random.seed(0)
    torch.manual_seed(0)
    began = time.perf_counter(), time.process_time()
    synthesizer.fit({TABLE: given})
    wall, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    rows, seconds = _drawn(synthesizer)
    rows[names] = rows[names].where(rows[names] != GAP, None)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "rows.parquet") as temporary:
        rows.to_parquet(temporary)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cost = {"train_cpu_s": cpu, "train_wall_s": wall, "sample_cpu_s": seconds, "peak_mib": peak}
    write_json(folder / "cost.json", {**cost, "versions": versions()})


def _synthesizer(name: str, kinds: Mapping[str, str]) -> Any:
    from sdv import single_table
    from sdv.metadata import Metadata

    sdtypes = {"category": "categorical", "number": "numerical"}
    columns = {column: {"sdtype": sdtypes[kind]} for column, kind in kinds.items()}
    metadata = Metadata.load_from_dict({"tables": {TABLE: {"columns": columns}}})
    return getattr(single_table, SYNTHESIZERS[name])(metadata)


def _drawn(synthesizer: Any) -> tuple[pd.DataFrame, float]:
    """Rows, and the seconds of processor time that as many take."""
    draws, seconds = [], []
    for _ in range(DRAWS):
        began = time.process_time()
        draws.append(synthesizer.sample(ROWS))
        seconds.append(time.process_time() - began)
    rows = draws[0]
    return rows[TABLE] if isinstance(rows, dict) else rows, statistics.median(seconds)


def main() -> None:
    name, train, kinds, folder = sys.argv[1:]
    torch.set_num_threads(1)
    warnings.filterwarnings("ignore")  # SDV's, about PyTorch and its own metadata
    make(name, pd.read_parquet(train), json.loads(Path(kinds).read_text()), Path(folder))


if __name__ == "__main__":
    main()
