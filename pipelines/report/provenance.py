"""Where the numbers of the page come from, and what they are to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..data.examples import examples
from ..data.prepared import Prepared
from ..evaluation.feature_space import quality_features
from ..evaluation.metrics.baselines import TAPS, linear_predictor, unigram
from ..evaluation.metrics.distances import fid
from ..evaluation.metrics.numerals import measured
from ..evaluation.metrics.probe import FITTED, SCORED, probe_accuracy, raw_numbers
from ..evaluation.validation import batches_of, feature_array, spread_rows
from ..git import git_commit
from ..params.project import Project

ROWS = 1000  # examples in memory at once, and at most for a baseline


def provenance(project: Project, data: Prepared, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Where the numbers come from; what was measured of no entry is left out."""
    tests = data.meta["counts"]["test"]
    known = {key: row[key] for row in reversed(rows) for key in row if measured(row[key])}
    facts = {}
    if "nll_nats" in known:
        facts["likelihood"] = f"test split, {_of(known.get('nll_examples', tests), tests)} examples"
    if "fid_samples" in known:
        references = _of(known.get("fid_references", tests), tests)
        facts["sample quality"] = (
            f"{known['fid_samples']:,} samples against {references} examples of the test split, in features of "
            f"{known['fid_features']}; {_floor(project, data)}"
        )
    if data.event.levels is not None:
        facts["baseline"] = _baselines(project, data, data.event.levels)
    if "probe_accuracy" in known:
        facts["linear probe of the raw data"] = _raw_probe(project, data)
    if "speed_device" in known:
        threads = known["speed_threads"]
        many = f"{threads} thread{'s' * (threads > 1)}"
        facts["speed"] = f"{known['speed_device']}, {many}, batches of {known['speed_batch']}"
    return {
        **facts,
        "seeds": f"training {_seeds(project, 'train')}, distillation {_seeds(project, 'distill')}, evaluation"
        f" {known['seed']}",
        "data digest": data.digest[:16],
        "commit": git_commit(project.root) or "no git repository",
    }


def _seeds(project: Project, stage: str) -> str:
    """The seeds that entries were trained or distilled with."""
    seeds = sorted({entry.seed for entry in project.entries.values() if entry.stage == stage})
    return ", ".join(map(str, seeds)) or "none"


def _floor(project: Project, data: Prepared) -> str:
    """The FID of training examples in place of samples: what a perfect model would have, about."""
    settings = project.params.evaluate
    features, _ = quality_features(project, data.event)
    train, test = (examples(project, data, split) for split in ("train", "test"))
    fake, real = (
        feature_array(features, batches_of(some, spread_rows(some, at_most)))
        for some, at_most in ((train, settings.samples), (test, settings.references))
    )
    fewer = " (more of them a lower one)" if len(fake) < settings.samples else ""
    return f"for scale, {len(fake):,} real training examples have FID {fid(real, fake):.3f}{fewer}"


def _baselines(project: Project, data: Prepared, levels: int) -> str:
    """What a model of integers must be better than, on the test split."""
    train, (test, _) = examples(project, data, "train"), examples(project, data, "test").head(ROWS)
    parts = (x.cpu().numpy() for x, _ in train.batches(ROWS))
    words = f"NLL {unigram(parts, test.cpu().numpy(), levels):.3f} bits/dim of a unigram of the levels"
    if data.event.kind == "sequence" and data.event.ordered:
        few, _ = train.head(ROWS)
        bits = linear_predictor(few[:, 0].cpu().numpy(), test[:, 0].cpu().numpy(), levels)
        words += f", {bits:.3f} of a linear predictor by the {TAPS} numbers before"
    return words


def _raw_probe(project: Project, data: Prepared) -> str:
    """What linear probes on features are to be compared with: the same on the data's own numbers."""
    arrays = []
    for split, at_most in (("train", FITTED), ("test", SCORED)):
        x, labels = examples(project, data, split).head(at_most)
        assert labels is not None
        arrays += [raw_numbers(x, data.event).cpu().numpy(), labels.cpu().numpy()]
    accuracy = probe_accuracy(*arrays)
    of = {"image": "pixels", "sequence": "sequences", "vector": "columns", "table": "columns"}[data.event.kind]
    return "not measured" if accuracy is None else f"logistic regression on raw {of} has accuracy {accuracy:.3f}"


def _of(some: int, all_: int) -> str:
    return f"{some:,}" if some == all_ else f"{some:,} of {all_:,}"
