"""`params.yaml`: every knob of the workflow, documented where it is defined, validated before anything starts.

Each section of the file is a class below. An entry is a named experiment: a block with its family, its configuration
and how it is trained; what it does not say it inherits from `defaults` (see `entry.Entry`, which has both).

Nothing here imports PyTorch, so that reading the file costs little; what families say of it is in `checks`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, model_validator

from .data_section import Data, Digits
from .section import Input, Place, Section, Seed

NAME = r"^[a-z][a-z0-9_-]{0,99}$"  # of entries and projects: DVC splits at dots, a shell at spaces, paths at slashes
PREFIX = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$"  # of registered models, whose names MLflow puts into addresses


class Loop(Section):
    """How the training loop runs. Steps are optimiser steps, never epochs."""

    steps: int = Field(default=2000, ge=1)
    """Optimiser steps of the whole training."""

    batch_size: Annotated[int, Field(ge=1)] | Literal["all"] = "all"
    """Examples per step over all workers together; `all` takes the whole training split (with several workers all
    but the rest that their number does not divide)."""

    warmup_steps: int = Field(default=0, ge=0)
    """Steps over which the learning rate rises linearly to its full value."""

    schedule: Literal["constant", "cosine", "linear"] = "cosine"
    """How the learning rate goes on after the warm-up; cosine and linear fall towards zero, which they would reach
    one step after the last."""

    clip_norm: float | None = Field(default=None, gt=0)
    """Gradients of a player are scaled down to this Euclidean norm; null leaves them."""

    ema_decay: float = Field(default=0.0, ge=0, lt=1)
    """Decay per step of the moving average of the weights, which is then validated and exported; 0 has none. At step t
    it is (1 + t) / (10 + t) where that is less, so that the weights of the start are soon forgotten."""

    precision: Literal["float32", "bfloat16"] = "float32"
    """Number format of the forward and backward passes (bfloat16: automatic mixed precision)."""

    compile: bool = False
    """Compile the losses with torch.compile: pays on GPUs and long runs."""

    validate_every: int = Field(default=100, ge=1)
    """Steps between two validations; each adds a row to history.csv and may set a new best."""

    checkpoint_every: int = Field(default=100, ge=1)
    """Steps between two checkpoints of the whole state."""

    patience: int | None = Field(default=None, ge=1)
    """Validations without a new best after which training stops early; null never stops."""

    flip: bool = False
    """Mirror half of the training images, for those that might as well be mirrored."""

    shift: int = Field(default=0, ge=0)
    """Shift each training image by up to this many pixels in each direction."""

    explode_factor: float = Field(default=1e4, gt=1)
    """Training has diverged when a loss exceeds this many times max(1, its first value)."""

    rescues: int = Field(default=0, ge=0)
    """How often a training that diverges goes back to its last validated state and goes on with half the learning rate;
    then it stops with an error. With rescues, checkpoints are written after validations."""


class Train(Loop):
    """How an entry is trained by its own losses on the data."""

    seed: Seed = 0
    """Seed of weights, order of examples and noise. Entries that differ in nothing else are repetitions of one
    experiment: the report has their mean and its standard error."""


class DistillLoss(Section):
    """What a student minimises: H(student, teacher) - entropy · H(student), and what is added to it."""

    entropy: float = Field(default=1.0, ge=0)
    """Weight of the student's entropy; with 1 the whole is KL(student ‖ teacher), with less samples are more likely and
    less diverse."""

    scale: float = Field(default=0.0, ge=0)
    """Weight of (log σ_student - log σ_teacher)², ClariNet's regulariser, for Gaussian conditionals."""

    power: float = Field(default=0.0, ge=0)
    """Weight of the distance between the power spectra of samples and of training examples, for sound."""

    contrastive: float = Field(default=0.0, ge=0)
    """Weight of the KL to the teacher's density of another class, which is maximised."""

    cover: float = Field(default=0.0, ge=0)
    """Weight of -log q of the teacher's own samples: no mode of the teacher may be left out. Each step then needs as
    many small steps as there are dimensions, twice; for tables that is worth it."""

    draws: int = Field(default=1, ge=1)
    """Draws of each number for each past, where the conditionals of teacher and student are known."""


class DistillDefaults(Loop):
    """How students are distilled, as far as their blocks do not say."""

    seed: Seed = 0
    """Seed of weights and noise."""

    val_samples: int = Field(default=2048, ge=2)
    """Samples of the student on which each validation estimates the KL."""

    rescues: int = Field(default=3, ge=0)
    """As for every loop; students are known to diverge late."""

    loss: DistillLoss = Field(default_factory=DistillLoss)
    """What the student minimises."""

    warm_start_steps: int = Field(default=0, ge=0)
    """Steps of a regression before the distillation: the student fits what the teacher makes of the same noise, block
    by block where both are stacks of as many affine blocks in the same orders, such as a maf and an iaf of five."""


class Distill(DistillDefaults):
    """How one student is distilled from its teacher: it minimises KL(student ‖ teacher) on its own samples."""

    teacher: str
    """The entry that is imitated. It must be a density."""


class Dimension(Section):
    """One searched parameter: a range (`low`, `high`, optionally `log`) or a list of `choices`."""

    low: float | None = None
    """Lowest value."""

    high: float | None = None
    """Highest value."""

    log: bool = False
    """Draw the logarithm uniformly."""

    choices: list[Any] | None = None
    """The values to choose from: numbers, names, true and false, null, or lists, whatever the parameter may be."""

    @model_validator(mode="after")
    def _one_kind(self) -> Dimension:
        bounds = (self.low, self.high)
        if (self.choices is None) == (bounds == (None, None)):
            raise ValueError("give either low and high, or choices")
        if self.choices is not None:
            if not self.choices:
                raise ValueError("choices must not be empty")
            return self
        if self.low is None or self.high is None:
            raise ValueError("give both low and high")
        if not self.low < self.high:
            raise ValueError("low must be less than high")
        if self.log and self.low <= 0:
            raise ValueError("a logarithmic range needs low > 0")
        return self

    def holds(self, value: Any) -> bool:
        """Is this a value that the search could propose?"""
        if self.choices is not None:
            return value in self.choices
        if isinstance(value, bool) or not isinstance(value, int | float) or self.low is None or self.high is None:
            return False
        return self.low <= value <= self.high


class Search(Section):
    """How parameters are searched: Optuna proposes, ASHA stops the weak, the validation objective decides."""

    scheduler: Literal["asha", "population"] = "asha"
    """`asha` (asynchronous successive halving) stops trials that are behind. `population` (population based training)
    trains all trials in rounds of `round_steps`; after each the worst quarter takes the weights of one of the best
    quarter and goes on with parameters near its. The training then goes through the same parameters as the best."""

    trials: int = Field(default=6, ge=1)
    """Trials of each search: the members of a population."""

    steps: int = Field(default=400, ge=1)
    """Optimiser steps of a trial that is not stopped."""

    validate_every: int = Field(default=100, ge=1)
    """Steps between two validations of a trial; ASHA decides after each."""

    grace_steps: int = Field(default=100, ge=1)
    """Steps that every trial may run before it can be stopped; with as many as `steps` none is."""

    reduction_factor: float = Field(default=3, gt=1)
    """One in this many trials survives each rung of ASHA."""

    round_steps: int = Field(default=100, ge=1)
    """Steps of a population between two comparisons."""

    sampler: Literal["tpe", "random"] = "tpe"
    """Who proposes: `tpe` learns from earlier trials (tree-structured Parzen estimator), `random` draws each trial from
    the space alone."""

    max_concurrent: int = Field(default=1, ge=1)
    """Trials that run at once. With 1 a search is reproducible to the bit; with more it is faster, and its
    proposals depend on which trial ends first."""

    workers_per_trial: int = Field(default=1, ge=1)
    """Data-parallel workers of a trial."""

    cpus_per_trial: int = Field(default=1, ge=1)
    """CPUs that Ray reserves for each worker of a trial, and the threads that it computes with."""

    gpus_per_trial: Literal["auto"] | Annotated[float, Field(ge=0)] = "auto"
    """GPUs that Ray reserves for each worker of a trial, of a single one also a fraction: `auto` is 1 where there are
    any, and else 0."""

    max_failures: int = Field(default=3, ge=0)
    """How often a trial is started again whose process or machine was lost; then it counts as failed."""

    seed: Seed = 0
    """Seed of the proposals and of every trial."""

    @model_validator(mode="after")
    def _whole_gpus(self) -> Search:
        if self.workers_per_trial > 1 and self.gpus_per_trial != "auto" and self.gpus_per_trial % 1:
            raise ValueError("gpus_per_trial must be whole where workers_per_trial is more than 1")
        return self

    @model_validator(mode="after")
    def _compared(self) -> Search:
        if self.scheduler == "population" and self.trials < 2:
            raise ValueError("scheduler: population needs at least 2 trials")
        if self.scheduler == "population" and self.round_steps >= self.steps:
            raise ValueError("scheduler: population needs round_steps below steps, or its members are never compared")
        return self

    @property
    def rounds(self) -> list[int]:
        """The steps at which the rounds of a trial end; ASHA's have one."""
        each = self.round_steps if self.scheduler == "population" else self.steps
        return [*range(each, self.steps, each), self.steps]

    def gpus_of_trial(self, gpus_there: float) -> float:
        """GPUs of each worker of a trial where there are so many."""
        return float(gpus_there > 0) if self.gpus_per_trial == "auto" else self.gpus_per_trial


class Defaults(Section):
    """What every entry inherits, as far as its own block does not say otherwise."""

    train: Train = Field(default_factory=Train)
    """Settings of the training loop, for trainings, distillations and the classifier."""

    distill: DistillDefaults = Field(default_factory=DistillDefaults)
    """Settings of distillations, before those of `train`."""

    search: Search = Field(default_factory=Search)
    """How every search is run."""


class Block(Section):
    """An entry: a named experiment. It is trained on the data, or distilled from another entry."""

    model: str
    """The family, by its name in models/catalogue.py."""

    config: dict[str, Any] = Field(default_factory=dict)
    """The configuration of the family, documented beside it in models/. The value of a searched parameter is that of
    the first trial."""

    train: Train | None = None
    """How it is trained, as far as that differs from `defaults.train`."""

    distill: Distill | None = None
    """How it is distilled, and from whom; in place of `train`."""

    search: dict[str, Dimension | None] | None = None
    """The searched parameters of the configuration, each with its space. Null searches nothing (null for a single
    parameter leaves it out): the values of `config` are taken as they are."""

    @model_validator(mode="after")
    def _one_way(self) -> Block:
        if self.train is not None and self.distill is not None:
            raise ValueError("give either train or distill")
        if self.distill is not None and self.space:
            raise ValueError("search is not allowed beside distill: only entries that are trained can be searched")
        return self

    @property
    def stage(self) -> Literal["train", "distill"]:
        """The stage that makes it."""
        return "train" if self.distill is None else "distill"

    @property
    def space(self) -> dict[str, Dimension]:
        """What is searched, by name; nothing for an entry that is not searched."""
        return {key: dimension for key, dimension in (self.search or {}).items() if dimension is not None}


def _elastic(workers: list[int]) -> list[int]:
    if len(workers) != 2 or not 1 <= workers[0] <= workers[1]:
        raise ValueError("must be [min, max] with 1 <= min <= max")
    return workers


class Cluster(Section):
    """Where the work runs."""

    workers: Literal["auto"] | Annotated[int, Field(ge=0)] | Annotated[list[int], AfterValidator(_elastic)] = "auto"
    """Data-parallel workers of a training: `auto` is one per GPU that is there, and without a GPU 0; 0 trains in the
    stage's own process; N are N workers of Ray Train; [min, max] are as many of them as the cluster has room for."""

    cpus_per_worker: int = Field(default=1, ge=1)
    """CPUs that Ray reserves for a worker, and the threads that it computes with."""

    gpus_per_worker: Literal["auto"] | Annotated[int, Field(ge=0)] = "auto"
    """GPUs that Ray reserves for a worker: `auto` is 1 where there are any, and else 0; a number is asked for, and
    waited for on a cluster; with 0 workers compute on CPUs."""

    max_failures: int = Field(default=10, ge=-1)
    """How often lost workers of a training are replaced, before it is given up; -1 sets no limit. Machines whose end
    was announced do not count."""

    memory_limit: int = Field(default=4096, ge=1)
    """Mebibytes up to which a split is held on a worker's device; a larger one is read from its file as needed."""

    address: str | None = None
    """Address of a running Ray cluster (host:port); null starts one here. RAY_ADDRESS wins."""

    storage: Place = ".genera"
    """Folder for checkpoints and search states, resumed from after a crash: a path, from the project's folder on, or a
    URL of object storage (s3://…). Several machines need one that all of them see."""


class Classifier(Train):
    """The small classifier whose features FID, precision, recall, density and coverage are measured in.

    Where the data has no labels, principal components take its place, as many as `feature_dimensions`, and the other
    settings have no meaning.
    """

    width: int = Field(default=32, ge=1)
    """Channels of its first convolution; the second has twice as many."""

    feature_dimensions: int = Field(default=32, ge=2)
    """Length of its feature vectors."""

    learning_rate: float = Field(default=1e-3, gt=0)
    """Adam's step size."""


class Evaluate(Section):
    """What is measured about each finished entry."""

    samples: int = Field(default=2000, ge=2)
    """Samples of each model for FID, KID, precision, recall, density and coverage."""

    references: int = Field(default=5000, ge=2)
    """Test examples, evenly spread, that the samples are compared with, at most; time and memory grow with the
    square of it."""

    fid_reference: Literal["test", "train"] = "test"
    """The split that FID and KID compare samples with. Most published FIDs of image data sets take the training images,
    of which a model that copies is not found out."""

    scored: Annotated[int, Field(ge=2)] | None = None
    """Test examples, evenly spread, whose likelihood is computed, at most; null scores all. A density that needs a
    pass per dimension can take minutes for a thousand."""

    draws: int = Field(default=16, ge=1)
    """Draws of noise over which the probability of a test example is averaged by densities of dequantised integers.
    More make the bound, which is named after them, tighter, and take as many times as long."""

    target: str | None = None
    """Of tables: the column whose prediction by the others shows what synthetic rows are worth; null takes the label of
    conditional models, if there is one."""

    neighbours: int = Field(default=5, ge=1)
    """k of the nearest-neighbour balls of precision, recall, density and coverage."""

    speed_batch: int = Field(default=256, ge=1)
    """Batch size of the speeds that the table shows."""

    small_batches: list[Annotated[int, Field(ge=1)]] = Field(default=[1, 16])
    """Further batch sizes at which speeds are measured."""

    speed_runs: int = Field(default=5, ge=1)
    """Timed runs, after one that is not counted; the median is reported. Where they take long, three are enough."""

    temperatures: list[Annotated[float, Field(gt=0)]] = Field(default=[0.5, 0.7, 0.9, 1.0, 1.2])
    """The temperatures at which the report shows the same noise."""

    inception: Input | None = None
    """A file with the weights of the Inception network that the original FID uses, for images: quality is then measured
    in its features, and comparable with published numbers. Slow without a GPU. Null takes those of `classifier`."""

    foreign: Input | None = None
    """A file (.npy) of examples of another data set, in the units and shape of this one, which densities should find
    less likely than test examples; null has those alone that need no file."""

    compile: bool = False
    """Compile the steps of samplers that go number by number with torch.compile: a minute more for each entry, and then
    faster on a GPU."""

    seed: Seed = 0
    """Seed of every sample and bound."""

    classifier: Classifier = Field(default_factory=Classifier)
    """The classifier of the `features` stage, as far as it differs from `defaults.train`."""


class Requirement(Section):
    """What one measurement of a version must be, for the version to become the champion."""

    min: float | None = None
    """The least that it may be."""

    max: float | None = None
    """The most that it may be."""

    within: float | None = Field(default=None, ge=0)
    """By how much it may be worse than the champion's, in the direction in which it is better; 0 allows nothing."""

    @model_validator(mode="after")
    def _something(self) -> Requirement:
        if self.min is None and self.max is None and self.within is None:
            raise ValueError("give min, max or within")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("min must be at most max")
        return self


class Register(Section):
    """How finished models enter the registry."""

    min_improvement: float = Field(default=0.0, ge=0)
    """The alias `champion` moves only if the validation metric is better than the champion's by more than this."""

    require: dict[str, Requirement] = Field(default_factory=dict)
    """What else a version must measure to become the champion, by the names of docs/metrics.md: `{fid: {max: 5.0}}`."""

    prefix: str | None = Field(default=None, pattern=PREFIX)
    """What the names of registered models begin with: `<prefix>-<entry>`; null takes the name of the project."""


class Params(Section):
    """The whole of params.yaml."""

    project: str | None = Field(default=None, pattern=NAME)
    """Name of MLflow's experiment, and what the names of registered models begin with, unless `register.prefix` says
    otherwise; null takes the data's name."""

    data: Data = Field(default_factory=Digits)
    """Which data is prepared, and how: the class of its `source` in data_section.py."""

    defaults: Defaults = Field(default_factory=Defaults)
    """What every entry inherits."""

    entries: dict[str, Block]
    """The experiments, by name."""

    cluster: Cluster = Field(default_factory=Cluster)
    evaluate: Evaluate = Field(default_factory=Evaluate)
    register_: Register = Field(default_factory=Register, alias="register")

    @property
    def name(self) -> str:
        """The name of the project."""
        return self.project or self.data.folder

    @property
    def prefix(self) -> str:
        """What the names of registered models begin with."""
        return self.register_.prefix or self.name

    def loop_of(self, entry: str) -> Train | Distill:
        """The settings that an entry is trained or distilled with: its own, and those that it inherits."""
        block = self.entries[entry]
        if block.distill is None:
            return Train(**{**given(self.defaults.train), **given(block.train)})
        inherited = {**given(self.defaults.train), **given(self.defaults.distill), **given(block.distill)}
        return Distill(**inherited)

    @property
    def classifier(self) -> Classifier:
        """The settings of the classifier, those included that it inherits."""
        return Classifier(**{**given(self.defaults.train), **given(self.evaluate.classifier)})


def given(section: Section | None) -> Mapping[str, Any]:
    """What a section says itself, without its defaults."""
    return {} if section is None else {key: getattr(section, key) for key in section.model_fields_set}
