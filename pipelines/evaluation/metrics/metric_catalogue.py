"""Every number that is measured about an entry, once: its name, unit, direction, digits, and what it is.

The table of the page and of the terminal, the paragraphs, the CSV files, the model card and the lists in
docs/metrics.md are all made of `METRICS`. Names are those of metrics.json and cost.json; a * stands for a part that
depends on the data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from types import MappingProxyType
from typing import Any, Literal

from .enough import COMPLETED, LEARNT, MEAN, NEAR, SHARE
from .numerals import number, rounded

LIKELIHOOD, QUALITY, USE, SPEED, COST, ABILITIES = (
    "Likelihood", "Sample quality", "Codes and use", "Speed", "Cost", "Abilities"
)  # fmt: skip
GROUPS = (LIKELIHOOD, QUALITY, USE, SPEED, COST, ABILITIES)


@dataclass(frozen=True)
class Metric:
    """One measured quantity.

    `title` heads its column; `unit` follows its values, `scale` says how to read one that has no unit. `better` is the
    direction: lower, higher, or nearest to `half`. `shown` says whether it is in the summary table. Those that are
    `timed` depend on the machine: they stand in cost.json, and no two runs agree on them. `split`, `examples` and
    `samples` say what it was measured on: the last two name the numbers that count it, and of fewer of either than
    `least` it means nothing and is blank (see few.py). `in_features`: it is of distances in the features that
    `fid_features` names. `source` is whose idea it was.
    """

    name: str
    group: str
    title: str
    help: str
    unit: str = ""
    scale: str = ""
    better: Literal["lower", "higher", "half"] | None = None
    digits: int = 3
    shown: bool = False
    timed: bool = False
    split: str = ""
    examples: str = ""
    samples: str = ""
    least: int = 0
    in_features: bool = False
    source: str = ""

    @property
    def reading(self) -> str:
        """What stands under its title."""
        return self.unit or self.scale

    @property
    def extreme(self) -> str:
        """What its best value is among others."""
        return {"lower": "lowest", "higher": "highest"}.get(self.better or "", "best")

    def badness(self, value: float) -> float:
        """What is less the better a value is."""
        return {"lower": value, "higher": -value, "half": abs(value - 0.5)}[self.better or "lower"]

    def worse(self, value: float, than: float) -> bool:
        """Does a value look worse than another one?"""
        return self.badness(rounded(value, self.digits)) > self.badness(rounded(than, self.digits))

    def text(self, value: float) -> str:
        """A value with its unit."""
        return f"{number(float(value), self.digits)} {self.unit}".strip()

    def of(self, row: Mapping[str, Any]) -> str:
        """The value of a row with its unit, and with ≤ if it is but a bound."""
        return f"{'≤ ' if is_bound(row, self.name) else ''}{self.text(row[self.name])}"


_ALL = (
    # Likelihood
    Metric(
        "nll_bits_per_dim", LIKELIHOOD, "NLL",
        "Negative log-likelihood of test examples, divided by their number of dimensions. ≤ marks an upper "
        "bound.",
        unit="bits/dim", better="lower", digits=4, shown=True, least=MEAN, split="test", examples="nll_examples",
    ),
    Metric(
        "nll_nats", LIKELIHOOD, "NLL",
        "Negative log-likelihood per test example. Vectors are standardised by the training split for it, and "
        "a density of real numbers can exceed 1, so that it falls below zero. ≤ marks an upper bound.",
        unit="nats", better="lower", digits=4, shown=True, least=MEAN, split="test", examples="nll_examples",
    ),
    Metric(
        "nll_standard_error", LIKELIHOOD, "Standard error of NLL",
        "Standard deviation over test examples, divided by √N.",
        unit="nats", least=MEAN, split="test", examples="nll_examples",
    ),
    Metric(
        "bayes_accuracy", LIKELIHOOD, "Bayes accuracy",
        "Share of test examples whose label y has the largest p(x | y) p(y): a conditional density is a classifier "
        "by Bayes' rule.",
        scale="0–1", better="higher", shown=True, least=SHARE, split="test", examples="nll_examples",
    ),
    Metric(
        "conditional_nll_*", LIKELIHOOD, "NLL given the label",
        "Negative log p(x | y) of test examples with their true labels; the other likelihoods have the labels "
        "summed out.",
        scale="as NLL", better="lower", digits=4, least=MEAN, split="test", examples="nll_examples",
    ),
    Metric(
        "nll_by_class.*", LIKELIHOOD, "NLL of a class", "Negative log p(x) of the test examples of each class.",
        scale="as NLL", better="lower", digits=4, least=MEAN, split="test", examples="nll_by_class_examples.*",
    ),
    Metric(
        "outliers.*.nll", LIKELIHOOD, "NLL of foreign examples",
        "Negative log p(x) of examples that are none of the data.",
        scale="as NLL", digits=4, split="foreign", examples="outliers.*.examples",
    ),
    Metric(
        "outliers.*.likelihood_auroc", LIKELIHOOD, "Likelihood AUROC",
        "Probability that log p(x) is higher for a test example than for a foreign one: 1 always notices, ½ "
        "cannot tell.",
        scale="½ cannot tell", better="higher", least=SHARE, split="foreign", examples="outliers.*.examples",
        source="Nalisnick et al., 2019, [arXiv:1810.09136](https://arxiv.org/abs/1810.09136)",
    ),
    Metric(
        "outliers.*.typicality_auroc", LIKELIHOOD, "Typicality AUROC",
        "The same of -|log p(x) - mean log p of validation examples|, which notices what is too likely as well.",
        scale="½ cannot tell", better="higher", least=SHARE, split="foreign", examples="outliers.*.examples",
        source="Nalisnick et al., 2019, [arXiv:1906.02994](https://arxiv.org/abs/1906.02994)",
    ),
    Metric(
        "objective", LIKELIHOOD, "Validation objective",
        "What decides about the best weights, on the validation split: the likelihood, else what codes lose, "
        "else FID. `objective_name` says which.",
        scale="see its name", better="lower", digits=4, split="val",
    ),
    # Sample quality
    Metric(
        "fid", QUALITY, "FID",
        "Fréchet distance between Gaussians fitted to the features of samples and of test examples.",
        scale="features", better="lower", shown=True, least=NEAR,
        split="test", examples="fid_references", samples="fid_samples",
        in_features=True, source="Heusel et al., 2017, [arXiv:1706.08500](https://arxiv.org/abs/1706.08500)",
    ),
    Metric(
        "kid", QUALITY, "KID",
        "Kernel distance between the features of samples and of test examples, with (x·y/F + 1)³. Unbiased, so "
        "it can fall below zero.",
        scale="features", better="lower", shown=True, least=NEAR,
        split="test", examples="fid_references", samples="fid_samples",
        in_features=True, source="Bińkowski et al., 2018, [arXiv:1801.01401](https://arxiv.org/abs/1801.01401)",
    ),
    Metric(
        "precision", QUALITY, "Precision",
        "Share of samples that lie near some test example: are the samples realistic?",
        scale="0–1", better="higher", shown=True, least=NEAR,
        split="test", examples="prdc_examples", samples="prdc_examples",
        in_features=True, source="Kynkäänniemi et al., 2019, [arXiv:1904.06991](https://arxiv.org/abs/1904.06991)",
    ),
    Metric(
        "recall", QUALITY, "Recall",
        "Share of test examples that lie near some sample: is everything in the data also generated?",
        scale="0–1", better="higher", shown=True, least=NEAR,
        split="test", examples="prdc_examples", samples="prdc_examples", in_features=True, source="as precision",
    ),
    Metric(
        "density", QUALITY, "Density",
        "Like precision, but counts how many test examples are near: outliers mislead it less. Can exceed 1.",
        scale="from 0", better="higher", shown=True, least=NEAR,
        split="test", examples="prdc_examples", samples="prdc_examples",
        in_features=True, source="Naeem et al., 2020, [arXiv:2002.09797](https://arxiv.org/abs/2002.09797)",
    ),
    Metric(
        "coverage", QUALITY, "Coverage",
        "Like recall, but with neighbourhoods around the test examples, so that outlying samples mislead it "
        "less.",
        scale="0–1", better="higher", shown=True, least=NEAR,
        split="test", examples="prdc_examples", samples="prdc_examples", in_features=True, source="as density",
    ),
    Metric(
        "classes_covered", QUALITY, "Classes",
        "How many classes have at least a tenth of their share of the test examples among the samples, both as "
        "the classifier of the features sees them: fewer than there are is a sign of mode collapse.",
        scale="covered", better="higher", shown=True, least=NEAR,
        split="test", examples="fid_references", samples="fid_samples", in_features=True,
    ),
    Metric(
        "diversity", QUALITY, "Diversity",
        "Mean distance of two samples, divided by that of two test examples, in features.",
        scale="1 is right", least=MEAN, split="test", in_features=True,
    ),
    Metric(
        "memorisation", QUALITY, "Memorisation",
        "Probability that a sample lies nearer to its nearest training example than a test example does, in "
        "features: well above ½ the model repeats what it has seen, well below it samples lie apart from all "
        "data.",
        scale="½ if none", shown=True, least=SHARE,
        split="train, test", examples="fid_references", samples="fid_samples",
        in_features=True, source="Meehan et al., 2020, [arXiv:2004.05675](https://arxiv.org/abs/2004.05675)",
    ),
    Metric(
        "copied", QUALITY, "Near-copies",
        "Share of samples nearer to a training example than all but one in a hundred test examples.",
        scale="0.01 if none", least=LEARNT,
        split="train, test", examples="fid_references", samples="fid_samples", in_features=True,
    ),
    Metric(
        "marginal_distance", QUALITY, "Columns",
        "Distance (1-Wasserstein) between the distributions of each column of samples and of test examples, in "
        "standard deviations of the test column, averaged over columns that vary.",
        scale="÷ SD", better="lower", shown=True, least=NEAR,
        split="test", examples="fid_references", samples="fid_samples",
    ),
    Metric(
        "correlation_distance", QUALITY, "Correlations",
        "How far the correlation of each pair of columns differs between samples and test examples, on "
        "average.",
        scale="0–2", better="lower", shown=True, least=NEAR,
        split="test", examples="fid_references", samples="fid_samples",
    ),
    Metric(
        "two_sample_auc", QUALITY, "Two-sample test",
        "Area under the ROC curve of a classifier that learns to tell samples from test examples: ½ if it "
        "cannot.",
        scale="½ is best", better="half", shown=True, least=LEARNT,
        split="test", examples="fid_references", samples="fid_samples",
        source="Lopez-Paz & Oquab, 2016, [arXiv:1610.06545](https://arxiv.org/abs/1610.06545)",
    ),
    Metric(
        "synthetic_score", QUALITY, "Trained on samples",
        "What a predictor that is trained on samples reaches on test examples: accuracy for the labels of a "
        "conditional model, else the mean R² for up to four columns given the others; of tables with types F1 or R² of "
        "`evaluate.target` (`score_name`).",
        scale="score on test", better="higher", shown=True, least=LEARNT, split="test", examples="fid_references",
        samples="score_examples", source="Esteban et al., 2017, [arXiv:1706.02633](https://arxiv.org/abs/1706.02633)",
    ),
    Metric(
        "real_score", QUALITY, "Trained on data",
        "The same of a predictor that is trained on as many training examples.",
        scale="score on test", better="higher", least=LEARNT, split="train, test", examples="fid_references",
    ),
    Metric(
        "column_shapes", QUALITY, "Column shapes",
        "How like the columns of samples are to those of training rows, on average: 1 less the statistic of Kolmogorov "
        "and Smirnov of numbers, and less the total variation of categories, as SDMetrics has it.",
        scale="1 is best", better="higher", shown=True, least=NEAR, split="train", samples="scorecard_rows",
    ),
    Metric(
        "pair_trends", QUALITY, "Pair trends",
        "How like the pairs of columns are, on average: correlations of numbers, contingency tables of categories, as "
        "SDMetrics has it.",
        scale="1 is best", better="higher", shown=True, least=NEAR, split="train", samples="scorecard_rows",
    ),
    Metric(
        "real_column_shapes", QUALITY, "Column shapes of real rows",
        "The same of one half of the training rows against the other: what the best rows reach.",
        scale="1 is best", better="higher", least=NEAR, split="train", samples="scorecard_rows",
    ),
    Metric(
        "real_pair_trends", QUALITY, "Pair trends of real rows",
        "The same of one half of the training rows against the other: what the best rows reach.",
        scale="1 is best", better="higher", least=NEAR, split="train", samples="scorecard_rows",
    ),
    Metric(
        "category_coverage", QUALITY, "Categories covered",
        "Share of the categories of the training rows that samples have, averaged over columns.",
        scale="1 is all", better="higher", least=NEAR, split="train", samples="scorecard_rows",
    ),
    Metric(
        "range_coverage", QUALITY, "Ranges covered",
        "Share of the range of each number in the training rows that samples span, on average.",
        scale="1 is all", better="higher", least=NEAR, split="train", samples="scorecard_rows",
    ),
    Metric(
        "pairs_kept", QUALITY, "Rules kept",
        "Share of samples that keep what holds in all training rows: a column that determines another one, a number "
        "that is at most another one; blank where there is no such rule.",
        scale="1 is all", better="higher", shown=True, least=LEARNT, split="train", samples="scorecard_rows",
    ),
    Metric(
        "closer_to_train", QUALITY, "Closer to training rows",
        "Share of samples whose closest record is a training row, rather than one of as many test rows: ½ if nothing "
        "was memorised.",
        scale="½ is best", better="half", shown=True, least=SHARE, split="train, test", samples="scorecard_rows",
    ),
    Metric(
        "near_copies", QUALITY, "Near copies of rows",
        "Share of samples within a hundredth of the distance from a training row at which rows differ altogether.",
        scale="share", better="lower", least=SHARE, split="train", samples="scorecard_rows",
    ),
    Metric(
        "exact_copies", QUALITY, "Exact copies of rows",
        "Share of samples that equal a training row; few columns with few values repeat by chance.",
        scale="share", better="lower", least=SHARE, split="train", samples="scorecard_rows",
    ),
    Metric(
        "membership_auc", QUALITY, "Membership inference",
        "Can an attacker who has samples tell training rows from test rows by how near the samples are? The area under "
        "the ROC curve: ½ if not.",
        scale="½ is best", better="half", least=SHARE, split="train, test", samples="scorecard_rows",
    ),
    # Codes and use
    Metric(
        "completion_score", USE, "Completion",
        "Energy score of what is drawn for missing parts of test examples, divided by that of the mean example: the "
        "distance from the truth, less half the distance of two completions. Several masks, two completions each. The "
        "lowest is that of draws from what is possible given what is known, and it is not 0.",
        scale="÷ mean", better="lower", shown=True, least=COMPLETED, split="test", examples="completion_examples",
        source="Gneiting & Raftery, 2007, [doi:10.1198/016214506000001437](https://doi.org/10.1198/016214506000001437)",
    ),
    Metric(
        "completion_error", USE, "Error of completions",
        "Root mean squared error of what is drawn for missing parts of test examples, divided by that of the mean "
        "example. Draws that are closer to their mean than they should be have a lower one.",
        scale="÷ mean", least=COMPLETED, split="test", examples="completion_examples",
    ),
    Metric(
        "completion_diversity", USE, "Diversity of completions",
        "Root mean squared distance of two completions of one example, divided by the error of the mean "
        "example.",
        scale="÷ mean", least=COMPLETED, split="test", examples="completion_examples",
    ),
    Metric(
        "reconstruction_rmse", USE, "RMSE",
        "Reconstruction: root mean squared error of decoded codes of test examples, divided by that of the "
        "mean example: 0 is perfect, 1 no better than the mean.",
        scale="÷ SD", better="lower", shown=True, least=MEAN, split="test",
    ),
    Metric(
        "prior_gap", USE, "Prior gap",
        "Mean distance from draws of the prior N(0, I) to the nearest code of a test example, divided by that "
        "from codes to the nearest other one. About 1 where codes are spread as the prior is; more where the "
        "prior has holes, or dimensions that codes do not use. Codes of a VAE are drawn from its posteriors, those "
        "of flows are of dequantised integers.",
        scale="1 if none", shown=True, least=SHARE, split="test",
    ),
    Metric(
        "probe_accuracy", USE, "Linear probe",
        "Share of test examples whose label a logistic regression on the frozen features of the model finds "
        "(codes, or the last hidden layer of a discriminator). The head of the page has that on the raw data.",
        scale="0–1", better="higher", shown=True, least=SHARE, split="test",
        source="Alain & Bengio, 2016, [arXiv:1610.01644](https://arxiv.org/abs/1610.01644)",
    ),
    # Speed
    Metric(
        "samples_per_s", SPEED, "Sampling",
        "Median throughput of drawing samples, and the sequential network passes that one batch of them needs.",
        unit="samples/s", better="higher", shown=True, timed=True,
    ),
    Metric(
        "log_probs_per_s", SPEED, "Scoring",
        "Median throughput of computing the log-likelihood or its bound, of a conditional model that of one "
        "label, and the sequential passes for one batch.",
        unit="examples/s", better="higher", shown=True, timed=True,
    ),
    Metric(
        "sampling_speed.*", SPEED, "Sampling by batch size", "Median throughput of drawing samples, by batch size.",
        unit="samples/s", better="higher", timed=True,
    ),
    Metric(
        "scoring_speed.*", SPEED, "Scoring by batch size", "Median throughput of scoring, by batch size.",
        unit="examples/s", better="higher", timed=True,
    ),
    Metric(
        "sampling_passes", SPEED, "Passes of sampling",
        "Network passes one after the other that a batch of samples needs.",
        unit="passes", better="lower",
    ),
    Metric(
        "scoring_passes", SPEED, "Passes of scoring",
        "Network passes one after the other that scoring a batch needs.",
        unit="passes", better="lower",
    ),
    Metric(
        "sampling_growth", SPEED, "Growth of sampling",
        "Operations one after the other for a sample of twice the dimensions, divided by those for one: 1 if "
        "parallel, 2 if number by number.",
        scale="1 if parallel", better="lower",
    ),
    # Cost
    Metric(
        "train_seconds", COST, "Training",
        "Wall-clock time of the final training, without the search of its hyperparameters. `genera run` trains several "
        "entries at once, each on CPUs of its own, and each then takes longer than alone.",
        unit="s", better="lower", shown=True, timed=True, split="train",
    ),
    Metric(
        "train_steps", COST, "Optimiser steps", "Optimiser steps of the final training.",
        unit="steps", split="train",
    ),
    Metric(
        "train_peak_mib", COST, "Peak memory",
        "Most memory of a training process: on a GPU that of tensors, else all that was resident, libraries "
        "included.",
        unit="MiB", better="lower", timed=True, split="train",
    ),
    Metric(
        "train_flops", COST, "Operations of a training step",
        "Floating-point operations of matrix products and convolutions of a training step per example, forward "
        "and backward; a multiplication and an addition are two.",
        unit="FLOP", better="lower", split="train",
    ),
    Metric("sampling_flops", COST, "Operations of a sample", "The same of one sample.", unit="FLOP", better="lower"),
    Metric("parameters", COST, "Parameters", "Learned numbers in the model.", unit="numbers", shown=True),
    # Abilities
    Metric(
        "parallel_sampling", ABILITIES, "Parallel",
        "Parallel sampling: is the number of passes for a sample independent of the number of dimensions?",
        shown=True,
    ),
    Metric(
        "invertible", ABILITIES, "Invertible", "Can every example be encoded and decoded back without loss?",
        shown=True,
    ),
    Metric(
        "inversion_error", ABILITIES, "Error of the inverse",
        "Largest |decode(encode(x)) - x| over 256 test examples, in levels, or in standard deviations of a "
        "column; it is invertible below half a level, or 0.01 standard deviations.",
        scale="levels or SD", better="lower", split="test",
    ),
)  # fmt: skip

METRICS: Mapping[str, Metric] = MappingProxyType({metric.name: metric for metric in _ALL})


def is_bound(row: Mapping[str, Any], name: str) -> bool:
    """Is a number of a row but an upper bound on the likelihood?"""
    return name in ("nll_bits_per_dim", "nll_nats") and row.get("nll_kind") == "bound"


@cache
def metric_of(name: str) -> Metric | None:
    """The metric of this name, or whose pattern it matches; None for what is no measurement."""
    return METRICS.get(name) or next((each for each in _ALL if "*" in each.name and fnmatchcase(name, each.name)), None)


def counterpart(name: str, metric: Metric, counted: str) -> str:
    """The name that `counted` stands for beside `name`: what the * of the metric is in it, it is there."""
    before, _, after = metric.name.partition("*")
    return counted.replace("*", name.removeprefix(before).removesuffix(after))
